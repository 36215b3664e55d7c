"""What a tile's parts take alone, by the commands that Gemmini's state machines make of it.

The constants are those of Gemmini's sources (``ucb-bar/gemmini``, early 2023): reads of at most 64
bytes, 16 of them and ``16 / side + 1`` commands in flight; 16 executing commands at a time, two
for each block; four rows at least through the array.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dse.cycles.gemmini import INPUTS, LINE, OUTPUTS, WEIGHTS, C, K, N, P, Program, Q, R, S, Timing
from dse.cycles.gemmini_caches import line_bytes
from dse.jit import compiled, inner
from dse.numeric import Floats

_Ints = npt.NDArray[np.int64]

_READS, _LEAST_ROWS = 16, 4
#: Blocks that execute at a time.
EXECUTING = 8
#: Places of a tile's cost: cycles of loading weights and inputs, of executing, of storing; bytes of
#: lines of each tensor; steps of the reduction in the tile; blocks that are stored; whether what
#: storing costs is that of another tile.
LOAD_WEIGHTS, LOAD_INPUTS, EXECUTE, STORE, LINES, SWEEPS, STORED, _STALE = 0, 1, 2, 3, 4, 7, 8, 9
COSTS = 10
#: Bits of the dimensions that a tensor's cost follows.
_OF_WEIGHTS = 1 << K | 1 << S | 1 << R | 1 << C
_OF_INPUTS = 1 << N | 1 << Q | 1 << P | 1 << S | 1 << R | 1 << C
_OF_OUTPUTS = 1 << N | 1 << Q | 1 << P | 1 << K


@inner
def ceil(a: int, b: int) -> int:
    """Return a / b, rounded up."""
    return -(-a // b)


@inner
def _request(length: int, offset: int) -> tuple[int, int]:
    """Return bytes asked for and bytes of use of the best aligned request for a row's rest."""
    best_size, best = 0, 0
    size = 16
    while size <= LINE:
        use = min(size - offset % size, length)
        if use > best:
            best_size, best = size, use
        size *= 2
    return best_size, best


@compiled
def fill_requests(stride: int, table: Floats) -> None:
    """Fill in requests and their beats of 16 bytes, by a row's bytes and its place in a line.

    Args:
        stride: bytes between rows; rows that begin at several places are taken at their average.
        table: ``(65, 64, 2)`` room for the result.
    """
    step = math.gcd(stride, LINE)
    for length in range(1, LINE + 1):
        for first in range(LINE):
            starts = LINE // step
            requests, beats = 0, 0
            for i in range(starts):
                offset = first % step + i * step
                left = length
                while left > 0:
                    size, use = _request(left, offset)
                    requests += 1
                    beats += size // 16
                    offset += use
                    left -= use
            table[length, first, 0] = requests / starts
            table[length, first, 1] = beats / starts


@inner
def _row(table: Floats, length: int, offset: int, side: int, least: float, beat: float) -> float:
    """Return the cycles of a row: of its requests, or of the scratchpad rows that it fills."""
    requests, beats = table[length, offset % LINE, 0], table[length, offset % LINE, 1]
    return max(requests * least + (beats - requests) * beat, float(ceil(length, side)))


