"""What levels declare that is modelled one mapping at a time, around the kernels (section 18).

Bandwidth consumption scales change how much words weigh against the bandwidths, so cycles;
gates of the power at another level change leakage. Both are of 4cf6d4c: readers leave them out
under other versions. A network of type M:N distributes a multicast over the instances that would
get it. Where it has one to distribute is told; what becomes of it is not modelled.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from dse.domain.architecture import Architecture, StorageLevel
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.model import arrays as a
from dse.model import rules
from dse.model.stats import LevelStats, Stats

#: More words than any tile has, for levels that are to hold whatever comes.
_ROOMY = 2**61


def is_modelled_singly(level: StorageLevel) -> bool:
    """Whether a level declares something of that kind."""
    return bool(level.bandwidth_scales or level.power_gated_at or level.distributes)


def without(architecture: Architecture) -> Architecture:
    """Return the architecture as the kernels know it."""
    levels = (
        replace(level, bandwidth_scales=(), power_gated_at=None, distributes=False)
        for level in architecture.levels
    )
    return replace(architecture, levels=tuple(levels))


def roomy(architecture: Architecture) -> Architecture:
    """Return the architecture as the kernels know it, with levels that hold any tile."""
    levels = (
        level
        if level.size_words is None
        else replace(level, size_words=_ROOMY, multiple_buffering=1.0, min_utilization=0.0)
        for level in without(architecture).levels
    )
    return replace(architecture, levels=tuple(levels))


def check_distribution(architecture: Architecture, problem: Problem, details: a.Details) -> None:
    """Refuse a mapping with a multicast that a network of type M:N distributes.

    Timeloop distributes before it looks at what is kept where.

    Args:
        architecture: with such a network.
        problem: what is mapped.
        details: of the mapping on `roomy` hardware that keeps everything, with records.

    Raises:
        SpecError: there is one, or Timeloop cannot say.
    """
    distributed = ""
    for t, tensor in enumerate(problem.tensors):
        for s, (level, outer) in enumerate(pairwise(architecture.levels)):
            if not level.distributes:
                continue
            if details.entries[s : s + 2, t, 0].tolist() != [1, 1]:
                raise SpecError(
                    f"level '{level.name}': its network of type M:N has more than one kind of "
                    f"multicast of '{tensor}'\nERROR: complex multicast signature detected, and we "
                    "cannot yet compute a distributed multicast pattern for this."
                )
            if details.records[0, s + 1, t, 0, 0] > 1:
                distributed = (
                    f"level '{level.name}': its network of type M:N distributes the multicast of "
                    f"'{tensor}' from '{outer.name}', which is not modelled"
                )
                break  # Timeloop distributes one of a tensor
    if distributed:
        raise SpecError(distributed)


def with_scales_and_gates(architecture: Architecture, mapping: Mapping, stats: Stats) -> Stats:
    """Return the kernels' statistics of a mapping with its architecture's scales and gates.

    Args:
        architecture: with them, or not: then nothing changes.
        mapping: what was evaluated.
        stats: of the architecture without them.
    """
    if not any(level.bandwidth_scales or level.power_gated_at for level in architecture.levels):
        return stats
    iterations = math.prod(mapping.temporal.ravel().tolist())
    before = max(iterations, *(found.cycles for found in stats.levels.values()))
    latency = stats.cycles - before
    levels = dict(stats.levels)
    for s, level in enumerate(architecture.levels):
        if level.bandwidth_scales:
            # as many as there would be without remainders
            expansion = math.prod(mapping.spatial[s + 1 :].ravel().tolist())
            levels[level.name] = _scaled(level, levels[level.name], expansion, iterations)
    cycles = max(iterations, *(found.cycles for found in levels.values()))
    leaks: list[float] = []
    for level in architecture.levels:
        leak = _leak_pj(architecture, level, levels, float(cycles))
        leaks += leak, -stats.levels[level.name].leak_energy_pj
        levels[level.name] = replace(levels[level.name], leak_energy_pj=leak)
    total = float(cycles + latency)
    return replace(
        stats,
        cycles=cycles + latency,
        energy_pj=stats.energy_pj + math.fsum(leaks),
        utilization=rules.utilization(stats.computes, architecture.compute.instances, total),
        levels=levels,
    )


def _scaled(level: StorageLevel, found: LevelStats, expansion: int, iterations: int) -> LevelStats:
    """Return a level's statistics with its words weighed (section 9)."""
    scales = dict(level.bandwidth_scales)
    loads: dict[str, float] = {"reads": 0.0, "writes": 0.0}
    for tensor, counts in found.tensors.items():
        used = counts.utilized_instances
        for key, words in (("reads", counts.reads), ("writes", counts.fills + counts.updates)):
            if words:
                load = rules.words_per_cycle(words, expansion, used, iterations)
                loads[key] += load * scales.get(tensor, 1.0)
    with np.errstate(divide="ignore"):
        slow = rules.slowdown(
            np.float64(loads["reads"]),
            np.float64(loads["writes"]),
            level.read_bandwidth,
            level.write_bandwidth,
            level.shared_bandwidth,
        )
    return replace(found, slowdown=float(slow), cycles=int(rules.slowed(iterations, slow)))


def _leak_pj(
    architecture: Architecture, level: StorageLevel, levels: dict[str, LevelStats], cycles: float
) -> float:
    """Return what a level leaks; with its power gated at another one, all that share a gate."""
    used = _used(levels[level.name])
    if level.power_gated_at is not None:
        gate = architecture.level(level.power_gated_at)
        sharing = level.instances / gate.instances
        if sharing > 1:
            used = sharing * _used(levels[gate.name])
    return rules.leakage(level.energy.leak_pj, cycles, used)


def _used(found: LevelStats) -> float:
    return max(1.0, *(counts.utilized_instances for counts in found.tensors.values()))
