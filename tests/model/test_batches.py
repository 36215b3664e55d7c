"""Batches against single evaluations, on one hardware and on many, for any number of jobs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from comparison import VERSIONS, answer, examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import batches, cases

from dse.domain.mapping import MappingBatch
from dse.evaluators.native import NativeEvaluator
from dse.model import evaluate_one
from dse.model.stats import Stats


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


@pytest.mark.slow
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


@examples(25)
@given(batch=batches(most=6))
def test_batches_hold_what_they_were_made_of(batch):
    _, _, mappings = batch
    together = MappingBatch.of(mappings)
    one_by_one = [MappingBatch.of([mapping]) for mapping in mappings]
    for whole in (together, MappingBatch.concatenate(one_by_one)):
        assert whole.singly() == list(mappings)
        assert [whole[i] for i in range(len(whole))] == list(mappings)
    shared = MappingBatch.concatenate([one_by_one[0]] * 3)
    assert shared.singly() == [mappings[0]] * 3


@pytest.mark.slow
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
