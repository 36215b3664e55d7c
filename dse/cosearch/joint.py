"""Choices of one mapping per layer for all networks of a workload: bounds, and the best of them.

Networks share the hardware and nothing else, so on given hardware each is served best by itself;
the objective over several is the geometric mean of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.hull import (
    LayerPoints,
    Supports,
    find_supports,
    hull_path,
    mark_useful,
    new_supports,
    polygon_minimum,
)
from dse.cosearch.polygon import least_above, least_corner
from dse.domain.problem import Workload
from dse.goals.design import DesignMetrics
from dse.numeric import Floats, Ints

#: Multipliers of cycles around a ratio of energy over cycles, for the supports.
_AROUND = (0.6, 0.8, 0.9, 0.96, 0.99, 1.0, 1.01, 1.04, 1.1, 1.25, 1.6)
_SPREAD = np.array([1 / 256, 1 / 32, 1 / 8, 1 / 3, *_AROUND, 3.0, 8.0, 32.0, 256.0])


class Joint(NamedTuple):
    """A choice.

    Attributes:
        value: of the objective; infinite where no corner of the hulls meets the limits.
        bound: no choice has a lower one.
        points: ``(N,)`` of every layer.
    """

    value: float
    bound: float
    points: Ints


class JointChoices:
    """Chooses.

    Args:
        workload: the layers, of one network or several.
        goal: what is minimised, as rows have it (:attr:`CoSearchGoal.of_rows`).
    """

    def __init__(self, workload: Workload, goal: CoSearchGoal) -> None:
        self.goal = goal
        self.weight = np.array([layer.count for layer in workload], np.float64)
        ends = np.cumsum([0, *(len(n) for n in workload.networks or (workload,))]).tolist()
        self.networks = [slice(a, b) for a, b in pairwise(ends)]

    def points(self, first: Ints, energy: Floats, cycles: Floats) -> list[LayerPoints]:
        """Return the points of each network.

        Args:
            first: ``(N + 1,)`` where those of each layer start.
            energy: of all.
            cycles: of all, those of a layer by growing cycles.
        """
        return [
            LayerPoints(first[n.start : n.stop + 1], self.weight[n], energy, cycles)
            for n in self.networks
        ]

    def supports(
        self, points: Sequence[LayerPoints], known: DesignMetrics | None
    ) -> list[Supports]:
        """Return supports of each network around a design, or around what is usual."""
        found = []
        for n, own in enumerate(points):
            if known is not None:
                part = known.networks[n] if known.networks else known
                multiplier = around(part.energy_pj / part.cycles)
            else:
                some = own.energy[np.isfinite(own.energy)]
                multiplier = around(some.mean() / own.cycles.mean() if len(some) else 1.0)
            one = new_supports(len(own.weight), multiplier)
            find_supports(own, one)
            found.append(one)
        return found

    def bound(self, supports: Sequence[Supports], area_um2: float) -> float:
        """Return the least value that supports allow; infinite where a layer has no mapping."""
        if any(math.isinf(one.total[0]) for one in supports):
            return math.inf
        return self.goal.mean([self.goal.with_area(self._least(s), area_um2) for s in supports])

    def _least(self, supports: Supports) -> float:
        if not self.goal.planes:
            return float(polygon_minimum(supports, self.goal.mode))
        multipliers = [*supports.multiplier.tolist(), math.inf]
        lines = dict(zip(multipliers, supports.total.tolist(), strict=True))
        return least_corner(lines, self.goal).value

    def useful(
        self,
        points: Sequence[LayerPoints],
        supports: Sequence[Supports],
        area_um2: float,
        below: float,
    ) -> npt.NDArray[np.bool_]:
        """Return which points some choice with a value below one may hold."""
        goal = self.goal
        found = np.ones(len(points[0].energy), np.bool_)
        least = [goal.with_area(self._least(one), area_um2) for one in supports]
        for n, (own, one) in enumerate(zip(points, supports, strict=True)):
            limit = below
            if len(points) > 1:
                others = math.fsum(
                    math.log(x) if x > 0.0 else -math.inf for x in _without(least, n)
                )
                logs = len(points) * math.log(below) - others if math.isfinite(below) else math.inf
                limit = math.exp(logs) * (1.0 + 1e-12) if logs < 700.0 else math.inf
            most = goal.without_area(limit, area_um2)
            if math.isfinite(most):
                mark_useful(own, one, goal.mode, most, found)
        return found

    def best(self, points: Sequence[LayerPoints], area_um2: float) -> Joint | None:
        """Return the best choice on the hulls; None where a layer has no point."""
        goal = self.goal
        values, bounds, chosen = [], [], []
        for own in points:
            path = hull_path(own)
            if path is None:
                return None
            worth = goal.of_mappings(path.energy, path.cycles)
            at = int(np.argmin(worth))
            least = float(worth[at])
            if goal.planes:
                if math.isinf(least):
                    at = int(np.argmin(goal.missed(path.energy, path.cycles)))
                bounds.append(least_above(path.energy, path.cycles, goal))
            else:
                bounds.append(least)
            values.append(least)
            chosen.append(path.points(at))
        value, bound = (
            goal.mean([goal.with_area(one, area_um2) for one in each]) for each in (values, bounds)
        )
        return Joint(value, bound, np.concatenate(chosen))

    def rough(
        self, points: Sequence[LayerPoints], supports: Sequence[Supports], area_um2: float
    ) -> Joint:
        """Return the best of the choices that supports stand for."""
        values, chosen = [], []
        for own, one in zip(points, supports, strict=True):
            energy = own.weight @ own.energy[one.best]
            cycles = own.weight @ own.cycles[one.best]
            worth = self.goal.of_mappings(energy, cycles)
            at = int(np.argmin(worth))
            if math.isinf(worth[at]):
                at = int(np.argmin(self.goal.missed(energy, cycles)))
            values.append(float(worth[at]))
            chosen.append(one.best[:, at])
        value = self.goal.mean([self.goal.with_area(x, area_um2) for x in values])
        return Joint(value, self.bound(supports, area_um2), np.concatenate(chosen))


def around(ratio: float) -> Floats:
    """Return multipliers of cycles around energy over cycles, ``(K,)``, growing from 0."""
    return np.concatenate([[0.0], float(ratio) * _SPREAD])


def _without(values: Sequence[float], place: int) -> list[float]:
    return [*values[:place], *values[place + 1 :]]
