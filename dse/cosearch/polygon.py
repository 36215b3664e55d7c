"""The polygon that supports and limits leave of energy and cycles, and its best corner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.half_planes import HalfPlane
from dse.numeric import Floats


class Corner(NamedTuple):
    """A corner of the polygon.

    Attributes:
        value: what mappings decide of the objective there; infinite: the polygon is empty.
        energy, cycles: where it lies.
        left, right: multipliers of the supports that meet there, the smaller one first; one and
            the same where a limit cuts its line.
    """

    value: float
    energy: float
    cycles: float
    left: float
    right: float


@dataclass(frozen=True)
class _Vertex:
    """A corner, and the multiplier of the edge that goes on from it, to more cycles."""

    energy: float
    cycles: float
    edge: float


#: Names the edges that are no support's.
_NO_SUPPORT = -1.0
#: Corners that lie no more than this below a line, relatively, are taken to lie on it.
_NEAR = 1e-9


def least_corner(lines: Mapping[float, float], goal: CoSearchGoal) -> Corner:
    """Return the corner of the least value.

    All points of the network lie on or above the lines ``energy + l cycles = least``, given by
    ``l``, infinite for cycles alone. What is minimised is quasi-concave and grows with both, so
    over what is left it is least at a corner.
    """
    points = _polygon(_chain(lines), goal.planes)
    for plane in goal.planes:
        points = _clipped(points, plane)
    if not points:
        return Corner(math.inf, math.inf, math.inf, 0.0, math.inf)
    energy = np.array([p.energy for p in points])
    cycles = np.array([p.cycles for p in points])
    # limits have cut already: to ask them again would be to ask rounding
    value = goal.unlimited(energy, cycles)
    best = int(np.argmin(value))
    edges = {points[best].edge, points[best - 1].edge} - {_NO_SUPPORT}
    left, right = (min(edges), max(edges)) if edges else (0.0, math.inf)
    return Corner(float(value[best]), float(energy[best]), float(cycles[best]), left, right)


def least_above(energy: Floats, cycles: Floats, goal: CoSearchGoal) -> float:
    """Return the least value above a lower hull, given by its corners, by growing cycles."""
    corners = zip(energy.tolist(), cycles.tolist(), strict=True)
    points = _polygon([_Vertex(e, c, _NO_SUPPORT) for e, c in corners], goal.planes)
    for plane in goal.planes:
        points = _clipped(points, plane)
    if not points:
        return math.inf
    columns = (np.array([getattr(p, name) for p in points]) for name in ("energy", "cycles"))
    return float(goal.unlimited(*columns).min())


def _chain(given: Mapping[float, float]) -> list[_Vertex]:
    """Return the corners above all lines, by growing cycles.

    Energy and cycles are no less than 0, whatever the lines say.
    """
    cycles = given.get(math.inf, 0.0)
    lines = {0.0: 0.0, **{m: least for m, least in given.items() if not math.isinf(m)}}
    # the line that is highest where cycles are least, then those that cross it
    energy, at = max((least - m * cycles, -m) for m, least in lines.items())
    edge = -at
    chain = [_Vertex(energy, cycles, edge)]
    while True:
        crossings = [
            ((lines[edge] - least) / (edge - m), m) for m, least in lines.items() if m < edge
        ]
        if not crossings:
            return chain
        cycles, edge = min(crossings)
        cycles = max(cycles, chain[-1].cycles)
        chain.append(_Vertex(lines[edge] - edge * cycles, cycles, edge))


def _polygon(chain: Sequence[_Vertex], planes: Sequence[HalfPlane]) -> list[_Vertex]:
    """Close a chain of corners far away, beyond wherever a limit meets its outer edges."""
    far_energy, far_cycles = 10.0 * (chain[0].energy + 1.0), 10.0 * (chain[-1].cycles + 1.0)
    for plane in planes:
        ends = abs(plane.most) + abs(plane.energy) * far_energy + abs(plane.cycles) * far_cycles
        if plane.energy:
            far_energy = max(far_energy, 10.0 * ends / abs(plane.energy))
        if plane.cycles:
            far_cycles = max(far_cycles, 10.0 * ends / abs(plane.cycles))
    return [
        _Vertex(far_energy, chain[0].cycles, math.inf),
        *chain,
        _Vertex(chain[-1].energy, far_cycles, _NO_SUPPORT),
        _Vertex(far_energy, far_cycles, _NO_SUPPORT),
    ]


def _clipped(points: Sequence[_Vertex], plane: HalfPlane) -> list[_Vertex]:
    """Return the corners of what a half-plane leaves of a convex polygon."""
    missed = plane.excess(
        np.array([p.energy for p in points]), np.array([p.cycles for p in points])
    ).tolist()
    found = []
    pairs = pairwise([*zip(points, missed, strict=True), *zip(points[:1], missed[:1], strict=True)])
    for (a, here), (b, there) in pairs:
        if here <= 0.0:
            found.append(a)
        if (here <= 0.0) != (there <= 0.0):
            part = here / (here - there)
            energy = a.energy + part * (b.energy - a.energy)
            cycles = a.cycles + part * (b.cycles - a.cycles)
            found.append(_Vertex(energy, cycles, a.edge if there <= 0.0 else _NO_SUPPORT))
    return found


def least_products(least: Mapping[float, Floats]) -> Floats:
    """Return the least energy times cycles above lines, for many at once.

    Args:
        least: by multiplier, as in `least_corner`, arrays of one shape; 0 and infinity among them.
    """
    multipliers = sorted(least)
    found = np.full(np.shape(least[0.0]), np.inf)
    for left, right in combinations(multipliers, 2):
        if math.isinf(right):
            cycles = least[right]
        else:
            cycles = (least[right] - least[left]) / (right - left)
        energy = least[left] - left * cycles
        # to take a corner that lies a little below other lines is safe
        is_corner = np.isfinite(energy) & np.isfinite(cycles)
        for multiplier in multipliers:
            value = cycles if math.isinf(multiplier) else energy + multiplier * cycles
            is_corner &= value >= least[multiplier] * (1.0 - _NEAR)
        found = np.where(is_corner, np.minimum(found, energy * cycles), found)
    # where rounding has left no corner, each line ends by itself what any choice may come to
    return np.where(np.isinf(found), least[0.0] * least[math.inf], found)
