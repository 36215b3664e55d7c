"""In which order the temporal loops of a block's lanes stand, and which of them move a tensor."""

from __future__ import annotations

import numpy as np

from dse.jit import inner
from dse.model.arrays import MappingArrays
from dse.model.block import Lanes, Plan

#: Rank of a loop of one iteration, and of the innermost relevant loop where there is none.
IDLE, NONE = 127.0, 126.0


@inner
def load_orders(x: Lanes, m: MappingArrays, b: int, n: int) -> None:
    """Iteration counts from outside in, and the rank of each loop."""
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
        _rank(x, m, s, b, n)


@inner
def _rank(x: Lanes, m: MappingArrays, s: int, b: int, n: int) -> None:
    """Set the position of each loop of level s, IDLE for those of one iteration."""
    dimensions = x.temporal.shape[1]
    if x.same_order[s]:
        shared = m.permutation.shape[2] == 1
        for p in range(dimensions):
            x.rank[s, m.permutation[s, p, 0 if shared else b], :] = p
    for d in range(dimensions):
        if not x.temporal_used[s, d]:
            continue
        rank, temporal = x.rank[s, d], x.temporal[s, d]
        if not x.same_order[s]:
            _find(x, m, s, d, b, n)
        for i in range(x.ok.shape[0]):
            place = rank[i]
            rank[i] = place if temporal[i] > 1.0 else IDLE


@inner
def _find(x: Lanes, m: MappingArrays, s: int, d: int, b: int, n: int) -> None:
    """Set the rank of dimension d at level s to its place in each lane's order."""
    place, rank = x.place, x.rank[s, d]
    place[:] = 0
    for p in range(1, x.temporal.shape[1]):
        order = m.permutation[s, p, b : b + n]
        for i in range(n):
            place[i] |= np.int8(p) * np.int8(order[i] == d)
    for i in range(n, place.shape[0]):
        place[i] = place[n - 1]
    for i in range(place.shape[0]):
        rank[i] = place[i]


@inner
def moving_loops(x: Lanes, plan: Plan, m: MappingArrays, t: int, s: int, b: int) -> None:
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
    nearest[:] = NONE
    for d in range(dimensions):
        if plan.relevant[t, d] and x.temporal_used[s, d]:
            temporal, rank = x.temporal[s, d], x.rank[s, d]
            for i in range(x.ok.shape[0]):
                nearest[i] = rank[i] if rank[i] < nearest[i] else nearest[i]
                moving[i] *= temporal[i]
    for d in range(dimensions):
        if not plan.relevant[t, d] and x.temporal_used[s, d]:
            temporal, rank = x.temporal[s, d], x.rank[s, d]
            for i in range(x.ok.shape[0]):
                moving[i] *= temporal[i] if rank[i] > nearest[i] else 1.0
    for i in range(x.ok.shape[0]):
        moving[i] *= outer[i] if nearest[i] == NONE else all_outer[i]
