"""Closed-form tables: every class costs what the model says, and none that is best is missing."""

from __future__ import annotations

import numpy as np
import pytest
from cosearch_cases import random_problem

from dse.components.chain import energy_chain
from dse.cosearch.frames import HardwareSpace
from dse.cosearch.two_tier.roles import roles
from dse.cosearch.two_tier.table import TwoTierTable
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Layer, Workload
from dse.evaluators.native import NativeEvaluator
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace
from dse.model.arrays import TIMELOOP_VERSIONS
from dse.space import catalog
from dse.space.search_space import SearchSpace

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(14))
def test_classes_are_priced_exactly_and_complete(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng)
    version = str(rng.choice(list(TIMELOOP_VERSIONS)))
    chain = energy_chain(str(rng.choice(["dosa", "table"])))
    fixed = {"pe_dim": int(rng.choice([2, 3, 4, 8]))}
    network = Workload("net", (Layer("one", problem),))
    space = SearchSpace(catalog.template("gemmini"), network, chain, fixed)
    hardware = HardwareSpace(space, areas=False)
    frame = hardware.frame(0)
    mapspace = Mapspace(problem, frame.architecture)
    role = roles(mapspace)
    assert role is not None
    table = TwoTierTable(mapspace, role, hardware.sizes, TIMELOOP_VERSIONS[version], 1 << 40)
    rows = table.rows(frame, None)
    evaluator = NativeEvaluator(version)
    for most in (2047, 2, 1):
        point = tuple(int(i) for i in rng.integers(0, most + 1, 2))
        architecture = space.architecture(hardware.values(frame, point))
        energy = rows.base_pj + rows.accesses @ frame.price_at(point)
        usable = [t.usable_words[i] for t, i in zip(frame.tables, point, strict=True)]
        fits = np.flatnonzero((rows.need <= usable).all(axis=1))
        some = rng.permutation(fits)[:200]
        if not len(some):
            continue
        own = [table.mapping(frame, int(rows.index[r])) for r in some]
        m = evaluator.evaluate(architecture, problem, MappingBatch.of(own))
        assert m.valid.all()
        assert ((m.cycles == rows.cycles[some]) | (m.cycles == rows.cycles[some] + 1)).all()
        np.testing.assert_allclose(m.energy_pj, energy[some], rtol=1e-6 if frame.leaks else 1e-12)
        least = np.full(3, np.inf)
        for batch in enumerate_valid(Mapspace(problem, architecture), 50_000):
            m = evaluator.evaluate(architecture, problem, batch)
            columns = (m.edp, m.energy_pj, m.cycles)
            least = np.minimum(least, [column[m.valid].min() for column in columns])
        found = (energy * rows.cycles)[fits].min(), energy[fits].min(), rows.cycles[fits].min()
        np.testing.assert_allclose(found, least, rtol=1e-12)
