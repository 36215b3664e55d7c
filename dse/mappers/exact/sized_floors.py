"""What a layer comes to at least on hardware of many sizes at once, without a search.

As in `dse.mappers.exact.pattern_floors` every way to keep and bypass tensors is bounded: flows
between levels by their tiles, what the MACs read and update by the spatial factors. Here the sizes
of some levels are open. A *class* is a range of one level's sizes: tiles have the words of its
largest, accesses the price of its least. All that is found has an axis for every open level, so
each choice of classes has a bound of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.mappers.exact.floors import MacFlows, alike, handed, shares
from dse.mappers.exact.grids import Grids
from dse.mappers.exact.layout import flows_of, tables_of
from dse.mappers.exact.pattern_sums import MacLeast, Sums, class_rows, least_of
from dse.mappers.exact.shape import MapspaceShape
from dse.mappers.exact.tables import TooLargeError
from dse.mappers.exact.tile_points import (
    Crossing,
    Least,
    TilePoints,
    Weights,
    tile_points,
    undominated,
)
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.model import rules
from dse.numeric import Flags, Floats, Ints

#: Tables of tiles that are kept of a layer, some 10 KB each.
_MOST_KEPT = 2000
#: Ratios of prices that are told apart, in steps an octave.
_FILL_STEPS, _UPDATE_STEPS = 2, 8
#: Sums of floats differ by less than this, relatively, in another order.
_ROUNDING = 1e-12
#: What depends neither on prices and sizes, nor on the arrays.
_LASTING = ("extent", "words")
#: What part of the most MACs that any grid uses is many.
_MANY = 2 / 3
#: Columns of the prices of a class.
READ, FILL, UPDATE, LEAK = range(4)

T = TypeVar("T")

#: Tensor, level that receives (-1: the MACs), level that delivers.
_Flow = tuple[int, int, int]
_Flows = tuple[_Flow, ...]


class _Cut(NamedTuple):
    """Flows whose words are counted where they cross out of one tile.

    Attributes:
        block: the levels whose tile it is; see `_blocks`.
        flows: received by these levels, or further in, and delivered from further out.
    """

    block: tuple[int, ...]
    flows: _Flows


@dataclass(frozen=True, eq=False)
class SizeClasses:
    """The sizes of one level, in growing ranges, some of which are open.

    What is not open is there so that much that is found once serves all choices of open ones.

    Attributes:
        level: whose sizes these are.
        words: ``(P,)`` that tiles may use of the largest size of each.
        price_pj: ``(P, 4)`` the least of each, per vector access: read, fill, update; leakage per
            cycle.
        begin, end: the open ones, the last exclusive.
    """

    level: int
    words: Ints
    price_pj: Floats
    begin: int
    end: int

    @property
    def count(self) -> int:
        """How many are open."""
        return self.end - self.begin

    @property
    def open_pj(self) -> Floats:
        """Prices of the open ones ``(count, 4)``."""
        return self.price_pj[self.begin : self.end]


@dataclass(frozen=True, eq=False)
class _Use:
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
class _Moved:
    """What some flows between levels come to at least, by classes.

    Attributes:
        energy: in pJ; infinite where no tile fits.
        loads: words that an instance of a level moves, of each limit of bandwidth.
    """

    energy: Floats
    loads: list[Floats]


class GridValues(NamedTuple):
    """What choices of spatial factors come to; G of them, M multipliers."""

    factors: npt.NDArray[np.void]  # (G,)
    values: Floats  # (M, G)

    def among(self, factors: npt.NDArray[np.void]) -> Floats:
        """Return the least of some choices ``(M,)``, those that are not known left out."""
        found: Floats = self.values[:, np.isin(self.factors, factors)].min(axis=1, initial=math.inf)
        return found


def factors_of(grids: Grids) -> npt.NDArray[np.void]:
    """Return the spatial factors of all whole grids, as one key each."""
    table = np.ascontiguousarray(grids.factor[grids.whole].reshape(-1, grids.factor[0].size))
    return table.view(np.dtype((np.void, table.itemsize * table.shape[1]))).reshape(-1)


class SizedFloors:
    """Bounds of a layer by the classes of sizes.

    Args:
        space: the mappings.
        architecture: hardware of the largest sizes and the least prices of all classes; it may be
            fictitious.
        version: a value of :data:`dse.model.arrays.TIMELOOP_VERSIONS`.
        patterns: keep/bypass patterns ``(L, T)`` of the mapspace.
        classes: of the levels whose sizes are open.
        like: of the same layer and levels; what it has found out of tiles is taken over.

    Raises:
        TooLargeError: there are too many tiles, grids or cycles.
    """

    def __init__(
        self,
        space: Mapspace,
        architecture: Architecture,
        version: int,
        patterns: Sequence[Flags],
        classes: Sequence[SizeClasses],
        like: SizedFloors | None = None,
    ) -> None:
        if not a.cycles_are_exact(HardwareBatch.of(architecture), space.problem):
            raise TooLargeError("at these bandwidths, cycles could exceed what Timeloop counts")
        self._classes = tuple(classes)
        self._axis = {one.level: axis for axis, one in enumerate(classes)}
        #: what no hardware changes: tiles worth having, and plans of the patterns
        self._points: dict[Hashable, Any] = {} if like is None else like._points
        self._shared: dict[Hashable, Any] = {}
        if like is not None:
            self._shared = {key: like._shared[key] for key in _LASTING if key in like._shared}
        #: None: there are no mappings
        self._plans: _Plans | None = None
        if space.infeasible or not patterns:
            return
        shape = MapspaceShape(space, architecture, patterns[0], self._shared)
        grids: Grids = shape.once("grids", lambda: Grids(shape))
        self._spatial = list(grids.vectors)
        self._hardware = shape.hardware
        self._t = tables_of(shape, grids, version, 0.0, only_cycles=False, widths=None)[1]
        whole, self._same = alike(grids, self._t.row, self._t.window)
        self._grids = grids
        self._used = self._t.used[whole]
        self._uses = self._parted(whole)
        self._macs = MacFlows(self._t, grids, whole, shape)
        self._leak = self._t.leak[whole]
        self._limits = [
            (k, ways, float(rate))
            for k in range(shape.levels)
            for rate, ways in zip(self._t.bandwidth[:, k], ((0,), (1,), (0, 1)), strict=True)
            if not math.isinf(rate)
        ]
        blocks = _blocks(shape, self._spatial)
        key = "plans", tuple(blocks), space.arrays.keep.tobytes()
        if key not in self._points:
            self._points[key] = _planned(patterns, blocks)
        self._plans = self._points[key]
        self._moved: dict[tuple[int, int], tuple[Floats, Floats]] = {}
        self._known: dict[tuple[str, _Flow, int], float] = {}
        self._terms = [
            self._opened(self._term(cut, use)) for use in self._uses for cut in self._plans.cuts
        ]

    def _parted(self, whole: Ints) -> list[_Use]:
        """Return the possible grids by how many MACs they use: much as many as the most, or fewer.

        A tile holds whatever runs in space within it, so with many it is large. One part where
        there is no dimension along which all that use many run.
        """
        every = np.arange(self._grids.whole.start, self._grids.whole.stop)
        along = self._grids.factor[every].astype(np.int64).prod(axis=1)
        fits = (self._t.bound % along == 0).all(axis=1) & (
            self._t.used[every, 0] <= self._t.most_macs
        )
        every, along, same = every[fits], along[fits], self._same[fits]
        macs = self._used[:, 0]
        able = np.isin(np.arange(len(whole)), same)
        many = able & (macs >= _MANY * macs[able].max(initial=1.0))
        parts = [able]
        if (along[many[same]] > 1).all(axis=0).any():
            parts = [many, able & ~many]
        return [
            _Use(number, own, every[own[same]], is_large=number < len(parts) - 1)
            for number, own in enumerate(parts)
        ]

    def _least(self, cut: _Cut, use: _Use) -> Least:
        """Return how large the tile of a cut is at least."""
        dimensions = self._grids.factor.shape[2]
        if not use.is_large or not len(use.grids):
            return Least((1,) * dimensions, 1.0, (False,) * dimensions)
        top = cut.block[-1] + 1
        within = self._grids.factor[use.grids, :top].astype(np.int64).prod(axis=1)
        volume = float(within.prod(axis=1).min())
        runs = (within > 1).any(axis=0)
        return Least(tuple(within.min(axis=0).tolist()), _rounded(volume, 2), tuple(runs.tolist()))

    def _none(self) -> Floats:
        return np.zeros((1,) * len(self._classes))

    def _opened(self, moved: _Moved) -> _Moved:
        """Return what flows come to by open classes."""

        def some(values: Floats) -> Floats:
            own = zip(values.shape, self._classes, strict=True)
            return values[tuple(slice(c.begin, c.end) if n > 1 else slice(n) for n, c in own)]

        return _Moved(some(moved.energy), [some(own) for own in moved.loads])

    def _term(self, cut: _Cut, use: _Use) -> _Moved:
        """Return what flows that cross out of one tile come to at least, by all classes."""
        last = not any(u > cut.block[-1] for u in self._spatial)
        crossing = tuple(self._crossing(flow, cut.block, use, last=last) for flow in cut.flows)
        rooms, least = self._rooms(cut, use), self._least(cut, use)
        levels = sorted({s for _, low, high in cut.flows for s in (low, high)})
        prices = [self._price(s, kind).tobytes() for s in levels for kind in (READ, FILL, UPDATE)]
        seen = [(self._per(s), self._spread(s), int(self._t.bank[s])) for s in levels]
        key = (
            cut, crossing, least, last, *prices, *seen, *(room.tobytes() for room in rooms),
            *((k, ways) for k, ways, _ in self._limits), *(len(c.words) for c in self._classes),
        )  # fmt: skip
        is_joint = any(low not in cut.block for _, low, _ in cut.flows)
        made = self._joint if is_joint else self._received
        return self._kept(key, lambda: made(cut, crossing, rooms, least, last=last))

    def _kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made before, or is made now and kept."""
        if key not in self._points:
            if len(self._points) >= _MOST_KEPT:
                self._points.pop(next(iter(self._points)))
            self._points[key] = make()
        found: T = self._points[key]
        return found

    def _received(
        self, cut: _Cut, crossing: Sequence[Crossing], rooms: Sequence[Floats], size: Least,
        *, last: bool,
    ) -> _Moved:  # fmt: skip
        """Return the same of flows that the levels of the tile receive."""
        t = self._t
        points = self._points_of(crossing, Weights.each(len(crossing)), size, last=last)
        column = (slice(None), *(None for _ in self._classes))
        energy = np.zeros((len(points.moved), *(1 for _ in self._classes)))
        loads = np.zeros((len(self._limits), len(points.moved)))
        for (tensor, low, high), words in zip(cut.flows, points.moved.T, strict=True):
            unread, unfilled = self._spared((tensor, low, high))
            updates = words if t.read_write[tensor] else np.zeros_like(words)
            reads, filled = np.maximum(words - unread, 0.0), np.maximum(words - unfilled, 0.0)
            counts = (high, reads, READ), (high, updates, UPDATE), (low, filled, FILL)
            for s, some, kind in counts:
                energy = energy + (some * self._per(s))[column] * self._price(s, kind)
            for number, (k, ways, _) in enumerate(self._limits):
                for way, some in enumerate((reads, updates)):
                    if t.bank[high] == k and way in ways:
                        loads[number] += some / self._spread(high)
                if t.bank[low] == k and last and not t.read_write[tensor] and 1 in ways:
                    loads[number] += words
        fits = self._fits(points, rooms)
        least = np.where(fits, energy, math.inf).min(axis=0, initial=math.inf)
        some = [np.where(fits, own[column], math.inf).min(axis=0) for own in loads]
        return _Moved(least, some)

    def _joint(
        self, cut: _Cut, crossing: Sequence[Crossing], rooms: Sequence[Floats], size: Least,
        *, last: bool,
    ) -> _Moved:  # fmt: skip
        """Return the same of flows that one level delivers, some of which it receives further in.

        All their energy is told in reads of that level, by the least ratio of prices.
        """
        t = self._t
        high = cut.flows[0][2]
        read, update = self._price(high, READ), self._price(high, UPDATE)
        loads = [self._none() for _ in self._limits]
        if not (read > 0.0).all():
            return _Moved(self._none(), loads)
        limits = [i for i, (k, _, _) in enumerate(self._limits) if t.bank[high] == k]
        limits = limits if len(limits) == 1 else []
        weight = np.zeros((1 + len(limits), len(cut.flows), 3))
        per, spread = self._per(high), self._spread(high)
        for f, (tensor, low, _) in enumerate(cut.flows):
            fill = float(self._price(low, FILL).min() / read.max())
            weight[0, f] = per, _rounded(fill, _FILL_STEPS) * self._per(low), 0.0
            if t.read_write[tensor]:
                weight[0, f, 2] = _rounded(float((update / read).min()), _UPDATE_STEPS) * per
            for i in limits:
                ways = self._limits[i][1]
                weight[1, f, 0] = (0 in ways) / spread
                weight[1, f, 2] = (1 in ways and t.read_write[tensor]) / spread
        spared = np.array([self._spared(flow) for flow in cut.flows])
        points = self._points_of(crossing, Weights(spared, weight), size, last=last)
        fits = self._fits(points, rooms)
        column = (slice(None), *(None for _ in self._classes))
        least = [np.where(fits, own[column], math.inf).min(axis=0) for own in points.moved.T]
        for i in limits:
            loads[i] = least[1]
        return _Moved(least[0] * read, loads)

    def _points_of(
        self, crossing: Sequence[Crossing], weights: Weights, size: Least, *, last: bool
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

    def _spared(self, flow: _Flow) -> tuple[float, float]:
        """Return the words of a flow that are not read, and not filled, at most."""
        tensor, low, high = flow
        if not self._t.read_write[tensor]:
            return 0.0, self._spread(low)
        # the first time there is nothing to read
        total = float(self._t.total[tensor])
        return total * self._spread(high), total * self._spread(low)

    def _fits(self, points: TilePoints, rooms: Sequence[Floats]) -> Flags:
        """Return which tiles fit, by classes."""
        column = (slice(None), *(None for _ in self._classes))
        fits = np.ones((1,) * (1 + len(self._classes)), np.bool_)
        for room, need in zip(rooms, points.need.T, strict=True):
            fits = fits & (need[column] <= room)
        return fits

    def _crossing(self, flow: _Flow, block: tuple[int, ...], use: _Use, *, last: bool) -> Crossing:
        """Return a flow as it crosses out of the tile of a block."""
        tensor, low, high = flow
        level = low if low in block else -1
        start = low if level >= 0 else block[-1]
        served = 1.0 if last else self._most_served((tensor, start, high), use)
        handed = 1.0 if level >= 0 else self._most_handed((tensor, low, block[-1]), use)
        return Crossing(tensor, level, served, handed)

    def _rooms(self, cut: _Cut, use: _Use) -> list[Floats]:
        """Return the words that there is room for, as `TilePoints` has what needs it."""
        own = sorted({low for _, low, _ in cut.flows if low in cut.block})
        found = [self._room(level) for level in own]
        for _, low, _ in cut.flows:
            if low not in cut.block:
                between = [s for s in self._spatial if low < s <= cut.block[-1]]
                fan = self._grids.fan[use.grids][:, between].prod(axis=1)
                found.append(self._room(low) * _raised(float(fan.max(initial=1.0))))
        return found

    def _most_handed(self, flow: _Flow, use: _Use) -> float:
        """Return the receivers to which links hand what one of them has read, at most."""
        key = ("handed", flow, use.number)
        if key not in self._known:
            some = handed(self._grids, self._t.row, self._t.window, flow, use.grids)
            self._known[key] = _raised(float(some.max(initial=1.0)))
        return self._known[key]

    def _most_served(self, flow: _Flow, use: _Use) -> float:
        """Return the receivers that a read of a flow serves by loops in space, at most."""
        key = ("served", flow, use.number)
        if key not in self._known:
            some = shares(self._grids, self._t.row, self._t.window, flow, use.grids)
            self._known[key] = _raised(float(some.max(initial=1.0)))
        return self._known[key]

    def _along(self, level: int, values: Floats) -> Floats:
        """Return values of a level's classes along its axis."""
        place = [1] * len(self._classes)
        place[self._axis[level]] = len(values)
        found: Floats = values.reshape(place)
        return found

    def _price(self, s: int, kind: int, *, opened: bool = False) -> Floats:
        """Return the price of a level's accesses in pJ, by all classes, or by open ones."""
        if s in self._axis:
            own = self._classes[self._axis[s]]
            return self._along(s, (own.open_pj if opened else own.price_pj)[:, kind])
        t = self._t
        return np.full_like(self._none(), (t.read_pj, t.fill_pj, t.update_pj)[kind][s])

    def _room(self, s: int) -> Floats:
        """Return the words that tiles may use of a level, by classes."""
        if s in self._axis:
            return self._along(s, self._classes[self._axis[s]].words.astype(np.float64))
        size = int(self._hardware.size_words[s, 0])
        buffering = self._hardware.multiple_buffering[s, 0]
        return self._none() + (math.inf if size < 0 else rules.usable_words(size, buffering))

    def least(self, multipliers: Sequence[float]) -> Floats:
        """Return what ``energy + multiplier * cycles`` is no less than, for each choice of classes.

        Args:
            multipliers: of cycles, in pJ a cycle; infinite: cycles alone.

        Returns:
            ``(multipliers, classes of each open level)``; infinite where there is no mapping.
        """
        classes = [one.count for one in self._classes]
        if self._plans is None:
            return np.full((len(multipliers), *classes), math.inf)
        taken = [
            self._on_macs(flows, use, multipliers)
            for use in self._uses
            for flows in self._plans.macs
        ]
        macs = MacLeast(
            class_rows([own for own, _, _ in taken], len(classes)),
            np.array([fastest for _, fastest, _ in taken]),
            np.array([moved for _, _, moved in taken]).reshape(len(taken), len(self._limits)),
        )
        terms = class_rows([(one.energy, *one.loads) for one in self._terms], len(classes))
        rate = np.array([rate for _, _, rate in self._limits])
        return least_of(
            self._plans.sums[len(self._uses) - 1],
            terms,
            macs,
            rate,
            self._t.latency,
            np.array(multipliers),
            classes,
        ) * (1.0 - _ROUNDING)

    def by_grid(self, multipliers: Sequence[float]) -> GridValues:
        """Return what each choice of spatial factors comes to at least; of one choice of classes.

        Args:
            multipliers: as in `least`.
        """
        if self._plans is None:
            return GridValues(np.zeros(0, np.dtype((np.void, 1))), np.zeros((len(multipliers), 0)))
        values = np.full((len(multipliers), len(self._used)), math.inf)
        others = np.array([float(one.energy.min()) for one in self._terms])
        sums = self._plans.sums[len(self._uses) - 1]
        groups = [(use, flows) for use in self._uses for flows in self._plans.macs]
        for group, (use, flows) in enumerate(groups):
            cycles, energy, prices = self._columns(flows)
            able = np.isfinite(cycles) & use.own
            spent = energy[0] + sums.least(group, others)
            for words, price in zip(energy[1:], prices, strict=True):
                spent = spent + words * float(price.min())
            for m, multiplier in enumerate(multipliers):
                own = cycles[able]
                if not math.isinf(multiplier):
                    own = spent[able] + multiplier * own
                values[m, able] = np.minimum(values[m, able], own)
        return GridValues(factors_of(self._grids), values[:, self._same])

    def _on_macs(
        self, flows: _Flows, use: _Use, multipliers: Sequence[float]
    ) -> tuple[list[Floats], float, list[float]]:
        """Return what the MACs take on the grids worth having.

        Returns:
            By multiplier, energy and what cycles weigh, by classes, then energy alone; the fewest
            cycles; words that they move at least of each limit of bandwidth.
        """
        t, used = self._t, self._used
        cycles, energy, prices = self._columns(flows)
        more = self._none()
        for one in self._classes:
            time = float((used[:, one.level + 1] * cycles).min(initial=math.inf))
            leak = one.open_pj[:, LEAK] - one.open_pj[:, LEAK].min()
            if rules.leaks(t.version) and leak.any():
                more = more + self._along(one.level, leak * time)
        able = np.isfinite(cycles) & use.own
        if not able.any():
            nothing = self._none() + math.inf
            return [nothing] * (len(multipliers) + 1), math.inf, [0.0] * len(self._limits)
        table = np.array([cycles, *energy])[:, able]
        table = table[:, undominated(table)]
        column = (slice(None), *(None for _ in self._classes))
        energy_of = table[1][column]
        for words, price in zip(table[2:], prices, strict=True):
            energy_of = energy_of + words[column] * price
        time_of = (table[0] + t.latency)[column]
        finite = [0.0 if math.isinf(multiplier) else multiplier for multiplier in multipliers]
        weighed = np.array([*finite, 0.0])[(slice(None), None, *column[1:])] * time_of
        least = list((energy_of + weighed).min(axis=1) + more)
        return least, float(time_of.min()), self._least_moved(flows, able)

    def _columns(self, flows: _Flows) -> tuple[Floats, list[Floats], list[Floats]]:
        """Return cycles of each grid, its energy at no price, and vector accesses with prices."""
        t, used = self._t, self._used
        moved = np.zeros((len(t.bank), 2, len(used)))
        accesses: list[Floats] = []
        prices: list[Floats] = []
        for high, way, words in self._to_macs(flows):
            moved[t.bank[high], way] += words / used[:, high + 1]
            accesses.append(words * (t.share[high] / t.block[high]))
            prices.append(self._price(high, (READ, UPDATE)[way], opened=True))
        cycles = self._macs.cycles(t, moved)
        known = np.where(np.isfinite(cycles), cycles, 0.0)
        return cycles, [t.macs * t.mac_pj + self._leak * known, *accesses], prices

    def _to_macs(self, flows: _Flows) -> Iterator[tuple[int, int, Floats]]:
        """Yield level, way (0: reads, 1: updates), and words by grid of the flows to the MACs."""
        for tensor, _, high in flows if not self._macs.linked else ():
            if (tensor, high) not in self._moved:
                self._moved[tensor, high] = self._macs.words(self._t, tensor, high)
            reads, updates = self._moved[tensor, high]
            yield high, 0, reads
            if self._t.read_write[tensor]:
                yield high, 1, updates

    def _least_moved(self, flows: _Flows, able: Flags) -> list[float]:
        """Return the words that the MACs' flows move at least of each limit of bandwidth."""
        found = []
        for k, ways, _ in self._limits:
            words = np.zeros(len(able))
            for high, way, some in self._to_macs(flows):
                if self._t.bank[high] == k and way in ways:
                    words += some / self._used[:, high + 1]
            found.append(float(words[able].min(initial=math.inf)))
        return found


def _raised(number: float) -> float:
    """Return a number from 1 on a little higher, in steps of half an octave, so that few differ."""
    return float(2.0 ** (math.ceil(2.0 * math.log2(number)) / 2.0))


def _rounded(ratio: float, steps: int) -> float:
    """Return a ratio a little lower, of so many steps an octave, so that few differ; 0 of none."""
    return 2.0 ** (math.floor(steps * math.log2(ratio)) / steps) if ratio > 0.0 else 0.0


@dataclass(frozen=True, eq=False)
class _Plans:
    """Where the flows of all patterns are counted.

    Attributes:
        macs: flows to the MACs of each group of patterns.
        cuts: all of them.
        sums: of the cuts, by number, of each group; and of each where many MACs are in use, then of
            each with few.
    """

    macs: tuple[_Flows, ...]
    cuts: tuple[_Cut, ...]
    sums: tuple[Sums, Sums]


def _planned(patterns: Sequence[Flags], blocks: Sequence[tuple[int, ...]]) -> _Plans:
    """Plan where the flows of some patterns are counted."""
    numbers: dict[_Cut, int] = {}
    groups: dict[_Flows, list[list[list[int]]]] = {}
    for keep in patterns:
        flows = flows_of(keep)
        plans = _plans_of([flow for flow in flows if flow[1] >= 0], blocks)
        own = [[numbers.setdefault(cut, len(numbers)) for cut in plan] for plan in plans]
        groups.setdefault(tuple(flow for flow in flows if flow[1] < 0), []).append(own)

    def sums(uses: int) -> Sums:
        return Sums.of(
            [
                [[[n + use * len(numbers) for n in plan] for plan in own] for own in group]
                for use in range(uses)
                for group in groups.values()
            ]
        )

    return _Plans(tuple(groups), tuple(numbers), (sums(1), sums(2)))


def _plans_of(flows: Sequence[_Flow], blocks: Sequence[tuple[int, ...]]) -> list[tuple[_Cut, ...]]:
    """Return plans for the flows between levels of a pattern: each tells where they cross.

    Where they are received, those of one block together; or, all that one level delivers together,
    where the outermost of them is received.
    """
    own = [(block, [flow for flow in flows if flow[1] in block]) for block in blocks]
    joint = []
    for high in sorted({high for _, _, high in flows}):
        together = [flow for flow in flows if flow[2] == high]
        outermost = max(low for _, low, _ in together)
        joint.append((next(block for block in blocks if outermost in block), together))
    plans = [
        tuple(_Cut(block, tuple(some)) for block, some in plan if some) for plan in (own, joint)
    ]
    return list(dict.fromkeys(plans))


def _blocks(shape: MapspaceShape, spatial: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the levels, those together whose tiles are the same: without loops between them."""
    found: list[list[int]] = []
    for s in range(shape.levels):
        places = (shape.slot(d, s, spatial=False) for d in range(len(shape.active)))
        if not found or s in spatial or any(place is not None for place in places):
            found.append([s])
        else:
            found[-1].append(s)
    return [tuple(block) for block in found]
