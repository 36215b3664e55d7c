"""A tile's way through loader, executor and storer, as the RTL does it.

``docs/cycles.md`` has the rules; each of them stands here once. Whatever can be waited for is a
time by which it is there, so a tile takes a fixed number of steps, whatever its size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.cycles.boxes import inputs_box, sums_box, weights_box
from dse.cycles.bursts import BUSY, ENDED, ISSUED, keep
from dse.cycles.job import C, G, K, N, P, Q, R, Registers, S
from dse.cycles.port import NEXT_LOAD, Port, has_cache, move
from dse.cycles.state import (
    ARRIVED,
    BANDWIDTH,
    COMPUTE,
    DRAINED,
    EXECUTE_POPS,
    EXECUTED,
    FILL,
    INPUTS_FREE,
    LAST_SIZES,
    LATENCY,
    LOAD_POPS,
    LOADED,
    LOADER_IDLE,
    OVERLAP,
    PIECES,
    PUSHED,
    QUEUE,
    SEQUENCED,
    SIZES,
    STORE_POPS,
    STORER_IDLE,
    SUMS_FREE,
    UNITS,
    WAITING,
    WEIGHTS_FREE,
)
from dse.jit import inlined, inner

_Ints = npt.NDArray[np.int64]

#: Bits of the dimensions that move each operand.
_OF_WEIGHTS = 1 << R | 1 << S | 1 << C | 1 << K | 1 << G
_OF_INPUTS = 1 << R | 1 << S | 1 << P | 1 << Q | 1 << C | 1 << N | 1 << G
_OF_OUTPUTS = 1 << P | 1 << Q | 1 << K | 1 << N | 1 << G


@inlined
def _push(x: _Ints, place: int, count: int, value: int) -> None:
    """Put a value before the others, whose last one is lost."""
    for i in range(place + count - 1, place, -1):
        x[i] = x[i - 1]
    x[place] = value


@inner
def store(x: _Ints, port: Port, r: Registers, granted: int) -> None:
    """Store the oldest visit that waits."""
    move(port, 0, r, granted, x[UNITS], x[PIECES], x[SIZES], x[LAST_SIZES])
    ended = port.bus[ENDED]
    _push(x, STORE_POPS, QUEUE, max(x[PUSHED] + 1, x[STORER_IDLE]))
    x[STORER_IDLE] = ended
    _push(x, SUMS_FREE, 2, ended)
    x[WAITING] -= 1
    for place in (PUSHED, DRAINED, UNITS, PIECES, SIZES, LAST_SIZES):
        for i in range(place, place + QUEUE - 1):
            x[i] = x[i + 1]
    if has_cache(port):
        for i in range(QUEUE - 1):
            keep(port.cached.boxes[i], port.cached.boxes[i + 1])


@inlined
def store_from(x: _Ints, bus: _Ints) -> int:
    """Return the cycle in which the oldest visit that waits would be granted."""
    taken = max(x[PUSHED] + 1, x[STORER_IDLE])
    return max(bus[ISSUED] + 1, taken + 1, x[DRAINED])


@inner
def _load(
    x: _Ints,
    port: Port,
    r: Registers,
    wanted: int,
    units: int,
    pieces: int,
    size: int,
    last_size: int,
) -> int:
    """Load a box from when on it is wanted; return the cycle in which it was granted.

    Stores that come before it are done.
    """
    bus = port.bus
    while x[WAITING] > 0:
        first = store_from(x, bus)
        if first > max(bus[ISSUED] + 1, wanted):
            break
        store(x, port, r, first)
    granted = max(bus[ISSUED] + 1, wanted)
    move(port, NEXT_LOAD, r, granted, units, pieces, size, last_size)
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
def take(
    x: _Ints,
    port: Port,
    parts: _Ints,
    r: Registers,
    dim: int,
    index: _Ints,
    extent: _Ints,
    changed: int,
    changing: int,
) -> None:
    """Take one tile through all units.

    Args:
        x: ``(STATE,)`` the units' state.
        port: the memory's.
        parts: ``(PARTS,)`` where the cycles have gone.
        r: the job.
        dim: rows and columns of the array.
        index: ``(8,)`` the tile's.
        extent: ``(8,)`` working memory.
        changed: bits of the dimensions whose index is another one than in the tile before.
        changing: bits of those whose index will be another one in the next tile.
    """
    for d in range(8):
        extent[d] = r.edge_tile[d] if index[d] == r.trips[d] - 1 else r.tile[d]
    old_sums = changing & _OF_OUTPUTS != 0
    pushed = max(x[SEQUENCED], x[LOAD_POPS + QUEUE - 1], x[EXECUTE_POPS + QUEUE - 1]) + 1
    if old_sums:
        pushed = max(pushed, x[STORE_POPS + QUEUE - 1 - x[WAITING]] + 1)
    x[SEQUENCED] = pushed
    busy = _load_tile(x, port, r, index, extent, changed, pushed)
    _execute(x, parts, r, index, extent, pushed, busy)
    if changing & _OF_WEIGHTS:
        _push(x, WEIGHTS_FREE, 2, x[EXECUTED] + 1)
    if changing & _OF_INPUTS:
        _push(x, INPUTS_FREE, 2, x[EXECUTED] + 1)
    if old_sums:
        _end_visit(x, port, r, dim, index, extent, pushed)


@inner
def _end_visit(
    x: _Ints, port: Port, r: Registers, dim: int, index: _Ints, extent: _Ints, pushed: int
) -> None:
    """Have the sums of a tile that ends a visit wait to be stored."""
    complete = (
        index[R] == r.trips[R] - 1 and index[S] == r.trips[S] - 1 and index[C] == r.trips[C] - 1
    )
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
    if has_cache(port):
        box = port.cached.boxes[place]
        sums_box(box, r, index, extent, complete, r.blocks_k[last], r.last_k[last])


@inner
def _load_tile(
    x: _Ints, port: Port, r: Registers, index: _Ints, extent: _Ints, changed: int, pushed: int
) -> int:
    """Take a tile through the loader; return how long its own data have the bus."""
    bus, box = port.bus, port.cached.boxes[NEXT_LOAD]
    now = max(pushed + 1, x[LOADER_IDLE])
    _push(x, LOAD_POPS, QUEUE, now)
    now += 1
    busy = np.int64(0)
    if changed & _OF_WEIGHTS:
        wanted = max(now, x[WEIGHTS_FREE + r.weights_halves - 1])
        taps = extent[R] * extent[S]
        units, size = _shape(taps, extent[K], extent[G], extent[C], r.weights_joined)
        if has_cache(port):
            weights_box(box, r, index, extent, size)
        now = _load(x, port, r, wanted, units, 0, size, size)
        busy += bus[BUSY]
    now += 1
    if changed & _OF_INPUTS:
        wanted = max(now, x[INPUTS_FREE + r.inputs_halves - 1])
        columns = _window(
            *(index[P] * r.tile[P], extent[P], r.stride_x),
            *(index[R] * r.tile[R], extent[R], r.dilation_x, r.padding_x, r.inputs_x),
        )
        rows = _window(
            *(index[Q] * r.tile[Q], extent[Q], r.stride_y),
            *(index[S] * r.tile[S], extent[S], r.dilation_y, r.padding_y, r.inputs_y),
        )
        if columns * rows > 0:
            lines = extent[N] * rows
            units, size = _shape(lines, extent[C], extent[G], columns, r.inputs_joined)
            if has_cache(port):
                inputs_box(box, r, index, extent, columns, rows, size)
            now = _load(x, port, r, wanted, units, 0, size, size)
            busy += bus[BUSY]
        else:
            now = wanted
    now += 1
    again = False
    if changed & _OF_OUTPUTS:
        # the half of the visit before the last one, which may have to be stored first
        while x[WAITING] >= r.sums_halves:
            store(x, port, r, store_from(x, bus))
        now = max(now, x[SUMS_FREE + r.sums_halves - 1 - x[WAITING]])
        again = index[R] + index[S] + index[C] > 0
    now += 1
    if again:
        last = 1 if index[K] == r.trips[K] - 1 else 0
        units = extent[N] * extent[Q] * extent[P] * extent[G]
        blocks, rest = r.blocks_k[last], r.last_k[last]
        if has_cache(port):
            sums_box(box, r, index, extent, False, blocks, rest)
        now = _load(x, port, r, now, units, blocks - 1, 4 * r.block_k, 4 * rest)
        busy += bus[BUSY]
    now += 1
    x[LOADER_IDLE] = now + 1
    x[LOADED] = max(now + 1, x[LOADED], x[ARRIVED]) + 1
    return busy


@inlined
def _shape(units: int, size: int, groups: int, inner_loop: int, joined: int) -> tuple[int, int]:
    """Return pieces of an operand and their bytes; so many levels of its box lie in one piece."""
    if joined == 0:
        return units * groups * inner_loop, size
    if joined == 1:
        return units * inner_loop, size * groups
    return units, size * groups * inner_loop


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
    note_waiting(parts, taken - idle, busy, r.latency if busy > 0 else 0)


@inlined
def note_waiting(parts: _Ints, waited: int, busy: int, latency: int) -> None:
    """Note why the executor waits: for data on the bus, for their latency, for something else."""
    parts[BANDWIDTH] += min(waited, busy)
    waited -= min(waited, busy)
    parts[LATENCY] += min(waited, latency)
    parts[OVERLAP] += waited - min(waited, latency)
