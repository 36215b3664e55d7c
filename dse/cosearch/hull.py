"""The least product of total energy and total cycles over choices of one mapping per layer.

Every layer offers points (cycles, energy); one is chosen of each, and the counts-weighted sums x
(energy) and y (cycles) are multiplied. The product is quasi-concave, so its least value lies at a
vertex of the Minkowski sum of the layers' lower hulls, whose edges are theirs, merged by slope
(:func:`hull_path`). Cheaper bounds follow from supports: for every multiplier ``l``, x + l y is
at least the sum of the layers' least values of it; the product over the polygon that a few supports
leave is least at one of its corners (:func:`polygon_minimum`). Forcing one point of one layer moves
each support by a known amount, which tells whether that point can be in any choice below a limit
(:func:`mark_useful`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dse.jit import inner, tiered
from dse.numeric import Flags, Floats, Ints

#: What is minimised: the product, x alone, y alone.
PRODUCT, ENERGY, DELAY = range(3)


class LayerPoints(NamedTuple):
    """The points of all layers, one after the other; N layers, each by growing cycles."""

    first: Ints  # (N + 1,) where each layer's points start
    weight: Floats  # (N,) how often the network runs the layer
    energy: Floats
    cycles: Floats


@tiered
def price_rows(
    base: Floats, accesses: Floats, need: Ints, price: Floats, size: Ints, energy: Floats
) -> None:
    """Fill energies ``(R,)``; infinite where a row needs more than the sizes give.

    Args:
        base: ``(R,)`` what depends on no size.
        accesses: ``(R, K)`` by price.
        need: ``(R, V)``.
        price: ``(K,)``.
        size: ``(V,)``.
        energy: the result.
    """
    for r in range(base.shape[0]):
        energy[r] = _price(base[r], accesses[r], need[r], price, size)


@inner
def _price(base: float, accesses: Floats, need: Ints, price: Floats, size: Ints) -> float:
    """Return a row's energy."""
    for v in range(size.shape[0]):
        if need[v] > size[v]:
            return math.inf
    value = base
    for k in range(price.shape[0]):
        value += accesses[k] * price[k]
    return value


class UpwardPrices(NamedTuple):
    """Prices of K columns in a box: the least of every size of the box and all larger ones."""

    size: Ints  # (K,) size variable of each
    first: Ints  # (K,) where each starts
    price: Floats  # of all columns, one after the other


@tiered
def price_rows_in_box(
    base: Floats, accesses: Floats, need: Ints, p: UpwardPrices, low: Ints, high: Ints,
    energy: Floats,
) -> None:  # fmt: skip
    """Fill the least energies ``(R,)`` in a box; infinite where a row fits none of it.

    Where a row is chosen, every size is at least what it needs, so its own accesses cost no less
    than there.

    Args:
        base: ``(R,)`` what depends on no size.
        accesses: ``(R, K)`` by price.
        need: ``(R, V)``.
        p: the prices.
        low: ``(V,)`` the smallest sizes.
        high: ``(V,)`` the largest.
        energy: the result.
    """
    for r in range(base.shape[0]):
        energy[r] = _price_in_box(base[r], accesses[r], need[r], p, low, high)


@inner
def _price_in_box(
    base: float, accesses: Floats, need: Ints, p: UpwardPrices, low: Ints, high: Ints
) -> float:
    """Return a row's least energy."""
    for v in range(high.shape[0]):
        if need[v] > high[v]:
            return math.inf
    value = base
    for k in range(p.size.shape[0]):
        v = p.size[k]
        value += accesses[k] * p.price[p.first[k] + max(need[v] - low[v], 0)]
    return value


class Supports(NamedTuple):
    """Least values of ``energy + l * cycles`` for K multipliers, and of ``cycles`` alone (last)."""

    multiplier: Floats  # (K,) growing, the first is 0
    least: Floats  # (N, K + 1)
    best: Ints  # (N, K + 1) the points that have them
    total: Floats  # (K + 1,) weighted sums


def new_supports(layers: int, multiplier: Floats) -> Supports:
    """Allocate supports."""
    shape = (layers, len(multiplier) + 1)
    return Supports(multiplier, np.empty(shape), np.empty(shape, np.int64), np.empty(shape[1]))


@tiered
def find_supports(p: LayerPoints, s: Supports) -> None:
    """Fill the supports; a layer without points has infinite ones."""
    s.total[:] = 0.0
    for n in range(p.weight.shape[0]):
        s.least[n, :] = math.inf
        s.best[n, :] = -1
        for r in range(p.first[n], p.first[n + 1]):
            _support(s.multiplier, p.energy[r], p.cycles[r], r, s.least[n], s.best[n])
        for k in range(s.total.shape[0]):
            s.total[k] += p.weight[n] * s.least[n, k]


@inner
def _support(multiplier: Floats, e: float, t: float, r: int, least: Floats, best: Ints) -> None:
    """Let a point support its layer where it is the least."""
    count = multiplier.shape[0]
    for k in range(count):
        value = e + multiplier[k] * t
        if value < least[k]:
            least[k] = value
            best[k] = r
    if t < least[count] and not math.isinf(e):
        least[count] = t
        best[count] = r


