"""Which points of the layers something below a claim may be made of, for the recheck.

Whatever else is chosen, a choice with a point lies above a line by as much as the point lies above
the least of its layer. Where that is higher than the line is at all that is looked for, no such
choice has the point: not in a box, nor in any part of it, where nothing costs less.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.certify.choices import Aim, Choices, ChoiceTotals
from dse.certify.reach import ROUNDING, highest

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Lines along the curve of a product, each where the one before it touches the choices.
_TANGENTS = 3


def needed(
    claim: float, aim: Aim, weight: Floats, first: Ints, energy: Floats, cycles: Floats
) -> Flags:
    """Return which points of one network a choice below a claim may hold, ``(R,)``.

    Args:
        claim: above all that is looked for; infinite: whatever there is.
        aim: what is minimised, and within which borders.
        weight: ``(N,)`` how often the network runs each layer.
        first: ``(N + 1,)`` where each layer's points start; every layer has some.
        energy: ``(R,)`` of the points; finite.
        cycles: ``(R,)``.
    """
    choices = Choices(weight, first, energy, cycles)
    slopes = [(1.0, 0.0), (0.0, 1.0), *_slopes(claim, aim, choices)]
    x, y = np.array(list(dict.fromkeys(slopes))).T
    counts = np.diff(first)
    above, totals = [], []
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        value = a * energy + b * cycles
        least = np.minimum.reduceat(value, first[:-1])
        totals.append(float(weight @ least))
        above.append(np.repeat(weight, counts) * (value - np.repeat(least, counts)))
    sides = [
        (a, b, total * (1.0 - ROUNDING))
        for a, b, total in zip(x.tolist(), y.tolist(), totals, strict=True)
    ]
    kept = np.ones(len(energy), np.bool_)
    most = highest(claim, aim, x, y, np.array(totals) * (1.0 - ROUNDING), sides)
    for k, more in enumerate(above):
        kept &= totals[k] + more <= most[k]
    return kept


def _slopes(claim: float, aim: Aim, choices: Choices) -> list[tuple[float, float]]:
    """Return slopes of lines that tell much of what is below the claim."""
    if aim.borders:
        return [(line.x, line.y) for line in choices.within(claim, aim)]
    if not aim.multiplied:
        return [(aim.energy, aim.cycles)]
    ends = choices.line(1.0, 0.0).touching, choices.line(0.0, 1.0).touching
    point = min(ends, key=_product)
    found = []
    for _ in range(_TANGENTS):
        found.append((point.cycles, point.energy))
        touching = choices.line(*found[-1]).touching
        if _product(touching) >= _product(point):
            break
        point = touching
    return found


def _product(totals: ChoiceTotals) -> float:
    return totals.energy * totals.cycles
