"""Constraints: what every design has to satisfy.

Those on metrics are comparisons of arithmetic, checked once a design is evaluated. Those on
resources bound one from above, as a template's budget does: other hardware is not built at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dse.domain.expression import Expression
from dse.errors import SpecError, unknown_name
from dse.goals.metric_names import ACCURACY, METRIC_NAMES, RESOURCES

_SIGN = re.compile(r"(<=|>=|<|>)")
#: Commas outside of parentheses.
_COMMA = re.compile(r",(?![^()]*\))")


@dataclass(frozen=True)
class Limit:
    """One constraint, as in ``area_mm2 < 4``."""

    source: str
    left: Expression
    sign: str
    right: Expression

    @property
    def names(self) -> frozenset[str]:
        """The metrics that it mentions."""
        return self.left.names | self.right.names

    @property
    def on_resource(self) -> bool:
        """Whether it bounds a resource of the hardware."""
        return not self.names.isdisjoint(RESOURCES)

    def excess(self, metrics: dict[str, Any]) -> float:
        """Return by how much the metrics miss it, relative to the bound; 0 where they do not.

        What has no value on one of its sides is missed by infinitely much.
        """
        left, right = float(self.left.array(metrics)), float(self.right.array(metrics))
        if not (math.isfinite(left) and math.isfinite(right)):
            return math.inf
        gap = left - right if self.sign.startswith("<") else right - left
        if gap < 0 or (gap == 0 and len(self.sign) == 2):
            return 0.0
        # a strict comparison of equal sides misses by nothing, and yet misses
        return max(gap / max(abs(right), 1e-300), 1e-12)

    def reason(self, metrics: dict[str, Any]) -> str:
        """Return why the metrics miss it."""
        left, right = float(self.left.array(metrics)), float(self.right.array(metrics))
        if not (math.isfinite(left) and math.isfinite(right)):
            return f"constraint {self.source}: {left:g} {self.sign} {right:g} compares no numbers"
        return f"constraint {self.source}: {left:.6g} {self.sign} {right:.6g} is false"


def limits(text: str | None) -> tuple[Limit, ...]:
    """Parse comma-separated constraints, as in ``area_mm2 < 4, power_w < 2``.

    Raises:
        SpecError: a part is no comparison of arithmetic over known metrics.
    """
    return tuple(_limit(part.strip()) for part in _COMMA.split(text or "") if part.strip())


def _limit(source: str) -> Limit:
    parts = _SIGN.split(source)
    if len(parts) != 3:
        raise SpecError(f"constraints: '{source}', expected ARITHMETIC <, <=, > or >= ARITHMETIC")
    limit = Limit(source, Expression(parts[0].strip()), parts[1], Expression(parts[2].strip()))
    if limit.on_resource:
        _check_resource(limit)
    else:
        names = limit.names - {ACCURACY}
        check_names("constraints", names, {**METRIC_NAMES, ACCURACY: "", **RESOURCES})
    return limit


def _check_resource(limit: Limit) -> None:
    if limit.left.source not in RESOURCES or limit.right.names or limit.sign != "<=":
        name = min(limit.names & RESOURCES.keys())
        raise SpecError(f"constraints: '{limit.source}', expected {name} <= NUMBER")
    bound = float(limit.right.array({}))
    if not 1 <= bound < math.inf:
        raise SpecError(f"constraints: '{limit.source}', expected a bound of at least 1")


def resource_bounds(bounds: Iterable[Limit]) -> dict[str, float]:
    """Return the least bound of every resource that the constraints name."""
    found: dict[str, float] = {}
    for limit in bounds:
        if limit.on_resource:
            name = str(limit.left.source)
            found[name] = min(float(limit.right.array({})), found.get(name, math.inf))
    return found


def check_names(
    where: str, names: frozenset[str], known: Iterable[str] = METRIC_NAMES.keys()
) -> None:
    """Raise SpecError where a name is no metric."""
    for name in sorted(names):
        if name not in METRIC_NAMES:
            raise SpecError(f"{where}: {unknown_name('metric', name, known)}")
