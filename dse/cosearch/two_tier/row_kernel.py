"""Compiled: what the classes of a two-tier space cost on a machine."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.cosearch.two_tier.tile_kernel import (
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
from dse.jit import inner, tiered
from dse.model import rules

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class RowMachine(NamedTuple):
    """What a frame, or a group of frames at its best, lets mappings do.

    Levels are registers, accumulator, scratchpad, memory.
    """

    block: Floats  # (4,) words per access; 1 where a group's prices are per word
    read_bandwidth: Floats  # (4,)
    write_bandwidth: Floats  # (4,)
    shared_bandwidth: Floats  # (4,)
    most_rows: int  # fan-out below the accumulator
    most_columns: int  # ... below the scratchpad


class LayerShape(NamedTuple):
    """What the counts need to know of a layer."""

    macs: int
    outputs: int  # words of O
    row_divisors: Ints  # growing
    column_divisors: Ints
    stationary_first: bool  # whether W is declared before I: loads add up in that order
    output_place: int  # place of O in that order, 0 to 2
    version: int


@inner
def _add(blocks: Floats, level: int, kind: int, words: float, block: float, used: float) -> None:
    blocks[level, kind] += rules.blocks(words, block) * used


@inner
def _limit(
    m: RowMachine, level: int, reads: float, writes: float, iterations: float, exact: bool
) -> float:
    """Cycles of a level in Timeloop's own steps (section 9); ``exact``: without their rounding.

    Timeloop divides by ratios of loads, so that a whole number may come out one too large.
    """
    if exact:
        return math.ceil(
            rules.transfer_cycles(
                reads,
                writes,
                m.read_bandwidth[level],
                m.write_bandwidth[level],
                m.shared_bandwidth[level],
            )
        )
    return _throttled(m, level, reads / iterations, writes / iterations, iterations)


@inner
def _throttled(m: RowMachine, level: int, reads: float, writes: float, iterations: float) -> float:
    """Cycles of a level with these accesses per iteration (section 9)."""
    slow = rules.slowdown(
        reads,
        writes,
        m.read_bandwidth[level],
        m.write_bandwidth[level],
        m.shared_bandwidth[level],
    )
    return rules.slowed(iterations, slow)


class Counts(NamedTuple):
    """Words of a class with its spatial factors; registers and accumulators per instance."""

    pes: float
    wide: float
    iterations: float
    fetched: float  # W, into all registers
    part: float  # O, partition of an accumulator
    fills: float
    read_i: float
    words_w: float
    words_i: float
    words_o: float


@inner
def _counts(x: LayerShape, c: Ints, rows: int, columns: int) -> Counts:
    row_tile = x.row_divisors[c[ROW_DIVISOR]]
    column_tile = x.column_divisors[c[COLUMN_DIVISOR]]
    macs = float(x.macs)
    pes, wide = float(rows * columns), float(columns)
    reuse = float(c[REUSE])
    if c[PLAIN] == 1 and rows == row_tile and columns == column_tile:
        reuse *= float(c[RUN])
    share = float(c[WORDS_O]) / wide
    part = float(x.outputs) / wide
    fills = share - part if rules.elides(False, x.version) else share
    return Counts(
        pes, wide, macs / pes, macs / reuse, part, fills, macs / wide,
        float(c[WORDS_W]), float(c[WORDS_I]), float(c[WORDS_O]),
    )  # fmt: skip


@inner
def _cycles(x: LayerShape, m: RowMachine, n: Counts, exact: bool) -> float:
    """Cycles of the whole; loads add up in the order in which tensors are declared."""
    it = n.iterations
    most = max(it, _limit(m, 0, it, n.fetched / n.pes, it, exact))
    if exact:
        most = max(most, _limit(m, 1, it - n.part, n.fills + it, it, True))
        most = max(most, _limit(m, 2, n.fetched + n.read_i, n.words_w + n.words_i, it, True))
        reads = n.words_w + n.words_i + n.words_o - float(x.outputs)
        return max(most, _limit(m, 3, reads, n.words_o, it, True))
    most = max(most, _throttled(m, 1, (it - n.part) / it, (n.fills + it) / it, it))
    reads = n.fetched / it + n.read_i / it
    most = max(most, _throttled(m, 2, reads, n.words_w / it + n.words_i / it, it))
    w, i, o = n.words_w / it, n.words_i / it, (n.words_o - float(x.outputs)) / it
    first, second = (w, i) if x.stationary_first else (i, w)
    if x.output_place == 2:
        reads = first + second + o
    elif x.output_place == 1:
        reads = first + o + second
    else:
        reads = o + first + second
    return max(most, _throttled(m, 3, reads, n.words_o / it, it))


@inner
def _least_cycles(x: LayerShape, m: RowMachine, c: Ints, n: Counts) -> float:
    """Cycles of a class; where rounding adds one, the least with any smaller spatial factors."""
    exact = _cycles(x, m, n, True)
    least = _cycles(x, m, n, False)
    if least <= exact:
        return least
    row_tile = x.row_divisors[c[ROW_DIVISOR]]
    column_tile = x.column_divisors[c[COLUMN_DIVISOR]]
    for a in range(x.row_divisors.shape[0]):
        rows = x.row_divisors[a]
        if rows > m.most_rows or row_tile % rows != 0:
            continue
        for b in range(x.column_divisors.shape[0]):
            columns = x.column_divisors[b]
            if columns > m.most_columns or column_tile % columns != 0:
                continue
            least = min(least, _cycles(x, m, _counts(x, c, rows, columns), False))
            if least <= exact:
                return least
    return least


class Largest(NamedTuple):
    """The largest spatial factors of a machine, by divisor that the tile has."""

    rows: Ints  # as LayerShape.row_divisors
    columns: Ints


@tiered
def cost_rows(
    x: LayerShape, m: RowMachine, largest: Largest, grouped: bool, classes: Ints, index: Ints,
    pairs: Ints, cycles: Floats, blocks: Floats, need: Ints,
) -> None:  # fmt: skip
    """Fill cycles ``(R,)``, accesses ``(R, 4, 4)`` and needs ``(R, 2)`` of classes ``index``.

    Accesses are of all instances, by level and kind; kind LEAK counts cycles times instances.
    Needs are words of an accumulator and of the scratchpad. ``grouped``: the machine stands for
    several, so cycles are taken without Timeloop's rounding. ``pairs``: ``(R, 2)`` spatial factors,
    or ``(0, 2)``: the largest.
    """
    outputs = float(x.outputs)
    for r in range(index.shape[0]):
        c = classes[index[r]]
        rows, columns = largest.rows[c[ROW_DIVISOR]], largest.columns[c[COLUMN_DIVISOR]]
        if pairs.shape[0] > 0:
            rows, columns = pairs[r, 0], pairs[r, 1]
        n = _counts(x, c, rows, columns)
        b = blocks[r]
        b[:, :] = 0.0
        _add(b, 0, 0, n.iterations, m.block[0], n.pes)
        _add(b, 0, 1, n.fetched / n.pes, m.block[0], n.pes)
        _add(b, 1, 0, n.iterations - n.part, m.block[1], n.wide)
        _add(b, 1, 1, n.fills, m.block[1], n.wide)
        _add(b, 1, 2, n.iterations, m.block[1], n.wide)
        _add(b, 2, 0, n.fetched, m.block[2], 1.0)
        _add(b, 2, 0, n.read_i, m.block[2], 1.0)
        _add(b, 2, 1, n.words_w, m.block[2], 1.0)
        _add(b, 2, 1, n.words_i, m.block[2], 1.0)
        _add(b, 3, 0, n.words_w, m.block[3], 1.0)
        _add(b, 3, 0, n.words_i, m.block[3], 1.0)
        _add(b, 3, 0, n.words_o - outputs, m.block[3], 1.0)
        _add(b, 3, 2, n.words_o, m.block[3], 1.0)
        if grouped:
            most = _cycles(x, m, n, True)
        elif pairs.shape[0] > 0:
            most = _cycles(x, m, n, False)
        else:
            most = _least_cycles(x, m, c, n)
        cycles[r] = most
        if rules.leaks(x.version):
            b[0, 3] = most * n.pes
            b[1, 3] = most * n.wide
            b[2, 3] = b[3, 3] = most
        need[r, 0] = c[TILE_O] // columns
        need[r, 1] = c[TILE_W_I]
