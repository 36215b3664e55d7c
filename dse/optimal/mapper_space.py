"""A mapspace on one hardware, laid out for the exact search: tiles, flows, stages, grids.

A *tile* is the extents of all dimensions at a point of the loop nest; every extent is a divisor
of the bound, so tiles are numbered in mixed radix. A *flow* is what one level that keeps a tensor
delivers to the next one inside that keeps it (or to the MACs). A *grid* is a choice of spatial
factors at the levels up to a certain one. Dimensions of bound 1 are left out.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.architecture import Architecture, HardwareBatch
from dse.errors import SpecError
from dse.mapspace.factorization import divisors
from dse.mapspace.space import Mapspace, Slot
from dse.model import arrays as a
from dse.optimal.mapper_orders import MOST_LOOPS, Orders, Relevance, orders
from dse.problem import Problem

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Tiles and grids beyond which a space is not laid out.
MOST_TILES, MOST_GRIDS = 4_000_000, 200_000


class TooLargeError(SpecError):
    """The exact search cannot represent this space; the message says why."""


class Tables(NamedTuple):
    """Everything that is the same throughout the search. D dimensions, T tensors, F flows."""

    bound: Ints  # (D,)
    divisor: Ints  # (D, V)
    digit: Ints  # (D,) number of divisors
    stride: Ints  # (D,) of the tile number
    coefficient: Ints  # (T, Q, D)
    row: Ints  # (T, D) row of the tensor that a dimension moves, -1: none
    window: Ints  # (T, Q) number of a window row, -1: moved by one dimension of coefficient 1
    window_flow: Ints  # (F,) number of a flow of a tensor with window rows, -1: none
    tensor: Ints  # (F,)
    low: Ints  # (F,) level that receives, -1: the MACs
    high: Ints  # (F,) level that delivers
    read_write: Flags  # (T,)
    elided: Flags  # (F,) whether first reads are not filled (outputs, but for version dosa)
    words: Floats  # (T, tiles) footprint
    moves: Floats  # (T, tiles) least factor by which the loops outside multiply the words
    rest: Floats  # (T, tiles) the same for those that surely do, at rest or not
    outside: Floats  # (tiles,) iterations of all loops outside
    total: Floats  # (T,) words of the whole tensor
    spread: Floats  # (L,) largest number of instances of a level
    block: Floats  # (L,)
    clusters: Floats  # (L,)
    share: Floats  # (L,) least share of instances that pay for an access
    read_pj: Floats  # (L,)
    fill_pj: Floats  # (L,)
    update_pj: Floats  # (L,)
    leak: Floats  # (G,) leakage of a cycle; 0 where the version ignores it
    leaks: bool
    address_pj: Floats  # (L,)
    bandwidth: Floats  # (3, L) read, write, shared
    limited: Ints  # (L,) number among the levels of limited bandwidth, -1: unlimited
    fanout_x: Ints  # (L,)
    touching: Ints  # (L,) bit set of the flows of a level
    fan: Floats  # (G, L) product of the grid's factors below each level
    used: Floats  # (G, L + 1) instances of the MACs (0) and of level s (s + 1) that it uses
    part: Floats  # (G, T, L) words of an output's partition at one instance of a level
    factor: npt.NDArray[np.int16]  # (G, L, D) grids, and their parts up to a level
    on_y: Flags  # (G, L, D)
    axes: npt.NDArray[np.int8]  # (L, D) order of the dimensions on a grid, X before Y as far as set
    macs: float
    mac_pj: float
    latency: float
    version: int
    exact: bool  # whether all rules are represented; else values are bounds


class Stage(NamedTuple):
    """The loops of one level: in space (of level ``level``), or in time."""

    level: int
    spatial: bool
    last_spatial: bool  # no spatial loops outside
    source: Ints  # (D, V, V) digits that may come before a digit, -1 after the last
    fits: Flags  # (tiles,) which tiles may be reached
    first: Ints  # orders, see Orders
    loops: npt.NDArray[np.int8]
    spare: Flags
    vectors: Ints  # (V, D) spatial stages: digits of the factors (of the quotient bound)
    child: Ints  # (G, V) grid that a vector leads to, -1: none
    most_orders: int
    later: Floats  # (tiles,) least energy of the flows that start further out
    widest: float  # most parallelism that spatial loops further out can add


class Layout:
    """Tables and stages of one keep/bypass pattern of a mapspace.

    Args:
        space: the mapspace.
        architecture: hardware; only its meshes and level names must be the space's.
        keep: ``(L, T)``.
        version: a value of :data:`dse.model.arrays.TIMELOOP_VERSIONS`.
        only_cycles: leave out the flows that no bandwidth can slow down; energies mean nothing.

    Raises:
        TooLargeError: the space is beyond what can be laid out.
    """

    def __init__(
        self,
        space: Mapspace,
        architecture: Architecture,
        keep: Flags,
        version: int,
        *,
        only_cycles: bool = False,
    ) -> None:
        problem = space.problem
        self.space = space
        self.keep = keep
        names = problem.dimensions
        self.active = [d for d, name in enumerate(names) if problem.bounds[name] > 1]
        self.bounds = [problem.bounds[names[d]] for d in self.active]
        if len(self.active) > MOST_LOOPS:
            raise TooLargeError(f"{len(self.active)} dimensions above 1, at most {MOST_LOOPS}")
        self._divisors = [divisors(n) for n in self.bounds]
        self.digits = [len(x) for x in self._divisors]
        tiles = math.prod(self.digits)
        if tiles > MOST_TILES:
            raise TooLargeError(f"{tiles} tile shapes, at most {MOST_TILES}")
        self.levels = len(architecture.levels)
        self._hardware = HardwareBatch.of(architecture).arrays
        self._extent = self._extents(tiles)
        grids = _Grids(self)
        self.spatial_levels = list(grids.vectors)
        self.tables = self._tables(problem, version, grids, only_cycles)
        self.stages = _stages(self, grids)

    def _extents(self, tiles: int) -> Floats:
        """Extents ``(D, tiles)`` of every tile."""
        grid = np.indices(self.digits).reshape(len(self.digits), tiles)
        return np.array(
            [np.array(x, np.float64)[grid[d]] for d, x in enumerate(self._divisors)]
        ).reshape(len(self.digits), tiles)

    def _tables(
        self, problem: Problem, version: int, grids: _Grids, only_cycles: bool
    ) -> Tables:
        c = problem.projection[:, :, self.active].astype(np.int64)
        hit = c != 0
        if (c < 0).any() or (hit.sum(axis=1) > 1).any():
            raise TooLargeError("a dimension moves two rows of a tensor, or backwards")
        windows = (hit.sum(axis=2) > 1) | (c.sum(axis=2) > 1)
        tensors, ranks = windows.shape
        window = np.full((tensors, ranks), -1, np.int64)
        for t in range(tensors):
            window[t, windows[t]] = np.arange(windows[t].sum())
        if window.max(initial=-1) > 1 or windows[problem.read_write].any():
            raise TooLargeError("more than two windows in a tensor, or a window in an output")
        row = np.where(hit.any(axis=1), hit.argmax(axis=1), -1).astype(np.int64)
        sized = self._slowing(problem.read_write)
        flows = [
            (t, low, high)
            for t, low, high in self._flows(tensors)
            if not only_cycles or sized[high] or (low >= 0 and sized[low])
        ]
        self.relevance = Relevance(
            tuple(map(tuple, row.tolist())), tuple(map(tuple, window.tolist())), version == a.HEAD
        )
        words, moves, rest = self._footprints(c, row, window)
        hw = self._hardware
        bandwidth = np.stack([hw.read_bandwidth, hw.write_bandwidth, hw.shared_bandwidth])[:, :, 0]
        digit = np.array(self.digits, np.int64)
        widest = max(self.digits, default=1)
        table = np.ones((len(digit), widest), np.int64)
        for d, values in enumerate(self._divisors):
            table[d, : len(values)] = values
        with_window = [f for f, (t, _, _) in enumerate(flows) if windows[t].any()]
        spread = np.array([hw.instances[s, 0] for s in range(self.levels)], np.float64)
        used = np.ones((len(grids.fan), self.levels + 1))
        for s in range(self.levels - 1, -1, -1):
            used[:, s] = used[:, s + 1] * grids.fan[:, s]
        leak_pj = hw.leak_pj[:, 0] * (version == a.HEAD)
        flags = any(f.any() for f in self.space._flags)  # noqa: SLF001
        return Tables(
            bound=np.array(self.bounds, np.int64),
            divisor=table,
            digit=digit,
            stride=_strides(self.digits),
            coefficient=c,
            row=row,
            window=window,
            window_flow=np.array(
                [with_window.index(f) if f in with_window else -1 for f in range(len(flows))],
                np.int64,
            ),
            tensor=np.array([t for t, _, _ in flows], np.int64),
            low=np.array([low for _, low, _ in flows], np.int64),
            high=np.array([high for _, _, high in flows], np.int64),
            read_write=problem.read_write,
            elided=np.array([version != a.DOSA] * len(flows)),
            words=words,
            moves=moves,
            rest=rest,
            outside=problem.macs / self._extent.prod(axis=0),
            total=words[:, -1].copy(),
            spread=spread,
            block=hw.block_size[:, 0].astype(np.float64),
            clusters=(hw.instances // hw.cluster_size)[:, 0].astype(np.float64),
            share=1.0 / hw.cluster_size[:, 0],
            read_pj=hw.read_pj[:, 0].copy(),
            fill_pj=hw.fill_pj[:, 0].copy(),
            update_pj=hw.update_pj[:, 0].copy(),
            leak=used[:, 1:] @ leak_pj,
            leaks=bool(leak_pj.any()),
            address_pj=hw.address_generation_pj[:, 0].copy(),
            bandwidth=np.ascontiguousarray(bandwidth),
            limited=np.where(sized, np.cumsum(sized) - 1, -1).astype(np.int64),
            fanout_x=hw.fanout_x[:, 0].copy(),
            touching=np.array(
                [
                    sum(1 << f for f, (_, low, high) in enumerate(flows) if s in (low, high))
                    for s in range(self.levels)
                ],
                np.int64,
            ),
            fan=grids.fan,
            used=used,
            part=_partitions(grids.factor, row, words[:, -1]),
            factor=grids.factor,
            on_y=grids.on_y,
            axes=grids.axes,
            macs=float(problem.macs),
            mac_pj=float(hw.mac_pj[0]),
            latency=float(hw.latency_cycles[:, 0].sum()),
            version=version,
            exact=not (
                flags
                or hw.hop_pj.any()
                or hw.router_pj.any()
                or hw.ingress_pj.any()
                or (grids.fan[:, 0] > 1).any()
            ),
        )

    def _flows(self, tensors: int) -> list[tuple[int, int, int]]:
        """(tensor, receiving level, delivering level) of all flows."""
        flows = []
        for t in range(tensors):
            kept = [-1, *(s for s in range(self.levels) if self.keep[s, t])]
            flows += [(t, low, high) for low, high in zip(kept, kept[1:], strict=False)]
        return flows

    def _slowing(self, read_write: Flags) -> Flags:
        """Levels ``(L,)`` whose bandwidth can slow a mapping down at all.

        An instance reads, fills or updates at most a word per tensor, cycle and MAC below it.
        """
        hw = self._hardware
        macs = hw.mac_instances[0] // hw.instances[:, 0]
        kept = self.keep.sum(axis=1)
        outputs = (self.keep & read_write).sum(axis=1)
        reads, writes = macs * kept, macs * (kept + outputs)
        return np.asarray(
            (hw.read_bandwidth[:, 0] < reads)
            | (hw.write_bandwidth[:, 0] < writes)
            | (hw.shared_bandwidth[:, 0] < reads + writes)
        )

    def _footprints(self, c: Ints, row: Ints, window: Ints) -> tuple[Floats, Floats, Floats]:
        """Words of every tile of every tensor; least factors of the loops outside."""
        extent = self._extent
        bound = np.array(self.bounds, np.float64)[:, None]
        tensors, ranks, _ = c.shape
        words = np.ones((tensors, extent.shape[1]))
        moves, rest = words.copy(), words.copy()
        left = bound / extent
        for t in range(tensors):
            runs = []
            for q in range(ranks):
                side = 1 + (c[t, q][:, None] * (extent - 1)).sum(axis=0)
                words[t] *= side
                mine = [d for d in range(len(bound)) if row[t, d] == q]
                outer = left[mine].prod(axis=0)
                if window[t, q] < 0:
                    rest[t] *= outer
                    continue
                step = np.ones_like(side)
                for d in mine:
                    step = np.where(left[d] > 1, np.minimum(step, c[t, q, d] * extent[d] / side), step)
                runs.append((outer, np.maximum(1.0, np.where(outer > 1, step * outer / 2, 1.0))))
            whole = np.ones_like(rest[t])
            for outer, _ in runs:
                whole *= outer
            least = whole.copy()
            for outer, run in runs:
                least = np.minimum(least, whole / outer * run)
            moves[t] = rest[t] * least
        return words, moves, rest


def _partitions(factor: npt.NDArray[np.int16], row: Ints, total: Floats) -> Floats:
    """Words of each tensor over its relevant spatial factors outside each level (section 7, 1)."""
    grids, levels, _ = factor.shape
    part = np.empty((grids, len(total), levels))
    for t, words in enumerate(total):
        spread = factor[:, :, row[t] >= 0].astype(np.float64).prod(axis=2)
        part[:, t, levels - 1] = words
        for s in range(levels - 2, -1, -1):
            part[:, t, s] = part[:, t, s + 1] / spread[:, s + 1]
    return part


def _strides(digits: list[int]) -> Ints:
    """Strides of the tile number: the last dimension runs fastest, as in ``np.indices``."""
    strides = np.ones(len(digits), np.int64)
    for d in range(len(digits) - 2, -1, -1):
        strides[d] = strides[d + 1] * digits[d + 1]
    return strides


class _Grids:
    """All spatial factors up to each level: grid 0 has none; each level multiplies its choices."""

    def __init__(self, layout: Layout) -> None:
        levels, space = layout.levels, layout.space
        arrays = space.arrays
        self.vectors: dict[int, list[tuple[tuple[int, ...], tuple[bool, ...]]]] = {}
        for s in range(levels):
            choices = _spatial_choices(layout, s)
            if choices is not None:
                self.vectors[s] = choices
        count = 1
        self.span: dict[int, tuple[int, int]] = {}
        at = 1
        for s, choices in self.vectors.items():
            count *= len(choices)
            self.span[s] = (at, at + count)
            at += count
        if at > MOST_GRIDS:
            raise TooLargeError(f"{at} choices of spatial factors, at most {MOST_GRIDS}")
        dimensions = len(layout.active)
        self.factor = np.ones((at, levels, dimensions), np.int16)
        self.on_y = np.zeros((at, levels, dimensions), np.bool_)
        self.parents: dict[int, tuple[int, int]] = {}
        before = (0, 1)
        for s, choices in self.vectors.items():
            self.parents[s] = before
            low, high = self.span[s]
            parents = np.repeat(np.arange(*before), len(choices))
            self.factor[low:high] = self.factor[parents]
            self.on_y[low:high] = self.on_y[parents]
            times = before[1] - before[0]
            self.factor[low:high, s] = np.tile(np.array([f for f, _ in choices], np.int16), (times, 1))
            self.on_y[low:high, s] = np.tile(np.array([y for _, y in choices], np.bool_), (times, 1))
            before = (low, high)
        self.fan = self.factor.astype(np.float64).prod(axis=2)
        index = {d: i for i, d in enumerate(layout.active)}
        axis_order = space._axis_order  # noqa: SLF001
        self.axes = np.array(
            [[index[d] for d in axis_order[s].tolist() if d in index] for s in range(levels)],
            np.int8,
        ).reshape(levels, dimensions)
        del arrays


def _spatial_choices(
    layout: Layout, s: int
) -> list[tuple[tuple[int, ...], tuple[bool, ...]]] | None:
    """Factors and axes that level s may have; None where it can have none above 1.

    Where two assignments to the axes differ in nothing but place, the first is taken; where
    windows run on the grid, neighbours matter, and all are.
    """
    space = layout.space
    slots: list[Slot | None] = []
    for d in layout.active:
        found = [x for x in space.slots[d] if x.level == s and x.spatial]
        slots.append(found[0] if found else None)
    if all(x is None for x in slots):
        return None
    options: list[list[tuple[int, bool]]] = []
    fan_x, fan_y = int(space.arrays.fanout_x[s]), int(space.arrays.fanout_y[s])
    for d, slot, bound in zip(layout.active, slots, layout.bounds, strict=True):
        axis = int(space.arrays.axis[s, d])
        places = (False, True) if axis == 2 else (axis == 1,)
        here: list[tuple[int, bool]] = [(1, places[0])] if slot is None or not slot.fixed else []
        if slot is not None:
            values = [slot.fixed] if slot.fixed else [n for n in divisors(bound) if 1 < n <= slot.cap]
            here += [(n, y) for n in values for y in places if n <= (fan_y if y else fan_x)]
        options.append(here)
    windows = (layout.space.problem.projection[:, :, layout.active] > 0).sum(axis=2) > 1
    hit = layout.space.problem.projection[:, :, layout.active] != 0
    in_window = (hit & windows[:, :, None]).any(axis=(0, 1))
    seen: set[tuple[int, ...]] = set()
    result = []
    for choice in product(*options):
        width = math.prod(n for n, y in choice if not y)
        height = math.prod(n for n, y in choice if y)
        factors = tuple(n for n, _ in choice)
        if width > fan_x or height > fan_y:
            continue
        if any(n > 1 and w for n, w in zip(factors, in_window, strict=True)):
            pass
        elif factors in seen:
            continue
        seen.add(factors)
        result.append((factors, tuple(y for _, y in choice)))
    return result


def _stages(layout: Layout, grids: _Grids) -> list[Stage]:
    """Stages from the inside out, with what may be reached at each."""
    levels = layout.levels
    alive = _reachable(layout)
    stages: list[Stage] = []
    spatial = list(grids.vectors)
    for s in range(levels):
        later = _later(layout, s - 1)
        if s in grids.vectors:
            stages.append(_spatial_stage(layout, grids, s, spatial, alive[2 * s], later))
        fits = alive[2 * s + 1] & _capacity(layout, s)
        stages.append(_temporal_stage(layout, s, spatial, fits, _later(layout, s)))
    return stages


def _slot(layout: Layout, d: int, s: int, *, spatial: bool) -> Slot | None:
    return next(
        (x for x in layout.space.slots[layout.active[d]] if x.level == s and x.spatial == spatial),
        None,
    )


def _sources(layout: Layout, s: int, *, spatial: bool) -> list[Flags]:
    """Per dimension ``(from, to)``: which digit may lead to which."""
    result = []
    for d, values in enumerate(layout._divisors):  # noqa: SLF001
        slot = _slot(layout, d, s, spatial=spatial)
        allowed = np.zeros((len(values), len(values)), np.bool_)
        for i, low in enumerate(values):
            for j, high in enumerate(values):
                if high % low:
                    continue
                n = high // low
                if slot is None:
                    allowed[i, j] = n == 1
                elif slot.fixed:
                    allowed[i, j] = n == slot.fixed
                else:
                    allowed[i, j] = n <= slot.cap
        result.append(allowed)
    return result


def _reachable(layout: Layout) -> list[Flags]:
    """Tiles, per half stage, from which the bounds can still be reached."""
    size = len(layout.digits)
    good = [np.zeros(n, np.bool_) for n in layout.digits]
    for flags in good:
        flags[-1] = True
    alive: list[Flags] = []
    for s in range(layout.levels - 1, -1, -1):
        for spatial in (False, True):
            full = np.ones(1, np.bool_)
            for d in range(size):
                full = (full[:, None] & good[d][None, :]).reshape(-1)
            alive.insert(0, full)
            links = _sources(layout, s, spatial=spatial)
            good = [(links[d] & good[d][None, :]).any(axis=1) for d in range(size)]
    return alive


def _capacity(layout: Layout, s: int) -> Flags:
    """Tiles that fit level s, and fill it as far as they must."""
    hw = layout._hardware  # noqa: SLF001
    used = (layout.tables.words * layout.keep[s][:, None]).sum(axis=0)
    size = int(hw.size_words[s, 0])
    if size < 0:
        return np.ones(used.shape, np.bool_)
    usable = math.floor(size / hw.multiple_buffering[s, 0])
    result: Flags = (used <= usable) & (used >= usable * hw.min_utilization[s, 0])
    return result


def _later(layout: Layout, s: int) -> Floats:
    """Least energy of the flows that start above a level outside s, for every tile at s."""
    t = layout.tables
    total = np.zeros(t.words.shape[1])
    for k in range(s + 1, layout.levels):
        flows = [f for f in range(len(t.low)) if t.low[f] == k]
        if not flows:
            continue
        energy = np.zeros_like(total)
        # parts of a window on a grid outside may coincide, or be handed on by neighbours
        outer = t.rest if any(u > k for u in layout.spatial_levels) else t.moves
        for f in flows:
            energy += least_energy(t, f, t.words[t.tensor[f]] * outer[t.tensor[f]])
        energy[~_capacity(layout, k)] = np.inf
        total += _least_of_multiples(layout, energy)
    return total


def least_energy(t: Tables, f: int, words: Floats) -> Floats:
    """Least energy of a flow that moves so many words in all."""
    low, high, tensor = t.low[f], t.high[f], t.tensor[f]
    if t.read_write[tensor]:
        return words / t.block[high] * t.update_pj[high] * t.share[high]
    energy = words / t.block[high] * t.read_pj[high] * t.share[high]
    return energy + np.maximum(0.0, words - t.spread[low]) / t.block[low] * (
        t.fill_pj[low] * t.share[low]
    )


def _least_of_multiples(layout: Layout, values: Floats) -> Floats:
    """For every tile the least value of a tile whose extents are multiples of its own."""
    cube = values.reshape(layout.digits or [1]).copy()
    for d, divs in enumerate(layout._divisors):  # noqa: SLF001
        view = np.moveaxis(cube, d, 0)
        for i, low in enumerate(divs):
            for j in range(i + 1, len(divs)):
                if divs[j] % low == 0:
                    view[i] = np.minimum(view[i], view[j])
    return cube.reshape(-1)


def _padded(layout: Layout, links: list[Flags]) -> Ints:
    size = max(layout.digits, default=1)
    table = np.full((len(links), size, size + 1), -1, np.int64)
    for d, allowed in enumerate(links):
        for j in range(allowed.shape[1]):
            found = np.flatnonzero(allowed[:, j])
            table[d, j, : len(found)] = found
    return table


def _widest(layout: Layout, outside: list[int]) -> float:
    space = layout.space.arrays
    return float(math.prod(space.fanout_x[s] * space.fanout_y[s] for s in outside))


_NO_ORDERS = Orders(np.zeros((1, 1, 2), np.int64), np.full((1, 1), -1, np.int8), np.zeros(1, np.bool_))


def _temporal_stage(
    layout: Layout, s: int, spatial: list[int], fits: Flags, later: Floats
) -> Stage:
    space = layout.space
    free_start, free_count = int(space.arrays.free_start[s]), int(space.arrays.free_count[s])
    index = {d: i for i, d in enumerate(layout.active)}
    order = space.arrays.order[s].tolist()
    slotted = {i for i in index.values() if _slot(layout, i, s, spatial=False)}
    listed = tuple(index[d] for d in order[:free_start] if d in index and index[d] in slotted)
    free = tuple(index[d] for d in order[free_start : free_start + free_count] if d in index)
    table = orders(layout.relevance, listed, free)
    most = int((table.first[:, :, 1:] - table.first[:, :, :-1]).max())
    outside = [u for u in spatial if u > s]
    return Stage(
        s, False, not outside, _padded(layout, _sources(layout, s, spatial=False)), fits,
        table.first, table.loops, table.spare,
        np.zeros((0, 0), np.int64), np.zeros((0, 0), np.int64),
        most, later, _widest(layout, outside),
    )  # fmt: skip


def _spatial_stage(
    layout: Layout, grids: _Grids, s: int, spatial: list[int], fits: Flags, later: Floats
) -> Stage:
    choices = grids.vectors[s]
    vectors = np.array([f for f, _ in choices], np.int64)
    child = np.full((len(grids.fan), len(choices)), -1, np.int64)
    low, high = grids.parents[s]
    child[low:high] = grids.span[s][0] + np.arange((high - low) * len(choices)).reshape(
        high - low, len(choices)
    )
    outside = [u for u in spatial if u > s]
    none: Any = _NO_ORDERS
    size = max(layout.digits, default=1)
    source = np.full((len(choices), len(layout.digits), size), -1, np.int64)
    for v, (factors, _) in enumerate(choices):
        for d, values in enumerate(layout._divisors):  # noqa: SLF001
            for j, value in enumerate(values):
                if value % factors[d] == 0:
                    source[v, d, j] = values.index(value // factors[d])
    return Stage(
        s, True, not outside, source, fits,
        none.first, none.loops, none.spare, vectors, child,
        1, later, _widest(layout, outside),
    )  # fmt: skip
