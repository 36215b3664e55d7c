"""How many cycles a job takes, and where they go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.cycles import boxes, bursts, cache, walk
from dse.cycles.job import Job


@dataclass(frozen=True)
class Cycles:
    """The cycles of a job, equal to the RTL's; all but ``total`` add up to it.

    Attributes:
        total: from the sequencer's first cycle to the last output in memory.
        compute: inputs go through the array: what Timeloop counts for the MACs.
        array_fill: weights go to the array and nothing through it; one cycle to begin each tile.
        array_drain: the last sums come out of the array.
        bandwidth: the array waits for as long as the data that it waits for have the bus.
        latency: and for as long as the memory's latency, on top.
        overlap: it waits for other reasons: room in a buffer, other transfers, the loader's steps.
    """

    total: int
    compute: int
    array_fill: int
    array_drain: int
    bandwidth: int
    latency: int
    overlap: int


def cycles(job: Job, *, skipping: bool = True) -> Cycles:
    """Return the cycles of a job.

    Args:
        job: from `dse.cycles.lower.lower`.
        skipping: whether repeated tiles are found and not walked again; the result is the same.
            With a cache all are walked.
    """
    state = np.full(walk.STATE, walk.NEVER, np.int64)
    state[walk.WAITING :] = 0
    state[[walk.SEQUENCED, walk.EXECUTED]] = -1
    state[walk.LOADER_IDLE] = 0
    bus = np.zeros(bursts.ENDS + job.registers.in_flight, np.int64)
    bus[bursts.ISSUED] = -1
    cached = cache.Cached(
        np.full(job.registers.cache_lines, cache.EMPTY, np.int64),
        np.zeros((walk.QUEUE + 1, boxes.BOX), np.int64),
        np.zeros(boxes.LEVELS, np.int64),
    )
    parts = np.zeros(walk.PARTS, np.int64)
    total = walk.walk(
        job.registers,
        job.machine.pe_dim,
        state,
        bus,
        np.zeros((bursts.DEPTH, len(bus)), np.int64),
        cached,
        parts,
        np.zeros((4, 8), np.int64),
        np.zeros((8, len(state)), np.int64),
        np.zeros((8, len(bus)), np.int64),
        np.zeros((8, len(parts)), np.int64),
        skipping and len(cached.lines) == 0,
    )
    where = (walk.COMPUTE, walk.FILL, walk.DRAIN, walk.BANDWIDTH, walk.LATENCY, walk.OVERLAP)
    return Cycles(int(total), *(int(parts[i]) for i in where))
