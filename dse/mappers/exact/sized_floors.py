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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.mappers.exact.cut_bounds import CutBounds, Use
from dse.mappers.exact.cuts import Flows, Plans, blocks_of, planned
from dse.mappers.exact.floors import MacFlows, alike
from dse.mappers.exact.grids import Grids
from dse.mappers.exact.layout import tables_of
from dse.mappers.exact.pattern_sums import MacLeast, class_rows, least_of
from dse.mappers.exact.shape import MapspaceShape
from dse.mappers.exact.size_classes import LEAK, READ, UPDATE, ClassAxes, SizeClasses
from dse.mappers.exact.tables import TooLargeError
from dse.mappers.exact.tile_points import undominated
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.model import rules
from dse.numeric import Flags, Floats, Ints

#: PatternSums of floats differ by less than this, relatively, in another order.
_ROUNDING = 1e-12
#: What depends neither on prices and sizes, nor on the arrays.
_LASTING = ("extent", "words")
#: What part of the most MACs that any grid uses is many.
_MANY = 2 / 3


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
        #: what no hardware changes: tiles worth having, and plans of the patterns
        self._points: dict[Hashable, Any] = {} if like is None else like._points
        self._shared: dict[Hashable, Any] = {}
        if like is not None:
            self._shared = {key: like._shared[key] for key in _LASTING if key in like._shared}
        #: None: there are no mappings
        self._plans: Plans | None = None
        if space.infeasible or not patterns:
            return
        shape = MapspaceShape(space, architecture, patterns[0], self._shared)
        grids: Grids = shape.once("grids", lambda: Grids(shape))
        self._t = tables_of(shape, grids, version, 0.0, only_cycles=False, widths=None)[1]
        self._axes = ClassAxes(self._t, shape.hardware, classes)
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
        blocks = blocks_of(shape, list(grids.vectors))
        key = "plans", tuple(blocks), space.arrays.keep.tobytes()
        if key not in self._points:
            self._points[key] = planned(patterns, blocks)
        self._plans = self._points[key]
        self._moved: dict[tuple[int, int], tuple[Floats, Floats]] = {}
        bounds = CutBounds(self._t, grids, self._axes, self._limits, self._points)
        found = (bounds.least(cut, use) for use in self._uses for cut in self._plans.cuts)
        #: energy, then loads
        self._terms = [[self._axes.opened(own) for own in (m.energy, *m.loads)] for m in found]

    def _parted(self, whole: Ints) -> list[Use]:
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
            Use(number, own, every[own[same]], is_large=number < len(parts) - 1)
            for number, own in enumerate(parts)
        ]

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
        terms = class_rows(self._terms, len(classes))
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
        others = np.array([float(energy.min()) for energy, *_ in self._terms])
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
        self, flows: Flows, use: Use, multipliers: Sequence[float]
    ) -> tuple[list[Floats], float, list[float]]:
        """Return what the MACs take on the grids worth having.

        Returns:
            By multiplier, energy and what cycles weigh, by classes, then energy alone; the fewest
            cycles; words that they move at least of each limit of bandwidth.
        """
        t, used = self._t, self._used
        cycles, energy, prices = self._columns(flows)
        more = self._axes.none()
        for one in self._classes:
            time = float((used[:, one.level + 1] * cycles).min(initial=math.inf))
            leak = one.open_pj[:, LEAK] - one.open_pj[:, LEAK].min()
            if rules.leaks(t.version) and leak.any():
                more = more + self._axes.along(one.level, leak * time)
        able = np.isfinite(cycles) & use.own
        if not able.any():
            nothing = self._axes.none() + math.inf
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

    def _columns(self, flows: Flows) -> tuple[Floats, list[Floats], list[Floats]]:
        """Return cycles of each grid, its energy at no price, and vector accesses with prices."""
        t, used = self._t, self._used
        moved = np.zeros((len(t.bank), 2, len(used)))
        accesses: list[Floats] = []
        prices: list[Floats] = []
        for high, way, words in self._to_macs(flows):
            moved[t.bank[high], way] += words / used[:, high + 1]
            accesses.append(words * (t.share[high] / t.block[high]))
            prices.append(self._axes.price(high, (READ, UPDATE)[way], opened=True))
        cycles = self._macs.cycles(t, moved)
        known = np.where(np.isfinite(cycles), cycles, 0.0)
        return cycles, [t.macs * t.mac_pj + self._leak * known, *accesses], prices

    def _to_macs(self, flows: Flows) -> Iterator[tuple[int, int, Floats]]:
        """Yield level, way (0: reads, 1: updates), and words by grid of the flows to the MACs."""
        for tensor, _, high in flows if not self._macs.linked else ():
            if (tensor, high) not in self._moved:
                self._moved[tensor, high] = self._macs.words(self._t, tensor, high)
            reads, updates = self._moved[tensor, high]
            yield high, 0, reads
            if self._t.read_write[tensor]:
                yield high, 1, updates

    def _least_moved(self, flows: Flows, able: Flags) -> list[float]:
        """Return the words that the MACs' flows move at least of each limit of bandwidth."""
        found = []
        for k, ways, _ in self._limits:
            words = np.zeros(len(able))
            for high, way, some in self._to_macs(flows):
                if self._t.bank[high] == k and way in ways:
                    words += some / self._used[:, high + 1]
            found.append(float(words[able].min(initial=math.inf)))
        return found
