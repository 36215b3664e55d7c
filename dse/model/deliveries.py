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


class LastTile(NamedTuple):
    """What a level remembers of the tile that it delivered last, for several walks; scratch."""

    known: Flags  # (V,) whether there is a translation to compare the next one with
    translation: Ints  # (V, Q)
    delta: Ints  # (V,) the row of ``Deltas`` that was delivered


class Deliveries(NamedTuple):
    """Working memory for one tensor at one level."""

    terms: Ints  # (T,) how many terms each tensor's rows have
    term: Ints  # (T, Q D, 3) row, dimension and coefficient of each, row after row
    corner: Ints  # (M, Q) of a tile, relative to the sum of its loops' steps
    side: Ints  # (M, Q) sides of a tile
    size: Ints  # (M,) its words
    entry: Ints  # (M,) leaf of the first tile inside a node
    exit: Ints  # (M,) leaf of the last one
    travel: Ints  # (M, Q) steps from the first one to the last one
    moving: Ints  # (M,) bits of the tensors whose tiles move from there to there
    movers: Ints  # (D,) bits of the tensors that a dimension moves
    count: Ints  # (L, T, M) deliveries in the state of that leaf, where tiles share nothing
    steps: Ints  # (M, RUNS, Q) how far corners move from the run before to this one
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


def new_moves(levels: int, loops: int, projection: Ints, nodes: int, elements: int) -> Deliveries:
    """Allocate memory for courses of ``nodes`` nodes and grids of ``elements`` children.

    ``projection (T, Q, D)``: of the problem.
    """
    tensors, ranks, dimensions = projection.shape
    variants = 4 * nodes
    arrays: list[Any] = [
        np.zeros(tensors, np.int64),
        np.zeros((tensors, ranks * dimensions, 3), np.int64),
        *(np.zeros((nodes, ranks), np.int64) for _ in range(2)),
        *(np.zeros(nodes, np.int64) for _ in range(3)),
        np.zeros((nodes, ranks), np.int64),
        np.zeros(nodes, np.int64),
        np.zeros(dimensions, np.int64),
        np.zeros((levels, tensors, nodes), np.int64),
        np.zeros((nodes, RUNS, ranks), np.int64),
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
def set_tile_words(m: Deliveries, c: LoopCourse, nest: Nest, s: int, t: int) -> None:
    """Fill the size of the tile that level s delivers, for each leaf; none is delivered yet."""
    place = nest.middle[s]
    held = _held_last(c, nest, s)
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        m.words[leaf] = 0
        size = side = np.int64(1)
        if s > 0:
            bits = c.last[leaf] & held
            row = np.int64(0)
            for i in range(m.terms[t]):
                d = m.term[t, i, 1]
                if m.term[t, i, 0] != row:
                    size *= side
                    side = np.int64(1)
                    row = m.term[t, i, 0]
                extent = c.partial[s - 1, d] if (bits >> d) & 1 else nest.extent[s - 1, d]
                side += rules.stretch(m.term[t, i, 2], extent)
        m.size[leaf] = size * side


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
def set_ways(m: Deliveries, c: LoopCourse, nest: Nest, vector: Ints, s: int) -> None:
    """Fill where the first and the last tile inside each node lie, and the steps between runs."""
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
            for j in range(1, c.runs[node]):
                before, now = c.child[node, j - 1], c.child[node, j]
                steps = c.at[node, j] - c.at[node, j - 1]
                for q in range(ranks):
                    m.steps[node, j, q] = (
                        steps * vector[k, q]
                        - m.travel[before, q]
                        + m.corner[m.entry[now], q]
                        - m.corner[m.exit[before], q]
                    )
