"""The exact co-search against brute force over all hardware, all mappings, all orders."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml

from dse.certify.recheck import recheck
from dse.certify.verdict import Decision
from dse.components.chain import energy_chain
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.search import CoSearch, UnsolvableSpace
from dse.domain.problem import SHAPES, Layer, Problem, Workload
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.goals.limits import limits
from dse.goals.objective import AREA, EDP, objectives
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate

pytestmark = pytest.mark.slow


def template(name: str, variables: dict[str, Any], **changes: Any) -> ArchTemplate:
    """The template of that name with other ranges of its variables."""
    content = yaml.safe_load(catalog.find("arch", name).read_text(encoding="utf-8"))
    assert content["variables"].keys() == variables.keys()
    content["variables"] = {
        key: {"values": value} if isinstance(value, list) else value
        for key, value in variables.items()
    }
    return ArchTemplate.parse({**content, **changes}, name)


def problem(**sizes: int) -> Problem:
    bounds = dict.fromkeys("RSPQCKN", 1)
    coefficients = {}
    for key, value in sizes.items():
        (bounds if key in bounds else coefficients)[key] = value
    return Problem(SHAPES["cnn-layer"], bounds, coefficients)


def gemm(**sizes: int) -> Problem:
    return Problem(SHAPES["gemm"], sizes)


GEMMINI = {"pe_dim": [2, 3, 4, 8], "scratchpad_kb": [1, 2, 3], "accumulator_kb": [1, 2]}
WIDE = {"pe_dim": [4, 8, 16], "scratchpad_kb": [1, 2, 4, 7], "accumulator_kb": [1, 3]}
EYERISS = {
    "glb_kb": [16, 20], "columns": [2, 4], "rows": [3, 4],
    "ifmap_words": [2, 8], "weight_words": [4, 12], "psum_words": [1, 4],
}  # fmt: skip
SIMBA = {
    "global_kb": [16, 32], "input_kb": [2, 4], "weight_kb": [1, 2], "accumulation_words": [2, 8],
}  # fmt: skip
TPU = {
    "array": [2, 4], "buffer_kb": [16, 32], "accumulator_words": [2, 8], "fifo_tiles": [1, 4],
}  # fmt: skip

CASES = {
    "gemmini conv": (
        "gemmini", GEMMINI, "dosa", [problem(R=3, P=8, C=6, K=32), problem(C=24, K=8)]
    ),
    "gemmini stride": (
        "gemmini", GEMMINI, "dosa", [problem(R=3, S=2, P=6, Q=2, C=4, K=8, Wstride=2)]
    ),
    "gemmini wide": ("gemmini", WIDE, "dosa", [problem(P=16, C=32, K=64)]),
    "gemmini gemm table": (
        "gemmini", WIDE, "table", [gemm(M=12, K=48, N=32), gemm(M=2, K=8, N=64)]
    ),
    "eyeriss conv": ("eyeriss", EYERISS, "table", [problem(R=3, S=3, Q=4, C=2)]),
    "eyeriss dense": ("eyeriss", EYERISS, "pat", [problem(C=4, K=4), problem(P=4, K=2)]),
    "simba conv": ("simba", SIMBA, "table", [problem(R=2, P=4, C=4)]),
    "simba dense": ("simba", SIMBA, "pat", [problem(C=4, K=4)]),
    "tpu conv": ("tpu_v1", TPU, "pat", [problem(R=2, P=4, C=4)]),
    "tpu dense": ("tpu_v1", TPU, "pat", [problem(C=4, K=4), problem(P=2, K=2)]),
}  # fmt: skip


def space_of(case: str, objective: str = "edp", version: str = "4cf6d4c") -> SearchSpace:
    name, variables, chain, problems = CASES[case]
    extra = {} if name == "gemmini" else {"budget": {"pes": 1_000_000}}
    arch = template(name, variables, **extra)
    layers = tuple(Layer(f"l{i}", p, count=i + 1) for i, p in enumerate(problems))
    return SearchSpace(
        arch, Workload("net", layers), energy_chain(chain), None, objectives()[objective],
        timeloop_version=version,
    )  # fmt: skip


def all_values(space: SearchSpace) -> list[dict[str, int]]:
    lists = [[v.value_at(i) for i in range(v.count)] for v in space.template.variables]
    names = [v.name for v in space.template.variables]
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*lists)]


def front(space: SearchSpace, architecture: Any, problem: Problem) -> list[tuple[float, float]]:
    """All (energy, cycles) of a layer's mappings that no other beats in both."""
    evaluator = NativeEvaluator(space.timeloop_version)
    points = []
    for batch in enumerate_valid(Mapspace(problem, architecture), 20_000):
        m = evaluator.evaluate(architecture, problem, batch)
        points += list(zip(m.energy_pj[m.valid], m.cycles[m.valid], strict=True))
        best: list[tuple[float, float]] = []
        for energy, cycles in sorted(set(points)):
            if not best or cycles < best[-1][1]:
                best.append((float(energy), float(cycles)))
        points = list(best)
    return points


