"""Whether any choice of one mapping per layer lies below a value, by lines, for the recheck."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.certify.borders import Border
from dse.certify.region import corners

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Totals are sums of some hundred floats: a line may lie too high by so much, relatively.
_SUMS = 1e-13
#: A line that is higher than a choice by no more, relatively, runs through it.
_THROUGH = 1e-12
#: Lines after which the question is left open.
_MOST_LINES = 200


class ChoiceTotals(NamedTuple):
    """Energy and cycles of a choice, weighted by the layers' counts."""

    energy: float
    cycles: float


class Aim(NamedTuple):
    """What is minimised of energy and cycles, and what is asked of them.

    Attributes:
        energy, cycles: their weights; of a product both are 1.
        multiplied: whether they are multiplied.
        borders: limits on them.
    """

    energy: float
    cycles: float
    multiplied: bool
    borders: tuple[Border, ...] = ()

    def worth(self, totals: ChoiceTotals) -> float:
        """Return what a choice comes to."""
        if self.multiplied:
            return totals.energy * totals.cycles
        return self.energy * totals.energy + self.cycles * totals.cycles


class Line(NamedTuple):
    """``x * energy + y * cycles``: no choice has less than ``total``, and ``touching`` has it."""

    x: float
    y: float
    total: float
    touching: ChoiceTotals


class Choices:
    """Points of all layers of a network; finds lines below all choices of one per layer.

    Args:
        weight: ``(N,)`` how often the network runs each layer.
        first: ``(N + 1,)`` where each layer's points start.
        energy, cycles: of the points; finite.
    """

    def __init__(self, weight: Floats, first: Ints, energy: Floats, cycles: Floats) -> None:
        self._weight, self._first = weight, first
        self._energy, self._cycles = energy, cycles

    @property
    def is_empty(self) -> bool:
        """Whether a layer has no mapping."""
        return bool((np.diff(self._first) == 0).any())

    def below(self, claim: float, aim: Aim) -> ChoiceTotals | None:
        """Return a choice below the claim, whatever the borders say; None where there is none."""
        if self.is_empty:
            return None
        if not aim.multiplied:
            found = self.line(aim.energy, aim.cycles)
            return found.touching if found.total < claim else None
        best, _ = self._least_product(claim)
        return best if _product(best) < claim else None

    def least(self, aim: Aim) -> float:
        """Return what no choice is below, whatever the borders say; infinite: there is none."""
        if self.is_empty:
            return math.inf
        if not aim.multiplied:
            return self.line(aim.energy, aim.cycles).total
        return self._least_product(None)[1]

    def best(self, aim: Aim) -> ChoiceTotals:
        """Return the choice of the least value, whatever the borders say; there is one."""
        if not aim.multiplied:
            return self.line(aim.energy, aim.cycles).touching
        return self._least_product(None)[0]

    def within(self, claim: float, aim: Aim) -> list[Line]:
        """Return lines around what may be below the claim and within the borders; none: nothing is.

        The least of what lies above all lines and within all borders is at a corner: products and
        sums grow with energy and cycles. Where the least corner is below the claim, the line along
        the choices on both sides of it is asked for, until it says no more.
        """
        if self.is_empty:
            return []
        lines = [self.line(1.0, 0.0), self.line(0.0, 1.0)]
        if not aim.multiplied and aim.energy and aim.cycles:
            lines.append(self.line(aim.energy, aim.cycles))
        sides = [(-x, -y, -most) for x, y, most in (b.widened for b in aim.borders)]
        while len(lines) < _MOST_LINES:
            above = [(x, y, total * (1.0 - _SUMS)) for x, y, total, _ in lines]
            points = [ChoiceTotals(float(e), float(t)) for e, t in corners([*above, *sides])]
            least = min(points, key=aim.worth, default=None)
            if least is None or aim.worth(least) * (1.0 - _SUMS) >= claim:
                return []
            found = self._around(lines, least)
            if found is None:
                break
            lines.append(found)
        return lines

    def _around(self, lines: list[Line], point: ChoiceTotals) -> Line | None:
        """Return the line along the choices on both sides of a point, or the one below them.

        None: it says nothing new of the point.
        """
        known = sorted({line.touching for line in lines}, key=lambda t: (t.cycles, -t.energy))
        left = [t for t in known if t.cycles <= point.cycles]
        right = [t for t in known if t.cycles > point.cycles]
        if not left or not right:
            return None
        one, other = left[-1], right[0]
        x, y = other.cycles - one.cycles, one.energy - other.energy
        if x <= 0.0 or y <= 0.0:
            return None
        line = self.line(x, y)
        along = x * one.energy + y * one.cycles
        cuts = line.total * (1.0 - _THROUGH) > x * point.energy + y * point.cycles
        return line if cuts or line.total < along * (1.0 - _THROUGH) else None

    def _least_product(self, claim: float | None) -> tuple[ChoiceTotals, float]:
        """Return the choice of the least product that was met, and what none is below.

        Args:
            claim: where a choice is below it, that one is returned at once; where none is, the
                bound is no more than that none is.
        """
        one, other = self.line(1.0, 0.0), self.line(0.0, 1.0)
        best = min(one.touching, other.touching, key=_product)
        bound = _product(best)
        stack = [(one, other)]
        while stack and (claim is None or _product(best) >= claim):
            one, other = stack.pop()
            enough = bound if claim is None else claim
            corner = _corner(one, other) * (1.0 - 2.0 * _SUMS)
            if corner >= enough:
                bound = min(bound, corner)
                continue
            # the line along both choices: where no choice is below it, their segment is the
            # least there is between the two, and a product is least at a segment's ends
            x = abs(other.touching.cycles - one.touching.cycles)
            y = abs(one.touching.energy - other.touching.energy)
            if x == 0.0 or y == 0.0:
                continue
            found = self.line(x, y)
            least = x * one.touching.energy + y * one.touching.cycles
            if found.total >= least * (1.0 - _THROUGH):
                continue
            best = min(best, found.touching, key=_product)
            bound = min(bound, _product(best))
            stack += [(one, found), (found, other)]
        return best, bound

    def line(self, x: float, y: float) -> Line:
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
        return Line(x, y, total, ChoiceTotals(energy, cycles))


def _product(totals: ChoiceTotals) -> float:
    return totals.energy * totals.cycles


def _corner(one: Line, other: Line) -> float:
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
