"""Cycles beyond 64 bits are refused; those below are counted, on the fast path, too."""

import dataclasses

import numpy as np
import pytest

from dse.domain.architecture import Architecture, Compute, HardwareBatch, StorageLevel
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.model import arrays as a
from dse.model.batch import evaluate_batch, has_closed_form
from dse.model.evaluate import evaluate_exact, evaluate_one

_SIDE = 1 << 10
LEVELS = 2


def _architecture(bandwidth: float) -> Architecture:
    return Architecture(
        "slow",
        (StorageLevel("Buffer", size_words=1 << 40),
         StorageLevel("DRAM", "DRAM", read_bandwidth=bandwidth, write_bandwidth=bandwidth)),
        Compute("MACC"),
    )  # fmt: skip


def _mapping(problem: Problem) -> Mapping:
    """Everything outside: DRAM is asked for one word of each tensor at a time."""
    mapping = Mapping.trivial(LEVELS, len(problem.dimensions), len(problem.tensors))
    mapping.temporal[1] = problem.sizes
    return mapping


SMALL = Problem(SHAPES["gemm"], {"M": _SIDE, "N": _SIDE, "K": _SIDE})
#: too large for the fast path
LARGE = Problem(SHAPES["gemm"], {"M": 1 << 20, "N": 1 << 20, "K": 1 << 19})


def _words(problem: Problem) -> float:
    """Reads of DRAM: its loops run M, N, K from the inside out."""
    stats = evaluate_one(_architecture(float("inf")), problem, _mapping(problem))
    return sum(x.reads for x in stats.levels["DRAM"].tensors.values())


@pytest.mark.parametrize("version", sorted(a.TIMELOOP_VERSIONS))
@pytest.mark.parametrize("problem", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("exponent", [62.5, 63.5, 63.99, 64.01, 70.0, 1000.0])
def test_bandwidth_is_never_dropped(problem, exponent, version):
    # whatever is read takes 2^exponent cycles; writes take less or as much
    architecture = _architecture(_words(problem) / 2.0**exponent)
    hardware, index = HardwareBatch.of(architecture), np.zeros(1, np.int32)
    batch, number = MappingBatch.of([_mapping(problem)]), a.version_number(version)
    assert has_closed_form(hardware, problem, batch) == (problem is SMALL)
    exact, _ = evaluate_exact(hardware, problem, batch, index, number)
    quick = evaluate_batch(hardware, problem, batch, index, number)
    for name in a.Totals._fields:
        np.testing.assert_array_equal(getattr(exact, name), getattr(quick, name), err_msg=name)
    metrics = NativeEvaluator(version).evaluate(architecture, problem, batch)
    reason = NativeEvaluator(version).explain(architecture, problem, batch, 0)
    if exponent < 64:
        assert exact.valid[0]
        assert exact.cycles[0] == pytest.approx(2.0**exponent, rel=1e-9)
        assert reason is None
        stats = evaluate_one(architecture, problem, batch[0], version)
        assert stats.cycles == stats.levels["DRAM"].cycles == exact.cycles[0]
        return
    assert not exact.valid[0]
    assert not metrics.valid[0]
    assert np.isnan([metrics.cycles[0], metrics.energy_pj[0], metrics.utilization[0]]).all()
    assert reason is not None
    assert (reason.level, reason.resource, reason.bound) == ("DRAM", "cycles", 2.0**64)
    assert reason.demand == pytest.approx(2.0**exponent, rel=1e-9)
    with pytest.raises(SpecError, match=r"couldn't map level DRAM: .* 2\^64 cycles or more"):
        evaluate_one(architecture, problem, batch[0], version)


def test_leakage_counts_cycles_beyond_63_bits():
    slow = _architecture(_words(SMALL) / 2.0**63.5)
    leaky = dataclasses.replace(slow.levels[0].energy, leak_pj=1.0)
    levels = (dataclasses.replace(slow.levels[0], energy=leaky), slow.levels[1])
    stats = evaluate_one(dataclasses.replace(slow, levels=levels), SMALL, _mapping(SMALL))
    assert stats.levels["Buffer"].leak_energy_pj == pytest.approx(2.0**63.5, rel=1e-9)


def test_a_batch_keeps_what_is_countable():
    machines = HardwareBatch.of([_architecture(x) for x in (1.0, 1e-12)])
    batch = MappingBatch.of([_mapping(SMALL)] * 2)
    metrics = NativeEvaluator().evaluate(machines, SMALL, batch, np.array([0, 1], np.int32))
    assert metrics.valid.tolist() == [True, False]
    assert metrics.cycles[0] > 0
    assert np.isnan(metrics.cycles[1])


def test_proofs_know_where_their_integers_end():
    assert a.cycles_are_exact(HardwareBatch.of(_architecture(1.0)), SMALL)
    assert not a.cycles_are_exact(HardwareBatch.of(_architecture(1e-12)), SMALL)
    assert not a.cycles_are_exact(HardwareBatch.of([_architecture(x) for x in (1, 1e-12)]), SMALL)
