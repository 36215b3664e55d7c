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
from dse.numeric import Floats, Ints


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


class Stack(NamedTuple):
    """Classes of N parts, one after the other, with the shapes of their layers."""

    classes: Ints  # (C, COLUMNS)
    first_class: Ints  # (N,) where each part's classes start; parts may share them
    macs: Ints  # (N,)
    outputs: Ints  # (N,)
    row_divisors: Ints  # of all parts, one after the other
    first_row: Ints  # (N + 1,) where each part's start
    column_divisors: Ints
    first_column: Ints  # (N + 1,)
    stationary_first: npt.NDArray[np.bool_]  # (N,)
    output_place: Ints  # (N,)
    version: int


class RowPrices(NamedTuple):
    """What accesses cost, and what has to fit. Levels are those of `RowMachine`."""

    level: Floats  # (4, 4) pJ by level and kind; 0 where a size decides
    mac: float  # pJ
    column_level: Ints  # (K,) level of each column of accesses
    column_kinds: npt.NDArray[np.bool_]  # (K, 4) kinds of accesses that it counts
    needing: Ints  # (V,) what sizes hold: words of 0 an accumulator, 1 the scratchpad, 2 one
    most: Ints  # (2,) words that an accumulator and the scratchpad hold


class PricedRows(NamedTuple):
    """What is filled: `LayerRows` of all parts, one after the other."""

    cycles: Floats  # (R,)
    base: Floats  # (R,)
    accesses: Floats  # (R, K)
    need: Ints  # (R, V)
    fits: npt.NDArray[np.bool_]  # (R,)


@inner
def _accesses(x: LayerShape, m: RowMachine, n: Counts, b: Floats) -> None:
    """Fill accesses ``(4, 4)`` of all instances, by level and kind, but for leakage."""
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
    _add(b, 3, 0, n.words_o - float(x.outputs), m.block[3], 1.0)
    _add(b, 3, 2, n.words_o, m.block[3], 1.0)


@inner
def _cost_row(
    x: LayerShape, m: RowMachine, p: RowPrices, c: Ints, n: Counts, cycles: float, columns: int,
    r: int, b: Floats, out: PricedRows,
) -> None:  # fmt: skip
    """Fill a row."""
    _accesses(x, m, n, b)
    if rules.leaks(x.version):  # counted in cycles times instances
        b[0, 3] = cycles * n.pes
        b[1, 3] = cycles * n.wide
        b[2, 3] = b[3, 3] = cycles
    out.cycles[r] = cycles
    base = p.mac * float(x.macs)
    for level in range(4):
        for kind in range(4):
            base += b[level, kind] * p.level[level, kind]
    out.base[r] = base
    for k in range(p.column_level.shape[0]):
        total = 0.0
        for kind in range(4):
            if p.column_kinds[k, kind]:
                total += b[p.column_level[k], kind]
        out.accesses[r, k] = total
    accumulator, scratchpad = c[TILE_O] // columns, c[TILE_W_I]
    for v in range(p.needing.shape[0]):
        what = p.needing[v]
        out.need[r, v] = accumulator if what == 0 else (scratchpad if what == 1 else 1)
    out.fits[r] = accumulator <= p.most[0] and scratchpad <= p.most[1]


@tiered
def cost_rows(
    s: Stack, m: RowMachine, largest: Largest, p: RowPrices, grouped: bool, first: Ints,
    index: Ints, pairs: Ints, b: Floats, out: PricedRows,
) -> None:  # fmt: skip
    """Fill rows.

    Args:
        s: the classes.
        m: the machine.
        largest: its spatial factors, of all parts, one after the other.
        p: the prices.
        grouped: the machine stands for several, so cycles are taken without Timeloop's rounding.
        first: ``(N + 1,)`` where the rows of each part start.
        index: ``(R,)`` class of each row, numbered within its part.
        pairs: ``(R, 2)`` spatial factors of each row, or ``(0, 2)``: the largest.
        b: ``(4, 4)`` working memory.
        out: is filled.
    """
    for part in range(first.shape[0] - 1):
        x = LayerShape(
            s.macs[part],
            s.outputs[part],
            s.row_divisors[s.first_row[part] : s.first_row[part + 1]],
            s.column_divisors[s.first_column[part] : s.first_column[part + 1]],
            s.stationary_first[part],
            s.output_place[part],
            s.version,
        )
        for r in range(first[part], first[part + 1]):
            c = s.classes[s.first_class[part] + index[r]]
            rows = largest.rows[s.first_row[part] + c[ROW_DIVISOR]]
            columns = largest.columns[s.first_column[part] + c[COLUMN_DIVISOR]]
            if pairs.shape[0] > 0:
                rows, columns = pairs[r, 0], pairs[r, 1]
            n = _counts(x, c, rows, columns)
            if grouped:
                most = _cycles(x, m, n, True)
            elif pairs.shape[0] > 0:
                most = _cycles(x, m, n, False)
            else:
                most = _least_cycles(x, m, c, n)
            _cost_row(x, m, p, c, n, most, columns, r, b, out)
