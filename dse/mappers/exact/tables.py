"""The arrays that the compiled search reads: a mapspace on one hardware, and its stages.

A *tile* is the extents of all dimensions at a point of the loop nest; every extent is a divisor
of the bound, so tiles are numbered in mixed radix. A *flow* is what one level that keeps a tensor
delivers to the next one inside that keeps it (or to the MACs). A *grid* is a choice of spatial
factors at the levels up to a certain one. Dimensions of bound 1 are left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.numeric import Flags, Floats, Ints

#: Compiled code needs integers of one width; for the type checker they are plain ones.
Int: Any = np.int64


#: Tiles and grids beyond which a space is not laid out.
MOST_TILES, MOST_GRIDS = 4_000_000, 200_000
#: Spatial factors of one level times tiles that they may lead to, beyond which nothing is searched:
#: some 10 s a pass, whatever the bounds drop.
MOST_SPREADS = 500_000_000


#: Tails of a tile that are told apart; what is beyond them is taken together, at its best.
MOST_TAILS = 128


class TooLargeError(SpecError):
    """The exact search cannot represent this space; the message says why."""


class Tables(NamedTuple):
    """Everything that is the same throughout the search. D dimensions, T tensors, F flows."""

    bound: Ints  # (D,)
    divisor: Ints  # (D, V)
    digit: Ints  # (D,) number of divisors
    stride: Ints  # (D,) of the tile number
    coefficient: Ints  # (T, Q, D)
    row: Ints  # (T, D) row of the tensor that a dimension moves, -1: none
    window: Ints  # (T, Q) number of a window row, -1: moved by one dimension of coefficient 1
    window_flow: Ints  # (F,) number of a flow of a tensor with window rows, -1: none
    tensor: Ints  # (F,)
    low: Ints  # (F,) level that receives, -1: the MACs
    high: Ints  # (F,) level that delivers
    low_bank: Ints  # (F,) the buffer that the level that receives is a part of, -1: the MACs
    high_bank: Ints  # (F,) the same of the level that delivers
    bank: Ints  # (L,) the same of every level
    room: Floats  # (L,) words of a buffer of several levels, -1: the level is a buffer of its own
    kept: Flags  # (L, T)
    read_write: Flags  # (T,)
    elided: Flags  # (F,) whether first reads are not filled (outputs, but for version dosa)
    words: Floats  # (T, tiles) footprint
    moves: Floats  # (T, tiles) least factor by which the loops outside multiply the words
    rest: Floats  # (T, tiles) the same for those that surely do, at rest or not
    outside: Floats  # (tiles,) iterations of all loops outside
    total: Floats  # (T,) words of the whole tensor
    crossing: Floats  # (T,) words of it that any flow carries in all, at least
    spread: Floats  # (L,) largest number of instances of a level
    block: Floats  # (L,)
    clusters: Floats  # (L,)
    share: Floats  # (L,) least share of instances that pay for an access
    read_pj: Floats  # (L,)
    fill_pj: Floats  # (L,)
    update_pj: Floats  # (L,)
    leak: Floats  # (G,) leakage of a cycle; 0 where the version ignores it
    leaks: bool
    address_pj: Floats  # (L,)
    bandwidth: Floats  # (3, L) read, write, shared
    limited: Ints  # (L,) number among the buffers of limited bandwidth, -1: unlimited, or a part
    fanout_x: Ints  # (L, W) growing, of all hardware that is stood for; (L, 0): unknown
    touching: Ints  # (L,) bit set of the flows of a buffer
    fan: Floats  # (G, L) product of the grid's factors below each level
    used: Floats  # (G, L + 1) instances of the MACs (0) and of level s (s + 1) that it uses
    served: Floats  # (F, H) receivers that a read serves by spatial loops still to come, at most
    part: Floats  # (G, T, L) words of an output's partition at one instance of a level
    factor: npt.NDArray[np.int16]  # (G, L, D) grids, and their parts up to a level
    on_y: Flags  # (G, L, D)
    axes: npt.NDArray[np.int8]  # (L, D) order of the dimensions on a grid, X before Y as far as set
    macs: float
    mac_pj: float
    latency: float
    version: int
    way_first: Ints  # ways of the loops outside, see Ways
    way_inside: Ints
    way_window: Ints
    exact: bool  # whether all rules are represented; else values are bounds
    most_macs: float  # MACs that a mapping may use


class Tail(NamedTuple):
    """What `dse.mappers.exact.tails` reads, for the level after a stage; empty where it is off."""

    ahead: Ints  # (D, V, V + 1) digits that its loops may lead to, largest first, -1 after the last
    first: Ints  # (tiles + 1,) start of the ways of a tile after it; none where it does not fit
    times: Floats  # (n, T) how a way multiplies the words of every tensor at rest
    start: Floats  # (n,) least energy of the flows that start at the level or outside it


NO_TAIL = Tail(np.zeros((0, 0, 0), np.int64), np.zeros(0, np.int64), np.zeros((0, 0)), np.zeros(0))


class Stage(NamedTuple):
    """The loops of one level: in space (of level ``level``), or in time."""

    level: int
    spatial: bool
    last_spatial: bool  # no spatial loops outside
    final: bool  # no loops outside at all
    source: Ints  # (D, V, V) digits that may come before a digit, -1 after the last
    fits: Flags  # (tiles,) which tiles may be reached
    first: Ints  # orders, see Orders
    loops: npt.NDArray[np.int8]
    spare: Flags
    vectors: Ints  # (V, D) spatial stages: digits of the factors (of the quotient bound)
    child: Ints  # (G,) grid that the first vector leads to, the others follow; -1: none
    most_orders: int
    later: Floats  # (tiles,) least energy of the flows that start further out
    loads: Floats  # (limited levels, 2, tiles) least words that those flows read and write
    widest: float  # most parallelism that spatial loops further out can add
    tail: Tail  # of the next level
