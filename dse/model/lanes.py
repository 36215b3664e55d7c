"""The fast path of the model: many mappings abreast, one per SIMD lane.

Where the rules have a closed form, a block of ``WIDTH`` mappings is evaluated together, every
quantity a row of lanes in float64 (exact: the driver admits only problems whose counts stay below
2^48). What has no closed form - sliding windows under temporal loops, two loops of one window on
the grid - is done lane by lane; a lane that needs enumeration (link transfers, three loops in one
row) is handed back to the exact kernel. Both kernels add in the same order and give equal bits.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.architecture import HardwareArrays
from dse.model import arrays as a
from dse.model.arrays import MappingArrays, Totals
from dse.model.jit import compiled, inner
from dse.model.loops import Nest, copy_row, new_nest
from dse.model.multicast import Histogram, closed_histogram, new_histogram
from dse.model.traffic import Tile, links_possible, new_tile

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Mappings per block.
WIDTH = 32


class Plan(NamedTuple):
    """What all mappings of a batch share: the problem's structure and who is kept where."""

    projection: Ints  # (T, Q, D)
    relevant: Flags  # (T, D)
    row: Ints  # (T, D) the row that a dimension stands in, -1 for none
    shared_row: Flags  # (T, D) whether another dimension stands in that row too
    simple: Flags  # (T,) every row is one dimension with coefficient 1
    read_write: Flags  # (T,)
    keep: Flags  # (L, T)
    lane_keep: Flags  # (L, T, 1) the same, in the form of MappingBatch.keep
    backing: Ints  # (T,) outermost level that keeps the tensor, -1 for none
    lowest: Ints  # (T,) innermost level that keeps it
    version: int


class Lanes(NamedTuple):
    """Working memory of one block; the last axis is the lane."""

    temporal: Floats  # (L, D, W)
    spatial: Floats  # (L, D, W)
    rank: Floats  # (L, D, W) position of each temporal loop, innermost 0
    pool: Floats  # (2 L D + 1, W) tile extents of single dimensions; row 0 is all ones
    width: Floats  # (L, W) logical fan-out along X
    height: Floats  # (L, W)
    used: Floats  # (L, W) utilised instances
    iterations: Floats  # (L + 1, W) product of the temporal loops of level u and above
    moving: Floats  # (L + 1, W) product of those from the innermost relevant one outwards
    groups: Floats  # (L, W) multicast groups of the tensor at hand
    share: Floats  # (L, W) words that one instance receives from above
    content: Floats  # (L, W)
    partition: Floats  # (L, W)
    tile: Floats  # (T, L, W) tile sizes
    edge: Floats  # (T, L, Q, W) sides of the tiles of window tensors
    load: Floats  # (L, 2, W) reads and writes per cycle
    energy: Floats  # (W,)
    cycles: Floats  # (W,)
    work: Floats  # (2, W)
    ok: Flags  # (W,)
    odd: Flags  # (W,) left to the exact kernel
    temporal_used: Flags  # (L, D) whether any mapping of the call has a factor above 1
    spatial_used: Flags  # (L, D)
    same_order: Flags  # (L,) whether all lanes share the permutation
    extent: Ints  # (L, D) row of ``pool`` with the extent at the level's boundary
    spatial_extent: Ints  # (L, D) the same up to its outermost spatial loop


class Odd(NamedTuple):
    """Working memory for what is done lane by lane."""

    nest: Nest
    tile: Tile
    histogram: Histogram
    other: Histogram


class Prices(NamedTuple):
    """Hardware of each lane, ``(L, W)``, and of its MACs, ``(W,)``."""

    machine: npt.NDArray[np.int64]  # (1,) hardware in all lanes, -1: mixed
    sized: Flags  # (L,) whether any lane limits the level's capacity
    limited: Flags  # (L,) ... its bandwidth
    clustered: Flags  # (L,) ... shares accesses between instances
    blocked: Flags  # (L,) ... reads more than a word at a time
    leaking: Flags  # (1,) whether any level leaks
    addressed: Flags  # (L,) whether addresses cost energy
    size: Floats
    minimum: Floats
    mesh_x: Floats
    mesh_y: Floats
    instances: Floats
    clusters: Floats
    block: Floats
    read_bandwidth: Floats
    write_bandwidth: Floats
    shared_bandwidth: Floats
    read_pj: Floats
    fill_pj: Floats
    update_pj: Floats
    leak_pj: Floats
    address_pj: Floats
    mac_instances: Floats
    mac_mesh_x: Floats
    mac_mesh_y: Floats
    mac_pj: Floats
    latency: Floats


