"""What a label can become at best, and when that is not good enough."""

from __future__ import annotations

from typing import NamedTuple

from dse.jit import inner
from dse.mappers.exact.labels import (
    BELOW,
    CYCLES,
    ENERGY,
    FIRST,
    GRID_LEVEL,
    REST,
    RUN,
    STATUS,
    Draft,
    load_at,
    parts_at,
    window_at,
)
from dse.mappers.exact.tables import Int, Stage, Tables
from dse.mappers.exact.tails import best_tail
from dse.mappers.exact.ways import best_way, term_energy
from dse.mappers.exact.windows import parts_without_links
from dse.model import rules
from dse.numeric import Floats

#: What is minimised.
EDP, ENERGY_ONLY, DELAY, FRONT = range(4)
#: Float sums of the search and of the model differ by less than this, relatively.
ROUNDING = 1e-12


class Goal(NamedTuple):
    """What is minimised, and what is known to be reachable."""

    kind: int
    limit: float  # labels whose least value lies above are dropped
    cycles: Floats  # (P,) reachable points, for FRONT
    energy: Floats  # (P,)
    most_cycles: float  # labels of more cycles are dropped: no use for them


@inner
def value_of(kind: int, cycles: float, energy: float) -> float:
    """Objective of one point."""
    if kind == EDP:
        return cycles * energy
    return energy if kind == ENERGY_ONLY else cycles


@inner
def hopeless(goal: Goal, cycles: float, energy: float) -> bool:
    """Whether nothing of at least so many cycles and so much energy is wanted."""
    if goal.kind == FRONT:
        for p in range(goal.cycles.shape[0]):
            if goal.cycles[p] <= cycles and goal.energy[p] <= energy * (1.0 - ROUNDING):
                return True
        return cycles > goal.most_cycles
    return value_of(goal.kind, cycles, energy) * (1.0 - ROUNDING) >= goal.limit


@inner
def _flow_bound(t: Tables, x: Draft, f: int, tile: int) -> float:
    """Least energy of a flow that is not settled, with spatial loops outside the stage."""
    v = x.value
    grid, tensor, low, high = x.grid[0], t.tensor[f], t.low[f], t.high[f]
    words: float = v[FIRST + f]
    at = window_at(t, f)
    rest: float = t.rest[tensor, tile]
    moves = low < 0 or x.moved[0] >> f & 1 != 0
    outer = t.outside[tile] if moves else rest
    parts_so_far: float = v[parts_at(t, f)]
    linked = at >= 0 and (x.loose[0] != 0 or v[at + GRID_LEVEL] >= 0.0)
    if linked:
        parts_so_far = parts_without_links(t, f, grid)
    parts = rest
    if moves:
        # whole grids have no spatial loops to come
        parts = max(rest, outer / (t.served[f, grid] if grid < t.served.shape[1] else 1.0))
    content: float = words * parts_so_far * t.used[grid, high + 1] * parts
    crossing: float = t.crossing[tensor] if parts_so_far > 0.0 else 0.0
    content = max(content, crossing)
    per: float = t.share[high] / t.block[high]
    energy: float
    if t.read_write[tensor]:
        energy = content * per * t.update_pj[high]
        energy += max(0.0, content - t.total[tensor] * t.spread[high]) * per * t.read_pj[high]
    else:
        energy = content * per * t.read_pj[high]
    if low < 0:
        return energy
    fills: float = words * t.used[grid, low + 1] * outer
    if t.read_write[tensor]:
        fills -= t.total[tensor] * t.spread[low]
    elif at >= 0:
        fills = max(fills / t.fan[grid, low + 1] if linked else fills, crossing) - t.spread[low]
    per = t.share[low] / t.block[low] * t.fill_pj[low]
    return energy + max(0.0, fills) * per


@inner
def _flow_term(t: Tables, x: Draft, f: int, k: int) -> None:
    """Write what an open flow costs as term k; no spatial loops are outside."""
    v, term = x.value, x.term
    grid, tensor, low, high = x.grid[0], t.tensor[f], t.low[f], t.high[f]
    at = window_at(t, f)
    parts: float = v[parts_at(t, f)]
    linked = at >= 0 and (x.loose[0] != 0 or v[at + GRID_LEVEL] >= 0.0)
    if linked:
        parts = parts_without_links(t, f, grid)
    per: float = t.share[high] / t.block[high]
    content = v[FIRST + f] * parts * t.used[grid, high + 1] * per
    term.tensor[k] = tensor
    term.read[k] = term.read_spared[k] = term.filled[k] = term.fill_spared[k] = 0.0
    if t.read_write[tensor]:
        term.delivered[k] = content * t.update_pj[high]
        term.read[k] = content * t.read_pj[high]
        first = t.part[grid, tensor, high] * t.used[grid, high + 1]
        term.read_spared[k] = first * per * t.read_pj[high]
    else:
        term.delivered[k] = content * t.read_pj[high]
    if low < 0:
        return
    per = t.share[low] / t.block[low] * t.fill_pj[low]
    fills = v[FIRST + f] * t.used[grid, low + 1]
    if t.read_write[tensor]:
        term.fill_spared[k] = t.part[grid, tensor, low] * t.used[grid, low + 1] * per
    elif at >= 0:
        fills = fills / t.fan[grid, low + 1] if linked else fills
        term.fill_spared[k] = t.spread[low] * per
    term.filled[k] = fills * per


