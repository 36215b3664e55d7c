"""What lines below all choices and limits leave of the plane of energy and cycles, in fractions."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

#: A corner: energy and cycles.
PlanePoint = tuple[Fraction, Fraction]
#: ``x * energy + y * cycles >= least``.
LineSide = tuple[float, float, float]

#: Further out than any design.
_FAR = Fraction(10) ** 60


def corners(sides: Iterable[LineSide]) -> list[PlanePoint]:
    """Return the corners of what satisfies all sides, and is not negative; empty: nothing does.

    Corners far beyond any design close what is not bounded. Lines of nearly one slope meet far from
    where floats would have it, hence fractions.
    """
    zero = Fraction(0)
    points = [(zero, zero), (_FAR, zero), (_FAR, _FAR), (zero, _FAR)]
    for x, y, least in sides:
        points = _cut(points, Fraction(x), Fraction(y), Fraction(least))
        if not points:
            return []
    return points


def _cut(points: list[PlanePoint], x: Fraction, y: Fraction, least: Fraction) -> list[PlanePoint]:
    """Return the corners of the part of a convex polygon on one side of a line."""
    above = [x * energy + y * cycles - least for energy, cycles in points]
    found = []
    around = [*zip(points, above, strict=True), (points[0], above[0])]
    for (a, here), (b, there) in pairwise(around):
        if here >= 0:
            found.append(a)
        if (here < 0 < there) or (there < 0 < here):
            part = here / (here - there)
            found.append((a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])))
    return found
