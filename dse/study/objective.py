"""Objectives: what makes one design better than another. Smaller is better, always."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError, unknown_name
from dse.evaluators.base import Metrics
from dse.study.design import DesignMetrics

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """A function of metrics.

    Attributes:
        of_design: the network's value, to be minimised.
        of_mappings: ``(B,)`` the value by which the mappings of one layer on one hardware are
            compared: the part of the objective that a mapping can change.
    """

    name: str
    unit: str
    summary: str
    of_design: Callable[[DesignMetrics], float]
    of_mappings: Callable[[Metrics], Floats]

    def __call__(self, metrics: DesignMetrics) -> float:
        """Return the value of a design; infinite where it is not valid."""
        return self.of_design(metrics) if metrics.valid else float("inf")

    def rank(self, metrics: Metrics) -> Floats:
        """Return the value of each mapping, ``(B,)``; infinite where it is not valid."""
        return np.where(metrics.valid, self.of_mappings(metrics), np.inf)


def _cycles(metrics: Metrics) -> Floats:
    return metrics.cycles


#: All objectives by name.
OBJECTIVES = {
    item.name: item
    for item in (
        Objective("edp", "pJ x cycle", "energy x delay", lambda m: m.edp, lambda m: m.edp),
        Objective(
            "energy", "pJ", "energy of one inference", lambda m: m.energy_pj, lambda m: m.energy_pj
        ),
        Objective("delay", "cycles", "cycles of one inference", lambda m: m.cycles, _cycles),
        Objective("area", "um^2", "area of the accelerator", lambda m: m.area_um2, lambda m: m.edp),
        Objective("adp", "um^2 x cycle", "area x delay", lambda m: m.area_um2 * m.cycles, _cycles),
        Objective(
            "eadp", "pJ x cycle x um^2", "EDP x area", lambda m: m.edp * m.area_um2, lambda m: m.edp
        ),
    )
}


def objective(name: str) -> Objective:
    """Return the objective of that name.

    Raises:
        SpecError: there is none; the message lists the choices.
    """
    if name not in OBJECTIVES:
        raise SpecError(unknown_name("objective", name, OBJECTIVES))
    return OBJECTIVES[name]
