"""Working memory for what a level of an imperfect nest delivers, and its filling with tiles."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner
from dse.model import rules
from dse.model.course import RUNS, LoopCourse
from dse.model.deltas import Deltas
from dse.model.loops import Nest
from dse.model.multicast import Grid, new_grid

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


#: Rows of a state: the translation that is remembered, and the part that was delivered last.
TRANSLATION, DELTA = 0, 1
#: A translation: none is remembered; that of a tile that stays where it is.
NONE, STILL = -1, 0


class Runs(NamedTuple):
    """What happens from one run of a node's loop to the next one, ``(M, RUNS)`` each; scratch."""

    step: Ints  # (M, RUNS, Q) how far corners move
    translation: Ints  # how far centres do, a row of ``translations``
    words: Ints  # words of the tile that the one before it does not have
    delta: Ints  # the same as a row of ``Deltas``, where links are possible


class Deliveries(NamedTuple):
    """Working memory for one tensor at one level."""

    terms: Ints  # (T,) how many terms each tensor's rows have
    term: Ints  # (T, Q D, 3) row, dimension and coefficient of each, row after row
    varied: Ints  # (Q D, 3) dimensions, and the sides of their rows: full, and at the end
    corner: Ints  # (M, Q) of a tile, relative to the sum of its loops' steps
    side: Ints  # (M, Q) sides of a tile
    size: Ints  # (M,) its words
    entry: Ints  # (M,) leaf of the first tile inside a node
    exit: Ints  # (M,) leaf of the last one
    live: Ints  # (Q,) rows of the tensor that loops outside may move
    lives: Ints  # (1,) how many
    travel: Ints  # (M, Q) steps from the first one to the last one
    moving: Ints  # (M,) bits of the tensors whose tiles move from there to there
    movers: Ints  # (D,) bits of the tensors that a dimension moves
    count: Ints  # (L, T, M) deliveries in the state of that leaf, where tiles share nothing
    runs: Runs
    translations: Ints  # (E, Q) translations, each once
    translation_key: Ints  # (E,) a number that differs for most of them
    translations_used: Ints  # (1,)
    delta: Ints  # (M,) the whole tile of a leaf as a row of ``Deltas``, where links are possible
    words: Ints  # (M,) words delivered to one child in the state of that leaf
    head: Ints  # (M,) first variant of a node, -1: none
    used: Ints  # (1,) variants in use
    node: Ints  # (V,) node of a variant
    next: Ints  # (V,) next variant of that node
    before: Ints  # (V, 2) state after its first tile
    after: Ints  # (V, 2) state after its last one
    child: Ints  # (V, RUNS) variant of the node inside
    delivered: Ints  # (V, RUNS) words of the first tile inside
    done: Ints  # (V,) runs that are walked through
    times: Ints  # (V,) how often the variant occurs
    walked: Ints  # (1,) the level whose walk, without links, is the latest; -1: none
    walked_full: Flags  # (1,) whether it delivered whole tiles only
    stateless: Flags  # (1,) whether no state mattered, so that no variant was walked through
    stack: Ints  # (N,)
    state: Ints  # (2,) the state at hand
    deltas: Deltas
    shift: Ints  # (Q,)
    low: Ints  # (Q,)
    high: Ints  # (Q,)
    previous: Grid  # the children's offsets in the invocation before


def new_moves(levels: int, loops: int, projection: Ints, nodes: int, elements: int) -> Deliveries:
    """Allocate memory for courses of ``nodes`` nodes and grids of ``elements`` children.

    ``projection (T, Q, D)``: of the problem.
    """
    tensors, ranks, dimensions = projection.shape
    variants = RUNS * nodes
    arrays: list[Any] = [
        np.zeros(tensors, np.int64),
        np.zeros((tensors, ranks * dimensions, 3), np.int64),
        np.zeros((ranks * dimensions, 3), np.int64),
        *(np.zeros((nodes, ranks), np.int64) for _ in range(2)),
        *(np.zeros(nodes, np.int64) for _ in range(3)),
        np.zeros(ranks, np.int64),
        np.zeros(1, np.int64),
        np.zeros((nodes, ranks), np.int64),
        np.zeros(nodes, np.int64),
        np.zeros(dimensions, np.int64),
        np.zeros((levels, tensors, nodes), np.int64),
        Runs(
            np.zeros((nodes, RUNS, ranks), np.int64),
            *(np.zeros((nodes, RUNS), np.int64) for _ in range(3)),
        ),
        np.zeros((variants, ranks), np.int64),
        np.zeros(variants, np.int64),
        np.zeros(1, np.int64),
        np.zeros(nodes, np.int64),
        *(np.zeros(nodes, np.int64) for _ in range(2)),
        np.zeros(1, np.int64),
        *(np.zeros(variants, np.int64) for _ in range(2)),
        *(np.zeros((variants, 2), np.int64) for _ in range(2)),
        *(np.zeros((variants, RUNS), np.int64) for _ in range(2)),
        *(np.zeros(variants, np.int64) for _ in range(2)),
        np.full(1, -1),
        *(np.zeros(1, np.bool_) for _ in range(2)),
        np.zeros(loops + 1, np.int64),
        np.zeros(2, np.int64),
        Deltas(np.zeros(1, np.int64), *(np.zeros((variants, ranks), np.int64) for _ in range(3))),
        *(np.zeros(ranks, np.int64) for _ in range(3)),
        new_grid(elements, ranks),
    ]
    return Deliveries(*arrays)


