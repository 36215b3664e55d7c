"""Which of the lines that Gemmini asks for are in a cache, and what the others take.

That follows from how much a program touches between two uses of a tile. The level 2 cache has
512 KB in lines of 64 bytes and replaces at random; so does the last level, as far as is known here.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dse.cycles.gemmini import INPUTS, LINE, OUTPUTS, WEIGHTS, C, K, N, P, Program, Q, R, S, Timing
from dse.jit import inner
from dse.numeric import Floats

_Ints = npt.NDArray[np.int64]


@inner
def _hits(touched: float, capacity: float) -> float:
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
def _row_lines(width: int, stride: int, offset: int) -> float:
    """Return how many lines a row of some bytes lies on; ``offset`` is that of the array."""
    if stride % LINE == 0 and offset % LINE == 0:
        return float(-(-width // LINE))
    return min((width + LINE - 1.0) / LINE, max(stride / LINE, 1.0))


@inner
def line_bytes(rows: float, width: int, stride: int, offset: int) -> float:
    """Return the bytes of the lines that rows lie on."""
    if stride < LINE:
        return max(float(LINE), rows * float(stride))
    return rows * _row_lines(width, stride, offset) * LINE


@inner
def _crowding(width: int, stride: int, offset: int) -> float:
    """Return how much fewer sets of the cache rows fall on: a stride of many lines skips sets."""
    power = stride & -stride
    if power <= LINE:
        return 1.0
    return max(1.0, power / (_row_lines(width, stride, offset) * LINE))


@inner
def _relevant(matmul: bool, tensor: int, d: int) -> bool:
    """Return whether a tensor's tile moves with a dimension; windows slide too little to count."""
    if tensor == WEIGHTS:
        return d in (K, C) or (not matmul and d in (S, R))
    if tensor == INPUTS:
        return d in (P, C) or (not matmul and d in (N, Q))
    return d in (P, K) or (not matmul and d in (N, Q))


@inner
def footprints(p: Program, covered: _Ints, lines: Floats, crowded: Floats) -> None:
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
        lines[q, WEIGHTS] = line_bytes(weights, columns, p.columns, p.offset)
        lines[q, INPUTS] = line_bytes(inputs, inner_, p.inner, p.offset)
        lines[q, OUTPUTS] = line_bytes(outputs, columns, p.columns, p.offset)
        crowded[q, WEIGHTS] = lines[q, WEIGHTS] * _crowding(columns, p.columns, p.offset)
        crowded[q, INPUTS] = lines[q, INPUTS] * _crowding(inner_, p.inner, p.offset)
        crowded[q, OUTPUTS] = lines[q, OUTPUTS] * _crowding(columns, p.columns, p.offset)


@inner
def _touched(
    p: Program, trips: _Ints, lines: Floats, crowded: Floats, tensor: int, q: int
) -> float:
    """Return how much one pass of the loops inside a place touches, as a tensor's lines feel it.

    Weights and outputs are columns of the same channels, so their sets are the same. Outputs are
    touched once in all passes of a reduction.
    """
    passes = 1.0
    for k in range(q, 7):
        if p.order[k] in (S, R, C):
            passes *= trips[p.order[k]]
    outputs = crowded[q, OUTPUTS] if tensor != INPUTS else lines[q, OUTPUTS]
    if tensor == OUTPUTS:
        return outputs + crowded[q, WEIGHTS] + lines[q, INPUTS]
    own = crowded[q, tensor] + outputs / passes
    return own + (lines[q, INPUTS] if tensor == WEIGHTS else lines[q, WEIGHTS])


@inner
def _reuse_place(p: Program, trips: _Ints, tensor: int, q: int) -> int:
    """Return the loop whose last pass used the tile that a step of loop q asks for; 7: none."""
    if q < 7 and not _relevant(p.matmul, tensor, p.order[q]):
        return q
    if tensor != OUTPUTS:
        for k in range(q + 1, 7):
            if trips[p.order[k]] > 1 and not _relevant(p.matmul, tensor, p.order[k]):
                return k
    return 7


@inner
def _fresh(p: Program, trips: _Ints, tensor: int, q: int) -> tuple[float, int]:
    """Return which share of a tile's lines its neighbours had not, and where they lie.

    Neighbours along the channels share lines; along the pixels, what the window covers twice.
    """
    d, stride = (C, p.inner) if tensor == INPUTS else (K, p.columns)
    width = min(p.step[d], p.limit[d]) * (p.side if p.matmul else 1)
    place, share = q, 1.0
    if trips[d] > 1:
        if stride < LINE:
            share = width / stride
        else:
            share = min(1.0, width / (LINE * _row_lines(width, stride, p.offset)))
        if share < 1.0:
            for k in range(7):
                if p.order[k] == d:
                    place = k
    if tensor == INPUTS and not p.matmul and q < 7 and p.order[q] in (Q, P):
        along, window = (Q, S) if p.order[q] == Q else (P, R)
        new = p.step[along] * p.stride
        share *= min(1.0, new / (new - p.stride + min(p.step[window], p.limit[window])))
    return share, place


@inner
def fill_misses(
    p: Program,
    timing: Timing,
    trips: _Ints,
    lines: Floats,
    crowded: Floats,
    miss_cycles: Floats,
) -> None:
    """Fill in the cycles that a line takes for its misses, by the loop that stepped and tensor."""
    for q in range(8):
        for tensor in range(3):
            touched = _touched(p, trips, lines, crowded, tensor, _reuse_place(p, trips, tensor, q))
            share, place = _fresh(p, trips, tensor, q)
            near = min(touched, _touched(p, trips, lines, crowded, tensor, place))
            level2 = share * (1.0 - _hits(touched, timing.level2_kb * 1024.0))
            level2 += (1.0 - share) * (1.0 - _hits(near, timing.level2_kb * 1024.0))
            last = share * (1.0 - _hits(touched, timing.last_level_kb * 1024.0))
            last += (1.0 - share) * (1.0 - _hits(near, timing.last_level_kb * 1024.0))
            last = min(level2, last)
            cycles = level2 * timing.level2_line
            cycles += last * (timing.memory_line - timing.level2_line)
            # a line of outputs is fetched, and written back later
            miss_cycles[q, tensor] = 2.0 * cycles if tensor == OUTPUTS else cycles
