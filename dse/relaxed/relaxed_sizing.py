"""The smallest hardware that mappings fit, relaxed: real-valued and differentiable.

Every resource of a template is taken for a product of powers of its variables (at the values at
hand, where it is not one); so the logarithms of the smallest hardware are piecewise linear in the
logarithms of what is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dse.errors import SpecError
from dse.numeric import Floats
from dse.relaxed.interpolate import Monomials, infer
from dse.relaxed.sizing import Sizing

_STEP = 1e-4


@dataclass(frozen=True, eq=False)
class Sized:
    """The smallest real-valued hardware for H networks.

    Attributes:
        log_values: ``(H, V)`` logarithms of the inferred variables; above a variable's range
            where it would have to be.
        slopes: ``(H, V, J)`` their derivatives by the logarithms of the J needs.
        excess: ``(H, J)`` how far, in logarithms, what is needed of a resource lies above what
            the largest hardware can have of it; 0 where there is enough.
    """

    log_values: Floats
    slopes: Floats
    excess: Floats


class RelaxedSizing:
    """Relaxed inference for a template.

    Args:
        sizing: the exact inference, whose variables and resources these are.
        base: values of the variables that are not inferred.

    Raises:
        SpecError: a resource has no positive amount in the middle of the variables' ranges.
    """

    def __init__(self, sizing: Sizing, base: Mapping[str, int]) -> None:
        self._sizing = sizing
        variables = sizing.inferred
        self.names = tuple(v.name for v in variables)
        self._low = np.log([max(v.minimum, 1e-9) for v in variables])
        self._high = np.log([max(v.maximum, 1e-9) for v in variables])
        self._base = {name: float(value) for name, value in base.items()}
        self._base |= {name: float(value) for name, value in sizing.fixed.items()}
        self._lead = tuple(
            self.names.index(raisers[0]) if raisers else -1 for raisers in sizing.raisers
        )
        middle = (self._low + self._high) / 2
        self._constant, self._power = self._fitted(middle)
        self._monomials = Monomials(
            self._constant,
            self._power,
            np.array(self._lead, np.int64),
            np.array(self._elimination(), np.int64),
            self._low,
            self._high,
        )
        #: ``(J, V)`` how excesses fall with the variables that do not lead the resource
        self.relief = self._power.copy()
        for j, lead in enumerate(self._lead):
            self.relief[j, lead if lead >= 0 else slice(None)] = 0.0

    def __call__(self, log_needs: Floats) -> Sized:
        """Return the smallest hardware for the logarithms of needs ``(H, J)``."""
        count, needs = log_needs.shape
        x = np.empty((count, len(self.names)))
        slopes, excess = np.empty((*x.shape, needs)), np.empty((count, needs))
        infer(self._monomials, log_needs, x, slopes, excess)
        return Sized(x, slopes, excess)

    def _fitted(self, log_values: Floats) -> tuple[Floats, Floats]:
        """Return constants ``(J,)`` and powers ``(J, V)`` of the resources around a point."""

        def log_amounts(x: Floats) -> Floats:
            values = self._base | dict(zip(self.names, np.exp(x), strict=True))
            amounts = [float(r.relaxed(values)) for r in self._sizing.resources]
            for amount, resource in zip(amounts, self._sizing.resources, strict=True):
                if not (np.isfinite(amount) and amount > 0):
                    raise SpecError(
                        f"template '{self._sizing.template.name}': {resource} are {amount:g} in "
                        "the middle of the variables' ranges: hardware cannot be inferred"
                    )
            return np.log(amounts)

        here = log_amounts(log_values)
        power = np.zeros((len(here), len(log_values)))
        for v in range(len(log_values)):
            step = np.zeros(len(log_values))
            step[v] = _STEP
            rise = log_amounts(log_values + step) - log_amounts(log_values - step)
            power[:, v] = np.round(rise / (2 * _STEP), 6)
        return here - power @ log_values, power

    def _elimination(self) -> list[int]:
        """Return the variables so that each comes after those that its resources depend on."""
        left = [v for v in range(len(self.names)) if v in self._lead]
        order: list[int] = []
        while left:
            ready = [v for v in left if not self._needs(v) & (set(left) - {v})]
            order += ready or left[:1]
            left = [v for v in left if v not in order]
        return order

    def _needs(self, v: int) -> set[int]:
        rows = [j for j, lead in enumerate(self._lead) if lead == v]
        return {int(u) for u in np.flatnonzero((self._power[rows] != 0).any(axis=0))} - {v}
