"""The twin against the exact model on drawn architectures, problems and mappings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import cases

from dse.domain.architecture import HardwareBatch, Network
from dse.domain.mapping import MappingBatch
from dse.errors import SpecError
from dse.model import arrays as a
from dse.model.evaluate import evaluate_exact
from dse.relaxed import Twin
from dse.relaxed.prices import price_list

pytestmark = pytest.mark.slow


def plain(case):
    """Return the case without what the twin leaves out: blocks, networks, links, directives."""
    architecture, problem, mapping = case
    network = Network()
    levels = tuple(
        replace(
            level,
            block_size=1,
            min_utilization=0.0,
            network=replace(network, fill_latency_cycles=level.network.fill_latency_cycles),
        )
        for level in architecture.levels
    )
    off, on = np.zeros_like(mapping.keep), np.ones_like(mapping.keep)
    mapping = replace(mapping, no_temporal_reuse=off, no_multicast=off, no_link_transfer=on)
    return replace(architecture, levels=levels), problem, mapping


def windows_meet(problem, mapping):
    """Whether two spatial loops of one level stand in one row of a tensor."""
    runs = mapping.spatial > 1
    return any((runs[:, row > 0].sum(axis=1) > 1).any() for t in problem.projection for row in t)


@settings(max_examples=300, deadline=None)
@given(case=cases(), version=st.sampled_from(sorted(a.TIMELOOP_VERSIONS)))
def test_twin_is_the_exact_model_but_for_a_word_of_each_partition(case, version):
    architecture, problem, mapping = plain(case)
    assume(not windows_meet(problem, mapping))
    try:
        twin = Twin([problem], len(architecture.levels), version, None)
    except SpecError:
        assume(False)
    totals, _ = evaluate_exact(
        HardwareBatch.of(architecture), problem, MappingBatch.of([mapping]),
        np.zeros(1, np.int32), a.version_number(version),
    )  # fmt: skip
    assume(totals.valid[0])
    cost = twin.cost(twin.points([mapping], [0]), price_list([architecture]))
    # a partition is rounded down, so reads and fills of outputs are up to a word off
    fan = mapping.spatial.prod(axis=1)
    used = np.array([fan[s + 1 :].prod() for s in range(len(fan))])
    words = 2.0 * len(problem.tensors)
    energies = [
        x.energy.read_pj
        + x.energy.fill_pj
        + x.energy.update_pj
        + 2 * x.energy.address_generation_pj
        for x in architecture.levels
    ]
    slowest = min(
        min(x.read_bandwidth, x.write_bandwidth, x.shared_bandwidth) for x in architecture.levels
    )
    late = 1.0 + 2 * words / slowest
    leaks = [x.energy.leak_pj for x in architecture.levels]
    spare = words * (used * energies).sum() + late * (used * leaks).sum()
    assert abs(cost.cycles[0] - totals.cycles[0]) <= late + 1e-9 * totals.cycles[0]
    assert abs(cost.energy_pj[0] - totals.energy_pj[0]) <= spare + 1e-9 * totals.energy_pj[0]
