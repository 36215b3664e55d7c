"""How long Gemmini takes for a program of tiles: compiled, at the grain of tiles.

Every tile loads weights and inputs, executes, and, where its sums are complete, stores. Gemmini
holds two tiles at a time: one is loaded while the other executes. What a tile's parts take alone
follows from the commands that Gemmini's state machines make of it; which of the lines it asks for
are in a cache follows from how much the program touches between two uses.

The constants are those of Gemmini's sources (``ucb-bar/gemmini``, early 2023): reads of at most 64
bytes, 16 of them and ``16 / side + 1`` commands in flight, 16 executing commands at a time, two
for each block, four rows at least through the array.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import compiled, inner
from dse.numeric import Floats

_Ints = npt.NDArray[np.int64]

#: Dimensions in the order of a program's arrays.
N, Q, P, K, S, R, C = range(7)
#: Tensors in the order of arrays here.
W, I, O = range(3)  # noqa: E741
LINE = 64
_READS, _BLOCKS_EXECUTING, _LEAST_ROWS = 16, 8, 4
#: Places of a tile's cost: cycles of loading weights, inputs, of executing, of storing; bytes of
#: lines of each tensor; steps of the reduction in the tile; blocks that are stored.
_WEIGHTS, _INPUTS, _EXECUTE, _STORE, _LINES, _SWEEPS, _STORED = 0, 1, 2, 3, 4, 7, 8
COSTS = 9


class Program(NamedTuple):
    """What DOSA's bare-metal program has Gemmini do, as its loops see it.

    Attributes:
        matmul: by Gemmini's matrix loop, in blocks of the array's side; else by the one for
            convolutions, in single pixels and channels.
        side: of the array.
        stride: of the convolution.
        in_size: pixels of the (square) input, in each direction.
        rows, columns, inner: of the matrix product; the last two are channels of a convolution.
        limit: ``(7,)`` bounds of the loops over tiles, by dimension (N Q P K S R C).
        step: ``(7,)`` their steps, which are the tile's sizes, too.
        order: ``(7,)`` dimensions, innermost loop first.
    """

    matmul: bool
    side: int
    stride: int
    in_size: int
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
        matmul_offset, convolution_offset: bytes from a line's begin to that of the program's
            arrays.
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
    matmul_offset: int
    convolution_offset: int
    level2_kb: float
    last_level_kb: float


@inner
def _ceil(a, b):
    return -(-a // b)


@inner
def _request(length, offset):
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
def fill_requests(stride, table):
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
def _row(table, length, offset, side, least, beat):
    """Return the cycles of a row: of its requests, or of the scratchpad rows that it fills."""
    requests, beats = table[length, offset % LINE, 0], table[length, offset % LINE, 1]
    return max(requests * least + (beats - requests) * beat, float(_ceil(length, side)))


@inner
def _command(rows, row, latency, side):
    """Return the cycles between two commands of so many rows, of those that are in flight."""
    return max(rows * row, (latency + rows * row) / (_READS // side + 1))


@inner
def _hits(touched, capacity):
    """Return the share of lines found again in a cache that replaces at random.

    A line is still there after m misses with probability exp(-m / lines of the cache); so the
    share h solves h = exp(-(touched / capacity) (1 - h)).
    """
    if touched <= capacity:
        return 1.0
    share = 0.0
    for _ in range(60):
        share = math.exp(-touched / capacity * (1.0 - share))
    return share


@inner
def _row_lines(width, stride, offset):
    """Return how many lines a row of some bytes lies on; ``offset`` is that of the array."""
    if stride % LINE == 0 and offset % LINE == 0:
        return float(_ceil(width, LINE))
    return min((width + LINE - 1.0) / LINE, max(stride / LINE, 1.0))


@inner
def _lines(rows, width, stride, offset):
    """Return the bytes of the lines that rows lie on."""
    if stride < LINE:
        return max(float(LINE), rows * float(stride))
    return rows * _row_lines(width, stride, offset) * LINE


@inner
def _crowding(width, stride, offset):
    """Return how much fewer sets of the cache rows fall on: a stride of many lines skips sets."""
    power = stride & -stride
    if power <= LINE:
        return 1.0
    return max(1.0, power / (_row_lines(width, stride, offset) * LINE))


@inner
def _relevant(matmul, tensor, d):
    """Return whether a tensor's tile moves with a dimension; windows slide too little to count."""
    if tensor == W:
        return d in (K, C) or (not matmul and d in (S, R))
    if tensor == I:
        return d in (P, C) or (not matmul and d in (N, Q))
    return d in (P, K) or (not matmul and d in (N, Q))


