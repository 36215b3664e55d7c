"""Many mappings abreast: the block that the fast path works on, one mapping per SIMD lane.

Every quantity is a row of W lanes in float64; a block is as wide as its memory. Factors, extents
and fan-outs are loaded here, with the hardware of each lane; what follows is computed elsewhere.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import inner, tiered
from dse.model import rules
from dse.model.arrays import MappingArrays

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


#: Mappings per block, and per block of a few.
WIDTH, NARROW = 64, 8
#: Up to so many mappings are evaluated faster in narrow blocks.
FEW = 3 * NARROW
#: What is known of the innermost loops that move a window; `dse.model.windows` says what.
NEAR = 6


class Plan(NamedTuple):
    """What all mappings of a batch share: the problem's structure and who is kept where."""

    projection: Ints  # (T, Q, D)
    relevant: Flags  # (T, D)
    row: Ints  # (T, D) the row that a dimension stands in, -1 for none
    shared_row: Flags  # (T, D) whether another dimension stands in that row too
    simple: Flags  # (T,) every row is one dimension with coefficient 1
    read_write: Flags  # (T,)
    keep: Flags  # (L, T) whether any mapping keeps the tensor at the level
    lane_keep: Flags  # (L, T, 1) the same, in the form of MappingBatch.keep; (L, T, W): by lanes
    backing: Ints  # (T,) outermost level that keeps the tensor, -1 for none
    lowest: Ints  # (T,) innermost level that keeps it
    version: int


class Lanes(NamedTuple):
    """Working memory of one block; the last axis is the lane."""

    temporal: Floats  # (L, D, W)
    spatial: Floats  # (L, D, W)
    rank: Floats  # (L, D, W) position of each temporal loop, innermost 0; of idle ones far out
    pool: Floats  # (2 L D + 1, W) tile extents of single dimensions; row 0 is all ones
    width: Floats  # (L, W) logical fan-out along X
    height: Floats  # (L, W)
    used: Floats  # (L, W) utilised instances
    iterations: Floats  # (L + 1, W) product of the temporal loops of level u and above
    moving: Floats  # (L + 1, W) product of those from the innermost relevant one outwards
    near: Floats  # (L + 1, N, W) the innermost loops that move a window, of level u and above
    groups: Floats  # (L, W) multicast groups of the tensor at hand
    share: Floats  # (L, W) words that one instance receives from above
    content: Floats  # (L, W)
    partition: Floats  # (L, W)
    tile: Floats  # (T, L, W) tile sizes
    edge: Floats  # (T, L, Q, W) sides of the tiles of window tensors
    load: Floats  # (L, 2, W) reads and writes per cycle
    energy: Floats  # (W,)
    cycles: Floats  # (W,)
    work: Floats  # (6, W)
    place: npt.NDArray[np.int8]  # (W,) scratch
    ok: Flags  # (W,)
    chained: Flags  # (W,) whether the second loop of a window may repeat the first
    marked: Flags  # (W,) whether what a level delivers is told lane by lane
    odd: Flags  # (W,) left to the exact kernel
    temporal_used: Flags  # (L, D) whether any mapping of the call has a factor above 1
    spatial_used: Flags  # (L, D)
    same_order: Flags  # (L,) whether all lanes share the permutation
    extent: Ints  # (L, D) row of ``pool`` with the extent at the level's boundary
    spatial_extent: Ints  # (L, D) the same up to its outermost spatial loop


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
    bank: Ints  # (L,) level whose capacity and bandwidths each level shares


def new_lanes(levels: int, dimensions: int, tensors: int, ranks: int, width: int = WIDTH) -> Lanes:
    """Allocate a block's memory for L levels, D dimensions, T tensors of up to Q rows, W lanes."""
    cube = (levels, dimensions, width)
    row = (levels, width)
    arrays: list[Any] = [
        *(np.ones(cube) for _ in range(3)),
        np.ones((2 * levels * dimensions + 1, width)),
        *(np.ones(row) for _ in range(3)),
        *(np.ones((levels + 1, width)) for _ in range(2)),
        np.ones((levels + 1, NEAR, width)),
        *(np.ones(row) for _ in range(4)),
        np.ones((tensors, levels, width)),
        np.ones((tensors, levels, ranks, width)),
        np.ones((levels, 2, width)),
        np.ones(width),
        np.ones(width),
        np.ones((6, width)),
        np.ones(width, np.int8),
        *(np.ones(width, np.bool_) for _ in range(4)),
        np.ones((levels, dimensions), np.bool_),
        np.ones((levels, dimensions), np.bool_),
        np.ones(levels, np.bool_),
        np.zeros((levels, dimensions), np.int64),
        np.zeros((levels, dimensions), np.int64),
    ]
    return Lanes(*arrays)


