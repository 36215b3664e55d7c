"""From vectors to mappings that fit their hardware: compiled, a block of vectors at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.evolution.genome import BINS, GenomeArrays
from dse.jit import inner
from dse.model.arrays import MappingArrays
from dse.model.block import Lanes, Plan, Prices, derive_extents
from dse.model.fit import check
from dse.numeric import Flags, Floats, Ints, int64

#: Halvings that look for the largest tiles that fit, and for the largest use of the array.
_HALVINGS = 3


class Vectors(NamedTuple):
    """Working memory for a block of up to W vectors of n numbers, and how they are read."""

    x: Floats  # (n, W)
    ok: Flags  # (W,) whether the mapping fits its hardware
    keep: Flags  # (L, T, W), or (L, T, 1) where all keep the same
    row: Ints  # (W,) search whose candidate it is
    place: Ints  # (W,) where it goes, -1: where its search has room
    own: Ints  # (W,) row of its hardware in the genome
    machine: npt.NDArray[np.int32]  # (W,) its hardware
    seed: npt.NDArray[np.uint64]  # (W,) of its numbers
    shared: npt.NDArray[np.uint64]  # (W,) of its flags
    bits: npt.NDArray[np.uint64]  # (W,) scratch
    node: Ints  # (W,) scratch
    tiles: Floats  # (W,) shares of the tile ratios that count
    array: Floats  # (W,) and of those in space
    tried: Floats  # (2, W) shares: the largest that fits, the smallest that does not
    rank: Ints  # (D,) scratch
    z: Floats  # (n,) normals


@inner
def _walk(
    g: GenomeArrays, v: Vectors, gene: int, passed: int, share: Floats, row: Floats,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Take the factors nearest to what the ratios ask for, one step through the lattice."""
    wish = v.x[gene]
    for i in range(start, stop):
        node = v.node[i]
        wanted = wish[i] * g.largest[node] * share[i]
        edge = g.near[node, int64(wish[i] * share[i] * BINS)]
        # no branch on the data: a wrong guess would cost more than the sums
        for _ in range(passed):
            edge += g.middle[edge] <= wanted
        row[i] = g.factor[edge]
        v.node[i] = g.target[edge]


@inner
def read_factors(g: GenomeArrays, v: Vectors, lanes: Lanes, start: int, stop: int) -> None:
    """Read the factors of vectors ``start .. stop``, all on one hardware."""
    levels, dimensions = lanes.temporal_used.shape
    for s in range(levels):
        for d in range(dimensions):
            if lanes.temporal_used[s, d]:
                lanes.temporal[s, d, start:stop] = 1.0
            if lanes.spatial_used[s, d]:
                lanes.spatial[s, d, start:stop] = 1.0
    h = v.own[start]
    for j in range(g.steps[h]):
        spatial, gene = g.spatial[h, j], g.ratio[h, j]
        factors = lanes.spatial if spatial else lanes.temporal
        row = factors[g.level[h, j], g.dimension[h, j]]
        if g.root[h, j] >= 0:
            v.node[start:stop] = g.root[h, j]
        if gene >= 0:
            share = v.array if spatial else v.tiles
            _walk(g, v, gene, g.passed[h, j], share, row, start, stop)
            continue
        for i in range(start, stop):
            edge = g.first[v.node[i]]
            row[i] = g.factor[edge]
            v.node[i] = g.target[edge]


@inner
def read_kept(g: GenomeArrays, v: Vectors, start: int, stop: int) -> None:
    """Read what vectors ``start .. stop`` keep, all on one hardware."""
    h = v.own[start]
    for s in range(g.keep_gene.shape[0]):
        for t in range(g.keep_gene.shape[1]):
            mine, row = g.keep[h, s, t], v.keep[s, t]
            if mine == 2:
                wish = v.x[g.keep_gene[s, t]]
                for i in range(start, stop):
                    row[i] = wish[i] >= 0.5
            else:
                row[start:stop] = mine == 1


@inner
def _fan_out(g: GenomeArrays, v: Vectors, lanes: Lanes, n: int) -> None:
    """Multiply the spatial factors of each level along X and along Y."""
    levels, dimensions = lanes.spatial_used.shape
    for s in range(levels):
        width, height = lanes.width[s], lanes.height[s]
        width[:] = 1.0
        height[:] = 1.0
        for d in range(dimensions):
            if not lanes.spatial_used[s, d]:
                continue
            factor, gene = lanes.spatial[s, d], g.axis_gene[s, d]
            for i in range(n):
                along = g.axis[v.own[i], s, d]
                high = along == 1 or (along == 2 and v.x[gene, i] >= 0.5)
                width[i] *= 1.0 if high else factor[i]
                height[i] *= factor[i] if high else 1.0


@inner
def _ranked(
    g: GenomeArrays, x: Floats, b: int, h: int, s: int, out: MappingArrays, rank: Ints
) -> None:
    """Sort a level's free loops by importance; the least important is the innermost."""
    start, count = g.free_start[h, s], g.free_count[h, s]
    # pair by pair: no branch on the data
    for p in range(count):
        mine = x[b, g.rank[s, g.order[h, s, start + p]]]
        rank[p] = 0
        for q in range(p):
            other = x[b, g.rank[s, g.order[h, s, start + q]]]
            after = int64(other <= mine)
            rank[p] += after
            rank[q] += 1 - after
    for p in range(count):
        out.permutation[s, start + rank[p], b] = g.order[h, s, start + p]


