"""What tiles hold, in compiled code; `dse.sparse.occupancy` and `metadata` say the rules."""

from __future__ import annotations

import math

import numpy as np

from dse.jit import inlined
from dse.numeric import Floats, int64
from dse.sparse import exact
from dse.sparse.batch.memory import Memo, SparseWork, is_known, place_of, put
from dse.sparse.batch.plan import SparsePlan
from dse.sparse.format_units import UB, UOP, format_units
from dse.sparse.hypergeometric import MOST_OCCUPANCIES
from dse.sparse.numbers import WRAPS

#: What a key is of.
_MEAN, _EMPTY, _BLOCKS, _UNITS = 0, 1, 2, 16


@inlined
def _set_key(w: SparseWork, t: int, what: int, a: int, b: int, c: int, d: int) -> None:
    w.key[0], w.key[1], w.key[2], w.key[3], w.key[4], w.key[5] = t, what, a, b, c, d


@inlined
def most_words(plan: SparsePlan, t: int, n: float) -> float:
    """Return the largest occupancy that a tile of n words may have."""
    if plan.tensors.spread[t]:
        return min(float(n), float(plan.tensors.nonzero[t]))
    exactly = n * plan.tensors.density[t]
    certain = 1.0 - (exactly - np.floor(exactly)) >= 1.0
    return float(np.floor(exactly) if certain else np.ceil(exactly))


@inlined
def _least(plan: SparsePlan, t: int, n: int) -> int:
    """Return the occupancy from which on Timeloop looks; beyond 2^62 of those that wrap around."""
    x = plan.tensors
    if not x.spread[t]:
        return int64(math.floor(math.floor(n * x.density[t]) / n * n))
    if n <= x.words[t] - x.nonzero[t]:
        return int64(0)
    short = float(x.words[t] - n)
    if short > 0.0:
        least = (WRAPS - short + float(x.nonzero[t])) / n * n
        return int64(0 if least >= WRAPS else 2**62)
    return int64(math.floor(float(x.nonzero[t]) / n * n))


@inlined
def _distribution(w: SparseWork, plan: SparsePlan, t: int, n: int) -> None:
    """Let ``likely`` hold the occupancies of tiles of n words; ``range`` says which.

    Of a fixed density ``filled`` becomes which share of the words each has, and the largest one.
    """
    if w.range[0] == t and w.range[1] == n:
        return
    x = plan.tensors
    w.range[0], w.range[1] = t, n
    w.range[4] = int64(most_words(plan, t, n))
    if x.spread[t]:
        first, last = max(0, n + x.nonzero[t] - x.words[t]), min(n, x.nonzero[t])
        if last - first > MOST_OCCUPANCIES:
            w.wrong[0] = True
            w.range[2], w.range[3] = 0, 0
            return
        w.range[2], w.range[3] = exact.occupancies(n, x.nonzero[t], x.words[t], w.likely)
        return
    exactly = n * x.density[t]
    above = exactly - math.floor(exactly)
    w.range[2] = int64(math.floor(exactly))
    w.range[3] = 2 if above > 0.0 else 1
    w.likely[0], w.likely[1] = 1.0 - above, above
    w.filled[0], w.filled[1] = float(w.range[2]) / n, float(w.range[2] + 1) / n
    w.filled[2] = w.filled[w.range[4] - w.range[2]]


@inlined
def _looked_at(w: SparseWork, plan: SparsePlan, t: int, n: int) -> tuple[int, int]:
    """Return which places of ``likely`` Timeloop looks at: the first, and the one behind."""
    first, count = w.range[2], w.range[3]
    start = min(max(_least(plan, t, n) - first, 0), count)
    return start, max(min(w.range[4] - first + 1, count), start)


@inlined
def empty_share(w: SparseWork, memo: Memo, plan: SparsePlan, t: int, n: int) -> float:
    """Return how likely a tile of n words has no word that is not 0."""
    x = plan.tensors
    if not x.spread[t]:
        exactly = n * x.density[t]
        return 1.0 - exactly if exactly < 1.0 else 0.0
    if n > x.words[t]:
        return 0.0
    _set_key(w, t, _EMPTY, n, 0, 0, 0)
    place = place_of(memo, w.key)
    if not is_known(memo, place):
        put(memo, place, w.key)
        exact.empty(n, x.words[t], x.nonzero[t], memo.value[place, :1])
    return float(memo.value[place, 0])


@inlined
def _mean(w: SparseWork, plan: SparsePlan, t: int, n: int, out: Floats) -> None:
    """Fill in the mean occupancy, that without the first one, and the share that is not that."""
    _distribution(w, plan, t, n)
    start, stop = _looked_at(w, plan, t, n)
    first = w.range[2]
    there = 1.0 - w.likely[start] if stop > start else 1.0
    out[0] = out[1] = 0.0
    out[2] = there
    for i in range(start, stop):
        out[0] += w.likely[i] * (first + i)
        if i > start:
            out[1] += w.likely[i] / there * (first + i)


@inlined
def _empty(n: int, filled: float) -> float:
    """Return how likely n words are empty of a tile of fixed density that is so far ``filled``."""
    exactly = n * filled
    return 1.0 - exactly if exactly < 1.0 else 0.0


