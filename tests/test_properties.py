"""The native model against the literal simulator, batches against single calls, invariants."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from simulator import OutsideTimeloopError, simulate
from strategies import GEMMS, ROOMY, Case, batches, cases, problems, reordered

from dse.architecture import AccessEnergy, Architecture, StorageLevel
from dse.errors import InvalidMapping
from dse.evaluators.native import NativeEvaluator
from dse.mapping import Mapping, MappingBatch
from dse.model import TIMELOOP_VERSIONS, evaluate_one
from dse.model.stats import Stats
from dse.problem import Problem

VERSIONS = tuple(TIMELOOP_VERSIONS)
INEXACT = {"energy_pj", "link_transfer_energy_pj", "leak_energy_pj", "compute_energy_pj"}
INEXACT |= {"area_um2", "slowdown", "utilization", "utilized_clusters"}


def examples(count):
    """Settings for ``count`` examples that are the same in every run."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


# ------------------------------------------------------------------------------- comparison


def differences(got, want, where="stats"):
    """Paths of the numbers that differ: counts at all, other floats by more than 1e-9."""
    if is_dataclass(want):
        got = {f.name: getattr(got, f.name) for f in fields(want)}
        want = {f.name: getattr(want, f.name) for f in fields(want)}
    if isinstance(want, dict):
        if list(got) != list(want):
            return [f"{where}: {list(want)}, got {list(got)}"]
        return [x for k in want for x in differences(got[k], want[k], f"{where}.{k}")]
    exact = where.rpartition(".")[2] not in INEXACT
    if got == want or (not exact and math.isclose(got, want, rel_tol=1e-9)):
        return []
    return [f"{where}: {want}, got {got}"]


def answer(evaluate, case, version="4cf6d4c"):
    """The stats, or the line of the rejection."""
    try:
        return evaluate(*case, version)
    except InvalidMapping as error:
        return str(error)


def evaluated(case, version="4cf6d4c") -> Stats:
    """The model's stats; drops the example when the mapping is rejected."""
    result = answer(evaluate_one, case, version)
    assume(isinstance(result, Stats))
    assert isinstance(result, Stats)
    return result


def counts(stats, tensor):
    """What is counted for one tensor at every level, without energies."""
    return [
        replace(level.tensors[tensor], energy_pj=0.0, utilized_clusters=0.0)
        for level in stats.levels.values()
    ]


def rooms(architecture: Architecture) -> Architecture:
    """The architecture without any limit of capacity."""
    return replace(
        architecture,
        levels=tuple(
            replace(x, size_words=ROOMY, min_utilization=0.0) for x in architecture.levels
        ),
    )


def changed(mapping: Mapping, **arrays) -> Mapping:
    return replace(
        mapping, **{k: np.array(v, getattr(mapping, k).dtype) for k, v in arrays.items()}
    )


def without_links(case: Case) -> Case:
    architecture, problem, mapping = case
    silent = changed(mapping, no_link_transfer=np.ones_like(mapping.keep))
    return rooms(architecture), problem, silent


def fan_outs(mapping: Mapping) -> list[int]:
    return [int(x) for x in mapping.spatial.prod(axis=1)]


# ------------------------------------------------------------- against the literal simulator


@pytest.mark.parametrize("version", VERSIONS)
@examples(250)
@given(case=cases())
def test_the_model_equals_the_literal_simulator(version, case):
    try:
        want = answer(simulate, case, version)
    except OutsideTimeloopError:
        assume(False)
    got = answer(evaluate_one, case, version)
    assert differences(got, want) == []


# ------------------------------------------------------------------- batches against singles


def expected_metrics(hardware, problem, mappings, version):
    """Columns (valid, cycles, energy, utilization, area) from one call per mapping."""
    rows = []
    for architecture, mapping in zip(hardware, mappings, strict=True):
        result = answer(evaluate_one, (architecture, problem, mapping), version)
        if isinstance(result, str):
            rows.append((False, math.nan, math.nan, math.nan, math.nan))
        else:
            totals = (result.cycles, result.energy_pj, result.utilization, result.area_um2)
            rows.append((True, *totals))
    return [np.array(column) for column in zip(*rows, strict=True)]