def set_terms(m: Deliveries, projection: Ints) -> None:
    """Note the terms of all tensors' rows, ``projection (T, Q, D)``."""
    for t, tensor in enumerate(projection):
        found = np.argwhere(tensor)
        m.terms[t] = len(found)
        m.term[t, : len(found), :2] = found
        m.term[t, : len(found), 2] = tensor[tensor != 0]
        m.movers[np.any(tensor != 0, axis=0)] |= 1 << t


@inner
def is_plain(m: Deliveries, nest: Nest, t: int, loops: int) -> bool:
    """Whether every row is moved by one dimension, forwards, and every dimension moves one row."""
    moved = np.int64(0)
    for k in range(loops):
        moved |= np.int64(1) << nest.dimension[k]
    rows = dimensions = np.int64(0)
    for i in range(m.terms[t]):
        d = m.term[t, i, 1]
        if (moved >> d) & 1 == 0:
            continue
        row, dimension = np.int64(1) << m.term[t, i, 0], np.int64(1) << d
        if rows & row or dimensions & dimension or m.term[t, i, 2] < 0:
            return False
        rows |= row
        dimensions |= dimension
    return True


@inner
def tile_words(m: Deliveries, t: int, extent: Ints) -> int:
    """Return the words in the box that a tensor's tile spans (section 3); ``extent (D,)``."""
    size = side = np.int64(1)
    row = np.int64(0)
    for i in range(m.terms[t]):
        if m.term[t, i, 0] != row:
            size *= side
            side = np.int64(1)
            row = m.term[t, i, 0]
        side += rules.stretch(m.term[t, i, 2], extent[m.term[t, i, 1]])
    return size * side


@inlined
def _held_last(c: LoopCourse, nest: Nest, s: int) -> int:
    """Return the bits of the dimensions that can be last in the tile of one child of level s."""
    bits = np.int64(-1)
    for k in range(nest.first[s], nest.middle[s]):
        if c.remainder[k] > 1:
            bits &= ~(np.int64(1) << nest.dimension[k])
    return bits


@inlined
def set_apart_words(m: Deliveries, c: LoopCourse, nest: Nest, s: int, t: int) -> None:
    """Fill the words that level s delivers in all, for each leaf, where tiles share nothing.

    So each row has one dimension that moves it at most, and no remainder is above its end.
    """
    place = nest.middle[s]
    held = _held_last(c, nest, s)
    same = np.int64(1)
    varied = 0
    for i in range(m.terms[t]):
        d, coefficient = m.term[t, i, 1], m.term[t, i, 2]
        full = nest.extent[s - 1, d]
        if full == 1:
            continue
        side = 1 + rules.stretch(coefficient, full)
        partial = c.partial[s - 1, d]
        if partial == full or (held >> d) & 1 == 0:
            same *= side
            continue
        m.varied[varied, 0] = d
        m.varied[varied, 1] = side
        m.varied[varied, 2] = 1 + rules.stretch(coefficient, partial)
        varied += 1
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        words = same * m.count[s, t, leaf]
        for i in range(varied):
            words *= m.varied[i, 1 + ((c.last[leaf] >> m.varied[i, 0]) & 1)]
        m.words[leaf] = words


@inlined
def set_tiles(m: Deliveries, c: LoopCourse, nest: Nest, s: int, t: int) -> None:
    """Fill corner, sides and size of the tile that level s delivers, for each leaf."""
    place = nest.middle[s]
    ranks = m.low.shape[0]
    held = _held_last(c, nest, s)
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        m.words[leaf] = 0
        m.size[leaf] = 1
        for q in range(ranks):
            m.corner[leaf, q] = 0
            m.side[leaf, q] = 1
        if s == 0:
            continue
        bits = c.last[leaf] & held
        for i in range(m.terms[t]):
            q, d, coefficient = m.term[t, i, 0], m.term[t, i, 1], m.term[t, i, 2]
            extent = c.partial[s - 1, d] if (bits >> d) & 1 else nest.extent[s - 1, d]
            m.side[leaf, q] += rules.stretch(coefficient, extent)
            if coefficient < 0:
                m.corner[leaf, q] += coefficient * (extent - 1)
        for q in range(ranks):
            m.size[leaf] *= m.side[leaf, q]


