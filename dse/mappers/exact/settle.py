"""Settled flows: what they cost once the loops outside can only multiply them."""

from __future__ import annotations

from dse.jit import inner
from dse.mappers.exact.labels import (
    BOUND_A,
    BOUND_B,
    CYCLES,
    ENERGY,
    FIRST,
    GRID_LEVEL,
    REST,
    STATUS,
    STEP_A,
    STEP_B,
    Draft,
    load_at,
    parts_at,
    window_at,
)
from dse.mappers.exact.tables import Int, Tables
from dse.mappers.exact.windows import check_move
from dse.model import rules


@inner
def _spread_fills(t: Tables, x: Draft, f: int, at: int, words: float) -> float:
    """Words that a receiver of a window gets, as Timeloop adds the shares up (section 7, 2)."""
    v = x.value
    s = t.low[f] + 1
    fan: float = t.fan[x.grid[0], s]
    if x.loose[0] != 0 and fan > 1.0:
        return rules.cut_off(words / fan)
    n1, n2 = v[at + BOUND_A], v[at + BOUND_B]
    if n1 <= 0.0:
        return rules.cut_off(words)
    step_a, step_b = v[at + STEP_A], v[at + STEP_B]
    groups = Int(1)
    multicast = Int(1)
    tensor = t.tensor[f]
    for d in range(t.bound.shape[0]):
        n = Int(t.factor[x.grid[0], s, d])
        q = t.row[tensor, d]
        if q < 0:
            multicast *= n
        else:
            mates = 0
            for e in range(t.bound.shape[0]):
                mates += t.row[tensor, e] == q and t.factor[x.grid[0], s, e] > 1
            if mates < 2:
                groups *= n
    share = 0.0
    m = 1.0
    while rules.colliding_pairs(n1, n2, step_a, step_b, m - 1.0) > 0.0:
        count = rules.groups_of(n1, n2, step_a, step_b, m)
        if count > 0.0:
            share += rules.parent_share(count * groups * words, m * multicast, fan)
        m += 1.0
    return rules.cut_off(share)


@inner
def _add_load(t: Tables, x: Draft, s: int, tensor: int, reads: float, writes: float) -> None:
    if t.limited[s] >= 0:
        at = load_at(t, s, tensor)
        x.value[at] += reads
        x.value[at + 1] += writes


@inner
def _settle(t: Tables, x: Draft, f: int, words: float) -> None:
    """Price a flow whose receivers get ``words`` each over the whole run (sections 7, 9, 10).

    The energy is that of all clusters at once, which the model takes instance by instance: sums
    differ from its in their last digits.
    """
    tensor, low, high, grid = t.tensor[f], t.low[f], t.high[f], x.grid[0]
    content = words * x.value[parts_at(t, f)]
    used = t.used[grid, high + 1]
    pay = rules.used_clusters(used, t.clusters[high])
    if t.read_write[tensor]:
        content = max(content, t.part[grid, tensor, high])
        reads = content - t.part[grid, tensor, high]
        pj = rules.access_pj(content, t.block[high], t.update_pj[high])
        pj += rules.access_pj(reads, t.block[high], t.read_pj[high])
        _add_load(t, x, t.high_bank[f], tensor, reads, content)
    else:
        pj = rules.access_pj(content, t.block[high], t.read_pj[high])
        _add_load(t, x, t.high_bank[f], tensor, content, 0.0)
    x.value[ENERGY] += (pj + content * t.address_pj[high]) * pay
    if low >= 0:
        at = window_at(t, f)
        fills = words
        if t.read_write[tensor]:
            fills -= t.part[grid, tensor, low] if t.elided[f] else 0.0
        elif at >= 0:
            fills = _spread_fills(t, x, f, at, words)
        pay = rules.used_clusters(t.used[grid, low + 1], t.clusters[low])
        pj = rules.access_pj(fills, t.block[low], t.fill_pj[low])
        x.value[ENERGY] += (pj + fills * t.address_pj[low]) * pay
        _add_load(t, x, t.low_bank[f], tensor, 0.0, fills)
    x.settled[0] |= 1 << f


@inner
def _level_cycles(t: Tables, x: Draft, s: int, iterations: float) -> float:
    """Cycles of a level (section 9), added in the model's order."""
    reads = writes = 0.0
    for tensor in range(t.total.shape[0]):
        at = load_at(t, s, tensor)
        reads += x.value[at] / iterations
        writes += x.value[at + 1] / iterations
    slow = rules.slowdown(reads, writes, t.bandwidth[0, s], t.bandwidth[1, s], t.bandwidth[2, s])
    return rules.slowed(iterations, slow)


@inner
def settle_flows(t: Tables, x: Draft, s: int, tile: int) -> None:
    """Price the flows from below ``s + 1`` that the loops outside can only multiply.

    There must be no spatial loops outside.
    """
    before = x.settled[0]
    v = x.value
    outside = t.outside[tile]
    for f in range(t.low.shape[0]):
        if t.low[f] > s or x.settled[0] >> f & 1:
            continue
        tensor = t.tensor[f]
        at = window_at(t, f)
        words = v[FIRST + f]
        still = t.moves[tensor, tile] == 1.0 and t.rest[tensor, tile] == 1.0
        if t.low[f] < 0 or (x.moved[0] >> f & 1 and (at < 0 or v[at + GRID_LEVEL] < 0.0)):
            words *= outside
        elif not (still and _complete(t, x, tensor)):
            continue
        elif at >= 0 and v[at + STATUS] != REST:
            words *= outside
            if outside > 1.0:
                check_move(t, x, f, at, Int(-1), 0.0)
        _settle(t, x, f, words)
    iterations = t.macs / t.used[x.grid[0], 0]
    v[CYCLES] = max(v[CYCLES], iterations)
    for k in range(t.limited.shape[0]):
        ready = t.touching[k] & x.settled[0] == t.touching[k]
        if t.limited[k] >= 0 and ready and t.touching[k] & before != t.touching[k]:
            v[CYCLES] = max(v[CYCLES], _level_cycles(t, x, k, iterations))


@inner
def _complete(t: Tables, x: Draft, tensor: int) -> bool:
    """Whether no loop outside the tile moves the tensor."""
    for d in range(t.bound.shape[0]):
        if t.row[tensor, d] >= 0 and x.digit[d] != t.digit[d] - 1:
            return False
    return True
