"""The optional last-level cache: which bursts find their lines there, and transfers through it.

It is direct-mapped. When a burst is issued, the one or two lines that it lies on are looked up; it
hits if all of them are there, and from then on they are, whether it reads or writes. A burst that
hits has the bus the cache's latency after its issue, another the memory's. Each burst is walked:
nothing is skipped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.cycles.boxes import ADDRESS, COUNTS, LAST_SIZE, LEVELS, SIZE, STRIDES
from dse.cycles.bursts import BUSY, ISSUED, burst
from dse.cycles.job import Registers
from dse.jit import inner

_Ints = npt.NDArray[np.int64]

#: In a place without a line.
EMPTY = -1


class Cached(NamedTuple):
    """The state of the cache, and what transfers through it need.

    Attributes:
        lines: ``(lines,)`` number of the line in memory that each place has; none without a cache.
        boxes: ``(QUEUE + 1, BOX)`` boxes of the visits that wait to be stored, the oldest first;
            the last one is that of the next load.
        index: ``(LEVELS,)`` working memory.
    """

    lines: _Ints
    boxes: _Ints
    index: _Ints


@inner
def _hits(lines: _Ints, line_bits: int, address: int, size: int) -> bool:
    """Whether all lines of a burst are there; from now on they are."""
    mask = lines.shape[0] - 1
    first, last = address >> line_bits, (address + size - 1) >> line_bits
    found = lines[first & mask] == first and lines[last & mask] == last
    lines[first & mask] = first
    lines[last & mask] = last
    return found


@inner
def cached_transfer(bus: _Ints, cached: Cached, box: _Ints, r: Registers, granted: int) -> None:
    """Issue the bursts of a box's transfer, which was granted in some cycle.

    Args:
        bus: ``(ENDS + in_flight,)`` the state, which moves on; see `dse.cycles.bursts`.
        cached: the cache, likewise.
        box: ``(BOX,)`` of `dse.cycles.boxes`.
        r: the job.
        granted: the cycle.
    """
    bus[ISSUED] = granted
    bus[BUSY] = 0
    index, at = cached.index, box[ADDRESS]
    for i in range(LEVELS):
        index[i] = 0
    while True:
        left = box[LAST_SIZE] if index[0] == box[COUNTS] - 1 else box[SIZE]
        address = at
        while left > 0:
            size = min(left, r.burst_bytes)
            hit = _hits(cached.lines, r.cache_line_bits, address, size)
            cycles = (size + r.bytes_per_cycle - 1) // r.bytes_per_cycle
            burst(bus, r.cache_latency if hit else r.latency, cycles)
            address += size
            left -= size
        level = 0
        while level < LEVELS and index[level] == box[COUNTS + level] - 1:
            at -= index[level] * box[STRIDES + level]
            index[level] = 0
            level += 1
        if level == LEVELS:
            return
        index[level] += 1
        at += box[STRIDES + level]
