"""Whether any choice of one mapping per layer lies below a value, by lines, for the recheck."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: ChoiceTotals are sums of some hundred floats: a line may lie too high by so much, relatively.
_SUMS = 1e-13


class ChoiceTotals(NamedTuple):
    """Energy and cycles of a choice, weighted by the layers' counts."""

    energy: float
    cycles: float


class _Line(NamedTuple):
    """``x * energy + y * cycles``: no choice has less than ``total``, and ``touching`` has it."""

    x: float
    y: float
    total: float
    touching: ChoiceTotals


class Choices:
    """RowPoints of all layers; finds lines below all choices of one per layer.

    Args:
        weight: ``(N,)`` how often the network runs each layer.
        first: ``(N + 1,)`` where each layer's points start.
        energy, cycles: of the points; finite.
    """

    def __init__(self, weight: Floats, first: Ints, energy: Floats, cycles: Floats) -> None:
        self._weight, self._first = weight, first
        self._energy, self._cycles = energy, cycles

    def below(
        self, claim: float, *, energy: float, cycles: float, multiplied: bool
    ) -> ChoiceTotals | None:
        """Return a choice below the claim; None where there is none.

        Args:
            claim: what is compared with.
            energy: its weight in what is minimised.
            cycles: their weight in it.
            multiplied: whether it is their product.
        """
        if (np.diff(self._first) == 0).any():
            return None  # a layer has no mapping
        if not multiplied:
            found = self._line(energy, cycles)
            return found.touching if found.total < claim else None
        one, other = self._line(1.0, 0.0), self._line(0.0, 1.0)
        for line in (one, other):
            if _product(line.touching) < claim:
                return line.touching
        stack = [(one, other)]
        while stack:
            one, other = stack.pop()
            if _corner(one, other) * (1.0 - 2.0 * _SUMS) >= claim:
                continue
            # the line along both choices: where no choice is below it, their segment is the
            # least there is between the two, and a product is least at a segment's ends
            x = other.touching.cycles - one.touching.cycles
            y = one.touching.energy - other.touching.energy
            x, y = abs(x), abs(y)
            if x == 0.0 or y == 0.0:
                continue
            found = self._line(x, y)
            least = x * one.touching.energy + y * one.touching.cycles
            if found.total >= least * (1.0 - 1e-12):
                continue
            if _product(found.touching) < claim:
                return found.touching
            stack += [(one, found), (found, other)]
        return None

    def _line(self, x: float, y: float) -> _Line:
        """Return the line of that slope that touches the choices from below."""
        if y == 0.0:
            value = self._energy * x
        elif x == 0.0:
            value = self._cycles * y
        else:
            value = self._energy * x + self._cycles * y
        best = np.array(
            [
                a + int(value[a:b].argmin())
                for a, b in zip(self._first, self._first[1:], strict=False)
            ]
        )
        sums = (
            float(self._weight @ column[best]) for column in (value, self._energy, self._cycles)
        )
        total, energy, cycles = sums
        return _Line(x, y, total, ChoiceTotals(energy, cycles))


def _product(totals: ChoiceTotals) -> float:
    return totals.energy * totals.cycles


def _corner(one: _Line, other: _Line) -> float:
    """Return the product where two lines meet: no choice between their slopes has less.

    Lines of nearly one slope meet far from where floats would have it, hence fractions.
    """
    a, b, c = map(Fraction, one[:3])
    d, e, f = map(Fraction, other[:3])
    determinant = a * e - b * d
    if determinant == 0:
        return 0.0
    energy, cycles = (c * e - b * f) / determinant, (a * f - c * d) / determinant
    return max(float(energy), 0.0) * max(float(cycles), 0.0)
