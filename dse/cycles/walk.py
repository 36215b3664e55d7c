"""The cycle model: tile after tile through loader, executor and storer, as the RTL does it.

All times are numbers of cycles in which something happens or is seen. ``docs/cycles.md`` has the
rules; each of them stands here once. Whatever can be waited for is a time by which it is there, so
a tile takes a fixed number of steps, whatever its size.

Iterations of a loop over tiles repeat: once the state at the beginning of an iteration equals that
of an earlier one but for a shift in time, whole periods are skipped. Only iterations are
compared and skipped that differ in nothing but addresses: neither the first nor the last one of
their loop, and none that needs padding. With a cache, which remembers addresses, all are walked.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.cycles.boxes import inputs_box, sums_box, weights_box
from dse.cycles.bursts import BUSY, ENDED, ENDS, ISSUED, OLDEST, keep, transfer
from dse.cycles.cache import Cached, cached_transfer
from dse.cycles.job import C, G, K, N, P, Q, R, Registers, S
from dse.jit import compiled, inlined, inner

_Ints = npt.NDArray[np.int64]

#: Tiles that a queue holds.
QUEUE = 4
#: Long before cycle 0.
NEVER = -(2**50)
#: States of the units are equal if they differ in times so long past only.
_PAST = 64
#: Place of the next load's box.
_NEXT_LOAD = QUEUE

#: Bits of the dimensions that move each operand.
_OF_WEIGHTS = 1 << R | 1 << S | 1 << C | 1 << K | 1 << G
_OF_INPUTS = 1 << R | 1 << S | 1 << P | 1 << Q | 1 << C | 1 << N | 1 << G
_OF_OUTPUTS = 1 << P | 1 << Q | 1 << K | 1 << N | 1 << G

#: Places in the state: times.
(
    SEQUENCED,  # when the last tile came from the sequencer
    LOADER_IDLE,  # from when on the loader can take a tile
    LOADED,  # when the last tile was seen to be loaded
    ARRIVED,  # when the last byte of the last load had arrived
    EXECUTED,  # last cycle of the last tile in the executor
    STORER_IDLE,  # from when on the storer can take a tile
) = range(6)
LOAD_POPS = 6  # when the last four tiles left each queue, the latest first
EXECUTE_POPS = LOAD_POPS + QUEUE
STORE_POPS = EXECUTE_POPS + QUEUE
WEIGHTS_FREE = STORE_POPS + QUEUE  # when the latest tile's half, and that before it, were free
INPUTS_FREE = WEIGHTS_FREE + 2
SUMS_FREE = INPUTS_FREE + 2
PUSHED = SUMS_FREE + 2  # of visits that wait to be stored, the oldest first: when queued
DRAINED = PUSHED + QUEUE  # and when their sums were in the accumulator
TIMES = DRAINED + QUEUE
WAITING = TIMES  # how many they are
UNITS = WAITING + 1  # and their transfers: units, pieces, size, last size
PIECES, SIZES, LAST_SIZES = UNITS + QUEUE, UNITS + 2 * QUEUE, UNITS + 3 * QUEUE
STATE = UNITS + 4 * QUEUE

#: Where the cycles have gone; they add up to the whole.
(
    COMPUTE,  # rows of inputs go through the array
    FILL,  # weights go to the array and no inputs through it; one cycle to take the tile
    DRAIN,  # the last sums come out of the array
    BANDWIDTH,  # the executor waits, as long as the data waited for have the bus
    LATENCY,  # and as long as the memory's latency on top
    OVERLAP,  # the rest of its waiting: for room, for other transfers, for the loader
) = range(6)
PARTS = 6


@inlined
def _push(x: _Ints, place: int, count: int, value: int) -> None:
    """Put a value before the others, whose last one is lost."""
    for i in range(place + count - 1, place, -1):
        x[i] = x[i - 1]
    x[place] = value


@inner
def _transfer(
    bus: _Ints,
    seen: _Ints,
    cached: Cached,
    box: int,
    r: Registers,
    granted: int,
    units: int,
    pieces: int,
    size: int,
    last_size: int,
    skip: bool,
) -> None:
    """Issue the bursts of a transfer: those of its box, or, without a cache, of its shape."""
    if cached.lines.shape[0] > 0:
        cached_transfer(bus, cached, cached.boxes[box], r, granted)
        return
    transfer(
        bus,
        seen,
        granted,
        r.latency,
        r.bytes_per_cycle,
        r.burst_bytes,
        units,
        pieces,
        size,
        last_size,
        skip,
    )


@inner
def _store(
    x: _Ints, bus: _Ints, seen: _Ints, cached: Cached, r: Registers, granted: int, skip: bool
) -> None:
    """Store the oldest visit that waits."""
    shape = x[UNITS], x[PIECES], x[SIZES], x[LAST_SIZES]
    _transfer(bus, seen, cached, 0, r, granted, *shape, skip)
    _push(x, STORE_POPS, QUEUE, max(x[PUSHED] + 1, x[STORER_IDLE]))
    x[STORER_IDLE] = bus[ENDED]
    _push(x, SUMS_FREE, 2, bus[ENDED])
    x[WAITING] -= 1
    for place in (PUSHED, DRAINED, UNITS, PIECES, SIZES, LAST_SIZES):
        for i in range(place, place + QUEUE - 1):
            x[i] = x[i + 1]
    if cached.lines.shape[0] > 0:
        for i in range(QUEUE - 1):
            keep(cached.boxes[i], cached.boxes[i + 1])


@inlined
def _store_from(x: _Ints, bus: _Ints) -> int:
    """Return the cycle in which the oldest visit that waits would be granted."""
    taken = max(x[PUSHED] + 1, x[STORER_IDLE])
    return max(bus[ISSUED] + 1, taken + 1, x[DRAINED])


@inner
def _granted(
    x: _Ints, bus: _Ints, seen: _Ints, cached: Cached, r: Registers, wanted: int, skip: bool
) -> int:
    """Return the cycle in which a load is granted; stores that come before it are done."""
    while x[WAITING] > 0:
        store = _store_from(x, bus)
        if store > max(bus[ISSUED] + 1, wanted):
            break
        _store(x, bus, seen, cached, r, store, skip)
    return max(bus[ISSUED] + 1, wanted)


@inner
def _load(
    x: _Ints,
    bus: _Ints,
    seen: _Ints,
    cached: Cached,
    r: Registers,
    wanted: int,
    units: int,
    pieces: int,
    size: int,
    last_size: int,
    skip: bool,
) -> int:
    """Load a box from when on it is wanted; return the cycle in which it was granted."""
    granted = _granted(x, bus, seen, cached, r, wanted, skip)
    _transfer(bus, seen, cached, _NEXT_LOAD, r, granted, units, pieces, size, last_size, skip)
    x[ARRIVED] = bus[ENDED]
    return granted


@inlined
def _window(
    first: int, extent: int, stride: int, other: int, other_extent: int, dilation: int, pad: int,
    inputs: int,
) -> int:  # fmt: skip
    """Return how many columns, or rows, of the inputs a tile needs that are no padding."""
    begin = first * stride + other * dilation - pad
    end = begin + (extent - 1) * stride + (other_extent - 1) * dilation + 1
    return max(min(end, inputs) - max(begin, 0), 0)


@inner
def _tile(
    x: _Ints,
    bus: _Ints,
    seen: _Ints,
    cached: Cached,
    parts: _Ints,
    r: Registers,
    dim: int,
    index: _Ints,
    extent: _Ints,
    changed: int,
    changing: int,
    skip: bool,
) -> None:
    """Take one tile through all units.

    Args:
        x: ``(STATE,)`` the units' state.
        bus: see `dse.cycles.bursts.transfer`.
        seen: likewise.
        cached: the cache.
        parts: ``(PARTS,)`` where the cycles have gone.
        r: the job.
        dim: rows and columns of the array.
        index: ``(8,)`` the tile's.
        extent: ``(8,)`` working memory.
        changed: bits of the dimensions whose index is another one than in the tile before.
        changing: bits of those whose index will be another one in the next tile.
        skip: whether periods are skipped.
    """
    for d in range(8):
        extent[d] = r.edge_tile[d] if index[d] == r.trips[d] - 1 else r.tile[d]
    old_sums = changing & _OF_OUTPUTS != 0
    pushed = max(x[SEQUENCED], x[LOAD_POPS + QUEUE - 1], x[EXECUTE_POPS + QUEUE - 1]) + 1
    if old_sums:
        pushed = max(pushed, x[STORE_POPS + QUEUE - 1 - x[WAITING]] + 1)
    x[SEQUENCED] = pushed
    busy = _load_tile(x, bus, seen, cached, r, index, extent, changed, pushed, skip)
    _execute(x, parts, r, index, extent, pushed, busy)
    if changing & _OF_WEIGHTS:
        _push(x, WEIGHTS_FREE, 2, x[EXECUTED] + 1)
    if changing & _OF_INPUTS:
        _push(x, INPUTS_FREE, 2, x[EXECUTED] + 1)
    if old_sums:
        complete = _complete(r, index)
        last = 1 if index[K] == r.trips[K] - 1 else 0
        size = r.output_bytes if complete else 4
        place = x[WAITING]
        x[PUSHED + place] = pushed
        x[DRAINED + place] = x[EXECUTED] + 2 * dim + 1
        x[UNITS + place] = extent[N] * extent[Q] * extent[P] * extent[G]
        x[PIECES + place] = r.blocks_k[last] - 1
        x[SIZES + place] = r.block_k * size
        x[LAST_SIZES + place] = r.last_k[last] * size
        x[WAITING] += 1
        if cached.lines.shape[0] > 0:
            box = cached.boxes[place]
            sums_box(box, r, index, extent, complete, r.blocks_k[last], r.last_k[last])


@inlined
def _complete(r: Registers, index: _Ints) -> bool:
    """Whether the outputs of a tile are complete with it."""
    return index[R] == r.trips[R] - 1 and index[S] == r.trips[S] - 1 and index[C] == r.trips[C] - 1


@inner
def _load_tile(
    x: _Ints,
    bus: _Ints,
    seen: _Ints,
    cached: Cached,
    r: Registers,
    index: _Ints,
    extent: _Ints,
    changed: int,
    pushed: int,
    skip: bool,
) -> int:
    """Take a tile through the loader; return how long its own data have the bus."""
    now = max(pushed + 1, x[LOADER_IDLE])
    _push(x, LOAD_POPS, QUEUE, now)
    now += 1
    busy = np.int64(0)
    if changed & _OF_WEIGHTS:
        wanted = max(now, x[WEIGHTS_FREE + r.weights_halves - 1])
        units, size = extent[R] * extent[S], extent[K]
        if r.weights_joined == 0:
            units *= extent[G]
        else:
            size *= extent[G]
        if r.weights_joined == 2:
            size *= extent[C]
        else:
            units *= extent[C]
        if cached.lines.shape[0] > 0:
            weights_box(cached.boxes[_NEXT_LOAD], r, index, extent, size)
        now = _load(x, bus, seen, cached, r, wanted, units, 0, size, size, skip)
        busy += bus[BUSY]
    now += 1
    if changed & _OF_INPUTS:
        wanted = max(now, x[INPUTS_FREE + r.inputs_halves - 1])
        columns = _window(
            index[P] * r.tile[P],
            extent[P],
            r.stride_x,
            index[R] * r.tile[R],
            extent[R],
            r.dilation_x,
            r.padding_x,
            r.inputs_x,
        )
        rows = _window(
            index[Q] * r.tile[Q],
            extent[Q],
            r.stride_y,
            index[S] * r.tile[S],
            extent[S],
            r.dilation_y,
            r.padding_y,
            r.inputs_y,
        )
        units, size = extent[N] * rows, extent[C]
        if r.inputs_joined == 0:
            units *= extent[G]
        else:
            size *= extent[G]
        if r.inputs_joined == 2:
            size *= columns
        else:
            units *= columns
        if columns * rows > 0:
            if cached.lines.shape[0] > 0:
                inputs_box(cached.boxes[_NEXT_LOAD], r, index, extent, columns, rows, size)
            now = _load(x, bus, seen, cached, r, wanted, units, 0, size, size, skip)
            busy += bus[BUSY]
        else:
            now = wanted
    now += 1
    again = False
    if changed & _OF_OUTPUTS:
        # the half of the visit before the last one, which may have to be stored first
        while x[WAITING] >= r.sums_halves:
            _store(x, bus, seen, cached, r, _store_from(x, bus), skip)
        now = max(now, x[SUMS_FREE + r.sums_halves - 1 - x[WAITING]])
        again = index[R] + index[S] + index[C] > 0
    now += 1
    if again:
        last = 1 if index[K] == r.trips[K] - 1 else 0
        units = extent[N] * extent[Q] * extent[P] * extent[G]
        if cached.lines.shape[0] > 0:
            box = cached.boxes[_NEXT_LOAD]
            sums_box(box, r, index, extent, False, r.blocks_k[last], r.last_k[last])
        now = _load(
            x,
            bus,
            seen,
            cached,
            r,
            now,
            units,
            r.blocks_k[last] - 1,
            4 * r.block_k,
            4 * r.last_k[last],
            skip,
        )
        busy += bus[BUSY]
    now += 1
    x[LOADER_IDLE] = now + 1
    x[LOADED] = max(now + 1, x[LOADED], x[ARRIVED]) + 1
    return busy


@inner
def _execute(
    x: _Ints,
    parts: _Ints,
    r: Registers,
    index: _Ints,
    extent: _Ints,
    pushed: int,
    busy: int,
) -> None:
    """Take a tile through the executor, and note where the cycles go."""
    idle = x[EXECUTED] + 1
    taken = max(pushed + 1, x[LOADED], idle)
    _push(x, EXECUTE_POPS, QUEUE, taken)
    c = 1 if index[C] == r.trips[C] - 1 else 0
    k = 1 if index[K] == r.trips[K] - 1 else 0
    rows = extent[N] * extent[Q] * extent[P]
    groups = extent[R] * extent[S] * extent[G] * r.blocks_k[k]
    first = r.last_c[c] if r.blocks_c[c] == 1 else r.block_c
    phases = groups * ((r.blocks_c[c] - 1) * max(rows, r.block_c) + max(rows, r.last_c[c]))
    cycles = first + phases - max(rows, first) + rows
    x[EXECUTED] = taken + cycles
    computing = rows * groups * r.blocks_c[c]
    parts[COMPUTE] += computing
    parts[FILL] += cycles - computing + 1
    _note_waiting(parts, taken - idle, busy, r.latency if busy > 0 else 0)


@inlined
def _note_waiting(parts: _Ints, waited: int, busy: int, latency: int) -> None:
    parts[BANDWIDTH] += min(waited, busy)
    waited -= min(waited, busy)
    parts[LATENCY] += min(waited, latency)
    parts[OVERLAP] += waited - min(waited, latency)


@inner
def _equal(x: _Ints, bus: _Ints, then: _Ints, then_bus: _Ints) -> bool:
    """Whether two states differ in nothing but a shift in time."""
    a = min(bus[ISSUED] + 1, x[LOADER_IDLE])
    b = min(then_bus[ISSUED] + 1, then[LOADER_IDLE])
    for i in range(TIMES):
        if max(x[i] - a, -_PAST) != max(then[i] - b, -_PAST):
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
    bus: _Ints,
    seen: _Ints,
    cached: Cached,
    parts: _Ints,
    index: _Ints,
    then: _Ints,
    then_bus: _Ints,
    then_parts: _Ints,
    skip: bool,
) -> int:
    """Return the cycles of a job.

    Args:
        r: the job.
        dim: rows and columns of the array.
        x: ``(STATE,)``, all :data:`NEVER` but what is said in `dse.cycles.model`; is changed.
        bus: ``(ENDS + in_flight,)``; likewise.
        seen: ``(DEPTH, ENDS + in_flight)`` working memory.
        cached: the cache, empty; is changed.
        parts: ``(PARTS,)`` gets where the cycles have gone.
        index: ``(4, 8)`` zeros.
        then: ``(8, STATE)`` working memory: earlier states by level of the loops.
        then_bus: ``(8, ENDS + in_flight)`` likewise.
        then_parts: ``(8, PARTS)`` likewise.
        skip: whether periods are skipped; not where there is a cache.
    """
    at, extent, since, power = index[0], index[1], index[2], index[3]
    changed = np.int64(255)
    while True:
        changing, level = np.int64(0), 0
        while level < 8 and at[r.order[level]] == r.trips[r.order[level]] - 1:
            if r.trips[r.order[level]] > 1:
                changing |= np.int64(1) << r.order[level]
            level += 1
        changing = np.int64(255) if level == 8 else changing | np.int64(1) << r.order[level]
        _tile(x, bus, seen, cached, parts, r, dim, at, extent, changed, changing, skip)
        if level == 8:
            break
        for j in range(level):
            at[r.order[j]] = 0
            since[j] = 0
        d = r.order[level]
        at[d] += 1
        changed = changing
        if skip and since[level] >= 0:
            low, high = _like_others(r, d)
            if low <= at[d] < high:
                at[d] += _skipped(
                    x,
                    bus,
                    parts,
                    at[d],
                    high,
                    level,
                    since,
                    power,
                    then[level],
                    then_bus[level],
                    then_parts[level],
                )
    executed = x[EXECUTED] + 1
    while x[WAITING] > 0:
        _store(x, bus, seen, cached, r, _store_from(x, bus), skip)
    drain = min(2 * dim, bus[ENDED] - executed)
    parts[DRAIN] = drain
    _note_waiting(parts, bus[ENDED] - executed - drain, bus[BUSY], r.latency)
    return bus[ENDED]


@inner
def _skipped(
    x: _Ints,
    bus: _Ints,
    parts: _Ints,
    iteration: int,
    end: int,
    level: int,
    since: _Ints,
    power: _Ints,
    then: _Ints,
    then_bus: _Ints,
    then_parts: _Ints,
) -> int:
    """Skip whole periods of a loop, if its state repeats; return how many iterations."""
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
