"""The tables of all layers of a workload, and the rows that they give in a frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dse.cosearch.enumerated import EnumeratedTable
from dse.cosearch.frames import Frame, FrameGroup, HardwareSpace
from dse.cosearch.hull import UpwardPrices, price_rows_in_box
from dse.cosearch.layer_table import LayerTable
from dse.cosearch.pool import Pool
from dse.cosearch.two_tier.pricing import GroupedTable, RowPricer
from dse.cosearch.two_tier.roles import ACCUMULATOR, SCRATCHPAD, Roles, plain_hardware, roles
from dse.cosearch.two_tier.table import TwoTierTable
from dse.domain.architecture import HardwareBatch
from dse.domain.problem import Problem
from dse.errors import ProofError
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.space import Mapspace
from dse.model.arrays import cycles_are_exact
from dse.numeric import Floats, Ints

#: Builds the table of a problem in closed form.
TableOf = Callable[[Problem], TwoTierTable]


@dataclass(frozen=True)
class LayerTables:
    """One table per layer; layers with the same problem share one.

    Attributes:
        layers: the tables.
        leak_pj: what a cycle adds to the energy of every row.
        threads: that price rows at a time, where these are many; results do not depend on it.
    """

    layers: tuple[LayerTable, ...]
    leak_pj: float = 0.0
    threads: int = 1

    @cached_property
    def _grouped(self) -> tuple[GroupedTable, ...]:
        """The tables, where all are in closed form; else none."""
        found = tuple(table for table in self.layers if isinstance(table, GroupedTable))
        return found if len(found) == len(self.layers) else ()

    @property
    def closed_form(self) -> bool:
        """Whether all tables are in closed form, and may be asked for groups of frames."""
        return bool(self._grouped)

    @property
    def classes(self) -> int:
        """How many classes of mappings all tables in closed form hold."""
        return sum(table.class_count for table in set(self._grouped))

    @cached_property
    def _pricer(self) -> RowPricer:
        if not self._grouped:
            raise ProofError("a table without a closed form has no rows of groups")
        return RowPricer(self._grouped, self.threads)

    @classmethod
    def of(
        cls,
        hardware: HardwareSpace,
        version: int,
        limit: int,
        leak_pj: float = 0.0,
        threads: int = 1,
    ) -> LayerTables:
        """Build the tables of a space, of the layers' own sizes.

        Args:
            hardware: with at least one frame.
            version: of Timeloop, as the kernels number it.
            limit: mappings of a layer on one hardware up to which they are enumerated.
            leak_pj: what a cycle adds to the energy of every row.
            threads: tables in closed form that are built, or parts of their rows that are priced,
                at a time; results do not depend on it.
        """
        problems = tuple(dict.fromkeys(layer.problem for layer in hardware.space.workload))
        closed = closed_form(hardware, version, problems)
        made: list[LayerTable]
        if closed is None:
            made = [EnumeratedTable([problem], hardware, version, limit) for problem in problems]
        else:
            with ThreadPoolExecutor(threads) as pool:
                made = list(pool.map(closed, problems))
        return cls.joined(hardware, dict(zip(problems, made, strict=True)), leak_pj, threads)

    @classmethod
    def joined(
        cls,
        hardware: HardwareSpace,
        made: Mapping[Problem, LayerTable],
        leak_pj: float,
        threads: int = 1,
    ) -> LayerTables:
        """Return the tables of a space's layers, given by problem."""
        layers = tuple(made[layer.problem] for layer in hardware.space.workload)
        return cls(layers, leak_pj, threads)

    def pool(self, frame: Frame, index: tuple[Ints, ...] | None) -> Pool:
        """Return the rows of a frame; their needs are places of sizes, not words.

        Args:
            frame: the frame.
            index: numbers of the rows wanted of each table; None: all.
        """
        if self.closed_form:
            found = self._pricer.pool(frame, index)
        else:
            wanted = index if index is not None else [None] * len(self.layers)
            pairs = zip(self.layers, wanted, strict=True)
            found = Pool.of([table.rows(frame, own) for table, own in pairs])
        need = np.empty_like(found.rows.need)
        for v, sizes in enumerate(frame.tables):
            need[:, v] = np.searchsorted(sizes.usable_words, found.rows.need[:, v])
        return Pool(found.first, found.rows.leaking(self.leak_pj, need))

    def group_pool(self, group: FrameGroup, index: tuple[Ints, ...] | None) -> Pool:
        """Return the rows priced no higher than in any frame of a group; their needs are words."""
        found = self._pricer.group_pool(group, index)
        return Pool(found.first, found.rows.leaking(self.leak_pj, found.rows.need))


def closed_form(
    hardware: HardwareSpace, version: int, problems: Iterable[Problem]
) -> TableOf | None:
    """Return what builds tables in closed form; None where a problem has none in some frame."""
    problems = tuple(problems)
    frames = [hardware.frame(i) for i in range(len(hardware.frames))]
    widest = max(frames, key=lambda f: f.architecture.compute.instances)
    if len(widest.architecture.levels) != 4 or not _alike(frames):
        return None
    machines = HardwareBatch.of([f.architecture for f in frames])
    if not all(cycles_are_exact(machines, problem) for problem in problems):
        return None
    space_of = MapspaceCache(hardware.space.template.constraints)
    own = {size.level: v for v, size in enumerate(hardware.sizes)}
    if SCRATCHPAD in own:
        largest = max(int(f.tables[own[SCRATCHPAD]].usable_words[-1]) for f in frames)
    else:
        largest = max(f.architecture.levels[SCRATCHPAD].size_words or 0 for f in frames)
    found = {}
    for problem in problems:
        mapspace = space_of(problem, widest.architecture)
        role = roles(mapspace)
        if role is None or not _one_way(frames, mapspace, role):
            return None
        found[problem] = (mapspace, role)
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


def group_limits(hardware: HardwareSpace, frames: Sequence[Frame]) -> tuple[Floats, Ints]:
    """Return what the sizes of a group of frames allow at best, ``(V,)`` each.

    That is, by size variable, the least price per word of its level, infinite where the chain has
    none, and the most words that it holds.
    """
    price, most = [], []
    for v, size in enumerate(hardware.sizes):
        price.append(
            min(
                float(np.fmin.reduce(f.tables[v].price_pj[:, :3], axis=None, initial=math.inf))
                / f.architecture.levels[size.level].block_size
                for f in frames
            )
        )
        most.append(max(int(f.tables[v].usable_words[-1]) for f in frames))
    return np.array(price, np.float64), np.array(most, np.int64)


def least_energy(frame: Frame, pool: Pool, low: tuple[int, ...], high: tuple[int, ...]) -> Floats:
    """Return the least energy of each row in a box (`price_rows_in_box`)."""
    columns = frame.columns
    parts = [c.price_pj[low[c.size] : high[c.size] + 1] for c in columns]
    # the least price of all sizes from each one up
    upward = [np.fmin.accumulate(part[::-1])[::-1] for part in parts]
    prices = UpwardPrices(
        np.array([c.size for c in columns], np.int64),
        np.cumsum([0, *map(len, upward)])[:-1].astype(np.int64),
        np.concatenate(upward) if upward else np.empty(0),
    )
    rows = pool.rows
    energy = np.empty(len(pool))
    box = np.array(low, np.int64), np.array(high, np.int64)
    price_rows_in_box(rows.base_pj, rows.accesses, rows.need, prices, *box, energy)
    return energy
