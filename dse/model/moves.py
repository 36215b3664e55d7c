"""What a level of an imperfect nest delivers to its children (section 14 of the rules).

The sequence of tiles that Timeloop walks through is long, but repeats itself: what happens inside a
node of the course depends only on the state in which its first tile leaves the level, a *variant*.
So each node is walked through once per variant, and then counted as often as it occurs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner
from dse.model import rules
from dse.model.course import RUNS, LoopCourse, restore_ends, set_ends
from dse.model.links import mark_linked, may_link, set_reach
from dse.model.loops import Nest, copy_row
from dse.model.multicast import (
    Grid,
    Histogram,
    closed_histogram,
    group_children,
    new_grid,
    place_children,
)
from dse.model.records import Records, record, record_histogram
from dse.model.traffic import Links, Tile

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class LastTile(NamedTuple):
    """What a level remembers of the tile that it delivered last, for several walks; scratch."""

    known: Flags  # (V,) whether there is a translation to compare the next one with
    translation: Ints  # (V, Q)
    delta: Ints  # (V,) the row of ``Deltas`` that was delivered


class Deltas(NamedTuple):
    """Parts of tiles that were delivered, each once; scratch.

    A delta is a tile without the box ``low .. high`` inside it, relative to the tile's corner.
    """

    used: Ints  # (1,)
    side: Ints  # (E, Q) sides of the tile
    low: Ints  # (E, Q)
    high: Ints  # (E, Q)


class Deliveries(NamedTuple):
    """Working memory for one tensor at one level."""

    terms: Ints  # (1,) how many terms the tensor's rows have
    term: Ints  # (Q D, 3) row, dimension and coefficient of each
    corner: Ints  # (M, Q) of a tile, relative to the sum of its loops' steps
    side: Ints  # (M, Q) sides of a tile
    size: Ints  # (M,) its words
    entry: Ints  # (M,) leaf of the first tile inside a node
    exit: Ints  # (M,) leaf of the last one
    travel: Ints  # (M, Q) steps from the first one to the last one
    moving: Flags  # (M,) whether there are any
    words: Ints  # (M,) words delivered to one child in the state of that leaf
    head: Ints  # (M,) first variant of a node, -1: none
    used: Ints  # (1,) variants in use
    node: Ints  # (V,) node of a variant
    next: Ints  # (V,) next variant of that node
    before: LastTile  # (V, ...) after its first tile
    after: LastTile  # (V, ...) after its last one
    child: Ints  # (V, RUNS) variant of the node inside
    delivered: Ints  # (V, RUNS) words of the first tile inside
    done: Ints  # (V,) runs that are walked through
    times: Ints  # (V,) how often the variant occurs
    stack: Ints  # (N,)
    state: LastTile  # (1, ...) the state at hand
    deltas: Deltas
    step: Ints  # (Q,)
    shift: Ints  # (Q,)
    low: Ints  # (Q,)
    high: Ints  # (Q,)
    previous: Grid  # the children's offsets in the invocation before


def _new_state(variants: int, ranks: int) -> LastTile:
    return LastTile(
        np.zeros(variants, np.bool_),
        np.zeros((variants, ranks), np.int64),
        np.zeros(variants, np.int64),
    )


def new_moves(loops: int, dimensions: int, ranks: int, nodes: int, elements: int) -> Deliveries:
    """Allocate memory for courses of ``nodes`` nodes and grids of ``elements`` children."""
    variants = 4 * nodes
    arrays: list[Any] = [
        np.zeros(1, np.int64),
        np.zeros((ranks * dimensions, 3), np.int64),
        *(np.zeros((nodes, ranks), np.int64) for _ in range(2)),
        *(np.zeros(nodes, np.int64) for _ in range(3)),
        np.zeros((nodes, ranks), np.int64),
        np.zeros(nodes, np.bool_),
        *(np.zeros(nodes, np.int64) for _ in range(2)),
        np.zeros(1, np.int64),
        *(np.zeros(variants, np.int64) for _ in range(2)),
        _new_state(variants, ranks),
        _new_state(variants, ranks),
        *(np.zeros((variants, RUNS), np.int64) for _ in range(2)),
        *(np.zeros(variants, np.int64) for _ in range(2)),
        np.zeros(loops + 1, np.int64),
        _new_state(1, ranks),
        Deltas(np.zeros(1, np.int64), *(np.zeros((variants, ranks), np.int64) for _ in range(3))),
        *(np.zeros(ranks, np.int64) for _ in range(4)),
        new_grid(elements, ranks),
    ]
    return Deliveries(*arrays)


@inner
def set_terms(m: Deliveries, projection: Ints) -> None:
    """Note the terms of a tensor's rows, ``projection (Q, D)``."""
    count = 0
    for q in range(projection.shape[0]):
        for d in range(projection.shape[1]):
            if projection[q, d] != 0:
                m.term[count, 0] = q
                m.term[count, 1] = d
                m.term[count, 2] = projection[q, d]
                count += 1
    m.terms[0] = count