@inlined
def _set_live(m: Deliveries, nest: Nest, place: int, t: int, everything: bool) -> None:
    """List the rows of tensor t that loops outside of ``place`` may move.

    A tile has one side along any other row. ``everything``: list all rows.
    """
    moved = np.int64(0)
    for k in range(place, nest.first[nest.middle.shape[0]]):
        moved |= np.int64(1) << nest.dimension[k]
    rows = np.int64(-1) if everything else np.int64(0)
    for i in range(m.terms[t]):
        rows |= ((moved >> m.term[t, i, 1]) & 1) << m.term[t, i, 0]
    live = 0
    for q in range(m.live.shape[0]):
        if (rows >> q) & 1:
            m.live[live] = q
            live += 1
    m.lives[0] = live


@inlined
def _set_run(
    m: Deliveries, c: LoopCourse, vector: Ints, live: int, other: int, node: int, k: int, i: int
) -> bool:
    """Fill what happens from run i - 1 of a loop k to run i; whether the tile's centre moves.

    ``other``: words of a tile in each choice of places along its ``live`` rows.
    """
    before, now = c.child[node, i - 1], c.child[node, i]
    last, leaf = m.exit[before], m.entry[now]
    count = c.at[node, i] - c.at[node, i - 1]
    kept = np.int64(other)
    still = True
    for j in range(live):
        q = m.live[j]
        step = count * vector[k, q] - m.travel[before, q] + m.corner[leaf, q] - m.corner[last, q]
        side, side_before = m.side[leaf, q], m.side[last, q]
        m.runs.step[node, i, q] = step
        still &= rules.centre_move(step, side - side_before) == 0
        kept *= max(0, min(side, side_before - step) - max(0, -step))
    m.runs.words[node, i] = m.size[leaf] - kept
    return not still


@inlined
def set_ways(
    m: Deliveries,
    c: LoopCourse,
    nest: Nest,
    vector: Ints,
    s: int,
    t: int,
    everything: bool,
    always_full: bool,
    version: int,
) -> bool:
    """Fill where the first and the last tile inside each node lie, and what each run brings.

    Returns whether it depends on the state what is delivered: where a tile that moves, or stays
    but is not free, has part of the next one. ``everything``: of all rows, for links.
    """
    place = nest.middle[s]
    _set_live(m, nest, place, t, everything)
    live = m.lives[0]
    other = m.size[c.first[place]]
    for j in range(live):
        other //= m.side[c.first[place], m.live[j]]
    depends = False
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        m.entry[leaf] = m.exit[leaf] = leaf
        m.head[leaf] = -1
        for j in range(live):
            m.travel[leaf, m.live[j]] = 0
    for k in range(place, nest.first[nest.middle.shape[0]]):
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            last = c.runs[node] - 1
            child = c.child[node, last]
            m.head[node] = -1
            m.entry[node] = m.entry[c.child[node, 0]]
            m.exit[node] = m.exit[child]
            for j in range(live):
                q = m.live[j]
                m.travel[node, q] = c.at[node, last] * vector[k, q] + m.travel[child, q]
            for i in range(1, last + 1):
                moves = _set_run(m, c, vector, live, other, node, k, i)
                shared = m.runs.words[node, i] != m.size[m.entry[c.child[node, i]]]
                depends |= shared and (moves or not rules.zero_moves_are_free(version))
    return depends and not always_full


@inlined
def set_translations(m: Deliveries, c: LoopCourse, nest: Nest, s: int) -> None:
    """Number the translations of all runs, for a walk from state to state."""
    place, live = nest.middle[s], m.lives[0]
    m.translations[STILL, :] = 0
    m.translation_key[STILL] = 0
    m.translations_used[0] = 1
    for k in range(place, nest.first[nest.middle.shape[0]]):
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            for i in range(1, c.runs[node]):
                last, leaf = m.exit[c.child[node, i - 1]], m.entry[c.child[node, i]]
                key = np.int64(0)
                for j in range(live):
                    q = m.live[j]
                    growth = m.side[leaf, q] - m.side[last, q]
                    m.shift[j] = rules.centre_move(m.runs.step[node, i, q], growth)
                    key = key * 1000003 + m.shift[j]
                m.runs.translation[node, i] = _translation(m, key, live)


@inlined
def _translation(m: Deliveries, key: int, live: int) -> int:
    """Return the row of the translation in ``shift``, a new one if need be."""
    for row in range(m.translations_used[0]):
        same = m.translation_key[row] == key
        if same:
            for j in range(live):
                same &= m.translations[row, j] == m.shift[j]
        if same:
            return row
    row = m.translations_used[0]  # one for each run at most: there is room
    m.translations_used[0] = row + 1
    m.translation_key[row] = key
    for j in range(live):
        m.translations[row, j] = m.shift[j]
    return row