@inner
def _footprints(p, offset, covered, lines, crowded):
    """Fill in line bytes of each tensor inside each loop, and what they mean for the cache."""
    unit = p.side if p.matmul else 1
    for d in range(7):
        covered[d] = min(p.step[d], p.limit[d])
    for q in range(8):
        if q > 0:
            covered[p.order[q - 1]] = p.limit[p.order[q - 1]]
        columns, inner_ = min(covered[K] * unit, p.columns), min(covered[C] * unit, p.inner)
        if p.matmul:
            outputs = min(covered[P] * unit, p.rows)
            weights, inputs = inner_, outputs
        else:
            weights = inner_ * covered[S] * covered[R]
            down = min(p.in_size, (covered[Q] - 1) * p.stride + covered[S])
            across = min(p.in_size, (covered[P] - 1) * p.stride + covered[R])
            inputs = covered[N] * down * across
            outputs = covered[N] * covered[Q] * covered[P]
        lines[q, W] = _lines(weights, columns, p.columns, offset)
        lines[q, I] = _lines(inputs, inner_, p.inner, offset)
        lines[q, O] = _lines(outputs, columns, p.columns, offset)
        crowded[q, W] = lines[q, W] * _crowding(columns, p.columns, offset)
        crowded[q, I] = lines[q, I] * _crowding(inner_, p.inner, offset)
        crowded[q, O] = lines[q, O] * _crowding(columns, p.columns, offset)


@inner
def _touched(p, trips, lines, crowded, tensor, q):
    """Return how much one pass of the loops inside a place touches, as a tensor's lines feel it.

    Weights and outputs are columns of the same channels, so their sets are the same. Outputs are
    touched once in all passes of a reduction.
    """
    passes = 1.0
    for k in range(q, 7):
        if p.order[k] in (S, R, C):
            passes *= trips[p.order[k]]
    outputs = crowded[q, O] if tensor != I else lines[q, O]
    if tensor == O:
        return outputs + crowded[q, W] + lines[q, I]
    own = crowded[q, tensor] + outputs / passes
    return own + (lines[q, I] if tensor == W else lines[q, W])


@inner
def _reuse_place(p, trips, tensor, q):
    """Return the loop whose last pass used the tile that a step of loop q asks for; 7: none."""
    if q < 7 and not _relevant(p.matmul, tensor, p.order[q]):
        return q
    if tensor != O:
        for k in range(q + 1, 7):
            if trips[p.order[k]] > 1 and not _relevant(p.matmul, tensor, p.order[k]):
                return k
    return 7


@inner
def _fresh(p, offset, trips, tensor, q):
    """Return which share of a tile's lines its neighbours had not, and where they lie.

    Neighbours along the channels share lines; along the pixels, what the window covers twice.
    """
    d, stride = (C, p.inner) if tensor == I else (K, p.columns)
    width = min(p.step[d], p.limit[d]) * (p.side if p.matmul else 1)
    place, share = q, 1.0
    if trips[d] > 1:
        if stride < LINE:
            share = width / stride
        else:
            share = min(1.0, width / (LINE * _row_lines(width, stride, offset)))
        if share < 1.0:
            for k in range(7):
                if p.order[k] == d:
                    place = k
    if tensor == I and not p.matmul and q < 7 and p.order[q] in (Q, P):
        along, window = (Q, S) if p.order[q] == Q else (P, R)
        new = p.step[along] * p.stride
        share *= min(1.0, new / (new - p.stride + min(p.step[window], p.limit[window])))
    return share, place


@inner
def _fill_misses(p, timing, offset, trips, lines, crowded, miss_cycles):
    """Fill in the cycles that a line takes for its misses, by the loop that stepped and tensor."""
    for q in range(8):
        for tensor in range(3):
            touched = _touched(
                p, trips, lines, crowded, tensor, _reuse_place(p, trips, tensor, q)
            )
            share, place = _fresh(p, offset, trips, tensor, q)
            near = min(touched, _touched(p, trips, lines, crowded, tensor, place))
            level2 = share * (1.0 - _hits(touched, timing.level2_kb * 1024.0))
            level2 += (1.0 - share) * (1.0 - _hits(near, timing.level2_kb * 1024.0))
            last = share * (1.0 - _hits(touched, timing.last_level_kb * 1024.0))
            last += (1.0 - share) * (1.0 - _hits(near, timing.last_level_kb * 1024.0))
            last = min(level2, last)
            cycles = level2 * timing.level2_line
            cycles += last * (timing.memory_line - timing.level2_line)
            # a line of outputs is fetched, and written back later
            miss_cycles[q, tensor] = 2.0 * cycles if tensor == O else cycles


