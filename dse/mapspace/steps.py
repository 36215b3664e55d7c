"""Compiled steps from mapping to mapping, by rows of a move table, and the check that they fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inner
from dse.mapspace.move_table import (
    AXIS,
    EXCHANGE,
    FACTOR,
    INSERT,
    KEEP,
    REDRAW,
    SPREAD,
    SWAP,
    WHOLE,
    MoveTable,
)
from dse.mapspace.moves import change_axis, factor_at, random_prime, set_factor
from dse.mapspace.random_bits import uniform
from dse.mapspace.sampling import within_fanout
from dse.mapspace.space import SpaceArrays
from dse.model.arrays import MappingArrays
from dse.model.block import WIDTH, Lanes, Plan, Prices, derive
from dse.model.fit import check
from dse.numeric import int64, uint64


@inner
def _move(space: SpaceArrays, m: MappingArrays, i: int, d: int, k: int, to: int, part: int) -> bool:
    """Move a part of dimension d's factor from slot k to another; False when it cannot be."""
    here = factor_at(space, m, d, k, i)
    there = factor_at(space, m, d, to, i) * part
    if part < 2 or here % part != 0 or there > space.slot_cap[d, to]:
        return False
    if here // part < space.slot_least[d, k]:
        return False
    set_factor(space, m, d, k, i, here // part)
    set_factor(space, m, d, to, i, there)
    return True


@inner
def _exchange(
    space: SpaceArrays, table: MoveTable, row: int, m: MappingArrays, i: int, seed: int
) -> bool:
    """Move a prime of one dimension, and one of another dimension the other way."""
    d, k, to = table.rows[row, 1], table.rows[row, 2], table.rows[row, 3]
    here = factor_at(space, m, d, k, i)
    if here < 2:
        return False
    count = table.rows[row, 5]
    at = int64(uniform(seed, 0, 32) * count)
    for step in range(count):
        other = table.rows[row, 4] + (at + step) % count
        e, back, away = table.partners[other, 0], table.partners[other, 1], table.partners[other, 2]
        theirs = factor_at(space, m, e, back, i)
        if e == d or theirs < 2:
            continue
        mine = random_prime(here, uniform(seed, 0, 33))
        if not _move(space, m, i, d, k, to, mine):
            return False
        if _move(space, m, i, e, back, away, random_prime(theirs, uniform(seed, 0, 34))):
            return True
        _move(space, m, i, d, to, k, mine)
        return False
    return False


@inner
def _redraw(space: SpaceArrays, m: MappingArrays, i: int, d: int, u: float) -> None:
    """Give dimension d the factorisation number ``floor(u * count)``."""
    left = np.floor(u * space.factorizations[d])
    node = space.node_start[d]
    for k in range(space.slots[d]):
        edge = space.first[node]
        last = space.first[node + 1] - 1
        while edge < last and space.before[edge + 1] <= left:
            edge += 1
        left -= space.before[edge]
        set_factor(space, m, d, k, i, space.factor[edge])
        node = int64(space.target[edge])


@inner
def _has_loop(m: MappingArrays, s: int, p: int, i: int) -> bool:
    return bool(m.temporal[s, m.permutation[s, p, i], i] > 1)


@inner
def _insert(m: MappingArrays, s: int, p: int, q: int, i: int) -> None:
    """Move the loop at place p to place q; those between close up."""
    loop = m.permutation[s, p, i]
    step = 1 if q > p else -1
    at = p
    while at != q:
        m.permutation[s, at, i] = m.permutation[s, at + step, i]
        at += step
    m.permutation[s, q, i] = loop


@inner
def take_step(
    space: SpaceArrays, table: MoveTable, row: int, m: MappingArrays, i: int, seed: int
) -> bool:
    """Take the step of a row from mapping i, in place; False where it changes nothing."""
    kind, p, q, r = table.rows[row, 0], table.rows[row, 1], table.rows[row, 2], table.rows[row, 3]
    if kind in (FACTOR, SPREAD):
        return _move(space, m, i, p, q, r, table.rows[row, 4])
    if kind == WHOLE:
        return _move(space, m, i, p, q, r, factor_at(space, m, p, q, i))
    if kind == EXCHANGE:
        return _exchange(space, table, row, m, i, seed)
    if kind == SWAP:
        if not (_has_loop(m, p, q, i) and _has_loop(m, p, r, i)):
            return False
        m.permutation[p, q, i], m.permutation[p, r, i] = (
            m.permutation[p, r, i],
            m.permutation[p, q, i],
        )
        return True
    if kind == INSERT:
        if not _has_loop(m, p, q, i):
            return False
        _insert(m, p, q, r, i)
        return True
    if kind == AXIS:
        if m.spatial[p, q, i] < 2:
            return False
        change_axis(m, p, q, i)
        return True
    if kind == KEEP:
        m.keep[p, q, i] = not m.keep[p, q, i]
        return True
    if kind == REDRAW:
        _redraw(space, m, i, p, uniform(seed, 0, 35))
        return True
    return False


@inner
def copy_mapping(
    m: MappingArrays, source: int, out: MappingArrays, to: int, space: SpaceArrays
) -> None:
    """Copy what may differ between mappings of the space."""
    levels, dimensions = space.order.shape
    for d in range(dimensions):
        for k in range(space.slots[d]):
            s = space.slot_level[d, k]
            if space.slot_spatial[d, k]:
                out.spatial[s, d, to] = m.spatial[s, d, source]
            else:
                out.temporal[s, d, to] = m.temporal[s, d, source]
    if out.permutation.shape[2] > 1:
        for s in range(levels):
            if space.free_count[s] > 1:
                for p in range(dimensions):
                    out.permutation[s, p, to] = m.permutation[s, p, source]
    if space.any_axis_free:
        for s in range(levels):
            out.split[s, to] = m.split[s, source]
            for p in range(dimensions):
                out.spatial_permutation[s, p, to] = m.spatial_permutation[s, p, source]
    if space.any_keep_free:
        for s in range(levels):
            for t in range(space.keep.shape[1]):
                out.keep[s, t, to] = m.keep[s, t, source]


@inner
def check_block(space: SpaceArrays, plan: Plan, x: Lanes, c: Prices, block: MappingArrays) -> None:
    """Set ``x.ok`` for the WIDTH mappings of a block; its slots must be marked and laid out."""
    for d in range(space.slots.shape[0]):
        for k in range(space.slots[d]):
            s = space.slot_level[d, k]
            row = x.spatial[s, d] if space.slot_spatial[d, k] else x.temporal[s, d]
            source = block.spatial[s, d] if space.slot_spatial[d, k] else block.temporal[s, d]
            for i in range(WIDTH):
                row[i] = source[i]
    derive(x, block, 0, WIDTH)
    check(x, plan, c, block.keep)
    within_fanout(space, x)


@inner
def mixed(seed: int, number: int) -> int:
    """Return a seed of its own for each number (SplitMix64)."""
    z = seed + uint64(number + 1) * uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@inner
def pick_row(table: MoveTable, weight: npt.NDArray[np.float64], u: float, v: float) -> int:
    """Pick a kind by the cumulated weights ``(len(KINDS),)``, then one of its rows; -1: none."""
    last = weight.shape[0] - 1
    if weight[last] <= 0.0:
        return int64(-1)
    target = u * weight[last]
    kind = 0
    while kind < last and weight[kind] <= target:
        kind += 1
    count = table.first[kind + 1] - table.first[kind]
    return table.first[kind] + int64(v * count) if count > 0 else int64(-1)
