"""The cycle model: tile after tile in the order of a job's loops.

Iterations of a loop over tiles repeat: once the state at the beginning of an iteration equals that
of an earlier one but for a shift in time, whole periods are skipped. Only iterations are
compared and skipped that differ in nothing but addresses: neither the first nor the last one of
their loop, and none that needs padding. With a cache, which remembers addresses, all are walked.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.cycles.bursts import BUSY, ENDED, ENDS, ISSUED, OLDEST, keep
from dse.cycles.job import P, Q, R, Registers, S
from dse.cycles.port import Port
from dse.cycles.state import (
    DRAIN,
    EXECUTED,
    LOADER_IDLE,
    PARTS,
    STATE,
    TIMES,
    WAITING,
)
from dse.cycles.units import note_waiting, store, store_from, take
from dse.jit import compiled, inlined, inner

_Ints = npt.NDArray[np.int64]

#: Times so long past are equal: what is to come follows from later ones.
_PAST = 64


class Earlier(NamedTuple):
    """States at the beginning of earlier iterations, a row for each level of the loops.

    Attributes:
        units: ``(8, STATE)``.
        bus: ``(8, ENDS + in_flight)``.
        parts: ``(8, PARTS)`` where the cycles had gone.
        since: ``(8,)`` the iteration; 0: none is kept, below 0: periods have been skipped.
        power: ``(8,)`` after how many iterations it is replaced.
    """

    units: _Ints
    bus: _Ints
    parts: _Ints
    since: _Ints
    power: _Ints


def new_earlier(port: Port) -> Earlier:
    """Allocate it."""
    shapes = ((8, STATE), (8, len(port.bus)), (8, PARTS), (8,), (8,))
    return Earlier(*(np.zeros(shape, np.int64) for shape in shapes))


@inner
def _equal(x: _Ints, bus: _Ints, then: _Ints, then_bus: _Ints) -> bool:
    """Whether two states differ in nothing but a shift in time."""
    a = min(bus[ISSUED] + 1, x[LOADER_IDLE])
    b = min(then_bus[ISSUED] + 1, then[LOADER_IDLE])
    for i in range(TIMES):
        if max(x[i] - a, -_PAST) != max(then[i] - b, -_PAST):
            return False
    if x[EXECUTED] - a != then[EXECUTED] - b:  # from when on the executor's waiting is counted
        return False
    for i in range(TIMES, STATE):
        if x[i] != then[i]:
            return False
    if bus[ISSUED] - a != then_bus[ISSUED] - b or bus[ENDED] - a != then_bus[ENDED] - b:
        return False
    count = bus.shape[0] - ENDS
    j, k = bus[OLDEST], then_bus[OLDEST]
    for _ in range(count):
        if max(bus[ENDS + j] - a, -_PAST) != max(then_bus[ENDS + k] - b, -_PAST):
            return False
        j = 0 if j + 1 == count else j + 1
        k = 0 if k + 1 == count else k + 1
    return True


@inlined
def _like_others(r: Registers, d: int) -> tuple[int, int]:
    """Return the first iteration of a loop that is like all up to the second, which is not."""
    low, high = 1, r.trips[d] - 1
    for along, other, step, other_step, pad, inputs in (
        (P, R, r.stride_x, r.dilation_x, r.padding_x, r.inputs_x),
        (R, P, r.dilation_x, r.stride_x, r.padding_x, r.inputs_x),
        (Q, S, r.stride_y, r.dilation_y, r.padding_y, r.inputs_y),
        (S, Q, r.dilation_y, r.stride_y, r.padding_y, r.inputs_y),
    ):
        if d == along and pad > 0:
            wide = r.tile[d] * step
            bound = (r.trips[other] - 1) * r.tile[other] + r.edge_tile[other]
            room = inputs - 1 + pad - (bound - 1) * other_step - (r.tile[d] - 1) * step
            low = max(low, (pad + wide - 1) // wide)
            high = min(high, room // wide + 1)
    return low, high


@compiled
def walk(
    r: Registers,
    dim: int,
    x: _Ints,
    port: Port,
    parts: _Ints,
    room: _Ints,
    earlier: Earlier,
) -> int:
    """Return the cycles of a job.

    Args:
        r: the job.
        dim: rows and columns of the array.
        x: ``(STATE,)`` of `dse.cycles.state.new_state`; is changed.
        port: of `dse.cycles.port.new_port`; likewise.
        parts: ``(PARTS,)`` zeros; gets where the cycles have gone.
        room: ``(2, 8)`` zeros; working memory.
        earlier: of `new_earlier`; likewise.
    """
    at, extent, bus = room[0], room[1], port.bus
    changed = np.int64(255)
    while True:
        changing, level = np.int64(0), 0
        while level < 8 and at[r.order[level]] == r.trips[r.order[level]] - 1:
            if r.trips[r.order[level]] > 1:
                changing |= np.int64(1) << r.order[level]
            level += 1
        changing = np.int64(255) if level == 8 else changing | np.int64(1) << r.order[level]
        take(x, port, parts, r, dim, at, extent, changed, changing)
        if level == 8:
            break
        for j in range(level):
            at[r.order[j]] = 0
            earlier.since[j] = 0
        d = r.order[level]
        at[d] += 1
        changed = changing
        if port.skip and earlier.since[level] >= 0:
            low, high = _like_others(r, d)
            if low <= at[d] < high:
                at[d] += _skipped(x, bus, parts, at[d], high, level, earlier)
    executed = x[EXECUTED] + 1
    while x[WAITING] > 0:
        store(x, port, r, store_from(x, bus))
    drain = min(2 * dim, bus[ENDED] - executed)
    parts[DRAIN] = drain
    note_waiting(parts, bus[ENDED] - executed - drain, bus[BUSY], r.latency)
    return bus[ENDED]


@inner
def _skipped(
    x: _Ints, bus: _Ints, parts: _Ints, iteration: int, end: int, level: int, earlier: Earlier
) -> int:
    """Skip whole periods of a loop, if its state repeats; return how many iterations."""
    since, power = earlier.since, earlier.power
    then, then_bus, then_parts = earlier.units[level], earlier.bus[level], earlier.parts[level]
    period = iteration - since[level]
    if since[level] > 0:
        if end - iteration < period:
            return 0
        if _equal(x, bus, then, then_bus):
            times = (end - iteration) // period
            shift = times * (x[LOADER_IDLE] - then[LOADER_IDLE])
            for i in range(TIMES):
                x[i] += shift
            bus[ISSUED] += shift
            bus[ENDED] += shift
            for i in range(ENDS, bus.shape[0]):
                bus[i] += shift
            for i in range(PARTS):
                parts[i] += times * (parts[i] - then_parts[i])
            since[level] = -1
            return times * period
        if period < power[level]:
            return 0
        power[level] *= 2
    else:
        power[level] = 1
    since[level] = iteration
    keep(then, x)
    keep(then_bus, bus)
    keep(then_parts, parts)
    return 0
