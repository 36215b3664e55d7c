"""Compiled: all on-chip tiles of a layer under all orders of the outer loops, for the recheck.

Written for itself, from section 4 of ``docs/timeloop-rules.md``: it shares nothing with the search.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import compiled, inner
from dse.model.arrays import HEAD

Ints = npt.NDArray[np.int64]

#: Different traffics of one tile that are told apart.
MOST = 128


class TileWork(NamedTuple):
    """Working memory for D dimensions, T tensors of Q rows."""

    choice: Ints  # (D,) number of each dimension's divisor
    tile: Ints  # (D,)
    loops: Ints  # (D,) dimensions with an outer loop, in the order at hand
    edge: Ints  # (Q,)
    moved: Ints  # (Q,)
    first: Ints  # (Q,)
    step: Ints  # (Q,)
    words: Ints  # (T,)
    kept: Ints  # (MOST, T)
    orders: Ints  # (MOST, D)


@inner
def _tile_words(projection: Ints, w: TileWork) -> int:
    words = np.int64(1)
    for q in range(projection.shape[0]):
        side = np.int64(1)
        for d in range(projection.shape[1]):
            side += projection[q, d] * (w.tile[d] - 1)
        w.edge[q] = side
        words *= side
    return words


@inner
def _delivered(projection: Ints, bound: Ints, w: TileWork, count: int, version: int) -> int:
    """Words of one tensor that the outermost level delivers: F + sum of W_j delta_j."""
    ranks = projection.shape[0]
    full = _tile_words(projection, w)
    outer = np.int64(1)
    for j in range(count):
        outer *= bound[w.loops[j]] // w.tile[w.loops[j]]
    total = full
    known = False
    partial = np.int64(0)
    w.moved[:] = 0
    for j in range(count):
        d = w.loops[j]
        n = bound[d] // w.tile[d]
        outer //= n
        still = True
        same = True
        for q in range(ranks):
            vector = projection[q, d] * w.tile[d]
            w.step[q] = vector - w.moved[q]
            w.moved[q] += vector
            still &= w.step[q] == 0
            same &= w.step[q] == w.first[q]
        if not known and version == HEAD and still:
            continue
        if not known:
            known = True
            overlap = np.int64(1)
            for q in range(ranks):
                w.first[q] = w.step[q]
                overlap *= max(np.int64(0), w.edge[q] - abs(w.step[q]))
            partial = full - overlap
            delta = partial
        elif version == HEAD and still:
            delta = np.int64(0)
        elif same:
            delta = partial
        else:
            delta = full
        total += (n - 1) * outer * delta
    return total


@inner
def _next_order(loops: Ints, count: int) -> bool:
    """Step to the next permutation in lexicographic order; False after the last."""
    i = count - 2
    while i >= 0 and loops[i] > loops[i + 1]:
        i -= 1
    if i < 0:
        return False
    j = count - 1
    while loops[j] < loops[i]:
        j -= 1
    loops[i], loops[j] = loops[j], loops[i]
    a, b = i + 1, count - 1
    while a < b:
        loops[a], loops[b] = loops[b], loops[a]
        a += 1
        b -= 1
    return True


@inner
def _keep(w: TileWork, held: int, count: int) -> int:
    """Keep the traffic at hand unless one before is no larger for any tensor."""
    tensors = w.words.shape[0]
    for i in range(held):
        smaller = True
        for t in range(tensors):
            smaller &= w.kept[i, t] <= w.words[t]
        if smaller:
            return held
    if held == MOST:
        return -1
    for t in range(tensors):
        w.kept[held, t] = w.words[t]
    w.orders[held, :] = -1
    for j in range(count):
        w.orders[held, j] = w.loops[j]
    return held + 1


@compiled
def all_tiles(
    projection: Ints, bound: Ints, first: Ints, divisor: Ints, version: int, w: TileWork, out: Ints
) -> int:
    """Fill ``out (most, 2 D)`` with tiles and orders (-1 where loops end); return their number.

    Every tile stands with every order of its outer loops, but for orders in which no tensor moves
    less than in one before; -1: ``out`` is too small.
    """
    dims, tensors = bound.shape[0], projection.shape[0]
    w.choice[:] = 0
    rows = np.int64(0)
    while True:
        count = 0
        for d in range(dims):
            w.tile[d] = divisor[first[d] + w.choice[d]]
            if w.tile[d] < bound[d]:
                w.loops[count] = d
                count += 1
        held = 0
        while True:
            for t in range(tensors):
                w.words[t] = _delivered(projection[t], bound, w, count, version)
            held = _keep(w, held, count)
            if held < 0:
                return -2
            if not _next_order(w.loops, count):
                break
        if rows + held > out.shape[0]:
            return -1
        for i in range(held):
            for d in range(dims):
                out[rows, d] = w.tile[d]
                out[rows, dims + d] = w.orders[i, d]
            rows += 1
        d = 0
        while d < dims:
            w.choice[d] += 1
            if w.choice[d] < first[d + 1] - first[d]:
                break
            w.choice[d] = 0
            d += 1
        if d == dims:
            return rows
