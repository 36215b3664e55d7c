"""Compiled: all tiles of a two-tier space with their outer orders, without dominated ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inner, tiered
from dse.model import rules
from dse.numeric import Ints, int64

#: Columns of a class of mappings. The stationary tensor W is reread every ``REUSE`` iterations, or
#: every ``REUSE x RUN`` where all of its dimensions on the chip run in space.
(
    ROW_DIVISOR,
    COLUMN_DIVISOR,
    REUSE,
    PLAIN,
    RUN,
    TILE_W_I,
    TILE_O,
    WORDS_W,
    WORDS_I,
    WORDS_O,
    TILE,
    ORDER,
) = range(12)
COLUMNS = 12
#: Those that cost: a class is dominated where another is no worse in any of them.
_COSTS = (TILE_W_I, TILE_O, WORDS_W, WORDS_I, WORDS_O)


class LayerArrays(NamedTuple):
    """A problem for the builder. D dimensions; ``rows`` and ``columns`` are the first two."""

    first: Ints  # (D + 1,) where each dimension's divisors start
    divisor: Ints  # divisors of the bounds, growing
    bound: Ints  # (D,)
    relevant: npt.NDArray[np.bool_]  # (3, D) to W, I, O
    projection: Ints  # (3, Q, D)
    row: Ints  # (D,) the row of I in which the dimension stands, -1: none
    order_first: Ints  # (2^D + 1,) first order of each set of outer loops
    order_start: Ints  # (N,) where each order starts
    order: Ints  # loops of the orders, innermost first
    version: int


class TileScratch(NamedTuple):
    """Working memory."""

    pick: Ints  # (D,) number of the divisor of each dimension
    tile: Ints  # (D,)
    outer: Ints  # (D,) outer loop bounds
    edge: Ints  # (Q,) sides of I's tile
    found: Ints  # (N, 3) words of W, I, O for each order
    alive: npt.NDArray[np.bool_]  # (N,)
    head: Ints  # (buckets,) first class of each bucket
    following: Ints  # (most,)


@inner
def _footprint(x: LayerArrays, s: TileScratch, t: int) -> int:
    words = int64(1)
    for q in range(x.projection.shape[1]):
        side = int64(1)
        for d in range(x.bound.shape[0]):
            side += rules.stretch(x.projection[t, q, d], s.tile[d])
        if t == 1:
            s.edge[q] = side
        words *= side
    return words


@inner
def _moves(x: LayerArrays, s: TileScratch, t: int, start: int, count: int, total: int) -> int:
    """Product of the outer loops from the innermost that tensor t depends on, outwards."""
    left = total
    for k in range(start, start + count):
        d = x.order[k]
        if x.relevant[t, d]:
            break
        left //= s.outer[d]
    return left


@inner
def _window_words(
    x: LayerArrays, s: TileScratch, start: int, count: int, total: int, full: int
) -> int:
    """Words of I that the outermost level delivers (section 4 of the rules)."""
    words = full
    left = total
    partial = int64(-1)
    first = int64(0)
    moved = int64(0)
    moving = int64(-1)
    for k in range(start, start + count):
        d = x.order[k]
        n = s.outer[d]
        row = x.row[d]
        if row < 0:
            left //= n
            if moving >= 0:
                words += rules.weight(n, left) * full
            elif partial < 0 and not rules.zero_moves_are_free(x.version):
                partial = int64(0)
            continue
        if moving >= 0 and row != moving:
            return words + (left - 1) * full
        step = x.projection[1, row, d] * s.tile[d]
        translation = step - moved
        moving = row
        left //= n
        if partial < 0:
            first, side = translation, s.edge[row]
            partial = delta = rules.refetch(full, full // side, side, translation)
        else:
            still, repeats = translation == 0, translation == first
            delta = rules.later_delta(x.version, still, repeats, partial, full)
        moved += step
        words += rules.weight(n, left) * delta
    return words


@inner
def _evaluate_orders(x: LayerArrays, s: TileScratch, low: int, high: int, total: int) -> None:
    """Fill ``found`` for the orders of a tile, and mark those that no other dominates."""
    tile_w, tile_i, tile_o = _footprint(x, s, 0), _footprint(x, s, 1), _footprint(x, s, 2)
    n = high - low
    for i in range(n):
        start = x.order_start[low + i]
        count = x.order_start[low + i + 1] - start
        s.found[i, 0] = tile_w * _moves(x, s, 0, start, count, total)
        s.found[i, 1] = _window_words(x, s, start, count, total, tile_i)
        s.found[i, 2] = tile_o * _moves(x, s, 2, start, count, total)
    for i in range(n):
        s.alive[i] = True
        for j in range(n):
            if j != i and (s.alive[j] or j > i):
                better = True
                same = True
                for c in range(3):
                    better &= s.found[j, c] <= s.found[i, c]
                    same &= s.found[j, c] == s.found[i, c]
                if better and (not same or j < i):
                    s.alive[i] = False
                    break


@inner
def _dominates(out: Ints, i: int, j: int) -> bool:
    """Whether class i costs no more than class j of the same bucket in any way."""
    if out[i, RUN] < out[j, RUN]:
        return False
    for c in _COSTS:
        if out[i, c] > out[j, c]:
            return False
    return True


@inner
def _offer(s: TileScratch, out: Ints, new: int, bucket: int) -> bool:
    """Keep class ``new`` unless one of its bucket dominates it; drop those that it dominates."""
    before = int64(-1)
    at = s.head[bucket]
    while at >= 0:
        if _dominates(out, at, new):
            return False
        after = s.following[at]
        if _dominates(out, new, at):
            out[at, TILE] = -1
            if before < 0:
                s.head[bucket] = after
            else:
                s.following[before] = after
        else:
            before = at
        at = after
    s.following[new] = s.head[bucket]
    s.head[bucket] = new
    return True


@tiered
def build_classes(
    x: LayerArrays, s: TileScratch, bucket_of: Ints, largest_tile: int, out: Ints
) -> int:
    """Fill ``out (most, COLUMNS)`` with classes of mappings; return their number, -1: too many.

    Those that another one of the same first two factors dominates are left out.

    Args:
        x: the layer.
        s: memory.
        bucket_of: ``(I,)`` bucket of each inner tile: those of all dimensions but the first two,
            numbered with the third one fastest. Tiles of a bucket have the same reuse of W, the
            same loops that move W on the chip or not, and so on: only costs tell them apart.
        largest_tile: words of W and I that any scratchpad holds.
        out: the classes, and room for dominated ones of two factors at a time.
    """
    dims = x.bound.shape[0]
    macs = int64(1)
    for d in range(dims):
        macs *= x.bound[d]
    count = int64(0)
    inner_tiles = bucket_of.shape[0]
    for a in range(x.first[1] - x.first[0]):
        for b in range(x.first[2] - x.first[1]):
            s.head[:] = -1
            s.pick[0], s.pick[1] = a, b
            before = count
            for c in range(inner_tiles):
                rest = c
                for d in range(2, dims):
                    width = x.first[d + 1] - x.first[d]
                    s.pick[d] = rest % width
                    rest //= width
                count = _tile(x, s, bucket_of[c], macs, largest_tile, c, out, count)
                if count < 0:
                    return -1
            count = _without_dominated(out, before, count)
    return count


@inner
def _without_dominated(out: Ints, start: int, stop: int) -> int:
    """Close up rows ``start .. stop`` with ``TILE = -1``; return where the last one ends."""
    count = start
    for r in range(start, stop):
        if out[r, TILE] >= 0:
            for column in range(COLUMNS):
                out[count, column] = out[r, column]
            count += 1
    return count


@inner
def _tile(
    x: LayerArrays,
    s: TileScratch,
    bucket: int,
    macs: int,
    largest_tile: int,
    c: int,
    out: Ints,
    count: int,
) -> int:
    """Offer the orders of one tile; return the new number of classes."""
    dims = x.bound.shape[0]
    reuse = int64(1)
    plain = int64(1)
    on_chip = int64(1)
    active = int64(0)
    for d in range(dims):
        s.tile[d] = x.divisor[x.first[d] + s.pick[d]]
        s.outer[d] = x.bound[d] // s.tile[d]
        on_chip *= s.tile[d]
        if s.outer[d] > 1:
            active |= int64(1) << d
        if not x.relevant[0, d]:
            reuse *= s.tile[d]
        elif d > 1 and s.tile[d] > 1:
            plain = int64(0)
    tile_w_i = _footprint(x, s, 0) + _footprint(x, s, 1)
    if tile_w_i > largest_tile:
        return count
    low, high = x.order_first[active], x.order_first[active + 1]
    total = macs // on_chip
    _evaluate_orders(x, s, low, high, total)
    tile_w, tile_o = _footprint(x, s, 0), _footprint(x, s, 2)
    for i in range(high - low):
        if not s.alive[i]:
            continue
        if count >= out.shape[0]:
            return -1
        row = out[count]
        row[ROW_DIVISOR], row[COLUMN_DIVISOR] = s.pick[0], s.pick[1]
        row[REUSE], row[PLAIN] = reuse, plain
        row[RUN] = total // (s.found[i, 0] // tile_w) if plain == 1 else 1
        row[TILE_W_I], row[TILE_O] = tile_w_i, tile_o
        row[WORDS_W], row[WORDS_I], row[WORDS_O] = s.found[i, 0], s.found[i, 1], s.found[i, 2]
        row[TILE], row[ORDER] = c, low + i
        if _offer(s, out, count, bucket):
            count += 1
    return count