@inner
def _matmul_tile(p, timing, trips, at, weight_requests, input_requests, cost):
    """Fill in what a tile of the matrix loop costs; it counts in blocks of the array's side."""
    side, step = p.side, p.step
    i = min(step[P], p.limit[P] - at[P] * step[P])
    j = min(step[K], p.limit[K] - at[K] * step[K])
    k = min(step[C], p.limit[C] - at[C] * step[C])
    rows = min(i * side, p.rows - at[P] * step[P] * side)
    columns = min(j * side, p.columns - at[K] * step[K] * side)
    inner_ = min(k * side, p.inner - at[C] * step[C] * side)
    last_rows = rows - (i - 1) * side
    store = at[C] == trips[C] - 1
    for n in range(COSTS):
        cost[n] = 0.0
    wide = max(side, LINE)
    for first in range(0, inner_, wide):
        offset = timing.matmul_offset + at[C] * step[C] * side + first
        row = _row(input_requests, min(wide, inner_ - first), offset, side, 1.0, timing.beat)
        cost[_INPUTS] += (i - 1) * _command(side, row, timing.latency, side)
        cost[_INPUTS] += _command(last_rows, row, timing.latency, side)
    for first in range(0, columns, wide):
        offset = timing.matmul_offset + at[K] * step[K] * side + first
        width = min(wide, columns - first)
        row = _row(weight_requests, width, offset, side, 1.0, timing.beat)
        cost[_WEIGHTS] += k * _command(side, row, timing.latency, side)
        if store:
            row = _row(weight_requests, width, offset, side, timing.store, timing.beat)
            cost[_STORE] += (i - 1) * _command(side, row, timing.latency, side)
            cost[_STORE] += _command(last_rows, row, timing.latency, side)
    # the first block of a column loads weights, which takes a full pass
    block = timing.array * side / _BLOCKS_EXECUTING
    last = float(side) if i == 1 else max(last_rows, _LEAST_ROWS)
    cost[_EXECUTE] = k * j * max((i - 1) * side + last, i * block)
    cost[_LINES + W] = _lines(inner_, columns, p.columns, timing.matmul_offset)
    cost[_LINES + I] = _lines(rows, inner_, p.inner, timing.matmul_offset)
    cost[_LINES + O] = _lines(rows, columns, p.columns, timing.matmul_offset) if store else 0.0
    cost[_SWEEPS], cost[_STORED] = k, i * j
    return store


@inner
def _real(size):
    """Return the hardware's count of pixels that are not padding: 16 bits, without a sign.

    A tile that lies in the padding altogether has less than none.
    """
    return size + 65536 if size < 0 else size


