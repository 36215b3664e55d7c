"""The objectives that can be proven, and what is allowed, read a second time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dse.certify.borders import border
from dse.certify.choices import Aim, ChoiceTotals
from dse.certify.verdict import NotCoveredError
from dse.domain.linear import linear_form
from dse.goals.limits import Limit
from dse.goals.objective import geometric_mean
from dse.space.search_space import SearchSpace

#: By objective: whether energy, cycles and area are factors of it.
_FACTORS = {
    "edp": (1.0, 1.0, False),
    "energy": (1.0, 0.0, False),
    "delay": (0.0, 1.0, False),
    "adp": (0.0, 1.0, True),
    "eadp": (1.0, 1.0, True),
}
#: What sums may hold: pJ, cycles and um^2 in one unit of it.
_UNITS = {
    "energy_pj": (1.0, 0.0, 0.0),
    "energy_uj": (1e-6, 0.0, 0.0),
    "cycles": (0.0, 1.0, 0.0),
    "area_um2": (0.0, 0.0, 1.0),
    "area_mm2": (0.0, 0.0, 1e-6),
}
_AREAS = frozenset({"area_um2", "area_mm2"})


@dataclass(frozen=True)
class CheckedGoal:
    """An objective that is a product or a weighted sum, and what is allowed.

    Attributes:
        aim: what of it energy and cycles decide, and the limits on them.
        area_factor: whether the area is a factor.
        area_weight: of um^2, what is added.
        limits: all constraints.
        max_area_um2: the template's budget.
        clock_ns: period of the clock; None: it is not known.
    """

    aim: Aim
    area_factor: bool
    area_weight: float
    limits: tuple[Limit, ...]
    max_area_um2: float | None
    clock_ns: float | None

    @classmethod
    def of(cls, space: SearchSpace) -> CheckedGoal:
        """Return the objective of a space.

        Raises:
            NotCoveredError: it is neither a product nor a weighted sum, or constraints are neither
                on the area nor half-planes of energy and cycles, or such ones are on the sums over
                several networks.
        """
        clock = space.template.clock_ns
        on_mappings = [limit for limit in space.limits if not limit.names <= _AREAS]
        borders = tuple(border(limit, clock) for limit in on_mappings)
        if borders and space.workload.networks:
            raise NotCoveredError(
                f"constraint '{borders[0].source}' on several networks ({space.workload.name})"
            )
        rest = space.limits, space.template.max_area_um2, clock
        name, expression = space.objective.name, space.objective.expression
        if expression is None and name in _FACTORS:
            energy, cycles, area = _FACTORS[name]
            return cls(Aim(energy, cycles, bool(energy and cycles), borders), area, 0.0, *rest)
        form = {"area_um2": 1.0} if name == "area" else None
        if expression is not None:
            form = linear_form(expression)
        if not form or not form.keys() <= _UNITS.keys() or min(form.values()) < 0.0:
            raise NotCoveredError(
                f"objective = {name}; covered are {', '.join(_FACTORS)}, and sums of energy, "
                "cycles and area with weights of 0 or more"
            )
        parts = [[weight * unit for unit in _UNITS[key]] for key, weight in form.items()]
        energy, cycles, area_weight = (math.fsum(column) for column in zip(*parts, strict=True))
        return cls(Aim(energy, cycles, False, borders), False, area_weight, *rest)

    @property
    def needs_area(self) -> bool:
        """Whether areas decide anything."""
        weighed = self.area_factor or self.area_weight > 0.0
        limited = any(not limit.names.isdisjoint(_AREAS) for limit in self.limits)
        return weighed or limited or self.max_area_um2 is not None

    def value(self, networks: Sequence[ChoiceTotals], area_um2: float) -> float:
        """Return the objective's value of a choice for each network."""
        return self.mean([self.with_area(self.aim.worth(totals), area_um2) for totals in networks])

    @staticmethod
    def mean(values: Sequence[float]) -> float:
        """Return the objective over networks: the geometric mean, 0 where a value is."""
        if len(values) == 1:
            return values[0]
        return geometric_mean(values) if min(values) > 0.0 else 0.0

    def with_area(self, worth: float, area_um2: float) -> float:
        """Return the objective of what energy and cycles come to."""
        return worth * (area_um2 if self.area_factor else 1.0) + self.area_weight * area_um2

    def without_area(self, value: float, area_um2: float) -> float:
        """Return what energy and cycles come to where the objective has a value."""
        left = value - self.area_weight * area_um2 if self.area_weight else value
        if self.area_factor:
            return left / area_um2 if area_um2 > 0.0 else math.inf
        return left

    def allows(self, area_um2: float) -> bool:
        """Whether hardware of that area may be built."""
        if self.max_area_um2 is not None and area_um2 > self.max_area_um2:
            return False
        known = {"area_um2": area_um2, "area_mm2": area_um2 * 1e-6}
        return not any(limit.excess(known) for limit in self.limits if limit.names <= _AREAS)

    def meets(self, totals: ChoiceTotals) -> bool:
        """Whether a choice meets the limits on energy and cycles to the last digit."""
        energy, cycles = totals
        known = {"energy_pj": energy, "energy_uj": energy * 1e-6, "cycles": cycles}
        if self.clock_ns is not None:
            ns = cycles * self.clock_ns
            known |= {"delay_ns": ns, "seconds": ns * 1e-9, "power_w": energy / ns * 1e-3}
        return not any(limit.excess(known) for limit in self.limits if not limit.names <= _AREAS)

    def forbids_from(self, area_um2: float) -> bool:
        """Whether nothing of at least that area may be built; False where that is not plain."""
        if math.isinf(area_um2) or (self.max_area_um2 is not None and area_um2 > self.max_area_um2):
            return True
        known = {"area_um2": area_um2, "area_mm2": area_um2 * 1e-6}
        return any(
            limit.left.source in _AREAS
            and limit.sign.startswith("<")
            and not limit.right.names
            and limit.excess(known) > 0
            for limit in self.limits
        )