@inner
def is_plain(m: Deliveries, nest: Nest, loops: int) -> bool:
    """Whether every row is moved by one dimension, forwards, and every dimension moves one row."""
    moved = np.int64(0)
    for k in range(loops):
        moved |= np.int64(1) << nest.dimension[k]
    rows = dimensions = np.int64(0)
    for i in range(m.terms[0]):
        d = m.term[i, 1]
        if (moved >> d) & 1 == 0:
            continue
        row, dimension = np.int64(1) << m.term[i, 0], np.int64(1) << d
        if rows & row or dimensions & dimension or m.term[i, 2] < 0:
            return False
        rows |= row
        dimensions |= dimension
    return True


@inlined
def _set_tiles(m: Deliveries, c: LoopCourse, nest: Nest, s: int) -> None:
    """Fill corner, sides and size of the tile that level s delivers, for each leaf."""
    place = nest.middle[s]
    ranks = m.low.shape[0]
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        m.words[leaf] = 0
        m.size[leaf] = 1
        for q in range(ranks):
            m.corner[leaf, q] = 0
            m.side[leaf, q] = 1
        if s == 0:
            continue
        bits = c.last[leaf]
        for k in range(nest.first[s], place):
            if c.remainder[k] > 1:
                bits &= ~(np.int64(1) << nest.dimension[k])
        for i in range(m.terms[0]):
            q, d, coefficient = m.term[i, 0], m.term[i, 1], m.term[i, 2]
            last = (bits >> d) & 1 == 1
            extent = c.partial[s - 1, d] if last else nest.extent[s - 1, d]
            m.side[leaf, q] += rules.stretch(coefficient, extent)
            if coefficient < 0:
                m.corner[leaf, q] += coefficient * (extent - 1)
        for q in range(ranks):
            m.size[leaf] *= m.side[leaf, q]


@inlined
def _set_ways(m: Deliveries, c: LoopCourse, nest: Nest, vector: Ints, s: int) -> None:
    """Fill where the first and the last tile inside each node lie."""
    place = nest.middle[s]
    ranks = vector.shape[1]
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        m.entry[leaf] = m.exit[leaf] = leaf
        m.head[leaf] = -1
        for q in range(ranks):
            m.travel[leaf, q] = 0
    for k in range(place, nest.first[nest.middle.shape[0]]):
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            i = c.runs[node] - 1
            child = c.child[node, i]
            m.head[node] = -1
            m.entry[node] = m.entry[c.child[node, 0]]
            m.exit[node] = m.exit[child]
            for q in range(ranks):
                m.travel[node, q] = c.at[node, i] * vector[k, q] + m.travel[child, q]


@inlined
def _set_step(m: Deliveries, c: LoopCourse, vector: Ints, node: int, k: int, i: int) -> None:
    """Set ``step`` to how far corners move from run i - 1 of a node's loop k to run i."""
    before, now = c.child[node, i - 1], c.child[node, i]
    steps = c.at[node, i] - c.at[node, i - 1]
    for q in range(vector.shape[1]):
        m.step[q] = (
            steps * vector[k, q]
            - m.travel[before, q]
            + m.corner[m.entry[now], q]
            - m.corner[m.exit[before], q]
        )


@inlined
def _delta(m: Deliveries) -> int:
    """Return the row of the delta ``low .. high`` of a tile with sides ``shift``; -1: no room."""
    d = m.deltas
    ranks = m.low.shape[0]
    for row in range(d.used[0]):
        same = True
        for q in range(ranks):
            same &= d.side[row, q] == m.shift[q]
            same &= d.low[row, q] == m.low[q]
            same &= d.high[row, q] == m.high[q]
        if same:
            return row
    row = d.used[0]
    if row >= d.side.shape[0]:
        return -1
    copy_row(d.side[row], m.shift)
    copy_row(d.low[row], m.low)
    copy_row(d.high[row], m.high)
    d.used[0] = row + 1
    return row


