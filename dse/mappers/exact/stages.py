"""One stage of the search: all labels before the loops of a level to all labels after them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inner, tiered
from dse.mappers.exact.bounds import (
    FRONT,
    ROUNDING,
    Goal,
    hopeless,
    least_iterations,
    set_bound,
    set_bound_of_tails,
    value_of,
)
from dse.mappers.exact.dominance import append, keep_label
from dse.mappers.exact.flows import run_loops, spread_out, start_flow
from dse.mappers.exact.labels import (
    HELD,
    REST,
    RUN,
    RUNS,
    STATUS,
    Draft,
    Labels,
    window_at,
)
from dse.mappers.exact.settle import settle_flows
from dse.mappers.exact.tables import Int, Stage, Tables
from dse.mappers.exact.tails import set_tails
from dse.mappers.exact.ways import set_ways, start_energy
from dse.mappers.exact.windows import forget_links
from dse.numeric import Floats, Ints

#: Places of the tally: labels dropped by bounds, extensions tried.
DROPPED, TRIED = 0, 1


@inner
def _load(labels: Labels, i: int, x: Draft) -> None:
    for k in range(x.value.shape[0]):
        x.value[k] = labels.value[i, k]
    x.moved[0], x.settled[0] = labels.moved[i], labels.settled[i]
    x.loose[0], x.grid[0] = labels.loose[i], labels.grid[i]


@tiered
def bound_start(t: Tables, goal: Goal, root: Stage, labels: Labels, x: Draft) -> None:
    """Set the bound of the label that all others come from."""
    _load(labels, Int(0), x)
    if root.last_spatial:
        set_ways(t, x, Int(0))
    set_bound(t, goal, x, root, Int(0))
    for k in range(labels.bound.shape[1]):
        labels.bound[0, k] = x.bound[k]


@inner
def _offer(
    t: Tables, goal: Goal, stage: Stage, x: Draft, out: Labels, first: int, count: int,
    tile: int, parent: int, order: int, least: Floats, tally: Ints,
) -> int:  # fmt: skip
    """Keep the draft unless it is hopeless; return the number of labels."""
    tally[TRIED] += 1
    set_bound(t, goal, x, stage, tile)
    if stage.tail.ahead.shape[0] > 0 and not hopeless(goal, x.bound[1], x.bound[0]):
        if x.tails[0] < 0:
            set_tails(t, stage.tail, x, tile)
        set_bound_of_tails(t, x)
    if hopeless(goal, x.bound[1], x.bound[0]):
        tally[DROPPED] += 1
        least[0] = min(least[0], value_of(goal.kind, x.bound[1], x.bound[0]))
        return count
    if stage.final and goal.kind != FRONT:
        # nothing follows: of the points that are real the best is enough
        value = value_of(goal.kind, x.bound[1], x.bound[0])
        if value >= x.reached[0]:
            return count
        if x.loose[0] == 0 and t.exact:
            x.reached[0] = value
        append(x, out, count, tile)
        after = count + 1
    else:
        after = keep_label(t, goal, stage, x, out, first, count, tile)
    if after > count:
        out.parent[count] = parent
        out.order[count] = order
    return after


@inner
def _close(out: Labels, first: int, count: int) -> int:
    """Move the labels that are alive together; return the new count."""
    to = first
    for i in range(first, count):
        if not out.alive[i]:
            continue
        if to < i:
            out.tile[to], out.grid[to], out.parent[to] = out.tile[i], out.grid[i], out.parent[i]
            out.order[to], out.moved[to] = out.order[i], out.moved[i]
            out.settled[to], out.loose[to], out.alive[to] = out.settled[i], out.loose[i], True
            for k in range(out.bound.shape[1]):
                out.bound[to, k] = out.bound[i, k]
            for k in range(out.value.shape[1]):
                out.value[to, k] = out.value[i, k]
        to += 1
    return to


@inner
def _states(t: Tables, x: Draft, s: int) -> tuple[int, int]:
    """Tensors of which some flow is stationary, and window rows that alone have moved in some."""
    resting = Int(0)
    moving = Int(0)
    for f in range(t.low.shape[0]):
        if t.low[f] < 0 or t.low[f] >= s or x.settled[0] >> f & 1:
            continue
        at = window_at(t, f)
        if at >= 0:
            if x.value[at + STATUS] == REST:
                resting |= 1 << t.tensor[f]
            elif x.value[at + STATUS] == RUNS:
                moving |= 1 << Int(x.value[at + RUN])
        elif not x.moved[0] >> f & 1:
            resting |= 1 << t.tensor[f]
    return resting, moving


@inner
def _repeats(t: Tables, x: Draft, order: npt.NDArray[np.int8], s: int) -> bool:
    """Whether, in a stationary window, a later move of one row repeats the first or is zero."""
    for f in range(t.low.shape[0]):
        at = window_at(t, f)
        if at < 0 or t.low[f] < 0 or t.low[f] >= s or x.value[at + STATUS] != REST:
            continue
        if x.settled[0] >> f & 1:
            continue
        tensor = t.tensor[f]
        row = Int(-1)
        first = moved = 0.0
        for p in range(order.shape[0]):
            d = Int(order[p])
            if d < 0:
                break
            q = t.row[tensor, d]
            if q < 0:
                continue
            if row >= 0 and q != row:
                break
            step = t.coefficient[tensor, q, d] * x.extent[d]
            if row < 0:
                first = step
            elif step - moved == 0.0 or step - moved == first:
                return True
            row = q
            moved += step
    return False


@inner
def _rest_of(x: Draft, order: npt.NDArray[np.int8]) -> float:
    whole = 1.0
    for p in range(order.shape[0]):
        if order[p] >= 0:
            whole *= x.factor[order[p]]
    return whole


@inner
def _held(t: Tables, x: Draft, s: int, tile: int) -> float:
    """Words that a buffer's parts up to level s hold, of which the draft has those inside it."""
    held: float = x.value[HELD]
    for tensor in range(t.total.shape[0]):
        if t.kept[s, tensor]:
            held += t.words[tensor, tile]
    return held


