"""The exact co-search over paddings against brute force over all hardware, sizes and mappings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import yaml
from cosearch_cases import least_values

from dse.certify.recheck import recheck
from dse.certify.verdict import Decision
from dse.components.chain import energy_chain
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.padded import PaddedCoSearch
from dse.cosearch.search import CoSearch, UnsolvableSpace
from dse.cosearch.tables import closed_form
from dse.domain.architecture import Architecture
from dse.domain.padding import Padding, mapped_problem, padded_layers
from dse.domain.problem import SHAPES, Layer, Problem, Workload
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objectives
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace
from dse.model import TIMELOOP_VERSIONS
from dse.model.evaluate import evaluate_one
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate

pytestmark = pytest.mark.slow

GEMMINI = {"pe_dim": [3, 4], "scratchpad_kb": [1, 2], "accumulator_kb": [1, 2]}
ONE = {"pe_dim": [4], "scratchpad_kb": [1, 2], "accumulator_kb": [1]}
TPU = {
    "array": [2, 4], "buffer_kb": [16, 32], "accumulator_words": [2, 8], "fifo_tiles": [1, 4],
}  # fmt: skip


def problem(**sizes: int) -> Problem:
    return Problem(SHAPES["cnn-layer"], {**dict.fromkeys("RSPQCKN", 1), **sizes})


def gemm(**sizes: int) -> Problem:
    return Problem(SHAPES["gemm"], sizes)


#: Template, variables, energy chain, layers; the second one stands twice in the network.
CASES: dict[str, tuple[str, dict[str, Any], str, list[Problem]]] = {
    "groups of frames": ("gemmini", GEMMINI, "dosa", [problem(P=5, C=3, K=7), problem(C=5, K=2)]),
    "one frame": ("gemmini", ONE, "dosa", [problem(C=5, K=7), problem(R=2, P=5, C=3)]),
    "leakage": ("gemmini", GEMMINI, "table", [gemm(M=5, N=3, K=7), gemm(M=1, N=5, K=5)]),
    "even": ("gemmini", GEMMINI, "dosa", [problem(P=100, C=96, K=96)]),
    "enumerated": ("tpu_v1", TPU, "pat", [problem(C=3, K=5), problem(P=3, K=3)]),
}


def space_of(case: str, padding: str, objective: str = "edp", **fixed: int) -> SearchSpace:
    name, variables, chain, problems = CASES[case]
    content = yaml.safe_load(catalog.find("arch", name).read_text(encoding="utf-8"))
    content["variables"] = {key: {"values": value} for key, value in variables.items()}
    content["budget"] = {"pes": 1_000_000}
    layers = tuple(Layer(f"l{i}", p, count=i + 1) for i, p in enumerate(problems))
    return SearchSpace(
        ArchTemplate.parse(content, name), Workload("net", layers), energy_chain(chain), fixed,
        objectives()[objective], padding=Padding.parse(padding),
    )  # fmt: skip


def goal_of(space: SearchSpace) -> CoSearchGoal:
    return CoSearchGoal.of(space.objective, (), space.template.max_area_um2)


def solve(space: SearchSpace, limit: int = 300_000) -> CoSearch:
    kind = PaddedCoSearch if space.padding.on else CoSearch
    search = kind(space, goal_of(space), limit)
    for _ in search.run():
        assert search.incumbent is None or search.bound <= search.incumbent.value
    return search


def sizes_up_to(one: Problem, most: Padding) -> list[Problem]:
    """Every size of a problem, useful or not."""
    ranges = [range(n, (most.most(n) if n > 1 else 1) + 1) for n in one.bounds.values()]
    return [
        replace(one, bounds=dict(zip(one.dimensions, bounds, strict=True)))
        for bounds in itertools.product(*ranges)
    ]


def front(architecture: Architecture, sizes: list[Problem]) -> list[tuple[float, float]]:
    """All (energy, cycles) of the mappings of these sizes that no other beats in both."""
    points: set[tuple[float, float]] = set()
    for one in sizes:
        for batch in enumerate_valid(Mapspace(one, architecture), 20_000):
            m = NativeEvaluator().evaluate(architecture, one, batch)
            points |= set(zip(m.energy_pj[m.valid], m.cycles[m.valid], strict=True))
    best: list[tuple[float, float]] = []
    for energy, cycles in sorted(points):
        if not best or cycles < best[-1][1]:
            best.append((float(energy), float(cycles)))
    return best


@cache
def brute_force(case: str, padding: str) -> dict[str, float]:
    """The least value of every objective over all hardware, sizes and choices of mappings."""
    space = space_of(case, padding)
    variables = space.template.variables

    def designs() -> Iterator[tuple[float, list[list[tuple[float, float]]]]]:
        for chosen in itertools.product(
            *([v.value_at(i) for i in range(v.count)] for v in variables)
        ):
            named = zip(variables, chosen, strict=True)
            architecture = space.architecture({v.name: value for v, value in named})
            fronts = [
                front(architecture, sizes_up_to(layer.problem, space.padding))
                for layer in space.workload
            ]
            yield architecture.area_um2, fronts

    return least_values(designs(), [layer.count for layer in space.workload])


@pytest.mark.parametrize("case", ["groups of frames", "one frame", "leakage", "enumerated"])
def test_finds_exactly_the_least_value_of_every_size(case: str) -> None:
    """Not only of the useful sizes: no mapping of any size up to twice the bounds is better."""
    expected = brute_force(case, "auto")
    for objective in ("edp", "energy", "delay"):
        search = solve(space_of(case, "auto", objective))
        assert search.finished
        assert search.incumbent is not None
        assert search.incumbent.value == expected[objective], objective
        assert search.bound == search.incumbent.value
        assert "padding=auto: all useful combinations" in search.sizes_text
    own = solve(space_of(case, "off"))
    assert own.incumbent is not None
    assert own.incumbent.value > expected["edp"]


@pytest.mark.parametrize("case", ["groups of frames", "one frame", "leakage", "enumerated"])
def test_the_certifier_agrees_by_an_argument_of_its_own(case: str) -> None:
    """It finds the sizes itself; nothing above the optimum, nor the own sizes' optimum, holds."""
    space = space_of(case, "auto")
    found = solve(space).incumbent
    own = solve(space_of(case, "off")).incumbent
    assert found is not None
    assert own is not None
    held = recheck(space, found.value)
    assert held.outcome is Decision.CERTIFIED, held.reason
    assert held.how.endswith("every useful size")
    assert recheck(space, found.value * (1.0 + 1e-6)).outcome is Decision.REFUTED
    assert recheck(space, own.value).outcome is Decision.REFUTED
    assert recheck(space_of(case, "off"), own.value).outcome is Decision.CERTIFIED