def new_lanes(levels: int, dimensions: int, tensors: int, ranks: int) -> Lanes:
    """Allocate the block's memory for L levels, D dimensions, T tensors of up to Q rows."""
    cube = (levels, dimensions, WIDTH)
    row = (levels, WIDTH)
    arrays: list[Any] = [
        *(np.ones(cube) for _ in range(3)),
        np.ones((2 * levels * dimensions + 1, WIDTH)),
        *(np.ones(row) for _ in range(3)),
        *(np.ones((levels + 1, WIDTH)) for _ in range(2)),
        *(np.ones(row) for _ in range(4)),
        np.ones((tensors, levels, WIDTH)),
        np.ones((tensors, levels, ranks, WIDTH)),
        np.ones((levels, 2, WIDTH)),
        np.ones(WIDTH),
        np.ones(WIDTH),
        np.ones((2, WIDTH)),
        np.ones(WIDTH, np.bool_),
        np.ones(WIDTH, np.bool_),
        np.ones((levels, dimensions), np.bool_),
        np.ones((levels, dimensions), np.bool_),
        np.ones(levels, np.bool_),
        np.zeros((levels, dimensions), np.int64),
        np.zeros((levels, dimensions), np.int64),
    ]
    return Lanes(*arrays)


def new_odd(levels: int, dimensions: int, ranks: int) -> Odd:
    """Allocate the memory for lane-by-lane work."""
    nest = new_nest(levels, dimensions)
    return Odd(
        nest,
        new_tile(len(nest.bound), ranks),
        new_histogram(64),
        new_histogram(64),
    )


def new_prices(levels: int) -> Prices:
    """Allocate the hardware of a block."""
    arrays: list[Any] = [
        np.full(1, -1, np.int64),
        *(np.ones(levels, np.bool_) for _ in range(4)),
        np.ones(1, np.bool_),
        np.ones(levels, np.bool_),
        *(np.ones((levels, WIDTH)) for _ in range(15)),
        *(np.ones(WIDTH) for _ in range(5)),
    ]
    return Prices(*arrays)


@compiled
def load_hardware(
    c: Prices, hw: HardwareArrays, index: npt.NDArray[np.int32], b: int, n: int
) -> None:
    """Load the hardware of lanes ``b .. b + n`` unless it is already there."""
    first = index[b]
    same = True
    for i in range(n):
        same &= index[b + i] == first
    if same and c.machine[0] == first:
        return
    c.machine[0] = first if same else -1
    levels = c.size.shape[0]
    for i in range(WIDTH):
        h = index[b + min(i, n - 1)]
        latency = np.int64(0)
        for s in range(levels):
            size = hw.size_words[s, h]
            usable = math.floor(size / hw.multiple_buffering[s, h]) if size >= 0 else math.inf
            c.size[s, i] = usable
            c.minimum[s, i] = usable * hw.min_utilization[s, h] if size >= 0 else 0.0
            c.mesh_x[s, i] = hw.mesh_x[s, h]
            c.mesh_y[s, i] = hw.mesh_y[s, h]
            c.instances[s, i] = hw.instances[s, h]
            c.clusters[s, i] = hw.instances[s, h] // hw.cluster_size[s, h]
            c.block[s, i] = hw.block_size[s, h]
            c.read_bandwidth[s, i] = hw.read_bandwidth[s, h]
            c.write_bandwidth[s, i] = hw.write_bandwidth[s, h]
            c.shared_bandwidth[s, i] = hw.shared_bandwidth[s, h]
            c.read_pj[s, i] = hw.read_pj[s, h]
            c.fill_pj[s, i] = hw.fill_pj[s, h]
            c.update_pj[s, i] = hw.update_pj[s, h]
            c.leak_pj[s, i] = hw.leak_pj[s, h]
            c.address_pj[s, i] = hw.address_generation_pj[s, h]
            latency += hw.latency_cycles[s, h]
        c.mac_instances[i] = hw.mac_instances[h]
        c.mac_mesh_x[i] = hw.mac_mesh_x[h]
        c.mac_mesh_y[i] = hw.mac_mesh_y[h]
        c.mac_pj[i] = hw.mac_pj[h]
        c.latency[i] = latency
    c.leaking[0] = False
    for s in range(levels):
        c.sized[s] = c.limited[s] = c.clustered[s] = c.blocked[s] = c.addressed[s] = False
        for i in range(WIDTH):
            c.sized[s] |= not math.isinf(c.size[s, i])
            c.limited[s] |= not (
                math.isinf(c.read_bandwidth[s, i])
                and math.isinf(c.write_bandwidth[s, i])
                and math.isinf(c.shared_bandwidth[s, i])
            )
            c.clustered[s] |= c.clusters[s, i] < c.instances[s, i]
            c.blocked[s] |= c.block[s, i] != 1.0
            c.addressed[s] |= c.address_pj[s, i] != 0.0
            c.leaking[0] |= c.leak_pj[s, i] != 0.0


