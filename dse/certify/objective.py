"""The objectives that can be proven, and the areas that are allowed, read a second time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dse.certify.verdict import NotCoveredError
from dse.domain.linear import linear_form
from dse.goals.limits import Limit
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
    """An objective that is a product or a weighted sum, and limits on the area.

    Attributes:
        energy, cycles: weights, of pJ and cycles; of a product 1 where it has that factor, else 0.
        multiplied: whether energy and cycles are multiplied.
        area_factor: whether the area is a factor.
        area_weight: of um^2, what is added.
        limits: constraints, on the area only.
        max_area_um2: the template's budget.
    """

    energy: float
    cycles: float
    multiplied: bool
    area_factor: bool
    area_weight: float
    limits: tuple[Limit, ...]
    max_area_um2: float | None

    @classmethod
    def of(cls, space: SearchSpace) -> CheckedGoal:
        """Return the objective of a space.

        Raises:
            NotCoveredError: it is neither a product nor a weighted sum, constraints are on more
                than the area, or the workload holds several networks, over which the mean is
                geometric.
        """
        for limit in space.limits:
            if not limit.names <= _AREAS:
                raise NotCoveredError(
                    f"constraint '{limit.source}'; covered are those on the area and on resources"
                )
        if space.workload.networks:
            raise NotCoveredError(f"the mean over several networks ({space.workload.name})")
        limits, most = space.limits, space.template.max_area_um2
        name, expression = space.objective.name, space.objective.expression
        if expression is None and name in _FACTORS:
            energy, cycles, area = _FACTORS[name]
            return cls(energy, cycles, bool(energy and cycles), area, 0.0, limits, most)
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
        return cls(energy, cycles, False, False, area_weight, limits, most)

    @property
    def needs_area(self) -> bool:
        """Whether areas decide anything."""
        weighed = self.area_factor or self.area_weight > 0.0
        return weighed or bool(self.limits) or self.max_area_um2 is not None

    def value(self, energy_pj: float, cycles: float, area_um2: float) -> float:
        """Return the objective's value."""
        if self.multiplied:
            value = energy_pj * cycles
        else:
            value = self.energy * energy_pj + self.cycles * cycles
        return value * (area_um2 if self.area_factor else 1.0) + self.area_weight * area_um2

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
        return not any(limit.excess(known) for limit in self.limits)

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
