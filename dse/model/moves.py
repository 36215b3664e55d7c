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
from dse.model.deliveries import (
    DELTA,
    NONE,
    STILL,
    TRANSLATION,
    Deliveries,
    set_apart_words,
    set_tiles,
    set_translations,
    set_ways,
)
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
def _set_deltas(m: Deliveries, c: LoopCourse, nest: Nest, s: int) -> bool:
    """Fill which parts of tiles whole ones, and what is new in each run, are; False: no room."""
    place = nest.middle[s]
    m.deltas.used[0] = 0
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        for q in range(m.low.shape[0]):
            m.low[q] = m.high[q] = 0
            m.shift[q] = m.side[leaf, q]
        m.delta[leaf] = _delta(m)
        if m.delta[leaf] < 0:
            return False
    for k in range(place, nest.first[nest.middle.shape[0]]):
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            for i in range(1, c.runs[node]):
                last, leaf = m.exit[c.child[node, i - 1]], m.entry[c.child[node, i]]
                m.runs.delta[node, i] = m.delta[leaf]
                if m.runs.words[node, i] == m.size[leaf]:
                    continue
                for q in range(m.low.shape[0]):
                    step = m.runs.step[node, i, q]
                    m.shift[q] = m.side[leaf, q]
                    m.low[q] = max(0, -step)
                    m.high[q] = min(m.side[leaf, q], m.side[last, q] - step)
                m.runs.delta[node, i] = _delta(m)
                if m.runs.delta[node, i] < 0:
                    return False
    return True


@inlined
def _is_whole(state: Ints, translation: int, always_full: bool, version: int) -> bool:
    """Whether a tile is delivered as a whole, though the level has some of it (section 14.4).

    Updates ``state`` by Timeloop's reset on a change of stride.
    """
    if always_full:
        return True
    if translation == STILL and rules.zero_moves_are_free(version):
        return False
    if state[TRANSLATION] == NONE:
        state[TRANSLATION] = translation
        return False
    if state[TRANSLATION] == translation:
        return False
    state[TRANSLATION] = NONE
    return True


@inlined
def _variant(m: Deliveries, node: int) -> int:
    """Return the node's variant of the state at hand, a new one if need be; -1: no room."""
    v = m.head[node]
    while v >= 0:
        if (
            m.before[v, TRANSLATION] == m.state[TRANSLATION]
            and m.before[v, DELTA] == m.state[DELTA]
        ):
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
    copy_row(m.before[v], m.state)
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
    m.state[TRANSLATION] = NONE
    m.state[DELTA] = m.delta[m.entry[0]] if linked else 0
    m.stack[0] = _variant(m, 0)
    depth = 0
    while depth >= 0:
        v = m.stack[depth]
        node = m.node[v]
        k = loops - depth - 1
        i = m.done[v]
        if k < innermost or (i > 0 and i == c.runs[node]):
            if k < innermost:
                copy_row(m.after[v], m.before[v])
                m.done[v] = 1
            else:
                copy_row(m.after[v], m.after[m.child[v, i - 1]])
            depth -= 1
            continue
        child = c.child[node, i]
        if i == 0:
            copy_row(m.state, m.before[v])
        else:
            copy_row(m.state, m.after[m.child[v, i - 1]])
            whole = _is_whole(m.state, m.runs.translation[node, i], always_full, version)
            leaf = m.entry[child]
            m.delivered[v, i] = m.size[leaf] if whole else m.runs.words[node, i]
            if linked:
                m.state[DELTA] = m.delta[leaf] if whole else m.runs.delta[node, i]
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
def _count_stateless(m: Deliveries, c: LoopCourse, nest: Nest, s: int, always_full: bool) -> None:
    """Count all deliveries in ``words`` of their leaf, where no state matters."""
    m.words[m.entry[0]] += m.size[m.entry[0]]
    spatial = nest.middle[s] > nest.first[s]
    for k in range(nest.middle[s], nest.first[nest.middle.shape[0]]):
        scaled = not spatial and k == nest.middle[s] and k < nest.first[s + 1]
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            for i in range(1, c.runs[node]):
                leaf = m.entry[c.child[node, i]]
                words = m.size[leaf] if always_full else m.runs.words[node, i]
                often = c.scale[node, i] if scaled else c.weight[node, i]
                m.words[leaf] += words * c.often[node] * often


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
    for v in range(m.used[0]):
        m.times[v] = 0
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
                        m.deltas, m.after[m.child[v, i - 1], DELTA], m.before[m.child[v, i], DELTA]
                    ):
                        before = m.exit[c.child[node, i - 1]]
                        if link_moved(
                            r, m, c, nest, tile, s, links, grid_width, grid_height, no_multicast,
                            want_hops, before, leaf, m.runs.step[node, i], words,
                        ):  # fmt: skip
                            continue
                    m.words[leaf] += words
                v = m.next[v]