@inner
def _extend(
    t: Tables, goal: Goal, stage: Stage, labels: Labels, i: int, x: Draft, out: Labels,
    first: int, count: int, tile: int, mask: int, least: Floats, tally: Ints,
) -> int:  # fmt: skip
    """Run the loops of a level, whose factors are in the draft, in every order that matters."""
    s = stage.level
    _load(labels, i, x)
    held = 0.0
    if t.room[s] >= 0.0:
        held = _held(t, x, s, tile)
        if held > t.room[s]:
            return count
        if s + 1 == t.bank.shape[0] or t.bank[s + 1] != t.bank[s]:
            held = 0.0
    resting, moving = _states(t, x, s)
    begin, end = stage.first[mask, resting, moving], stage.first[mask, resting, moving + 1]
    changed = False
    for o in range(begin, end):
        order = stage.loops[o]
        if changed:
            _load(labels, i, x)
            changed = False
        if stage.spare[o] and not _repeats(t, x, order, s):
            continue
        changed = True
        x.value[HELD] = held
        run_loops(t, x, order, s, _rest_of(x, order))
        for f in range(t.low.shape[0]):
            if t.low[f] == s:
                start_flow(t, x, f, tile)
            elif t.low[f] < s:
                forget_links(t, x, f)
        if stage.last_spatial:
            settle_flows(t, x, s, tile)
        count = _offer(t, goal, stage, x, out, first, count, tile, i, o, least, tally)
    return count


@inner
def _next_source(t: Tables, stage: Stage, x: Draft, start: Ints, d: int) -> bool:
    """Step on to a tile that has labels; ``d`` is the dimension whose digit is tried next.

    Tiles that share their first digits follow one another, so that a glance at ``start`` says
    whether any of them has labels.
    """
    dimensions = Int(x.digit.shape[0])
    if dimensions == 0:
        x.at_tile[0] = 0
        return d == 0 and start[1] > start[0]
    while d >= 0:
        digit = stage.source[d, x.digit[d], x.at[d]]
        if digit < 0:
            d -= 1
            if d >= 0:
                x.at[d] += 1
            continue
        low = digit * t.stride[d]
        if d > 0:
            low += x.at_tile[d - 1]
        if start[low] == start[low + t.stride[d]]:
            x.at[d] += 1
            continue
        x.low_digit[d] = digit
        x.at_tile[d] = low
        if d == dimensions - 1:
            return True
        d += 1
        x.at[d] = 0
    return False


