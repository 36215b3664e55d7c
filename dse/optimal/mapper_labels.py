"""Labels: partial mappings from the inside out to some tile, with all that the rest depends on.

A label's value row holds what is settled (energy, cycles) and, for flows that are not settled,
how many words one receiver has got so far (``S``), into how many different parts the words spread
(``G``), and how far the window of a tensor has moved. Counts are exact integers in float64.
Section numbers refer to ``docs/timeloop-rules.md``.
"""

from __future__ import annotations

import math
from math import gcd
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.model import arrays as a
from dse.model.jit import inner
from dse.model.links import may_link, set_reach
from dse.model.loops import Nest, new_nest
from dse.optimal.mapper_space import Tables

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Places of a value row: settled energy and cycles, then S and G of each flow, loads, windows.
ENERGY, CYCLES, FIRST = 0, 1, 2
#: Places of a window: refetch of the first move, the first move, moves along two window rows, the
#: window row that moves alone, status, spatial collision steps and bounds, tile below, level and
#: tile of the grid it runs on.
(
    PARTIAL, FIRST_MOVE, MOVED, MOVED_2, RUN, STATUS, STEP_A, STEP_B, BOUND_A, BOUND_B, BELOW,
    GRID_LEVEL, GRID_TILE, WINDOW,
) = range(14)  # fmt: skip
#: Status of a window: at rest; one row moves; several move; moved along a row of its own.
REST, RUNS, MIXED, MOVES = 0.0, 1.0, 2.0, 3.0


class Labels(NamedTuple):
    """Labels, a struct of arrays."""

    tile: Ints  # (N,)
    grid: npt.NDArray[np.int32]  # (N,)
    parent: npt.NDArray[np.int32]  # (N,)
    order: npt.NDArray[np.int32]  # (N,) row of the stage's orders
    moved: npt.NDArray[np.int32]  # (N,) bit set of flows whose tile has moved
    settled: npt.NDArray[np.int32]  # (N,) bit set
    loose: npt.NDArray[np.bool_]  # (N,) whether the values are bounds
    alive: npt.NDArray[np.bool_]  # (N,)
    bound: Floats  # (N, 2) least energy and cycles of what it can become
    value: Floats  # (N, V)


class Draft(NamedTuple):
    """The label at hand, and scratch."""

    value: Floats  # (V,)
    bits: Ints  # (4,) moved, settled, loose, grid
    extent: Floats  # (D,) of the tile it comes from
    factor: Floats  # (D,) of the loops that are added
    digit: Ints  # (D,)
    low_digit: Ints  # (D,)
    at: Ints  # (D,)
    other: Floats  # (D,)
    side: Floats  # (Q,)
    nest: Nest
    vector: Ints  # (N, Q)
    move: Ints  # (Q,)
    reach: Ints  # (Q,)
    total: Ints  # (Q,)
    bound: Floats  # (2,) least energy and cycles of what the label can become


def row_length(t: Tables) -> int:
    """Length of a value row."""
    loads = int(t.limited.max(initial=-1) + 1) * len(t.total) * 2
    return FIRST + 2 * len(t.low) + loads + WINDOW * int(t.window_flow.max(initial=-1) + 1)


def new_labels(count: int, t: Tables) -> Labels:
    """Allocate labels."""
    return Labels(
        np.zeros(count, np.int64),
        *(np.zeros(count, np.int32) for _ in range(5)),
        *(np.zeros(count, np.bool_) for _ in range(2)),
        np.zeros((count, 2)),
        np.zeros((count, row_length(t))),
    )


def new_draft(t: Tables) -> Draft:
    """Allocate a draft."""
    dimensions, ranks, levels = len(t.bound), t.coefficient.shape[1], len(t.block)
    nest = new_nest(levels, max(1, dimensions))
    return Draft(
        np.zeros(row_length(t)),
        np.zeros(4, np.int64),
        *(np.ones(dimensions) for _ in range(2)),
        *(np.zeros(dimensions, np.int64) for _ in range(3)),
        np.ones(dimensions),
        np.ones(ranks),
        nest,
        np.zeros((len(nest.bound), ranks), np.int64),
        *(np.zeros(ranks, np.int64) for _ in range(3)),
        np.zeros(2),
    )


