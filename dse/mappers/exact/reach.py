"""What each stage of the search may reach, and what the rest costs at least."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np

from dse.mappers.exact.grids import Grids
from dse.mappers.exact.labels import new_draft
from dse.mappers.exact.orders import Orders, Relevance, orders
from dse.mappers.exact.shape import MapspaceShape
from dse.mappers.exact.tables import MOST_SPREADS, NO_TAIL, Stage, Tables, Tail, TooLargeError
from dse.mappers.exact.tails import tile_ways
from dse.mappers.exact.ways import start_energies
from dse.model import rules
from dse.numeric import Flags, Floats, Ints

#: Words of what cannot be.
_NEVER = 1e300
#: Tiles up to which patterns share what their flows cost, each some dozens of arrays.
_MOST_SHARED = 200_000


def stages_of(
    shape: MapspaceShape, grids: Grids, tables: Tables, relevance: Relevance
) -> tuple[Stage, list[Stage]]:
    """Stages from the inside out, with what may be reached at each, and what is before them all."""
    levels = shape.levels
    alive = shape.once("alive", lambda: _reachable(shape))
    fits = [alive[2 * s + 1] & _capacity(shape, tables, s) for s in range(levels)]
    spatial = list(grids.vectors)
    later = _later(shape, tables, spatial)
    loads = _loads(shape, tables, spatial)
    stages: list[Stage] = []
    for s in range(levels):
        if s in grids.vectors:
            stages.append(
                _spatial_stage(shape, grids, s, spatial, alive[2 * s], later[s], loads[s])
            )
        stages.append(
            _temporal_stage(shape, relevance, s, spatial, fits[s], later[s + 1], loads[s + 1])
        )
    none = np.zeros(0, np.int64)
    root = stages[0]._replace(
        level=-1, spatial=False, last_spatial=not spatial, source=none.reshape(0, 0, 0),
        fits=none > 0, vectors=none.reshape(0, 0), child=none,
        later=later[0], loads=loads[0], widest=_widest(shape, spatial),
    )  # fmt: skip
    return root, stages


def with_tails(shape: MapspaceShape, tables: Tables, stages: list[Stage]) -> list[Stage]:
    """Return the stages with the tails of their tiles, where they have some."""
    found: dict[int, Tail] = {}
    result = []
    for stage, after in pairwise(stages):
        s = after.level
        if stage.last_spatial and s < shape.levels - 1 and shape.digits:
            if s not in found:
                ways = tile_ways(tables, s, after.fits, after.later)
                found[s] = Tail(_ahead(shape, s), *ways)
            stage = stage._replace(tail=found[s])  # noqa: PLW2901
        result.append(stage)
    return [*result, stages[-1]]


def _ahead(shape: MapspaceShape, s: int) -> Ints:
    """For every dimension and digit the digits that loops of level s lead to, largest first."""
    size = max(shape.digits)
    table = np.full((len(shape.digits), size, size + 1), -1, np.int64)
    for d, allowed in enumerate(_sources(shape, s, spatial=False)):
        for i in range(allowed.shape[0]):
            found = np.flatnonzero(allowed[i])[::-1]
            table[d, i, : len(found)] = found
    return table


def _sources(shape: MapspaceShape, s: int, *, spatial: bool) -> list[Flags]:
    """Per dimension ``(from, to)``: which digit may lead to which."""
    return shape.once(("sources", s, spatial), lambda: _find_sources(shape, s, spatial=spatial))


def _find_sources(shape: MapspaceShape, s: int, *, spatial: bool) -> list[Flags]:
    result = []
    for d, values in enumerate(shape.divisors):
        slot = shape.slot(d, s, spatial=spatial)
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
                    allowed[i, j] = slot.least <= n <= slot.cap
        result.append(allowed)
    return result


def _reachable(shape: MapspaceShape) -> list[Flags]:
    """Tiles, per half stage, from which the bounds can still be reached."""
    size = len(shape.digits)
    good: list[Flags] = [np.zeros(n, np.bool_) for n in shape.digits]
    for flags in good:
        flags[-1] = True
    alive: list[Flags] = []
    for s in range(shape.levels - 1, -1, -1):
        for spatial in (False, True):
            full: Flags = np.ones(1, np.bool_)
            for d in range(size):
                full = (full[:, None] & good[d][None, :]).reshape(-1)
            alive.insert(0, full)
            links = _sources(shape, s, spatial=spatial)
            good = [np.asarray((links[d] & good[d][None, :]).any(axis=1)) for d in range(size)]
    return alive


def _capacity(shape: MapspaceShape, tables: Tables, s: int) -> Flags:
    """Tiles that fit level s, and fill it as far as they must."""
    key = "capacity", s, tuple(shape.keep[s].tolist())
    return shape.once(key, lambda: _find_capacity(shape, tables, s))


def _find_capacity(shape: MapspaceShape, tables: Tables, s: int) -> Flags:
    hw = shape.hardware
    used = (tables.words * shape.keep[s][:, None]).sum(axis=0)
    size = int(hw.size_words[s, 0])
    if size < 0:
        return np.ones(used.shape, np.bool_)
    usable = rules.usable_words(size, hw.multiple_buffering[s, 0])
    least = rules.least_words(usable, hw.min_utilization[s, 0])
    result: Flags = (used <= usable) & (used >= least)
    return result


def _later(shape: MapspaceShape, tables: Tables, spatial: list[int]) -> list[Floats]:
    """Least energy of the flows that start at a level or outside it, for every tile inside it.

    One array ``(tiles,)`` for each level, and one more of zeros.
    """
    t = tables
    total = np.zeros(t.words.shape[1])
    result = [total]
    for k in range(shape.levels - 1, -1, -1):
        if (t.low == k).any():
            # parts of a window on a grid outside may coincide, or be handed on by neighbours
            last = not any(u > k for u in spatial)
            key = "later", _starting(shape, t, k)
            total = total + _once(shape, key, partial(_starts, shape, t, k, last=last))
        result.insert(0, total)
    return result


def _once(shape: MapspaceShape, key: Hashable, make: Callable[[], Floats]) -> Floats:
    """Return what patterns share, unless it takes much room."""
    return make() if shape.extent.shape[1] > _MOST_SHARED else shape.once(key, make)


def _starting(shape: MapspaceShape, t: Tables, k: int) -> tuple[Hashable, ...]:
    """Return what tells the flows that start at a level, and the tiles that they start with."""
    flows = np.flatnonzero(t.low == k)
    return k, *shape.keep[k].tolist(), *t.tensor[flows].tolist(), *t.high[flows].tolist()


def _starts(shape: MapspaceShape, t: Tables, k: int, *, last: bool) -> Floats:
    """Return the least energy of the flows that start at a level, for every tile inside it."""
    return _least_of_multiples(shape, _energies(shape, t, k, last=last))


def _energies(shape: MapspaceShape, t: Tables, k: int, *, last: bool) -> Floats:
    energy = np.zeros(t.words.shape[1])
    start_energies(t, new_draft(t), k, last, energy)
    energy[~_capacity(shape, t, k)] = np.inf
    return energy


def start_energy(shape: MapspaceShape, t: Tables, k: int, *, last: bool) -> float:
    """Return the least energy of the flows that start at a level, over any tile.

    Args:
        shape: of the space.
        t: of it.
        k: the level.
        last: whether no spatial loops are outside.
    """
    key = "start energy", _starting(shape, t, k)
    return shape.once(key, lambda: float(_energies(shape, t, k, last=last).min()))


def first_loads(shape: MapspaceShape, t: Tables, k: int, *, last: bool) -> Floats:
    """Return the least words that an instance of each buffer reads and writes for those flows.

    Args:
        shape: of the space.
        t: of it.
        k: the level.
        last: whether no spatial loops are outside.

    Returns:
        ``(L, 2)``, by the first level of the buffer.
    """
    key = "first loads", _starting(shape, t, k)
    return shape.once(key, partial(_find_first_loads, shape, t, k, last=last))


def _find_first_loads(shape: MapspaceShape, t: Tables, k: int, *, last: bool) -> Floats:
    found = np.zeros((len(t.bank), 2))
    fits = _capacity(shape, t, k)
    for f in np.flatnonzero(t.low == k):
        tensor, high = t.tensor[f], t.high[f]
        words = t.words[tensor] * (t.moves if last else t.rest)[tensor]
        least = float(np.maximum(words, t.crossing[tensor])[fits].min(initial=_NEVER))
        found[t.bank[high], int(t.read_write[tensor])] += least / t.spread[high]
        if last and not t.read_write[tensor]:
            found[t.bank[k], 1] += least
    return found


def _loads(shape: MapspaceShape, tables: Tables, spatial: list[int]) -> list[Floats]:
    """Least words that an instance of every limited level reads and writes in the same flows.

    Arrays ``(limited levels, 2, tiles)``, as in :func:`_later`.
    """
    t = tables
    total = np.zeros((int(t.limited.max(initial=-1)) + 1, 2, t.words.shape[1]))
    result = [total]
    for k in range(shape.levels - 1, -1, -1):
        if (t.low == k).any():
            last = not any(u > k for u in spatial)
            key = "loads", t.limited.tobytes(), _starting(shape, t, k)
            total = total + _once(shape, key, partial(_moved, shape, t, k, total.shape, last=last))
        result.insert(0, total)
    return result


def _moved(shape: MapspaceShape, t: Tables, k: int, size: tuple[int, ...], *, last: bool) -> Floats:
    """Return the least words that the flows which start at a level move, as in :func:`_loads`."""
    here = np.zeros(size)
    for f in np.flatnonzero(t.low == k):
        tensor, high = t.tensor[f], t.high[f]
        words = t.words[tensor] * (t.moves if last else t.rest)[tensor]
        words = np.maximum(words, t.crossing[tensor])
        giver, receiver = t.limited[t.high_bank[f]], t.limited[t.low_bank[f]]
        if giver >= 0:
            here[giver, int(t.read_write[tensor])] += words / t.spread[high]
        if receiver >= 0 and last and not t.read_write[tensor]:
            here[receiver, 1] += words
    here[:, :, ~_capacity(shape, t, k)] = _NEVER
    rows = here.reshape(-1, here.shape[2])
    least = [_least_of_multiples(shape, load) if load.any() else load for load in rows]
    return np.array(least).reshape(here.shape)


def _least_of_multiples(shape: MapspaceShape, values: Floats) -> Floats:
    """For every tile the least value of a tile whose extents are multiples of its own."""
    cube = values.reshape(shape.digits or [1]).copy()
    for d, divs in enumerate(shape.divisors):
        view = np.moveaxis(cube, d, 0)
        for i, steps in reversed(list(enumerate(_next_multiples(tuple(divs))))):
            for j in steps:
                view[i] = np.minimum(view[i], view[j])
    return cube.reshape(-1)


@lru_cache(maxsize=256)
def _next_multiples(divisors: tuple[int, ...]) -> list[list[int]]:
    """Places of the multiples of each divisor that no other multiple lies between."""
    found: list[list[int]] = []
    for low in divisors:
        multiples = [j for j, n in enumerate(divisors) if n > low and n % low == 0]
        between = [divisors[j] for j in multiples]
        found.append(
            [
                j
                for j in multiples
                if not any(divisors[j] != n and divisors[j] % n == 0 for n in between)
            ]
        )
    return found


def _padded(shape: MapspaceShape, links: list[Flags]) -> Ints:
    size = max(shape.digits, default=1)
    table = np.full((len(links), size, size + 1), -1, np.int64)
    for d, allowed in enumerate(links):
        for j in range(allowed.shape[1]):
            found = np.flatnonzero(allowed[:, j])
            table[d, j, : len(found)] = found
    return table


def _widest(shape: MapspaceShape, outside: list[int]) -> float:
    space = shape.space.arrays
    return float(math.prod(space.fanout_x[s] * space.fanout_y[s] for s in outside))


_NO_ORDERS = Orders(
    np.zeros((1, 1, 2), np.int64), np.full((1, 1), -1, np.int8), np.zeros(1, np.bool_)
)


def _temporal_stage(
    shape: MapspaceShape,
    relevance: Relevance,
    s: int,
    spatial: list[int],
    fits: Flags,
    later: Floats,
    loads: Floats,
) -> Stage:
    space = shape.space
    free_start, free_count = int(space.arrays.free_start[s]), int(space.arrays.free_count[s])
    index = {d: i for i, d in enumerate(shape.active)}
    order = space.arrays.order[s].tolist()
    slotted = {i for i in index.values() if shape.slot(i, s, spatial=False)}
    listed = tuple(index[d] for d in order[:free_start] if d in index and index[d] in slotted)
    free = tuple(index[d] for d in order[free_start : free_start + free_count] if d in index)
    after = order[free_start + free_count :]
    suffix = tuple(index[d] for d in after if d in index and index[d] in slotted)
    table = orders(relevance, listed, free, suffix)
    most = int((table.first[:, :, 1:] - table.first[:, :, :-1]).max())
    outside = [u for u in spatial if u > s]
    source = shape.once(("padded", s), lambda: _padded(shape, _sources(shape, s, spatial=False)))
    return Stage(
        s, False, not outside, s == shape.levels - 1, source, fits,
        table.first, table.loops, table.spare,
        np.zeros((0, 0), np.int64), np.zeros((0, 0), np.int64),
        most, later, loads, _widest(shape, outside), NO_TAIL,
    )  # fmt: skip


def _spatial_stage(
    shape: MapspaceShape,
    grids: Grids,
    s: int,
    spatial: list[int],
    fits: Flags,
    later: Floats,
    loads: Floats,
) -> Stage:
    choices = grids.vectors[s]
    vectors = shape.once(("vectors", s), lambda: np.array([f for f, _ in choices], np.int64))
    child = shape.once(("child", s), lambda: _children(grids, s))
    outside = [u for u in spatial if u > s]
    tiles = int(fits.sum())
    if tiles * len(choices) > MOST_SPREADS:
        raise TooLargeError(
            f"{len(choices):,} choices of spatial factors at one level, for each of {tiles:,} tile "
            f"shapes; at most {MOST_SPREADS:,} together"
        )
    none: Any = _NO_ORDERS
    source = shape.once(("spread", s), lambda: _spread_sources(shape, vectors))
    return Stage(
        s, True, not outside, False, source, fits,
        none.first, none.loops, none.spare, vectors, child,
        1, later, loads, _widest(shape, outside), NO_TAIL,
    )  # fmt: skip


def _children(grids: Grids, s: int) -> Ints:
    """For every grid the first that the spatial factors of a level lead to; -1: none."""
    child = np.full(len(grids.fan), -1, np.int64)
    low, high = grids.parents[s]
    child[low:high] = grids.span[s][0] + np.arange(high - low) * len(grids.vectors[s])
    return child


def _spread_sources(shape: MapspaceShape, vectors: Ints) -> Ints:
    """For every choice of spatial factors, dimension and digit the digit inside it; -1: none."""
    size = max(shape.digits, default=1)
    source = np.full((len(vectors), len(shape.digits), size), -1, np.int64)
    for d, values in enumerate(shape.divisors):
        inside: dict[int, list[int]] = {}
        for factor in np.unique(vectors[:, d]).tolist():
            inside[factor] = [
                values.index(value // factor) if value % factor == 0 else -1 for value in values
            ]
        for v, factor in enumerate(vectors[:, d].tolist()):
            source[v, d, : len(values)] = inside[factor]
    return source
