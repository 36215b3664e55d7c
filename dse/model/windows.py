"""Sliding windows in lanes: how the tiles of a tensor move whose rows have two dimensions.

In the common case the innermost loop that moves a tile is followed by one along another row. Then
no later move can be zero or repeat the first one, and every one reloads the tile: what a level
delivers has a closed form of the innermost loop alone. Lanes in which two loops of one window
follow each other, or meet on the grid, are told one by one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import inlined, inner
from dse.model import rules
from dse.model.arrays import MappingArrays
from dse.model.block import NEAR, Lanes, Plan
from dse.model.cells import Odd, set_nest, tell_cell
from dse.model.loops import copy_row
from dse.model.orders import NONE
from dse.numeric import Floats

#: Rows of ``Lanes.near``, of the innermost loop that moves the tensor: its bound, by how much it
#: moves the tile, and along which row (-1: there is none); of the one around it how far and along
#: which row; the row of the third one.
_BOUND, _STEP, _ROW, _NEXT_STEP, _NEXT_ROW, _THIRD_ROW = range(NEAR)


@inner
def no_loops(x: Lanes) -> None:
    """Let nothing move beyond the outermost level."""
    near = x.near[x.near.shape[0] - 1]
    near[_BOUND, :] = 1.0
    near[_STEP, :] = near[_NEXT_STEP, :] = 0.0
    near[_ROW, :] = near[_NEXT_ROW, :] = near[_THIRD_ROW, :] = -1.0


@inner
def _nearest(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Set ``work`` to the ranks of the three innermost loops of level s that move the tensor."""
    first, second, third = x.work[0], x.work[1], x.work[2]
    first[:] = NONE
    second[:] = NONE
    third[:] = NONE
    for d in range(x.rank.shape[1]):
        if plan.relevant[t, d] and x.temporal_used[s, d]:
            rank = x.rank[s, d]
            for i in range(x.ok.shape[0]):
                r, a, b, c = rank[i], first[i], second[i], third[i]
                first[i] = r if r < a else a
                r = a if r < a else r
                second[i] = r if r < b else b
                r = b if r < b else r
                third[i] = r if r < c else c


@inner
def _take(to: Floats, value: Floats, otherwise: Floats, rank: Floats, wanted: float) -> None:
    """Set each lane to ``value`` where ``rank`` is the wanted one, else ``otherwise``."""
    for i in range(to.shape[0]):
        this, that = value[i], otherwise[i]
        to[i] = this if rank[i] == wanted else that


@inner
def _take_loop(to: Floats, value: Floats, scale: float, rank: Floats, wanted: Floats) -> None:
    """Set the lanes whose loop has the wanted rank to its scaled ``value``."""
    for i in range(to.shape[0]):
        this, that = scale * value[i], to[i]
        to[i] = this if rank[i] == wanted[i] else that


