"""Which loops become which rank, in compiled code; `dse.sparse.ranks` says the rules."""

from __future__ import annotations

from dse.jit import inlined
from dse.model.arrays import MappingArrays
from dse.model.loops import build_nest, copy_row, footprint
from dse.numeric import Flags, Ints, int64
from dse.sparse.batch.memory import SparseWork
from dse.sparse.batch.plan import SparsePlan, Tensors


@inlined
def tile_words(x: Tensors, t: int, extents: Ints) -> int:
    """Return the words that loops over extents ``(D,)`` touch."""
    if not x.simple[t]:
        return footprint(x.coefficient[t], extents)
    words = int64(1)
    for d in range(extents.shape[0]):
        if x.relevant[t, d]:
            words *= extents[d]
    return words


@inlined
def _lengthen(w: SparseWork, x: Tensors, t: int, d: int, stride: int, bound: int) -> None:
    """Let the sides of a tile grow by a loop of a dimension."""
    for q in range(w.side.shape[0]):
        w.side[q] += x.coefficient[t, q, d] * (stride * (bound - 1))


@inlined
def _words_of_sides(w: SparseWork) -> int:
    words = int64(1)
    for q in range(w.side.shape[0]):
        words *= w.side[q]
    return words


@inlined
def _add_loop(
    w: SparseWork, row: int, count: int, d: int, bound: int, words: int, counts: bool
) -> int:
    """Note a loop and return how many there are; one that does not count is written over."""
    w.loop_dimension[row, count] = d
    w.loop_bound[row, count] = bound
    w.loop_words[row, count] = words
    return count + int64(counts)


@inlined
def _list_relevant(w: SparseWork, x: Tensors, t: int) -> None:
    """List a tensor's loops, with the words of each and all inside of it."""
    nest, words, count = w.nest, int64(1), int64(0)
    w.side[:] = 1
    for s in range(w.tile.shape[1]):
        w.loop_first[t, s] = count
        for k in range(nest.first[s], nest.first[s + 1]):
            d, bound = nest.dimension[k], nest.bound[k]
            relevant = x.relevant[t, d]
            if x.simple[t]:
                words *= bound if relevant else 1
            elif relevant:
                _lengthen(w, x, t, d, nest.stride[k], bound)
                words = _words_of_sides(w)
            count = _add_loop(w, t, count, d, bound, words, relevant)
        w.tile[t, s] = words
    w.loop_first[t, w.tile.shape[1]] = count


@inlined
def lay_out(w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int) -> None:
    """Set the nest of mapping ``b``, its tiles and expansions, and the loops that make ranks."""
    build_nest(w.nest, m, b, w.stride)
    tensors, levels = w.tile.shape
    for t in range(tensors):
        if plan.formats.anywhere[t]:
            _list_relevant(w, plan.tensors, t)
        else:
            for s in range(levels):
                w.tile[t, s] = tile_words(plan.tensors, t, w.nest.extent[s])
    x = y = int64(1)
    for s in range(levels - 1, -1, -1):
        w.x[s], w.y[s] = x, y
        x *= w.nest.width[s]
        y *= w.nest.height[s]


@inlined
def relate(w: SparseWork, keep: Flags) -> None:
    """Set which level inside, and outside, is the next to keep a tensor; ``keep (L, T)``."""
    levels, count = keep.shape
    for t in range(count):
        inside = -1
        for s in range(levels):
            w.child[t, s] = inside
            if keep[s, t]:
                inside = s
        outside = -1
        for s in range(levels - 1, -1, -1):
            w.parent[t, s] = outside
            if keep[s, t]:
                outside = s


@inlined
def spreads(w: SparseWork, plan: SparsePlan, s: int) -> bool:
    """Whether a level has loops in space, be they of one iteration."""
    return bool(plan.buffers.fanned[s] or w.nest.middle[s] > w.nest.first[s])


@inlined
def _innermost(
    w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int, t: int, first: int
) -> int:
    """Return the words of the innermost loop, maybe a trivial one, of the tensor at a level."""
    order = m.spatial_permutation if spreads(w, plan, first) else m.permutation
    bound = m.spatial if spreads(w, plan, first) else m.temporal
    bo = b if order.shape[2] > 1 else 0
    below = w.tile[t, first - 1] if first else int64(1)
    for p in range(order.shape[1]):
        d = order[first, p, bo]
        if plan.tensors.relevant[t, d]:
            if bound[first, d, b] == 1:
                return below
            break
    k = w.loop_first[t, first]
    if k < w.loop_first[t, w.tile.shape[1]]:
        return int64(w.loop_words[t, k])
    return below


@inlined
def _list_whole(
    w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int, t: int, first: int, s: int
) -> int:
    """List the loops of levels ``first .. s`` in the last row; return how many there are.

    The innermost ones of level ``first`` are with all of their dimension inside.
    """
    relevant, row = plan.tensors.relevant, w.tile.shape[0]
    count, k = int64(0), w.loop_first[t, first]
    words = w.tile[t, first - 1]
    copy_row(w.below, w.nest.extent[first - 1])
    for spatial in (True, False):
        if spatial and not spreads(w, plan, first):
            continue
        order = m.spatial_permutation if spatial else m.permutation
        bound = m.spatial if spatial else m.temporal
        bo = b if order.shape[2] > 1 else 0
        for p in range(order.shape[1]):
            d = order[first, p, bo]
            if not relevant[t, d]:
                continue
            n = int64(bound[first, d, b])
            if n > 1:
                words = w.loop_words[t, k]
                k += 1
            n *= w.below[d]
            w.below[d] = 1
            count = _add_loop(w, row, count, d, n, words, n > 1)
    for j in range(w.loop_first[t, first + 1], w.loop_first[t, s + 1]):
        d, n, words = w.loop_dimension[t, j], w.loop_bound[t, j], w.loop_words[t, j]
        count = _add_loop(w, row, count, d, n, words, True)
    return count


