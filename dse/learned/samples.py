"""Native samples: random mappings on random hardware, as a table to pre-train on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.learned.encoding import Encoding
from dse.learned.rows import RecordedRows, RowTable, joined
from dse.mapspace import Mapspace, sample_valid
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.padding import alternatives
from dse.space.search_space import SearchSpace

#: Mappings drawn for one that fits, at most.
_MOST_DRAWS = 200
_EACH = 16


def native_samples(
    space: SearchSpace, encoding: Encoding, count: int, rng: np.random.Generator
) -> RowTable:
    """Return about ``count`` mappings with native cycles in the place of recorded ones.

    The problems of the workload take turns; each turn draws hardware and some valid mappings from
    the space. Where layers may be padded, a turn is of one of their sizes there, the more promising
    the more likely. Turns whose mapspace is empty or whose mappings do not fit give none.

    Raises:
        SpecError: nothing that was drawn fits.
    """
    problems = list(dict.fromkeys(layer.problem for layer in space.workload))

    space_of = MapspaceCache(space.template.constraints)
    metric = space.objective.mapping_metric

    def turn(number: int) -> tuple[Architecture, Problem]:
        architecture = space.architecture(space.sample_values(rng))
        problem = problems[number % len(problems)]
        if not space.padding.on:
            return architecture, problem
        sizes = alternatives(space_of(problem, architecture), space.padding, metric).problems
        return architecture, sizes[int(len(sizes) * rng.random() ** 2)]

    return _samples(turn, len(problems), space.template.constraints, encoding, count, rng)


def samples_like(
    rows: RecordedRows, encoding: Encoding, count: int, rng: np.random.Generator
) -> RowTable:
    """Return about ``count`` native samples of the problems of rows, on the hardware of rows.

    Any mapping that fits may be drawn: rows say nothing of constraints.

    Raises:
        SpecError: as :func:`native_samples`.
    """
    groups = rows.groups

    def turn(number: int) -> tuple[Architecture, Problem]:
        group = groups[number % len(groups)]
        machines = group.hardware.architectures
        return machines[int(rng.integers(len(machines)))], group.problem

    return _samples(turn, len(groups), {}, encoding, count, rng)


def _samples(
    turn: Callable[[int], tuple[Architecture, Problem]],
    problems: int,
    constraints: Constraints,
    encoding: Encoding,
    count: int,
    rng: np.random.Generator,
) -> RowTable:
    parts: list[RowTable] = []
    found = 0
    for number in range(max(4 * count // _EACH, 4 * problems)):
        if found >= count:
            break
        architecture, problem = turn(number)
        space = Mapspace(problem, architecture, constraints)
        drawn = sample_valid(space, _EACH, int(rng.integers(2**62)), _EACH * _MOST_DRAWS)
        if len(drawn.mappings):
            batch = HardwareBatch.of(architecture)
            parts.append(_table(batch, problem, drawn.mappings, encoding, number % problems))
            found += len(parts[-1])
    if not found:
        raise SpecError("native samples: no mapping that was drawn fits its hardware")
    return joined(parts)


def _table(
    hardware: HardwareBatch,
    problem: Problem,
    mappings: MappingBatch,
    encoding: Encoding,
    layer: int,
) -> RowTable:
    index = np.zeros(len(mappings), np.int32)
    encoded = encoding.encode(hardware, problem, mappings, index)
    table = RowTable(
        *(encoding.names, encoded.features, encoded.ln_native, encoded.ln_native),
        *(encoded.native.energy_pj, np.full(len(mappings), layer, np.int64)),
    )
    return table.take(encoded.valid)
