"""Exact co-search over layers that may be padded.

First the best design of the layers' own sizes is found and proven; then the space is gone through
again, with every size that a layer may have. Tables in closed form are built one size at a time,
and of each only those classes are kept that some choice better than the best design of the own
sizes may hold, on the most generous hardware: mostly a few in a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dse.cosearch.enumerated import EnumeratedTable
from dse.cosearch.frames import FrameGroup, HardwareSpace
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.hull import LayerPoints, Supports, find_supports, mark_useful, new_supports
from dse.cosearch.incumbents import Incumbent
from dse.cosearch.joint import around
from dse.cosearch.pool import Pool
from dse.cosearch.search import CoSearch
from dse.cosearch.settle import Settler
from dse.cosearch.sizes import UnsolvableSpace
from dse.cosearch.tables import LayerTables, TableOf, closed_form, group_limits
from dse.cosearch.two_tier.table import TwoTierTable
from dse.cosearch.two_tier.union import TwoTierUnion
from dse.domain.problem import Problem
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.padding import Alternatives, common_alternatives
from dse.numeric import Floats, Ints
from dse.space.search_space import SearchSpace
from dse.space.variable import Values


class _ClassPoints(NamedTuple):
    """The classes of one size of a layer at their best, on any hardware."""

    energy: Floats
    cycles: Floats


class PaddedCoSearch(CoSearch):
    """See the module; until all sizes are looked at, the bound is 0.

    Attributes:
        sizes: what each of the layers' problems may be padded to; empty before these are looked at.
    """

    def __init__(
        self, space: SearchSpace, goal: CoSearchGoal, limit: int, threads: int = 1
    ) -> None:
        super().__init__(space, goal, limit, threads)
        if goal.planes or space.workload.networks:
            raise UnsolvableSpace(
                f"padding={space.padding.text} with limits on mappings, or for several networks"
            )
        self._own = self.tables
        self.sizes: dict[Problem, Alternatives] = {}

    @property
    def sizes_text(self) -> str:
        """See :attr:`dse.cosearch.search.CoSearch.sizes_text`."""
        setting = f"padding={self.hardware.space.padding.text}"
        if not self.sizes:
            return f"{setting}: none was looked at"
        tried = max(len(one.problems) for one in self.sizes.values())
        known = max(one.known for one in self.sizes.values())
        if all(len(one.problems) == one.known for one in self.sizes.values()):
            return f"{setting}: all useful combinations of each layer's sizes, {known:,} at most"
        return (
            f"{setting}: the {tried} most promising useful combinations of each layer's sizes, of "
            f"up to {known:,}"
        )

    def run(self) -> Iterator[None]:
        """See :meth:`dse.cosearch.search.CoSearch.run`."""
        for _ in super().run():
            self.bound = 0.0
            yield
        self.sizes = _sizes(self.hardware)
        problems = dict.fromkeys(p for one in self.sizes.values() for p in one.problems)
        if len(problems) == len(self.sizes):
            return
        closed = closed_form(self.hardware, self._version, problems)
        if closed is not None and self.incumbent is None:
            return  # tiles of one element are of every size: what cannot run those runs none
        self.bound, self.finished, self._open = 0.0, False, math.inf
        if closed is None:
            self.tables = LayerTables.joined(
                self.hardware,
                {
                    problem: EnumeratedTable(
                        one.problems, self.hardware, self._version, self._limit
                    )
                    for problem, one in self.sizes.items()
                },
                self.goal.leak_pj,
            )
        else:
            yield from self._reduced(closed)
        self._settler.use(self.tables)
        yield from super().run()

    def own_sizes_on(self, values: Values) -> Incumbent | None:
        """Return the best design of the layers' own sizes on one hardware; None: there is none."""
        sized = {size.variable.name: size.variable for size in self.hardware.sizes}
        point = tuple(variable.index_of(values[name]) for name, variable in sized.items())
        number = self.hardware.frames.index(
            {name: value for name, value in values.items() if name not in sized}
        )
        settler = Settler(self.hardware.space, self.goal, self.hardware, self._own)
        settler.settle(number, point, self._own.pool(self.hardware.frame(number), None))
        return settler.incumbent

    def _reduced(self, closed: TableOf) -> Iterator[None]:
        """Build tables in closed form, without what is no part of anything better."""
        incumbent, layers = self.incumbent, self.hardware.space.workload.layers
        if incumbent is None:
            raise ValueError("there is nothing to be better than")
        known = incumbent.metrics
        supports = new_supports(len(layers), around(known.energy_pj / known.cycles))
        least: dict[Problem, Floats] = {}
        for problem, one in self.sizes.items():
            parts = [self._least(closed(size), supports.multiplier) for size in one.problems]
            least[problem] = np.min(parts, axis=0)
            yield
        supports.least[:] = [least[layer.problem] for layer in layers]
        supports.total[:] = self._choices.weight @ supports.least
        made = {}
        for problem, one in self.sizes.items():
            own = [n for n, layer in enumerate(layers) if layer.problem == problem]
            kept = [self._useful(closed(size), own, supports) for size in one.problems]
            made[problem] = TwoTierUnion([x for x in kept if x.class_count] or kept[:1])
            yield
        self.tables = LayerTables.joined(self.hardware, made, self.goal.leak_pj, self._threads)

    @cached_property
    def _all(self) -> FrameGroup:
        numbers = range(len(self.hardware.frames))
        return FrameGroup(tuple(self.hardware.frame(i) for i in numbers))

    @cached_property
    def _limits(self) -> tuple[Floats, Ints]:
        return group_limits(self.hardware, self._all.frames)

    def _points(self, table: TwoTierTable) -> _ClassPoints:
        rows = table.group_rows(self._all)
        pool = Pool.of([rows.leaking(self.goal.leak_pj, rows.need)])
        return _ClassPoints(pool.energy(*self._limits), pool.rows.cycles)

    def _least(self, table: TwoTierTable, multiplier: Floats) -> Floats:
        """Return the supports of one size of a layer."""
        points = self._points(table)
        found = new_supports(1, multiplier)
        find_supports(_alone(points, 1.0), found)
        least: Floats = found.least[0]
        return least

    def _useful(self, table: TwoTierTable, layers: Iterable[int], s: Supports) -> TwoTierTable:
        """Return the classes that some choice better than the incumbent may hold."""
        area = min(f.least_area() for f in self._all.frames) if self.goal.needs_area else 0.0
        below = self.goal.without_area(self._settler.cutoff, area)
        points = self._points(table)
        useful, marked = (np.zeros(table.class_count, np.bool_) for _ in range(2))
        for n in layers:
            own = Supports(s.multiplier, s.least[n : n + 1], s.best[n : n + 1], s.total)
            alone = _alone(points, self._choices.weight[n])
            mark_useful(alone, own, self.goal.mode, below, marked)
            useful |= marked
        return table.restricted(np.flatnonzero(useful))


def _alone(points: _ClassPoints, weight: float) -> LayerPoints:
    """Return the points of one layer that runs so often."""
    first = np.array([0, len(points.energy)], np.int64)
    return LayerPoints(first, np.array([weight]), points.energy, points.cycles)


def _sizes(hardware: HardwareSpace) -> dict[Problem, Alternatives]:
    """Return what each of the layers' problems may be padded to, on whatever hardware."""
    space = hardware.space
    space_of = MapspaceCache(space.template.constraints)
    machines = [hardware.frame(i).architecture for i in range(len(hardware.frames))]
    if not machines:
        return {}
    metric = space.objective.mapping_metric
    return {
        problem: common_alternatives(
            [space_of(problem, machine) for machine in machines], space.padding, metric
        )
        for problem in dict.fromkeys(layer.problem for layer in space.workload)
    }