@inner
def window_at(t: Tables, f: int) -> int:
    """Where the window of a flow starts in a value row; -1: it has none."""
    number = t.window_flow[f]
    if number < 0:
        return np.int64(-1)
    flows, tensors = t.low.shape[0], t.total.shape[0]
    levels = np.int64(0)
    for s in range(t.limited.shape[0]):
        levels += t.limited[s] >= 0
    return FIRST + 2 * flows + 2 * tensors * levels + WINDOW * number


@inner
def decode(t: Tables, tile: int, extent: Floats) -> None:
    """Write the extents of a tile."""
    for d in range(t.bound.shape[0]):
        extent[d] = t.divisor[d, (tile // t.stride[d]) % t.digit[d]]


@inner
def _nest_on_grid(t: Tables, x: Draft, f: int, s: int, grid: int, tile: int) -> None:
    """Lay out the spatial loops of level s over a tile, as the rules of links need them."""
    decode(t, tile, x.other)
    nest = x.nest
    count = np.int64(0)
    width = height = np.int64(1)
    nest.first[s] = 0
    nest.middle_x[s] = 0
    for axis in range(2):
        for p in range(t.axes.shape[1]):
            d = t.axes[s, p]
            n = np.int64(t.factor[grid, s, d])
            if n == 1 or t.on_y[grid, s, d] != (axis == 1):
                continue
            nest.bound[count] = n
            for q in range(x.move.shape[0]):
                x.vector[count, q] = t.coefficient[t.tensor[f], q, d] * np.int64(x.other[d])
            count += 1
            if axis == 0:
                width *= n
            else:
                height *= n
        if axis == 0:
            nest.middle_x[s] = count
    nest.middle[s] = count
    nest.width[s] = width
    nest.height[s] = height


@inner
def _loosen(t: Tables, x: Draft, f: int) -> None:
    """Count only the parts that no link can serve: those of rows that are no windows."""
    x.bits[2] = 1
    parts = 1.0
    for u in range(max(t.low[f], np.int64(-1)) + 1, t.high[f] + 1):
        for d in range(t.bound.shape[0]):
            q = t.row[t.tensor[f], d]
            if q >= 0 and t.window[t.tensor[f], q] < 0:
                parts *= t.factor[x.bits[3], u, d]
    x.value[FIRST + t.low.shape[0] + f] = parts


@inner
def _move_window(t: Tables, x: Draft, f: int, at: int, d: int, words: float) -> float:
    """Run one loop over a window (section 4); return the words after it."""
    v = x.value
    n = x.factor[d]
    tensor = t.tensor[f]
    q = t.row[tensor, d]
    status = v[at + STATUS]
    if q < 0:
        if status == REST:
            if t.version != a.HEAD and v[at + PARTIAL] < 0.0:
                v[at + PARTIAL] = 0.0
            return words
        _check_move(t, x, f, at, np.int64(-1), 0.0)
        return words * n
    step = t.coefficient[tensor, q, d] * x.extent[d]
    number = t.window[tensor, q]
    if number < 0:
        v[at + STATUS] = MOVES
        v[at + GRID_LEVEL] = -1.0
        return words * n
    if status == MIXED or (status == RUNS and v[at + RUN] != number):
        v[at + STATUS] = MIXED
        _check_move(t, x, f, at, number, step)
        v[at + MOVED + number] += step
        return words * n
    translation = step - v[at + MOVED + number]
    full, side = _below(t, x, f, at, q)
    if v[at + PARTIAL] < 0.0:
        v[at + FIRST_MOVE] = translation
        v[at + PARTIAL] = full - full / side * max(0.0, side - abs(translation))
        delta = v[at + PARTIAL]
        if delta == full:
            _check_move(t, x, f, at, number, step)
    elif translation == 0.0 and t.version == a.HEAD:
        delta = 0.0
    elif translation == v[at + FIRST_MOVE]:
        delta = v[at + PARTIAL]
        _check_move(t, x, f, at, number, step)
    else:
        delta = full
        _check_move(t, x, f, at, number, step)
    v[at + STATUS] = RUNS
    v[at + RUN] = number
    v[at + MOVED + number] += step
    return words * n - (n - 1.0) * (full - delta)


@inner
def _below(t: Tables, x: Draft, f: int, at: int, row: int) -> tuple[float, float]:
    """Words of the tile that moves, and its side along a row."""
    tensor = t.tensor[f]
    decode(t, np.int64(x.value[at + BELOW]), x.other)
    side = 1.0
    for d in range(t.bound.shape[0]):
        side += t.coefficient[tensor, row, d] * (x.other[d] - 1.0)
    return t.words[tensor, np.int64(x.value[at + BELOW])], side


@inner
def _check_move(t: Tables, x: Draft, f: int, at: int, number: int, step: float) -> None:
    """Loosen the flow where neighbours may hand the data of a move to each other (section 6).

    The move is ``step`` along a window row, less all moves before.
    """
    s = np.int64(x.value[at + GRID_LEVEL])
    if s < 0:
        return
    for q in range(x.move.shape[0]):
        w = t.window[t.tensor[f], q]
        x.move[q] = 0
        if w >= 0:
            x.move[q] = np.int64((step if w == number else 0.0) - x.value[at + MOVED + w])
    _nest_on_grid(t, x, f, s, x.bits[3], np.int64(x.value[at + GRID_TILE]))
    set_reach(x.nest, x.vector, s, x.reach)
    if may_link(
        x.nest, x.vector, s, max(t.fanout_x[s], x.nest.width[s]), x.move, x.reach, x.total
    ):
        _loosen(t, x, f)
        x.value[at + GRID_LEVEL] = -1.0


@inner
def _step_gcd(t: Tables, tensor: int, row: int, tile: int) -> int:
    """Greatest common divisor of the moves of a row that loops outside a tile can make."""
    result = np.int64(0)
    for d in range(t.bound.shape[0]):
        digit = (tile // t.stride[d]) % t.digit[d]
        if t.row[tensor, d] == row and digit < t.digit[d] - 1:
            result = gcd(result, t.coefficient[tensor, row, d] * t.divisor[d, digit])
    return result


@inner
def forget_links(t: Tables, x: Draft, f: int, tile: int) -> None:
    """Stop watching for links where no loops outside the tile can make one.

    The window must be at rest. All its later moves are multiples, in each row, of the greatest
    common divisor of the steps that are left.
    """
    at = window_at(t, f)
    if at < 0 or x.value[at + GRID_LEVEL] < 0.0 or x.value[at + STATUS] != REST:
        return
    if t.version != a.HEAD:
        return
    s = np.int64(x.value[at + GRID_LEVEL])
    tensor = t.tensor[f]
    _nest_on_grid(t, x, f, s, x.bits[3], np.int64(x.value[at + GRID_TILE]))
    one = two = np.int64(-1)
    for q in range(t.window.shape[1]):
        if t.window[tensor, q] == 0:
            one = q
        elif t.window[tensor, q] == 1:
            two = q
    step_one = _step_gcd(t, tensor, one, tile) if one >= 0 else np.int64(0)
    step_two = _step_gcd(t, tensor, two, tile) if two >= 0 else np.int64(0)
    set_reach(x.nest, x.vector, s, x.reach)
    most_one = x.reach[one] // step_one if step_one > 0 else np.int64(0)
    most_two = x.reach[two] // step_two if step_two > 0 else np.int64(0)
    width = max(t.fanout_x[s], x.nest.width[s])
    for q in range(x.move.shape[0]):
        x.move[q] = 0
    for i in range(most_one + 1):
        for j in range(-most_two, most_two + 1):
            if i == 0 and j == 0:
                continue
            if one >= 0:
                x.move[one] = i * step_one
            if two >= 0:
                x.move[two] = j * step_two
            if may_link(x.nest, x.vector, s, width, x.move, x.reach, x.total):
                return
    x.value[at + GRID_LEVEL] = -1.0


@inner
def run_loops(t: Tables, x: Draft, order: npt.NDArray[np.int8], s: int, whole: float) -> None:
    """Extend all flows from below level s by its temporal loops, whose factors are in the draft.

    ``whole`` is the product of the factors.
    """
    v = x.value
    for f in range(t.low.shape[0]):
        if t.low[f] >= s or x.bits[1] >> f & 1:
            continue
        at = window_at(t, f)
        if t.low[f] < 0 or (x.bits[0] >> f & 1 and (at < 0 or v[at + GRID_LEVEL] < 0.0)):
            v[FIRST + f] *= whole
            continue
        words = v[FIRST + f]
        moves = False
        for p in range(order.shape[0]):
            d = np.int64(order[p])
            if d < 0:
                break
            if at >= 0:
                if v[at + STATUS] == MOVES:
                    words *= x.factor[d]
                else:
                    words = _move_window(t, x, f, at, d, words)
            else:
                moves |= t.row[t.tensor[f], d] >= 0
                if moves:
                    words *= x.factor[d]
        v[FIRST + f] = words
        if at >= 0:
            moves = v[at + STATUS] == MOVES or v[at + STATUS] == MIXED
        if moves:
            x.bits[0] |= 1 << f


@inner
def start_flow(t: Tables, x: Draft, f: int, tile: int) -> None:
    """Begin a flow: one receiver holds its tile once."""
    v = x.value
    v[FIRST + f] = t.words[t.tensor[f], tile]
    v[FIRST + t.low.shape[0] + f] = 1.0
    x.bits[0] &= ~(1 << f)
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
    grid = x.bits[3]
    v = x.value
    flows = t.low.shape[0]
    for f in range(flows):
        if t.low[f] >= s or t.high[f] < s or x.bits[1] >> f & 1:
            continue
        tensor = t.tensor[f]
        parts = 1.0
        at = window_at(t, f)
        watched = False
        for q in range(t.window.shape[1]):
            n1 = n2 = 1.0
            v1 = v2 = 1.0
            for d in range(t.bound.shape[0]):
                n = float(t.factor[grid, s, d])
                if t.row[tensor, d] != q or n == 1.0:
                    continue
                watched |= t.window[tensor, q] >= 0
                if n1 == 1.0:
                    n1, v1 = n, t.coefficient[tensor, q, d] * x.extent[d]
                elif n2 == 1.0:
                    n2, v2 = n, t.coefficient[tensor, q, d] * x.extent[d]
                else:
                    watched = True
                    x.bits[2] = 1
                    n1, n2 = max(n1, n2), 1.0
            if n2 > 1.0:
                g = gcd(np.int64(v1), np.int64(v2))
                step_a, step_b = v1 // g, v2 // g
                parts *= n1 * n2 - max(0.0, n1 - step_b) * max(0.0, n2 - step_a)
                if at >= 0 and s == t.low[f] + 1:
                    if v[at + BOUND_A] > 0.0:
                        x.bits[2] = 1  # two windows collide: bounded below
                        v[at + BOUND_A] = -1.0
                    else:
                        v[at + STEP_A], v[at + STEP_B] = step_a, step_b
                        v[at + BOUND_A], v[at + BOUND_B] = n1, n2
            else:
                parts *= n1
        # links between MACs may leave nothing to read
        v[FIRST + flows + f] *= parts if s > 0 else 0.0
        if watched and s > 0:
            if s != t.low[f] + 1:
                _loosen(t, x, f)
            elif at >= 0:
                v[at + GRID_LEVEL] = s
                v[at + GRID_TILE] = tile


@inner
def _spread_fills(t: Tables, x: Draft, f: int, at: int, words: float) -> float:
    """Words that a receiver of a window gets, as Timeloop adds the shares up (section 7, 2)."""
    v = x.value
    s = t.low[f] + 1
    fan = t.fan[x.bits[3], s]
    if x.bits[2] != 0 and fan > 1.0:
        return math.floor(words / fan)
    n1, n2 = v[at + BOUND_A], v[at + BOUND_B]
    if n1 <= 0.0:
        return math.floor(words)
    step_a, step_b = v[at + STEP_A], v[at + STEP_B]
    groups = np.int64(1)
    multicast = np.int64(1)
    tensor = t.tensor[f]
    for d in range(t.bound.shape[0]):
        n = np.int64(t.factor[x.bits[3], s, d])
        q = t.row[tensor, d]
        if q < 0:
            multicast *= n
        else:
            mates = 0
            for e in range(t.bound.shape[0]):
                mates += t.row[tensor, e] == q and t.factor[x.bits[3], s, e] > 1
            if mates < 2:
                groups *= n
    share = 0.0
    m = 1.0
    while max(0.0, n1 - (m - 1.0) * step_b) * max(0.0, n2 - (m - 1.0) * step_a) > 0.0:
        count = 0.0
        for k in range(3):
            size = m - 1.0 + k
            pairs = max(0.0, n1 - size * step_b) * max(0.0, n2 - size * step_a)
            count += pairs * (-2.0 if k == 1 else 1.0)
        if count > 0.0:
            share += (count * groups * words * (m * multicast)) / fan
        m += 1.0
    return math.floor(share)


@inner
def _add_load(t: Tables, x: Draft, s: int, tensor: int, reads: float, writes: float) -> None:
    if t.limited[s] >= 0:
        at = FIRST + 2 * t.low.shape[0] + 2 * (t.limited[s] * t.total.shape[0] + tensor)
        x.value[at] += reads
        x.value[at + 1] += writes


@inner
def _settle(t: Tables, x: Draft, f: int, words: float) -> None:
    """Price a flow whose receivers get ``words`` each over the whole run (sections 7, 9, 10)."""
    tensor, low, high, grid = t.tensor[f], t.low[f], t.high[f], x.bits[3]
    flows = t.low.shape[0]
    content = words * x.value[FIRST + flows + f]
    used = t.used[grid, high + 1]
    pay = min(used, t.clusters[high])
    pj = 0.0
    if t.read_write[tensor]:
        content = max(content, t.part[grid, tensor, high])
        reads = content - t.part[grid, tensor, high]
        pj = math.ceil(content / t.block[high]) * t.update_pj[high]
        pj += math.ceil(reads / t.block[high]) * t.read_pj[high]
        _add_load(t, x, high, tensor, reads, content)
    else:
        pj = math.ceil(content / t.block[high]) * t.read_pj[high]
        _add_load(t, x, high, tensor, content, 0.0)
    x.value[ENERGY] += (pj + content * t.address_pj[high]) * pay
    if low >= 0:
        at = window_at(t, f)
        fills = words
        if t.read_write[tensor]:
            fills -= t.part[grid, tensor, low] if t.elided[f] else 0.0
        elif at >= 0:
            fills = _spread_fills(t, x, f, at, words)
        pay = min(t.used[grid, low + 1], t.clusters[low])
        pj = math.ceil(fills / t.block[low]) * t.fill_pj[low] + fills * t.address_pj[low]
        x.value[ENERGY] += pj * pay
        _add_load(t, x, low, tensor, 0.0, fills)
    x.bits[1] |= 1 << f


@inner
def _level_cycles(t: Tables, x: Draft, s: int, iterations: float) -> float:
    """Cycles of a level (section 9), added in the model's order."""
    tensors = t.total.shape[0]
    at = FIRST + 2 * t.low.shape[0] + 2 * t.limited[s] * tensors
    reads = writes = 0.0
    for tensor in range(tensors):
        reads += x.value[at + 2 * tensor] / iterations
        writes += x.value[at + 2 * tensor + 1] / iterations
    slow = 1.0
    if t.bandwidth[0, s] < reads:
        slow = min(slow, t.bandwidth[0, s] / reads)
    if t.bandwidth[1, s] < writes:
        slow = min(slow, t.bandwidth[1, s] / writes)
    if t.bandwidth[2, s] < writes + reads:
        slow = min(slow, t.bandwidth[2, s] / (writes + reads))
    return math.ceil(iterations / slow)


@inner
def settle_flows(t: Tables, x: Draft, s: int, tile: int) -> None:
    """Price the flows from below ``s + 1`` that the loops outside can only multiply.

    There must be no spatial loops outside.
    """
    before = x.bits[1]
    v = x.value
    outside = t.outside[tile]
    for f in range(t.low.shape[0]):
        if t.low[f] > s or x.bits[1] >> f & 1:
            continue
        tensor = t.tensor[f]
        at = window_at(t, f)
        words = v[FIRST + f]
        still = t.moves[tensor, tile] == 1.0 and t.rest[tensor, tile] == 1.0
        if t.low[f] < 0 or (x.bits[0] >> f & 1 and (at < 0 or v[at + GRID_LEVEL] < 0.0)):
            words *= outside
        elif not (still and _complete(t, tensor, tile)):
            continue
        elif at >= 0 and v[at + STATUS] != REST:
            words *= outside
            if outside > 1.0:
                _check_move(t, x, f, at, np.int64(-1), 0.0)
        _settle(t, x, f, words)
    iterations = t.macs / t.used[x.bits[3], 0]
    v[CYCLES] = max(v[CYCLES], iterations)
    for k in range(t.limited.shape[0]):
        ready = t.touching[k] & x.bits[1] == t.touching[k]
        if t.limited[k] >= 0 and ready and t.touching[k] & before != t.touching[k]:
            v[CYCLES] = max(v[CYCLES], _level_cycles(t, x, k, iterations))


@inner
def _complete(t: Tables, tensor: int, tile: int) -> bool:
    """Whether no loop outside the tile moves the tensor."""
    for d in range(t.bound.shape[0]):
        if t.row[tensor, d] >= 0 and (tile // t.stride[d]) % t.digit[d] != t.digit[d] - 1:
            return False
    return True
