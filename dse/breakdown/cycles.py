"""What bounds the cycles of a mapping: its iterations, or what a level can move in a cycle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dse.domain.architecture import UNLIMITED, Architecture, StorageLevel
from dse.domain.mapping import Mapping
from dse.model import rules
from dse.model.stats import LevelStats, Stats
from dse.sparse.stats import SparseStats, SparseTensorStats

#: Which bandwidth of a level, in words: of its reads, of its fills and updates, or of all.
BandwidthKind = Literal["read", "write", "shared"]
#: From so many times fewer cycles on it is worth a word what lifting a limit would do.
_TOLD_SLACK = 1.005
#: What the name of a place is in a limit that is no level's.
COMPUTE = "compute"


@dataclass(frozen=True)
class CycleLimit:
    """The cycles that one resource alone would make a mapping take.

    Attributes:
        place: a level's name; ``compute`` of the iterations, one a cycle.
        bandwidth: which of the level's; None of the iterations.
        cycles: at least so many, as the model has it: never fewer than the iterations.
        needed: cycles in which it could do its part, were there no others.
        demand: words that one instance moves in an iteration; None of the iterations.
        available: words that it can move in a cycle.
    """

    place: str
    bandwidth: BandwidthKind | None
    cycles: float
    needed: float
    demand: float | None = None
    available: float | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.place} {self.bandwidth} bandwidth" if self.bandwidth else self.place


@dataclass(frozen=True)
class CycleBreakdown:
    """What a mapping's cycles are made of.

    Attributes:
        limits: of the iterations first, then of the levels' bandwidths from the inside out; only
            of bandwidths that are limited, and used.
        latency_cycles: added to the largest of them, whatever is mapped.
    """

    limits: tuple[CycleLimit, ...]
    latency_cycles: int

    @property
    def iterations(self) -> int:
        """Cycles that computing alone takes."""
        return int(self.limits[0].cycles)

    @property
    def binding(self) -> CycleLimit:
        """What makes the mapping take as long as it does; the iterations where nothing slows."""
        return max(self.limits, key=lambda limit: limit.cycles)

    @property
    def in_order(self) -> list[CycleLimit]:
        """The limits: the binding one first, the others by the cycles that they need."""
        own = self.binding
        return [own, *sorted((x for x in self.limits if x is not own), key=lambda x: -x.needed)]

    @property
    def next_cycles(self) -> float:
        """Cycles that would be left, without latency, were the binding limit lifted."""
        own = self.binding
        return max((x.cycles for x in self.limits if x is not own), default=0.0)

    @property
    def slack(self) -> float | None:
        """How many times fewer cycles that would be; None: no more than half a percent fewer."""
        factor = self.binding.cycles / self.next_cycles if self.next_cycles else 0.0
        return factor if factor >= _TOLD_SLACK else None


def cycle_breakdown(architecture: Architecture, mapping: Mapping, stats: Stats) -> CycleBreakdown:
    """Return what bounds the cycles of a mapping (section 9 of the rules).

    Args:
        architecture: what it runs on.
        mapping: of a problem.
        stats: what the model says of it.
    """
    if isinstance(stats, SparseStats):
        iterations = stats.sparse_computes.cycles
    else:
        iterations = math.prod(mapping.temporal.ravel().tolist())
    limits = [CycleLimit(COMPUTE, None, float(iterations), float(iterations))]
    for s, level in enumerate(architecture.levels):
        # as many instances as there would be without remainders
        expansion = math.prod(mapping.spatial[s + 1 :].ravel().tolist())
        found = stats.levels[level.name]
        limits += _limits(level, *_loads(level, found, expansion, iterations), iterations)
    latency = stats.cycles - int(max(limit.cycles for limit in limits))
    return CycleBreakdown(tuple(limits), latency)


def _limits(
    level: StorageLevel, reads: float, writes: float, iterations: int
) -> Iterator[CycleLimit]:
    """Yield what each bandwidth of a level allows that moves so many words in an iteration."""
    bandwidths: dict[BandwidthKind, tuple[float, float, float]] = {
        "read": (level.read_bandwidth, reads, 0.0),
        "write": (level.write_bandwidth, 0.0, writes),
        "shared": (level.shared_bandwidth, reads, writes),
    }
    for kind, (available, read, written) in bandwidths.items():
        if available == UNLIMITED or not read + written:
            continue
        only = (available if name == kind else UNLIMITED for name in bandwidths)
        with np.errstate(divide="ignore"):
            slow = rules.slowdown(np.float64(read), np.float64(written), *only)
        cycles = rules.slowed(iterations, float(slow))
        needed = iterations * (read + written) / available if available else math.inf
        yield CycleLimit(level.name, kind, cycles, needed, read + written, available)


def _loads(
    level: StorageLevel, found: LevelStats, expansion: int, iterations: int
) -> tuple[float, float]:
    """Return the words that one instance reads, and fills and updates, in an iteration."""
    scales = dict(level.bandwidth_scales)
    loads = [0.0, 0.0]
    for name, tensor in found.tensors.items():
        if isinstance(tensor, SparseTensorStats):
            for i, demand in enumerate(tensor.demand):
                loads[i] += demand * scales.get(name, 1.0)
            continue
        for i, words in enumerate((tensor.reads, tensor.fills + tensor.updates)):
            if words:
                used = tensor.utilized_instances
                load = rules.words_per_cycle(words, expansion, used, iterations)
                loads[i] += load * scales.get(name, 1.0)
    return loads[0], loads[1]