@inner
def _numbered(g: GenomeArrays, x: Floats, b: int, h: int, s: int, out: MappingArrays) -> None:
    """Take order number ``floor(u n!)`` of a level's free loops, in lexicographic order."""
    start, count = g.free_start[h, s], g.free_count[h, s]
    orders = 1
    for p in range(2, count + 1):
        orders *= p
    left = min(int64(x[b, g.rank[s, 0]] * orders), orders - 1)
    for p in range(count):
        out.permutation[s, start + p, b] = g.order[h, s, start + p]
    for p in range(count - 1):
        orders //= count - p
        take = start + p + left // orders
        left %= orders
        loop = out.permutation[s, take, b]
        for q in range(take, start + p, -1):
            out.permutation[s, q, b] = out.permutation[s, q - 1, b]
        out.permutation[s, start + p, b] = loop


@inner
def read_orders(g: GenomeArrays, x: Floats, b: int, h: int, out: MappingArrays, rank: Ints) -> None:
    """Order the loops of mapping ``b`` as its vector says."""
    levels, dimensions = g.rank.shape
    for s in range(levels):
        if g.orders_vary[s]:
            for p in range(dimensions):
                out.permutation[s, p, b] = g.order[h, s, p]
        if g.free_count[h, s] > 1:
            if g.by_index:
                _numbered(g, x, b, h, s, out)
            else:
                _ranked(g, x, b, h, s, out, rank)


@inner
def read_axes(g: GenomeArrays, x: Floats, b: int, h: int, out: MappingArrays) -> None:
    """Put dimensions on X and Y, X before Y, at the levels where they differ."""
    levels, dimensions = g.axis_gene.shape
    for s in range(levels):
        if not g.axes_vary[s]:
            continue
        place = 0
        for axis in range(2):
            for p in range(dimensions):
                d = g.axis_order[h, s, p]
                mine = int64(g.axis[h, s, d])
                if mine == 2:
                    mine = int64(x[b, g.axis_gene[s, d]] >= 0.5)
                if mine == axis:
                    out.spatial_permutation[s, place, b] = d
                    place += 1
            if axis == 0:
                out.split[s, b] = place


@inner
def fit(
    g: GenomeArrays, v: Vectors, n: int, hw: HardwareArrays, plan: Plan, lanes: Lanes, c: Prices
) -> None:
    """Set ``lanes.ok`` where one of the first ``n`` mappings fits its hardware."""
    derive_extents(lanes)
    _fan_out(g, v, lanes, n)
    check(lanes, plan, c, v.keep)
    for s in range(hw.fanout_x.shape[0]):
        for i in range(n):
            h = v.machine[i]
            lanes.ok[i] &= lanes.width[s, i] <= hw.fanout_x[s, h]
            lanes.ok[i] &= lanes.height[s, i] <= hw.fanout_y[s, h]


@inner
def read_runs(g: GenomeArrays, v: Vectors, n: int, lanes: Lanes) -> None:
    """Read the factors of the first ``n`` vectors, run by run of those on one hardware."""
    start = 0
    for i in range(1, n + 1):
        if i == n or v.own[i] != v.own[start]:
            read_factors(g, v, lanes, start, i)
            start = i


@inner
def _halve(
    g: GenomeArrays, v: Vectors, n: int, hw: HardwareArrays, plan: Plan, lanes: Lanes, c: Prices,
    share: Floats,
) -> None:  # fmt: skip
    """Look for the largest share with which what is not ``ok`` fits; 0 where none was found."""
    for i in range(n):
        v.tried[0, i], v.tried[1, i] = 0.0, 1.0
    for _ in range(_HALVINGS):
        for i in range(n):
            if not v.ok[i]:
                share[i] = 0.5 * (v.tried[0, i] + v.tried[1, i])
        read_runs(g, v, n, lanes)
        fit(g, v, n, hw, plan, lanes, c)
        for i in range(n):
            side = 0 if lanes.ok[i] else 1
            v.tried[side, i] = 0.5 * (v.tried[0, i] + v.tried[1, i])
    for i in range(n):
        if not v.ok[i]:
            share[i] = v.tried[0, i]


@inner
def _all_ok(v: Vectors, n: int) -> bool:
    for i in range(n):
        if not v.ok[i]:
            return False
    return True


@inner
def _tell_array(g: GenomeArrays, v: Vectors, i: int) -> None:
    """Let a vector say how much of the array its mapping uses.

    A search that starts with more than ever fits would else not learn in which direction to go.
    """
    h = v.own[i]
    for j in range(g.steps[h]):
        if g.ratio[h, j] >= 0 and g.spatial[h, j]:
            v.x[g.ratio[h, j], i] *= v.array[i]


@inner
def shrink(
    g: GenomeArrays, v: Vectors, n: int, hw: HardwareArrays, plan: Plan, lanes: Lanes, c: Prices
) -> None:
    """Shrink the tile ratios of what does not fit as little as needed, found by halving.

    So loops move outwards. Where even the smallest tiles do not fit, less of the array is used, and
    the vector then says so; then tiles grow again. What fits in the end is ``ok``.
    """
    if _all_ok(v, n):
        return
    _halve(g, v, n, hw, plan, lanes, c, v.tiles)
    for i in range(n):
        v.ok[i] |= v.tiles[i] > 0.0
    if not _all_ok(v, n):
        _halve(g, v, n, hw, plan, lanes, c, v.array)
        _halve(g, v, n, hw, plan, lanes, c, v.tiles)
    read_runs(g, v, n, lanes)
    fit(g, v, n, hw, plan, lanes, c)
    for i in range(n):
        v.ok[i] = lanes.ok[i]
        if v.ok[i] and v.array[i] < 1.0:
            _tell_array(g, v, i)
    v.tiles[:] = 1.0
    v.array[:] = 1.0
