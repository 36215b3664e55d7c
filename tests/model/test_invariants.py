"""What must hold for any architecture, problem and mapping, whatever the rules in detail."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from comparison import (
    VERSIONS,
    answer,
    changed,
    counts,
    differences,
    evaluated,
    examples,
    rooms,
    without_links,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import cases, reordered

from dse.domain.architecture import AccessEnergy, StorageLevel
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.model import evaluate_one


@pytest.mark.slow
@examples(80)
@given(case=cases(), data=st.data())
def test_the_place_of_loops_of_bound_one_changes_nothing(case, data):
    architecture, problem, mapping = case
    levels, dimensions = mapping.temporal.shape
    temporal, spatial = mapping.permutation.copy(), mapping.spatial_permutation.copy()
    for s in range(levels):
        fixed = [d for d in range(dimensions) if mapping.temporal[s, d] > 1]
        shuffled = data.draw(st.permutations(range(dimensions)))
        temporal[s] = reordered(temporal[s], fixed, shuffled)
        for part in (slice(None, mapping.split[s]), slice(mapping.split[s], None)):
            order = spatial[s, part].tolist()
            fixed = [d for d in order if mapping.spatial[s, d] > 1]
            spatial[s, part] = reordered(order, fixed, data.draw(st.permutations(order)))
    moved = changed(mapping, permutation=temporal, spatial_permutation=spatial)
    before = answer(evaluate_one, case)
    after = answer(evaluate_one, (architecture, problem, moved))
    assert before == after


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@examples(80)
@given(case=cases(), data=st.data())
def test_swapping_neighbour_loops_changes_no_tensor_that_both_leave_alone(version, case, data):
    architecture, problem, mapping = rooms(case[0]), case[1], case[2]
    levels, dimensions = mapping.temporal.shape
    runs = [
        (s, [d for d in mapping.permutation[s].tolist() if mapping.temporal[s, d] > 1])
        for s in range(levels)
    ]
    runs = [(s, loops) for s, loops in runs if len(loops) > 1]
    assume(runs)
    s, loops = data.draw(st.sampled_from(runs))
    place = data.draw(st.integers(0, len(loops) - 2))
    one, two = loops[place : place + 2]
    loops[place : place + 2] = [two, one]
    swapped = mapping.permutation.copy()
    rest = [d for d in range(dimensions) if d not in loops]
    swapped[s] = [*loops, *rest]
    before = evaluated((architecture, problem, mapping), version)
    after = evaluated((architecture, problem, changed(mapping, permutation=swapped)), version)
    touched = problem.projection[:, :, [one, two]].any(axis=(1, 2))
    for t, name in enumerate(problem.tensors):
        if not touched[t]:
            assert counts(before, name) == counts(after, name)


@pytest.mark.slow
@examples(120)
@given(case=cases())
def test_reads_cover_the_fills_below(case):
    case = without_links(case)
    stats = evaluated(case)
    _, problem, mapping = case
    names = list(stats.levels)
    for t, tensor in enumerate(problem.tensors):
        kept = [s for s in range(len(names)) if mapping.keep[s, t]]
        for inner, outer in zip(kept, kept[1:], strict=False):
            below = stats.levels[names[inner]].tensors[tensor]
            above = stats.levels[names[outer]].tensors[tensor]
            if problem.read_write[t]:
                assert above.updates >= below.fills
                assert above.reads + above.partition_size == above.updates
            else:
                assert above.reads >= below.fills


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@examples(80)
@given(case=cases())
def test_every_operation_reaches_the_innermost_level_unless_shared(version, case):
    architecture, problem, mapping = case
    alone = changed(
        mapping,
        no_multicast=np.ones_like(mapping.keep),
        no_link_transfer=np.ones_like(mapping.keep),
    )
    stats = evaluated((rooms(architecture), problem, alone), version)
    assert stats.computes == problem.macs
    innermost = next(iter(stats.levels.values()))
    for t, tensor in enumerate(problem.tensors):
        if mapping.keep[0, t]:
            entry = innermost.tensors[tensor]
            accesses = entry.updates if problem.read_write[t] else entry.reads
            assert accesses * entry.utilized_instances == problem.macs


@pytest.mark.slow
@examples(80)
@given(case=cases())
def test_cycles_and_utilization_have_their_bounds(case):
    architecture, problem, mapping = case
    stats = evaluated(case)
    assert stats.cycles >= problem.macs / architecture.compute.instances
    assert stats.cycles >= math.prod(mapping.temporal.astype(object).flat)
    assert stats.cycles >= max(level.cycles for level in stats.levels.values())
    assert 0 < stats.utilization <= 1
    assert all(0 < level.slowdown <= 1 for level in stats.levels.values())


@pytest.mark.slow
@examples(60)
@given(case=cases())
def test_infinite_bandwidth_leaves_compute_and_latency(case):
    architecture, problem, mapping = case
    fast = [
        replace(x, read_bandwidth=math.inf, write_bandwidth=math.inf, shared_bandwidth=math.inf)
        for x in architecture.levels
    ]
    stats = evaluated((replace(architecture, levels=tuple(fast)), problem, mapping))
    latency = sum(x.latency_cycles for x in fast)
    assert stats.cycles == math.prod(mapping.temporal.astype(object).flat) + latency


def _dearer(level: StorageLevel) -> StorageLevel:
    energy = AccessEnergy(*(2 * getattr(level.energy, f.name) for f in fields(level.energy)))
    net = level.network
    hop = None if net.hop_energy_pj is None else 2 * net.hop_energy_pj
    network = replace(
        net,
        hop_energy_pj=hop,
        wire_energy_pj=2 * net.wire_energy_pj,
        router_energy_pj=2 * net.router_energy_pj,
        ingress_energy_pj=2 * net.ingress_energy_pj,
    )
    return replace(level, energy=energy, network=network)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@examples(60)
@given(case=cases())
def test_twice_the_prices_are_twice_the_energy(version, case):
    architecture, problem, mapping = case
    stats = evaluated(case, version)
    mac = architecture.compute
    dearer = replace(
        architecture,
        levels=tuple(_dearer(x) for x in architecture.levels),
        compute=replace(mac, energy_pj=2 * mac.energy_pj),
    )
    double = evaluated((dearer, problem, mapping), version)
    assert double.energy_pj == 2 * stats.energy_pj
    assert double.cycles == stats.cycles


@pytest.mark.slow
@examples(80)
@given(case=cases(), data=st.data())
def test_capacity_grows_with_every_factor(case, data):
    architecture, problem, mapping = rooms(case[0]), case[1], case[2]
    levels, dimensions = mapping.temporal.shape
    s = data.draw(st.integers(0, levels - 1))
    d = data.draw(st.integers(0, dimensions - 1))
    temporal = mapping.temporal.copy()
    temporal[s, d] *= 2
    name = problem.dimensions[d]
    larger = Problem(
        problem.shape, {**problem.bounds, name: 2 * problem.bounds[name]}, problem.coefficients
    )
    before = evaluated((architecture, problem, mapping))
    after = evaluated((architecture, larger, changed(mapping, temporal=temporal)))
    for index, level in enumerate(before.levels):
        for t, tensor in enumerate(problem.tensors):
            small = before.levels[level].tensors[tensor].utilized_capacity
            large = after.levels[level].tensors[tensor].utilized_capacity
            relevant = problem.projection[t, :, d].any() and mapping.keep[index, t]
            assert large > small if index >= s and relevant else large == small


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@examples(80)
@given(case=cases(), data=st.data())
def test_a_level_that_only_passes_data_on_changes_nothing(version, case, data):
    case = without_links(case)
    architecture, problem, mapping = case
    place = data.draw(st.integers(0, len(architecture.levels) - 1))
    outer = architecture.levels[place]
    inner = architecture.levels[place - 1] if place else architecture.compute
    ghost = StorageLevel(
        name="ghost",
        size_words=1,
        mesh_x=inner.mesh_x,
        mesh_y=inner.mesh_y,
        instances=inner.instances,
    )
    stacked = (*architecture.levels[:place], ghost, *architecture.levels[place:])
    trivial = Mapping.trivial(1, len(problem.dimensions), len(problem.tensors))
    empty = changed(trivial, keep=np.zeros_like(trivial.keep))
    wider = Mapping(
        **{
            f.name: np.insert(getattr(mapping, f.name), place, getattr(empty, f.name)[0], axis=0)
            for f in fields(MappingBatch)
        }
    )
    # The ghost's tile is that of the level below it, so it must be refetched as often.
    wider.no_temporal_reuse[place] = mapping.no_temporal_reuse[place - 1] if place else False
    assume(place or not mapping.no_multicast.any())
    before = evaluated(case, version)
    after = evaluated((replace(architecture, levels=stacked), problem, wider), version)
    assert outer.name in after.levels
    for name, level in before.levels.items():
        got = replace(after.levels[name], slowdown=0.0, leak_energy_pj=0.0)
        assert differences(got, replace(level, slowdown=0.0, leak_energy_pj=0.0)) == []
    assert after.cycles == before.cycles
    if place:  # right above the MACs hops are counted otherwise: of tiles, not of operations
        assert math.isclose(after.energy_pj, before.energy_pj, rel_tol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@examples(100)
@given(case=cases())
def test_fills_without_a_sliding_window_are_the_textbook_product(version, case):
    """Tile size times all temporal bounds from the innermost relevant loop outwards."""
    case = without_links(case)
    _, problem, mapping = case
    plain = changed(mapping, no_temporal_reuse=np.zeros_like(mapping.keep))
    stats = evaluated((case[0], problem, plain), version)
    for t, space in enumerate(problem.shape.data_spaces):
        if space.read_write or any(len(row) > 1 for row in space.projection):
            continue
        relevant = problem.projection[t].any(axis=0)
        for s, (name, level) in enumerate(list(stats.levels.items())[:-1]):
            if not mapping.keep[s, t] or not mapping.keep[s + 1 :, t].any():
                continue
            loops = [
                (relevant[d], int(mapping.temporal[level_index, d]))
                for level_index in range(s + 1, len(mapping.temporal))
                for d in mapping.permutation[level_index]
                if mapping.temporal[level_index, d] > 1
            ]
            first = next((i for i, (matters, _) in enumerate(loops) if matters), len(loops))
            times = math.prod(bound for _, bound in loops[first:])
            entry = level.tensors[space.name]
            assert entry.fills == entry.utilized_capacity * times, name
