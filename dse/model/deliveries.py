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
from dse.model.multicast import (
    Grid,
    new_grid,
)

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class LastTile(NamedTuple):
    """What a level remembers of the tile that it delivered last, for several walks; scratch."""

    known: Flags  # (V,) whether there is a translation to compare the next one with
    translation: Ints  # (V, Q)
    delta: Ints  # (V,) the row of ``Deltas`` that was delivered


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
def set_tiles(m: Deliveries, c: LoopCourse, nest: Nest, s: int) -> None:
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
def set_ways(m: Deliveries, c: LoopCourse, nest: Nest, vector: Ints, s: int) -> None:
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
def set_step(m: Deliveries, c: LoopCourse, vector: Ints, node: int, k: int, i: int) -> None:
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
