"""Gemmini, as DOSA's bare-metal program drives it: what it is asked to do, and its timing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_Ints = npt.NDArray[np.int64]

#: Dimensions in the order of a program's arrays.
N, Q, P, K, S, R, C = range(7)
#: Tensors in the order of arrays: weights, inputs, outputs.
WEIGHTS, INPUTS, OUTPUTS = range(3)
#: Bytes of a cache's line, and the most of a request.
LINE = 64


class Program(NamedTuple):
    """What DOSA's bare-metal program has Gemmini do, as its loops see it.

    Attributes:
        matmul: by Gemmini's matrix loop, in blocks of the array's side; else by the one for
            convolutions, in single pixels and channels.
        side: of the array.
        stride: of the convolution.
        in_size: pixels of the (square) input, in each direction.
        offset: bytes from the begin of a line of memory to that of the program's arrays.
        rows, columns, inner: of the matrix product; the last two are channels of a convolution.
        limit: ``(7,)`` bounds of the loops over tiles, by dimension (N Q P K S R C).
        step: ``(7,)`` their steps, which are the tile's sizes, too.
        order: ``(7,)`` dimensions, innermost loop first.
    """

    matmul: bool
    side: int
    stride: int
    in_size: int
    offset: int
    rows: int
    columns: int
    inner: int
    limit: _Ints
    step: _Ints
    order: _Ints


class Timing(NamedTuple):
    """Cycles of what the sources do not say; ``firesim.TIMING`` says where the values are from.

    Attributes:
        latency: from a request to its data, and from the first data to the array.
        beat: each 16 bytes of a request beyond the first.
        store: least of a request to write.
        level2_line: a line of 64 bytes that the level 2 cache misses.
        memory_line: one that the last level misses, too.
        array: a block's way through the array, for each row of the array.
        matmul_tile, convolution_tile: of the processor, to ask for a tile.
        start: of the processor, before the first tile.
        level2_kb: of the level 2 cache that is of use, in KB.
        last_level_kb: of the last level.
    """

    latency: float
    beat: float
    store: float
    level2_line: float
    memory_line: float
    array: float
    matmul_tile: float
    convolution_tile: float
    start: float
    level2_kb: float
    last_level_kb: float
