"""What each level of a block delivers to the one below (sections 4 to 7 of the rules).

Tensors without sliding windows are done for all lanes together. Sliding windows under temporal
loops, and two loops of one window on the grid, are done lane by lane; a lane that needs
enumeration (link transfers, three loops in one row) is marked for the exact kernel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import inner
from dse.model import rules
from dse.model.arrays import MappingArrays
from dse.model.block import Lanes, Plan
from dse.model.fit import tile_words
from dse.model.loops import Nest, new_nest
from dse.model.multicast import Histogram, closed_histogram, new_histogram
from dse.model.traffic import Tile, links_possible, new_tile


class Odd(NamedTuple):
    """Working memory for what is done lane by lane."""

    nest: Nest
    tile: Tile
    histogram: Histogram
    other: Histogram


def new_odd(levels: int, dimensions: int, ranks: int) -> Odd:
    """Allocate the memory for lane-by-lane work."""
    nest = new_nest(levels, dimensions)
    return Odd(
        nest,
        new_tile(len(nest.bound), ranks),
        new_histogram(64),
        new_histogram(64),
    )


@inner
def load_orders(x: Lanes, m: MappingArrays, b: int, n: int) -> None:
    """Iteration counts from outside in, and the rank of each loop where lanes differ in order."""
    levels, dimensions = x.temporal.shape[0], x.temporal.shape[1]
    x.iterations[levels, :] = 1.0
    for s in range(levels - 1, -1, -1):
        here, outer = x.iterations[s], x.iterations[s + 1]
        for i in range(x.ok.shape[0]):
            here[i] = outer[i]
        loops = 0
        for d in range(dimensions):
            if x.temporal_used[s, d]:
                loops += 1
                temporal = x.temporal[s, d]
                for i in range(x.ok.shape[0]):
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
                for i in range(x.ok.shape[0]):
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
                for i in range(x.ok.shape[0]):
                    hit[i] = 1.0 if temporal[i] > 1.0 else hit[i]
                    moving[i] *= temporal[i]
            else:
                for i in range(x.ok.shape[0]):
                    moving[i] *= temporal[i] if hit[i] != 0.0 else 1.0
        for i in range(x.ok.shape[0]):
            moving[i] *= all_outer[i] if hit[i] != 0.0 else outer[i]
        return
    nearest = hit
    nearest[:] = 127.0
    for d in range(dimensions):
        if plan.relevant[t, d] and x.temporal_used[s, d]:
            temporal, rank = x.temporal[s, d], x.rank[s, d]
            for i in range(x.ok.shape[0]):
                candidate = rank[i] if temporal[i] > 1.0 else 127.0
                nearest[i] = candidate if candidate < nearest[i] else nearest[i]
                moving[i] *= temporal[i]
    for d in range(dimensions):
        if not plan.relevant[t, d] and x.temporal_used[s, d]:
            temporal, rank = x.temporal[s, d], x.rank[s, d]
            for i in range(x.ok.shape[0]):
                moving[i] *= temporal[i] if rank[i] > nearest[i] else 1.0
    for i in range(x.ok.shape[0]):
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
                    words += rules.weight(n, left) * full
                elif partial < 0.0 and not rules.zero_moves_are_free(plan.version):
                    partial = 0.0
                continue
            if moving >= 0 and row != moving:
                return words + (left - 1.0) * full
            step = plan.projection[t, row, d] * x.pool[x.spatial_extent[u, d], i]
            translation = step - moved
            moving = row
            left /= n
            if partial < 0.0:
                first, side = translation, edge[row, i]
                partial = delta = rules.refetch(full, full / side, side, translation)
            else:
                still, repeats = translation == 0.0, translation == first
                delta = rules.later_delta(plan.version, still, repeats, partial, full)
            moved += step
            words += rules.weight(n, left) * delta
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
    if links_possible(tile, nest, s, rules.grid_side(hw.fanout_x[s, h], nest.width[s]), version):
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
        share += rules.parent_share(h_.groups[r] * words, h_.multicast[r], fan)
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
            for i in range(x.ok.shape[0]):
                groups[i] *= spatial[i]


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
        free = rules.zero_moves_are_free(plan.version)
        if not (suspect or (any_spatial and not free)):
            continue
        for i in range(n):
            if not x.ok[i] or x.odd[i] or x.width[s, i] * x.height[s, i] == 1.0:
                continue
            if free:
                hits = False
                for d in range(dimensions):
                    hits |= plan.shared_row[t, d] and x.spatial[s, d, i] > 1.0
                if not hits:
                    continue
            _upper_nest(x, plan, m, t, s, b + i, i, odd)
            if not _odd_cell(x, hw, hardware_index[b + i], t, s, i, plan.version, odd):
                x.odd[i] = True


@inner
def tensor_traffic(
    x: Lanes, plan: Plan, m: MappingArrays, hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32], t: int, b: int, n: int, odd: Odd,
) -> None:  # fmt: skip
    """Set ``content``, ``share`` and ``partition`` of tensor t at all levels (section 7)."""
    levels = plan.keep.shape[0]
    top = plan.backing[t]
    if plan.simple[t]:
        x.moving[levels, :] = 1.0
        innermost = 0 if plan.read_write[t] else plan.lowest[t]
        for s in range(levels - 1, innermost, -1):
            _moving_loops(x, plan, m, t, s, b)
    for s in range(top + 1):
        _group_counts(x, plan, t, s)
        if s == 0:
            continue
        share = x.share[s - 1]
        if not plan.keep[s - 1, t] and plan.simple[t]:
            if not plan.read_write[t]:
                continue
            tile_words(x, plan, t, s - 1)
        if plan.simple[t]:
            tile, moving = x.tile[t, s - 1], x.moving[s]
            for i in range(x.ok.shape[0]):
                share[i] = tile[i] * moving[i]
        elif not plan.keep[s - 1, t]:
            tile_words(x, plan, t, s - 1)
        else:
            for i in range(n):
                if x.ok[i]:
                    share[i] = _window_words(x, plan, m, t, s, b + i, i)
    if not plan.simple[t]:
        _patch_windows(x, plan, m, hw, hardware_index, t, b, n, odd)
    content = x.content[0]
    iterations, groups = x.iterations[0], x.groups[0]
    for i in range(x.ok.shape[0]):
        content[i] = iterations[i] * groups[i]
    for s in range(1, top + 1):
        content, groups = x.content[s], x.groups[s]
        if plan.read_write[t] and not plan.keep[s - 1, t]:
            # in Timeloop's own steps: their rounding decides whether an assertion of it fails
            inner_content, share = x.content[s - 1], x.share[s - 1]
            width, height = x.width[s], x.height[s]
            for i in range(x.ok.shape[0]):
                fan = width[i] * height[i]
                accesses = groups[i] * share[i]
                words = accesses * (fan / groups[i])
                content[i] = accesses * rules.handed_outwards(inner_content[i], fan, words)
        else:
            source = x.share[s - 1] if plan.keep[s - 1, t] else x.content[s - 1]
            for i in range(x.ok.shape[0]):
                content[i] = source[i] * groups[i]
