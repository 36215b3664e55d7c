"""Imperfect factors: their kernel against that of perfect ones, what must hold, and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from comparison import VERSIONS, answer, evaluated, examples
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import cases

from dse.domain.architecture import Architecture, Compute, HardwareBatch, StorageLevel
from dse.domain.mapping import Mapping, MappingBatch, least_remainders
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError
from dse.model import TIMELOOP_VERSIONS, evaluate_one
from dse.model.evaluate import evaluate_exact, evaluate_imperfect
from dse.model.imperfect import Remainders


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@examples(150)
@given(case=cases())
def test_remainders_that_are_the_factors_change_no_bit(version, case):
    architecture, problem, mapping = case
    batch, first = MappingBatch.of([mapping]), np.zeros(1, np.int32)
    arguments = (HardwareBatch.of(architecture), problem, batch)
    number = TIMELOOP_VERSIONS[version]
    totals, details = evaluate_exact(*arguments, first, number, details=True)
    own = Remainders(batch.temporal, batch.spatial)
    got_totals, got_details, computes = evaluate_imperfect(
        *arguments, own, first, number, details=True
    )
    for got, want in zip((*got_totals, *got_details), (*totals, *details), strict=True):
        np.testing.assert_array_equal(got, want)
    if totals.valid[0]:
        assert computes[0] == problem.macs


def shrunk(case, sizes):
    """The case with a problem of these sizes, at most its own, and the same factors."""
    architecture, problem, mapping = case
    bounds = {
        d: max(1, min(n, size)) for (d, n), size in zip(problem.bounds.items(), sizes, strict=False)
    }
    smaller = Problem(problem.shape, {**problem.bounds, **bounds}, problem.coefficients)
    temporal, spatial = least_remainders(mapping.temporal, mapping.spatial, smaller.sizes)
    cut = replace(mapping, temporal_remainder=temporal, spatial_remainder=spatial)
    return architecture, smaller, cut


@pytest.mark.slow
@pytest.mark.parametrize("version", ["4cf6d4c", "3.0.3"])
@examples(150)
@given(case=cases(), sizes=st.lists(st.integers(1, 60), min_size=7, max_size=7))
def test_temporal_loops_alone_count_every_operation_once(version, case, sizes):
    architecture, problem, mapping = case
    assume((mapping.spatial == 1).all())
    stats = evaluated(shrunk((architecture, problem, mapping), sizes), version)
    assert stats.computes == shrunk(case, sizes)[1].macs
    assert stats.cycles >= mapping.temporal.prod()


@pytest.mark.slow
@examples(150)
@given(case=cases(), sizes=st.lists(st.integers(1, 60), min_size=7, max_size=7))
def test_a_smaller_problem_needs_no_larger_tiles(case, sizes):
    whole = evaluated(case)
    part = answer(evaluate_one, shrunk(case, sizes))
    assume(not isinstance(part, str))
    for name, level in whole.levels.items():
        for tensor, stats in level.tensors.items():
            assert part.levels[name].tensors[tensor].utilized_capacity <= stats.utilized_capacity


@given(st.lists(st.integers(1, 6), min_size=4, max_size=4), st.integers(1, 40), st.integers(0, 39))
def test_least_remainders_give_exactly_the_size(factors, size, rest):
    temporal = np.array(factors[:2], np.int32).reshape(2, 1)
    spatial = np.array(factors[2:], np.int32).reshape(2, 1)
    size = min(size + rest, int(temporal.prod() * spatial.prod()))
    ends = least_remainders(temporal, spatial, np.array([size]))
    last = 0
    for s in (1, 0):
        for kind, rows in ((0, temporal), (1, spatial)):
            assert 1 <= ends[kind][s, 0] <= rows[s, 0]
            last = last * int(rows[s, 0]) + int(ends[kind][s, 0]) - 1
    assert last + 1 == size


def line(spatial: tuple[int, int] = (1, 1), temporal: tuple[int, int] = (4, 1)):
    """A dot product of 13 on one buffer: factor and remainder of its loops."""
    compute = Compute(mesh_x=4, instances=4, energy_pj=1.0)
    buffer = StorageLevel("Buffer", size_words=100)
    memory = StorageLevel("DRAM", kind="DRAM")
    problem = Problem(SHAPES["gemm"], {"M": 13, "N": 1, "K": 1})
    mapping = Mapping.trivial(2, 3, 3)
    mapping.temporal[:, 0] = temporal[0], 4
    mapping.spatial[0, 0] = spatial[0]
    ends = mapping.temporal.copy(), mapping.spatial.copy()
    ends[0][0, 0], ends[1][0, 0] = temporal[1], spatial[1]
    mapping = replace(mapping, temporal_remainder=ends[0], spatial_remainder=ends[1])
    return Architecture("line", (buffer, memory), compute), problem, mapping


def test_a_remainder_is_what_runs_at_the_end():
    architecture, problem, mapping = line()
    stats = evaluate_one(architecture, problem, mapping)
    assert (stats.cycles, stats.computes) == (16, 13)
    # the last tile's own delta is that of the one before
    assert stats.levels["DRAM"].tensors["A"].reads == 16
    assert evaluate_one(*line(), "3.0.3").levels["DRAM"].tensors["A"].reads == 13
    assert stats.levels["Buffer"].tensors["A"].utilized_capacity == 4


def test_instances_are_averaged_and_cut_off():
    case = line(spatial=(4, 1), temporal=(1, 1))
    assert evaluate_one(*case).computes == 13
    assert evaluate_one(*case, "3.0.3").computes == 13


def test_batches_hold_perfect_factors_only():
    with pytest.raises(SpecError, match="imperfect factors"):
        MappingBatch.of([line()[2]])


def test_a_mapping_is_perfect_where_its_remainders_are_its_factors():
    plain = Mapping.trivial(2, 3, 3)
    given = replace(
        plain, temporal_remainder=plain.temporal.copy(), spatial_remainder=plain.spatial.copy()
    )
    assert given.is_perfect
    assert given == plain
    assert line()[2] != line(temporal=(4, 2))[2]
    with pytest.raises(ValueError, match="one of the remainders"):
        replace(plain, temporal_remainder=plain.temporal)


def test_4cf6d4c_needs_a_loop_around_an_imperfect_spatial_one():
    architecture, _, mapping = line(spatial=(4, 3), temporal=(1, 1))
    mapping = replace(
        mapping,
        temporal=np.ones_like(mapping.temporal),
        temporal_remainder=np.ones_like(mapping.temporal),
    )
    problem = Problem(SHAPES["gemm"], {"M": 3, "N": 1, "K": 1})
    with pytest.raises(SpecError, match="Outermost loop of dimension 0"):
        evaluate_one(architecture, problem, mapping)
    assert evaluate_one(architecture, problem, mapping, "3.0.3").cycles == 1
