"""From a peer's loop nest to a mapping of Timeloop's kind, where that counts the same.

A nest is a list, outermost first, of ``{"store": LEVEL, "tensors": [...]}``, of loops in time
``{"loop": DIMENSION, "count": N}``, and of loops in space, which have ``"into": LEVEL`` as well.
Each tensor may stand at a loop of its own (*uneven*). Storage may be moved over loops in time that
its tensor does not depend on: neither what it holds nor how often that changes is another then. A
nest is even where all tensors of each level can be moved to one place.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem

Step = dict[str, Any]


class UnevenError(ValueError):
    """Timeloop has no words for a nest."""


def mapping_of(nest: Sequence[Step], problem: Problem, architecture: Architecture) -> Mapping:
    """Return the mapping that a nest is.

    Args:
        nest: see the module.
        problem: what is mapped; dimensions that the nest lacks run once.
        architecture: its levels are those of the nest.

    Raises:
        UnevenError: two tensors of a level stand at different loops that matter to them, or a
            dimension has two loops of one level with others between them.
    """
    places = _places(nest, problem, [level.name for level in reversed(architecture.levels)])
    count, names = len(architecture.levels), problem.dimensions
    shape = (count, len(names))
    temporal, spatial = np.ones(shape, np.int32), np.ones(shape, np.int32)
    permutation = np.empty(shape, np.int8)
    for number, start in enumerate(places):
        s = count - 1 - number
        end = places[number + 1] if number + 1 < count else len(nest)
        loops = [step for step in nest[start:end] if step.get("count", 1) > 1]
        inner = architecture.levels[s - 1].name if s else architecture.compute.name
        order = _in_time([x for x in loops if "into" not in x], architecture.levels[s].name)
        for name, factor in order.items():
            temporal[s, names.index(name)] = factor
        for loop in (x for x in loops if "into" in x):
            if loop["into"] != inner:
                raise UnevenError(f"a loop in space into {loop['into']} stands above {inner}")
            spatial[s, names.index(loop["loop"])] *= loop["count"]
        listed = [names.index(name) for name in order]
        permutation[s] = [*reversed(listed), *(d for d in range(len(names)) if d not in listed)]
    keep = np.zeros((count, len(problem.tensors)), np.bool_)
    levels = [level.name for level in architecture.levels]
    for step in (x for x in nest if "store" in x):
        for tensor in step["tensors"]:
            keep[levels.index(step["store"]), problem.tensors.index(tensor)] = True
    nothing = np.zeros_like(keep)
    return Mapping(
        temporal=temporal,
        spatial=spatial,
        permutation=permutation,
        spatial_permutation=np.tile(np.arange(len(names), dtype=np.int8), (count, 1)),
        split=np.full(count, len(names), np.int8),
        keep=keep,
        no_temporal_reuse=nothing,
        no_multicast=nothing,
        no_link_transfer=nothing,
    )


def _in_time(loops: Sequence[Step], level: str) -> dict[str, int]:
    """Return a level's factors, outermost first; loops of a dimension that follow it are one."""
    found: dict[str, int] = {}
    for name, same in itertools.groupby(loops, key=lambda loop: loop["loop"]):
        if name in found:
            raise UnevenError(f"{name} has two loops at {level}, with others between them")
        found[name] = int(np.prod([loop["count"] for loop in same]))
    return found


def _places(nest: Sequence[Step], problem: Problem, levels: Sequence[str]) -> tuple[int, ...]:
    """Return where each level's storage can stand as a whole, outermost first."""
    choices = []
    for level in levels:
        stores = [(at, x["tensors"]) for at, x in enumerate(nest) if x.get("store") == level]
        fits = [
            at
            for at, _ in stores
            if all(_moves(nest, problem, tensors, at, other) for other, tensors in stores)
        ]
        if not fits:
            raise UnevenError(f"the tensors of {level} stand at different loops")
        choices.append(fits)
    for places in itertools.product(*choices):
        if list(places) == sorted(places):
            return places
    raise UnevenError("the levels' storage is not in the order of the levels")


def _moves(
    nest: Sequence[Step], problem: Problem, tensors: Sequence[str], one: int, other: int
) -> bool:
    """Whether storage of tensors counts the same at two places."""
    depends = {
        d for space in problem.shape.data_spaces if space.name in tensors for d in space.dimensions
    }
    between = [x for x in nest[min(one, other) : max(one, other)] if x.get("count", 1) > 1]
    return not any("into" in loop or loop["loop"] in depends for loop in between)
