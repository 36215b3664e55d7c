"""Vectorised uniform sampling of legal mappings.

Draw number i of a seed is the same whatever is asked for around it: every choice comes from a
counter-based generator (SplitMix64 of seed, draw and choice), so chunks and threads don't matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.architecture import HardwareArrays, HardwareBatch
from dse.mapping import MappingBatch
from dse.mapspace.space import Mapspace, SpaceArrays
from dse.model import arrays as a
from dse.model.arrays import MappingArrays
from dse.model.batch import make_plan
from dse.model.jit import compiled
from dse.model.lanes import (
    WIDTH,
    Lanes,
    Plan,
    Prices,
    check,
    load_hardware,
    load_mappings,
    new_lanes,
    new_prices,
)


@dataclass(frozen=True, eq=False)
class Sample:
    """Mappings drawn uniformly, and how many draws it took to find them.

    ``len(mappings)`` falls short of what was asked for only when ``max_draws`` ran out.
    """

    mappings: MappingBatch
    drawn: int


def sample_valid(space: Mapspace, count: int, seed: int, max_draws: int) -> Sample:
    """Draw uniformly from the space, keeping the mappings that fit the hardware.

    Draws are uniform over ordered factorisations per dimension, permutations, axes and keeps;
    those beyond a level's fan-out or capacity are rejected (and counted).

    Args:
        space: the mapspace.
        count: valid mappings wanted.
        seed: any integer; equal seeds give equal samples.
        max_draws: give up after so many draws.
    """
    return _sample(space, count, seed, max_draws, valid_only=True)


def sample_any(space: Mapspace, count: int, seed: int, max_draws: int) -> Sample:
    """Like :func:`sample_valid`, but tiles need not fit their buffers."""
    return _sample(space, count, seed, max_draws, valid_only=False)


def _sample(
    space: Mapspace, count: int, seed: int, max_draws: int, *, valid_only: bool
) -> Sample:
    batch = space.empty_batch(count)
    if space.infeasible or count == 0:
        return Sample(batch.window(0, 0), 0)
    levels, dimensions, _ = batch.temporal.shape
    hardware = HardwareBatch.of(space.architecture).arrays
    prices = new_prices(levels)
    load_hardware(prices, hardware, np.zeros(1, np.int32), 0, 1)
    block = a.mapping_arrays(space.empty_batch(WIDTH))
    plan = make_plan(space.problem, space.arrays.keep != 0, a.HEAD)
    found, drawn = fill_sample(
        space.arrays,
        plan,
        new_lanes(levels, dimensions),
        prices,
        block,
        a.mapping_arrays(batch),
        np.uint64(seed & 0xFFFFFFFFFFFFFFFF),
        0,
        max_draws,
        valid_only,
    )
    return Sample(batch if found == count else batch.window(0, found), int(drawn))


@compiled
def _uniform(seed: int, draw: int, choice: int) -> float:
    """Uniform number in [0, 1) for one choice of one draw (SplitMix64)."""
    z = seed + np.uint64(draw * 64 + choice + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * 2.0**-53


@compiled
def _draw_factors(
    space: SpaceArrays, d: int, u: float, m: MappingArrays, b: int
) -> None:
    """Write factorisation number floor(u * count) of dimension d into mapping b."""
    index = np.floor(u * space.count[d])
    start = space.table_start[d]
    slots = space.slots[d]
    if start >= 0:
        at = start + np.int64(index) * slots
        for k in range(slots):
            to = m.spatial if space.slot_spatial[d, k] else m.temporal
            to[space.slot_level[d, k], d, b] = space.table[at + k]
        return
    node = space.node_start[d]
    for k in range(slots):
        edge = space.first[node]
        last = space.first[node + 1] - 1
        while edge < last and space.before[edge + 1] <= index:
            edge += 1
        index -= space.before[edge]
        to = m.spatial if space.slot_spatial[d, k] else m.temporal
        to[space.slot_level[d, k], d, b] = space.factor[edge]
        node = space.target[edge]


@compiled
def _draw_order(space: SpaceArrays, s: int, u: float, m: MappingArrays, b: int) -> None:
    """Shuffle the free stretch of level s's loop order."""
    start, count = space.free_start[s], space.free_count[s]
    for p in range(space.order.shape[1]):
        m.permutation[s, p, b] = space.order[s, p]
    for p in range(count - 1, 0, -1):
        u *= p + 1
        q = np.int64(u)
        u -= q
        i, j = start + p, start + q
        m.permutation[s, i, b], m.permutation[s, j, b] = (
            m.permutation[s, j, b],
            m.permutation[s, i, b],
        )


