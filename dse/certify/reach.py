"""How high a line may lie that still meets something below a claim, for the recheck."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dse.certify.choices import Aim
from dse.certify.region import LineSide, corners

Floats = npt.NDArray[np.float64]

#: What sums of floats may be off by, relatively, with much to spare.
ROUNDING = 1e-9


def highest(
    claim: float, aim: Aim, x: Floats, y: Floats, least: Floats, above: Sequence[LineSide] = ()
) -> Floats:
    """Return the highest of each slope's lines that meet what is looked for, ``(K,)``.

    That is bounded by the least energy and cycles, the borders and the claim, along whose curve a
    line is highest at an end.

    Args:
        claim: above all that is looked for.
        aim: what is minimised, and within which borders.
        x: ``(K,)`` weight of energy in each slope; the first two are those of energy and cycles.
        y: ``(K,)`` weight of cycles.
        least: ``(K,)`` totals of the lines below all choices.
        above: further lines that nothing of what is looked for is below.
    """
    energy, cycles = least[:2].tolist()
    sides: list[LineSide] = [(1.0, 0.0, energy), (0.0, 1.0, cycles)]
    sides += above
    sides += [(-a, -b, -most) for a, b, most in (b.widened for b in aim.borders)]
    if aim.multiplied and math.isfinite(claim):
        if energy > 0.0 and cycles > 0.0:
            sides += [(-1.0, 0.0, -claim / cycles), (0.0, -1.0, -claim / energy)]
    elif math.isfinite(claim):
        sides.append((-aim.energy, -aim.cycles, -claim))
    points = [(float(a), float(b)) for a, b in corners(sides)]
    if aim.multiplied and math.isfinite(claim):
        points = _below_curve(points, claim)
    if not points:
        return np.full(len(x), -math.inf)
    ends = np.array(points)
    return np.asarray((np.outer(x, ends[:, 0]) + np.outer(y, ends[:, 1])).max(axis=1)) * (
        1.0 + ROUNDING
    )


def _below_curve(
    points: Sequence[tuple[float, float]], product: float
) -> list[tuple[float, float]]:
    """Return the corners of what of a polygon lies below a product, on its edges and its curve."""
    found = [p for p in points if p[0] * p[1] <= product * (1.0 + ROUNDING)]
    for a, b in zip(points, [*points[1:], *points[:1]], strict=True):
        # (a + s (b - a)) has that product where a quadratic in s is 0
        step = (b[0] - a[0], b[1] - a[1])
        terms = (step[0] * step[1], a[0] * step[1] + a[1] * step[0], a[0] * a[1] - product)
        for s in np.roots(terms):
            if np.isreal(s) and -ROUNDING <= s.real <= 1.0 + ROUNDING:
                found.append((a[0] + s.real * step[0], a[1] + s.real * step[1]))
    return found