@inlined
def _deliver_all(m: Deliveries, leaf: int, linked: bool) -> int:
    """Deliver the whole tile of a leaf; return its words, -1 without room."""
    if linked:
        for q in range(m.low.shape[0]):
            m.low[q] = m.high[q] = 0
            m.shift[q] = m.side[leaf, q]
        m.state.delta[0] = _delta(m)
        if m.state.delta[0] < 0:
            return -1
    return m.size[leaf]


@inlined
def _deliver_rest(m: Deliveries, before: int, leaf: int, linked: bool) -> int:
    """Deliver what the tile before it, ``step`` away, does not have of a leaf's tile."""
    kept = np.int64(1)
    for q in range(m.low.shape[0]):
        side = m.side[leaf, q]
        m.shift[q] = side
        m.low[q] = max(0, -m.step[q])
        m.high[q] = min(side, m.side[before, q] - m.step[q])
        kept *= max(0, m.high[q] - m.low[q])
    if kept == 0:
        return _deliver_all(m, leaf, linked)
    if linked:
        m.state.delta[0] = _delta(m)
        if m.state.delta[0] < 0:
            return -1
    return m.size[leaf] - kept


@inlined
def _deliver(
    m: Deliveries, before: int, leaf: int, always_full: bool, linked: bool, version: int
) -> int:
    """Deliver the tile of a leaf after that of leaf ``before``; return words, -1 without room.

    Updates ``state`` by Timeloop's reset on a change of stride (section 14.4).
    """
    if always_full:
        return _deliver_all(m, leaf, linked)
    still = True
    repeats = True
    for q in range(m.step.shape[0]):
        move = rules.centre_move(m.step[q], m.side[leaf, q] - m.side[before, q])
        still &= move == 0
        repeats &= move == m.state.translation[0, q]
    if still and rules.zero_moves_are_free(version):
        return _deliver_rest(m, before, leaf, linked)
    if not m.state.known[0]:
        m.state.known[0] = True
        for q in range(m.step.shape[0]):
            m.state.translation[0, q] = rules.centre_move(
                m.step[q], m.side[leaf, q] - m.side[before, q]
            )
        return _deliver_rest(m, before, leaf, linked)
    if repeats:
        return _deliver_rest(m, before, leaf, linked)
    m.state.known[0] = False
    return _deliver_all(m, leaf, linked)


@inlined
def _copy_state(to: LastTile, i: int, source: LastTile, j: int) -> None:
    to.known[i] = source.known[j]
    to.delta[i] = source.delta[j]
    copy_row(to.translation[i], source.translation[j])


@inlined
def _variant(m: Deliveries, node: int) -> int:
    """Return the node's variant of the state at hand, a new one if need be; -1: no room."""
    v = m.head[node]
    while v >= 0:
        same = m.before.known[v] == m.state.known[0] and m.before.delta[v] == m.state.delta[0]
        if same and m.state.known[0]:
            for q in range(m.step.shape[0]):
                same &= m.before.translation[v, q] == m.state.translation[0, q]
        if same:
            return v
        v = m.next[v]
    v = m.used[0]
    if v >= m.node.shape[0]:
        return -1
    m.used[0] = v + 1
    m.node[v] = node
    m.next[v] = m.head[node]
    m.head[node] = v
    m.done[v] = 0
    m.times[v] = 0
    _copy_state(m.before, v, m.state, 0)
    return v


@inlined
def _walk(
    m: Deliveries,
    c: LoopCourse,
    nest: Nest,
    vector: Ints,
    s: int,
    always_full: bool,
    linked: bool,
    version: int,
) -> bool:
    """Walk through the outermost node, and whatever it meets inside, once per variant."""
    innermost, loops = nest.middle[s], nest.first[nest.middle.shape[0]]
    m.used[0] = 0
    m.deltas.used[0] = 0
    m.state.known[0] = False
    m.state.delta[0] = 0
    if _deliver_all(m, m.entry[0], linked) < 0:
        return False
    m.stack[0] = _variant(m, 0)
    depth = 0
    while depth >= 0:
        v = m.stack[depth]
        node = m.node[v]
        k = loops - depth - 1
        i = m.done[v]
        if k < innermost or (i > 0 and i == c.runs[node]):
            if k < innermost:
                _copy_state(m.after, v, m.before, v)
                m.done[v] = 1
            else:
                _copy_state(m.after, v, m.after, m.child[v, i - 1])
            depth -= 1
            continue
        child = c.child[node, i]
        if i == 0:
            _copy_state(m.state, 0, m.before, v)
        else:
            _copy_state(m.state, 0, m.after, m.child[v, i - 1])
            _set_step(m, c, vector, node, k, i)
            words = _deliver(
                m, m.exit[c.child[node, i - 1]], m.entry[child], always_full, linked, version
            )
            if words < 0:
                return False
            m.delivered[v, i] = words
        inside = _variant(m, child)
        if inside < 0:
            return False
        m.child[v, i] = inside
        m.done[v] = i + 1
        if m.done[inside] == 0:
            depth += 1
            m.stack[depth] = inside
    return True