@inner
def _scan(used: Flags, source: npt.NDArray[np.int32], start: int, stop: int) -> None:
    """Set which rows of ``source (L, D, B)`` have a factor above 1 in ``start .. stop``."""
    for s in range(used.shape[0]):
        for d in range(used.shape[1]):
            row = source[s, d, start:stop]
            most = np.int32(1)
            for i in range(stop - start):
                most = max(most, row[i])
            used[s, d] = most > 1


@inner
def lay_out(x: Lanes) -> None:
    """Give every extent that can change a row of the pool; the others share their inner one.

    Factors that no mapping of the call uses are set to 1: the memory may hold older ones.
    """
    levels, dimensions = x.extent.shape
    row = np.int64(0)
    for d in range(dimensions):
        current = np.int64(0)
        for s in range(levels):
            if x.spatial_used[s, d]:
                row += 1
                current = row
            else:
                x.spatial[s, d, :] = 1.0
            x.spatial_extent[s, d] = current
            if x.temporal_used[s, d]:
                row += 1
                current = row
            else:
                x.temporal[s, d, :] = 1.0
            x.extent[s, d] = current
    for s in range(levels):
        x.width[s, :] = 1.0
        x.height[s, :] = 1.0


@inner
def _load_factors(to: Floats, used: Flags, source: npt.NDArray[np.int32], b: int, n: int) -> None:
    """Load factors ``(L, D, B)`` of lanes ``b .. b + n``; lanes beyond repeat the last."""
    for s in range(to.shape[0]):
        for d in range(to.shape[1]):
            if not used[s, d]:
                continue
            row = to[s, d]
            if n == WIDTH:
                lanes = source[s, d, b : b + WIDTH]
                for i in range(WIDTH):
                    row[i] = lanes[i]
            else:
                for i in range(WIDTH):
                    row[i] = source[s, d, b + min(i, n - 1)]


@inner
def derive(x: Lanes, m: MappingArrays, b: int, n: int) -> None:
    """Derive extents, fan-outs and utilised instances from the loaded factors."""
    levels, dimensions = x.temporal.shape[0], x.temporal.shape[1]
    for d in range(dimensions):
        current = np.int64(0)
        for s in range(levels):
            if x.spatial_used[s, d]:
                below, here, factor = (
                    x.pool[current],
                    x.pool[x.spatial_extent[s, d]],
                    x.spatial[s, d],
                )
                for i in range(WIDTH):
                    here[i] = below[i] * factor[i]
                current = x.spatial_extent[s, d]
            if x.temporal_used[s, d]:
                below, here, factor = x.pool[current], x.pool[x.extent[s, d]], x.temporal[s, d]
                for i in range(WIDTH):
                    here[i] = below[i] * factor[i]
                current = x.extent[s, d]
    for s in range(levels):
        _fan_out(x, m, s, b, n)
    x.used[levels - 1, :] = 1.0
    for s in range(levels - 2, -1, -1):
        used, outer = x.used[s], x.used[s + 1]
        width, height = x.width[s + 1], x.height[s + 1]
        for i in range(WIDTH):
            used[i] = outer[i] * width[i] * height[i]


@inner
def _fan_out(x: Lanes, m: MappingArrays, s: int, b: int, n: int) -> None:
    """Split the spatial factors of level s into X and Y."""
    width, height = x.width[s], x.height[s]
    any_spatial = False
    for d in range(x.spatial.shape[1]):
        any_spatial |= x.spatial_used[s, d]
    if not any_spatial:
        return
    width[:] = 1.0
    height[:] = 1.0
    shared = m.spatial_permutation.shape[2] == 1 and m.split.shape[1] == 1
    for p in range(x.spatial.shape[1]):
        if shared:
            d = m.spatial_permutation[s, p, 0]
            if x.spatial_used[s, d]:
                axis = width if p < m.split[s, 0] else height
                spatial = x.spatial[s, d]
                for i in range(WIDTH):
                    axis[i] *= spatial[i]
        else:
            for i in range(n):
                bp = b + i if m.spatial_permutation.shape[2] > 1 else 0
                bs = b + i if m.split.shape[1] > 1 else 0
                factor = x.spatial[s, m.spatial_permutation[s, p, bp], i]
                if p < m.split[s, bs]:
                    width[i] *= factor
                else:
                    height[i] *= factor


