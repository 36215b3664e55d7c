"""How the loops of a level, in time and in space, extend the flows from below it."""

from __future__ import annotations

from math import gcd

import numpy as np
import numpy.typing as npt

from dse.jit import inner
from dse.mappers.exact.labels import (
    BELOW,
    BOUND_A,
    BOUND_B,
    FIRST,
    GRID_LEVEL,
    GRID_TILE,
    MIXED,
    MOVES,
    PARTIAL,
    RUN,
    STATUS,
    STEP_A,
    STEP_B,
    WINDOW,
    Draft,
    parts_at,
    window_at,
)
from dse.mappers.exact.tables import Int, Tables
from dse.mappers.exact.windows import loosen, move_window
from dse.model import rules


@inner
def run_loops(t: Tables, x: Draft, order: npt.NDArray[np.int8], s: int, whole: float) -> None:
    """Extend all flows from below level s by its temporal loops, whose factors are in the draft.

    ``whole`` is the product of the factors.
    """
    v = x.value
    for f in range(t.low.shape[0]):
        if t.low[f] >= s or x.settled[0] >> f & 1:
            continue
        at = window_at(t, f)
        if t.low[f] < 0 or (x.moved[0] >> f & 1 and (at < 0 or v[at + GRID_LEVEL] < 0.0)):
            v[FIRST + f] *= whole
            continue
        words = v[FIRST + f]
        moves = False
        for p in range(order.shape[0]):
            d = Int(order[p])
            if d < 0:
                break
            if at >= 0:
                if v[at + STATUS] == MOVES:
                    words *= x.factor[d]
                else:
                    words = move_window(t, x, f, at, d, words)
            else:
                moves |= t.row[t.tensor[f], d] >= 0
                if moves:
                    words *= x.factor[d]
        v[FIRST + f] = words
        if at >= 0:
            moves = v[at + STATUS] == MOVES or v[at + STATUS] == MIXED
        if moves:
            x.moved[0] |= 1 << f


@inner
def start_flow(t: Tables, x: Draft, f: int, tile: int) -> None:
    """Begin a flow: one receiver holds its tile once."""
    v = x.value
    v[FIRST + f] = t.words[t.tensor[f], tile]
    v[parts_at(t, f)] = 1.0
    x.moved[0] &= ~(1 << f)
    at = window_at(t, f)
    if at >= 0:
        for i in range(WINDOW):
            v[at + i] = 0.0
        v[at + PARTIAL] = -1.0
        v[at + RUN] = -1.0
        v[at + BELOW] = tile
        v[at + GRID_LEVEL] = -1.0


@inner
def spread_out(t: Tables, x: Draft, s: int, tile: int) -> None:
    """Extend all flows by the spatial loops of level s over a tile; the grid is in the draft."""
    grid = x.grid[0]
    v = x.value
    loops = Int(0)
    elements = 1.0
    for d in range(t.bound.shape[0]):
        if t.factor[grid, s, d] != 1:
            x.spread[loops] = d
            loops += 1
            elements *= float(t.factor[grid, s, d])
    for f in range(t.low.shape[0]):
        if t.low[f] >= s or t.high[f] < s or x.settled[0] >> f & 1:
            continue
        tensor = t.tensor[f]
        parts = 1.0
        at = window_at(t, f)
        watched = False
        for q in range(t.window.shape[1]):
            n1 = n2 = 1.0
            v1 = v2 = 1.0
            for k in range(loops):
                d = x.spread[k]
                if t.row[tensor, d] != q:
                    continue
                n = float(t.factor[grid, s, d])
                watched |= t.window[tensor, q] >= 0
                if n1 == 1.0:
                    n1, v1 = n, t.coefficient[tensor, q, d] * x.extent[d]
                elif n2 == 1.0:
                    n2, v2 = n, t.coefficient[tensor, q, d] * x.extent[d]
                else:
                    watched = True
                    x.loose[0] = 1
                    n1, n2 = max(n1, n2), 1.0
            if n2 > 1.0:
                g = gcd(Int(v1), Int(v2))
                step_a, step_b = v1 // g, v2 // g
                parts *= rules.distinct_offsets(n1, n2, step_a, step_b)
                if at >= 0 and s == t.low[f] + 1:
                    if v[at + BOUND_A] > 0.0:
                        x.loose[0] = 1  # two windows collide: bounded below
                        v[at + BOUND_A] = -1.0
                    else:
                        v[at + STEP_A], v[at + STEP_B] = step_a, step_b
                        v[at + BOUND_A], v[at + BOUND_B] = n1, n2
            else:
                parts *= n1
        # links between MACs may leave nothing to read
        v[parts_at(t, f)] *= parts if s > 0 else 0.0
        if watched and s > 0:
            if s != t.low[f] + 1:
                if parts < elements:  # else each reads for itself, links or not (section 7, 3)
                    loosen(t, x, f)
            elif at >= 0:
                v[at + GRID_LEVEL] = s
                v[at + GRID_TILE] = tile