@inner
def _corner(multiplier: Floats, k: int, here: float, beyond: float) -> float:
    """Product at the corner between supports k and k + 1."""
    last = k + 1 == multiplier.shape[0]
    y = beyond if last else (beyond - here) / (multiplier[k + 1] - multiplier[k])
    return float((here - multiplier[k] * y) * y)


@tiered
def polygon_minimum(s: Supports, mode: int) -> float:
    """Return the least value that the supports allow."""
    count = s.multiplier.shape[0]
    if mode == ENERGY:
        return float(s.total[0])
    if mode == DELAY or math.isinf(s.total[0]):
        return float(s.total[count])
    least = math.inf
    for k in range(count):
        least = min(least, _corner(s.multiplier, k, s.total[k], s.total[k + 1]))
    return least


@tiered
def mark_useful(p: LayerPoints, s: Supports, mode: int, limit: float, useful: Flags) -> int:
    """Set which points some choice with a value below ``limit`` may hold; return how many."""
    count = s.multiplier.shape[0]
    marked = 0
    for n in range(p.weight.shape[0]):
        w = p.weight[n]
        for r in range(p.first[n], p.first[n + 1]):
            e, t = p.energy[r], p.cycles[r]
            if mode == ENERGY:
                value = s.total[0] + w * (e - s.least[n, 0])
            elif mode == DELAY:
                value = s.total[count] + w * (t - s.least[n, count])
            else:
                value = math.inf
                here = s.total[0] + w * (e - s.least[n, 0])
                for k in range(count):
                    if k + 1 < count:
                        moved = e + s.multiplier[k + 1] * t - s.least[n, k + 1]
                    else:
                        moved = t - s.least[n, count]
                    beyond = s.total[k + 1] + w * moved
                    value = min(value, _corner(s.multiplier, k, here, beyond))
                    if value < limit:
                        break
                    here = beyond
            useful[r] = value < limit
            marked += useful[r]
    return marked


@tiered
def _lower_hulls(p: LayerPoints, hull: Ints, hull_first: Ints) -> None:
    """Find the points on each layer's lower hull.

    Args:
        p: the points, those of a layer by growing cycles.
        hull: filled with points, by growing cycles and falling energy.
        hull_first: ``(N + 1,)`` filled with where each layer's points start.
    """
    size = 0
    hull_first[0] = 0
    for n in range(p.weight.shape[0]):
        start = size
        for r in range(p.first[n], p.first[n + 1]):
            size = _extend(p, r, hull, start, size)
        hull_first[n + 1] = size


@inner
def _extend(p: LayerPoints, r: int, hull: Ints, start: int, size: int) -> int:
    """Let the hull ``start .. size`` of a layer go on to a point; return where it ends."""
    e, t = p.energy[r], p.cycles[r]
    if math.isinf(e):
        return size
    if size > start:
        if e >= p.energy[hull[size - 1]]:
            return size
        if t == p.cycles[hull[size - 1]]:
            size -= 1
    while size - start >= 2:
        a, b = hull[size - 2], hull[size - 1]
        cross = (p.cycles[b] - p.cycles[a]) * (e - p.energy[a]) - (p.energy[b] - p.energy[a]) * (
            t - p.cycles[a]
        )
        if cross > 0.0:
            break
        size -= 1
    hull[size] = r
    return size + 1


class HullPath(NamedTuple):
    """The corners of the lower hull of all choices of one point per layer, by growing cycles.

    Attributes:
        energy, cycles: totals.
        first: of the hull of each layer: the point of least cycles.
        moved: the layer that goes on to its next point, from corner to corner.
        hull: the points of all layers' hulls.
    """

    energy: Floats
    cycles: Floats
    first: Ints
    moved: Ints
    hull: Ints

    def points(self, corner: int) -> Ints:
        """Return the point of every layer at a corner, ``(N,)``."""
        moved = np.bincount(self.moved[:corner], minlength=len(self.first))
        chosen: Ints = self.hull[self.first + moved]
        return chosen


def hull_path(p: LayerPoints) -> HullPath | None:
    """Return the lower hull of all choices of one point per layer; None where a layer has none.

    Points of infinite energy count as none.
    """
    hull, hull_first = np.empty(len(p.energy), np.int64), np.empty(len(p.first), np.int64)
    _lower_hulls(p, hull, hull_first)
    if (np.diff(hull_first) == 0).any():
        return None
    hull = hull[: hull_first[-1]]
    corners = hull_first[:-1].copy()
    x = float((p.weight * p.energy[hull[corners]]).sum())
    y = float((p.weight * p.cycles[hull[corners]]).sum())
    of = np.repeat(np.arange(len(p.weight)), np.diff(hull_first))
    edge = np.flatnonzero(of[1:] == of[:-1])
    gain = p.energy[hull[edge]] - p.energy[hull[edge + 1]]
    cost = p.cycles[hull[edge + 1]] - p.cycles[hull[edge]]
    steps = np.lexsort((edge, -gain / cost))
    weight = p.weight[of[edge[steps]]]
    xs = x - np.concatenate([[0.0], np.cumsum(weight * gain[steps])])
    ys = y + np.concatenate([[0.0], np.cumsum(weight * cost[steps])])
    return HullPath(xs, ys, corners, of[edge[steps]], hull)
