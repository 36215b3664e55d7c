"""The exact co-search against brute force over all hardware, all mappings, all orders."""

from __future__ import annotations

import pytest
from cosearch_cases import CASES, all_values, brute_force, space_of

from dse.certify.recheck import recheck
from dse.certify.verdict import Decision
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.search import CoSearch, UnsolvableSpace
from dse.goals.limits import limits
from dse.space.search_space import SearchSpace

pytestmark = pytest.mark.slow


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
    space = space_of("gemmini stride")
    goal = CoSearchGoal.of(space.objective, (), None)
    least = brute_force(space)["edp"]
    search = CoSearch(space, goal, 1000)
    for _ in search.run():
        assert search.bound <= least
        assert search.incumbent is None or search.incumbent.value >= least
    assert search.nodes > 1
