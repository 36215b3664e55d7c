"""The memory's port: transfers of tiles, through the cache where there is one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.cycles.boxes import BOX, LEVELS
from dse.cycles.bursts import DEPTH, ENDS, ISSUED, transfer
from dse.cycles.cache import EMPTY, Cached, cached_transfer
from dse.cycles.job import Registers
from dse.cycles.state import QUEUE
from dse.jit import inlined, inner

_Ints = npt.NDArray[np.int64]

#: Place of the next load's box; before it are those of the visits that wait to be stored.
NEXT_LOAD = QUEUE


class Port(NamedTuple):
    """The port's state, and what transfers need.

    Attributes:
        bus: ``(ENDS + in_flight,)`` see `dse.cycles.bursts`.
        seen: ``(DEPTH, ENDS + in_flight)`` working memory.
        cached: the cache.
        skip: whether periods of equal bursts are skipped.
    """

    bus: _Ints
    seen: _Ints
    cached: Cached
    skip: bool


def new_port(r: Registers, skip: bool) -> Port:
    """Return the port as a job finds it."""
    bus = np.zeros(ENDS + r.in_flight, np.int64)
    bus[ISSUED] = -1
    cached = Cached(
        np.full(r.cache_lines, EMPTY, np.int64),
        np.zeros((QUEUE + 1, BOX), np.int64),
        np.zeros(LEVELS, np.int64),
    )
    return Port(bus, np.zeros((DEPTH, len(bus)), np.int64), cached, skip)


@inlined
def has_cache(port: Port) -> bool:
    """Whether boxes are needed: a cache remembers addresses."""
    return port.cached.lines.shape[0] > 0


@inner
def move(
    port: Port,
    box: int,
    r: Registers,
    granted: int,
    units: int,
    pieces: int,
    size: int,
    last_size: int,
) -> None:
    """Issue the bursts of a transfer: those of its box, or, without a cache, of its shape.

    Args:
        port: its state moves on.
        box: place among the cache's boxes.
        r: the job.
        granted: cycle in which the transfer was granted.
        units: of its shape; see `dse.cycles.bursts.transfer`.
        pieces: likewise.
        size: likewise.
        last_size: likewise.
    """
    if has_cache(port):
        cached_transfer(port.bus, port.cached, port.cached.boxes[box], r, granted)
        return
    transfer(
        *(port.bus, port.seen, granted, r.latency, r.bytes_per_cycle, r.burst_bytes),
        *(units, pieces, size, last_size, port.skip),
    )
