"""Objectives: what makes one design better than another. Smaller is better, always."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from dse.domain.expression import Expression
from dse.errors import SpecError, unknown_name
from dse.goals import metric_names
from dse.goals.design import DesignMetrics
from dse.goals.limits import check_names
from dse.goals.metric_names import Scale
from dse.goals.metrics import Metrics
from dse.numeric import Floats
from dse.plugins import plugins

_LOG = logging.getLogger(__name__)

#: Metrics by which exact searches and timeloop-mapper can compare the mappings of a layer.
_OF_MAPPINGS: dict[str, Callable[[Metrics], Floats]] = {
    "edp": lambda m: m.edp,
    "energy": lambda m: m.energy_pj,
    "delay": lambda m: m.cycles,
}


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of values above 0."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


@dataclass(frozen=True)
class Objective:
    """A function of metrics.

    Attributes:
        of_design: the network's value, to be minimised.
        of_mappings: by what the mappings of one layer on one hardware are compared, the part of
            the objective that a mapping can change: ``edp``, ``energy``, ``delay``, or a function
            that returns the value of each, ``(B,)``. Searches that prove an optimum, and
            timeloop-mapper, know the three names and no function.
        expression: the arithmetic over metrics that it is, of designs and mappings alike; None
            for the named ones.

    Raises:
        SpecError: ``of_mappings`` is none of the names.
    """

    name: str
    unit: str
    summary: str
    of_design: Callable[[DesignMetrics], float]
    of_mappings: str | Callable[[Metrics], Floats]
    expression: Expression | None = None

    def __post_init__(self) -> None:
        if isinstance(self.of_mappings, str) and self.of_mappings not in _OF_MAPPINGS:
            known = [*_OF_MAPPINGS, "a function"]
            raise SpecError(unknown_name("of_mappings", self.of_mappings, known))

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics that an expression mentions."""
        return self.expression.names if self.expression else frozenset()

    @property
    def mapping_metric(self) -> str | None:
        """By which of ``edp``, ``energy`` and ``delay`` mappings are compared; None: by none."""
        by_name = self.expression is None and isinstance(self.of_mappings, str)
        return str(self.of_mappings) if by_name else None

    @property
    def without_value(self) -> str:
        """Why there is none, where the objective is not a finite number."""
        return f"objective = {self.name} has no value: a division by zero, or too large a number"

    def __call__(self, metrics: DesignMetrics) -> float:
        """Return the value of a design; infinite where it is not valid, or has no value.

        Over several networks it is the geometric mean, as in NAAS (DAC 2021).

        Raises:
            SpecError: there are several networks, and a value is not positive.
        """
        if not metrics.valid:
            return float("inf")
        if not metrics.networks:
            return self._value(metrics)
        values = [self._value(network) for network in metrics.networks]
        if min(values) <= 0:
            raise SpecError(
                f"objective = {self.name}: {min(values):g} on one of several networks, expected "
                "more than 0: their mean is geometric"
            )
        return geometric_mean(values)

    def _value(self, metrics: DesignMetrics) -> float:
        value = float(self.of_design(metrics))
        return value if math.isfinite(value) else float("inf")

    def rank(self, metrics: Metrics, scale: Scale | None = None) -> Floats:
        """Return the value of each mapping, ``(B,)``; infinite where it is not valid.

        Args:
            metrics: of B mappings of one layer.
            scale: what expressions over timed metrics need to know of the layer.
        """
        if self.expression is not None:
            known = metric_names.of_mappings(metrics, scale or Scale(0, None))
            value = np.broadcast_to(self.expression.array(known), metrics.valid.shape)
        elif isinstance(self.of_mappings, str):
            value = _OF_MAPPINGS[self.of_mappings](metrics)
        else:
            value = self.of_mappings(metrics)
        return np.where(metrics.valid & np.isfinite(value), value, np.inf)


EDP = Objective("edp", "pJ x cycle", "energy x delay", lambda m: m.edp, "edp")
ENERGY = Objective("energy", "pJ", "energy of one inference", lambda m: m.energy_pj, "energy")
DELAY = Objective("delay", "cycles", "cycles of one inference", lambda m: m.cycles, "delay")
AREA = Objective("area", "um^2", "area of the accelerator", lambda m: m.area_um2, "edp")
ADP = Objective("adp", "um^2 x cycle", "area x delay", lambda m: m.area_um2 * m.cycles, "delay")
#: Of spaces of networks only, so it is none of those that every workload has.
ERROR = Objective(
    "error",
    "share of images",
    "1 - accuracy of the network, in a space of networks",
    lambda m: float("nan") if m.accuracy is None else 1 - m.accuracy,
    "edp",
)
EADP = Objective("eadp", "pJ x cycle x um^2", "EDP x area", lambda m: m.edp * m.area_um2, "edp")


@cache
def objectives() -> dict[str, Objective]:
    """Return all named objectives, those of other distributions too.

    What registers as an objective and is none of that name is named in a warning and skipped: a
    proof may rest on what a name means.
    """
    found: dict[str, Objective] = {}
    for name, item in plugins("objective").items():
        fault = _fault(name, item.factory)
        if fault:
            _LOG.warning("objective '%s' of '%s' is skipped: %s", name, item.distribution, fault)
        else:
            found[name] = item.factory
    return found


def _fault(name: str, found: Any) -> str:  # noqa: ANN401 - whatever an entry point names
    """Return why what an entry point names is no objective of its name, or nothing."""
    if not isinstance(found, Objective):
        return f"{found!r}, expected a dse.goals.objective.Objective"
    if found.name != name:
        return f"its name is '{found.name}', expected the entry point's"
    if name in metric_names.METRIC_NAMES and found is not EDP:
        return "the name is a metric's"
    return ""


def objective(name: str) -> Objective:
    """Return the objective of that name, or the one that an expression over metrics says.

    An expression, such as ``2*cycles + energy_pj - 3*gflops``, ranks the mappings of a layer by the
    layer's own metrics.

    Raises:
        SpecError: there is none, and it is no arithmetic over known metrics.
    """
    if name == ERROR.name:
        return ERROR
    named = objectives()
    if name in named:
        return named[name]
    if name.isidentifier() and name not in metric_names.METRIC_NAMES:
        choices = [*named, ERROR.name, *metric_names.METRIC_NAMES]
        raise SpecError(unknown_name("objective", name, choices))
    expression = Expression(name)
    check_names("objective", expression.names)
    if not expression.names:
        raise SpecError(f"objective = {name}: mentions no metric")

    def of_design(metrics: DesignMetrics) -> float:
        return float(expression.array(metric_names.of_design(metrics)))

    return Objective(name, "", "an expression", of_design, "edp", expression)