@inner
def _tile_words(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Compute the tile of tensor t at level s in words, and its sides where it is a window."""
    out = x.tile[t, s]
    out[:] = 1.0
    if plan.simple[t]:
        for d in range(x.extent.shape[1]):
            if plan.relevant[t, d] and x.extent[s, d] > 0:
                extent = x.pool[x.extent[s, d]]
                for i in range(WIDTH):
                    out[i] *= extent[i]
        return
    for q in range(plan.projection.shape[1]):
        side = x.edge[t, s, q]
        side[:] = 1.0
        for d in range(x.extent.shape[1]):
            c = float(plan.projection[t, q, d])
            if c != 0.0 and x.extent[s, d] > 0:
                extent = x.pool[x.extent[s, d]]
                for i in range(WIDTH):
                    side[i] += c * (extent[i] - 1.0)
        for i in range(WIDTH):
            out[i] *= side[i]


@inner
def check(x: Lanes, plan: Plan, c: Prices, keep: Flags) -> None:
    """Set ``ok`` where the mapping fits the hardware (section 8); ``keep (L, T, 1 or W)``.

    Leaves the tile sizes of all kept tensors in ``tile``.
    """
    levels, tensors = plan.keep.shape
    each = keep.shape[2] > 1
    ok = x.ok
    anywhere = True
    for t in range(tensors):
        anywhere &= plan.backing[t] >= 0
    ok[:] = anywhere
    used = x.work[0]
    for s in range(levels):
        used[:] = 0.0
        for t in range(tensors):
            if not plan.keep[s, t]:
                continue
            if c.sized[s] or s < plan.backing[t]:
                _tile_words(x, plan, t, s)
            words = x.tile[t, s]
            if each:
                for i in range(WIDTH):
                    used[i] += words[i] if keep[s, t, i] else 0.0
            else:
                for i in range(WIDTH):
                    used[i] += words[i]
        if c.sized[s]:
            size, minimum = c.size[s], c.minimum[s]
            for i in range(WIDTH):
                ok[i] &= (used[i] <= size[i]) & (used[i] >= minimum[i])
    need_x, need_y = x.work[0], x.work[1]
    need_x[:] = 1.0
    need_y[:] = 1.0
    for s in range(levels - 1, -1, -1):
        mesh_x, mesh_y, instances = c.mesh_x[s], c.mesh_y[s], c.instances[s]
        width, height = x.width[s], x.height[s]
        for i in range(WIDTH):
            ok[i] &= (
                (need_x[i] <= mesh_x[i])
                & (need_y[i] <= mesh_y[i])
                & (need_x[i] * need_y[i] <= instances[i])
            )
            need_x[i] *= width[i]
            need_y[i] *= height[i]
    for i in range(WIDTH):
        ok[i] &= (
            (need_x[i] <= c.mac_mesh_x[i])
            & (need_y[i] <= c.mac_mesh_y[i])
            & (need_x[i] * need_y[i] <= c.mac_instances[i])
        )


@inner
def _load_orders(x: Lanes, m: MappingArrays, b: int, n: int) -> None:
    """Iteration counts from outside in, and the rank of each loop where lanes differ in order."""
    levels, dimensions = x.temporal.shape[0], x.temporal.shape[1]
    x.iterations[levels, :] = 1.0
    for s in range(levels - 1, -1, -1):
        here, outer = x.iterations[s], x.iterations[s + 1]
        for i in range(WIDTH):
            here[i] = outer[i]
        loops = 0
        for d in range(dimensions):
            if x.temporal_used[s, d]:
                loops += 1
                temporal = x.temporal[s, d]
                for i in range(WIDTH):
                    here[i] *= temporal[i]
        same = m.permutation.shape[2] == 1 or loops < 2
        if not same:
            same = True
            for p in range(dimensions):
                order = m.permutation[s, p, b : b + n]
                differs = 0
                for i in range(n):
                    differs |= order[i] != order[0]
                same &= differs == 0
        x.same_order[s] = same
        if not same:
            for p in range(dimensions):
                for i in range(WIDTH):
                    d = m.permutation[s, p, b + min(i, n - 1)]
                    x.rank[s, d, i] = p


@inner
def _moving_loops(x: Lanes, plan: Plan, m: MappingArrays, t: int, s: int, b: int) -> None:
    """Set ``moving[s]``: product of the loops from the innermost one relevant to t outwards.

    Counts the temporal loops of level s and above; those inside leave the tile where it is.
    """
    dimensions = x.temporal.shape[1]
    moving, outer, all_outer = x.moving[s], x.moving[s + 1], x.iterations[s + 1]
    hit = x.work[0]
    moving[:] = 1.0
    if x.same_order[s]:
        hit[:] = 0.0
        shared = m.permutation.shape[2] == 1
        for p in range(dimensions):
            d = m.permutation[s, p, 0 if shared else b]
            if not x.temporal_used[s, d]:
                continue
            temporal = x.temporal[s, d]
            if plan.relevant[t, d]:
                for i in range(WIDTH):
                    hit[i] = 1.0 if temporal[i] > 1.0 else hit[i]
                    moving[i] *= temporal[i]
            else:
                for i in range(WIDTH):
                    moving[i] *= temporal[i] if hit[i] != 0.0 else 1.0
        for i in range(WIDTH):
            moving[i] *= all_outer[i] if hit[i] != 0.0 else outer[i]
        return
    nearest = hit
    nearest[:] = 127.0
    for d in range(dimensions):
        if plan.relevant[t, d] and x.temporal_used[s, d]:
            temporal, rank = x.temporal[s, d], x.rank[s, d]
            for i in range(WIDTH):
                candidate = rank[i] if temporal[i] > 1.0 else 127.0
                nearest[i] = candidate if candidate < nearest[i] else nearest[i]
                moving[i] *= temporal[i]
    for d in range(dimensions):
        if not plan.relevant[t, d] and x.temporal_used[s, d]:
            temporal, rank = x.temporal[s, d], x.rank[s, d]
            for i in range(WIDTH):
                moving[i] *= temporal[i] if rank[i] > nearest[i] else 1.0
    for i in range(WIDTH):
        moving[i] *= outer[i] if nearest[i] == 127.0 else all_outer[i]


@inner
def _window_words(x: Lanes, plan: Plan, m: MappingArrays, t: int, s: int, b: int, i: int) -> float:
    """Words that level s delivers to one child of a sliding-window tensor (section 4), lane i.

    As soon as two loops have moved the tile along different rows, no later move can be zero or
    repeat the first one, so every one reloads the tile.
    """
    levels, dimensions = x.temporal.shape[0], x.temporal.shape[1]
    edge = x.edge[t, s - 1]
    full = x.tile[t, s - 1, i]
    left = x.iterations[s, i]
    words = full
    partial = -1.0
    first = 0.0
    moved = 0.0
    moving = np.int64(-1)
    shared = m.permutation.shape[2] == 1
    for u in range(s, levels):
        for p in range(dimensions):
            d = m.permutation[u, p, 0 if shared else b]
            if not x.temporal_used[u, d]:
                continue
            n = x.temporal[u, d, i]
            if n == 1.0:
                continue
            row = plan.row[t, d]
            if row < 0:
                left /= n
                if moving >= 0:
                    # the inner loops fall back: a move by -moved, neither zero nor a repeat
                    words += (n - 1.0) * left * full
                elif partial < 0.0 and plan.version != a.HEAD:
                    partial = 0.0
                continue
            if moving >= 0 and row != moving:
                return words + (left - 1.0) * full
            step = plan.projection[t, row, d] * x.pool[x.spatial_extent[u, d], i]
            translation = step - moved
            moving = row
            left /= n
            if partial < 0.0:
                first = translation
                side = edge[row, i]
                partial = full - full / side * max(0.0, side - abs(translation))
                delta = partial
            elif translation == 0.0 and plan.version == a.HEAD:
                delta = 0.0
            elif translation == first:
                delta = partial
            else:
                delta = full
            moved += step
            words += (n - 1.0) * left * delta
    return words


@inner
def _upper_nest(
    x: Lanes, plan: Plan, m: MappingArrays, t: int, s: int, b: int, i: int, odd: Odd
) -> None:
    """Build lane i's nest and vectors as far as a cell at level s needs them.

    That is, the spatial loops of level s and the temporal ones of level s and above.
    """
    nest, vector = odd.nest, odd.tile.vector
    levels, dimensions = x.temporal.shape[0], x.temporal.shape[1]
    ranks = plan.projection.shape[1]
    bp = b if m.spatial_permutation.shape[2] > 1 else 0
    split = m.split[s, b if m.split.shape[1] > 1 else 0]
    nest.width[s] = np.int64(x.width[s, i])
    nest.height[s] = np.int64(x.height[s, i])
    nest.first[s] = 0
    nest.middle_x[s] = 0
    k = 0
    for p in range(dimensions):
        d = m.spatial_permutation[s, p, bp]
        if x.spatial_used[s, d] and x.spatial[s, d, i] > 1.0:
            nest.bound[k] = np.int64(x.spatial[s, d, i])
            stride = np.int64(x.pool[x.extent[s - 1, d], i])
            for q in range(ranks):
                vector[k, q] = plan.projection[t, q, d] * stride
            k += 1
            if p < split:
                nest.middle_x[s] = k
    nest.middle[s] = k
    bt = b if m.permutation.shape[2] > 1 else 0
    j = 0
    nest.temporal_first[s] = 0
    for u in range(s, levels):
        for p in range(dimensions):
            d = m.permutation[u, p, bt]
            if x.temporal_used[u, d] and x.temporal[u, d, i] > 1.0:
                nest.bound[k] = np.int64(x.temporal[u, d, i])
                stride = np.int64(x.pool[x.spatial_extent[u, d], i])
                for q in range(ranks):
                    vector[k, q] = plan.projection[t, q, d] * stride
                nest.temporal[j] = k
                j += 1
                k += 1
    nest.temporal_first[levels] = j


@inner
def _odd_cell(
    x: Lanes, hw: HardwareArrays, h: int, t: int, s: int, i: int, version: int, odd: Odd
) -> bool:
    """Groups and share of a window tensor whose loops meet on the grid, lane i.

    The nest of the lane is in ``odd``. Returns False where only the exact kernel can tell.
    """
    nest, tile = odd.nest, odd.tile
    if not closed_histogram(nest, tile.vector, s, False, odd.histogram, odd.other):
        return False
    if odd.histogram.size[0] > odd.histogram.multicast.shape[0]:
        return False
    for q in range(tile.edge.shape[0]):
        tile.edge[q] = np.int64(x.edge[t, s - 1, q, i])
    if links_possible(tile, nest, s, max(hw.fanout_x[s, h], nest.width[s]), version):
        return False
    # Sorted by multicast factor, as Timeloop adds the shares up.
    h_ = odd.histogram
    count = h_.size[0]
    for r in range(1, count):
        k = r
        while k > 0 and h_.multicast[k - 1] > h_.multicast[k]:
            h_.multicast[k - 1], h_.multicast[k] = h_.multicast[k], h_.multicast[k - 1]
            h_.groups[k - 1], h_.groups[k] = h_.groups[k], h_.groups[k - 1]
            k -= 1
    groups = 0.0
    share = 0.0
    words = x.share[s - 1, i]
    fan = x.width[s, i] * x.height[s, i]
    for r in range(count):
        groups += h_.groups[r]
        share += (h_.groups[r] * words * h_.multicast[r]) / fan
    x.groups[s, i] = groups
    x.share[s - 1, i] = share
    return True


@inner
def _group_counts(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Groups of tensor t at level s where at most one loop hits each row."""
    groups = x.groups[s]
    groups[:] = 1.0
    for d in range(x.spatial.shape[1]):
        if plan.relevant[t, d] and x.spatial_used[s, d]:
            spatial = x.spatial[s, d]
            for i in range(WIDTH):
                groups[i] *= spatial[i]


@inner
def _tensor_traffic(
    x: Lanes, plan: Plan, m: MappingArrays, hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32], t: int, b: int, n: int, odd: Odd,
) -> None:  # fmt: skip
    """Set ``content``, ``share`` and ``partition`` of tensor t at all levels (section 7)."""
    levels = plan.keep.shape[0]
    top = plan.backing[t]
    if plan.simple[t]:
        x.moving[levels, :] = 1.0
        for s in range(levels - 1, plan.lowest[t], -1):
            _moving_loops(x, plan, m, t, s, b)
    for s in range(top + 1):
        _group_counts(x, plan, t, s)
        if s == 0:
            continue
        share = x.share[s - 1]
        if not plan.keep[s - 1, t] and plan.simple[t]:
            continue
        if plan.simple[t]:
            tile, moving = x.tile[t, s - 1], x.moving[s]
            for i in range(WIDTH):
                share[i] = tile[i] * moving[i]
        elif not plan.keep[s - 1, t]:
            _tile_words(x, plan, t, s - 1)
        else:
            for i in range(n):
                if x.ok[i]:
                    share[i] = _window_words(x, plan, m, t, s, b + i, i)
    if not plan.simple[t]:
        _patch_windows(x, plan, m, hw, hardware_index, t, b, n, odd)
    content = x.content[0]
    iterations, groups = x.iterations[0], x.groups[0]
    for i in range(WIDTH):
        content[i] = iterations[i] * groups[i]
    for s in range(1, top + 1):
        content, groups = x.content[s], x.groups[s]
        source = x.share[s - 1] if plan.keep[s - 1, t] else x.content[s - 1]
        for i in range(WIDTH):
            content[i] = source[i] * groups[i]


