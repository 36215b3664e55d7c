"""What a layer comes to at least on hardware of many sizes at once, without a search.

As in `dse.mappers.exact.pattern_floors` every way to keep and bypass tensors is bounded: flows
between levels by their tiles, what the MACs read and update by the spatial factors. Here the sizes
of some levels are open. A *class* is a range of one level's sizes: tiles have the words of its
largest, accesses the price of its least. All that is found has an axis for every open level, so
each choice of classes has a bound of its own.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.mappers.exact.floors import MacFlows, alike, shares
from dse.mappers.exact.grids import Grids
from dse.mappers.exact.layout import flows_of, tables_of
from dse.mappers.exact.shape import MapspaceShape
from dse.mappers.exact.tables import TooLargeError
from dse.mappers.exact.tile_points import tile_points, undominated
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.model import rules
from dse.numeric import Flags, Floats, Ints

#: Tables of tiles that are kept of a layer, some 10 KB each.
_MOST_KEPT = 2000
#: Sums of floats differ by less than this, relatively, in another order.
_ROUNDING = 1e-12
#: What depends neither on prices and sizes, nor on the arrays.
_LASTING = ("extent", "words")
#: Columns of the prices of a class.
READ, FILL, UPDATE, LEAK = range(4)

#: Tensor, level that receives (-1: the MACs), level that delivers.
_Flow = tuple[int, int, int]
_Flows = tuple[_Flow, ...]


@dataclass(frozen=True, eq=False)
class SizeClasses:
    """The sizes of one level, in growing ranges.

    Attributes:
        level: whose sizes these are.
        words: ``(P,)`` that tiles may use of the largest size of each.
        price_pj: ``(P, 4)`` the least of each, per vector access: read, fill, update; leakage per
            cycle.
    """

    level: int
    words: Ints
    price_pj: Floats


@dataclass(frozen=True, eq=False)
class _Moved:
    """What some flows between levels come to at least, by classes.

    Attributes:
        energy: in pJ; infinite where no tile fits.
        loads: words that an instance of a level moves, of each limit of bandwidth.
    """

    energy: Floats
    loads: list[Floats]


def _sum(first: _Moved, others: Sequence[_Moved]) -> _Moved:
    """Return what several flows come to together."""
    energy, loads = first.energy, first.loads
    for one in others:
        energy = energy + one.energy
        loads = [a + b for a, b in zip(loads, one.loads, strict=True)]
    return _Moved(energy, loads)


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
        #: by the flows to the MACs, what the other flows of each pattern come to
        self._others: dict[_Flows, list[_Moved]] = {}
        if space.infeasible or not patterns:
            return
        shape = MapspaceShape(space, architecture, patterns[0], self._shared)
        grids: Grids = shape.once("grids", lambda: Grids(shape))
        self._spatial = list(grids.vectors)
        self._hardware = shape.hardware
        self._t = tables_of(shape, grids, version, 0.0, only_cycles=False, widths=None)[1]
        whole, self._same = alike(grids, self._t.row, self._t.window)
        self._grids, self._whole = grids, whole
        self._used = self._t.used[whole]
        self._macs = MacFlows(self._t, grids, whole, shape)
        self._leak = self._t.leak[whole]
        self._limits = [
            (k, ways, float(rate))
            for k in range(shape.levels)
            for rate, ways in zip(self._t.bandwidth[:, k], ((0,), (1,), (0, 1)), strict=True)
            if not math.isinf(rate)
        ]
        blocks = _blocks(shape, self._spatial)
        key = "plans", tuple(map(tuple, blocks)), space.arrays.keep.tobytes()
        if key not in self._points:
            self._points[key] = [_planned(tuple(flows_of(keep)), blocks) for keep in patterns]
        self._moved: dict[tuple[int, int], tuple[Floats, Floats]] = {}
        self._served: dict[_Flow, float] = {}
        terms: dict[_Flows, _Moved] = {}
        nothing = _Moved(self._open(), [self._open() for _ in self._limits])
        for macs, parts in self._points[key]:
            for part in parts:
                if part not in terms:
                    terms[part] = self._term(part)
            total = _sum(nothing, [terms[part] for part in parts])
            self._others.setdefault(macs, []).append(total)

    def _open(self) -> Floats:
        return np.zeros((1,) * len(self._classes))

    def _term(self, flows: _Flows) -> _Moved:
        """Return what flows that start with one tile come to at least, by classes."""
        t = self._t
        last = not any(u > flows[0][1] for u in self._spatial)
        served = tuple(1.0 if last else self._most_served(flow) for flow in flows)
        starts = tuple((tensor, low) for tensor, low, _ in flows)
        key = starts, served, last
        if key not in self._points:
            if len(self._points) >= _MOST_KEPT:
                self._points.pop(next(iter(self._points)))
            self._points[key] = tile_points(t, starts, served, last=last)
        points = self._points[key]
        column = (slice(None), *(None for _ in self._classes))
        energy = np.zeros((len(points.words), *(1 for _ in self._classes)))
        loads = np.zeros((len(self._limits), len(points.words)))
        for (tensor, low, high), words in zip(flows, points.words.T, strict=True):
            reads, updates, filled = words, np.zeros_like(words), words - t.spread[low]
            if t.read_write[tensor]:
                # the first time there is nothing to read
                reads, updates = words - t.total[tensor] * t.spread[high], words
                filled = words - t.total[tensor] * t.spread[low]
            reads, filled = np.maximum(reads, 0.0), np.maximum(filled, 0.0)
            counts = (high, reads, READ), (high, updates, UPDATE), (low, filled, FILL)
            for s, some, kind in counts:
                accesses = some / t.block[s] * t.share[s]
                energy = energy + accesses[column] * self._price(s, kind)
            for number, (k, ways, _) in enumerate(self._limits):
                for way, some in enumerate((reads, updates)):
                    if t.bank[high] == k and way in ways:
                        loads[number] += some / t.spread[high]
                if t.bank[low] == k and last and not t.read_write[tensor] and 1 in ways:
                    loads[number] += words
        fits = np.ones((1,) * energy.ndim, np.bool_)
        for k, need in zip(sorted({low for _, low, _ in flows}), points.need.T, strict=True):
            fits = fits & (need[column] <= self._room(k))
        least = np.where(fits, energy, math.inf).min(axis=0, initial=math.inf)
        some = [np.where(fits, own[column], math.inf).min(axis=0) for own in loads]
        return _Moved(least, some)

    def _most_served(self, flow: _Flow) -> float:
        """Return the receivers that a read of a flow serves by loops in space, at most."""
        if flow not in self._served:
            t = self._t
            some = shares(self._grids, t.row, t.window, flow, self._whole)
            self._served[flow] = float(some.max(initial=1.0))
        return self._served[flow]

    def _along(self, level: int, values: Floats) -> Floats:
        """Return values of a level's classes along its axis."""
        place = [1] * len(self._classes)
        place[self._axis[level]] = len(values)
        found: Floats = values.reshape(place)
        return found

    def _price(self, s: int, kind: int) -> Floats:
        """Return the price of a level's accesses in pJ, by classes."""
        if s in self._axis:
            return self._along(s, self._classes[self._axis[s]].price_pj[:, kind])
        t = self._t
        return np.full_like(self._open(), (t.read_pj, t.fill_pj, t.update_pj)[kind][s])

    def _room(self, s: int) -> Floats:
        """Return the words that tiles may use of a level, by classes."""
        if s in self._axis:
            return self._along(s, self._classes[self._axis[s]].words.astype(np.float64))
        size = int(self._hardware.size_words[s, 0])
        buffering = self._hardware.multiple_buffering[s, 0]
        return self._open() + (math.inf if size < 0 else rules.usable_words(size, buffering))

    def least(self, multipliers: Sequence[float]) -> Floats:
        """Return what ``energy + multiplier * cycles`` is no less than, for each choice of classes.

        Args:
            multipliers: of cycles, in pJ a cycle; infinite: cycles alone.

        Returns:
            ``(multipliers, classes of each open level)``; infinite where there is no mapping.
        """
        sizes = tuple(len(one.words) for one in self._classes)
        found = np.full((len(multipliers), *sizes), math.inf)
        column = (slice(None), *(None for _ in sizes))
        for flows, patterns in self._others.items():
            cycles, energy, more, moved = self._on_macs(flows)
            if not len(cycles):
                continue
            fastest, cheapest = cycles.min(), energy.min(axis=0) + more
            others = np.array([np.broadcast_to(one.energy, sizes) for one in patterns])
            time = np.where(np.isfinite(others), fastest, math.inf)
            slowed = False
            for number, ((_, _, rate), own) in enumerate(zip(self._limits, moved, strict=True)):
                loads = np.array([np.broadcast_to(one.loads[number], sizes) for one in patterns])
                transfer = (loads + own) / rate + self._t.latency
                if (transfer > time).any():
                    time, slowed = np.maximum(time, transfer), True
            known = np.where(np.isfinite(time), time, 0.0) if slowed else time
            for m, multiplier in enumerate(multipliers):
                least = time
                if not math.isinf(multiplier):
                    least = others + ((energy + (multiplier * cycles)[column]).min(axis=0) + more)
                    if slowed:
                        np.maximum(least, others + cheapest + multiplier * known, out=least)
                np.minimum(found[m], least.min(axis=0), out=found[m])
        return found * (1.0 - _ROUNDING)

    def by_grid(self, multipliers: Sequence[float]) -> GridValues:
        """Return what each choice of spatial factors comes to at least; of one choice of classes.

        Args:
            multipliers: as in `least`.
        """
        values = np.full((len(multipliers), len(self._used)), math.inf)
        for flows, patterns in self._others.items():
            cycles, energy, prices = self._columns(flows)
            able = np.isfinite(cycles)
            spent = energy[0] + min(float(one.energy.min()) for one in patterns)
            for words, price in zip(energy[1:], prices, strict=True):
                spent = spent + words * float(price.min())
            for m, multiplier in enumerate(multipliers):
                own = cycles[able]
                if not math.isinf(multiplier):
                    own = spent[able] + multiplier * own
                values[m, able] = np.minimum(values[m, able], own)
        return GridValues(factors_of(self._grids), values[:, self._same])

    def _on_macs(self, flows: _Flows) -> tuple[Floats, Floats, Floats, list[float]]:
        """Return what the MACs take on the grids worth having.

        Returns:
            Cycles ``(G,)``; energy by grid and classes with the least leakage; by classes what more
            they leak at least; words that they move at least of each limit of bandwidth.
        """
        t, used = self._t, self._used
        cycles, energy, prices = self._columns(flows)
        more = self._open()
        for one in self._classes:
            time = float((used[:, one.level + 1] * cycles).min(initial=math.inf))
            leak = one.price_pj[:, LEAK] - one.price_pj[:, LEAK].min()
            if rules.leaks(t.version) and leak.any():
                more = more + self._along(one.level, leak * time)
        able = np.isfinite(cycles)
        table = np.array([cycles, *energy])[:, able]
        table = table[:, undominated(table)]
        column = (slice(None), *(None for _ in self._classes))
        energy_of = table[1][column]
        for words, price in zip(table[2:], prices, strict=True):
            energy_of = energy_of + words[column] * price
        return table[0] + t.latency, energy_of, more, self._least_moved(flows, able)

    def _columns(self, flows: _Flows) -> tuple[Floats, list[Floats], list[Floats]]:
        """Return cycles of each grid, its energy at no price, and vector accesses with prices."""
        t, used = self._t, self._used
        moved = np.zeros((len(t.bank), 2, len(used)))
        accesses: list[Floats] = []
        prices: list[Floats] = []
        for high, way, words in self._to_macs(flows):
            moved[t.bank[high], way] += words / used[:, high + 1]
            accesses.append(words * (t.share[high] / t.block[high]))
            prices.append(self._price(high, (READ, UPDATE)[way]))
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


def _planned(flows: _Flows, blocks: Sequence[Sequence[int]]) -> tuple[_Flows, list[_Flows]]:
    """Return the flows to the MACs, and the others, those together that start with one tile."""
    parts = [tuple(flow for flow in flows if flow[1] in block) for block in blocks]
    return tuple(flow for flow in flows if flow[1] < 0), [part for part in parts if part]


def _blocks(shape: MapspaceShape, spatial: Sequence[int]) -> list[list[int]]:
    """Return the levels, those together whose tiles are the same: without loops between them."""
    found: list[list[int]] = []
    for s in range(shape.levels):
        places = (shape.slot(d, s, spatial=False) for d in range(len(shape.active)))
        if not found or s in spatial or any(place is not None for place in places):
            found.append([s])
        else:
            found[-1].append(s)
    return found
