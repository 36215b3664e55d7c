"""Native samples: random mappings on random hardware of a template, as a table to pre-train on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.components.base import EnergyChain
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.learned.encoding import Encoding
from dse.learned.rows import RowTable
from dse.mapspace import Mapspace, sample_valid
from dse.space.template import ArchTemplate

#: Mappings drawn for one that fits, at most.
_MOST_DRAWS = 200
_EACH = 16


def native_samples(
    template: ArchTemplate,
    chain: EnergyChain,
    problems: Sequence[Problem],
    encoding: Encoding,
    count: int,
    rng: np.random.Generator,
) -> RowTable:
    """Return about ``count`` mappings with native cycles in the place of recorded ones.

    Problems take turns; each turn draws hardware from the template and some valid mappings from the
    mapspace. Turns whose mapspace is empty or whose mappings do not fit give none.

    Raises:
        SpecError: nothing that was drawn fits.
    """
    parts: list[RowTable] = []
    found = 0
    for turn in range(max(4 * count // _EACH, 4 * len(problems))):
        if found >= count:
            break
        problem = problems[turn % len(problems)]
        values = template.sample(rng)
        architecture = chain.price(template.build(values))
        space = Mapspace(problem, architecture)
        drawn = sample_valid(space, _EACH, int(rng.integers(2**62)), _EACH * _MOST_DRAWS)
        if len(drawn.mappings):
            batch = HardwareBatch.of(architecture)
            layer = turn % len(problems)
            parts.append(_table(batch, problem, drawn.mappings, encoding, layer))
            found += len(parts[-1])
    if not found:
        raise SpecError("native samples: no mapping that was drawn fits its hardware")
    return RowTable(
        encoding.names,
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.ln_cycles for part in parts]),
        np.concatenate([part.ln_native for part in parts]),
        np.concatenate([part.energy_pj for part in parts]),
        np.concatenate([part.layer for part in parts]),
    )


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
