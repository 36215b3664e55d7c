"""What all networks of a workload come to on some hardware: whether anything is below a claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dse.certify.choices import Choices, ChoiceTotals, Floats, Ints, Line
from dse.certify.limited import choices_below
from dse.certify.needed import needed
from dse.certify.objective import CheckedGoal
from dse.certify.verdict import NotCoveredError
from dse.domain.problem import Workload

Flags = npt.NDArray[np.bool_]


class NetworkPoints:
    """Points of all layers, by network; of single hardware all that there are, at their true cost.

    Args:
        workload: whose layers they are.
        goal: what is minimised.
        first: ``(N + 1,)`` where each layer's points start.
        energy, cycles: of the points; finite.
    """

    def __init__(
        self, workload: Workload, goal: CheckedGoal, first: Ints, energy: Floats, cycles: Floats
    ) -> None:
        self._goal = goal
        self._weight = np.array([layer.count for layer in workload], np.float64)
        self._first, self._energy, self._cycles = first, energy, cycles
        ends = np.cumsum([0, *map(len, workload.networks or (workload,))]).tolist()
        self._networks = [
            Choices(self._weight[a:b], first[a : b + 1], energy, cycles) for a, b in pairwise(ends)
        ]

    def may_be_below(self, claim: float, area_um2: float) -> bool:
        """Whether something below the claim may be among them, with that area."""
        goal = self._goal
        if len(self._networks) > 1:
            return self._least(area_um2) < claim
        worth = goal.without_area(claim, area_um2)
        if goal.aim.borders:
            return bool(self._networks[0].within(worth, goal.aim))
        return self._networks[0].below(worth, goal.aim) is not None

    def needed(self, claim: float, area_um2: float) -> Flags:
        """Return which points something below the claim may hold, ``(R,)``; all, of networks.

        Args:
            claim: above all that is looked for.
            area_um2: of the hardware, at least.
        """
        if len(self._networks) > 1:
            return np.ones(len(self._energy), np.bool_)
        worth = self._goal.without_area(claim, area_um2)
        parts = self._weight, self._first, self._energy, self._cycles
        return needed(worth, self._goal.aim, *parts)

    def below(self, claim: float, area_um2: float) -> list[ChoiceTotals]:
        """Return a choice for each network of single hardware that is below the claim; or none.

        Raises:
            NotCoveredError: limits leave it open.
        """
        goal = self._goal
        worth = goal.without_area(claim, area_um2)
        if goal.aim.borders:
            lines = self._networks[0].within(worth, goal.aim)
            return self._limited(worth, lines) if lines else []
        if len(self._networks) == 1:
            found = self._networks[0].below(worth, goal.aim)
            return [] if found is None else [found]
        if self._least(area_um2) >= claim:
            return []
        return [network.best(goal.aim) for network in self._networks]

    def _least(self, area_um2: float) -> float:
        """Return the least geometric mean over networks, each served best by itself.

        Infinite: a layer has no mapping.
        """
        goal = self._goal
        if any(network.is_empty for network in self._networks):
            return math.inf
        least = [network.least(goal.aim) for network in self._networks]
        return goal.mean([goal.with_area(worth, area_um2) for worth in least])

    def _limited(self, claim: float, lines: Sequence[Line]) -> list[ChoiceTotals]:
        aim = self._goal.aim
        for line in lines:
            if aim.worth(line.touching) < claim and self._goal.meets(line.touching):
                return [line.touching]
        slower = next((b for b in aim.borders if not b.is_upper), None)
        if slower is not None:
            raise NotCoveredError(
                f"constraint '{slower.source}', which slower mappings meet, beyond what lines tell"
            )
        layers = [
            (weight * self._energy[a:b], weight * self._cycles[a:b])
            for weight, (a, b) in zip(self._weight, pairwise(self._first.tolist()), strict=True)
        ]
        found = list(choices_below(claim, aim, layers, lines))
        for totals in found:
            if self._goal.meets(totals):
                return [totals]
        if found:
            raise NotCoveredError(
                f"a choice of {found[0].energy!r} pJ and {found[0].cycles!r} cycles, within "
                "rounding of a limit"
            )
        return []
