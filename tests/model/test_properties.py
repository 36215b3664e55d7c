"""The native model against the literal simulator, and its versions against each other."""

from __future__ import annotations

import math

import pytest
from comparison import VERSIONS, answer, counts, differences, evaluated, examples
from hypothesis import given
from simulator import OutsideTimeloopError, simulate
from strategies import GEMMS, cases, problems

from dse.model import evaluate_one


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@examples(250)
@given(case=cases())
def test_the_model_equals_the_literal_simulator(version, case):
    got = answer(evaluate_one, case, version)
    try:
        want = answer(simulate, case, version)
    except OutsideTimeloopError as abort:
        # A mapping that does not fit either may be refused for that reason.
        assert "aborts" in got if abort.rejection is None else got == abort.rejection
    else:
        assert differences(got, want) == []


@pytest.mark.slow
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


@pytest.mark.slow
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
