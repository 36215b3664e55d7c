"""The parts of a mapping's energy, cycles and idle PEs are all there is of them."""

from __future__ import annotations

import pytest
from reference_cases import BEYOND, SUBSET, read_cases, version_of

from dse.breakdown.cycles import COMPUTE, cycle_breakdown
from dse.breakdown.energy import energy_parts
from dse.breakdown.parallel import FanUse, busy_share, fans
from dse.domain.problem import SHAPES, Problem
from dse.errors import DseError
from dse.timeloop.evaluate import Evaluation, evaluate_text


def evaluated(path, step: int) -> list[Evaluation]:
    found = []
    for case in [case for case in read_cases(path) if case["status"] == "ok"][::step]:
        try:
            found.append(evaluate_text(case["input"], version_of(case)))
        except DseError:  # what is not modelled is told of elsewhere
            continue
    return found


@pytest.fixture(scope="module")
def cases() -> list[Evaluation]:
    found = evaluated(SUBSET, 1) + evaluated(BEYOND, 6)
    assert len(found) > 60
    return found


def test_the_parts_of_the_energy_add_up_to_the_total(cases):
    kinds = set()
    for one in cases:
        parts = list(energy_parts(one.input.architecture, one.stats))
        kinds |= {part.kind for part in parts if part.energy_pj}
        total = sum(part.energy_pj for part in parts)
        assert total == pytest.approx(one.stats.energy_pj, rel=1e-9)
    assert kinds == {"compute", "access", "addresses", "leakage", "network"}


def test_the_largest_limit_is_what_the_model_counts(cases):
    bound, below = set(), False
    for one in cases:
        found = cycle_breakdown(one.input.architecture, one.mapping, one.stats)
        for level in one.input.architecture.levels:
            own = [x.cycles for x in found.limits if x.place in (level.name, COMPUTE)]
            assert max(own) == one.stats.levels[level.name].cycles
        latency = sum(level.latency_cycles for level in one.input.architecture.levels)
        if not one.input.architecture.networks:
            assert found.latency_cycles == latency
        assert found.binding.cycles + found.latency_cycles == one.stats.cycles
        assert found.next_cycles <= found.binding.cycles
        first, *others = found.in_order
        assert first is found.binding
        assert [x.needed for x in others] == sorted((x.needed for x in others), reverse=True)
        assert len(others) == len(found.limits) - 1
        if found.slack is None:
            assert found.binding.cycles < 1.005 * found.next_cycles or not found.next_cycles
        else:
            assert found.slack * found.next_cycles == pytest.approx(found.binding.cycles)
        for limit in found.limits:
            # what it needs by itself is told whether or not it binds; the model rounds
            if limit.needed > found.iterations:
                assert limit.cycles == pytest.approx(limit.needed, rel=1e-6, abs=1)
            else:
                assert limit.cycles == found.iterations
            below |= limit.needed < found.iterations
        bound.add(found.binding.bandwidth)
    assert bound >= {None, "read", "shared"}
    assert below


def test_busy_macs_and_their_time_make_the_utilization(cases):
    for one in cases:
        if one.mapping.is_perfect:
            cycles = cycle_breakdown(one.input.architecture, one.mapping, one.stats)
            share = busy_share(one.input.architecture, one.mapping)
            expected = share * cycles.iterations / one.stats.cycles
            assert one.stats.utilization == pytest.approx(expected, rel=1e-12)
        axes = fans(one.input.architecture, one.input.problem, one.mapping)
        used = busy_share(one.input.architecture, one.mapping)
        shares = 1.0
        for fan in axes:
            shares *= fan.used / fan.mesh
        assert shares == pytest.approx(used)


@pytest.mark.parametrize(
    ("mesh", "factors", "why"),
    [
        (16, {"K": 16}, ""),
        (16, {}, "no loop runs along X"),
        (16, {"C": 3}, "C has no more than 3"),
        (16, {"P": 14}, "no divisor of P = 56 lies above 14 up to 16"),
        (16, {"K": 8}, "K takes 8 of 64"),
        (16, {"C": 3, "K": 4}, "C has no more than 3, no divisor of K = 64 lies above 4 up to 5"),
    ],
)
def test_idle_instances_have_a_reason(mesh, factors, why):
    bounds = {"R": 3, "S": 3, "P": 56, "Q": 56, "C": 3, "K": 64, "N": 1}
    used = 1
    for factor in factors.values():
        used *= factor
    fan = FanUse("Buffer", "X", mesh, used, factors)
    assert fan.why_idle(Problem(SHAPES["cnn-layer"], bounds)) == why
