"""Vectorised uniform sampling of legal mappings.

Draw number i of a seed is the same whatever is asked for around it: every choice comes from a
counter-based generator (SplitMix64 of seed, draw and choice), so chunks and threads don't matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareArrays, HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.jit import inner, tiered
from dse.mapspace.random_bits import uniform
from dse.mapspace.space import Mapspace, SpaceArrays
from dse.model import arrays as a
from dse.model.arrays import MappingArrays
from dse.model.batch import make_plan
from dse.model.block import WIDTH, Lanes, Plan, Prices, derive, lay_out, load_first
from dse.model.fit import check
from dse.model.scratch import block
from dse.numeric import int64, uint64


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


def _sample(space: Mapspace, count: int, seed: int, max_draws: int, *, valid_only: bool) -> Sample:
    batch = space.empty_batch(count)
    if space.infeasible or count == 0:
        return Sample(batch.window(0, 0), 0)
    levels, dimensions, _ = batch.temporal.shape
    lanes, prices, _ = block(levels, dimensions, *space.problem.projection.shape[:2])
    load_first(prices, hardware_arrays(space.architecture))
    found, drawn = _fill_sample(
        space.arrays,
        make_plan(space.problem, space.arrays.keep != 0, a.HEAD),
        lanes,
        prices,
        a.mapping_arrays(space.empty_batch(WIDTH)),
        a.mapping_arrays(batch),
        np.empty(WIDTH, np.int64),
        uint64(seed & 0xFFFFFFFFFFFFFFFF),
        max_draws,
        valid_only,
    )
    return Sample(batch if found == count else batch.window(0, found), int(drawn))


@lru_cache(maxsize=1024)
def hardware_arrays(architecture: Architecture) -> HardwareArrays:
    """Return the arrays of one architecture, kept for the next call."""
    return HardwareBatch.of(architecture).arrays


@inner
def _draw_factors(
    space: SpaceArrays, d: int, seed: int, draw: int, x: Lanes, index: npt.NDArray[np.int64]
) -> None:
    """Give every lane factorisation number floor(u * count) of dimension d."""
    count, start, slots = space.factorizations[d], space.table_start[d], space.slots[d]
    if start >= 0:
        for i in range(WIDTH):
            index[i] = start + slots * int64(uniform(seed, draw + i, d) * count)
        for k in range(slots):
            s = space.slot_level[d, k]
            row = x.spatial[s, d] if space.slot_spatial[d, k] else x.temporal[s, d]
            for i in range(WIDTH):
                row[i] = space.table[index[i] + k]
        return
    for i in range(WIDTH):
        left = np.floor(uniform(seed, draw + i, d) * count)
        node = space.node_start[d]
        for k in range(slots):
            edge = space.first[node]
            last = space.first[node + 1] - 1
            while edge < last and space.before[edge + 1] <= left:
                edge += 1
            left -= space.before[edge]
            s = space.slot_level[d, k]
            row = x.spatial[s, d] if space.slot_spatial[d, k] else x.temporal[s, d]
            row[i] = space.factor[edge]
            node = space.target[edge]


@inner
def _lay_orders(space: SpaceArrays, m: MappingArrays) -> None:
    """Give all mappings the orders from which draws are shuffled."""
    if m.permutation.shape[2] > 1:
        for s in range(space.order.shape[0]):
            for p in range(space.order.shape[1]):
                m.permutation[s, p, :] = space.order[s, p]


@inner
def _draw_order(space: SpaceArrays, s: int, u: float, m: MappingArrays, b: int) -> None:
    """Shuffle the free stretch of level s's loop order (Fisher-Yates)."""
    start, count = space.free_start[s], space.free_count[s]
    for p in range(count - 1, 0, -1):
        u *= p + 1
        q = int64(u)
        u -= q
        i, j = start + p, start + q
        m.permutation[s, i, b], m.permutation[s, j, b] = (
            m.permutation[s, j, b],
            m.permutation[s, i, b],
        )


@inner
def _draw_axes(space: SpaceArrays, seed: int, draw: int, m: MappingArrays, b: int) -> None:
    """Pick X or Y for the dimensions that may take either, and order X before Y."""
    levels, dimensions = space.axis.shape
    for s in range(levels):
        bits = int64(uniform(seed, draw, 48 + s % 16) * 2.0**40)
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