def new_prices(levels: int, width: int = WIDTH) -> Prices:
    """Allocate the hardware of a block of W lanes."""
    arrays: list[Any] = [
        np.full(1, -1, np.int64),
        *(np.ones(levels, np.bool_) for _ in range(4)),
        np.ones(1, np.bool_),
        np.ones(levels, np.bool_),
        *(np.ones((levels, width)) for _ in range(15)),
        *(np.ones(width) for _ in range(5)),
        np.arange(levels),
    ]
    return Prices(*arrays)


@inner
def load_limits(
    c: Prices, hw: HardwareArrays, index: npt.NDArray[np.int32], b: int, n: int
) -> bool:
    """Load what the hardware of lanes ``b .. b + n`` has room for; False: it is already there."""
    first = index[b]
    same = True
    for i in range(n):
        same &= index[b + i] == first
    if same and c.machine[0] == first:
        return False
    c.machine[0] = first if same else -1
    levels, width = c.size.shape
    for i in range(width):
        h = index[b + min(i, n - 1)]
        repeats = i > 0 and (i >= n or index[b + i - 1] == h)
        for s in range(levels):
            if repeats:
                c.size[s, i], c.minimum[s, i] = c.size[s, i - 1], c.minimum[s, i - 1]
            elif hw.size_words[s, h] >= 0:
                size = rules.usable_words(hw.size_words[s, h], hw.multiple_buffering[s, h])
                c.size[s, i] = size
                c.minimum[s, i] = rules.least_words(size, hw.min_utilization[s, h])
            else:
                c.size[s, i], c.minimum[s, i] = math.inf, 0.0
            c.mesh_x[s, i] = hw.mesh_x[s, h]
            c.mesh_y[s, i] = hw.mesh_y[s, h]
            c.instances[s, i] = hw.instances[s, h]
        c.mac_instances[i] = hw.mac_instances[h]
        c.mac_mesh_x[i] = hw.mac_mesh_x[h]
        c.mac_mesh_y[i] = hw.mac_mesh_y[h]
    for s in range(levels):
        c.bank[s] = hw.bank[s]
        c.sized[s] = False
        for i in range(width):
            c.sized[s] |= not math.isinf(c.size[s, i])
    return True


def load_first(c: Prices, hw: HardwareArrays) -> None:
    """Load the first hardware into all lanes."""
    _load_first(c, hw, np.zeros(1, np.int32))


@tiered
def _load_first(c: Prices, hw: HardwareArrays, index: npt.NDArray[np.int32]) -> None:
    load_hardware(c, hw, index, 0, 1)


@inner
def load_hardware(
    c: Prices, hw: HardwareArrays, index: npt.NDArray[np.int32], b: int, n: int
) -> None:
    """Load the hardware of lanes ``b .. b + n`` unless it is already there."""
    if not load_limits(c, hw, index, b, n):
        return
    levels = c.size.shape[0]
    for i in range(c.size.shape[1]):
        h = index[b + min(i, n - 1)]
        latency = np.int64(0)
        for s in range(levels):
            c.clusters[s, i] = rules.clusters(hw.instances[s, h], hw.cluster_size[s, h])
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
        c.mac_pj[i] = hw.mac_pj[h]
        c.latency[i] = latency
    c.leaking[0] = False
    for s in range(levels):
        c.limited[s] = c.clustered[s] = c.blocked[s] = c.addressed[s] = False
        for i in range(c.size.shape[1]):
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
def scan(used: Flags, source: npt.NDArray[np.int32], start: int, stop: int) -> None:
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
def load_factors(to: Floats, used: Flags, source: npt.NDArray[np.int32], b: int, n: int) -> None:
    """Load factors ``(L, D, B)`` of lanes ``b .. b + n``; lanes beyond repeat the last."""
    width = to.shape[2]
    for s in range(to.shape[0]):
        for d in range(to.shape[1]):
            if not used[s, d]:
                continue
            row = to[s, d]
            if n == width:
                lanes = source[s, d, b : b + width]
                for i in range(width):
                    row[i] = lanes[i]
            else:
                for i in range(width):
                    row[i] = source[s, d, b + min(i, n - 1)]


@inner
def derive_extents(x: Lanes) -> None:
    """Derive extents from the loaded factors."""
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
                for i in range(x.ok.shape[0]):
                    here[i] = below[i] * factor[i]
                current = x.spatial_extent[s, d]
            if x.temporal_used[s, d]:
                below, here, factor = x.pool[current], x.pool[x.extent[s, d]], x.temporal[s, d]
                for i in range(x.ok.shape[0]):
                    here[i] = below[i] * factor[i]
                current = x.extent[s, d]


@inner
def derive(x: Lanes, m: MappingArrays, b: int, n: int) -> None:
    """Derive extents, fan-outs and utilised instances from the loaded factors."""
    derive_extents(x)
    levels = x.temporal.shape[0]
    for s in range(levels):
        _fan_out(x, m, s, b, n)
    x.used[levels - 1, :] = 1.0
    for s in range(levels - 2, -1, -1):
        used, outer = x.used[s], x.used[s + 1]
        width, height = x.width[s + 1], x.height[s + 1]
        for i in range(x.ok.shape[0]):
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
                for i in range(x.ok.shape[0]):
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
