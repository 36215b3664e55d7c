"""What a level delivers to its children over the whole run (sections 4 to 6 of the rules)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner
from dse.model import rules
from dse.model.links import is_near, mark_linked, may_link, set_reach
from dse.model.loops import Nest, copy_row
from dse.model.multicast import (
    Grid,
    Histogram,
    accesses,
    closed_histogram,
    group_children,
    new_grid,
    new_histogram,
    place_children,
)
from dse.model.records import Records, record, record_histogram

Ints = npt.NDArray[np.int64]


class Tile(NamedTuple):
    """Scratch for one tensor: displacement vectors, the child tile's box, translations."""

    vector: Ints  # (N, Q) displacement of the tile when a loop steps
    edge: Ints  # (Q,) sides of the child tile
    moved: Ints  # (Q,) sum of the vectors of all inner temporal loops
    first: Ints  # (Q,) translation that decides on partial reuse
    step: Ints  # (Q,) translation of the event at hand
    total: Ints  # (Q,)
    reach: Ints  # (Q,) how far two children of a level can lie apart


def new_tile(loops: int, ranks: int) -> Tile:
    """Allocate scratch for tensors of at most ``ranks`` rows under ``loops`` loops."""
    return Tile(
        np.empty((loops, ranks), np.int64),
        np.empty(ranks, np.int64),
        np.empty(ranks, np.int64),
        np.empty(ranks, np.int64),
        np.empty(ranks, np.int64),
        np.empty(ranks, np.int64),
        np.empty(ranks, np.int64),
    )


@inner
def set_vectors(tile: Tile, nest: Nest, projection: Ints, loops: int) -> None:
    """Fill the displacement vectors of one tensor, ``projection (Q, D)``."""
    for k in range(loops):
        for q in range(projection.shape[0]):
            tile.vector[k, q] = projection[q, nest.dimension[k]] * nest.stride[k]


@inlined
def _refetch(edge: Ints, step: Ints) -> int:
    """Words of a tile that a move by ``step`` brings in (section 4, Delta)."""
    full = np.int64(1)
    kept = np.int64(1)
    for q in range(edge.shape[0]):
        full *= edge[q]
        kept *= rules.overlap(edge[q], step[q])
    return full - kept


@inlined
def _same(a: Ints, b: Ints) -> bool:
    for q in range(a.shape[0]):
        if a[q] != b[q]:
            return False
    return True


@inlined
def _is_zero(a: Ints) -> bool:
    for q in range(a.shape[0]):
        if a[q] != 0:
            return False
    return True


@inlined
def _advance(tile: Tile, k: int) -> None:
    """Set ``step`` to the translation when loop k steps, all inner ones falling back."""
    for q in range(tile.step.shape[0]):
        tile.step[q] = tile.vector[k, q] - tile.moved[q]
        tile.moved[q] += tile.vector[k, q]


@inlined
def _delivered_words(tile: Tile, nest: Nest, s: int, full: int, version: int) -> int:
    """Words that level s delivers to one child over the run, without link transfers (S).

    Walks the temporal loops of level s and above, innermost first. A move by the same
    translation as the first one reuses the overlap; any other one reloads the whole tile. In
    4cf6d4c the first move that counts is that of the innermost relevant loop, and a zero
    translation costs nothing; earlier versions count the innermost loop, relevant or not.
    """
    j0, j1 = nest.temporal_first[s], nest.temporal_first[nest.temporal_first.shape[0] - 1]
    tile.moved[:] = 0
    words = full
    partial = -1
    for j in range(j0, j1):
        k = nest.temporal[j]
        _advance(tile, k)
        still = _is_zero(tile.step)
        if partial < 0:
            if still and rules.zero_moves_are_free(version):
                continue
            copy_row(tile.first, tile.step)
            partial = _refetch(tile.edge, tile.step)
            delta = partial
        else:
            repeats = _same(tile.step, tile.first)
            delta = rules.later_delta(version, still, repeats, partial, full)
        words += rules.weight(nest.bound[k], nest.suffix[j + 1]) * delta
    return words


class Links(NamedTuple):
    """What the link events of one cell need to know; scratch."""

    plain: Histogram
    left: Histogram
    grid: Grid
    placed: npt.NDArray[np.bool_]  # (1,) whether the grid holds this cell's children


def new_links(elements: int, ranks: int, entries: int) -> Links:
    """Allocate memory for grids of ``elements`` children with ``entries`` sizes of groups."""
    return Links(
        new_histogram(entries),
        new_histogram(entries),
        new_grid(elements, ranks),
        np.zeros(1, np.bool_),
    )