@inner
def _patch_windows(
    x: Lanes, plan: Plan, m: MappingArrays, hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32], t: int, b: int, n: int, odd: Odd,
) -> None:  # fmt: skip
    """Redo, lane by lane, the cells of a window tensor whose rows run on the grid."""
    dimensions = x.spatial.shape[1]
    for s in range(1, plan.backing[t] + 1):
        suspect = False
        any_spatial = False
        for d in range(dimensions):
            any_spatial |= x.spatial_used[s, d]
            suspect |= x.spatial_used[s, d] and plan.shared_row[t, d]
        if not (suspect or (any_spatial and plan.version != a.HEAD)):
            continue
        for i in range(n):
            if not x.ok[i] or x.odd[i] or x.width[s, i] * x.height[s, i] == 1.0:
                continue
            if plan.version == a.HEAD:
                hits = False
                for d in range(dimensions):
                    hits |= plan.shared_row[t, d] and x.spatial[s, d, i] > 1.0
                if not hits:
                    continue
            _upper_nest(x, plan, m, t, s, b + i, i, odd)
            if not _odd_cell(x, hw, hardware_index[b + i], t, s, i, plan.version, odd):
                x.odd[i] = True


@inner
def _partitions(x: Lanes, plan: Plan, t: int) -> None:
    """Partition sizes of a simple tensor: its size over the relevant spatial factors."""
    levels = plan.keep.shape[0]
    _tile_words(x, plan, t, levels - 1)
    copy_row(x.partition[levels - 1], x.tile[t, levels - 1])
    for s in range(levels - 2, -1, -1):
        here = x.partition[s]
        copy_row(here, x.partition[s + 1])
        for d in range(x.spatial.shape[1]):
            if plan.relevant[t, d] and x.spatial_used[s + 1, d]:
                spatial = x.spatial[s + 1, d]
                for i in range(WIDTH):
                    here[i] /= spatial[i]


