"""Reuse in time and space, relaxed: words to one child, multicast to all, and their gradients.

As sections 4 and 5 of ``docs/timeloop-rules.md``, with real-valued loops. Each function adds to
the shares (see :mod:`dse.relaxed.work`) where its ``share`` is not 0, and returns the value.
"""

from __future__ import annotations

from dse.jit import inner
from dse.model import rules
from dse.numeric import Floats, Ints
from dse.relaxed.work import Work

#: Relative distance at which two displacements are the same.
_SAME = 1e-9
_NOTHING, _PARTIAL, _FULL = 0, 1, 2


@inner
def words_to_child(
    w: Work, c: Floats, row: Ints, t: int, s: int, version: int, seed: float
) -> float:
    """Words of tensor t that level s delivers to one child over the whole run.

    Args:
        w: the mapping's loops and tiles.
        c: ``(Q, D)`` the tensor's projection.
        row: ``(D,)`` the row of each dimension, -1 for none.
        t: the tensor.
        s: the level, at least 1.
        version: of Timeloop, as `dse.model.arrays` numbers them.
        seed: derivative of the goal by the result; 0: none is wanted.
    """
    full = w.size[t, s - 1]
    words = full
    whole, parts = 1.0, 0.0  # how many full tiles, and how many partial ones
    before = 0.0
    moving, seen, far = -1, False, False
    partial = first = moved = side = 0.0
    slide = -1
    for k in range(w.first[s], w.loops[0]):
        n, outside, d = w.bound[k], w.left[k + 1], w.dimension[k]
        q = row[d]
        kind = _NOTHING
        if far:
            kind = _FULL
        elif q < 0:
            if moving >= 0:
                kind = _FULL
            elif not rules.zero_moves_are_free(version):
                seen = True  # a move by nothing: no halo is reused after it
        elif moving >= 0 and q != moving:
            far = True
            kind = _FULL
        else:
            step = c[q, d] * w.spatial_extent[w.level[k], d]
            move = step - moved
            moving = q
            if not seen:
                seen = True
                slide = k
                first = move
                side = w.edge[t, s - 1, q]
                # as rules.refetch, in the steps whose gradient is taken below
                partial = full * min(1.0, move / side)
                kind = _PARTIAL
            else:
                still = abs(move) <= _SAME * step
                repeats = abs(move - first) <= _SAME * step
                kind = rules.later_delta(version, still, repeats, _PARTIAL, _FULL)
            moved += step
        if kind == _NOTHING:
            if seed != 0.0:
                w.bound_share[k] += seed * before
            continue
        each = full if kind == _FULL else partial
        times = rules.weight(n, outside)
        words += times * each
        if seed != 0.0:
            w.bound_share[k] += seed * (n * outside * each + before)
        before += times * each
        if kind == _FULL:
            whole += times
        else:
            parts += times
    if seed != 0.0:
        w.size_share[s - 1] += seed * (full * whole + partial * parts)
        if slide >= 0 and first < side:
            share = seed * partial * parts
            d = w.dimension[slide]
            q = row[d]
            w.spatial_extent_share[w.level[slide], d] += share
            for e in range(c.shape[1]):
                if c[q, e] != 0.0:
                    w.extent_share[s - 1, e] -= share * c[q, e] * w.extent[s - 1, e] / side
    return float(words)


@inner
def multicast_groups(w: Work, c: Floats, row: Ints, s: int, share: float) -> float:
    """Transfers below level s that no two children share; a product over the tensor's rows.

    Two loops of one sliding window coincide as if the smaller of their strides divided the other.
    Three loops of one window count as if they never coincided.
    """
    groups = 1.0
    for q in range(c.shape[0]):
        hits, one, two = 0, -1, -1
        for d in range(c.shape[1]):
            if row[d] == q and w.spatial[s, d] > 1.0:
                hits += 1
                one, two = two, d
        if hits == 2:
            groups *= _pair(w, c[q, one], c[q, two], s, one, two, share)
            continue
        for d in range(c.shape[1]):
            if row[d] == q:
                groups *= w.spatial[s, d]
                if share != 0.0:
                    w.spatial_share[s, d] += share
    return groups


@inner
def _pair(w: Work, c1: float, c2: float, s: int, d1: int, d2: int, share: float) -> float:
    """Distinct offsets of two spatial loops in one row."""
    n1, n2 = w.spatial[s, d1], w.spatial[s, d2]
    v1, v2 = c1, c2
    if s > 0:
        v1 *= w.extent[s - 1, d1]
        v2 *= w.extent[s - 1, d2]
    a1, b1 = max(1.0, v1 / v2), max(1.0, v2 / v1)
    left1, left2 = max(0.0, n1 - b1), max(0.0, n2 - a1)
    groups = rules.distinct_offsets(n1, n2, a1, b1)
    if share != 0.0:
        each = share / groups
        w.spatial_share[s, d1] += each * n1 * (n2 - (left2 if left1 > 0.0 else 0.0))
        w.spatial_share[s, d2] += each * n2 * (n1 - (left1 if left2 > 0.0 else 0.0))
        if left1 > 0.0 and left2 > 0.0 and s > 0 and v1 != v2:
            # only the larger of the ratios moves
            ratio = each * (left1 * a1 if v1 > v2 else -left2 * b1)
            w.extent_share[s - 1, d1] += ratio
            w.extent_share[s - 1, d2] -= ratio
    return float(groups)
