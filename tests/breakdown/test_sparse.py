"""What cycles, energy and zeros of sparse designs are made of adds up to what the model says."""

from __future__ import annotations

import pytest
import sparse_designs
import yaml

from dse.breakdown.cycles import cycle_breakdown
from dse.breakdown.energy import energy_parts
from dse.breakdown.zeros import compute_fates, saved_accesses
from dse.components.chain import energy_chain
from dse.errors import InvalidMapping, SpecError
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.space.template import ArchTemplate
from dse.space.workload import parse_workload
from dse.sparse.evaluate import evaluate_sparse


@pytest.fixture(scope="module")
def evaluated():
    """Mappings of a layer of a small sparse design, with what the model says of them."""
    template = ArchTemplate.parse(yaml.safe_load(sparse_designs.TEMPLATE), "arch.yaml")
    machine = energy_chain(template.energy).price(template.build(template.defaults))
    layer = parse_workload(yaml.safe_load(sparse_designs.WORKLOAD), "net.yaml").layers[0]
    problem = layer.problem
    found = []
    space = Mapspace(problem, machine.with_room(problem))
    batch = sample_valid(space, 60, 3, 10**6).mappings
    for b in range(len(batch)):
        try:
            stats = evaluate_sparse(machine, problem, batch[b], machine.sparse.of(problem))
        except (InvalidMapping, SpecError):
            continue
        found.append((machine, batch[b], stats))
    assert len(found) > 20
    return found


def test_the_binding_limit_is_the_cycles(evaluated):
    slowed = 0
    for machine, mapping, stats in evaluated:
        found = cycle_breakdown(machine, mapping, stats)
        assert found.latency_cycles == 0
        assert found.binding.cycles == stats.cycles
        assert found.iterations == stats.sparse_computes.cycles
        for limit in found.limits:
            if limit.bandwidth is not None:
                assert limit.cycles <= stats.levels[limit.place].cycles
        slowed += found.binding.bandwidth is not None
    assert 0 < slowed < len(evaluated)


def test_parts_are_the_energy(evaluated):
    for machine, _, stats in evaluated:
        whole = sum(part.energy_pj for part in energy_parts(machine, stats))
        assert whole == pytest.approx(stats.energy_pj, rel=1e-9)


def test_computes_are_all_accounted_for(evaluated):
    for _, _, stats in evaluated:
        fates = compute_fates(stats)
        assert fates.random + fates.gated + fates.skipped + fates.absent == stats.computes
        assert fates.random == pytest.approx(0.2 * stats.computes, rel=0.03)
        gated = [x for x in saved_accesses(stats) if x.gated]
        assert {x.tensor for x in gated} <= {"Inputs"}  # what the buffer gates, DRAM need not read