def assert_metrics(metrics, expected):
    found = (metrics.valid, metrics.cycles, metrics.energy_pj)
    for got, want in zip((*found, metrics.utilization, metrics.area_um2), expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("version", VERSIONS)
@examples(25)
@given(batch=batches())
def test_a_batch_equals_single_evaluations(version, batch):
    hardware, problem, mappings = batch
    together = MappingBatch.of(mappings)
    for n_jobs in (1, 2, 3):
        evaluator = NativeEvaluator(version, n_jobs=n_jobs)
        on_many = evaluator.evaluate(hardware, problem, together)
        assert_metrics(on_many, expected_metrics(hardware, problem, mappings, version))
        first = [hardware[0]] * len(mappings)
        on_one = evaluator.evaluate(hardware[0], problem, together)
        assert_metrics(on_one, expected_metrics(first, problem, mappings, version))


@examples(15)
@given(batch=batches(most=6), data=st.data())
def test_a_large_batch_is_its_parts_for_any_number_of_jobs(batch, data):
    hardware, problem, mappings = batch
    size = data.draw(st.integers(500, 1500))
    choice = np.arange(size) * 7 % len(mappings)
    index = (np.arange(size) * 5 % len(hardware)).astype(np.int32)
    together = MappingBatch.of([mappings[i] for i in choice])
    results = [
        NativeEvaluator(n_jobs=n_jobs).evaluate(hardware, problem, together, index)
        for n_jobs in (1, 2, 4)
    ]
    pairs = sorted({(int(h), int(m)) for h, m in zip(index, choice, strict=True)})
    columns = expected_metrics(
        [hardware[h] for h, _ in pairs], problem, [mappings[m] for _, m in pairs], "4cf6d4c"
    )
    where = [pairs.index((int(h), int(m))) for h, m in zip(index, choice, strict=True)]
    for result in results:
        assert_metrics(result, [column[where] for column in columns])


@examples(25)
@given(case=cases())
def test_explain_says_what_a_single_evaluation_says(case):
    architecture, problem, mapping = case
    result = answer(evaluate_one, case)
    violation = NativeEvaluator().explain(architecture, problem, MappingBatch.of([mapping]), 0)
    if isinstance(result, Stats):
        assert violation is None
    else:
        assert violation is not None
        assert violation.message == result


# -------------------------------------------------------------------------------- invariants


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


@examples(60)
@given(case=cases())
def test_infinite_bandwidth_leaves_compute_and_latency(case):
    architecture, problem, mapping = case
    fast = [
        replace(x, read_bandwidth=math.inf, write_bandwidth=math.inf, shared_bandwidth=math.inf)
        for x in architecture.levels
    ]
    stats = evaluated((replace(architecture, levels=tuple(fast)), problem, mapping))
    latency = sum(x.network.fill_latency_cycles + x.network.drain_latency_cycles for x in fast)
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
            for f in fields(Mapping)
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


# ------------------------------------------------------------------------------ the versions


@examples(80)
@given(case=cases(of=problems(GEMMS)))
def test_versions_agree_where_no_window_slides(case):
    problem = case[1]
    newer, older = evaluated(case, "4cf6d4c"), evaluated(case, "3.0.3")
    leak = sum(level.leak_energy_pj for level in newer.levels.values())
    assert all(level.leak_energy_pj == 0 for level in older.levels.values())
    assert newer.cycles == older.cycles
    assert math.isclose(newer.energy_pj - leak, older.energy_pj, rel_tol=1e-9)
    for tensor in problem.tensors:
        assert counts(newer, tensor) == counts(older, tensor)


@examples(100)
@given(case=cases())
def test_before_59fdc83_only_the_fills_of_outputs_were_not_elided(case):
    problem, mapping = case[1], case[2]
    older, dosa = evaluated(case, "3.0.3"), evaluated(case, "dosa")
    for t, tensor in enumerate(problem.tensors):
        backing = max(s for s in range(len(mapping.keep)) if mapping.keep[s, t])
        for s, (name, level) in enumerate(older.levels.items()):
            was, now = dosa.levels[name].tensors[tensor], level.tensors[tensor]
            assert (was.reads, was.updates) == (now.reads, now.updates)
            elided = now.partition_size if problem.read_write[t] and s != backing else 0
            assert was.fills == now.fills + elided


@pytest.mark.parametrize("version", VERSIONS)
@examples(100)
@given(case=cases())
def test_fills_without_a_sliding_window_are_the_textbook_product(version, case):
    """Tile size times all temporal bounds from the innermost relevant loop outwards."""
    case = without_links(case)
    _, problem, mapping = case
    plain = changed(mapping, no_temporal_reuse=np.zeros_like(mapping.keep))
    stats = evaluated((case[0], problem, plain), version)
    shares = fan_outs(mapping)
    for t, space in enumerate(problem.shape.data_spaces):
        if space.read_write or any(len(row) > 1 for row in space.projection):
            continue
        relevant = problem.projection[t].any(axis=0)
        for s, (name, level) in enumerate(list(stats.levels.items())[:-1]):
            if not mapping.keep[s, t] or not mapping.keep[s + 1 :, t].any():
                continue
            loops = [
                (relevant[d], int(mapping.temporal[level_index, d]))
                for level_index in range(s + 1, len(shares))
                for d in mapping.permutation[level_index]
                if mapping.temporal[level_index, d] > 1
            ]
            first = next((i for i, (matters, _) in enumerate(loops) if matters), len(loops))
            times = math.prod(bound for _, bound in loops[first:])
            entry = level.tensors[space.name]
            assert entry.fills == entry.utilized_capacity * times, name