@inner
def _same_delta(d: Deltas, a: int, b: int) -> bool:
    """Whether two deltas are the same set but for where they lie (section 14.5).

    Timeloop keeps a delta as slices: along each row the left one, the right one, then the rest.
    """
    if a == b:
        return True
    ranks = d.side.shape[1]
    qa = qb = np.int64(0)
    # both start from a whole tile; slices that are empty do not exist
    right_a = right_b = False
    while True:
        while qa < ranks and not _exists(d, a, qa, right_a):
            qa, right_a = qa + right_a, not right_a
        while qb < ranks and not _exists(d, b, qb, right_b):
            qb, right_b = qb + right_b, not right_b
        if ranks in (qa, qb):
            return qa == ranks and qb == ranks
        for q in range(ranks):
            if _slice_low(d, a, qa, right_a, q) != _slice_low(d, b, qb, right_b, q):
                return False
            if _slice_high(d, a, qa, right_a, q) != _slice_high(d, b, qb, right_b, q):
                return False
        qa, right_a = qa + right_a, not right_a
        qb, right_b = qb + right_b, not right_b


@inner
def _whole(d: Deltas, row: int) -> bool:
    for q in range(d.side.shape[1]):
        if d.high[row, q] <= d.low[row, q]:
            return True
    return False


@inner
def _exists(d: Deltas, row: int, q: int, right: bool) -> bool:
    if _whole(d, row):
        return q == 0 and not right
    return d.high[row, q] < d.side[row, q] if right else d.low[row, q] > 0


@inner
def _slice_low(d: Deltas, row: int, cut: int, right: bool, q: int) -> int:
    if _whole(d, row) or q > cut:
        return 0
    if q < cut:
        return d.low[row, q]
    return d.high[row, q] if right else 0


@inner
def _slice_high(d: Deltas, row: int, cut: int, right: bool, q: int) -> int:
    if _whole(d, row) or q > cut:
        return d.side[row, q]
    if q < cut:
        return d.high[row, q]
    return d.side[row, q] if right else d.low[row, q]


@inlined
def _varying(c: LoopCourse, nest: Nest, s: int) -> int:
    """Return the bits of the dimensions of which level s has fewer children at the end."""
    bits = np.int64(0)
    for k in range(nest.first[s], nest.middle[s]):
        bits |= np.int64(c.remainder[k] != c.end[k]) << nest.dimension[k]
    return bits


@inlined
def _near(m: Deliveries, reach: Ints) -> bool:
    """Whether ``step`` is no longer than two children can lie apart."""
    for q in range(m.step.shape[0]):
        if abs(m.step[q]) > reach[q]:
            return False
    return True


@inlined
def _links_possible(
    m: Deliveries,
    c: LoopCourse,
    nest: Nest,
    tile: Tile,
    s: int,
    grid_width: int,
    empty_if_still: bool,
) -> bool:
    """Whether some tile that is delivered may be had from a neighbour.

    ``empty_if_still``: nothing is delivered of a tile that stays where it is.
    """
    set_reach(nest, tile.vector, s, tile.reach)
    varying = _varying(c, nest, s)
    for k in range(nest.middle[s], nest.first[nest.middle.shape[0]]):
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            for i in range(1, c.runs[node]):
                _set_step(m, c, tile.vector, node, k, i)
                if not _near(m, tile.reach):
                    continue
                before, now = m.exit[c.child[node, i - 1]], m.entry[c.child[node, i]]
                still = True
                for q in range(m.step.shape[0]):
                    still &= m.step[q] == 0 and m.side[before, q] == m.side[now, q]
                if still and empty_if_still:
                    continue
                if (c.last[before] ^ c.last[now]) & varying != 0:
                    return True
                set_ends(c, nest, s, c.last[now])
                found = may_link(nest, tile.vector, s, grid_width, m.step, tile.reach, tile.total)
                restore_ends(c, nest, s)
                if found:
                    return True
    return False