@inlined
def _rank_units(
    w: SparseWork, plan: SparsePlan, t: int, around: int, code: int, drops: int, compared: bool,
    fibers: int, length: int, current: int, element: int, out: Floats,
) -> None:  # fmt: skip
    """Fill in metadata and payload of a rank: on average, and at most.

    ``drops``: 1 the payload of tiles with words is the data; 2 that of empty ones; 3 both.
    ``compared``: tiles that are empty do not come.
    """
    _distribution(w, plan, t, around)
    start, stop = _looked_at(w, plan, t, around)
    first, most, spread = w.range[2], w.range[4], plan.tensors.spread[t]
    if spread and code != UB:
        exact.empty(current, around, first + start, w.empty_fiber[start:stop])
        exact.empty(current, around, most, w.single[0:1])
        if code != UOP:
            exact.empty(element, around, first + start, w.empty_element[start:stop])
            exact.empty(element, around, most, w.single[1:2])
    there = 1.0 - w.likely[start] if compared and stop > start else 1.0
    out[0] = out[1] = 0.0
    for i in range(start, stop + 1):
        last = i == stop
        if compared and i == start and not last:
            continue
        fiber = element_empty = 0.0
        if code != UB:
            if spread:
                fiber = w.single[0] if last else w.empty_fiber[i]
                element_empty = w.single[1] if last else w.empty_element[i]
            else:
                filled = w.filled[2 if last else i]
                fiber, element_empty = _empty(current, filled), _empty(element, filled)
        metadata, payload = format_units(code, fibers, length, fiber, element_empty)
        if drops & (1 if (most if last else first + i) > 0 else 2):
            payload = 0.0
        if last:
            out[2], out[3] = metadata, payload
        else:
            share = w.likely[i] / there if compared else w.likely[i]
            out[0] += metadata * share
            out[1] += payload * share


@inlined
def _compares(w: SparseWork, plan: SparsePlan, t: int, s: int) -> bool:
    """Whether empty tiles do not come."""
    parent = w.parent[t, s]
    return parent >= 0 and plan.formats.ranks[parent, t] > 0 and _least(plan, t, w.tile[t, s]) == 0


@inlined
def hold(w: SparseWork, memo: Memo, plan: SparsePlan, t: int, s: int) -> None:
    """Set what a level that keeps a tensor holds of it; its ranks are set."""
    n = w.tile[t, s]
    compared = _compares(w, plan, t, s)
    if not (compared or plan.formats.ranks[s, t] or plan.savings.weighs):
        w.there[t, s] = 1.0
        return
    mean = w.row
    if plan.tensors.spread[t]:
        _set_key(w, t, _MEAN, n, 0, 0, 0)
        place = place_of(memo, w.key)
        mean = memo.value[place]
        if not is_known(memo, place):
            put(memo, place, w.key)
            _mean(w, plan, t, n, mean)
    else:
        _mean(w, plan, t, n, mean)
    held = mean[1] if compared else mean[0]
    w.held[t, s] = held
    w.there[t, s] = mean[2] if compared else 1.0
    w.density[t, s] = held / n
    if plan.formats.ranks[s, t]:
        _hold_metadata(w, memo, plan, t, s, compared)


@inlined
def _hold_metadata(
    w: SparseWork, memo: Memo, plan: SparsePlan, t: int, s: int, compared: bool
) -> None:
    """Set the units of all ranks."""
    formats = plan.formats
    ranks, around = formats.ranks[s, t], w.tile[t, s]
    stored = 0 if formats.inner_first[s, t] else ranks - 1
    data, data_of_nothing = -1, -1
    for r in range(ranks - 1, -1, -1):
        if w.length[t, s, r] > 1 or r == stored:
            data = r
            if formats.code[s, t, r] == UB:
                data_of_nothing = r
    fibers = int64(1)
    current = around
    for r in range(ranks - 1, -1, -1):
        length, element = w.length[t, s, r], w.element[t, s, r]
        units, most = w.units[t, s, r], w.most_units[t, s, r]
        units[0] = units[1] = most[0] = most[1] = 0.0
        if length > 1 or r == stored:
            code = formats.code[s, t, r]
            drops = (1 if r == data else 0) + (2 if r == data_of_nothing else 0)
            out = w.row
            known = False
            if plan.tensors.spread[t]:
                what = _UNITS + 16 * code + 4 * drops + (2 if compared else 0)
                fiber_words = 0 if code == UB else current
                element_words = 0 if code in (UB, UOP) else element
                _set_key(w, t, what, around, (fibers << 32) + length, fiber_words, element_words)
                place = place_of(memo, w.key)
                out = memo.value[place]
                known = is_known(memo, place)
                if not known:
                    put(memo, place, w.key)
            if not known:
                _rank_units(
                    w, plan, t, around, code, drops, compared,
                    fibers, length, current, element, out,
                )  # fmt: skip
            units[0], units[1], most[0], most[1] = out[0], out[1], out[2], out[3]
        fibers *= length
        current = element


@inlined
def blocks_of_tile(
    w: SparseWork, memo: Memo, plan: SparsePlan, t: int, n: int, block: int
) -> float:
    """Return how many blocks the words of a tile take on average."""
    if not plan.tensors.spread[t]:
        return _mean_blocks(w, plan, t, n, block)
    _set_key(w, t, _BLOCKS, n, block, 0, 0)
    place = place_of(memo, w.key)
    if not is_known(memo, place):
        put(memo, place, w.key)
        memo.value[place, 0] = _mean_blocks(w, plan, t, n, block)
    return float(memo.value[place, 0])


@inlined
def _mean_blocks(w: SparseWork, plan: SparsePlan, t: int, n: int, block: int) -> float:
    _distribution(w, plan, t, n)
    blocks = 0.0
    for i in range(w.range[3]):
        blocks += float(np.ceil((w.range[2] + i) / block)) * w.likely[i]
    return blocks
