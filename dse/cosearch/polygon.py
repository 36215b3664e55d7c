"""The least product of energy and cycles that a few supports allow, and which to ask for next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from dse.cosearch.layer_bounds import Support

#: What a corner may lie below another line, relatively: rounding.
_SLACK = 1e-13


class Corner(NamedTuple):
    """A corner of the polygon: where the lines of two supports meet.

    Attributes:
        value: energy x cycles there.
        left, right: multipliers of the supports, the smaller one first.
    """

    value: float
    left: float
    right: float


def least_corner(supports: Sequence[Support]) -> Corner:
    """Return the corner of the least product; the multipliers 0 and infinity are among them.

    All points of the network lie on or above the lines ``energy + l cycles = least``. A product is
    quasi-concave, so over the polygon above the lines it is least at a corner.
    """
    lines = sorted(supports, key=lambda s: s.multiplier)
    best: Corner | None = None
    for i, a in enumerate(lines):
        for b in lines[i + 1 :]:
            energy, cycles = _meet(a, b)
            above = all(_weighted(s, energy, cycles) >= s.least * (1 - _SLACK) for s in lines)
            if above and (best is None or energy * cycles < best.value):
                best = Corner(energy * cycles, a.multiplier, b.multiplier)
    if best is None:
        # corners that rounding has put below a line: the weakest that is certain
        by = {s.multiplier: s.least for s in lines}
        return Corner(by[0.0] * by[math.inf], 0.0, math.inf)
    return best


def between(left: Support, right: Support) -> float | None:
    """Return the multiplier that weighs the points of two supports alike; None: there is none new.

    Its support is the line through both points, or there is a point below that line.
    """
    fewer, less = left.cycles - right.cycles, right.energy - left.energy
    if fewer <= 0 or less <= 0:
        return None
    found = less / fewer
    return found if left.multiplier < found < right.multiplier else None


def _meet(a: Support, b: Support) -> tuple[float, float]:
    """Return energy and cycles where two lines meet; a has the smaller multiplier."""
    if math.isinf(b.multiplier):
        return a.least - a.multiplier * b.least, b.least
    cycles = (b.least - a.least) / (b.multiplier - a.multiplier)
    return a.least - a.multiplier * cycles, cycles


def _weighted(s: Support, energy: float, cycles: float) -> float:
    return cycles if math.isinf(s.multiplier) else energy + s.multiplier * cycles