@inner
def _draw_keeps(space: SpaceArrays, seed: int, draw: int, m: MappingArrays, b: int) -> None:
    """Keep or bypass the tensors that a level leaves free."""
    bits = int64(uniform(seed, draw, 31) * 2.0**53)
    for s in range(space.keep.shape[0]):
        for t in range(space.keep.shape[1]):
            if space.keep[s, t] == 2:
                m.keep[s, t, b] = bits & 1 == 1
                bits >>= 1


@inner
def mark_slots(space: SpaceArrays, x: Lanes) -> None:
    """Set which factors can differ from 1 anywhere in the space."""
    x.temporal[:] = 1.0
    x.spatial[:] = 1.0
    x.temporal_used[:] = False
    x.spatial_used[:] = False
    for d in range(space.slots.shape[0]):
        for k in range(space.slots[d]):
            if space.slot_spatial[d, k]:
                x.spatial_used[space.slot_level[d, k], d] = True
            else:
                x.temporal_used[space.slot_level[d, k], d] = True


@inner
def _emit(
    space: SpaceArrays, x: Lanes, block: MappingArrays, out: MappingArrays,
    lanes: npt.NDArray[np.int64], count: int, at: int, seed: int, draw: int,
) -> None:  # fmt: skip
    """Write ``count`` accepted ``lanes`` to places ``at ..`` of the output, with their orders."""
    levels, dimensions = space.order.shape
    for d in range(dimensions):
        for k in range(space.slots[d]):
            s = space.slot_level[d, k]
            row = x.spatial[s, d] if space.slot_spatial[d, k] else x.temporal[s, d]
            to = out.spatial[s, d] if space.slot_spatial[d, k] else out.temporal[s, d]
            for j in range(count):
                to[at + j] = np.int32(row[lanes[j]])
    if out.permutation.shape[2] > 1:
        for s in range(levels):
            if space.free_count[s] > 1:
                for j in range(count):
                    u = uniform(seed, draw + lanes[j], 32 + s % 16)
                    _draw_order(space, s, u, out, at + j)
    for j in range(count):
        i, b = lanes[j], at + j
        if space.any_axis_free:
            for s in range(levels):
                out.split[s, b] = block.split[s, i]
                for p in range(dimensions):
                    out.spatial_permutation[s, p, b] = block.spatial_permutation[s, p, i]
        if space.any_keep_free:
            for s in range(levels):
                for t in range(space.keep.shape[1]):
                    out.keep[s, t, b] = block.keep[s, t, i]


@inner
def within_fanout(space: SpaceArrays, x: Lanes) -> None:
    """Clear ``ok`` where a level's X or Y product exceeds its fan-out, or all use too few MACs."""
    for s in range(space.fanout_x.shape[0]):
        width, height = x.width[s], x.height[s]
        for i in range(WIDTH):
            x.ok[i] &= (width[i] <= space.fanout_x[s]) & (height[i] <= space.fanout_y[s])
    if space.least_parallel > 1.0:
        for i in range(WIDTH):
            used = 1.0
            for s in range(space.fanout_x.shape[0]):
                used *= x.width[s, i] * x.height[s, i]
            x.ok[i] &= used >= space.least_parallel


@tiered
def _fill_sample(
    space: SpaceArrays, plan: Plan, x: Lanes, c: Prices, block: MappingArrays, out: MappingArrays,
    index: npt.NDArray[np.int64], seed: int, max_draws: int, valid_only: bool,
) -> tuple[int, int]:  # fmt: skip
    """Fill ``out`` with accepted draws; return how many were found, and how many drawn."""
    wanted = out.temporal.shape[2]
    found = 0
    drawn = 0
    mark_slots(space, x)
    lay_out(x)
    _lay_orders(space, out)
    while found < wanted and drawn < max_draws:
        n = min(WIDTH, max_draws - drawn)
        for d in range(space.slots.shape[0]):
            if space.slots[d] > 0:
                _draw_factors(space, d, seed, drawn, x, index)
        for i in range(WIDTH):
            if space.any_axis_free:
                _draw_axes(space, seed, drawn + i, block, i)
            if space.any_keep_free:
                _draw_keeps(space, seed, drawn + i, block, i)
        derive(x, block, 0, WIDTH)
        if not valid_only:
            x.ok[:] = True
        else:
            check(x, plan, c, block.keep)
        within_fanout(space, x)
        count = 0
        last = n
        for i in range(n):
            if x.ok[i] and found + count < wanted:
                index[count] = i
                count += 1
                last = i + 1
        _emit(space, x, block, out, index, count, found, seed, drawn)
        found += count
        drawn += last if found == wanted else n
    return found, drawn
