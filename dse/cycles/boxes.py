"""Where a tile's data lie in memory, as in ``rtl/boxes_pkg.sv``: needed where there is a cache.

A box is five nested loops over pieces of equal length, of which the innermost loop's last one may
be shorter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.cycles.job import C, G, K, N, P, Q, R, Registers, S
from dse.jit import inlined, inner

_Ints = npt.NDArray[np.int64]

#: Nested loops.
LEVELS = 5
#: Places in a box.
ADDRESS, SIZE, LAST_SIZE = range(3)  # of the first piece; bytes of a piece, and of the last one
COUNTS = 3  # iterations, the innermost loop first
STRIDES = COUNTS + LEVELS  # bytes from one iteration to the next
BOX = STRIDES + LEVELS


@inlined
def _loop(box: _Ints, level: int, count: int, stride: int) -> None:
    box[COUNTS + level] = count
    box[STRIDES + level] = stride


@inner
def weights_box(box: _Ints, r: Registers, index: _Ints, extent: _Ints, size: int) -> None:
    """Put down the box of a tile's weights, in pieces of so many bytes."""
    box[ADDRESS] = (
        r.weights_at
        + index[R] * r.tile[R] * r.weights_r
        + index[S] * r.tile[S] * r.weights_s
        + index[C] * r.tile[C] * r.weights_c
        + index[G] * r.tile[G] * r.weights_g
        + index[K] * r.tile[K]
    )
    box[SIZE] = box[LAST_SIZE] = size
    _loop(box, 0, 1 if r.weights_joined > 0 else extent[G], r.weights_g)
    _loop(box, 1, 1 if r.weights_joined > 1 else extent[C], r.weights_c)
    _loop(box, 2, extent[S], r.weights_s)
    _loop(box, 3, extent[R], r.weights_r)
    _loop(box, 4, 1, 0)


@inner
def inputs_box(
    box: _Ints, r: Registers, index: _Ints, extent: _Ints, columns: int, rows: int, size: int
) -> None:
    """Put down the box of so many columns and rows of a tile's inputs, without padding."""
    column = index[P] * r.tile[P] * r.stride_x + index[R] * r.tile[R] * r.dilation_x - r.padding_x
    row = index[Q] * r.tile[Q] * r.stride_y + index[S] * r.tile[S] * r.dilation_y - r.padding_y
    box[ADDRESS] = (
        r.inputs_at
        + index[N] * r.tile[N] * r.inputs_n
        + max(row, 0) * r.inputs_row
        + max(column, 0) * r.inputs_column
        + index[G] * r.tile[G] * r.inputs_g
        + index[C] * r.tile[C]
    )
    box[SIZE] = box[LAST_SIZE] = size
    _loop(box, 0, 1 if r.inputs_joined > 0 else extent[G], r.inputs_g)
    _loop(box, 1, 1 if r.inputs_joined > 1 else columns, r.inputs_column)
    _loop(box, 2, rows, r.inputs_row)
    _loop(box, 3, extent[N], r.inputs_n)
    _loop(box, 4, 1, 0)


@inner
def sums_box(
    box: _Ints, r: Registers, index: _Ints, extent: _Ints, outputs: bool, pieces: int, last: int
) -> None:
    """Put down the box of a tile's sums, or complete outputs.

    The pieces are the blocks of K; the last one has so many outputs.
    """
    size = r.output_bytes if outputs else 4
    first = (
        index[N] * r.tile[N] * r.outputs_n
        + index[Q] * r.tile[Q] * r.outputs_q
        + index[P] * r.tile[P] * r.outputs_p
        + index[G] * r.tile[G] * r.outputs_g
        + index[K] * r.tile[K]
    )
    box[ADDRESS] = (r.outputs_at if outputs else r.sums_at) + first * size
    box[SIZE], box[LAST_SIZE] = r.block_k * size, last * size
    _loop(box, 0, pieces, r.block_k * size)
    _loop(box, 1, extent[G], r.outputs_g * size)
    _loop(box, 2, extent[P], r.outputs_p * size)
    _loop(box, 3, extent[Q], r.outputs_q * size)
    _loop(box, 4, extent[N], r.outputs_n * size)