@inner
def _channel_rows(table, channels, first, widest, side, least, beat, pixels, latency):
    """Return the cycles of moving rows of channels, in commands of at most a block of rows."""
    cycles = 0.0
    for begin in range(0, channels, widest):
        row = _row(table, min(widest, channels - begin), first + begin, side, least, beat)
        cycles += (pixels // side) * _command(side, row, latency, side)
        if pixels % side:
            cycles += _command(pixels % side, row, latency, side)
    return cycles


@inner
def _padding(channels, widest, side, pixels, commands, latency):
    """Return the cycles of writing rows of zeros, so many pixels in so many commands."""
    cycles = 0.0
    for begin in range(0, channels, widest):
        row = float(_ceil(min(widest, channels - begin), side))
        cycles += commands * _command(pixels / commands, row, latency, side)
    return cycles


@inner
def _conv_inputs(p, timing, at, input_requests, batches, outs, window, channels):
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
    first = timing.convolution_offset + at[C] * step[C]
    row = _channel_rows(
        input_requests, channels, first, widest, side, 1.0, timing.beat, across, latency
    )
    edges = _ceil(before, side) + _ceil(after, side)
    if edges:
        row += _padding(channels, widest, side, before + after, edges, latency)
    cycles = batches * down * row
    if above + below:
        empty = _padding(channels, widest, side, broad, edges + _ceil(across, side), latency)
        cycles += batches * (above + below) * empty
    return cycles, batches * down * across


@inner
def _conv_tile(p, timing, at, weight_requests, input_requests, cost):
    """Fill in what a tile of the convolution's loop costs."""
    side, step, limit = p.side, p.step, p.limit
    batches = min(step[N], limit[N] - at[N] * step[N])
    outs = (min(step[Q], limit[Q] - at[Q] * step[Q]), min(step[P], limit[P] - at[P] * step[P]))
    window = (min(step[S], limit[S] - at[S] * step[S]), min(step[R], limit[R] - at[R] * step[R]))
    columns = min(step[K], limit[K] - at[K] * step[K])
    channels = min(step[C], limit[C] - at[C] * step[C])
    taps = window[0] * window[1]
    for n in range(COSTS):
        cost[n] = 0.0
    cost[_WEIGHTS] = taps * _channel_rows(
        weight_requests,
        columns,
        timing.convolution_offset + at[K] * step[K],
        max(side, LINE),
        side,
        1.0,
        timing.beat,
        channels,
        timing.latency,
    )
    cost[_INPUTS], pixels = _conv_inputs(
        p, timing, at, input_requests, batches, outs, window, channels
    )
    # outputs run along a row of pixels; the first block of a sweep loads weights, a full pass
    lines, blocks = batches * outs[0], _ceil(outs[1], side)
    last = float(max(outs[1] - (blocks - 1) * side, _LEAST_ROWS))
    sweep = lines * ((blocks - 1) * side + last) - last + side
    sweep = max(sweep, lines * blocks * timing.array * side / _BLOCKS_EXECUTING)
    cost[_EXECUTE] = float(_ceil(columns, side) * _ceil(channels, side) * taps) * sweep
    store = at[S] * step[S] + step[S] >= limit[S] and at[R] * step[R] + step[R] >= limit[R]
    store = store and at[C] * step[C] + step[C] >= limit[C]
    if store:
        cost[_STORE] = lines * _channel_rows(
            weight_requests,
            columns,
            timing.convolution_offset + at[K] * step[K],
            side,
            side,
            timing.store,
            timing.beat,
            outs[1],
            timing.latency,
        )
        cost[_LINES + O] = _lines(lines * outs[1], columns, p.columns, timing.convolution_offset)
    cost[_LINES + W] = _lines(channels * taps, columns, p.columns, timing.convolution_offset)
    cost[_LINES + I] = _lines(pixels, channels, p.inner, timing.convolution_offset)
    return store


@inner
def _advance(p, trips, at):
    """Step to the next tile; return the outermost loop that stepped, 7 where none is left."""
    for k in range(7):
        d = p.order[k]
        at[d] += 1
        if at[d] < trips[d]:
            return k
        at[d] = 0
    return 7


@compiled
def walk(p, timing, weight_requests, input_requests, counts, footprints, cost):
    """Return the cycles of a program.

    Args:
        p: a `Program`.
        timing: a `Timing`.
        weight_requests: from `fill_requests` for rows of ``p.columns`` bytes; so are outputs.
        input_requests: the same for rows of ``p.inner`` bytes.
        counts: ``(3, 7)`` room for integers.
        footprints: ``(3, 8, 3)`` room for numbers.
        cost: ``(COSTS,)`` the same.
    """
    trips, at = counts[0], counts[1]
    for d in range(7):
        trips[d], at[d] = _ceil(p.limit[d], p.step[d]), 0
    lines, crowded, miss = footprints[0], footprints[1], footprints[2]
    offset = timing.matmul_offset if p.matmul else timing.convolution_offset
    _footprints(p, offset, counts[2], lines, crowded)
    _fill_misses(p, timing, offset, trips, lines, crowded, miss)
    asking = timing.matmul_tile if p.matmul else timing.convolution_tile
    latency, drain = timing.latency, timing.array * p.side
    now = loaded = executed = stored = slot = next_slot = timing.start
    missing = 0.0
    q = 7
    while True:
        if p.matmul:
            store = _matmul_tile(p, timing, trips, at, weight_requests, input_requests, cost)
        else:
            store = _conv_tile(p, timing, at, weight_requests, input_requests, cost)
        weights = cost[_LINES + W] / LINE * miss[q, W]
        inputs = cost[_LINES + I] / LINE * miss[q, I]
        outputs = cost[_LINES + O] / LINE * miss[q, O]
        missing += weights + inputs + outputs
        now = max(now + asking, slot)
        begun = max(now, loaded)
        loaded = begun + max(cost[_WEIGHTS], weights) + max(cost[_INPUTS], inputs)
        execute = cost[_EXECUTE]
        if p.matmul:  # blocks execute as soon as they are there
            executed = max(executed, begun + latency) + execute
            executed = max(executed, loaded + latency + execute / cost[_SWEEPS])
        else:
            executed = max(executed, loaded + latency) + execute
        # a tile makes room once its last commands are under way
        issued = executed - min(execute, float(_BLOCKS_EXECUTING * p.side))
        if store:
            busy = max(cost[_STORE], outputs)
            if p.matmul:
                early = executed - execute / cost[_SWEEPS] + busy
                late = executed + drain + busy / cost[_STORED]
                stored = max(stored + busy, early, late)
            else:
                stored = max(stored, issued + drain) + busy
            issued = max(issued, stored - min(busy, 6.0 * p.side))
        slot, next_slot = next_slot, max(issued, loaded, next_slot)
        q = _advance(p, trips, at)
        if q == 7:
            return max(executed, stored, missing) + latency