@inlined
def _group(plan: SparsePlan, s: int, t: int, r: int, d: int) -> int:
    """Return with which dimensions a rank takes a loop; -1: it does not."""
    for g in range(plan.formats.groups[s, t, r]):
        if (plan.formats.group[s, t, r, g] >> d) & 1:
            return int64(plan.formats.group[s, t, r, g])
    return -1


@inlined
def _fiber(w: SparseWork, plan: SparsePlan, t: int, row: int, start: int, stop: int) -> int:
    """Return the elements of a fiber of a rank that takes these loops."""
    if plan.tensors.simple[t]:
        length = int64(1)
        for j in range(start, stop):
            length *= w.loop_bound[row, j]
        return length
    w.below[:] = 1
    w.side[:] = 1
    for j in range(start, stop):
        d, bound = w.loop_dimension[row, j], w.loop_bound[row, j]
        _lengthen(w, plan.tensors, t, d, w.below[d], bound)
        w.below[d] *= bound
    return _words_of_sides(w)


@inlined
def _from_outside(
    w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int, t: int, s: int, first: int,
    row: int, begin: int, end: int,
) -> bool:  # fmt: skip
    """Give the outermost loops to the outermost ranks; False where loops are left."""
    ranks = plan.formats.ranks[s, t]
    rank, at, taken, empty = ranks, end - 1, 0, 0
    while rank > first and at >= begin:
        rank -= 1
        start = at
        if plan.formats.groups[s, t, rank] > 0:
            group = _group(plan, s, t, rank, w.loop_dimension[row, at])
            if group < 0:  # Timeloop appends it on the outside
                empty += 1
                continue
            while start > begin and (group >> w.loop_dimension[row, start - 1]) & 1:
                start -= 1
        w.taken_length[taken] = _fiber(w, plan, t, row, start, at + 1)
        w.taken_words[taken] = w.loop_words[row, at]
        taken += 1
        at = start - 1
    r = first
    innermost = int64(1)
    if rank > first or empty > 0:
        innermost = _innermost(w, plan, m, b, t, w.child[t, s] + 1)
    for _ in range(rank - first):
        w.length[t, s, r], w.element[t, s, r + 1] = 1, innermost
        r += 1
    for i in range(taken - 1, -1, -1):
        w.length[t, s, r], w.element[t, s, r + 1] = w.taken_length[i], w.taken_words[i]
        r += 1
    for _ in range(empty):
        w.length[t, s, r], w.element[t, s, r + 1] = 1, innermost
        r += 1
    return at < begin


@inlined
def _from_inside(
    w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int, t: int, s: int, first: int,
    row: int, begin: int, end: int,
) -> bool:  # fmt: skip
    """Give the innermost loops to the innermost ranks; False where loops are left."""
    ranks = plan.formats.ranks[s, t]
    rank, at = first, begin
    while rank < ranks and at < end:
        stop = at + 1
        r = rank
        rank += 1
        if plan.formats.groups[s, t, r] > 0:
            group = _group(plan, s, t, r, w.loop_dimension[row, at])
            if group < 0:
                w.length[t, s, r], w.element[t, s, r + 1] = 1, 1
                continue
            while stop < end and (group >> w.loop_dimension[row, stop]) & 1:
                stop += 1
        w.length[t, s, r] = _fiber(w, plan, t, row, at, stop)
        w.element[t, s, r + 1] = w.loop_words[row, at]
        at = stop
    if rank < ranks:
        innermost = _innermost(w, plan, m, b, t, w.child[t, s] + 1)
        for r in range(rank, ranks):
            w.length[t, s, r], w.element[t, s, r + 1] = 1, innermost
    return at == end


@inlined
def set_ranks(w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int, t: int, s: int) -> bool:
    """Set the ranks of a tensor at a level that keeps it, with a format; False: refused.

    Those of the level inside are set.
    """
    child, formats = w.child[t, s], plan.formats
    first = 0
    w.element[t, s, 0] = 1
    pretiled = child >= 0 and formats.compressed[s, t] and w.tile[t, child] > 1
    if pretiled:
        if not formats.aligned[s, child, t]:
            return False
        first = formats.ranks[child, t]
        for r in range(first):
            w.length[t, s, r] = w.length[t, child, r]
            w.element[t, s, r + 1] = w.element[t, child, r + 1]
        if first == 0:  # without a format the tile inside is one rank
            w.length[t, s, 0] = w.element[t, s, 1] = w.tile[t, child]
            first = 1
    row, begin, end = t, w.loop_first[t, child + 1], w.loop_first[t, s + 1]
    if child >= 0 and not pretiled:
        row, begin = w.tile.shape[0], int64(0)
        end = _list_whole(w, plan, m, b, t, child + 1, s)
    if formats.inner_first[s, t]:
        return _from_inside(w, plan, m, b, t, s, first, row, begin, end)
    return _from_outside(w, plan, m, b, t, s, first, row, begin, end)