@inlined
def _stands(m: Deliveries, c: LoopCourse, nest: Nest, s: int, t: int, always_full: bool) -> bool:
    """Whether the walk through the level below is that of level s, too.

    So it is where nothing moves between the two, and their tiles of tensor t are the same.
    """
    below = s - 1
    if below < 1 or m.walked[0] != below or m.walked_full[0] != always_full:
        return False
    if nest.middle[s] != nest.middle[below]:
        return False
    for i in range(m.terms[t]):
        d = m.term[t, i, 1]
        if nest.extent[below, d] != nest.extent[below - 1, d]:
            return False
        if c.partial[below, d] != c.partial[below - 1, d]:
            return False
    return True


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
    first, stop = c.first[place], c.first[place] + c.nodes[place]
    varies = varying(c, nest, s) != 0
    if not varies:
        # the same children everywhere
        for leaf in range(first + 1, stop):
            m.words[first] += m.words[leaf]
        stop = first + 1
    if nest.first[s] == place:
        if m.words[first] != 0:
            record(r, s, 1, 1, float(m.words[first]), 0.0)
        return r.entries[s] <= capacity
    for leaf in range(first, stop):
        if m.words[leaf] == 0:
            continue
        if varies:
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

    ``apart``: tiles share nothing, and `dse.model.apart` has counted them. Returns False when a
    scratch array was too small.
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
    place = nest.middle[s]
    start, stop = c.first[place], c.first[place] + c.nodes[place]
    linked = False
    if apart:
        set_apart_words(m, c, nest, s, t)
    else:
        if _stands(m, c, nest, s, t, always_full):
            for leaf in range(start, stop):
                m.words[leaf] = 0
        else:
            set_tiles(m, c, nest, s, t)
            m.stateless[0] = True
            may_be_linked = count > 1 and not no_link_transfer
            if s > 0 or may_be_linked:
                m.stateless[0] = not set_ways(
                    m, c, nest, tile.vector, s, t, may_be_linked, always_full, version
                )
            if may_be_linked:
                empty_if_still = rules.zero_moves_are_free(version) and not always_full
                linked = links_possible(m, c, nest, tile, s, grid_width, empty_if_still)
            if linked and not _set_deltas(m, c, nest, s):
                return False
            if linked or not m.stateless[0]:
                set_translations(m, c, nest, s)
                if not _walk(m, c, nest, s, always_full, linked, version):
                    return False
        if linked or not m.stateless[0]:
            _count(
                *(r, m, c, nest, tile, s, links, grid_width, grid_height),
                *(linked, no_multicast, want_hops),
            )
        elif s > 0:
            _count_stateless(m, c, nest, s, always_full)
        else:
            for leaf in range(start, stop):
                m.words[leaf] = c.often[leaf]
    m.walked[0] = -1 if apart or linked else s
    m.walked_full[0] = always_full
    return _record_leaves(
        r, m, c, nest, tile, s, links, other, grid_width, grid_height, no_multicast, want_hops
    )
