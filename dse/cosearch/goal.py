"""Objectives that the co-search can prove, and limits: what they say of energy, cycles and area.

Three forms: products of energy, cycles and area; weighted sums of them; the geometric mean of
either over several networks. Limits on what mappings decide are half-planes of energy and cycles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dse.cosearch.half_planes import OF_MAPPINGS, HalfPlane, half_plane
from dse.cosearch.hull import DELAY, ENERGY, PRODUCT
from dse.domain.linear import linear_form
from dse.errors import SpecError
from dse.goals import metric_names
from dse.goals.design import DesignMetrics
from dse.goals.limits import Limit
from dse.goals.objective import Objective, geometric_mean
from dse.numeric import Floats

#: By objective: what of the mappings is minimised, and whether the area multiplies it.
_KINDS = {
    "edp": (PRODUCT, False),
    "energy": (ENERGY, False),
    "delay": (DELAY, False),
    "adp": (DELAY, True),
    "eadp": (PRODUCT, True),
}
#: Areas, in um^2.
_AREAS = {"area_um2": 1.0, "area_mm2": 1e-6}
#: What a weighted sum may hold, as multiples of energy in pJ, cycles and area in um^2.
_WEIGHTED = {name: (*of, 0.0) for name, of in OF_MAPPINGS.items()} | {
    name: (0.0, 0.0, unit) for name, unit in _AREAS.items()
}


@dataclass(frozen=True)
class CoSearchGoal:
    """What is minimised, under which limits.

    The objective is ``scale`` x (what ``mode`` says of the mappings) (x area), plus ``area_weight``
    x area.

    Attributes:
        mode: of :mod:`dse.cosearch.hull`: energy x cycles, energy, cycles.
        leak_pj: what a cycle adds to the energy that is minimised.
        times_area: whether the area multiplies it.
        scale, area_weight: see above.
        limits: on metrics, those on the area too.
        planes: what the limits say of energy and cycles.
        max_area_um2: the template's budget.
    """

    objective: Objective
    mode: int
    leak_pj: float
    times_area: bool
    scale: float
    area_weight: float
    limits: tuple[Limit, ...]
    planes: tuple[HalfPlane, ...]
    max_area_um2: float | None

    @classmethod
    def of(
        cls,
        objective: Objective,
        limits: tuple[Limit, ...],
        max_area_um2: float | None,
        clock_ns: float | None = None,
    ) -> CoSearchGoal:
        """Check an objective and limits.

        Args:
            objective: what is minimised.
            limits: constraints.
            max_area_um2: the template's budget.
            clock_ns: period of the clock, where it is the same of all hardware.

        Raises:
            SpecError: the objective is none of the forms, or a limit is neither on the area nor a
                half-plane of energy and cycles.
        """
        planes = tuple(
            half_plane(limit, clock_ns) for limit in limits if not limit.names <= _AREAS.keys()
        )
        if objective.name in _KINDS and objective.expression is None:
            mode, times_area = _KINDS[objective.name]
            return cls(objective, mode, 0.0, times_area, 1.0, 0.0, limits, planes, max_area_um2)
        energy, cycles, area = _weights(objective)
        mode, leak_pj, scale = ENERGY, 0.0, energy
        if energy > 0.0:
            leak_pj = cycles / energy
        elif cycles > 0.0:
            mode, scale = DELAY, cycles
        return cls(objective, mode, leak_pj, False, scale, area, limits, planes, max_area_um2)

    @property
    def needs_area(self) -> bool:
        """Whether areas decide anything."""
        limited = self.max_area_um2 is not None
        limited |= any(not limit.names.isdisjoint(_AREAS.keys()) for limit in self.limits)
        return limited or self.times_area or self.area_weight > 0.0

    @property
    def is_whole(self) -> bool:
        """Whether values are sums of whole numbers, which floats hold exactly."""
        plain = self.scale == 1.0 and not self.times_area and not self.area_weight
        return self.mode == DELAY and plain

    @property
    def needed(self) -> tuple[float, ...]:
        """The multipliers of cycles without which nothing is bounded, in the order of asking."""
        own = {PRODUCT: (), ENERGY: (self.leak_pj,), DELAY: (math.inf,)}[self.mode]
        both = (math.inf, 0.0) if self.mode == PRODUCT or self.planes else ()
        return tuple(dict.fromkeys((*both, *own)))

    def unlimited(self, energy: Floats, cycles: Floats) -> Floats:
        """Return the part that mappings decide, ``(B,)``, whatever the limits say."""
        if self.mode == PRODUCT:
            return energy * cycles
        if self.mode == DELAY:
            return np.asarray(cycles, np.float64)
        return energy + self.leak_pj * cycles if self.leak_pj else energy

    @property
    def settles_limits(self) -> bool:
        """Whether there are limits on mappings, which less energy and fewer cycles always meet."""
        return bool(self.planes) and all(plane.is_upper for plane in self.planes)

    @property
    def of_rows(self) -> CoSearchGoal:
        """The same of energies that hold ``leak_pj`` of every cycle."""
        if not self.leak_pj:
            return self
        planes = tuple(
            replace(plane, cycles=plane.cycles - plane.energy * self.leak_pj)
            for plane in self.planes
        )
        return replace(self, leak_pj=0.0, planes=planes)

    def of_mappings(self, energy: Floats, cycles: Floats) -> Floats:
        """Return the part that mappings decide, ``(B,)``; infinite where a limit is missed."""
        value = self.unlimited(energy, cycles)
        for plane in self.planes:
            value = np.where(plane.excess(energy, cycles) > 0.0, np.inf, value)
        return value

    def with_area(self, of_mappings: float, area_um2: float) -> float:
        """Return the objective, of the part that mappings decide and the area."""
        value = self.scale * of_mappings * (area_um2 if self.times_area else 1.0)
        return value + self.area_weight * area_um2 if self.area_weight else value

    def without_area(self, value: float, area_um2: float) -> float:
        """Return which part mappings decide where the objective comes to a value."""
        left = value - self.area_weight * area_um2 if self.area_weight else value
        scale = self.scale * (area_um2 if self.times_area else 1.0)
        if scale > 0.0:
            return left / scale
        return math.inf if left > 0.0 else 0.0

    @staticmethod
    def mean(values: Sequence[float]) -> float:
        """Return the objective over several networks, the geometric mean, as in `Objective`."""
        if len(values) == 1:
            return values[0]
        if min(values) <= 0.0:
            return 0.0
        return geometric_mean(values)

    def missed(self, energy: Floats, cycles: Floats) -> Floats:
        """Return by how much points miss the limits, ``(B,)``, relative to their bounds."""
        parts = [
            np.maximum(plane.excess(energy, cycles), 0.0) / max(abs(plane.most), 1e-300)
            for plane in self.planes
        ]
        return np.sum(parts, axis=0) if parts else np.zeros(len(energy))

    def meets(self, metrics: DesignMetrics) -> bool:
        """Whether a design meets all limits, as a study checks them."""
        known = metric_names.of_design(metrics)
        return not any(limit.excess(known) for limit in self.limits)

    def admits(self, area_um2: float) -> bool:
        """Whether hardware of that area may be built."""
        if self.max_area_um2 is not None and area_um2 > self.max_area_um2:
            return False
        known = _areas(area_um2)
        return not any(limit.excess(known) for limit in self.limits if limit.names <= _AREAS.keys())

    def excludes_from(self, area_um2: float) -> bool:
        """Whether no area of at least so much may be built."""
        if self.max_area_um2 is not None and area_um2 > self.max_area_um2:
            return True
        known = _areas(area_um2)
        return any(
            limit.left.source in _AREAS and limit.sign.startswith("<")
            and not limit.right.names and limit.excess(known) > 0
            for limit in self.limits
        )  # fmt: skip


def _areas(area_um2: float) -> dict[str, Any]:
    return {name: area_um2 * unit for name, unit in _AREAS.items()}


def _weights(objective: Objective) -> tuple[float, float, float]:
    """Return the weights of energy in pJ, cycles and area in um^2.

    Raises:
        SpecError: the objective is no weighted sum of them.
    """
    form = {"area_um2": 1.0} if objective.name == "area" else None
    if objective.expression is not None:
        form = linear_form(objective.expression)
    if form is None or not set(form) <= _WEIGHTED.keys() or min(form.values()) < 0.0:
        raise SpecError(
            f"optimizer=optimal: objective = {objective.name}, expected one of "
            f"{', '.join(_KINDS)}, area, or a sum of {', '.join(_WEIGHTED)}, weighted with "
            "0 or more"
        )
    parts = [[weight * unit for unit in _WEIGHTED[name]] for name, weight in form.items()]
    energy, cycles, area = map(math.fsum, zip(*parts, strict=True))
    return energy, cycles, area
