"""The most generous hardware of a box: what no hardware of the box is better than, for any mapping.

The largest of every capacity, fan-out and bandwidth, the least of every price, and what any
constraints admit. Its mapspace holds that of each piece of hardware in the box, and no mapping
costs it more cycles or energy. It has no more MACs, and no more of any level, than the largest
hardware of the box, though its mesh is as wide as the widest and as high as the highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dse.cosearch.boxes import Box, HardwareBoxes, LevelKind
from dse.cosearch.groups import RATES, column_of, free
from dse.cosearch.sizes import LEAK
from dse.cosearch.union import Range, union_of
from dse.domain.architecture import AccessEnergy, Architecture, Compute, StorageLevel
from dse.domain.constraints import Constraints
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.numeric import Floats, Ints

#: Prices of accesses, as `SizeTable.price_pj` has them before the leakage.
_ACCESSES = ("read_pj", "fill_pj", "update_pj")


def corner_of(hardware: HardwareBoxes, box: Box) -> Architecture:
    """Return the most generous hardware of a box."""
    first = hardware.tree(box)
    if first is None:
        raise AssertionError("a box without hardware")
    meshes = hardware.meshes
    rows = hardware.mesh_rows(box)
    fanouts = meshes.fanouts[:, :, rows].max(axis=2).astype(np.int64)
    x, y = (int(side) for side in meshes.mesh[len(first.levels) - 1, :, rows].max(axis=0))
    levels: list[StorageLevel] = []
    for s in reversed(range(len(first.levels))):
        most = int(meshes.instances(s)[rows].max())
        own = _level(hardware, box, s)
        levels.append(replace(own, mesh_x=x, mesh_y=y, instances=most))
        x, y = x * int(fanouts[s, 0]), y * int(fanouts[s, 1])
    macs = meshes.instances(-1)[rows]
    kinds = [kind.level for kind in hardware.kinds(-1, box)]
    compute = replace(
        first.compute,
        mesh_x=x,
        mesh_y=y,
        instances=int(macs.max()),
        energy_pj=min(kind.energy_pj for kind in kinds if isinstance(kind, Compute)),
    )
    constraints = first.constraints
    if not box.is_frame:
        constraints = _constraints(hardware, box, float(macs.min()) / (x * y))
    return replace(first, levels=tuple(reversed(levels)), compute=compute, constraints=constraints)


def widths_of(hardware: HardwareBoxes, box: Box) -> Ints | None:
    """Return the fan-outs along X ``(L, W)`` that levels have in a box, growing, the last repeated.

    None: the box is one frame. Without columns: dimensions may run in space in several orders, by
    the constraints or as an axis has one place on some hardware, so nothing is known of neighbours.
    """
    if box.is_frame:
        return None
    specs = hardware.space.template.spec.storage
    fanouts = hardware.meshes.fanouts[:, :, hardware.mesh_rows(box)]
    runs = fanouts > 1.0
    varies = (runs.any(axis=2) != runs.all(axis=2)).any()
    if varies or any(len(hardware.choices(spec, box)) > 1 for spec in specs):
        return np.empty((len(specs), 0), np.int64)
    different = [np.unique(own).astype(np.int64) for own in fanouts[:, 0]]
    most = max(map(len, different))
    return np.array([np.pad(own, (0, most - len(own)), mode="edge") for own in different])


def _level(hardware: HardwareBoxes, box: Box, s: int) -> StorageLevel:
    """Return the most generous of a level, but for its mesh."""
    kinds = hardware.kinds(s, box)
    level = _generous([kind.level for kind in kinds if isinstance(kind.level, StorageLevel)])
    level = replace(level, **_rates(hardware, box, s))
    if not box.is_frame:
        level = replace(level, network=free(level.network))
    for v, size in enumerate(hardware.sizes):
        if size.level == s:
            level = _sized(level, kinds, v, box)
    return level


def _rates(hardware: HardwareBoxes, box: Box, s: int) -> dict[str, Any]:
    """Return the largest bandwidths of a level."""
    spec = list(reversed(hardware.space.template.spec.storage))[s]
    found: dict[str, Any] = {}
    for rate in RATES:
        for rows, chosen in zip(hardware.groups, box.rows, strict=True):
            key = f"{spec.name}/{rate}"
            if key in rows.columns:
                found[rate] = float(column_of(hardware.space, rows, key, spec)[chosen].max())
    return found


def _constraints(hardware: HardwareBoxes, box: Box, less_parallel: float) -> Constraints:
    """Return what any hardware of a box lets mappings do."""
    space = hardware.space
    ranges: dict[str, Range] = {}
    for rows, chosen in zip(hardware.groups, box.rows, strict=True):
        for key, column in rows.columns.items():
            ranges[key] = float(column[chosen].min()), float(column[chosen].max())
    found = {}
    for spec in space.template.spec.storage:
        own: dict[str, Range] = {}
        for kind in ("temporal", "spatial"):
            for table in ("factors", "max_factors", "min_factors"):
                for name, value in getattr(getattr(spec.constraints, kind), table).items():
                    key = f"{spec.name}/constraints/{kind}/{table}/{name}"
                    known = ranges.get(key)
                    if known is None:
                        number = float(value.value(space.fixed))
                        known = number, number
                    own[f"{kind}.{table}.{name}"] = known
        found[spec.name] = union_of(spec, hardware.choices(spec, box), own, less_parallel)
    return found


def tile_words(problem: Problem, mapping: Mapping) -> Ints:
    """Return the words of the tiles that each level keeps together, ``(L,)``."""
    extent = np.cumprod(mapping.temporal.astype(np.int64) * mapping.spatial, axis=0)
    sides = 1 + np.einsum("tqd,ld->ltq", np.abs(problem.projection), extent - 1)
    words: Ints = (sides.prod(axis=2) * mapping.keep).sum(axis=1)
    return words


def _generous(own: Sequence[StorageLevel]) -> StorageLevel:
    """Return the most generous of several kinds of a level.

    Where blocks differ, it is accessed word by word, each at its part of the price: to round up to
    blocks costs no less.
    """
    if len(own) == 1:
        return own[0]
    sizes = [level.size_words for level in own]
    known = [size for size in sizes if size is not None]
    block = own[0].block_size if len({level.block_size for level in own}) == 1 else 1
    least = {
        name: min(getattr(level.energy, name) * block / level.block_size for level in own)
        for name in _ACCESSES
    }
    address = min(level.energy.address_generation_pj for level in own)
    leak = min(level.energy.leak_pj for level in own)
    return replace(
        own[0],
        size_words=max(known) if len(known) == len(sizes) else None,
        block_size=block,
        energy=AccessEnergy(**least, leak_pj=leak, address_generation_pj=address),
    )


def _sized(level: StorageLevel, kinds: Sequence[LevelKind], v: int, box: Box) -> StorageLevel:
    """Return a level with the most words and the least prices of a range of sizes."""
    words, least = generous_size(kinds, level.block_size, box.low[v], box.high[v])
    accesses = {name: float(least[kind]) for kind, name in enumerate(_ACCESSES)}
    return replace(
        level,
        size_words=words,
        multiple_buffering=1.0,
        energy=replace(level.energy, **accesses, leak_pj=float(least[LEAK])),
    )


def generous_size(
    kinds: Sequence[LevelKind], block_size: int, low: int, high: int
) -> tuple[int, Floats]:
    """Return the most words and the least prices ``(4,)`` of a range of sizes, both inclusive.

    Args:
        kinds: of the level.
        block_size: words of a vector access that the prices are to be of.
        low: the smallest size, a place in its variable.
        high: the largest.

    Returns:
        Words that tiles may use; prices as in `dse.cosearch.sizes.SizeTable`, NaN where none of
        these sizes has one.
    """
    words, prices = 0, []
    for kind in kinds:
        if kind.table is None or not isinstance(kind.level, StorageLevel):
            raise AssertionError("a size without a table")
        words = max(words, int(kind.table.usable_words[high]))
        some: Floats = kind.table.price_pj[low : high + 1].copy()
        some[:, :LEAK] *= block_size / kind.level.block_size
        prices.append(np.fmin.reduce(some, axis=0))
    return words, np.asarray(np.fmin.reduce(np.array(prices), axis=0))