@inner
def _command(rows: float, row: float, latency: float, side: int) -> float:
    """Return the cycles between two commands of so many rows, of those that are in flight."""
    return max(rows * row, (latency + rows * row) / (_READS // side + 1))


@inner
def _rows(
    table: Floats,
    length: int,
    first: int,
    widest: int,
    side: int,
    least: float,
    beat: float,
    count: int,
    latency: float,
) -> float:
    """Return the cycles of moving so many rows of some bytes, in commands of at most a block."""
    cycles = 0.0
    for begin in range(0, length, widest):
        row = _row(table, min(widest, length - begin), first + begin, side, least, beat)
        cycles += (count // side) * _command(side, row, latency, side)
        if count % side:
            cycles += _command(count % side, row, latency, side)
    return cycles


@inner
def matmul_tile(
    p: Program,
    timing: Timing,
    trips: _Ints,
    at: _Ints,
    moved: int,
    weight_requests: Floats,
    input_requests: Floats,
    cost: Floats,
) -> bool:
    """Fill in what a tile of the matrix loop costs; it counts in blocks of the array's side.

    ``moved`` has the bits of the dimensions in which the tile is another than the one before; what
    does not follow them stays as it is in ``cost``.
    """
    side, step, latency, beat = p.side, p.step, timing.latency, timing.beat
    i = min(step[P], p.limit[P] - at[P] * step[P])
    j = min(step[K], p.limit[K] - at[K] * step[K])
    k = min(step[C], p.limit[C] - at[C] * step[C])
    rows = min(i * side, p.rows - at[P] * step[P] * side)
    columns = min(j * side, p.columns - at[K] * step[K] * side)
    inner_ = min(k * side, p.inner - at[C] * step[C] * side)
    last_rows = rows - (i - 1) * side
    wide = max(side, LINE)
    first_inner = p.offset + at[C] * step[C] * side
    first_column = p.offset + at[K] * step[K] * side
    if moved & _OF_INPUTS:
        cost[LOAD_INPUTS] = _rows(
            input_requests, inner_, first_inner, wide, side, 1.0, beat, rows, latency
        )
        cost[LINES + INPUTS] = line_bytes(rows, inner_, p.inner, p.offset)
    if moved & _OF_WEIGHTS:
        cost[LOAD_WEIGHTS] = _rows(
            weight_requests, columns, first_column, wide, side, 1.0, beat, k * side, latency
        )
        cost[LINES + WEIGHTS] = line_bytes(inner_, columns, p.columns, p.offset)
    store = at[C] == trips[C] - 1
    if moved & _OF_OUTPUTS:
        cost[_STALE] = 1.0
    if store and cost[_STALE]:
        cost[STORE] = _rows(
            weight_requests, columns, first_column, wide, side, timing.store, beat, rows, latency
        )
        cost[LINES + OUTPUTS] = line_bytes(rows, columns, p.columns, p.offset)
        cost[_STALE] = 0.0
    # the first block of a column loads weights, which takes a full pass
    block = timing.array * side / EXECUTING
    last = float(side) if i == 1 else max(last_rows, _LEAST_ROWS)
    cost[EXECUTE] = k * j * max((i - 1) * side + last, i * block)
    cost[SWEEPS], cost[STORED] = k, i * j
    return store


@inner
def _real(size: int) -> int:
    """Return the hardware's count of pixels that are not padding: 16 bits, without a sign.

    A tile that lies in the padding altogether has less than none.
    """
    return size + 65536 if size < 0 else size


@inner
def _padding(
    channels: int, widest: int, side: int, pixels: int, commands: int, latency: float
) -> float:
    """Return the cycles of writing rows of zeros, so many pixels in so many commands."""
    cycles = 0.0
    for begin in range(0, channels, widest):
        row = float(ceil(min(widest, channels - begin), side))
        cycles += commands * _command(pixels / commands, row, latency, side)
    return cycles


@inner
def _conv_inputs(
    p: Program,
    timing: Timing,
    at: _Ints,
    input_requests: Floats,
    batches: int,
    outs: tuple[int, int],
    window: tuple[int, int],
    channels: int,
) -> tuple[float, int]:
    """Return the cycles of loading a convolution's inputs, and how many pixels are real."""
    side, step, latency = p.side, p.step, timing.latency
    padding = p.limit[R] // 2
    widest = max(side, LINE)
    top = at[Q] * step[Q] * p.stride + at[S] * step[S] - padding
    left = at[P] * step[P] * p.stride + at[R] * step[R] - padding
    high = outs[0] * p.stride + window[0] - 1
    broad = outs[1] * p.stride + window[1] - 1
    above, below = max(0, -top), max(0, top + high - p.in_size)
    before, after = max(0, -left), max(0, left + broad - p.in_size)
    down, across = _real(high - above - below), _real(broad - before - after)
    first = p.offset + at[C] * step[C]
    row = _rows(input_requests, channels, first, widest, side, 1.0, timing.beat, across, latency)
    edges = ceil(before, side) + ceil(after, side)
    if edges:
        row += _padding(channels, widest, side, before + after, edges, latency)
    cycles = batches * down * row
    if above + below:
        empty = _padding(channels, widest, side, broad, edges + ceil(across, side), latency)
        cycles += batches * (above + below) * empty
    return cycles, batches * down * across


@inner
def conv_tile(
    p: Program,
    timing: Timing,
    at: _Ints,
    moved: int,
    weight_requests: Floats,
    input_requests: Floats,
    cost: Floats,
) -> bool:
    """Fill in what a tile of the convolution's loop costs; ``moved`` as in `matmul_tile`."""
    side, step, limit, beat = p.side, p.step, p.limit, timing.beat
    batches = min(step[N], limit[N] - at[N] * step[N])
    outs = (min(step[Q], limit[Q] - at[Q] * step[Q]), min(step[P], limit[P] - at[P] * step[P]))
    window = (min(step[S], limit[S] - at[S] * step[S]), min(step[R], limit[R] - at[R] * step[R]))
    columns = min(step[K], limit[K] - at[K] * step[K])
    channels = min(step[C], limit[C] - at[C] * step[C])
    taps = window[0] * window[1]
    lines, blocks = batches * outs[0], ceil(outs[1], side)
    first, wide, latency = p.offset + at[K] * step[K], max(side, LINE), timing.latency
    if moved & _OF_WEIGHTS:
        cycles = _rows(weight_requests, columns, first, wide, side, 1.0, beat, channels, latency)
        cost[LOAD_WEIGHTS] = taps * cycles
        cost[LINES + WEIGHTS] = line_bytes(channels * taps, columns, p.columns, p.offset)
    if moved & _OF_INPUTS:
        cost[LOAD_INPUTS], pixels = _conv_inputs(
            p, timing, at, input_requests, batches, outs, window, channels
        )
        cost[LINES + INPUTS] = line_bytes(pixels, channels, p.inner, p.offset)
    store = at[S] * step[S] + step[S] >= limit[S] and at[R] * step[R] + step[R] >= limit[R]
    store = store and at[C] * step[C] + step[C] >= limit[C]
    if moved & _OF_OUTPUTS:
        cost[_STALE] = 1.0
    if store and cost[_STALE]:
        cycles = _rows(
            weight_requests, columns, first, side, side, timing.store, beat, outs[1], latency
        )
        cost[STORE] = lines * cycles
        cost[LINES + OUTPUTS] = line_bytes(lines * outs[1], columns, p.columns, p.offset)
        cost[_STALE] = 0.0
    # outputs run along a row of pixels; the first block of a sweep loads weights, a full pass
    last = float(max(outs[1] - (blocks - 1) * side, _LEAST_ROWS))
    sweep = lines * ((blocks - 1) * side + last) - last + side
    sweep = max(sweep, lines * blocks * timing.array * side / EXECUTING)
    cost[EXECUTE] = float(ceil(columns, side) * ceil(channels, side) * taps) * sweep
    return store
