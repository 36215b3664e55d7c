"""Windows: how loops move the tile of a tensor whose rows two dimensions share, and links."""

from __future__ import annotations

from math import gcd

from dse.jit import inner
from dse.mappers.exact.labels import (
    BELOW,
    FIRST_MOVE,
    GRID_LEVEL,
    GRID_TILE,
    MIXED,
    MOVED,
    MOVES,
    PARTIAL,
    REST,
    RUN,
    RUNS,
    STATUS,
    Draft,
    decode,
    parts_at,
    window_at,
)
from dse.mappers.exact.tables import Int, Tables
from dse.model import rules
from dse.model.links import is_near, may_link, set_reach


@inner
def _nest_on_grid(t: Tables, x: Draft, f: int, s: int, grid: int, tile: int) -> None:
    """Lay out the spatial loops of level s over a tile, as the rules of links need them."""
    decode(t, tile, x.other)
    nest = x.nest
    count = Int(0)
    width = height = Int(1)
    nest.first[s] = 0
    nest.middle_x[s] = 0
    for axis in range(2):
        for p in range(t.axes.shape[1]):
            d = t.axes[s, p]
            n = Int(t.factor[grid, s, d])
            if n == 1 or t.on_y[grid, s, d] != (axis == 1):
                continue
            nest.bound[count] = n
            for q in range(x.move.shape[0]):
                x.vector[count, q] = t.coefficient[t.tensor[f], q, d] * Int(x.other[d])
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
def parts_without_links(t: Tables, f: int, grid: int) -> float:
    """Parts of a window's flow, spread on a grid, that no link serves, whatever the move; at least.

    Who is served lies one move from a neighbour, along rows of windows. Of the parts that follow
    one another in steps of a move the last has no link, and they are no more than lie along one
    row. Among MACs nothing may be left.

    Above a level that the tensor bypasses no link spares a read: what that level asks for is spread
    over the elements that are left (section 7, 3), so a read serves no more of them than lie in one
    place of the tensor, and these are at most all but those along the longest loop of each row.
    """
    parts = 1.0
    tensor = t.tensor[f]
    for u in range(t.low[f] + 1, t.high[f] + 1):
        one = two = 1.0
        for d in range(t.bound.shape[0]):
            n = float(t.factor[grid, u, d])
            q = t.row[tensor, d]
            if u == 0 and n > 1.0:
                return 0.0
            if q < 0:
                continue
            if t.window[tensor, q] < 0:
                parts *= n
            elif t.window[tensor, q] == 0:
                one = max(one, n)
            else:
                two = max(two, n)
        parts *= min(one, two) if u == t.low[f] + 1 else one * two
    return parts


@inner
def loosen(t: Tables, x: Draft, f: int) -> None:
    """Count only the parts that no link can serve."""
    x.loose[0] = 1
    x.value[parts_at(t, f)] = parts_without_links(t, f, x.grid[0])


@inner
def move_window(t: Tables, x: Draft, f: int, at: int, d: int, words: float) -> float:
    """Run one loop over a window (section 4); return the words after it."""
    v = x.value
    n: float = x.factor[d]
    tensor = t.tensor[f]
    q = t.row[tensor, d]
    status = v[at + STATUS]
    if q < 0:
        if status == REST:
            if not rules.zero_moves_are_free(t.version) and v[at + PARTIAL] < 0.0:
                v[at + PARTIAL] = 0.0
            return words
        check_move(t, x, f, at, Int(-1), 0.0)
        return words * n
    step = t.coefficient[tensor, q, d] * x.extent[d]
    number = t.window[tensor, q]
    if number < 0:
        v[at + STATUS] = MOVES
        v[at + GRID_LEVEL] = -1.0
        return words * n
    if status == MIXED or (status == RUNS and v[at + RUN] != number):
        v[at + STATUS] = MIXED
        check_move(t, x, f, at, number, step)
        v[at + MOVED + number] += step
        return words * n
    translation = step - v[at + MOVED + number]
    full, side = _below(t, x, f, at, q)
    delta: float
    if v[at + PARTIAL] < 0.0:
        delta = rules.refetch(full, full / side, side, translation)
        v[at + FIRST_MOVE], v[at + PARTIAL] = translation, delta
        if delta == full:
            check_move(t, x, f, at, number, step)
    else:
        still, repeats = translation == 0.0, translation == v[at + FIRST_MOVE]
        delta = rules.later_delta(t.version, still, repeats, v[at + PARTIAL], full)
        if not (still and rules.zero_moves_are_free(t.version)):
            check_move(t, x, f, at, number, step)
    v[at + STATUS] = RUNS
    v[at + RUN] = number
    v[at + MOVED + number] += step
    # section 4 from the inside out: one more loop multiplies the weights of all inside it
    return words * n - (n - 1.0) * (full - delta)


