"""Objectives: what makes one design better than another. Smaller is better, always."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dse.domain.expression import Expression
from dse.errors import SpecError, unknown_name
from dse.goals import metric_names
from dse.goals.design import DesignMetrics
from dse.goals.limits import check_names
from dse.goals.metric_names import Scale
from dse.goals.metrics import Metrics
from dse.numeric import Floats


@dataclass(frozen=True)
class Objective:
    """A function of metrics.

    Attributes:
        of_design: the network's value, to be minimised.
        of_mappings: ``(B,)`` the value by which the mappings of one layer on one hardware are
            compared: the part of the objective that a mapping can change.
        expression: the arithmetic over metrics that it is; None for the named ones.
    """

    name: str
    unit: str
    summary: str
    of_design: Callable[[DesignMetrics], float]
    of_mappings: Callable[[Metrics], Floats]
    expression: Expression | None = None

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics that an expression mentions."""
        return self.expression.names if self.expression else frozenset()

    def __call__(self, metrics: DesignMetrics) -> float:
        """Return the value of a design; infinite where it is not valid.

        Over several networks it is the geometric mean, as in NAAS (DAC 2021).
        """
        if not metrics.valid:
            return float("inf")
        if metrics.networks:
            logs = [math.log(self.of_design(network)) for network in metrics.networks]
            return math.exp(math.fsum(logs) / len(logs))
        return self.of_design(metrics)

    def rank(self, metrics: Metrics, scale: Scale | None = None) -> Floats:
        """Return the value of each mapping, ``(B,)``; infinite where it is not valid.

        Args:
            metrics: of B mappings of one layer.
            scale: what expressions over timed metrics need to know of the layer.
        """
        if self.expression is None:
            value = self.of_mappings(metrics)
        else:
            known = metric_names.of_mappings(metrics, scale or Scale(0, None))
            value = np.broadcast_to(self.expression.array(known), metrics.valid.shape)
        return np.where(metrics.valid & ~np.isnan(value), value, np.inf)


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
    """Return the objective of that name, or the one that an expression over metrics says.

    An expression, such as ``2*cycles + energy_pj - 3*gflops``, ranks the mappings of a layer by the
    layer's own metrics.

    Raises:
        SpecError: there is none, and it is no arithmetic over known metrics.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    if name.isidentifier() and name not in metric_names.METRIC_NAMES:
        choices = [*OBJECTIVES, *metric_names.METRIC_NAMES]
        raise SpecError(unknown_name("objective", name, choices))
    expression = Expression(name)
    check_names("objective", expression.names)
    if not expression.names:
        raise SpecError(f"objective = {name}: mentions no metric")

    def of_design(metrics: DesignMetrics) -> float:
        value = float(expression.array(metric_names.of_design(metrics)))
        return float("inf") if np.isnan(value) else value

    return Objective(name, "", "an expression", of_design, lambda m: m.edp, expression)
