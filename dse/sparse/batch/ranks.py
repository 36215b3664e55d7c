"""Which loops become which rank, in compiled code; `dse.sparse.ranks` says the rules."""

from __future__ import annotations

from dse.jit import inlined
from dse.model.arrays import MappingArrays
from dse.model.loops import build_nest, footprint
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
def lay_out(w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int) -> None:
    """Set the nest of mapping ``b``, its tiles and expansions."""
    build_nest(w.nest, m, b, w.stride)
    nest, tensors = w.nest, plan.tensors
    count, levels = w.tile.shape
    for t in range(count):
        words = int64(1)
        w.side[:] = 1
        for s in range(levels):
            for k in range(nest.first[s], nest.first[s + 1]):
                d = nest.dimension[k]
                relevant = tensors.relevant[t, d]
                if tensors.simple[t]:
                    words *= nest.bound[k] if relevant else 1
                elif relevant:
                    _lengthen(w, tensors, t, d, nest.stride[k], nest.bound[k])
                    words = _words_of_sides(w)
                w.words[t, k] = words
            w.tile[t, s] = words
    x = y = int64(1)
    for s in range(levels - 1, -1, -1):
        w.x[s], w.y[s] = x, y
        x *= nest.width[s]
        y *= nest.height[s]


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
    nest = w.nest
    for k in range(nest.first[first], nest.first[nest.first.shape[0] - 1]):
        if plan.tensors.relevant[t, nest.dimension[k]]:
            return int64(w.words[t, k])
    return below


@inlined
def _add_loop(w: SparseWork, count: int, d: int, bound: int, words: int, counts: bool) -> int:
    """Note a loop and return how many there are; one that does not count is written over."""
    w.loop_dimension[count] = d
    w.loop_bound[count] = bound
    w.loop_words[count] = words
    return count + int64(counts)


@inlined
def _whole_loops(
    w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int, t: int, first: int
) -> int:
    """List the loops of level ``first``, the innermost ones with all of their dimension inside."""
    nest, relevant = w.nest, plan.tensors.relevant
    count, k = 0, nest.first[first]
    words = w.tile[t, first - 1]
    for d in range(w.below.shape[0]):
        w.below[d] = nest.extent[first - 1, d]
    for spatial in (True, False):
        if spatial and not spreads(w, plan, first):
            continue
        order = m.spatial_permutation if spatial else m.permutation
        bound = m.spatial if spatial else m.temporal
        bo = b if order.shape[2] > 1 else 0
        for p in range(order.shape[1]):
            d = order[first, p, bo]
            n = int64(bound[first, d, b])
            words = w.words[t, k] if n > 1 else words
            k += int64(n > 1)
            if relevant[t, d]:
                n *= w.below[d]
                w.below[d] = 1
                count = _add_loop(w, count, d, n, words, n > 1)
    return count


@inlined
def _list_loops(
    w: SparseWork, plan: SparsePlan, m: MappingArrays, b: int, t: int, s: int, whole: bool
) -> int:
    """List the loops between a level and the next one inside that keeps the tensor."""
    nest = w.nest
    first = w.child[t, s] + 1
    count, k = 0, nest.first[first]
    if whole and first > 0:
        count = _whole_loops(w, plan, m, b, t, first)
        k = nest.first[first + 1]
    for j in range(k, nest.first[s + 1]):
        d = nest.dimension[j]
        relevant = plan.tensors.relevant[t, d]
        count = _add_loop(w, count, d, nest.bound[j], w.words[t, j], relevant)
    return count


@inlined
def _group(plan: SparsePlan, s: int, t: int, r: int, d: int) -> int:
    """Return with which dimensions a rank takes a loop; -1: it does not."""
    for g in range(plan.formats.groups[s, t, r]):
        if (plan.formats.group[s, t, r, g] >> d) & 1:
            return int64(plan.formats.group[s, t, r, g])
    return -1


@inlined
def _fiber(w: SparseWork, plan: SparsePlan, t: int, start: int, stop: int) -> int:
    """Return the elements of a fiber of a rank that takes these loops."""
    if plan.tensors.simple[t]:
        length = int64(1)
        for j in range(start, stop):
            length *= w.loop_bound[j]
        return length
    w.below[:] = 1
    w.side[:] = 1
    for j in range(start, stop):
        d, bound = w.loop_dimension[j], w.loop_bound[j]
        _lengthen(w, plan.tensors, t, d, w.below[d], bound)
        w.below[d] *= bound
    return _words_of_sides(w)


@inlined
def _from_outside(
    w: SparseWork,
    plan: SparsePlan,
    m: MappingArrays,
    b: int,
    t: int,
    s: int,
    first: int,
    loops: int,
) -> bool:
    """Give the outermost loops to the outermost ranks; False where loops are left."""
    ranks = plan.formats.ranks[s, t]
    rank, at, taken, empty = ranks, loops - 1, 0, 0
    while rank > first and at >= 0:
        rank -= 1
        start = at
        if plan.formats.groups[s, t, rank] > 0:
            group = _group(plan, s, t, rank, w.loop_dimension[at])
            if group < 0:  # Timeloop appends it on the outside
                empty += 1
                continue
            while start > 0 and (group >> w.loop_dimension[start - 1]) & 1:
                start -= 1
        w.taken_length[taken] = _fiber(w, plan, t, start, at + 1)
        w.taken_words[taken] = w.loop_words[at]
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
    return at < 0


@inlined
def _from_inside(
    w: SparseWork,
    plan: SparsePlan,
    m: MappingArrays,
    b: int,
    t: int,
    s: int,
    first: int,
    loops: int,
) -> bool:
    """Give the innermost loops to the innermost ranks; False where loops are left."""
    ranks = plan.formats.ranks[s, t]
    rank, at = first, 0
    while rank < ranks and at < loops:
        stop = at + 1
        r = rank
        rank += 1
        if plan.formats.groups[s, t, r] > 0:
            group = _group(plan, s, t, r, w.loop_dimension[at])
            if group < 0:
                w.length[t, s, r], w.element[t, s, r + 1] = 1, 1
                continue
            while stop < loops and (group >> w.loop_dimension[stop]) & 1:
                stop += 1
        w.length[t, s, r] = _fiber(w, plan, t, at, stop)
        w.element[t, s, r + 1] = w.loop_words[at]
        at = stop
    if rank < ranks:
        innermost = _innermost(w, plan, m, b, t, w.child[t, s] + 1)
        for r in range(rank, ranks):
            w.length[t, s, r], w.element[t, s, r + 1] = 1, innermost
    return at == loops


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
    loops = _list_loops(w, plan, m, b, t, s, not pretiled)
    if formats.inner_first[s, t]:
        return _from_inside(w, plan, m, b, t, s, first, loops)
    return _from_outside(w, plan, m, b, t, s, first, loops)