@inner
def _below(t: Tables, x: Draft, f: int, at: int, row: int) -> tuple[float, float]:
    """Words of the tile that moves, and its side along a row."""
    tensor = t.tensor[f]
    decode(t, Int(x.value[at + BELOW]), x.other)
    words: float = t.words[tensor, Int(x.value[at + BELOW])]
    side = 1.0
    for d in range(t.bound.shape[0]):
        side += rules.stretch(float(t.coefficient[tensor, row, d]), x.other[d])
    return words, side


@inner
def check_move(t: Tables, x: Draft, f: int, at: int, number: int, step: float) -> None:
    """Loosen the flow where neighbours may hand the data of a move to each other (section 6).

    The move is ``step`` along a window row, less all moves before.
    """
    s = Int(x.value[at + GRID_LEVEL])
    if s < 0:
        return
    for q in range(x.move.shape[0]):
        w = t.window[t.tensor[f], q]
        x.move[q] = 0
        if w >= 0:
            x.move[q] = Int((step if w == number else 0.0) - x.value[at + MOVED + w])
    _nest_on_grid(t, x, f, s, x.grid[0], Int(x.value[at + GRID_TILE]))
    set_reach(x.nest, x.vector, s, x.reach)
    if _any_may_link(t, x, s):
        loosen(t, x, f)
        x.value[at + GRID_LEVEL] = -1.0


@inner
def _any_may_link(t: Tables, x: Draft, s: int) -> bool:
    """Whether neighbours may differ by the move, on any of the hardware that is stood for."""
    if t.fanout_x.shape[1] == 0:
        return True
    if not is_near(x.move, x.reach):
        return False
    before = Int(0)
    for i in range(t.fanout_x.shape[1]):
        width = rules.grid_side(t.fanout_x[s, i], x.nest.width[s])
        if width != before and may_link(x.nest, x.vector, s, width, x.move, x.total):
            return True
        before = width
    return False


@inner
def _step_gcd(t: Tables, x: Draft, tensor: int, row: int) -> int:
    """Greatest common divisor of the moves of a row that loops outside the tile can make."""
    result: int = Int(0)
    for d in range(t.bound.shape[0]):
        digit = x.digit[d]
        if t.row[tensor, d] == row and digit < t.digit[d] - 1:
            result = gcd(result, t.coefficient[tensor, row, d] * t.divisor[d, digit])
    return result


@inner
def forget_links(t: Tables, x: Draft, f: int) -> None:
    """Stop watching for links where no loops outside the tile can make one.

    The window must be stationary. All its later moves are multiples, in each row, of the greatest
    common divisor of the steps that are left.
    """
    at = window_at(t, f)
    if at < 0 or x.value[at + GRID_LEVEL] < 0.0 or x.value[at + STATUS] != REST:
        return
    if t.fanout_x.shape[1] == 0 or not rules.zero_moves_are_free(t.version):
        return
    s = Int(x.value[at + GRID_LEVEL])
    tensor = t.tensor[f]
    _nest_on_grid(t, x, f, s, x.grid[0], Int(x.value[at + GRID_TILE]))
    one = two = Int(-1)
    for q in range(t.window.shape[1]):
        if t.window[tensor, q] == 0:
            one = q
        elif t.window[tensor, q] == 1:
            two = q
    step_one = _step_gcd(t, x, tensor, one) if one >= 0 else Int(0)
    step_two = _step_gcd(t, x, tensor, two) if two >= 0 else Int(0)
    set_reach(x.nest, x.vector, s, x.reach)
    most_one = x.reach[one] // step_one if step_one > 0 else Int(0)
    most_two = x.reach[two] // step_two if step_two > 0 else Int(0)
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
            if _any_may_link(t, x, s):
                return
    x.value[at + GRID_LEVEL] = -1.0