def brute_force(space: SearchSpace) -> dict[str, float]:
    """The least value of every objective over all hardware and all choices of mappings."""
    best = dict.fromkeys(("edp", "energy", "delay", "adp"), float("inf"))
    for values in all_values(space):
        try:
            architecture = space.architecture(values)
        except SpecError:
            continue
        fronts = [front(space, architecture, layer.problem) for layer in space.workload]
        counts = [layer.count for layer in space.workload]
        for choice in itertools.product(*fronts):
            energy = sum(n * e for n, (e, _) in zip(counts, choice, strict=True))
            cycles = sum(n * t for n, (_, t) in zip(counts, choice, strict=True))
            for name, value in (
                ("edp", energy * cycles), ("energy", energy), ("delay", cycles),
                ("adp", architecture.area_um2 * cycles),
            ):  # fmt: skip
                best[name] = min(best[name], value)
    return best


def solve(space: SearchSpace, limit: int = 300_000, bounds: str = "") -> CoSearch:
    goal = CoSearchGoal.of(space.objective, limits(bounds), space.template.max_area_um2)
    search = CoSearch(space, goal, limit)
    least = 0.0
    for _ in search.run():
        assert search.bound >= least
        least = search.bound
    return search


@pytest.mark.parametrize("case", CASES)
def test_finds_exactly_the_least_value(case: str) -> None:
    expected = brute_force(space_of(case))
    for objective in ("edp", "energy", "delay"):
        search = solve(space_of(case, objective))
        assert search.finished
        assert search.incumbent is not None
        assert search.incumbent.value == expected[objective]
        assert search.bound == search.incumbent.value


def test_area_counts_in_adp_and_limits() -> None:
    space = space_of("gemmini conv", "adp")
    search = solve(space)
    assert search.incumbent is not None
    assert search.incumbent.value == brute_force(space)["adp"]
    areas = {a: v for v in all_values(space) if (a := space.architecture(v).area_um2)}
    most = sorted(areas)[len(areas) // 3]
    limited = solve(space_of("gemmini conv", "edp"), bounds=f"area_um2 <= {most!r}")
    free = solve(space_of("gemmini conv", "edp"))
    assert limited.incumbent is not None
    assert free.incumbent is not None
    assert limited.incumbent.metrics.area_um2 <= most < free.incumbent.metrics.area_um2
    assert limited.incumbent.value > free.incumbent.value


@pytest.mark.parametrize("case", ["gemmini conv", "gemmini stride", "tpu conv"])
@pytest.mark.parametrize("objective", ["edp", "energy", "delay"])
def test_recheck_holds_for_the_optimum_and_for_nothing_more(case: str, objective: str) -> None:
    space = space_of(case, objective)
    search = solve(space)
    assert search.incumbent is not None
    value = search.incumbent.value
    assert recheck(space, value).outcome is Decision.CERTIFIED
    assert recheck(space, value * (1.0 - 1e-6)).outcome is Decision.CERTIFIED
    more = recheck(space, value * (1.0 + 1e-6))
    assert more.outcome is Decision.REFUTED
    assert more.reason


def test_a_space_that_is_too_large_is_not_claimed() -> None:
    with pytest.raises(UnsolvableSpace, match="more than 100 mappings"):
        solve(space_of("eyeriss conv"), limit=100)


def test_a_search_that_is_stopped_claims_no_more_than_its_bound() -> None:
    space = space_of("gemmini wide")
    goal = CoSearchGoal.of(space.objective, (), None)
    least = brute_force(space)["edp"]
    search = CoSearch(space, goal, 1000)
    for _ in search.run():
        assert search.bound <= least
        assert search.incumbent is None or search.incumbent.value >= least
    assert search.nodes > 1


def test_other_objectives_and_limits_are_refused() -> None:
    with pytest.raises(SpecError, match="expected one of edp"):
        CoSearchGoal.of(AREA, (), None)
    with pytest.raises(SpecError, match="expected one on area_um2"):
        CoSearchGoal.of(EDP, limits("cycles < 4"), None)
