"""What enters the network below each level, in full: what Timeloop's reports list of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.model import arrays as a
from dse.model.evaluate import SingleRun
from dse.model.singly import without


@dataclass(frozen=True)
class Ingress:
    """Words of one tensor that enter a network for as many receivers each.

    Attributes:
        multicast: receivers of a word.
        scatter: such sets of receivers.
        words: below one instance of the level; partial sums that travel back included.
        hops: of all these words.
    """

    multicast: int
    scatter: int
    words: float
    hops: float


def ingresses(
    architecture: Architecture, problem: Problem, mapping: Mapping, timeloop_version: str
) -> list[list[tuple[Ingress, ...]]]:
    """Return what enters the inferred network below each level, ``[L][T]``.

    Each by multicast and scatter factor.

    Raises:
        SpecError, InvalidMapping: as `dse.model.evaluate_one`.
    """
    version = a.version_number(timeloop_version)
    # hops are followed only where they cost something
    levels = tuple(
        replace(
            level,
            network=replace(level.network, hop_energy_pj=1.0),
            read_network=None,
            update_network=None,
        )
        for level in without(architecture).levels
    )
    priced = replace(architecture, levels=levels, networks=())
    room = 64
    while True:
        details = SingleRun.of(priced, problem, mapping, version, room).details
        if (room := int(details.entries.max())) <= details.records.shape[3]:
            break
    return [
        [
            _entered(details, s, t, doubled=bool(problem.read_write[t]) and not level.can_reduce)
            for t in range(len(problem.tensors))
        ]
        for s, level in enumerate(architecture.levels)
    ]


def _entered(details: a.Details, s: int, t: int, *, doubled: bool) -> tuple[Ingress, ...]:
    count = int(details.entries[s, t, 0])
    partition = float(details.tensor[a.PARTITION, s, t, 0])
    rows = np.asarray(details.records[:, s, t, :count, 0]).T.tolist()
    return tuple(
        Ingress(int(multicast), int(scatter), 2.0 * words - partition if doubled else words, hops)
        for multicast, words, scatter, hops in rows
    )