@inner
def _link(
    r: Records,
    m: Deliveries,
    c: LoopCourse,
    nest: Nest,
    tile: Tile,
    s: int,
    links: Links,
    grid_width: int,
    grid_height: int,
    no_multicast: bool,
    want_hops: bool,
    before: int,
    leaf: int,
    words: int,
) -> bool:
    """Serve the tile of a leaf, ``words`` in all, by link transfers where that saves accesses.

    ``step`` is how far its corner lies from that of leaf ``before``.
    """
    if not _near(m, tile.reach):
        return False
    set_ends(c, nest, s, c.last[leaf])
    same = (c.last[before] ^ c.last[leaf]) & _varying(c, nest, s) == 0
    if same and not may_link(nest, tile.vector, s, grid_width, m.step, tile.reach, tile.total):
        return False
    set_ends(c, nest, s, c.last[before])
    count_before = nest.width[s] * nest.height[s]
    place_children(nest, tile.vector, s, m.previous)
    set_ends(c, nest, s, c.last[leaf])
    count = nest.width[s] * nest.height[s]
    place_children(nest, tile.vector, s, links.grid)
    linked = mark_linked(
        links.grid, m.previous.offset, count_before, count, grid_width, grid_height, m.step
    )
    saved = False
    if linked > 0:
        group_children(
            links.grid, count, grid_width, grid_height, no_multicast, want_hops, links.left
        )
        after = np.int64(0)
        for i in range(links.left.size[0]):
            after += links.left.groups[i]
        links.grid.linked[:count] = False
        group_children(links.grid, count, grid_width, grid_height, no_multicast, False, links.plain)
        plain = np.int64(0)
        for i in range(links.plain.size[0]):
            plain += links.plain.groups[i]
        saved = after < plain
    if saved:
        record_histogram(r, s, links.left, words)
        r.links[s] += float(linked) * float(words)
    return saved


@inlined
def _count(
    r: Records,
    m: Deliveries,
    c: LoopCourse,
    nest: Nest,
    tile: Tile,
    s: int,
    links: Links,
    grid_width: int,
    grid_height: int,
    linked: bool,
    no_multicast: bool,
    want_hops: bool,
) -> None:
    """Count all deliveries: as records where links serve them, else in ``words`` of their leaf."""
    loops = nest.first[nest.middle.shape[0]]
    m.words[m.entry[0]] += m.size[m.entry[0]]
    m.times[0] = 1
    spatial = nest.middle[s] > nest.first[s]
    for k in range(loops - 1, nest.middle[s] - 1, -1):
        scaled = not spatial and k == nest.middle[s] and k < nest.first[s + 1]
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            v = m.head[node]
            while v >= 0:
                for i in range(c.runs[node]):
                    m.times[m.child[v, i]] += m.times[v] * c.weight[node, i]
                    if i == 0:
                        continue
                    often = c.scale[node, i] if scaled else c.weight[node, i]
                    words = m.delivered[v, i] * m.times[v] * often
                    if words == 0:
                        continue
                    leaf = m.entry[c.child[node, i]]
                    if linked and _same_delta(
                        m.deltas, m.after.delta[m.child[v, i - 1]], m.before.delta[m.child[v, i]]
                    ):
                        before = m.exit[c.child[node, i - 1]]
                        _set_step(m, c, tile.vector, node, k, i)
                        if _link(
                            r, m, c, nest, tile, s, links, grid_width, grid_height, no_multicast,
                            want_hops, before, leaf, words,
                        ):  # fmt: skip
                            continue
                    m.words[leaf] += words
                v = m.next[v]


