"""The tables of all layers of a workload, and the rows that they give in a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dse.cosearch.enumerated import EnumeratedTable
from dse.cosearch.frames import Frame, HardwareSpace
from dse.cosearch.layer_table import LayerTable
from dse.cosearch.pool import Pool
from dse.cosearch.two_tier.roles import ACCUMULATOR, SCRATCHPAD, Roles, plain_hardware, roles
from dse.cosearch.two_tier.table import TwoTierTable
from dse.domain.architecture import HardwareBatch
from dse.errors import ProofError
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.space import Mapspace
from dse.model.arrays import cycles_are_exact
from dse.numeric import Floats, Ints


@dataclass(frozen=True)
class LayerTables:
    """One table per layer; layers with the same problem share one.

    Attributes:
        layers: the tables.
        closed_form: whether they are :class:`~dse.cosearch.two_tier.table.TwoTierTable`, which may
            be asked for groups of frames.
        classes: of mappings, in all tables in closed form.
    """

    layers: tuple[LayerTable, ...]
    closed_form: bool
    classes: int

    @classmethod
    def of(cls, hardware: HardwareSpace, version: int, limit: int) -> LayerTables:
        """Build the tables of a space.

        Args:
            hardware: with at least one frame.
            version: of Timeloop, as the kernels number it.
            limit: mappings of a layer on one hardware up to which they are enumerated.
        """
        closed = _closed_form(hardware, version)
        made: dict[object, LayerTable] = {}
        for layer in hardware.space.workload:
            if layer.problem not in made:
                made[layer.problem] = (
                    closed(layer.problem)
                    if closed is not None
                    else EnumeratedTable(layer.problem, hardware, version, limit)
                )
        return cls(
            tuple(made[layer.problem] for layer in hardware.space.workload),
            closed is not None,
            sum(len(t.classes) for t in made.values() if isinstance(t, TwoTierTable)),
        )

    def pool(self, frame: Frame, index: tuple[Ints, ...] | None) -> Pool:
        """Return the rows of a frame; their needs are places of sizes, not words.

        Args:
            frame: the frame.
            index: numbers of the rows wanted of each table; None: all.
        """
        parts = []
        for n, table in enumerate(self.layers):
            rows = table.rows(frame, None if index is None else index[n])
            need = np.empty_like(rows.need)
            for v, sizes in enumerate(frame.tables):
                need[:, v] = np.searchsorted(sizes.usable_words, rows.need[:, v])
            parts.append(replace(rows, need=need))
        pool = Pool.of(parts)
        return pool.ordered(pool.order())

    def group_pool(self, frames: Sequence[Frame], index: tuple[Ints, ...] | None) -> Pool:
        """Return rows priced no higher than in any of these frames; their needs are words."""
        parts = []
        for n, table in enumerate(self.layers):
            if not isinstance(table, TwoTierTable):
                raise ProofError("a table without a closed form has no rows of groups")
            parts.append(table.group_rows(frames, None if index is None else index[n]))
        return Pool.of(parts)


def _closed_form(hardware: HardwareSpace, version: int) -> Callable[..., LayerTable] | None:
    """Return what builds tables in closed form; None where a layer has none in some frame."""
    frames = [hardware.frame(i) for i in range(len(hardware.frames))]
    widest = max(frames, key=lambda f: f.architecture.compute.instances)
    if len(widest.architecture.levels) != 4 or not _alike(frames):
        return None
    machines = HardwareBatch.of([f.architecture for f in frames])
    if not all(cycles_are_exact(machines, layer.problem) for layer in hardware.space.workload):
        return None
    space_of = MapspaceCache(hardware.space.template.constraints)
    own = {size.level: v for v, size in enumerate(hardware.sizes)}
    if SCRATCHPAD in own:
        largest = max(int(f.tables[own[SCRATCHPAD]].usable_words[-1]) for f in frames)
    else:
        largest = max(f.architecture.levels[SCRATCHPAD].size_words or 0 for f in frames)
    found = {}
    for layer in hardware.space.workload:
        mapspace = space_of(layer.problem, widest.architecture)
        role = roles(mapspace)
        if role is None or not _one_way(frames, mapspace, role):
            return None
        found[layer.problem] = (mapspace, role)
    return lambda problem: TwoTierTable(*found[problem], hardware.sizes, version, largest)


def _alike(frames: Sequence[Frame]) -> bool:
    """Whether mappings of all frames obey the same constraints, on plain hardware alike."""
    first = frames[0].architecture
    axes = [[x > 1 for x in first.fanout(s)] for s in range(len(first.levels))]
    return all(
        other.constraints == first.constraints
        and plain_hardware(other)
        and [[x > 1 for x in other.fanout(s)] for s in range(len(first.levels))] == axes
        for other in (frame.architecture for frame in frames)
    )


def _one_way(frames: Sequence[Frame], mapspace: Mapspace, r: Roles) -> bool:
    """Whether the spatial dimensions run along the longer axis on all frames."""
    return all(
        f.architecture.fanout(s)[mapspace.arrays.axis[s, d]] == max(f.architecture.fanout(s))
        for f in frames
        for s, d in ((ACCUMULATOR, r.rows), (SCRATCHPAD, r.columns))
    )


def least_energy(frame: Frame, pool: Pool, low: tuple[int, ...], high: tuple[int, ...]) -> Floats:
    """Return the least energy of each row in a box.

    Where a row is chosen, every size is at least what it needs, so its own accesses cost no less
    than there.
    """
    energy = pool.rows.base_pj.copy()
    for k, column in enumerate(frame.columns):
        v = column.size
        part = column.price_pj[low[v] : high[v] + 1]
        # the least price of all sizes from each one up
        upward = np.fmin.accumulate(part[::-1])[::-1]
        place = np.clip(pool.rows.need[:, v] - low[v], 0, len(upward) - 1)
        energy += pool.rows.accesses[:, k] * upward[place]
    for v, most in enumerate(high):
        energy[pool.rows.need[:, v] > most] = np.inf
    return energy
