"""How many cycles a job takes, and where they go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.cycles import state
from dse.cycles.job import Job
from dse.cycles.port import new_port
from dse.cycles.walk import new_earlier, walk


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
    parts = np.zeros(state.PARTS, np.int64)
    port = new_port(job.registers, skipping and job.machine.memory.cache is None)
    total = walk(
        job.registers,
        job.machine.pe_dim,
        state.new_state(),
        port,
        parts,
        np.zeros((2, 8), np.int64),
        new_earlier(port),
    )
    where = (
        *(state.COMPUTE, state.FILL, state.DRAIN),
        *(state.BANDWIDTH, state.LATENCY, state.OVERLAP),
    )
    return Cycles(int(total), *(int(parts[i]) for i in where))