@inlined
def _link_event(
    r: Records,
    tile: Tile,
    nest: Nest,
    s: int,
    links: Links,
    shape: tuple[int, int, int],
    no_multicast: bool,
    want_hops: bool,
    u: Ints,
    words: int,
) -> bool:
    """Serve ``words`` per child by link transfers of step u where that saves parent accesses."""
    count, grid_width, grid_height = shape
    if not is_near(u, tile.reach) or not may_link(nest, tile.vector, s, grid_width, u, tile.total):
        return False
    if not links.placed[0]:
        place_children(nest, tile.vector, s, links.grid)
        links.placed[0] = True
    linked = mark_linked(links.grid, links.grid, count, count, grid_width, grid_height, u)
    if linked == 0:
        return False
    group_children(links.grid, count, grid_width, grid_height, no_multicast, want_hops, links.left)
    if accesses(links.left) >= accesses(links.plain):
        return False
    record_histogram(r, s, links.left, words)
    r.links[s] += float(linked) * float(words)
    return True


@inlined
def _events(
    r: Records,
    tile: Tile,
    nest: Nest,
    s: int,
    full: int,
    always_full: bool,
    version: int,
    links: Links,
    shape: tuple[int, int, int],
    no_multicast: bool,
    want_hops: bool,
) -> int:
    """Record what links serve at level s; return the words per child that remain (section 6)."""
    j0, j1 = nest.temporal_first[s], nest.temporal_first[nest.temporal_first.shape[0] - 1]
    plain = full
    if j0 == j1:
        return plain
    inside = nest.temporal[j0]
    copy_row(tile.first, tile.vector[inside])
    if not always_full and _is_zero(tile.first):
        return _delivered_words(tile, nest, s, full, version)
    partial = _refetch(tile.edge, tile.first)
    whole = partial == full
    moves = nest.bound[inside] - 1
    tile.moved[:] = 0
    set_reach(nest, tile.vector, s, tile.reach)
    for j in range(j0, j1):
        k = nest.temporal[j]
        _advance(tile, k)
        weight = rules.weight(nest.bound[k], nest.suffix[j + 1])
        if always_full:
            may, inside_words, own_words = True, np.int64(0), weight * full
        elif j == j0:
            may, inside_words, own_words = whole, moves * partial, np.int64(0)
        else:
            still = rules.zero_moves_are_free(version) and _is_zero(tile.step)
            equal = _same(tile.step, tile.first)
            may = (whole and not still) or (not whole and equal)
            inside_words = moves * weight * partial
            own_words = weight * rules.later_delta(version, still, equal, partial, full)
        for own in range(2):
            words, u = (own_words, tile.step) if own else (inside_words, tile.first)
            if not (may and words > 0) or not _link_event(
                r, tile, nest, s, links, shape, no_multicast, want_hops, u, words
            ):
                plain += words
    return plain


@inlined
def cell_traffic(
    r: Records,
    tile: Tile,
    nest: Nest,
    s: int,
    fanout_x: int,
    fanout_y: int,
    no_temporal_reuse: bool,
    no_multicast: bool,
    no_link_transfer: bool,
    want_hops: bool,
    version: int,
    links: Links,
    other: Histogram,
) -> bool:
    """Fill the records of one tensor at level s; ``tile.edge`` holds the child tile's sides.

    Level 0 serves the MACs: one word per tensor and temporal iteration. Returns False when a
    scratch array was too small.
    """
    r.entries[s] = 0
    r.links[s] = 0.0
    full = np.int64(1)
    if s > 0:
        for q in range(tile.edge.shape[0]):
            full *= tile.edge[q]
    always_full = s == 0 or no_temporal_reuse
    count = nest.width[s] * nest.height[s]
    if count == 1:
        words = (
            full * nest.suffix[nest.temporal_first[s]]
            if always_full
            else _delivered_words(tile, nest, s, full, version)
        )
        record(r, s, 1, 1, float(words), 0.0)
        return True
    grid_width = rules.grid_side(fanout_x, nest.width[s])
    grid_height = rules.grid_side(fanout_y, nest.height[s])
    shape = (count, grid_width, grid_height)
    links.placed[0] = False
    if count > links.grid.key.shape[0] or grid_width > links.grid.key.shape[0]:
        return False
    if want_hops or not closed_histogram(nest, tile.vector, s, no_multicast, links.plain, other):
        place_children(nest, tile.vector, s, links.grid)
        links.placed[0] = True
        links.grid.linked[:count] = False
        group_children(
            links.grid, count, grid_width, grid_height, no_multicast, want_hops, links.plain
        )
    if no_link_transfer:
        words = (
            full * nest.suffix[nest.temporal_first[s]]
            if always_full
            else _delivered_words(tile, nest, s, full, version)
        )
    else:
        words = _events(
            r,
            tile,
            nest,
            s,
            full,
            always_full,
            version,
            links,
            shape,
            no_multicast,
            want_hops,
        )
    if words > 0:
        record_histogram(r, s, links.plain, words)
    capacity = r.multicast.shape[1]
    return (
        links.plain.size[0] <= capacity
        and links.left.size[0] <= capacity
        and r.entries[s] <= capacity
    )
