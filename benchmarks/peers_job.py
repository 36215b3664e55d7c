"""What `peers.py` asks of a mapper: hardware, unit prices and a layer, as plain data.

Levels stand outermost first. Of each: its instances under one of the level outside (``fanout``),
words of one instance, what it keeps, bandwidth, and pJ of an access of ``block_words`` words.
"""

from __future__ import annotations

import math
from typing import Any

from dse.domain.architecture import Architecture
from dse.domain.problem import Problem

Job = dict[str, Any]


def job_of(architecture: Architecture, problem: Problem, *, even: bool) -> Job:
    """Return the job of a layer on hardware whose levels keep what their constraints say.

    Args:
        architecture: priced.
        problem: with the tensors that the constraints name; dimensions of size 1 are left out.
        even: whether all tensors have to stay at the same loops between two levels.

    Raises:
        ValueError: the hardware has what the peers' words do not say alike.
    """
    constraints = architecture.constraints or {}
    levels = []
    for s in reversed(range(len(architecture.levels))):
        level = architecture.levels[s]
        free = set(problem.tensors) - {
            *constraints[level.name].keep,
            *constraints[level.name].bypass,
        }
        outermost = s == len(architecture.levels) - 1
        for wrong, what in (
            (free and not outermost, f"may keep {', '.join(sorted(free))} or not"),
            (level.energy.fill_pj != level.energy.update_pj, "fills and updates at two prices"),
            (level.energy.leak_pj or level.energy.address_generation_pj, "leakage or addresses"),
            (min(level.read_bandwidth, level.write_bandwidth) < math.inf, "two bandwidths"),
            (level.cluster_size != 1 or level.multiple_buffering != 1, "clusters, or part in use"),
            (architecture.fanout(s)[1] > 1, "a fan-out along Y"),
        ):
            if wrong:
                raise ValueError(f"{architecture.name}, {level.name}: {what}")
        shared = level.shared_bandwidth
        levels.append(
            {
                "name": level.name,
                "fanout": 1 if outermost else math.prod(architecture.fanout(s + 1)),
                "size_words": level.size_words,
                "word_bits": level.word_bits,
                "block_words": level.block_size,
                "words_per_cycle": None if math.isinf(shared) else shared,
                "read_pj": level.energy.read_pj,
                "write_pj": level.energy.fill_pj,
                "keep": list(constraints[level.name].keep),
            }
        )
    return {
        "levels": levels,
        "compute": architecture.compute.name,
        "mac_pj": architecture.compute.energy_pj,
        "mac_fanout": math.prod(architecture.fanout(0)),
        "bounds": {d: n for d, n in problem.bounds.items() if n > 1},
        "tensors": [
            {"name": space.name, "output": space.read_write, "ranks": _ranks(problem, t)}
            for t, space in enumerate(problem.shape.data_spaces)
        ],
        "even": even,
    }


def _ranks(problem: Problem, tensor: int) -> list[list[tuple[str, int]]]:
    """Return the dimensions that each rank of a tensor adds up, with their factors."""
    moved = [d for d, name in enumerate(problem.dimensions) if problem.bounds[name] > 1]
    found = []
    for row in problem.projection[tensor]:
        rank = [(problem.dimensions[d], int(row[d])) for d in moved if row[d]]
        if rank:
            found.append(rank)
    return found
