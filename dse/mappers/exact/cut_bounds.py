"""What the flows of a cut come to at least, by classes of sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from dse.mappers.exact.cuts import Cut, Flow
from dse.mappers.exact.floors import handed, shares
from dse.mappers.exact.grids import Grids
from dse.mappers.exact.size_classes import FILL, READ, UPDATE, ClassAxes
from dse.mappers.exact.tables import Tables
from dse.mappers.exact.tile_points import Crossing, Least, Tally, TilePoints, tile_points
from dse.numeric import Flags, Floats, Ints

#: What is kept of a layer, some 10 KB each.
_MOST_KEPT = 2000
#: Ratios of prices that are told apart, in steps an octave.
_FILL_STEPS, _UPDATE_STEPS = 2, 8

T = TypeVar("T")

#: Buffer, ways (0: reads, 1: updates) that share a limit of its bandwidth, words a cycle.
RateLimit = tuple[int, tuple[int, ...], float]


@dataclass(frozen=True, eq=False)
class Use:
    """Grids that use much the same number of MACs.

    Attributes:
        number: of these.
        own: ``(grids worth telling apart,)`` which they are.
        grids: the numbers of all grids that they stand for, which no factor makes impossible.
        is_large: whether tiles are so large that it matters.
    """

    number: int
    own: Flags
    grids: Ints
    is_large: bool


@dataclass(frozen=True, eq=False)
class Moved:
    """What some flows between levels come to at least, by classes.

    Attributes:
        energy: in pJ; infinite where no tile fits.
        loads: words that an instance of a level moves, of each limit of bandwidth.
    """

    energy: Floats
    loads: list[Floats]


class CutBounds:
    """Bounds of the cuts of a layer.

    Args:
        t: of any pattern of the space.
        grids: all grids.
        axes: prices and room by classes.
        limits: of bandwidth.
        kept: what was found before of this layer, on whatever hardware.
    """

    def __init__(
        self,
        t: Tables,
        grids: Grids,
        axes: ClassAxes,
        limits: Sequence[RateLimit],
        kept: dict[Hashable, Any],
    ) -> None:
        self._t, self._grids, self._axes, self._limits = t, grids, axes, limits
        self._spatial = list(grids.vectors)
        self._points = kept
        self._known: dict[tuple[str, Flow, int], float] = {}

    def least(self, cut: Cut, use: Use) -> Moved:
        """Return what flows that cross out of one tile come to at least, by all classes."""
        last = not any(u > cut.block[-1] for u in self._spatial)
        crossing = tuple(self._crossing(flow, cut.block, use, last=last) for flow in cut.flows)
        rooms, size = self._rooms(cut, use), self._size(cut, use)
        levels = sorted({s for _, low, high in cut.flows for s in (low, high)})
        prices = [
            self._axes.price(s, kind).tobytes() for s in levels for kind in (READ, FILL, UPDATE)
        ]
        seen = [(self._per(s), self._spread(s), int(self._t.bank[s])) for s in levels]
        key = (
            cut, crossing, size, last, *prices, *seen, *(room.tobytes() for room in rooms),
            *((k, ways) for k, ways, _ in self._limits), self._axes.shape,
        )  # fmt: skip
        is_joint = any(low not in cut.block for _, low, _ in cut.flows)
        made = self._joint if is_joint else self._received
        return self._kept(key, lambda: made(cut, crossing, rooms, size, last=last))

    def _kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made before, or is made now and kept."""
        if key not in self._points:
            if len(self._points) >= _MOST_KEPT:
                self._points.pop(next(iter(self._points)))
            self._points[key] = make()
        found: T = self._points[key]
        return found

    def _received(
        self, cut: Cut, crossing: Sequence[Crossing], rooms: Sequence[Floats], size: Least,
        *, last: bool,
    ) -> Moved:  # fmt: skip
        """Return the same of flows that the levels of the tile receive."""
        t = self._t
        points = self._points_of(crossing, Tally.each(len(crossing)), size, last=last)
        column = (slice(None), *(None for _ in self._axes.classes))
        energy = np.zeros((len(points.moved), *(1 for _ in self._axes.classes)))
        loads = np.zeros((len(self._limits), len(points.moved)))
        for (tensor, low, high), words in zip(cut.flows, points.moved.T, strict=True):
            unread, unfilled = self._spared((tensor, low, high))
            updates = words if t.read_write[tensor] else np.zeros_like(words)
            reads, filled = np.maximum(words - unread, 0.0), np.maximum(words - unfilled, 0.0)
            counts = (high, reads, READ), (high, updates, UPDATE), (low, filled, FILL)
            for s, some, kind in counts:
                energy = energy + (some * self._per(s))[column] * self._axes.price(s, kind)
            for number, (k, ways, _) in enumerate(self._limits):
                for way, some in enumerate((reads, updates)):
                    if t.bank[high] == k and way in ways:
                        loads[number] += some / self._spread(high)
                if t.bank[low] == k and last and not t.read_write[tensor] and 1 in ways:
                    loads[number] += words
        fits = self._fits(points, rooms)
        least = np.where(fits, energy, math.inf).min(axis=0, initial=math.inf)
        some = [np.where(fits, own[column], math.inf).min(axis=0) for own in loads]
        return Moved(least, some)

    def _joint(
        self, cut: Cut, crossing: Sequence[Crossing], rooms: Sequence[Floats], size: Least,
        *, last: bool,
    ) -> Moved:  # fmt: skip
        """Return the same of flows that one level delivers, some of which it receives further in.

        All their energy is told in reads of that level, by the least ratio of prices.
        """
        t = self._t
        high = cut.flows[0][2]
        read, update = self._axes.price(high, READ), self._axes.price(high, UPDATE)
        loads = [self._axes.none() for _ in self._limits]
        if not (read > 0.0).all():
            return Moved(self._axes.none(), loads)
        limits = [i for i, (k, _, _) in enumerate(self._limits) if t.bank[high] == k]
        limits = limits if len(limits) == 1 else []
        weight = np.zeros((1 + len(limits), len(cut.flows), 3))
        per, spread = self._per(high), self._spread(high)
        for f, (tensor, low, _) in enumerate(cut.flows):
            fill = float(self._axes.price(low, FILL).min() / read.max())
            weight[0, f] = per, _rounded(fill, _FILL_STEPS) * self._per(low), 0.0
            if t.read_write[tensor]:
                weight[0, f, 2] = _rounded(float((update / read).min()), _UPDATE_STEPS) * per
            for i in limits:
                ways = self._limits[i][1]
                weight[1, f, 0] = (0 in ways) / spread
                weight[1, f, 2] = (1 in ways and t.read_write[tensor]) / spread
        spared = np.array([self._spared(flow) for flow in cut.flows])
        points = self._points_of(crossing, Tally(spared, weight), size, last=last)
        fits = self._fits(points, rooms)
        column = (slice(None), *(None for _ in self._axes.classes))
        least = [np.where(fits, own[column], math.inf).min(axis=0) for own in points.moved.T]
        for i in limits:
            loads[i] = least[1]
        return Moved(least[0] * read, loads)

    def _points_of(
        self, crossing: Sequence[Crossing], weights: Tally, size: Least, *, last: bool
    ) -> TilePoints:
        """Return the tiles worth having for a cut."""
        key = (*crossing, size, last, weights.spared.tobytes(), weights.weight.tobytes())
        return self._kept(key, lambda: tile_points(self._t, crossing, weights, size, last=last))

    def _per(self, s: int) -> float:
        """Return the vector accesses of a level for each of its words."""
        return float(self._t.share[s] / self._t.block[s])

    def _spread(self, s: int) -> float:
        """Return the instances of a level at most, a power of two: few differ."""
        return 2.0 ** math.ceil(math.log2(self._t.spread[s]))

    def _spared(self, flow: Flow) -> tuple[float, float]:
        """Return the words of a flow that are not read, and not filled, at most."""
        tensor, low, high = flow
        if not self._t.read_write[tensor]:
            return 0.0, self._spread(low)
        # the first time there is nothing to read
        total = float(self._t.total[tensor])
        return total * self._spread(high), total * self._spread(low)

    def _fits(self, points: TilePoints, rooms: Sequence[Floats]) -> Flags:
        """Return which tiles fit, by classes."""
        column = (slice(None), *(None for _ in self._axes.classes))
        fits = np.ones((1,) * (1 + len(self._axes.classes)), np.bool_)
        for room, need in zip(rooms, points.need.T, strict=True):
            fits = fits & (need[column] <= room)
        return fits

    def _crossing(self, flow: Flow, block: tuple[int, ...], use: Use, *, last: bool) -> Crossing:
        """Return a flow as it crosses out of the tile of a block."""
        tensor, low, high = flow
        level = low if low in block else -1
        start = low if level >= 0 else block[-1]
        served = 1.0 if last else self._most_served((tensor, start, high), use)
        handed = 1.0 if level >= 0 else self._most_handed((tensor, low, block[-1]), use)
        return Crossing(tensor, level, served, handed)

    def _rooms(self, cut: Cut, use: Use) -> list[Floats]:
        """Return the words that there is room for, as `TilePoints` has what needs it."""
        own = sorted({low for _, low, _ in cut.flows if low in cut.block})
        found = [self._axes.room(level) for level in own]
        for _, low, _ in cut.flows:
            if low not in cut.block:
                between = [s for s in self._spatial if low < s <= cut.block[-1]]
                fan = self._grids.fan[use.grids][:, between].prod(axis=1)
                found.append(self._axes.room(low) * _raised(float(fan.max(initial=1.0))))
        return found

    def _most_handed(self, flow: Flow, use: Use) -> float:
        """Return the receivers to which links hand what one of them has read, at most."""
        key = ("handed", flow, use.number)
        if key not in self._known:
            some = handed(self._grids, self._t.row, self._t.window, flow, use.grids)
            self._known[key] = _raised(float(some.max(initial=1.0)))
        return self._known[key]

    def _most_served(self, flow: Flow, use: Use) -> float:
        """Return the receivers that a read of a flow serves by loops in space, at most."""
        key = ("served", flow, use.number)
        if key not in self._known:
            some = shares(self._grids, self._t.row, self._t.window, flow, use.grids)
            self._known[key] = _raised(float(some.max(initial=1.0)))
        return self._known[key]

    def _size(self, cut: Cut, use: Use) -> Least:
        """Return how large the tile of a cut is at least."""
        dimensions = self._grids.factor.shape[2]
        if not use.is_large or not len(use.grids):
            return Least((1,) * dimensions, 1.0, (False,) * dimensions)
        top = cut.block[-1] + 1
        within = self._grids.factor[use.grids, :top].astype(np.int64).prod(axis=1)
        volume = float(within.prod(axis=1).min())
        runs = (within > 1).any(axis=0)
        return Least(tuple(within.min(axis=0).tolist()), _rounded(volume, 2), tuple(runs.tolist()))


def _raised(number: float) -> float:
    """Return a number from 1 on a little higher, in steps of half an octave, so that few differ."""
    return float(2.0 ** (math.ceil(2.0 * math.log2(number)) / 2.0))


def _rounded(ratio: float, steps: int) -> float:
    """Return a ratio a little lower, of so many steps an octave, so that few differ; 0 of none."""
    return 2.0 ** (math.floor(steps * math.log2(ratio)) / steps) if ratio > 0.0 else 0.0
