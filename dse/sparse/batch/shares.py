"""How likely accesses are saved, in compiled code; `dse.sparse.savings` says the rules."""

from __future__ import annotations

import math

from dse.jit import inlined
from dse.model.arrays import MappingArrays
from dse.model.loops import copy_row
from dse.numeric import Flags, int64
from dse.sparse.batch.holds import empty_share
from dse.sparse.batch.memory import Memo, SparseWork
from dse.sparse.batch.plan import SparsePlan
from dse.sparse.batch.ranks import spreads, tile_words


@inlined
def _start(w: SparseWork, s: int) -> None:
    """Let ``extents`` be those inside of all loops of a level."""
    if s:
        copy_row(w.extents, w.nest.extent[s - 1])
    else:
        w.extents[:] = 1


@inlined
def _target(
    w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int, t: int, level: int
) -> tuple[int, int, bool, bool]:
    """Find the loop over tiles that are accessed at a level; ``extents`` become theirs.

    Sets the first of ``around`` and ``bounds`` to that loop.

    Returns:
        Level and number of the first loop behind it that has more than one iteration, whether it
        is one in space, and whether single words are accessed.
    """
    nest, child = w.nest, w.child[t, level]
    bp = b if m.permutation.shape[2] > 1 else 0
    if child >= 0:
        for s in range(child + 1, level + 1):
            for k in range(nest.first[s], nest.first[s + 1]):
                d = nest.dimension[k]
                if plan.tensors.relevant[t, d]:
                    _start(w, s)
                    for j in range(nest.first[s], k + 1):
                        w.extents[nest.dimension[j]] *= nest.bound[j]
                    w.around[0], w.bounds[0] = d, nest.bound[k]
                    return s, k + 1, k < nest.middle[s], False
        copy_row(w.extents, nest.extent[level])
        d = int64(m.permutation[level, m.permutation.shape[1] - 1, bp])
        w.around[0], w.bounds[0] = d, m.temporal[level, d, b]
        return level, nest.first[level + 1], False, False
    _start(w, 0)
    if not spreads(w, plan, 0):
        d = int64(m.permutation[0, 0, bp])
        w.around[0], w.bounds[0] = d, m.temporal[0, d, b]
        return 0, nest.first[0] + (1 if m.temporal[0, d, b] > 1 else 0), False, True
    for k in range(nest.first[0], nest.middle[0]):
        d = nest.dimension[k]
        w.extents[d] *= nest.bound[k]
        if plan.tensors.relevant[t, d]:
            w.around[0], w.bounds[0] = d, nest.bound[k]
            return 0, k + 1, True, False
    bs = b if m.spatial_permutation.shape[2] > 1 else 0
    d = int64(m.spatial_permutation[0, m.spatial_permutation.shape[1] - 1, bs])
    w.around[0], w.bounds[0] = d, m.spatial[0, d, b]
    return 0, nest.middle[0], True, False


@inlined
def _go_along(
    w: SparseWork, plan: SparsePlan, t: int, level: int, s: int, first: int, spatial: bool
) -> int:
    """List the loops around that go along; ``condition`` becomes their extents."""
    nest, child = w.nest, w.child[t, level]
    copy_row(w.condition, w.extents)
    count, passed = 1, not spatial
    for k in range(first, nest.first[level + 1]):
        while nest.first[s + 1] <= k:
            s += 1
        d = nest.dimension[k]
        in_space = k < nest.middle[s]
        moves = plan.tensors.relevant[t, d]
        if in_space or (not passed and child >= 0 and not moves):
            w.condition[d] *= nest.bound[k]
            w.around[count], w.bounds[count] = d, nest.bound[k]
            count += 1
        if spatial and not in_space and (child < 0 or moves):
            passed = True
    return count


@inlined
def _empty(
    w: SparseWork, memo: Memo, plan: SparsePlan, t: int, c: int, loops: int, spatial: bool,
    words: bool, block: int, target_words: int,
) -> float:  # fmt: skip
    """Return how likely the tile is empty that an access depends on; 0 where on none.

    ``words``: single ones are accessed, of the target's ``target_words``.
    """
    relevant = plan.tensors.relevant
    product, met = 1.0, False
    w.together[:] = 0.0
    if not words:
        for j in range(loops):
            d = w.around[j]
            if spatial and met and relevant[c, d]:
                return 0.0
            if relevant[t, d] and relevant[c, d]:
                w.together[d] = (w.together[d] if w.together[d] else 1.0) * w.bounds[j]
                product *= w.bounds[j]
                met = True
    copy_row(w.scaled, w.condition)
    # as much of the target as a block holds
    scale = math.ceil(block / (target_words / product)) * 1.0
    for d in range(w.together.shape[0]):
        bound = w.together[d]
        if bound:
            w.scaled[d] = int64(math.ceil(w.scaled[d] / (bound / scale)))
            scale /= bound
    if scale > 1:
        w.scaled[w.around[0]] = int64(w.scaled[w.around[0]] * scale)
    return empty_share(w, memo, plan, c, tile_words(plan.tensors, c, w.scaled))


@inlined
def _effectual(
    w: SparseWork, memo: Memo, plan: SparsePlan, m: MappingArrays, b: int, option: int, level: int
) -> float:
    """Return how likely an access is not saved by an option."""
    savings = plan.savings
    t = savings.target[option]
    s, first, spatial, words = _target(w, plan, m, b, t, level)
    loops = _go_along(w, plan, t, level, s, first, spatial)
    target_words = tile_words(plan.tensors, t, w.extents)
    block, left = plan.buffers.block[level], 1.0
    for i in range(savings.condition_first[option], savings.condition_first[option + 1]):
        c = savings.condition[i]
        left *= 1 - _empty(w, memo, plan, t, c, loops, spatial, words, block, target_words)
    return left


@inlined
def _words(w: SparseWork, plan: SparsePlan, t: int, level: int) -> float:
    """Return the words that accesses to a tile take, with metadata."""
    child = w.child[t, level]
    inner_level = level if child < 0 else child
    units = 0.0
    for r in range(plan.formats.ranks[inner_level, t]):
        units += w.units[t, inner_level, r, 0] + w.units[t, inner_level, r, 1]
    return float(w.held[t, level] + units * plan.buffers.word_ratio[level])


@inlined
def set_shares(
    w: SparseWork, memo: Memo, plan: SparsePlan, m: MappingArrays, b: int, keep: Flags
) -> bool:
    """Set which share of the accesses is saved, and how; False: accesses that are not there."""
    savings = plan.savings
    w.how[:] = -1
    for i in range(savings.how.shape[0]):
        best, best_level, best_share, most = -1, 0, 0.0, 0.0
        for option in range(savings.first[i], savings.first[i + 1]):
            t = savings.target[option]
            level = savings.level[i]
            level = level if keep[level, t] else w.parent[t, level]
            if level < 0:
                return False
            share = 1 - _effectual(w, memo, plan, m, b, option, level)
            pj = 0.0
            if savings.first[i + 1] - savings.first[i] > 1:
                pj = plan.buffers.read_pj[level] * _words(w, plan, t, level) * share
            if best < 0 or pj >= most:
                best, best_level, best_share, most = option, level, share, max(pj, 0.0)
        t = savings.target[best]
        if w.how[t, best_level] < 0 or w.share[t, best_level] < best_share:
            w.how[t, best_level], w.share[t, best_level] = savings.how[i], best_share
    return True