@inner
def _add_access(pj: Floats, words: Floats, price: Floats, block: Floats, blocked: bool) -> None:
    """Add the energy of ``words`` accesses, rounded up to whole blocks."""
    if blocked:
        for i in range(WIDTH):
            pj[i] += math.ceil(words[i] / block[i]) * price[i]
    else:
        for i in range(WIDTH):
            pj[i] += words[i] * price[i]


@inner
def _tensor_energy(x: Lanes, plan: Plan, c: Prices, t: int) -> None:
    """Counts, loads and energy of tensor t (sections 7.6, 9, 10), outermost level first.

    From here on ``content`` holds the reads (of outputs: the updates), ``share`` the fills and
    ``partition`` the reads of outputs.
    """
    top = plan.backing[t]
    if plan.read_write[t]:
        _partitions(x, plan, t)
    energy, iterations, pj = x.energy, x.iterations[0], x.work[0]
    for s in range(top, -1, -1):
        if not plan.keep[s, t]:
            continue
        content, fills, part, used = x.content[s], x.share[s], x.partition[s], x.used[s]
        block, blocked = c.block[s], c.blocked[s]
        if s == top:
            fills[:] = 0.0
        elif plan.read_write[t] and plan.version != a.DOSA:
            for i in range(WIDTH):
                fills[i] -= part[i]
        elif not plan.read_write[t]:
            for i in range(WIDTH):
                fills[i] = math.floor(fills[i])
        reads = content
        if plan.read_write[t]:
            for i in range(WIDTH):
                part[i] = content[i] - part[i]
            reads = part
        if c.limited[s]:
            load_r, load_w = x.load[s, 0], x.load[s, 1]
            if plan.read_write[t]:
                for i in range(WIDTH):
                    load_w[i] += (fills[i] + content[i]) / iterations[i]
            elif s < top:
                for i in range(WIDTH):
                    load_w[i] += fills[i] / iterations[i]
            for i in range(WIDTH):
                load_r[i] += reads[i] / iterations[i]
        pj[:] = 0.0
        _add_access(pj, reads, c.read_pj[s], block, blocked)
        if s < top:
            _add_access(pj, fills, c.fill_pj[s], block, blocked)
        if plan.read_write[t]:
            _add_access(pj, content, c.update_pj[s], block, blocked)
        clusters = c.clusters[s]
        if c.clustered[s]:
            for i in range(WIDTH):
                pj[i] /= used[i] / min(used[i], clusters[i])
        if c.addressed[s]:
            address_pj = c.address_pj[s]
            for i in range(WIDTH):
                addresses = (content[i] + fills[i]) * address_pj[i] * min(used[i], clusters[i])
                energy[i] += pj[i] * used[i] + addresses
        else:
            for i in range(WIDTH):
                energy[i] += pj[i] * used[i]


