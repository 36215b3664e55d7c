"""Compiled: what the classes of a two-tier space cost on a machine."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.model.arrays import DOSA, HEAD
from dse.model.jit import compiled, inner
from dse.optimal.tile_kernel import (
    COLUMN_DIVISOR,
    PLAIN,
    REUSE,
    ROW_DIVISOR,
    RUN,
    TILE_O,
    TILE_W_I,
    WORDS_I,
    WORDS_O,
    WORDS_W,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Machine(NamedTuple):
    """What a frame, or a group of frames at its best, lets mappings do.

    Levels are registers, accumulator, scratchpad, memory.
    """

    block: Floats  # (4,) words per access; 1 where a group's prices are per word
    read_bandwidth: Floats  # (4,)
    write_bandwidth: Floats  # (4,)
    shared_bandwidth: Floats  # (4,)
    most_rows: int  # fan-out below the accumulator
    most_columns: int  # ... below the scratchpad


class Shape(NamedTuple):
    """What the counts need to know of a layer."""

    macs: int
    outputs: int  # words of O
    row_divisors: Ints
    column_divisors: Ints
    stationary_first: bool  # whether W is declared before I: loads add up in that order
    output_place: int  # place of O in that order, 0 to 2
    version: int


@inner
def _largest(divisors: Ints, tile: int, most: int) -> int:
    """Largest divisor of ``tile`` up to ``most``; ``divisors`` holds them all, growing."""
    best = np.int64(1)
    for i in range(divisors.shape[0]):
        d = divisors[i]
        if d > most or d > tile:
            break
        if tile % d == 0:
            best = d
    return best


@inner
def _add(blocks: Floats, level: int, kind: int, words: float, block: float, used: float) -> None:
    blocks[level, kind] += math.ceil(words / block) * used


@inner
def _limit(m: Machine, level: int, reads: float, writes: float, iterations: float) -> float:
    """Cycles of a level in Timeloop's own steps (section 9)."""
    slow = 1.0
    if m.read_bandwidth[level] < reads:
        slow = min(slow, m.read_bandwidth[level] / reads)
    if m.write_bandwidth[level] < writes:
        slow = min(slow, m.write_bandwidth[level] / writes)
    if m.shared_bandwidth[level] < writes + reads:
        slow = min(slow, m.shared_bandwidth[level] / (writes + reads))
    return math.ceil(iterations / slow)


@compiled
def cost_rows(
    x: Shape, m: Machine, classes: Ints, index: Ints, cycles: Floats, blocks: Floats, need: Ints
) -> None:
    """Fill cycles ``(R,)``, accesses ``(R, 4, 4)`` and needs ``(R, 2)`` of classes ``index``.

    Accesses are of all instances, by level and kind; kind LEAK counts cycles times instances.
    Needs are words of an accumulator and of the scratchpad.
    """
    macs = float(x.macs)
    outputs = float(x.outputs)
    load = (0.0, 0.0)
    for r in range(index.shape[0]):
        c = classes[index[r]]
        row_tile, column_tile = c[ROW_DIVISOR], c[COLUMN_DIVISOR]
        row_tile, column_tile = x.row_divisors[row_tile], x.column_divisors[column_tile]
        rows = _largest(x.row_divisors, row_tile, m.most_rows)
        columns = _largest(x.column_divisors, column_tile, m.most_columns)
        pes = float(rows * columns)
        wide = float(columns)
        iterations = macs / pes
        reuse = float(c[REUSE])
        if c[PLAIN] == 1 and rows == row_tile and columns == column_tile:
            reuse *= float(c[RUN])
        fetched = macs / reuse  # W, all registers
        share = float(c[WORDS_O]) / wide  # O, into one accumulator
        part = outputs / wide
        words_w, words_i, words_o = float(c[WORDS_W]), float(c[WORDS_I]), float(c[WORDS_O])
        fills = share if x.version == DOSA else share - part
        b = blocks[r]
        b[:, :] = 0.0
        _add(b, 0, 0, iterations, m.block[0], pes)
        _add(b, 0, 1, fetched / pes, m.block[0], pes)
        _add(b, 1, 0, iterations - part, m.block[1], wide)
        _add(b, 1, 1, fills, m.block[1], wide)
        _add(b, 1, 2, iterations, m.block[1], wide)
        read_i = macs / wide
        _add(b, 2, 0, fetched, m.block[2], 1.0)
        _add(b, 2, 0, read_i, m.block[2], 1.0)
        _add(b, 2, 1, words_w, m.block[2], 1.0)
        _add(b, 2, 1, words_i, m.block[2], 1.0)
        _add(b, 3, 0, words_w, m.block[3], 1.0)
        _add(b, 3, 0, words_i, m.block[3], 1.0)
        _add(b, 3, 0, words_o - outputs, m.block[3], 1.0)
        _add(b, 3, 2, words_o, m.block[3], 1.0)
        most = iterations
        load = (iterations / iterations, fetched / pes / iterations)
        most = max(most, _limit(m, 0, load[0], load[1], iterations))
        load = ((iterations - part) / iterations, (fills + iterations) / iterations)
        most = max(most, _limit(m, 1, load[0], load[1], iterations))
        w, i = fetched / iterations, read_i / iterations
        load = (w + i, words_w / iterations + words_i / iterations)
        most = max(most, _limit(m, 2, load[0], load[1], iterations))
        w, i = words_w / iterations, words_i / iterations
        o = (words_o - outputs) / iterations
        first, second = (w, i) if x.stationary_first else (i, w)
        if x.output_place == 2:
            reads = first + second + o
        elif x.output_place == 1:
            reads = first + o + second
        else:
            reads = o + first + second
        most = max(most, _limit(m, 3, reads, words_o / iterations, iterations))
        cycles[r] = most
        if x.version == HEAD:
            b[0, 3] = most * pes
            b[1, 3] = most * wide
            b[2, 3] = b[3, 3] = most
        need[r, 0] = c[TILE_O] // columns
        need[r, 1] = c[TILE_W_I]
