"""Tiles of an imperfect nest that neighbours pass on, in place of the level above (section 14)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner
from dse.model.course import LoopCourse, restore_ends, set_ends
from dse.model.deliveries import Deliveries
from dse.model.links import is_near, mark_linked, may_link, set_reach
from dse.model.loops import Nest
from dse.model.multicast import (
    accesses,
    group_children,
    place_children,
    set_keys,
)
from dse.model.records import Records, record_histogram
from dse.model.traffic import Links, Tile

Ints = npt.NDArray[np.int64]


@inlined
def varying(c: LoopCourse, nest: Nest, s: int) -> int:
    """Return the bits of the dimensions of which level s has fewer children at the end."""
    bits = np.int64(0)
    for k in range(nest.first[s], nest.middle[s]):
        bits |= np.int64(c.remainder[k] != c.end[k]) << nest.dimension[k]
    return bits


@inlined
def links_possible(
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
    varies = varying(c, nest, s)
    for k in range(nest.middle[s], nest.first[nest.middle.shape[0]]):
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            for i in range(1, c.runs[node]):
                step = m.runs.step[node, i]
                if not is_near(step, tile.reach):
                    continue
                before, now = m.exit[c.child[node, i - 1]], m.entry[c.child[node, i]]
                still = True
                for q in range(step.shape[0]):
                    still &= step[q] == 0 and m.side[before, q] == m.side[now, q]
                if still and empty_if_still:
                    continue
                if (c.last[before] ^ c.last[now]) & varies != 0:
                    return True
                set_ends(c, nest, s, c.last[now])
                found = may_link(nest, tile.vector, s, grid_width, step, tile.total)
                restore_ends(c, nest, s)
                if found:
                    return True
    return False


@inner
def link_moved(
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
    step: Ints,
    words: int,
) -> bool:
    """Serve the tile of a leaf, ``words`` in all, by link transfers where that saves accesses.

    ``step (Q,)`` is how far its corner lies from that of leaf ``before``.
    """
    if not is_near(step, tile.reach):
        return False
    set_ends(c, nest, s, c.last[leaf])
    same = (c.last[before] ^ c.last[leaf]) & varying(c, nest, s) == 0
    if same and not may_link(nest, tile.vector, s, grid_width, step, tile.total):
        return False
    set_ends(c, nest, s, c.last[before])
    count_before = nest.width[s] * nest.height[s]
    place_children(nest, tile.vector, s, m.previous)
    set_ends(c, nest, s, c.last[leaf])
    count = nest.width[s] * nest.height[s]
    place_children(nest, tile.vector, s, links.grid)
    set_keys(m.previous, count_before, links.grid.radix)
    linked = mark_linked(links.grid, m.previous, count_before, count, grid_width, grid_height, step)
    saved = False
    if linked > 0:
        group_children(
            links.grid, count, grid_width, grid_height, no_multicast, want_hops, links.left
        )
        links.grid.linked[:count] = False
        group_children(links.grid, count, grid_width, grid_height, no_multicast, False, links.plain)
        saved = accesses(links.left) < accesses(links.plain)
    if saved:
        record_histogram(r, s, links.left, words)
        r.links[s] += float(linked) * float(words)
    return saved