@inlined
def _count_whole(m: Deliveries, c: LoopCourse, nest: Nest, vector: Ints, s: int) -> None:
    """Count deliveries where tiles that move share nothing, and those that stay cost nothing.

    So it is with rows of one dimension under 4cf6d4c, and no state is to be followed.
    """
    place = nest.middle[s]
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        m.entry[leaf] = leaf
        m.moving[leaf] = False
    spatial = nest.middle[s] > nest.first[s]
    for k in range(place, nest.first[nest.middle.shape[0]]):
        relevant = False
        for q in range(vector.shape[1]):
            relevant |= vector[k, q] != 0
        scaled = not spatial and k == place and k < nest.first[s + 1]
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            m.entry[node] = m.entry[c.child[node, 0]]
            for i in range(1, c.runs[node]):
                if relevant or m.moving[c.child[node, i - 1]]:
                    leaf = m.entry[c.child[node, i]]
                    often = c.scale[node, i] if scaled else c.weight[node, i]
                    m.words[leaf] += m.size[leaf] * often * c.often[node]
            last = c.runs[node] - 1
            m.moving[node] = (relevant and last > 0) or m.moving[c.child[node, last]]
    m.words[m.entry[0]] += m.size[m.entry[0]]


@inlined
def _record_leaves(
    r: Records,
    m: Deliveries,
    c: LoopCourse,
    nest: Nest,
    tile: Tile,
    s: int,
    links: Links,
    other: Histogram,
    grid_width: int,
    grid_height: int,
    no_multicast: bool,
    want_hops: bool,
) -> bool:
    """Record the words of all leaves with the children that exist there; False: no room."""
    place = nest.middle[s]
    capacity = r.multicast.shape[1]
    if _varying(c, nest, s) == 0:
        # the same children everywhere
        first = c.first[place]
        for leaf in range(first + 1, first + c.nodes[place]):
            m.words[first] += m.words[leaf]
            m.words[leaf] = 0
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        if m.words[leaf] == 0:
            continue
        if nest.first[s] == place:
            record(r, s, 1, 1, float(m.words[leaf]), 0.0)
            continue
        set_ends(c, nest, s, c.last[leaf])
        if want_hops or not closed_histogram(
            nest, tile.vector, s, no_multicast, links.plain, other
        ):
            count = nest.width[s] * nest.height[s]
            place_children(nest, tile.vector, s, links.grid)
            links.grid.linked[:count] = False
            group_children(
                links.grid, count, grid_width, grid_height, no_multicast, want_hops, links.plain
            )
        if links.plain.size[0] > capacity:
            return False
        record_histogram(r, s, links.plain, m.words[leaf])
    restore_ends(c, nest, s)
    return links.left.size[0] <= capacity and r.entries[s] <= capacity


@inlined
def imperfect_traffic(
    r: Records,
    m: Deliveries,
    c: LoopCourse,
    tile: Tile,
    nest: Nest,
    s: int,
    fanout_x: int,
    fanout_y: int,
    no_temporal_reuse: bool,
    no_multicast: bool,
    no_link_transfer: bool,
    want_hops: bool,
    whole: bool,
    version: int,
    links: Links,
    other: Histogram,
) -> bool:
    """Fill the records of one tensor at level s, as ``traffic.cell_traffic`` does.

    ``whole``: tiles that move share nothing, see `_count_whole`. Returns False when a scratch array
    was too small.
    """
    r.entries[s] = 0
    r.links[s] = 0.0
    links.left.size[0] = 0
    always_full = s == 0 or no_temporal_reuse
    grid_width = rules.grid_side(fanout_x, nest.width[s])
    grid_height = rules.grid_side(fanout_y, nest.height[s])
    count = nest.width[s] * nest.height[s]
    if count > links.grid.key.shape[0] or grid_width > links.grid.key.shape[0]:
        return False
    _set_tiles(m, c, nest, s)
    # tiles of plain tensors that move at all move further than two children can lie apart
    apart = whole and not always_full
    linked = False
    if count > 1 and not no_link_transfer and not apart:
        _set_ways(m, c, nest, tile.vector, s)
        empty_if_still = rules.zero_moves_are_free(version) and not always_full
        linked = _links_possible(m, c, nest, tile, s, grid_width, empty_if_still)
    if s == 0 and not linked:
        place = nest.middle[0]
        for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
            m.words[leaf] = c.often[leaf]
    elif apart:
        _count_whole(m, c, nest, tile.vector, s)
    else:
        if count == 1 or no_link_transfer:
            _set_ways(m, c, nest, tile.vector, s)
        if not _walk(m, c, nest, tile.vector, s, always_full, linked, version):
            return False
        _count(
            r, m, c, nest, tile, s, links, grid_width, grid_height, linked, no_multicast, want_hops
        )
    return _record_leaves(
        r, m, c, nest, tile, s, links, other, grid_width, grid_height, no_multicast, want_hops
    )