@inner
def _finish(x: Lanes, plan: Plan, c: Prices, macs: float, b: int, n: int, totals: Totals) -> None:
    """Cycles, leakage, compute energy, utilisation (sections 9 and 10)."""
    levels = plan.keep.shape[0]
    cycles, iterations = x.cycles, x.iterations[0]
    copy_row(cycles, iterations)
    for s in range(levels):
        if not c.limited[s]:
            continue
        reads, writes = x.load[s, 0], x.load[s, 1]
        read_bw, write_bw, shared_bw = (
            c.read_bandwidth[s],
            c.write_bandwidth[s],
            c.shared_bandwidth[s],
        )
        for i in range(WIDTH):
            # a limit that is not reached has a ratio above 1; x / 0 is infinite
            slow = min(read_bw[i] / reads[i], write_bw[i] / writes[i])
            slow = min(slow, shared_bw[i] / (writes[i] + reads[i]), 1.0)
            cycles[i] = max(cycles[i], math.ceil(iterations[i] / slow))
    if plan.version == a.HEAD and c.leaking[0]:
        for s in range(levels - 1, -1, -1):
            leak_pj, used = c.leak_pj[s], x.used[s]
            for i in range(WIDTH):
                x.energy[i] += leak_pj[i] * cycles[i] * used[i]
    for i in range(n):
        totals.valid[b + i] = x.ok[i]
        if x.ok[i]:
            cycles[i] += c.latency[i]
            totals.cycles[b + i] = cycles[i]
            totals.energy_pj[b + i] = x.energy[i] + macs * c.mac_pj[i]
            totals.utilization[b + i] = (macs / c.mac_instances[i]) / cycles[i]


