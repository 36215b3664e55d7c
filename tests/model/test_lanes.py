"""The fast path equals the exact kernel bit for bit, and the samplers stay in their mapspaces."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from reference_cases import SUBSET, read_cases, version_of

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture, HardwareBatch, Network
from dse.domain.constraints import LevelConstraint, LoopConstraint, SpatialConstraint
from dse.domain.mapping import Mapping, MappingBatch
from dse.errors import SpecError
from dse.mapspace import Mapspace, sample_any, sample_valid
from dse.mapspace.moves import random_neighbors, round_factors
from dse.model import arrays as a
from dse.model.batch import evaluate_batch, has_closed_form, make_plan, run_lanes
from dse.model.evaluate import evaluate_exact
from dse.model.groups import grouped
from dse.space import catalog
from dse.timeloop.read.inputs import read_text

COUNT = 40


def assert_equal_bits(totals: a.Totals, expected: a.Totals, left_out=None) -> None:
    compared = slice(None) if left_out is None else ~left_out
    for name in a.Totals._fields:
        np.testing.assert_array_equal(
            getattr(totals, name)[compared], getattr(expected, name)[compared], err_msg=name
        )


def _shuffled(mapping: Mapping, rng: np.random.Generator) -> Mapping:
    """The same mapping with its prime factors spread anew over the levels, and new orders."""
    levels, dimensions = mapping.temporal.shape
    temporal = np.ones_like(mapping.temporal)
    spatial = np.ones_like(mapping.spatial)
    wide = mapping.spatial.max(axis=1) > 1
    for d in range(dimensions):
        left = math.prod(int(x) for x in (*mapping.temporal[:, d], *mapping.spatial[:, d]))
        prime = 2
        while left > 1:
            while left % prime == 0:
                left //= prime
                s = rng.integers(levels)
                target = spatial if wide[s] and rng.random() < 0.35 else temporal
                target[s, d] *= prime
            prime += 1
    order = np.stack([rng.permutation(dimensions) for _ in range(levels)]).astype(np.int8)
    return dataclasses.replace(mapping, temporal=temporal, spatial=spatial, permutation=order)


def _roomy(architecture: Architecture) -> Architecture:
    levels = tuple(
        dataclasses.replace(
            x,
            size_words=None if x.is_dram else 1 << 40,
            min_utilization=0.0,
            network=Network(),
        )
        for x in architecture.levels
    )
    return dataclasses.replace(architecture, levels=levels)


@pytest.mark.slow
@pytest.mark.parametrize("version", sorted(a.TIMELOOP_VERSIONS))
def test_fast_path_equals_exact_kernel_on_shuffled_reference_mappings(version):
    rng = np.random.default_rng(7)
    number = a.TIMELOOP_VERSIONS[version]
    done = handed_back = 0
    for case in read_cases(SUBSET):
        if case["status"] != "ok" or (version_of(case) == "3.0.3") != (version != "4cf6d4c"):
            continue
        given = read_text(case["input"], version_of(case))
        architecture = _roomy(given.architecture) if rng.random() < 0.7 else given.architecture
        batch = MappingBatch.of([_shuffled(given.mapping, rng) for _ in range(COUNT)])
        batch = dataclasses.replace(batch, keep=batch.keep[:, :, :1])
        hardware = HardwareBatch.of(architecture)
        index = np.zeros(COUNT, np.int32)
        if not has_closed_form(hardware, given.problem, batch):
            continue
        exact, _ = evaluate_exact(hardware, given.problem, batch, index, number)
        totals, again = a.new_totals(COUNT), np.zeros(COUNT, np.bool_)
        plan = make_plan(given.problem, batch.keep[:, :, 0], number)
        run_lanes(hardware, given.problem, batch, index, plan, totals, again, 1)
        assert_equal_bits(totals, exact, again)
        done += int(exact.valid.sum())
        handed_back += int(again.sum())
    assert done > 2000
    assert handed_back < done / 4


def _gemmini():
    template = catalog.template("gemmini")
    price = energy_chain("dosa").price
    machines = [
        price(template.build({"pe_dim": pe, "scratchpad_kb": 64, "accumulator_kb": 32}))
        for pe in (4, 16, 32)
    ]
    return template.constraints, machines


def _free_space() -> Mapspace:
    """A small space in which keeps, axes and orders are all free."""
    _, machines = _gemmini()
    levels = [
        dataclasses.replace(x, mesh_x=4 if x.name == "Registers" else 1,
                            mesh_y=4 if x.name == "Registers" else 1,
                            instances=16 if x.name == "Registers" else 1,
                            size_words=None if x.is_dram else 4096)
        for x in machines[0].levels
    ]  # fmt: skip
    compute = dataclasses.replace(machines[0].compute, mesh_x=4, mesh_y=4, instances=16)
    problem = catalog.workload("resnet50").layers[2].problem
    return Mapspace(problem, Architecture("free", tuple(levels), compute), {})


def test_a_batch_on_several_hardware_with_mixed_keeps_equals_single_evaluation():
    constraints, machines = _gemmini()
    problem = catalog.workload("resnet50").layers[2].problem
    count = 6000  # one group that fills several tasks and wide blocks, and many of a few mappings
    batch = sample_any(Mapspace(problem, machines[0], constraints), count, 3, 10**6).mappings
    rng = np.random.default_rng(1)
    keep = np.repeat(batch.keep, count, axis=2)
    keep[:-1] = np.where(rng.random(count) < 0.9, keep[:-1], rng.random((3, 3, count)) < 0.6)
    batch = dataclasses.replace(batch, keep=keep)
    index = rng.integers(0, 3, count).astype(np.int32)
    hardware = HardwareBatch(tuple(machines))
    exact, _ = evaluate_exact(hardware, problem, batch, index, a.HEAD)
    assert 0 < exact.valid.sum() < count
    for threads in (1, 2):
        assert_equal_bits(evaluate_batch(hardware, problem, batch, index, a.HEAD, threads), exact)


@pytest.mark.parametrize("version", sorted(a.TIMELOOP_VERSIONS.values()))
@pytest.mark.parametrize("count", [1, 7, 20, 300])
def test_mappings_that_share_blocks_equal_single_evaluation(version, count):
    constraints, machines = _gemmini()
    problem = catalog.workload("resnet50").layers[2].problem
    batch = sample_any(Mapspace(problem, machines[0], constraints), count, 5, 10**6).mappings
    rng = np.random.default_rng(count)
    keep = np.repeat(batch.keep, len(batch), axis=2) if batch.keep.shape[2] == 1 else batch.keep
    keep = np.where(rng.random(keep.shape) < 0.7, keep, rng.random(keep.shape) < 0.6)
    keep[-1] |= rng.random(keep.shape[2]) < 0.8
    batch = dataclasses.replace(batch, keep=keep)
    index = rng.integers(0, 3, len(batch)).astype(np.int32)
    hardware = HardwareBatch(tuple(machines))
    exact, _ = evaluate_exact(hardware, problem, batch, index, version)
    assert_equal_bits(evaluate_batch(hardware, problem, batch, index, version, 1), exact)


@pytest.mark.parametrize("patterns", [1, 2, 30])
def test_groups_hold_every_mapping_once(patterns):
    rng = np.random.default_rng(patterns)
    known = rng.random((4, 3, patterns)) < 0.5
    known[-1, :, ::2] = True
    own = np.sort((patterns * rng.random(1000) ** 3).astype(int))
    keep = np.ascontiguousarray(known[:, :, rng.permutation(own)])
    groups = grouped(keep)
    assert sorted(groups.order) == list(range(1000))
    assert (groups.edges[0], groups.edges[-1]) == (0, 1000)
    for start, stop in itertools.pairwise(groups.edges):
        inside = keep[:, :, groups.order[start:stop]]
        if start < groups.mixed:
            assert (inside == inside[:, :, :1]).all()
        else:
            assert inside[-1].all()
    assert (groups.mixed < 1000) == (patterns > 1)


def test_the_number_of_threads_and_chunks_changes_nothing():
    constraints, machines = _gemmini()
    problem = catalog.workload("resnet50").layers[5].problem
    space = Mapspace(problem, machines[1], constraints)
    batch = sample_valid(space, 40_000, 3, 10**7).mappings
    hardware = HardwareBatch.of(machines[1])
    index = np.zeros(40_000, np.int32)
    one = evaluate_batch(hardware, problem, batch, index, a.HEAD, 1)
    assert_equal_bits(evaluate_batch(hardware, problem, batch, index, a.HEAD, 3), one)
    piece = evaluate_batch(hardware, problem, batch.window(17_000, 17_100), index[:100], a.HEAD, 1)
    assert_equal_bits(piece, a.Totals(*(x[17_000:17_100] for x in one)))


def _assert_in_space(space: Mapspace, batch: MappingBatch) -> None:
    x = space.arrays
    product = batch.temporal.astype(np.int64).prod(axis=0) * batch.spatial.astype(np.int64).prod(0)
    assert (product == space.problem.sizes[:, None]).all()
    for d, slots in enumerate(space.slots):
        for s in range(len(x.fanout_x)):
            for factors, is_spatial in ((batch.temporal, False), (batch.spatial, True)):
                slot = [k for k in slots if k.level == s and k.spatial == is_spatial]
                cap = slot[0].cap if slot else 1
                assert (factors[s, d] <= cap).all()
    orders = np.sort(batch.permutation, axis=1)
    assert (orders == np.arange(orders.shape[1])[None, :, None]).all()


@pytest.mark.parametrize("make", [_free_space, lambda: Mapspace(
    catalog.workload("resnet50").layers[3].problem, _gemmini()[1][1], _gemmini()[0])])  # fmt: skip
def test_samples_and_neighbors_stay_in_the_space(make):
    space = make()
    sample = sample_valid(space, 500, 11, 10**7)
    assert len(sample.mappings) == 500
    assert sample.drawn >= 500
    _assert_in_space(space, sample.mappings)
    hardware = HardwareBatch.of(space.architecture)
    totals = evaluate_batch(
        hardware, space.problem, sample.mappings, np.zeros(500, np.int32), a.HEAD
    )
    assert totals.valid.all()
    moved = random_neighbors(space, sample.mappings, 5)
    _assert_in_space(space, moved)
    changed = (moved.temporal != sample.mappings.temporal).any(axis=(0, 1))
    assert 0.1 < changed.mean() < 1.0
    again = sample_valid(space, 500, 11, 10**7)
    np.testing.assert_array_equal(again.mappings.temporal, sample.mappings.temporal)
    other = sample_valid(space, 500, 12, 10**7)
    assert (other.mappings.temporal != sample.mappings.temporal).any()


def test_a_sample_is_a_prefix_of_a_longer_one():
    space = _free_space()
    short, long = (sample_valid(space, n, 11, 10**7) for n in (60, 200))
    for name in ("temporal", "spatial", "permutation", "split", "keep"):
        np.testing.assert_array_equal(
            getattr(short.mappings, name), getattr(long.mappings, name)[..., :60]
        )
    assert short.drawn < long.drawn


def test_draws_run_out_and_are_counted():
    constraints, machines = _gemmini()
    problem = catalog.workload("resnet50").layers[0].problem
    tiny = dataclasses.replace(
        machines[0],
        levels=tuple(
            x if x.is_dram else dataclasses.replace(x, size_words=0) for x in machines[0].levels
        ),
    )
    sample = sample_valid(Mapspace(problem, tiny, constraints), 10, 1, 1000)
    assert (len(sample.mappings), sample.drawn) == (0, 1000)


def test_factors_are_drawn_uniformly():
    """Every ordered factorisation is equally likely: chi-squared over all of them."""
    space = _free_space()
    d = space.problem.dimensions.index("C")
    ways = space.factors[d]
    batch = sample_any(space, 60_000, 2, 10**7).mappings
    columns = [
        (batch.spatial if slot.spatial else batch.temporal)[slot.level, d]
        for slot in space.slots[d]
    ]
    ranks = [ways.rank(row) for row in np.stack(columns, axis=1).tolist()]
    counts = np.bincount(ranks, minlength=ways.count)
    assert (counts > 0).all()
    # rejection by fan-out skews dimensions that share an axis; without spatial factors it is flat
    alone = [r for r in range(ways.count) if not any(
        slot.spatial and f > 1 for slot, f in zip(space.slots[d], ways.unrank(np.array([r]))[0],
                                                  strict=True))]  # fmt: skip
    flat = counts[alone]
    expected = flat.mean()
    assert ((flat - expected) ** 2 / expected).sum() < len(alone) + 6 * math.sqrt(2 * len(alone))


def test_rounding_returns_legal_factors_and_fixes_legal_ones():
    constraints, machines = _gemmini()
    for layer in catalog.workload("resnet50").layers[::7]:
        space = Mapspace(layer.problem, machines[1], constraints)
        batch = sample_any(space, 300, 4, 10**7).mappings
        same = round_factors(space, batch.temporal.astype(float), batch.spatial.astype(float))
        np.testing.assert_array_equal(same.temporal, batch.temporal)
        rng = np.random.default_rng(3)
        noisy = round_factors(
            space,
            batch.temporal * np.exp(rng.normal(0, 0.5, batch.temporal.shape)),
            batch.spatial * np.exp(rng.normal(0, 0.5, batch.spatial.shape)),
        )
        _assert_in_space(space, noisy)


def test_fixed_and_largest_factors_are_obeyed_and_impossible_ones_named():
    _, machines = _gemmini()
    problem = catalog.workload("resnet50").layers[2].problem
    constraints = {
        "Scratchpad": LevelConstraint(
            temporal=LoopConstraint(factors={"R": 3}, max_factors={"C": 4}),
            spatial=SpatialConstraint(("K",), x=("K",)),
        )
    }
    space = Mapspace(problem, machines[1], constraints)
    batch = sample_any(space, 200, 1, 10**6).mappings
    s, names = 2, problem.dimensions
    assert (batch.temporal[s, names.index("R")] == 3).all()
    assert set(np.unique(batch.temporal[s, names.index("C")])) <= {1, 2, 4}
    empty = Mapspace(
        problem, machines[1], {"DRAM": LevelConstraint(temporal=LoopConstraint(factors={"R": 5}))}
    )
    assert empty.infeasible is not None and "R = 3" in empty.infeasible
    assert len(sample_any(empty, 5, 1, 100).mappings) == 0
    with pytest.raises(SpecError, match="did you mean 'Weights'"):
        Mapspace(problem, machines[1], {"DRAM": LevelConstraint(keep=("Weihgts",))})