@compiled
def _draw_axes(space: SpaceArrays, seed: int, draw: int, m: MappingArrays, b: int) -> None:
    """Pick X or Y for the dimensions that may take either, and order X before Y."""
    levels, dimensions = space.axis.shape
    for s in range(levels):
        bits = np.int64(_uniform(seed, draw, 48 + s % 16) * 2.0**40)
        place = 0
        for axis in range(2):
            for d in range(dimensions):
                mine = space.axis[s, d]
                if mine == 2:
                    mine = (bits >> d) & 1
                if mine == axis:
                    m.spatial_permutation[s, place, b] = d
                    place += 1
            if axis == 0:
                m.split[s, b] = place


@compiled
def draw(space: SpaceArrays, seed: int, number: int, m: MappingArrays, b: int) -> None:
    """Write draw ``number`` of ``seed`` into mapping b of ``m``."""
    levels, dimensions = space.order.shape
    for d in range(dimensions):
        if space.slots[d] > 0:
            _draw_factors(space, d, _uniform(seed, number, d), m, b)
    if m.permutation.shape[2] > 1:
        for s in range(levels):
            if space.free_count[s] > 1:
                _draw_order(space, s, _uniform(seed, number, 32 + s % 16), m, b)
    if space.any_axis_free:
        _draw_axes(space, seed, number, m, b)
    if space.any_keep_free:
        bits = np.int64(_uniform(seed, number, 31) * 2.0**53)
        for s in range(levels):
            for t in range(space.keep.shape[1]):
                if space.keep[s, t] == 2:
                    m.keep[s, t, b] = bits & 1 == 1
                    bits >>= 1


@compiled
def _copy(space: SpaceArrays, source: MappingArrays, i: int, to: MappingArrays, b: int) -> None:
    """Copy mapping i of a block to place b; what the space shares stays as it is."""
    levels, dimensions = space.order.shape
    for d in range(dimensions):
        for k in range(space.slots[d]):
            s = space.slot_level[d, k]
            if space.slot_spatial[d, k]:
                to.spatial[s, d, b] = source.spatial[s, d, i]
            else:
                to.temporal[s, d, b] = source.temporal[s, d, i]
    if to.permutation.shape[2] > 1:
        for s in range(levels):
            if space.free_count[s] > 1:
                for p in range(dimensions):
                    to.permutation[s, p, b] = source.permutation[s, p, i]
    if space.any_axis_free:
        for s in range(levels):
            to.split[s, b] = source.split[s, i]
            for p in range(dimensions):
                to.spatial_permutation[s, p, b] = source.spatial_permutation[s, p, i]
    if space.any_keep_free:
        for s in range(levels):
            for t in range(space.keep.shape[1]):
                to.keep[s, t, b] = source.keep[s, t, i]


@compiled
def _within_fanout(space: SpaceArrays, x: Lanes) -> None:
    """Clear ``ok`` where a level's X or Y product exceeds its own fan-out."""
    for s in range(space.fanout_x.shape[0]):
        width, height = x.width[s], x.height[s]
        for i in range(WIDTH):
            x.ok[i] &= (width[i] <= space.fanout_x[s]) & (height[i] <= space.fanout_y[s])


@compiled
def fill_sample(
    space: SpaceArrays, plan: Plan, x: Lanes, c: Prices, block: MappingArrays, out: MappingArrays,
    seed: int, first_draw: int, max_draws: int, valid_only: bool,
) -> tuple[int, int]:  # fmt: skip
    """Fill ``out`` with accepted draws; return how many were found, and how many drawn."""
    wanted = out.temporal.shape[2]
    found = 0
    drawn = 0
    while found < wanted and drawn < max_draws:
        n = min(WIDTH, max_draws - drawn)
        for i in range(n):
            draw(space, seed, first_draw + drawn + i, block, i)
        load_mappings(x, block, 0, WIDTH)
        if valid_only:
            if space.any_keep_free:
                _check_each(space, plan, x, c, block, n)
            else:
                check(x, plan, c)
        else:
            x.ok[:] = True
        _within_fanout(space, x)
        for i in range(n):
            if x.ok[i]:
                _copy(space, block, i, out, found)
                found += 1
                if found == wanted:
                    return found, drawn + i + 1
        drawn += n
    return found, drawn


@compiled
def _check_each(
    space: SpaceArrays, plan: Plan, x: Lanes, c: Prices, block: MappingArrays, n: int
) -> None:
    """Like :func:`check` where every lane keeps other tensors: one keep pattern at a time."""
    levels, tensors = plan.keep.shape
    for i in range(n):
        for s in range(levels):
            for t in range(tensors):
                plan.keep[s, t] = block.keep[s, t, i]
        check(x, plan, c)
        x.odd[i] = x.ok[i]
    for i in range(n):
        x.ok[i] = x.odd[i]
