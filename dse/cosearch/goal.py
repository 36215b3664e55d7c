"""Objectives that the co-search can prove: powers of energy, delay and area."""

from __future__ import annotations

from dataclasses import dataclass

from dse.cosearch.hull import DELAY, ENERGY, PRODUCT
from dse.errors import SpecError
from dse.goals.limits import Limit
from dse.goals.objective import Objective

#: By objective: what of the mappings is minimised, and whether the area multiplies it.
_KINDS = {
    "edp": (PRODUCT, False),
    "energy": (ENERGY, False),
    "delay": (DELAY, False),
    "adp": (DELAY, True),
    "eadp": (PRODUCT, True),
}
_AREAS = frozenset({"area_um2", "area_mm2"})


@dataclass(frozen=True)
class CoSearchGoal:
    """What is minimised, under which limits.

    Attributes:
        mode: of :mod:`dse.cosearch.hull`.
        times_area: whether the area multiplies it.
        limits: on the area.
        max_area_um2: the template's budget.
    """

    objective: Objective
    mode: int
    times_area: bool
    limits: tuple[Limit, ...]
    max_area_um2: float | None

    @classmethod
    def of(
        cls, objective: Objective, limits: tuple[Limit, ...], max_area_um2: float | None
    ) -> CoSearchGoal:
        """Check an objective and limits.

        Raises:
            SpecError: the objective is none of the products, or a limit is not on the area.
        """
        if objective.name not in _KINDS:
            known = ", ".join(_KINDS)
            raise SpecError(
                f"optimizer=optimal: objective = {objective.name}, expected one of {known}"
            )
        for limit in limits:
            if not limit.names <= _AREAS:
                raise SpecError(
                    f"optimizer=optimal: constraint '{limit.source}', expected one on area_um2, "
                    "area_mm2, pes, on_chip_bytes or noc_words_per_cycle"
                )
        mode, times_area = _KINDS[objective.name]
        return cls(objective, mode, times_area, limits, max_area_um2)

    @property
    def needs_area(self) -> bool:
        """Whether areas decide anything."""
        return self.times_area or bool(self.limits) or self.max_area_um2 is not None

    def admits(self, area_um2: float) -> bool:
        """Whether hardware of that area may be built."""
        if self.max_area_um2 is not None and area_um2 > self.max_area_um2:
            return False
        known = {"area_um2": area_um2, "area_mm2": area_um2 * 1e-6}
        return not any(limit.excess(known) for limit in self.limits)

    def excludes_from(self, area_um2: float) -> bool:
        """Whether no area of at least so much may be built."""
        if self.max_area_um2 is not None and area_um2 > self.max_area_um2:
            return True
        known = {"area_um2": area_um2, "area_mm2": area_um2 * 1e-6}
        return any(
            limit.left.source in _AREAS and limit.sign.startswith("<")
            and not limit.right.names and limit.excess(known) > 0
            for limit in self.limits
        )  # fmt: skip

    def factor(self, area_um2: float) -> float:
        """Return what an area contributes to the product."""
        return area_um2 if self.times_area else 1.0