@inner
def _run_share(t: Tables, x: Draft, f: int, at: int) -> float:
    """By how much less than the loops outside a window that runs multiplies its words, at least.

    Loops over other rows multiply all it has got so far; those along its own row all but its first
    tile, though each of their moves may bring nothing (``docs/timeloop-rules.md``, section 4).
    """
    v, tensor = x.value, t.tensor[f]
    share: float = x.slide[tensor, Int(v[at + RUN]), 1]
    first: float = t.words[tensor, Int(v[at + BELOW])] / v[FIRST + f]
    result: float = first * share + (1.0 - first)
    return result


@inner
def _moving(t: Tables, x: Draft, stage: Stage, tile: int) -> float:
    """Least energy of the open flows that move; the terms of those at rest are written."""
    v = x.value
    outside = t.outside[tile]
    inside = stage.level + (0 if stage.spatial else 1)
    energy = 0.0
    at_rest = Int(0)
    for f in range(t.low.shape[0]):
        if t.low[f] >= inside or x.settled[0] >> f & 1:
            continue
        _flow_term(t, x, f, at_rest)
        at = window_at(t, f)
        if t.low[f] < 0 or x.moved[0] >> f & 1:
            energy += term_energy(x, at_rest, outside)
        elif at >= 0 and v[at + STATUS] != REST:
            energy += term_energy(x, at_rest, outside * _run_share(t, x, f, at))
        else:
            at_rest += 1
    x.resting[0] = at_rest
    return energy


@inner
def _transfer_cycles(t: Tables, x: Draft, stage: Stage, k: int, tile: int) -> float:
    """Least cycles in which a level of limited bandwidth moves its words."""
    v = x.value
    reads: float = stage.loads[t.limited[k], 0, tile]
    writes: float = stage.loads[t.limited[k], 1, tile]
    for tensor in range(t.total.shape[0]):
        at = load_at(t, k, tensor)
        reads += v[at]
        writes += v[at + 1]
    inside = stage.level + (0 if stage.spatial else 1)
    for f in range(t.low.shape[0] if stage.last_spatial else 0):
        low, high, tensor = t.low[f], t.high[f], t.tensor[f]
        if low >= inside or x.settled[0] >> f & 1:
            continue
        if k not in (t.low_bank[f], t.high_bank[f]):
            continue
        at = window_at(t, f)
        if low < 0 or x.moved[0] >> f & 1:
            words = v[FIRST + f] * t.outside[tile]
        elif at >= 0 and v[at + STATUS] != REST:
            words = v[FIRST + f] * t.outside[tile] * _run_share(t, x, f, at)
        else:
            words = v[FIRST + f] * t.moves[tensor, tile]
        if t.high_bank[f] == k:
            parts = v[parts_at(t, f)]
            if at >= 0 and (x.loose[0] != 0 or v[at + GRID_LEVEL] >= 0.0):
                parts = parts_without_links(t, f, x.grid[0])
            if t.read_write[tensor]:
                writes += words * parts
                reads += max(0.0, words * parts - t.part[x.grid[0], tensor, high])
            else:
                reads += words * parts
        elif t.read_write[tensor]:
            writes += max(0.0, words - t.part[x.grid[0], tensor, low])
        else:
            # shares of a window on a grid are rounded down
            writes += max(0.0, words / t.fan[x.grid[0], low + 1] - 1.0) if at >= 0 else words
    return rules.transfer_cycles(
        reads, writes, t.bandwidth[0, k], t.bandwidth[1, k], t.bandwidth[2, k]
    )


@inner
def least_iterations(t: Tables, stage: Stage, grid: int) -> float:
    """Least cycles in which the MACs that a grid leaves to use do their work."""
    iterations: float = t.macs / min(t.used[grid, 0] * stage.widest, t.most_macs)
    return iterations


@inner
def set_bound(t: Tables, goal: Goal, x: Draft, stage: Stage, tile: int) -> None:
    """Set what the draft, at a tile after a stage, can become at best.

    The ways of the tile are in the draft where no spatial loops are outside.
    """
    grid = x.grid[0]
    energy = x.value[ENERGY] + t.macs * t.mac_pj
    inside = stage.level + (0 if stage.spatial else 1)
    x.bound[3] = energy
    if stage.last_spatial:
        if goal.kind != DELAY:
            energy += _moving(t, x, stage, tile)
            x.bound[3] = energy
            energy += best_way(x)
    else:
        for f in range(t.low.shape[0]):
            if t.low[f] < inside and not x.settled[0] >> f & 1:
                energy += _flow_bound(t, x, f, tile)
    cycles = max(x.value[CYCLES], least_iterations(t, stage, grid))
    for k in range(t.limited.shape[0]):
        if t.limited[k] >= 0:
            cycles = max(cycles, _transfer_cycles(t, x, stage, k, tile))
    leak = t.leak[grid] * cycles
    x.bound[0] = energy + leak + stage.later[tile]
    x.bound[1] = cycles + t.latency
    x.bound[2] = energy + leak
    x.bound[3] += leak


@inner
def set_bound_of_tails(t: Tables, x: Draft) -> None:
    """Raise the least energy of the draft to what its tile's tails say."""
    x.bound[0] = max(x.bound[0], x.bound[3] + best_tail(t, x))