@inner
def near_loops(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Set ``near[s]`` of tensor t, of the temporal loops of level s and above."""
    _nearest(x, plan, t, s)
    first, second, third = x.work[0], x.work[1], x.work[2]
    near, outer, ones = x.near[s], x.near[s + 1], x.pool[0]
    for part in (_BOUND, _STEP, _ROW):
        copy_row(near[part], outer[part])
    _take(near[_NEXT_STEP], outer[_NEXT_STEP], outer[_STEP], first, NONE)
    _take(near[_NEXT_ROW], outer[_NEXT_ROW], outer[_ROW], first, NONE)
    _take(near[_THIRD_ROW], outer[_NEXT_ROW], outer[_ROW], second, NONE)
    _take(near[_THIRD_ROW], outer[_THIRD_ROW], near[_THIRD_ROW], first, NONE)
    for d in range(x.rank.shape[1]):
        if not (plan.relevant[t, d] and x.temporal_used[s, d]):
            continue
        q = plan.row[t, d]
        coefficient, row = float(plan.projection[t, q, d]), float(q)
        rank, extent = x.rank[s, d], x.pool[x.spatial_extent[s, d]]
        _take_loop(near[_BOUND], x.temporal[s, d], 1.0, rank, first)
        _take_loop(near[_STEP], extent, coefficient, rank, first)
        _take_loop(near[_ROW], ones, row, rank, first)
        _take_loop(near[_NEXT_STEP], extent, coefficient, rank, second)
        _take_loop(near[_NEXT_ROW], ones, row, rank, second)
        _take_loop(near[_THIRD_ROW], ones, row, rank, third)


@inner
def _set_side(x: Lanes, t: int, s: int) -> None:
    """Set ``work[0]`` to the child tile's side along the row in which it first moves."""
    side, row = x.work[0], x.near[s, _ROW]
    side[:] = 1.0
    for q in range(x.edge.shape[2]):
        edge = x.edge[t, s - 1, q]
        _take(side, edge, side, row, float(q))


@inner
def _set_chained(x: Lanes, s: int) -> bool:
    """Mark the lanes in which a second move may repeat the first or be none; whether any."""
    near = x.near[s]
    step, row = near[_STEP], near[_ROW]
    next_step, next_row, third_row = near[_NEXT_STEP], near[_NEXT_ROW], near[_THIRD_ROW]
    for i in range(x.ok.shape[0]):
        meets = (next_step[i] == step[i]) | (next_step[i] == 2.0 * step[i])
        x.chained[i] = (row[i] == next_row[i]) & (meets | (third_row[i] == row[i])) & (row[i] >= 0)
    found = False
    for i in range(x.ok.shape[0]):
        found |= x.chained[i]
    return found


@inner
def window_words(x: Lanes, plan: Plan, m: MappingArrays, t: int, s: int, b: int, n: int) -> None:
    """Set ``share`` to the words that level s delivers to one child (section 4)."""
    share, tile, moving = x.share[s - 1], x.tile[t, s - 1], x.moving[s]
    walks = True
    if rules.zero_moves_are_free(plan.version):
        _set_side(x, t, s)
        side, bound, step = x.work[0], x.near[s, _BOUND], x.near[s, _STEP]
        for i in range(x.ok.shape[0]):
            partial = rules.refetch(tile[i], tile[i] / side[i], side[i], step[i])
            share[i] = moving[i] / bound[i] * (tile[i] + rules.weight(bound[i], 1.0) * partial)
        walks = _set_chained(x, s)
    else:
        x.chained[:] = True
    if walks:
        for i in range(n):
            if x.chained[i] and x.ok[i]:
                share[i] = _walked_words(x, plan, m, t, s, b + i, i)


@inlined
def _walked_words(x: Lanes, plan: Plan, m: MappingArrays, t: int, s: int, b: int, i: int) -> float:
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
                return float(words + (left - 1.0) * full)
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
    return float(words)


@inner
def _set_reach(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Set how far two children of level s can lie apart, along the rows of the first two moves.

    ``work[1]``: along that in which the tile first moves; ``work[2]``: along the next one.
    """
    reach, next_reach = x.work[1], x.work[2]
    row, next_row = x.near[s, _ROW], x.near[s, _NEXT_ROW]
    reach[:] = 0.0
    next_reach[:] = 0.0
    for d in range(x.spatial.shape[1]):
        q = plan.row[t, d]
        if q < 0 or not x.spatial_used[s, d]:
            continue
        coefficient = float(plan.projection[t, q, d])
        spatial, extent = x.spatial[s, d], x.pool[x.extent[s - 1, d]]
        for i in range(x.ok.shape[0]):
            apart = coefficient * extent[i] * (spatial[i] - 1.0)
            reach[i] += apart if row[i] == q else 0.0
            next_reach[i] += apart if next_row[i] == q else 0.0


@inner
def _count_in_rows(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Set how many loops of one window there are, in space and in time.

    ``work[3]``: most loops of level s in space, of all windows. ``work[4]``: dimensions with loops
    further out, of the row in which the tile first moves.
    """
    in_space, further, hits = x.work[3], x.work[4], x.work[5]
    row, levels = x.near[s, _ROW], x.temporal.shape[0]
    in_space[:] = 0.0
    further[:] = 0.0
    for q in range(plan.projection.shape[1]):
        hits[:] = 0.0
        for d in range(x.spatial.shape[1]):
            if plan.row[t, d] != q or not plan.shared_row[t, d]:
                continue
            if x.spatial_used[s, d]:
                spatial = x.spatial[s, d]
                for i in range(x.ok.shape[0]):
                    hits[i] += 1.0 if spatial[i] > 1.0 else 0.0
            here, whole = x.pool[x.spatial_extent[s, d]], x.pool[x.extent[levels - 1, d]]
            for i in range(x.ok.shape[0]):
                further[i] += 1.0 if (row[i] == q) & (whole[i] > here[i]) else 0.0
        for i in range(x.ok.shape[0]):
            in_space[i] = hits[i] if hits[i] > in_space[i] else in_space[i]


@inner
def _mark_cells(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Mark the lanes whose children may share a tile in another way, or pass it on.

    Neighbours pass a tile on where it moves by as much as they lie apart. So it may be where the
    first move is a whole tile and no further than that, or a later one repeats it. Where the first
    is further, only a later move along its row may be near, by a loop over another dimension; and
    what moves the tile along another row in between must be near, too.
    """
    _set_chained(x, s)
    _set_side(x, t, s)
    _set_reach(x, plan, t, s)
    _count_in_rows(x, plan, t, s)
    side, reach, next_reach = x.work[0], x.work[1], x.work[2]
    in_space, further = x.work[3], x.work[4]
    near = x.near[s]
    step, next_step, row, next_row = near[_STEP], near[_NEXT_STEP], near[_ROW], near[_NEXT_ROW]
    moving, iterations, marked = x.moving[s], x.iterations[s], x.marked
    for i in range(x.ok.shape[0]):
        marked[i] = (further[i] > 1.0) & ((row[i] == next_row[i]) | (next_step[i] <= next_reach[i]))
    for i in range(x.ok.shape[0]):
        close, whole = step[i] <= reach[i], step[i] >= side[i]
        marked[i] = (whole & (close | marked[i])) | (close & x.chained[i])
    for i in range(x.ok.shape[0]):
        marked[i] &= (moving[i] == iterations[i]) & (step[i] > 0.0) & (in_space[i] > 0.0)
        marked[i] |= in_space[i] > 1.0


@inlined
def meets_in_space(x: Lanes, plan: Plan, t: int, s: int) -> bool:
    """Whether loops of level s may let children share tiles of a window, or pass them on.

    In older versions, where a tile that stays is delivered anew, any loop in space may.
    """
    for d in range(x.spatial.shape[1]):
        if x.spatial_used[s, d] and (
            plan.shared_row[t, d] or not rules.zero_moves_are_free(plan.version)
        ):
            return True
    return False


@inner
def window_cells(
    x: Lanes, plan: Plan, m: MappingArrays, hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32], t: int, s: int, b: int, n: int, odd: Odd,
) -> None:  # fmt: skip
    """Redo, lane by lane, what level s delivers where two loops of one window may meet on the grid.

    ``content`` of level s and all inside of it is set, ``share`` of the level inside, too.
    """
    if not meets_in_space(x, plan, t, s):
        return
    if rules.zero_moves_are_free(plan.version):
        _mark_cells(x, plan, t, s)
    else:
        for i in range(x.ok.shape[0]):
            x.marked[i] = x.width[s, i] * x.height[s, i] > 1.0
    for i in range(n):
        if x.marked[i] and x.ok[i] and not x.odd[i]:
            set_nest(x, plan, m, t, s, b + i, i, odd)
            x.odd[i] = not tell_cell(x, plan, hw, hardware_index[b + i], t, s, i, odd)
