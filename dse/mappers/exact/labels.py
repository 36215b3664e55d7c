"""Labels: partial mappings from the inside out to some tile, with all that the rest depends on.

A label's value row holds what is settled (energy, cycles) and, for flows that are not settled,
how many words one receiver has got so far (``S``), into how many different parts the words spread
(``G``), and how far the window of a tensor has moved. Counts are exact integers in float64.
Section numbers refer to ``docs/timeloop-rules.md``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner
from dse.mappers.exact.tables import MOST_TAILS, Int, Tables
from dse.model.loops import Nest, new_nest

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Places of a value row: settled energy and cycles, words held by the parts so far of a buffer that
#: has more, then S and G of each flow, loads, windows.
ENERGY, CYCLES, HELD, FIRST = 0, 1, 2, 3
#: Places of a window: refetch of the first move, the first move, moves along two window rows, the
#: window row that moves alone, status, spatial collision steps and bounds, tile below, level and
#: tile of the grid it runs on.
(
    PARTIAL, FIRST_MOVE, MOVED, MOVED_2, RUN, STATUS, STEP_A, STEP_B, BOUND_A, BOUND_B, BELOW,
    GRID_LEVEL, GRID_TILE, WINDOW,
) = range(14)  # fmt: skip
#: Status of a window: at rest; one row moves; several move; moved along a row of its own.
REST, RUNS, MIXED, MOVES = 0.0, 1.0, 2.0, 3.0


class Labels(NamedTuple):
    """Labels, a struct of arrays."""

    tile: Ints  # (N,)
    grid: npt.NDArray[np.int32]  # (N,)
    parent: npt.NDArray[np.int32]  # (N,)
    order: npt.NDArray[np.int32]  # (N,) row of the stage's orders
    moved: npt.NDArray[np.int32]  # (N,) bit set of flows whose tile has moved
    settled: npt.NDArray[np.int32]  # (N,) bit set
    loose: npt.NDArray[np.bool_]  # (N,) whether the values are bounds
    alive: npt.NDArray[np.bool_]  # (N,)
    bound: Floats  # (N, 3) least energy and cycles of what it can become; the energy without flows
    #                       that start further out
    value: Floats  # (N, V)


class Terms(NamedTuple):
    """What open flows cost, by how many times the loops outside multiply their words; scratch.

    A flow costs ``delivered`` each time, ``read`` and ``filled`` each time beyond what is spared.
    """

    tensor: Ints  # (F,)
    delivered: Floats  # (F,) pJ a time, of reads, or of updates of an output
    read: Floats  # (F,) pJ a time, of reads of an output
    read_spared: Floats  # (F,) pJ, of those that find nothing yet
    filled: Floats  # (F,) pJ a time
    fill_spared: Floats  # (F,) pJ


class Draft(NamedTuple):
    """The label at hand, and scratch."""

    value: Floats  # (V,)
    moved: Ints  # (1,) bit set of flows
    settled: Ints  # (1,) bit set of flows
    loose: Ints  # (1,) not 0: the values are bounds
    grid: Ints  # (1,)
    extent: Floats  # (D,) of the tile it comes from
    factor: Floats  # (D,) of the loops that are added
    digit: Ints  # (D,) of the tile it comes to
    low_digit: Ints  # (D,)
    spread: Ints  # (D,) dimensions with spatial loops
    at: Ints  # (D,)
    at_tile: Ints  # (max(1, D),)
    other: Floats  # (D,)
    side: Floats  # (Q,)
    nest: Nest
    vector: Ints  # (N, Q)
    move: Ints  # (Q,)
    reach: Ints  # (Q,)
    total: Ints  # (Q,)
    bound: Floats  # (4,) as in Labels; the energy without flows at rest, nor those further out
    left: Floats  # (D,) loops outside the tile
    slide: Floats  # (T, W, 2) least factors of the runs of windows outside, over all their loops
    ways: Ints  # (1,) how many ways the loops outside the tile have
    times: Floats  # (ways, T) how they multiply the words of every tensor at rest
    resting: Ints  # (1,) how many flows have terms: the open ones at rest
    tails: Ints  # (1,) how many tails the tile has, -1: not known yet
    tail: (
        Floats  # (K + 1, T + 1) how they multiply every tensor, energy outside; a row for a new one
    )
    origin: Ints  # (D,) digits of the tile whose tails these are
    place: Ints  # (D,)
    quotient: Floats  # (D,)
    reached: Floats  # (1,) least value of a whole mapping at the tile at hand
    term: Terms  # of the open flows


def row_length(t: Tables) -> int:
    """Length of a value row."""
    return int(windows_at(t) + WINDOW * (t.window_flow.max(initial=-1) + 1))


def new_labels(count: int, t: Tables) -> Labels:
    """Allocate labels."""
    arrays: list[Any] = [
        np.zeros(count, np.int64),
        *(np.zeros(count, np.int32) for _ in range(5)),
        *(np.zeros(count, np.bool_) for _ in range(2)),
        np.zeros((count, 3)),
        np.zeros((count, row_length(t))),
    ]
    return Labels(*arrays)


def new_draft(t: Tables) -> Draft:
    """Allocate a draft."""
    dimensions, ranks, levels = len(t.bound), t.coefficient.shape[1], len(t.block)
    nest = new_nest(levels, max(1, dimensions))
    parts: list[Any] = [
        np.zeros(row_length(t)),
        *(np.zeros(1, np.int64) for _ in range(4)),
        *(np.ones(dimensions) for _ in range(2)),
        *(np.zeros(dimensions, np.int64) for _ in range(4)),
        np.zeros(max(1, dimensions), np.int64),
        np.ones(dimensions),
        np.ones(ranks),
        nest,
        np.zeros((len(nest.bound), ranks), np.int64),
        *(np.zeros(ranks, np.int64) for _ in range(3)),
        np.zeros(4),
        np.ones(dimensions),
        np.ones((len(t.total), max(1, int(t.window.max(initial=-1)) + 1), 2)),
        np.zeros(1, np.int64),
        np.ones((int(np.diff(t.way_first).max()), len(t.total))),
        *(np.zeros(1, np.int64) for _ in range(2)),
        np.zeros((MOST_TAILS + 1, len(t.total) + 1)),
        *(np.zeros(dimensions, np.int64) for _ in range(2)),
        np.ones(dimensions),
        np.full(1, np.inf),
        Terms(np.zeros(len(t.low), np.int64), *(np.zeros(len(t.low)) for _ in range(5))),
    ]
    return Draft(*parts)


@inlined
def parts_at(t: Tables, f: int) -> int:
    """Where G of a flow stands in a value row."""
    place: int = FIRST + t.low.shape[0] + f
    return place


@inlined
def load_at(t: Tables, s: int, tensor: int) -> int:
    """Where the reads of a tensor at a level of limited bandwidth stand; its writes follow."""
    place: int = FIRST + 2 * t.low.shape[0] + 2 * (t.limited[s] * t.total.shape[0] + tensor)
    return place


@inlined
def windows_at(t: Tables) -> int:
    """Where the windows start in a value row."""
    levels: int = Int(0)
    for s in range(t.limited.shape[0]):
        levels += t.limited[s] >= 0
    place: int = FIRST + 2 * t.low.shape[0] + 2 * t.total.shape[0] * levels
    return place


@inner
def window_at(t: Tables, f: int) -> int:
    """Where the window of a flow starts in a value row; -1: it has none."""
    number: int = t.window_flow[f]
    if number < 0:
        nowhere: int = Int(-1)
        return nowhere
    place: int = windows_at(t) + WINDOW * number
    return place


@inner
def decode(t: Tables, tile: int, extent: Floats) -> None:
    """Write the extents of a tile."""
    for d in range(t.bound.shape[0]):
        extent[d] = t.divisor[d, (tile // t.stride[d]) % t.digit[d]]
