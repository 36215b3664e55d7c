"""From vectors to mappings that fit their hardware: compiled, many searches in one call."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.evolution.genome import GenomeArrays
from dse.jit import inner, tiered
from dse.model.arrays import MappingArrays
from dse.model.block import Lanes, Plan, Prices, derive, lay_out, load_factors, load_hardware
from dse.model.fit import check
from dse.numeric import Flags, Floats, int64

_Int32s = npt.NDArray[np.int32]

#: Halvings that look for the largest tiles that fit, and for the largest use of the array.
_HALVINGS = 3


@inner
def _factors(
    g: GenomeArrays, x: Floats, b: int, h: int, out: MappingArrays, tiles: float, array: float
) -> None:
    """Walk every dimension's lattice, to the factor nearest to what each ratio asks for."""
    for d in range(g.steps.shape[1]):
        node = g.root[h, d]
        for k in range(g.steps[h, d]):
            edge, high = g.first[node], g.first[node + 1]
            spatial = g.spatial[h, d, k]
            gene = g.ratio[h, d, k]
            if gene >= 0:
                wanted = x[b, gene] * g.size[high - 1] * (array if spatial else tiles)
                # no branch on the data: a wrong guess would cost more than the sum
                for e in range(edge, high - 1):
                    edge += g.middle[e] <= wanted
            s = g.level[h, d, k]
            if spatial:
                out.spatial[s, d, b] = g.factor[edge]
            else:
                out.temporal[s, d, b] = g.factor[edge]
            node = g.target[edge]


@inner
def _ranked(
    g: GenomeArrays, x: Floats, b: int, h: int, s: int, out: MappingArrays, keys: Floats
) -> None:
    """Sort a level's free loops by importance; the least important is the innermost."""
    start = g.free_start[h, s]
    for p in range(g.free_count[h, s]):
        loop = g.order[h, s, start + p]
        mine = x[b, g.rank[s, loop]]
        q = p
        while q > 0 and keys[q - 1] > mine:
            keys[q] = keys[q - 1]
            out.permutation[s, start + q, b] = out.permutation[s, start + q - 1, b]
            q -= 1
        keys[q] = mine
        out.permutation[s, start + q, b] = loop


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
def _orders(g: GenomeArrays, x: Floats, b: int, h: int, out: MappingArrays, keys: Floats) -> None:
    levels, dimensions = g.rank.shape
    for s in range(levels):
        if g.orders_vary[s]:
            for p in range(dimensions):
                out.permutation[s, p, b] = g.order[h, s, p]
        if g.free_count[h, s] > 1:
            if g.by_index:
                _numbered(g, x, b, h, s, out)
            else:
                _ranked(g, x, b, h, s, out, keys)


@inner
def _axes(g: GenomeArrays, x: Floats, b: int, h: int, out: MappingArrays) -> None:
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
def _keeps(g: GenomeArrays, x: Floats, b: int, h: int, out: MappingArrays) -> None:
    for s in range(g.keep_gene.shape[0]):
        for t in range(g.keep_gene.shape[1]):
            mine = g.keep[h, s, t]
            out.keep[s, t, b] = mine == 1 or (mine == 2 and x[b, g.keep_gene[s, t]] >= 0.5)


@inner
def _copy_keep(m: MappingArrays, b: int, keep: Flags, i: int) -> None:
    for s in range(keep.shape[0]):
        for t in range(keep.shape[1]):
            keep[s, t, i] = m.keep[s, t, b]


@inner
def _fits(
    hw: HardwareArrays, machine: _Int32s, plan: Plan, lanes: Lanes, c: Prices,
    out: MappingArrays, keep: Flags, b: int, n: int,
) -> None:  # fmt: skip
    """Set ``lanes.ok`` for mappings ``b .. b + n``."""
    load_factors(lanes.temporal, lanes.temporal_used, out.temporal, b, n)
    load_factors(lanes.spatial, lanes.spatial_used, out.spatial, b, n)
    derive(lanes, out, b, n)
    check(lanes, plan, c, keep)
    for s in range(hw.fanout_x.shape[0]):
        for i in range(n):
            h = machine[b + i]
            lanes.ok[i] &= lanes.width[s, i] <= hw.fanout_x[s, h]
            lanes.ok[i] &= lanes.height[s, i] <= hw.fanout_y[s, h]


@inner
def _shrink_tiles(
    g: GenomeArrays, x: Floats, own: _Int32s, hw: HardwareArrays, machine: _Int32s, plan: Plan,
    lanes: Lanes, c: Prices, keep: Flags, size: Floats, out: MappingArrays, ok: Flags,
    b: int, n: int,
) -> None:  # fmt: skip
    """Shrink the tile ratios of what is not ``ok`` as little as needed, found by halving."""
    for i in range(n):
        size[0, i], size[1, i] = 0.0, 1.0
    for _ in range(_HALVINGS):
        for i in range(n):
            if not ok[b + i]:
                middle = 0.5 * (size[0, i] + size[1, i])
                _factors(g, x, b + i, int64(own[b + i]), out, middle, size[2, i])
        _fits(hw, machine, plan, lanes, c, out, keep, b, n)
        for i in range(n):
            side = 0 if lanes.ok[i] else 1
            size[side, i] = 0.5 * (size[0, i] + size[1, i])
    for i in range(n):
        if not ok[b + i] and size[0, i] > 0.0:
            _factors(g, x, b + i, int64(own[b + i]), out, size[0, i], size[2, i])
            ok[b + i] = True