@tiered
def temporal_into(
    t: Tables, goal: Goal, stage: Stage, labels: Labels, start: Ints, x: Draft, out: Labels,
    count: int, tiles: Ints, begin: int, end: int, least: Floats, tally: Ints, halt: Ints,
    most: int,
) -> tuple[int, int]:  # fmt: skip
    """Run the temporal loops of a level to tiles ``tiles[begin:end]``.

    ``start (tiles + 1,)`` says where the labels of each tile begin. Stops early where ``out`` has
    no room for another tile's labels. Returns the number of labels and the next place in
    ``tiles``, -1 where ``halt (1,)`` was set, or more than ``most`` extensions were tried;
    ``least (1,)`` takes the least bound dropped, ``tally (2,)`` the call's counts.
    """
    tally[:] = 0
    room = out.tile.shape[0]
    dimensions = Int(x.digit.shape[0])
    for place in range(begin, end):
        tile = tiles[place]
        for d in range(x.digit.shape[0]):
            x.digit[d] = (tile // t.stride[d]) % t.digit[d]
        first, before = count, tally[TRIED]
        x.reached[0] = np.inf
        if dimensions > 0:
            x.at[0] = 0
        more = _next_source(t, stage, x, start, Int(0))
        if not more:
            continue
        if stage.last_spatial:
            set_ways(t, x, tile)
            x.tails[0] = -1
        later = stage.later[tile] + start_energy(t, x, stage.level, tile, stage.last_spatial)
        while more:
            low = x.at_tile[max(Int(0), dimensions - 1)]
            mask = Int(0)
            for d in range(x.digit.shape[0]):
                x.extent[d] = t.divisor[d, x.low_digit[d]]
                x.factor[d] = t.divisor[d, x.digit[d]] / x.extent[d]
                mask |= (x.factor[d] > 1.0) << d
            for i in range(start[low], start[low + 1]):
                if halt[0] != 0 or tally[TRIED] > most:
                    return first, Int(-1)
                cycles = labels.bound[i, 1]
                energy = labels.bound[i, 2] + later
                if hopeless(goal, cycles, energy):
                    tally[DROPPED] += 1
                    least[0] = min(least[0], value_of(goal.kind, cycles, energy))
                    continue
                if count + stage.most_orders >= room:
                    tally[TRIED] = before  # the tile is begun again
                    return first, place
                count = _extend(
                    t, goal, stage, labels, i, x, out, first, count, tile, mask, least, tally
                )
            if dimensions > 0:
                x.at[dimensions - 1] += 1
            more = _next_source(t, stage, x, start, dimensions - 1)
        count = _close(out, first, count)
    return count, end


@tiered
def spatial_into(
    t: Tables, goal: Goal, stage: Stage, labels: Labels, start: Ints, x: Draft, out: Labels,
    count: int, tiles: Ints, begin: int, end: int, least: Floats, tally: Ints, halt: Ints,
    most: int,
) -> tuple[int, int]:  # fmt: skip
    """Run the spatial loops of a level; as :func:`temporal_into`."""
    tally[:] = 0
    room = out.tile.shape[0]
    for place in range(begin, end):
        tile = tiles[place]
        for d in range(x.digit.shape[0]):
            x.digit[d] = (tile // t.stride[d]) % t.digit[d]
        first, before = count, tally[TRIED]
        ready = not stage.last_spatial
        for vector in range(stage.vectors.shape[0]):
            low = Int(0)
            for d in range(x.digit.shape[0]):
                digit = stage.source[vector, d, x.digit[d]]
                if digit < 0:
                    low = Int(-1)
                    break
                low += digit * t.stride[d]
                x.extent[d] = t.divisor[d, digit]
            if low < 0 or start[low] == start[low + 1]:
                continue
            if not ready:
                set_ways(t, x, tile)
                x.tails[0] = -1
                ready = True
            for i in range(start[low], start[low + 1]):
                if halt[0] != 0 or tally[TRIED] > most:
                    return first, Int(-1)
                cycles = labels.bound[i, 1]
                energy = labels.bound[i, 2] + stage.later[tile]
                if hopeless(goal, cycles, energy):
                    tally[DROPPED] += 1
                    least[0] = min(least[0], value_of(goal.kind, cycles, energy))
                    continue
                if count + 1 >= room:
                    tally[TRIED] = before
                    return first, place
                grid = stage.child[labels.grid[i]] + vector
                if t.used[grid, 0] > t.most_macs:
                    continue
                cycles = max(cycles, least_iterations(t, stage, grid) + t.latency)
                value = value_of(goal.kind, cycles, energy)
                if value * (1.0 - ROUNDING) >= least[0] and hopeless(goal, cycles, energy):
                    # its own bound, which takes long, is no less
                    tally[TRIED] += 1
                    tally[DROPPED] += 1
                    continue
                _load(labels, i, x)
                x.grid[0] = grid
                spread_out(t, x, stage.level, low)
                for f in range(t.low.shape[0]):
                    if t.low[f] < stage.level:
                        forget_links(t, x, f)
                if stage.last_spatial:
                    settle_flows(t, x, stage.level - 1, tile)
                count = _offer(
                    t, goal, stage, x, out, first, count, tile, i, Int(vector), least, tally
                )
        count = _close(out, first, count)
    return count, end