@compiled
def evaluate_lanes(
    x: Lanes, plan: Plan, c: Prices, odd: Odd, m: MappingArrays, hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32], macs: float, start: int, stop: int,
    totals: Totals, again: Flags,
) -> int:  # fmt: skip
    """Evaluate mappings ``start .. stop``; mark in ``again (B,)`` those left to the exact kernel.

    Returns how many were marked.
    """
    marked = 0
    tensors = plan.keep.shape[1]
    _scan(x.temporal_used, m.temporal, start, stop)
    _scan(x.spatial_used, m.spatial, start, stop)
    lay_out(x)
    for b in range(start, stop, WIDTH):
        n = min(WIDTH, stop - b)
        load_hardware(c, hw, hardware_index, b, n)
        _load_factors(x.temporal, x.temporal_used, m.temporal, b, n)
        _load_factors(x.spatial, x.spatial_used, m.spatial, b, n)
        derive(x, m, b, n)
        check(x, plan, c, plan.lane_keep)
        any_ok = False
        for i in range(n):
            any_ok |= x.ok[i]
            totals.valid[b + i] = x.ok[i]
            x.odd[i] = x.ok[i] and x.width[0, i] * x.height[0, i] > 1.0
        if not any_ok:
            continue
        _load_orders(x, m, b, n)
        x.energy[:] = 0.0
        x.load[:] = 0.0
        for t in range(tensors):
            _tensor_traffic(x, plan, m, hw, hardware_index, t, b, n, odd)
            _tensor_energy(x, plan, c, t)
        _finish(x, plan, c, macs, b, n, totals)
        for i in range(n):
            if x.odd[i]:
                again[b + i] = True
                marked += 1
    return marked