def test_the_certifier_does_not_decide_on_the_most_promising_sizes() -> None:
    space = space_of("even", "auto")
    found = solve(space)
    assert found.incumbent is not None
    assert "the 64 most promising useful combinations" in found.sizes_text
    verdict = recheck(space, found.incumbent.value)
    assert verdict.outcome is Decision.UNDECIDED
    assert "useful combinations of one layer's sizes" in verdict.reason


def test_area_counts_and_a_share_limits_the_sizes() -> None:
    space = space_of("groups of frames", "auto", "adp")
    search = solve(space)
    assert search.incumbent is not None
    assert search.incumbent.value == brute_force("groups of frames", "auto")["adp"]
    part = space_of("groups of frames", "34%")
    search = solve(part)
    assert search.incumbent is not None
    assert search.incumbent.value == brute_force("groups of frames", "34%")["edp"]
    for layer, mapping in zip(part.workload, search.incumbent.design.mappings or (), strict=True):
        padded = mapped_problem(layer.problem, mapping)
        assert all(padded.bounds[d] <= 1.34 * n for d, n in layer.problem.bounds.items())


def test_the_incumbent_is_what_the_model_says_of_the_padded_problems() -> None:
    space = space_of("groups of frames", "auto")
    search = solve(space)
    assert search.incumbent is not None
    design, metrics = search.incumbent.design, search.incumbent.metrics
    assert design.mappings is not None
    assert padded_layers(space.workload, design.mappings)
    architecture = space.architecture(design.values)
    for layer, mapping, told in zip(space.workload, design.mappings, metrics.layers, strict=True):
        padded = mapped_problem(layer.problem, mapping)
        stats = evaluate_one(architecture, padded, mapping)
        assert (stats.cycles, stats.energy_pj) == (told.cycles, told.energy_pj)
        # only the layer's own operations are work
        own = layer.problem.macs / padded.macs
        assert told.utilization == pytest.approx(stats.utilization * own, rel=1e-12)


@pytest.mark.parametrize("case", ["groups of frames", "enumerated"])
def test_the_best_of_the_own_sizes_is_that_of_the_same_hardware(case: str) -> None:
    search = solve(space_of(case, "auto"))
    assert isinstance(search, PaddedCoSearch)
    assert search.incumbent is not None
    values = search.incumbent.design.values
    found = search.own_sizes_on(values)
    alone = solve(space_of(case, "off", **values)).incumbent
    assert found is not None
    assert alone is not None
    assert found.value == alone.value
    assert found.design.values == values


def test_few_classes_are_kept_of_sizes_that_fill_the_array() -> None:
    space = space_of("even", "auto")
    search = solve(space)
    assert isinstance(search, PaddedCoSearch)
    (sizes,) = search.sizes.values()
    build = closed_form(search.hardware, TIMELOOP_VERSIONS[space.timeloop_version], sizes.problems)
    assert build is not None
    whole = sum(build(one).class_count for one in sizes.problems)
    assert 0 < search.tables.classes < whole / 5
    own = solve(space_of("even", "off")).incumbent
    assert own is not None
    assert search.incumbent is not None
    assert search.incumbent.value == own.value


def test_nothing_to_pad_is_the_search_of_the_own_sizes() -> None:
    one = solve(space_of("one frame", "10%"))
    other = solve(space_of("one frame", "off"))
    assert one.incumbent is not None
    assert other.incumbent is not None
    assert one.incumbent.value == other.incumbent.value
    assert one.finished
    assert one.bound == other.bound
    assert one.nodes == other.nodes


def test_too_many_mappings_of_all_sizes_are_not_claimed() -> None:
    limit = 300
    assert solve(space_of("enumerated", "off"), limit).finished
    with pytest.raises(UnsolvableSpace, match="mappings on one hardware, of all its .* sizes"):
        solve(space_of("enumerated", "auto"), limit)


def test_a_bound_before_all_sizes_are_looked_at_is_none() -> None:
    space = space_of("groups of frames", "auto")
    least = brute_force("groups of frames", "auto")["edp"]
    search = PaddedCoSearch(space, goal_of(space), 1000)
    bounds = []
    for _ in search.run():
        bounds.append(search.bound)
        assert search.bound <= least
    assert bounds[0] == 0.0
    assert bounds[-1] > 0.0
    assert np.all(np.diff(bounds) >= 0.0)
