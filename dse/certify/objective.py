"""The objectives that can be proven, and the areas that are allowed, read a second time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dse.certify.verdict import NotCoveredError
from dse.goals.limits import Limit
from dse.space.search_space import SearchSpace

#: By objective: whether energy, cycles and area are factors of it.
_FACTORS = {
    "edp": (True, True, False),
    "energy": (True, False, False),
    "delay": (False, True, False),
    "adp": (False, True, True),
    "eadp": (True, True, True),
}
_AREAS = frozenset({"area_um2", "area_mm2"})


@dataclass(frozen=True)
class Product:
    """An objective that is a product, and limits on the area.

    Attributes:
        energy, cycles, area: the factors.
        limits: constraints, on the area only.
        max_area_um2: the template's budget.
    """

    energy: bool
    cycles: bool
    area: bool
    limits: tuple[Limit, ...]
    max_area_um2: float | None

    @classmethod
    def of(cls, space: SearchSpace) -> Product:
        """Return the objective of a space.

        Raises:
            NotCoveredError: it is no product, constraints are on more than the area, or the
                workload holds several networks, over which the mean is geometric.
        """
        name = space.objective.name
        if name not in _FACTORS or space.objective.expression is not None:
            raise NotCoveredError(f"objective = {name}; covered are {', '.join(_FACTORS)}")
        for limit in space.limits:
            if not limit.names <= _AREAS:
                raise NotCoveredError(
                    f"constraint '{limit.source}'; covered are those on the area and on resources"
                )
        if space.workload.networks:
            raise NotCoveredError(f"the mean over several networks ({space.workload.name})")
        return cls(*_FACTORS[name], space.limits, space.template.max_area_um2)

    @property
    def needs_area(self) -> bool:
        """Whether areas decide anything."""
        return self.area or bool(self.limits) or self.max_area_um2 is not None

    def value(self, energy_pj: float, cycles: float, area_um2: float) -> float:
        """Return the objective's value."""
        return (
            (energy_pj if self.energy else 1.0)
            * (cycles if self.cycles else 1.0)
            * (area_um2 if self.area else 1.0)
        )

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
