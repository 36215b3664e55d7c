"""Which labels beat others: what they cost less now, they cost less whatever follows."""

from __future__ import annotations

from dse.jit import inner
from dse.mappers.exact.bounds import DELAY, ENERGY_ONLY, Goal
from dse.mappers.exact.labels import (
    BELOW,
    BOUND_A,
    CYCLES,
    ENERGY,
    FIRST,
    GRID_LEVEL,
    HELD,
    MIXED,
    MOVES,
    STATUS,
    WINDOW,
    Draft,
    Labels,
    load_at,
    parts_at,
    window_at,
)
from dse.mappers.exact.tables import Int, Stage, Tables
from dse.numeric import Floats


@inner
def _at_most(one: float, leak: float, other: float, other_leak: float, cycles: float,
             other_cycles: float, at: float) -> bool:  # fmt: skip
    """Whether energy with leakage is no larger, should the rest take ``at`` cycles."""
    return one + leak * max(cycles, at) <= (other + other_leak * max(other_cycles, at)) * (
        1.0 + 1e-15
    )


@inner
def beats(
    t: Tables, goal: Goal, stage: Stage, v: Floats, grid: int, w: Floats, other: int, settled: int
) -> bool:
    """Whether label ``v`` on ``grid`` is at least as good as ``w`` on ``other``.

    Both have the same tile, moved and settled flows, and ``v`` is not loose.
    """
    if not stage.last_spatial and grid != other:
        return False
    if v[HELD] > w[HELD]:
        return False
    if goal.kind != ENERGY_ONLY and v[CYCLES] > w[CYCLES]:
        return False
    if goal.kind != DELAY and (grid == other or not t.leaks):
        if v[ENERGY] > w[ENERGY]:
            return False
        if t.leaks and v[CYCLES] > w[CYCLES]:
            return False
    elif goal.kind != DELAY:
        one, two = t.leak[grid], t.leak[other]
        for at in (v[CYCLES], w[CYCLES], goal.most_cycles):
            if not _at_most(v[ENERGY], one, w[ENERGY], two, v[CYCLES], w[CYCLES], at):
                return False
    for f in range(t.low.shape[0]):
        if t.low[f] > stage.level or settled >> f & 1:
            continue
        if t.low[f] == stage.level and stage.spatial:
            continue
        parts = parts_at(t, f)
        if v[FIRST + f] > w[FIRST + f] or v[parts] > w[parts]:
            return False
        if grid != other and not _grid_as_good(t, f, grid, other):
            return False
        at = window_at(t, f)
        if at >= 0 and not _window_as_good(v, w, at, grid == other):
            return False
    if goal.kind == ENERGY_ONLY and not t.leaks:
        return True
    for k in range(t.limited.shape[0]):
        if t.limited[k] < 0 or settled & t.touching[k] == t.touching[k]:
            continue
        reads = writes = 0.0
        for tensor in range(t.total.shape[0]):
            at = load_at(t, k, tensor)
            reads += w[at] - v[at]
            writes += w[at + 1] - v[at + 1]
        if reads < 0.0 or writes < 0.0:
            return False
    return True


@inner
def _grid_as_good(t: Tables, f: int, grid: int, other: int) -> bool:
    """Whether a flow costs no more on one grid than on the other, words and parts being equal."""
    for s in (t.low[f], t.high[f]):
        if s < 0:
            continue
        if t.used[grid, s + 1] > t.used[other, s + 1]:
            return False
        tensor = t.tensor[f]
        if t.read_write[tensor] and t.part[grid, tensor, s] < t.part[other, tensor, s]:
            return False
    return True


@inner
def _window_as_good(v: Floats, w: Floats, at: int, same_grid: bool) -> bool:
    """Whether the window of one label moves on as that of the other does."""
    on_grid = v[at + GRID_LEVEL] >= 0.0 or w[at + GRID_LEVEL] >= 0.0
    if (on_grid or v[at + BOUND_A] > 0.0 or w[at + BOUND_A] > 0.0) and not same_grid:
        return False
    settled = v[at + STATUS] == MOVES and w[at + STATUS] == MOVES
    if v[at + STATUS] == MIXED and w[at + STATUS] == MIXED and not on_grid:
        settled = True
    last = STATUS if not settled else Int(-1)
    for i in range(last + 1):
        if v[at + i] != w[at + i]:
            return False
    for i in range(STATUS + 1, WINDOW):
        if i == BELOW and settled:
            continue
        if (i > BELOW and not on_grid) or v[at + i] == w[at + i]:
            continue
        return False
    return True


@inner
def keep_label(
    t: Tables, goal: Goal, stage: Stage, x: Draft, out: Labels, first: int, count: int, tile: int
) -> int:
    """Append the draft to the labels ``first .. count`` of its tile unless one beats it.

    Those that it beats are marked as dead. Returns the new count.
    """
    moved, settled, loose, grid = x.moved[0], x.settled[0], x.loose[0], x.grid[0]
    for i in range(first, count):
        if (
            out.alive[i]
            and out.moved[i] == moved
            and out.settled[i] == settled
            and (not out.loose[i] or not t.exact)
            and beats(t, goal, stage, out.value[i], out.grid[i], x.value, grid, settled)
        ):
            return count
    if not loose or not t.exact:
        for i in range(first, count):
            if (
                out.alive[i]
                and out.moved[i] == moved
                and out.settled[i] == settled
                and beats(t, goal, stage, x.value, grid, out.value[i], out.grid[i], settled)
            ):
                out.alive[i] = False
    append(x, out, count, tile)
    return count + 1


@inner
def append(x: Draft, out: Labels, count: int, tile: int) -> None:
    """Write the draft as label number ``count``, of a tile."""
    out.tile[count] = tile
    out.grid[count] = x.grid[0]
    out.moved[count] = x.moved[0]
    out.settled[count] = x.settled[0]
    out.loose[count] = x.loose[0] != 0
    out.alive[count] = True
    for k in range(out.bound.shape[1]):
        out.bound[count, k] = x.bound[k]
    for i in range(x.value.shape[0]):
        out.value[count, i] = x.value[i]
