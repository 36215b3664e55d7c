"""The memo evaluator asks its inner evaluator once per triple."""

import numpy as np
from counting import Counting

from dse.components.chain import energy_chain
from dse.domain.mapping import MappingBatch
from dse.evaluators.memo import MemoEvaluator, fingerprints
from dse.evaluators.native import NativeEvaluator
from dse.mapspace import Mapspace, sample_valid
from dse.space.catalog import template, workload


def _case():
    gemmini = template("gemmini")
    price = energy_chain("dosa").price
    machines = [
        price(gemmini.build({"pe_dim": 8, "scratchpad_kb": kb, "accumulator_kb": 16}))
        for kb in (64, 128)
    ]
    problem = workload("resnet50").layers[1].problem
    space = Mapspace(problem, machines[0], gemmini.constraints)
    return machines, problem, sample_valid(space, 50, 1, 10**6).mappings


def test_equal_triples_are_evaluated_once_and_answered_alike():
    machines, problem, mappings = _case()
    inner = Counting()
    memo = MemoEvaluator(inner)
    twice = MappingBatch.concatenate([mappings, mappings])
    first = memo.evaluate(machines[0], problem, twice)
    assert inner.asked == 50
    again = memo.evaluate(machines[0], problem, mappings)
    assert inner.asked == 50
    assert (memo.misses, memo.hits) == (50, 100)
    direct = NativeEvaluator().evaluate(machines[0], problem, mappings)
    for metrics in (again, direct):
        np.testing.assert_array_equal(first.energy_pj[:50], metrics.energy_pj)
        np.testing.assert_array_equal(first.cycles[50:], metrics.cycles)


def test_other_hardware_is_another_triple():
    machines, problem, mappings = _case()
    inner = Counting()
    memo = MemoEvaluator(inner)
    memo.evaluate(machines[0], problem, mappings)
    other = memo.evaluate(machines[1], problem, mappings)
    assert inner.asked == 100
    direct = NativeEvaluator().evaluate(machines[1], problem, mappings)
    np.testing.assert_array_equal(other.energy_pj, direct.energy_pj)


def test_the_least_recently_used_go_first():
    machines, problem, mappings = _case()
    inner = Counting()
    memo = MemoEvaluator(inner, capacity=40)
    memo.evaluate(machines[0], problem, mappings)
    memo.evaluate(machines[0], problem, mappings.window(10, 50))
    assert inner.asked == 50
    memo.evaluate(machines[0], problem, mappings.window(0, 10))
    assert inner.asked == 60


def test_fingerprints_tell_mappings_apart():
    _, _, mappings = _case()
    prints = fingerprints(mappings)
    distinct = {
        (m.temporal.tobytes(), m.spatial.tobytes(), m.permutation.tobytes())
        for m in map(mappings.__getitem__, range(50))
    }
    assert len(set(prints)) == len(distinct)
    assert fingerprints(mappings.window(3, 4)) == prints[3:4]
