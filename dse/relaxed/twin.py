"""The differentiable twin: energy and cycles of relaxed mappings, with gradients."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.goals.meter import Meter
from dse.model import arrays as a
from dse.numeric import Floats, Ints
from dse.relaxed.cost import CostArrays, evaluate_points
from dse.relaxed.fit import Used, measure_points, share_points
from dse.relaxed.points import Points
from dse.relaxed.prices import PriceList
from dse.relaxed.structure import structure_of
from dse.relaxed.work import Work, new_work


@dataclass(frozen=True, eq=False)
class Cost:
    """Energy and cycles of B points, and their derivatives **by the logarithms** of factors.

    Divide by the factors for the derivatives by the factors themselves. Where a factor is below
    1 it counts as 1 and has none. All gradients are ``(0, ...)`` where none were asked for.

    Attributes:
        energy_pj, cycles: ``(B,)``; of one run of the layer.
        energy_temporal, energy_spatial: ``(B, L, D)`` d energy / d log factor.
        cycles_temporal, cycles_spatial: ``(B, L, D)`` d cycles / d log factor.
        energy_price: ``(B, L + 1, 5)`` d energy / d price by the first columns of the price
            list (`dse.relaxed.prices`): accesses and leaking cycles; ``[L, MAC]``: MACs.
        bound_level: ``(B,)`` the level whose bandwidth binds the cycles; -1: none does.
        bound_kind: ``(B,)`` the column of that bandwidth in the price list; -1: none.
    """

    energy_pj: Floats
    cycles: Floats
    energy_temporal: Floats
    energy_spatial: Floats
    cycles_temporal: Floats
    cycles_spatial: Floats
    energy_price: Floats
    bound_level: Ints
    bound_kind: Ints

    @property
    def edp(self) -> Floats:
        """Energy-delay product of each point in pJ x cycle, ``(B,)``."""
        return self.energy_pj * self.cycles


class Twin:
    """Prices relaxed mappings of a list of problems.

    At whole factors the numbers are the exact model's, but for what ``docs/differentiable.md``
    lists: last accesses that fill no block, rounding of counts, link transfers, network energies.
    Whether tiles fit is not its business: see :class:`~dse.relaxed.sizing.Sizing`.

    Args:
        problems: what points may map; their ``problem`` indexes this list.
        levels: storage levels of the hardware.
        timeloop_version: as for the native model.
        meter: charged with every point that is priced; None outside of a study.

    Raises:
        SpecError: a problem has a projection that the twin does not know.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        levels: int,
        timeloop_version: str,
        meter: Meter | None,
    ) -> None:
        self.problems = tuple(problems)
        self.levels = levels
        self.timeloop_version = timeloop_version
        self._meter = meter
        self._version = a.version_number(timeloop_version)
        self._structure = structure_of(problems)
        _, tensors, ranks, dimensions = self._structure.projection.shape
        self._shape = (levels, dimensions, tensors, ranks)
        self._local = threading.local()

    def points(self, mappings: Sequence[Mapping], problem: Sequence[int]) -> Points:
        """Relax mappings; ``problem`` says for each which problem it maps."""
        return Points.of(mappings, problem, self.problems)

    def cost(
        self,
        points: Points,
        prices: PriceList,
        hardware: Ints | None = None,
        *,
        gradient: bool = True,
    ) -> Cost:
        """Evaluate B points.

        Args:
            points: relaxed mappings.
            prices: ``(H, L + 1, 11)`` of H pieces of hardware, as `dse.relaxed.prices` has them.
            hardware: ``(B,)`` which hardware each point runs on; None: the first.
            gradient: whether derivatives are wanted, too.

        Raises:
            ValueError: the meter's budget does not allow B more evaluations.
        """
        if self._meter is not None:
            self._meter.charge(len(points.problem))
        count = len(points.problem)
        index = np.zeros(count, np.int64) if hardware is None else np.asarray(hardware, np.int64)
        levels, dimensions = self._shape[:2]
        wanted = count if gradient else 0
        shape = (wanted, levels, dimensions)
        out = CostArrays(
            np.empty(count),
            np.empty(count),
            np.empty(shape),
            np.empty(shape),
            np.empty(shape),
            np.empty(shape),
            np.empty((wanted, levels + 1, 5)),
            np.empty(count, np.int64),
            np.empty(count, np.int64),
        )
        evaluate_points(
            self._work(), self._structure, points, np.ascontiguousarray(prices, np.float64),
            index, 0, count, self._version, out, np.empty((levels + 1, 5)),
        )  # fmt: skip
        return Cost(*out)

    def used(self, points: Points) -> Used:
        """Return what B points need of each level: words, and fan-out along X and Y."""
        count = len(points.problem)
        made = Used(*(np.empty((count, self.levels)) for _ in range(3)))
        measure_points(self._work(), self._structure, points, 0, count, made)
        return made

    def share_used(self, points: Points, shares: Used) -> tuple[Floats, Floats]:
        """Pass derivatives by the logarithms of :meth:`used` on to those of the factors.

        Args:
            points: B relaxed mappings.
            shares: ``(B, L)`` each: d goal / d log of words, fan-out along X and along Y.

        Returns:
            d goal / d log temporal and spatial factors, ``(B, L, D)`` each.
        """
        temporal, spatial = np.zeros(points.temporal.shape), np.zeros(points.spatial.shape)
        share_points(self._work(), self._structure, points, shares, temporal, spatial)
        return temporal, spatial

    def _work(self) -> Work:
        """Return this thread's scratch."""
        known: Work | None = getattr(self._local, "work", None)
        if known is None:
            known = new_work(*self._shape)
            self._local.work = known
        return known
