"""How long Gemmini takes for a program: tile after tile, two at a time.

One is loaded while the other executes; a tile's loop is free again once its last commands are
under way. Neither half of a buffer is checked against its size: Gemmini does not wait either.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.cycles.gemmini import INPUTS, LINE, OUTPUTS, WEIGHTS, Program, Timing
from dse.cycles.gemmini_caches import fill_misses, footprints
from dse.cycles.gemmini_tiles import (
    EXECUTE,
    EXECUTING,
    LINES,
    LOAD_INPUTS,
    LOAD_WEIGHTS,
    STORE,
    STORED,
    SWEEPS,
    ceil,
    conv_tile,
    matmul_tile,
)
from dse.jit import compiled, inner
from dse.numeric import Floats

_Ints = npt.NDArray[np.int64]


@inner
def _advance(p: Program, trips: _Ints, at: _Ints) -> int:
    """Step to the next tile; return the outermost loop that stepped, 7 where none is left."""
    for k in range(7):
        d = p.order[k]
        at[d] += 1
        if at[d] < trips[d]:
            return k
        at[d] = 0
    return 7


@compiled
def walk(
    p: Program,
    timing: Timing,
    weight_requests: Floats,
    input_requests: Floats,
    counts: _Ints,
    rooms: Floats,
    cost: Floats,
) -> float:
    """Return the cycles of a program.

    Args:
        p: a `Program`.
        timing: a `Timing`.
        weight_requests: from `fill_requests` for rows of ``p.columns`` bytes; so are outputs.
        input_requests: the same for rows of ``p.inner`` bytes.
        counts: ``(4, 8)`` room for integers.
        rooms: ``(3, 8, 3)`` room for numbers.
        cost: ``(COSTS,)`` the same.
    """
    trips, at, moved = counts[0], counts[1], counts[3]
    for d in range(7):
        trips[d], at[d] = ceil(p.limit[d], p.step[d]), 0
    moved[7], passed = 127, 0
    for k in range(7):  # dimensions whose tile is another once loop k has stepped
        passed |= (1 << p.order[k]) if trips[p.order[k]] > 1 else 0
        moved[k] = passed
    lines, crowded, miss = rooms[0], rooms[1], rooms[2]
    footprints(p, counts[2], lines, crowded)
    fill_misses(p, timing, trips, lines, crowded, miss)
    asking = timing.matmul_tile if p.matmul else timing.convolution_tile
    latency, drain = timing.latency, timing.array * p.side
    now = loaded = executed = stored = slot = next_slot = timing.start
    missing = 0.0
    q = 7
    while True:
        if p.matmul:
            store = matmul_tile(
                p, timing, trips, at, moved[q], weight_requests, input_requests, cost
            )
        else:
            store = conv_tile(p, timing, at, moved[q], weight_requests, input_requests, cost)
        weights = cost[LINES + WEIGHTS] / LINE * miss[q, WEIGHTS]
        inputs = cost[LINES + INPUTS] / LINE * miss[q, INPUTS]
        outputs = cost[LINES + OUTPUTS] / LINE * miss[q, OUTPUTS] if store else 0.0
        missing += weights + inputs + outputs
        now = max(now + asking, slot)
        begun = max(now, loaded)
        loaded = begun + max(cost[LOAD_WEIGHTS], weights) + max(cost[LOAD_INPUTS], inputs)
        execute = cost[EXECUTE]
        if p.matmul:  # blocks execute as soon as they are there
            executed = max(executed, begun + latency) + execute
            executed = max(executed, loaded + latency + execute / cost[SWEEPS])
        else:
            executed = max(executed, loaded + latency) + execute
        # a tile makes room once its last commands are under way
        issued = executed - min(execute, float(EXECUTING * p.side))
        if store:
            busy = max(cost[STORE], outputs)
            if p.matmul:
                early = executed - execute / cost[SWEEPS] + busy
                late = executed + drain + busy / cost[STORED]
                stored = max(stored + busy, early, late)
            else:
                stored = max(stored, issued + drain) + busy
            issued = max(issued, stored - min(busy, 6.0 * p.side))
        slot, next_slot = next_slot, max(issued, loaded, next_slot)
        q = _advance(p, trips, at)
        if q == 7:
            return max(executed, stored, missing) + latency
