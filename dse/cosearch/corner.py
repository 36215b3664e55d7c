"""The most generous hardware of a box: what no hardware of the box is better than, for any mapping.

The largest of every capacity, fan-out and bandwidth, and the least of every price. Its mapspace
holds that of each piece of hardware in the box, and no mapping costs it more cycles or energy.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dse.cosearch.frames import LEAK, Frame, HardwareSpace
from dse.domain.architecture import AccessEnergy, Architecture, Network, StorageLevel
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.numeric import Ints

#: Prices of accesses, as `SizeTable.price_pj` has them before the leakage.
_ACCESSES = ("read_pj", "fill_pj", "update_pj")
_MESH = ("mesh_x", "mesh_y", "instances")
_RATES = ("read_bandwidth", "write_bandwidth", "shared_bandwidth")


@dataclass(frozen=True)
class Box:
    """Sizes ``low .. high`` (places in their variables) in some frames.

    Attributes:
        frames: numbers of the frames.
        low, high: ``(V,)`` each, both inclusive.
    """

    frames: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def is_single(self) -> bool:
        """Whether it is one piece of hardware."""
        return len(self.frames) == 1 and self.low == self.high


def corner_of(hardware: HardwareSpace, box: Box) -> Architecture:
    """Return the most generous hardware of a box."""
    frames = [hardware.frame(number) for number in box.frames]
    result = _envelope([frame.architecture for frame in frames])
    levels = list(result.levels)
    for v, size in enumerate(hardware.sizes):
        s = size.level
        levels[s] = _sized(levels[s], s, frames, v, box.low[v], box.high[v])
    return replace(result, levels=tuple(levels))


def likeness(frame: Frame) -> Hashable:
    """Return what frames have to share to be put together.

    They may differ in meshes, bandwidths, blocks, prices and sizes.
    """
    # constraints are no part of an architecture's equality
    rules = frame.architecture.constraints or {}
    return _plain(frame.architecture), repr(sorted(rules.items()))


def groups_alike(hardware: HardwareSpace, few: int) -> list[tuple[int, ...]]:
    """Return the numbers of frames in groups that are alike, by PEs; up to a few, one by one."""
    numbers = range(len(hardware.frames))
    if len(numbers) <= few:
        return [(number,) for number in numbers]
    order = sorted(numbers, key=lambda i: hardware.frame(i).architecture.compute.instances)
    groups: dict[Hashable, list[int]] = {}
    for number in order:
        groups.setdefault(likeness(hardware.frame(number)), []).append(number)
    return [tuple(group) for group in groups.values()]


def tile_words(problem: Problem, mapping: Mapping) -> Ints:
    """Return the words of the tiles that each level keeps together, ``(L,)``."""
    extent = np.cumprod(mapping.temporal.astype(np.int64) * mapping.spatial, axis=0)
    sides = 1 + np.einsum("tqd,ld->ltq", np.abs(problem.projection), extent - 1)
    words: Ints = (sides.prod(axis=2) * mapping.keep).sum(axis=1)
    return words


def _plain(architecture: Architecture) -> Architecture:
    """Return what has to be the same of all."""
    same: dict[str, Any] = {**dict.fromkeys(_MESH, 1), **dict.fromkeys(_RATES, 1.0)}
    levels = tuple(
        replace(
            level,
            **same,
            size_words=1,
            block_size=1,
            kind="SRAM",
            energy=AccessEnergy(),
            network=_free(level.network),
            area_um2=0.0,
        )
        for level in architecture.levels
    )
    mesh: dict[str, Any] = dict.fromkeys(_MESH, 1)
    compute = replace(architecture.compute, **mesh, energy_pj=0.0, area_um2=0.0)
    return replace(architecture, name="", levels=levels, compute=compute)


def _free(network: Network) -> Network:
    """Return a network that costs no energy."""
    none: dict[str, Any] = dict.fromkeys(
        ("wire_energy_pj", "router_energy_pj", "ingress_energy_pj"), 0.0
    )
    return replace(network, tile_width_um=None, **none)


def _envelope(machines: Sequence[Architecture]) -> Architecture:
    """Return the most generous of machines that are alike."""
    if len(machines) == 1:
        return machines[0]
    first = machines[0]
    count = len(first.levels)
    fans = [
        tuple(max(m.fanout(s)[axis] for m in machines) for axis in (0, 1)) for s in range(count)
    ]
    x, y = (max(getattr(m.levels[-1], axis) for m in machines) for axis in ("mesh_x", "mesh_y"))
    levels: list[StorageLevel] = []
    for s in reversed(range(count)):
        own = [m.levels[s] for m in machines]
        levels.append(_generous(own, x, y))
        x, y = x * fans[s][0], y * fans[s][1]
    compute = replace(
        first.compute,
        mesh_x=x,
        mesh_y=y,
        instances=x * y,
        energy_pj=min(m.compute.energy_pj for m in machines),
    )
    return replace(first, levels=tuple(reversed(levels)), compute=compute)


def _generous(own: Sequence[StorageLevel], x: int, y: int) -> StorageLevel:
    """Return the most generous of one level of several machines, on a mesh of its own.

    Where blocks differ, it is accessed word by word, each at its part of the price: to round up to
    blocks costs no less.
    """
    sizes = [level.size_words for level in own]
    known = [size for size in sizes if size is not None]
    rates = {name: max(getattr(level, name) for level in own) for name in _RATES}
    block = own[0].block_size if len({level.block_size for level in own}) == 1 else 1
    least = {
        name: min(getattr(level.energy, name) * block / level.block_size for level in own)
        for name in _ACCESSES
    }
    return replace(
        own[0],
        mesh_x=x,
        mesh_y=y,
        instances=x * y,
        size_words=max(known) if len(known) == len(sizes) else None,
        block_size=block,
        energy=AccessEnergy(**least, leak_pj=min(level.energy.leak_pj for level in own)),
        network=_free(own[0].network),
        **rates,
    )


def _sized(
    level: StorageLevel,
    number: int,
    frames: Sequence[Frame],
    v: int,
    low: int,
    high: int,
) -> StorageLevel:
    """Return a level with the most words and the least prices of a range of sizes."""
    words = max(int(frame.tables[v].usable_words[high]) for frame in frames)
    prices = []
    for frame in frames:
        some = frame.tables[v].price_pj[low : high + 1].copy()
        some[:, :LEAK] *= level.block_size / frame.architecture.levels[number].block_size
        prices.append(some)
    least = np.fmin.reduce(np.concatenate(prices), axis=0)
    accesses = {name: float(least[kind]) for kind, name in enumerate(_ACCESSES)}
    return replace(
        level,
        size_words=words,
        multiple_buffering=1.0,
        energy=replace(level.energy, **accesses, leak_pj=float(least[LEAK])),
    )
