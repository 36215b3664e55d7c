"""Whether any choice of one mapping per layer lies below a value, by lines, for the recheck."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dse.cosearch.hull import DELAY, ENERGY

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Total, energy and cycles of the choice that touches a line, after the line's two coefficients.
_Line = tuple[float, float, tuple[float, float, float]]


class Choices:
    """Points of all layers; finds lines below all choices of one per layer."""

    def __init__(self, weight: Floats, first: Ints, energy: Floats, cycles: Floats) -> None:
        self._weight, self._first = weight, first
        self._energy, self._cycles = energy, cycles

    def line(self, x: float, y: float) -> tuple[float, float, float]:
        """Return the least ``x * energy + y * cycles``, and a choice's energy and cycles there."""
        value = self._cycles * y if x == 0.0 else self._energy * x + self._cycles * y
        total = energy = cycles = 0.0
        for n, weight in enumerate(self._weight):
            part = value[self._first[n] : self._first[n + 1]]
            best = int(part.argmin()) if len(part) else -1
            if best < 0 or not math.isfinite(self._energy[self._first[n] + best]):
                return math.inf, math.inf, math.inf
            r = self._first[n] + best
            total += weight * value[r]
            energy += weight * self._energy[r]
            cycles += weight * self._cycles[r]
        return total, energy, cycles

    def below(self, mode: int, claim: float) -> bool:
        """Whether some choice has a value below the claim."""
        if mode == ENERGY:
            return self.line(1.0, 0.0)[0] < claim
        if mode == DELAY:
            return self.line(0.0, 1.0)[0] < claim
        one, other = (1.0, 0.0, self.line(1.0, 0.0)), (0.0, 1.0, self.line(0.0, 1.0))
        if math.isinf(one[2][0]):
            return False
        if min(one[2][1] * one[2][2], other[2][1] * other[2][2]) < claim:
            return True
        stack = [(one, other)]
        while stack:
            one, other = stack.pop()
            energy, cycles = _corner(one, other)
            if energy * cycles >= claim:
                continue
            # the line along both choices: what no choice is below, only their segment bounds,
            # and the product is least at its ends
            x, y = other[2][2] - one[2][2], one[2][1] - other[2][1]
            x, y = abs(x), abs(y)
            if x == 0.0 or y == 0.0:
                continue
            found = (x, y, self.line(x, y))
            if found[2][0] >= (x * one[2][1] + y * one[2][2]) * (1.0 - 1e-12):
                continue
            if found[2][1] * found[2][2] < claim:
                return True
            stack += [(one, found), (found, other)]
        return False


def _corner(one: _Line, other: _Line) -> tuple[float, float]:
    """Return where two lines ``x * energy + y * cycles = total`` meet."""
    (a, b, (c, _, _)), (d, e, (f, _, _)) = one, other
    determinant = a * e - b * d
    if determinant == 0.0:
        return 0.0, 0.0
    return (c * e - b * f) / determinant, (a * f - c * d) / determinant