@inner
def _all_ok(ok: Flags, b: int, n: int) -> bool:
    for i in range(n):
        if not ok[b + i]:
            return False
    return True


@inner
def _shrink_array(
    g: GenomeArrays, x: Floats, own: _Int32s, hw: HardwareArrays, machine: _Int32s, plan: Plan,
    lanes: Lanes, c: Prices, keep: Flags, size: Floats, out: MappingArrays, ok: Flags,
    b: int, n: int,
) -> None:  # fmt: skip
    """Use less of the array where not even the smallest tiles are ``ok``, then larger tiles."""
    for i in range(n):
        size[0, i], size[1, i] = 0.0, 1.0
    for _ in range(_HALVINGS):
        for i in range(n):
            if not ok[b + i]:
                middle = 0.5 * (size[0, i] + size[1, i])
                _factors(g, x, b + i, int64(own[b + i]), out, 0.0, middle)
        _fits(hw, machine, plan, lanes, c, out, keep, b, n)
        for i in range(n):
            side = 0 if lanes.ok[i] else 1
            size[side, i] = 0.5 * (size[0, i] + size[1, i])
    for i in range(n):
        size[2, i] = 1.0 if ok[b + i] else size[0, i]
    _shrink_tiles(g, x, own, hw, machine, plan, lanes, c, keep, size, out, ok, b, n)
    for i in range(n):
        if not ok[b + i]:
            _factors(g, x, b + i, int64(own[b + i]), out, 0.0, size[2, i])
    _fits(hw, machine, plan, lanes, c, out, keep, b, n)
    for i in range(n):
        ok[b + i] |= lanes.ok[i]
        if ok[b + i] and size[2, i] < 1.0:
            _tell_array(g, x, b + i, int64(own[b + i]), size[2, i])


@inner
def _tell_array(g: GenomeArrays, x: Floats, b: int, h: int, array: float) -> None:
    """Let a vector say how much of the array its mapping uses.

    A search that starts with more than ever fits would else not learn in which direction to go.
    """
    for d in range(g.steps.shape[1]):
        for k in range(g.steps[h, d]):
            gene = g.ratio[h, d, k]
            if gene >= 0 and g.spatial[h, d, k]:
                x[b, gene] *= array


@tiered
def build_into(
    g: GenomeArrays, x: Floats, own: _Int32s, hw: HardwareArrays, machine: _Int32s,
    plan: Plan, lanes: Lanes, c: Prices, keep: Flags, size: Floats,
    keys: Floats, out: MappingArrays, ok: Flags, repair: bool,
) -> None:  # fmt: skip
    """Read vectors ``x (B, n)`` as mappings; ``ok (B,)`` says which fit their hardware.

    With ``repair``, the tile ratios of a mapping that does not fit shrink until it does, so that
    loops move outwards; where even the smallest tiles do not fit, less of the array is used, and
    ``x`` then says so.

    ``own (B,)`` is the row of each vector's hardware in the genome, ``machine (B,)`` in ``hw``.
    In ``lanes``, the places that any vector may fill are marked; ``keep (L, T, 1 or W)``,
    ``size (3, W)`` and ``keys (D,)`` are scratch. What all mappings share stands in ``out``.
    """
    lay_out(lanes)
    width = lanes.ok.shape[0]
    if not g.keeps_vary:
        _copy_keep(out, 0, keep, 0)
    for b in range(0, x.shape[0], width):
        n = min(width, x.shape[0] - b)
        load_hardware(c, hw, machine, b, n)
        for i in range(n):
            h = int64(own[b + i])
            _factors(g, x, b + i, h, out, 1.0, 1.0)
            _orders(g, x, b + i, h, out, keys)
            if g.any_axes_vary:
                _axes(g, x, b + i, h, out)
            if g.keeps_vary:
                _keeps(g, x, b + i, h, out)
                _copy_keep(out, b + i, keep, i)
        _fits(hw, machine, plan, lanes, c, out, keep, b, n)
        for i in range(n):
            ok[b + i] = lanes.ok[i]
        if repair and not _all_ok(ok, b, n):
            size[2, :] = 1.0
            _shrink_tiles(g, x, own, hw, machine, plan, lanes, c, keep, size, out, ok, b, n)
        if repair and not _all_ok(ok, b, n):
            _shrink_array(g, x, own, hw, machine, plan, lanes, c, keep, size, out, ok, b, n)
