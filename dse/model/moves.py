"""What a level of an imperfect nest delivers to its children (section 14 of the rules).

The sequence of tiles that Timeloop walks through is long, but repeats itself: what happens inside a
node of the course depends only on the state in which its first tile leaves the level, a *variant*.
So each node is walked through once per variant, and then counted as often as it occurs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inlined
from dse.model import rules
from dse.model.course import LoopCourse, restore_ends, set_ends
from dse.model.deliveries import Deliveries, LastTile, set_tile_words, set_tiles, set_ways
from dse.model.deltas import same_delta
from dse.model.loops import Nest, copy_row
from dse.model.moved_links import link_moved, links_possible, varying
from dse.model.multicast import (
    Histogram,
    closed_histogram,
    group_children,
    place_children,
)
from dse.model.records import Records, record, record_histogram
from dse.model.traffic import Links, Tile

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


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
def _deliver_rest(m: Deliveries, before: int, leaf: int, step: Ints, linked: bool) -> int:
    """Deliver what the tile before it, ``step`` away, does not have of a leaf's tile."""
    kept = np.int64(1)
    for q in range(m.low.shape[0]):
        side = m.side[leaf, q]
        m.shift[q] = side
        m.low[q] = max(0, -step[q])
        m.high[q] = min(side, m.side[before, q] - step[q])
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
    m: Deliveries, before: int, leaf: int, step: Ints, always_full: bool, linked: bool, version: int
) -> int:
    """Deliver the tile of a leaf, ``step`` from leaf ``before``; return words, -1 without room.

    Updates ``state`` by Timeloop's reset on a change of stride (section 14.4).
    """
    if always_full:
        return _deliver_all(m, leaf, linked)
    still = True
    repeats = True
    for q in range(m.low.shape[0]):
        move = rules.centre_move(step[q], m.side[leaf, q] - m.side[before, q])
        still &= move == 0
        repeats &= move == m.state.translation[0, q]
    if still and rules.zero_moves_are_free(version):
        return _deliver_rest(m, before, leaf, step, linked)
    if not m.state.known[0]:
        m.state.known[0] = True
        for q in range(m.low.shape[0]):
            m.state.translation[0, q] = rules.centre_move(
                step[q], m.side[leaf, q] - m.side[before, q]
            )
        return _deliver_rest(m, before, leaf, step, linked)
    if repeats:
        return _deliver_rest(m, before, leaf, step, linked)
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
            for q in range(m.low.shape[0]):
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
            before, leaf = m.exit[c.child[node, i - 1]], m.entry[child]
            words = _deliver(m, before, leaf, m.steps[node, i], always_full, linked, version)
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
                    if linked and same_delta(
                        m.deltas, m.after.delta[m.child[v, i - 1]], m.before.delta[m.child[v, i]]
                    ):
                        before = m.exit[c.child[node, i - 1]]
                        if link_moved(
                            r, m, c, nest, tile, s, links, grid_width, grid_height, no_multicast,
                            want_hops, before, leaf, m.steps[node, i], words,
                        ):  # fmt: skip
                            continue
                    m.words[leaf] += words
                v = m.next[v]


@inlined
def count_apart(m: Deliveries, c: LoopCourse, nest: Nest, s: int, tensors: int) -> None:
    """Count the deliveries of level s, of ``tensors`` (bits), where tiles share nothing.

    So it is where tiles that move share nothing and those that stay cost nothing: with rows of one
    dimension under 4cf6d4c. No state is to be followed.
    """
    place = nest.middle[s]
    count = m.count[s]
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        m.entry[leaf] = leaf
        m.moving[leaf] = 0
        for t in range(count.shape[0]):
            count[t, leaf] = 0
    spatial = nest.middle[s] > nest.first[s]
    for k in range(place, nest.first[nest.middle.shape[0]]):
        movers = m.movers[nest.dimension[k]] & tensors
        scaled = not spatial and k == place and k < nest.first[s + 1]
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            m.entry[node] = m.entry[c.child[node, 0]]
            last = c.runs[node] - 1
            for i in range(1, last + 1):
                moved = movers | m.moving[c.child[node, i - 1]]
                if moved == 0:
                    continue
                often = (c.scale[node, i] if scaled else c.weight[node, i]) * c.often[node]
                leaf = m.entry[c.child[node, i]]
                for t in range(count.shape[0]):
                    count[t, leaf] += often * ((moved >> t) & 1)
            m.moving[node] = m.moving[c.child[node, last]]
            if last > 0:
                m.moving[node] |= movers
    for t in range(count.shape[0]):
        count[t, m.entry[0]] += 1


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
    if varying(c, nest, s) == 0:
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
    t: int,
    fanout_x: int,
    fanout_y: int,
    no_temporal_reuse: bool,
    no_multicast: bool,
    no_link_transfer: bool,
    want_hops: bool,
    apart: bool,
    version: int,
    links: Links,
    other: Histogram,
) -> bool:
    """Fill the records of tensor t at level s, as ``traffic.cell_traffic`` does.

    ``apart``: tiles share nothing, and `count_apart` has counted them. Returns False when a scratch
    array was too small.
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
    if apart:
        set_tile_words(m, c, nest, s, t)
    else:
        set_tiles(m, c, nest, s, t)
    linked = False
    if count > 1 and not no_link_transfer and not apart:
        set_ways(m, c, nest, tile.vector, s)
        empty_if_still = rules.zero_moves_are_free(version) and not always_full
        linked = links_possible(m, c, nest, tile, s, grid_width, empty_if_still)
    if s == 0 and not linked:
        place = nest.middle[0]
        for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
            m.words[leaf] = c.often[leaf]
    elif apart:
        place = nest.middle[s]
        for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
            m.words[leaf] = m.size[leaf] * m.count[s, t, leaf]
    else:
        if count == 1 or no_link_transfer:
            set_ways(m, c, nest, tile.vector, s)
        if not _walk(m, c, nest, s, always_full, linked, version):
            return False
        _count(
            r, m, c, nest, tile, s, links, grid_width, grid_height, linked, no_multicast, want_hops
        )
    return _record_leaves(
        r, m, c, nest, tile, s, links, other, grid_width, grid_height, no_multicast, want_hops
    )
