"""Weighted sums, limits on what mappings decide, several networks: brute force, and honest ends."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import yaml
from cosearch_cases import CASES, TRADES, all_designs, problem, space_of
from hypothesis import given
from hypothesis import strategies as st

from dse.cosearch.choices import best_choice
from dse.cosearch.corners import CornerSearch
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.layer_bounds import Support
from dse.cosearch.polygon import least_corner
from dse.cosearch.search import CoSearch
from dse.cosearch.sizes import UnsolvableSpace
from dse.domain.expression import Expression
from dse.domain.linear import linear_form
from dse.domain.problem import Layer, Workload
from dse.errors import NothingFeasible, SpecError
from dse.goals.limits import limits
from dse.goals.objective import EDP, objective
from dse.runner.run import start
from dse.space.search_space import SearchSpace

#: Energy, cycles and area of a design.
Totals = tuple[float, float, float]


def totals(space: SearchSpace) -> Iterator[Totals]:
    """What all designs come to."""
    counts = [layer.count for layer in space.workload]
    for area, fronts in all_designs(space):
        for choice in itertools.product(*fronts):
            energy = sum(n * e for n, (e, _) in zip(counts, choice, strict=True))
            cycles = sum(n * c for n, (_, c) in zip(counts, choice, strict=True))
            yield energy, cycles, area


def goal_of(space: SearchSpace, bounds: str = "") -> CoSearchGoal:
    template = space.template
    return CoSearchGoal.of(
        space.objective, limits(bounds), template.max_area_um2, template.clock_ns
    )


def solved(space: SearchSpace, bounds: str = "") -> list[CornerSearch | CoSearch]:
    """Both searches, at their ends."""
    goal = goal_of(space, bounds)
    searches = [CornerSearch(space, goal), CoSearch(space, goal, 300_000)]
    for search in searches:
        least = 0.0
        for _ in search.run():
            assert search.bound >= least
            least = search.bound
        assert search.finished
    return searches


SUMS: dict[str, Callable[[float, float, float], float]] = {
    "energy_pj + 40*cycles": lambda e, c, _: e + 40 * c,
    "(cycles*3 + energy_uj) / 2": lambda e, c, _: (3 * c + 1e-6 * e) / 2,
    "cycles + 0.001*area_um2": lambda _, c, a: c + 0.001 * a,
    "energy_pj + 2*area_um2": lambda e, _, a: e + 2 * a,
    "area": lambda _, __, a: a,
}


@pytest.mark.parametrize("case", ["shidiannao two", "gemmini conv", *TRADES])
@pytest.mark.parametrize("text", SUMS)
def test_weighted_sums_are_least(case: str, text: str) -> None:
    if "area" in text and {**CASES, **TRADES}[case][2] == "pat":
        pytest.skip("this chain knows no areas")
    space = space_of(case, text)
    least = min(SUMS[text](*one) for one in totals(space))
    for search in solved(space):
        assert search.incumbent is not None
        assert search.incumbent.value == pytest.approx(least, rel=1e-12)
        assert search.bound == pytest.approx(least, rel=search.tolerance)


def _some(values: set[float]) -> list[float]:
    """The least, the largest and one between."""
    ordered = sorted(values)
    return sorted({ordered[i] for i in (0, len(ordered) // 2, -1)}) if ordered else []


@pytest.mark.parametrize("text", ["edp", "energy", "delay", "energy_pj + 4*cycles"])
@pytest.mark.parametrize("case", TRADES)
def test_limits_on_cycles_and_energy_are_settled_exactly(case: str, text: str) -> None:
    space = space_of(case, text)
    found = sorted({(e, c) for e, c, _ in totals(space)})
    value = {
        "edp": lambda e, c: e * c, "energy": lambda e, _: e, "delay": lambda _, c: c,
        "energy_pj + 4*cycles": lambda e, c: e + 4 * c,
    }[text]  # fmt: skip
    free = min(found, key=lambda one: (value(*one), one))
    cycles = _some({c for _, c in found if c < free[1]})
    # equal sums of energies differ in their last digits
    energies = [e * (1 + 1e-9) for e in _some({e for e, _ in found if e < free[0] * (1 - 1e-9)})]
    assert cycles or energies
    none = min(c for _, c in found)
    for bound, kept in (
        (f"cycles < {none!r}", lambda _, x: x < none),
        *((f"cycles <= {c!r}", lambda _, x, c=c: x <= c) for c in cycles),
        *((f"energy_pj <= {e!r}", lambda x, _, e=e: x <= e) for e in energies),
    ):
        least = min((value(*one) for one in found if kept(*one)), default=math.inf)
        for search in solved(space, bound):
            if math.isinf(least):
                assert search.incumbent is None
            else:
                assert search.incumbent is not None
                assert search.incumbent.value == pytest.approx(least, rel=1e-12)
                assert search.bound == pytest.approx(least, rel=search.tolerance)


@pytest.mark.parametrize("case", ["gemmini gemm table", *TRADES])
def test_a_limit_on_power_bounds_what_it_can(case: str) -> None:
    space = space_of(case)
    clock = space.template.clock_ns
    assert clock is not None
    found = [(e, c) for e, c, _ in totals(space)]
    least = min(found, key=lambda one: one[0] * one[1])
    watts = 0.98 * least[0] / (least[1] * clock) * 1e-3
    of_fronts = min((e * c for e, c in found if e / (c * clock) * 1e-3 <= watts), default=math.inf)
    for search in solved(space, f"power_w <= {watts!r}"):
        assert search.incumbent is not None
        metrics = search.incumbent.metrics
        assert metrics.energy_pj / (metrics.cycles * clock) * 1e-3 <= watts
        # who runs slower than need be takes less power: there may be better than the fronts have
        assert search.bound <= of_fronts * (1 + 1e-12)
        assert search.bound <= search.incumbent.value
        assert search.bound >= least[0] * least[1] * (1 - 1e-10)


@pytest.mark.parametrize("case", ["nvdla dense", "gemmini conv", *TRADES])
@pytest.mark.parametrize("text", ["edp", "energy", "energy_pj + 40*cycles"])
def test_the_mean_over_networks_is_least(case: str, text: str) -> None:
    space = space_of(case, text)
    layers = space.workload.layers
    one = Workload("one", layers[:1])
    two = Workload("two", (*layers[1:], Layer("x", problem(P=2, C=2, K=4), 3)))
    space = space_of(case, text, networks=(one, two))
    least = math.inf
    counts = [layer.count for layer in space.workload]
    worth = {
        "edp": lambda e, c: e * c, "energy": lambda e, _: e,
        "energy_pj + 40*cycles": lambda e, c: e + 40 * c,
    }[text]  # fmt: skip
    for _, fronts in all_designs(space):
        value = 1.0
        for part in (slice(0, 1), slice(1, None)):
            value *= min(
                worth(
                    sum(n * e for n, (e, _) in zip(counts[part], choice, strict=True)),
                    sum(n * c for n, (_, c) in zip(counts[part], choice, strict=True)),
                )
                for choice in itertools.product(*fronts[part])
            )
        least = min(least, math.sqrt(value))
    for search in solved(space):
        assert search.incumbent is not None
        assert search.incumbent.value == pytest.approx(least, rel=1e-12)
        assert search.bound == pytest.approx(least, rel=search.tolerance)
    for kind in (CornerSearch, lambda *given: CoSearch(*given, 1000)):
        with pytest.raises(UnsolvableSpace, match="on all networks together"):
            kind(space, goal_of(space, "cycles < 1000"))


numbers = st.integers(1, 60).map(lambda n: n / 3)
planes = st.sampled_from(
    ["", "cycles <= 30", "energy_pj <= 30", "2*cycles + energy_pj < 70", "energy_pj >= 1.5*cycles"]
)


@given(
    st.lists(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5), min_size=1, max_size=4),
    planes,
    st.sampled_from(["edp", "energy", "delay", "energy_pj + 3*cycles"]),
    st.lists(st.sampled_from([0.07, 0.5, 1.0, 2.3, 9.0, 40.0]), max_size=3, unique=True),
)
def test_choices_and_corners_under_limits(layers, bounds, text, multipliers) -> None:
    goal = CoSearchGoal.of(objective(text), limits(bounds), None)
    sums = [
        (sum(e for e, _ in choice), sum(c for _, c in choice))
        for choice in itertools.product(*layers)
    ]
    energy, cycles = (np.array(column) for column in zip(*sums, strict=True))
    worth = goal.of_mappings(energy, cycles)
    least = float(worth.min())

    def support(m: float) -> Support:
        weighted = cycles if math.isinf(m) else energy + m * cycles
        at = int(weighted.argmin())
        return Support(m, float(weighted[at]), float(energy[at]), float(cycles[at]), ())

    told = [support(m) for m in {*goal.needed, *multipliers}]
    assert least_corner({s.multiplier: s.least for s in told}, goal).value <= least * (1 + 1e-9)

    if all(plane.is_upper for plane in goal.planes):
        offers = [(np.array([e for e, _ in x]), np.array([c for _, c in x])) for x in layers]
        places = best_choice(offers, np.ones(len(layers)), goal, math.inf)
        if math.isinf(least):
            assert places is None
        else:
            assert places is not None
            chosen = [layer[i] for layer, i in zip(layers, places, strict=True)]
            total = np.array([sum(e for e, _ in chosen)]), np.array([sum(c for _, c in chosen)])
            assert float(goal.of_mappings(*total)[0]) == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2*cycles - (energy_pj - 3)/4", {"cycles": 2.0, "energy_pj": -0.25, "": 0.75}),
        ("cycles + cycles", {"cycles": 2.0}),
        ("3", {"": 3.0}),
        ("cycles*energy_pj", None),
        ("max(cycles, 0)", None),
        ("cycles/energy_pj", None),
        ("cycles**1", None),
        ("cycles//2", None),
        ("cycles if 1 else energy_pj", None),
    ],
)
def test_what_is_linear(text: str, expected: dict[str, float] | None) -> None:
    assert linear_form(Expression(text)) == expected


@pytest.mark.parametrize(
    ("text", "bounds", "told"),
    [
        ("cycles**2", "", "expected one of edp"),
        ("energy_pj - cycles", "", "with 0 or more"),
        ("cycles + 3", "", "expected one of edp"),
        ("edp", "utilization > 0.5", "constraint 'utilization > 0.5', expected"),
        ("edp", "cycles * energy_pj < 5", "expected"),
        ("edp", "power_w < cycles", "power_w"),
    ],
)
def test_what_cannot_be_proven_is_refused(text: str, bounds: str, told: str) -> None:
    with pytest.raises(SpecError, match=told.replace("**", r"\*\*")):
        CoSearchGoal.of(objective(text), limits(bounds), None, 1.0)
    with pytest.raises(SpecError, match="the clock"):
        CoSearchGoal.of(EDP, limits("power_w < 2"), None)


@pytest.fixture
def settings(tmp_path) -> dict:
    for name, k in (("one", 32), ("two", 64)):
        layers = [{"name": "a", "shape": "cnn-layer", "P": 8, "Q": 8, "C": 16, "K": k}]
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "layers": layers}))
    return {
        "arch": "gemmini",
        "workload": str(tmp_path / "one.yaml"),
        "optimizer": "optimal",
        "report": False,
        "folder": str(tmp_path / "run"),
    }


def test_a_run_of_several_networks_is_proven(settings, tmp_path) -> None:
    both = f"{settings['workload']}+{tmp_path / 'two.yaml'}"
    result = start({**settings, "workload": both}).execute()
    assert result.certificate is not None
    assert result.certificate["status"] == "optimal"
    one, two = (n.edp for n in result.metrics.networks)
    assert result.value == pytest.approx(math.sqrt(one * two), rel=1e-12)


def test_a_run_says_that_limits_cannot_be_met(settings, tmp_path) -> None:
    with pytest.raises(NothingFeasible, match="proven that no design of this mapspace is valid"):
        start({**settings, "constraints": "cycles < 3"}).execute()
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert told["certificate"]["status"] == "infeasible"


def test_limits_that_slower_mappings_may_meet_are_no_proof_of_nothing(settings, tmp_path) -> None:
    settings = {**settings, "constraints": "power_w < 1e-9"}
    one = {"pe_dim": 4, "scratchpad_kb": 64, "accumulator_kb": 32}
    with pytest.raises(NothingFeasible, match="none of 1 designs is valid"):
        start({**settings, "variables": one}).execute()
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert told["certificate"]["status"] == "stopped"
    assert told["certificate"]["value"] is None
