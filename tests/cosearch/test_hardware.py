"""Hardware spaces that are easily misread: search and certifier against brute force."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import yaml
from certify_spaces import Recipe, optimum, random_recipe

from dse.certify.recheck import recheck
from dse.certify.verdict import Decision
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.search import CoSearch
from dse.cosearch.sizes import UnsolvableSpace
from dse.goals.certificate import gap_of
from dse.space import catalog

LAYERS = [{"name": "a", "P": 4, "C": 8, "K": 8}, {"name": "b", "R": 2, "C": 4, "K": 4, "count": 2}]
DRAM, SCRATCHPAD, ACCUMULATOR, REGISTERS = range(4)


def gemmini(variables: dict[str, list[int]], **changes: Any) -> Recipe:
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    content = copy.deepcopy(content)
    content["variables"] = {name: {"values": values} for name, values in variables.items()}
    recipe = {"objective": "edp", **changes}
    return Recipe(content, LAYERS, "cnn-layer", "dosa", str(recipe["objective"]), "4cf6d4c")


def two_arrays(variables: dict[str, list[int]]) -> Recipe:
    """Gemmini with rows and columns of their own."""
    recipe = gemmini(variables)
    storage = recipe.template["storage"]
    storage[SCRATCHPAD] |= {"block_size": 1, "shared_bandwidth": 8}
    storage[ACCUMULATOR] |= {"size_words": "acc", "mesh_x": "cols"}
    storage[REGISTERS]["mesh_x"] = recipe.template["compute"]["mesh_x"] = "rows * cols"
    storage[SCRATCHPAD]["size_words"] = "sp"
    return recipe


SMALL = {"rows": [2, 8], "cols": [2, 8], "sp": [32, 64], "acc": [8, 16]}


def not_whole() -> Recipe:
    """Sizes of which the smallest is no whole number on some arrays."""
    recipe = two_arrays({**SMALL, "acc": [20, 40]})
    recipe.template["storage"][ACCUMULATOR]["size_words"] = "acc / cols"
    return recipe


def falling() -> Recipe:
    """A size that falls as its variable grows, so that the first value breaks the budget."""
    recipe = two_arrays({**SMALL, "sp": [1, 100], "rows": [2], "cols": [2]})
    recipe.template["storage"][SCRATCHPAD]["size_words"] = "132 - sp"
    recipe.template["budget"] = {"on_chip_bytes": 120}
    return recipe


def limited() -> Recipe:
    """A limit on spatial factors that does not bind on the array with the most PEs."""
    recipe = two_arrays({"rows": [4, 8], "cols": [2, 16], "sp": [64], "acc": [16, 32]})
    recipe.template["budget"] = {"pes": 64}
    spatial = recipe.template["storage"][ACCUMULATOR]["constraints"]["spatial"]
    spatial["max_factors"] = {"C": 4}
    return recipe


def across() -> Recipe:
    """Arrays of which the other axis, along which nothing may run, is the longer one."""
    recipe = two_arrays({"cols": [2, 8], "idle": [2, 4], "rows": [2], "sp": [64], "acc": [16]})
    storage = recipe.template["storage"]
    storage[ACCUMULATOR]["mesh_y"] = "idle"
    storage[REGISTERS]["mesh_y"] = recipe.template["compute"]["mesh_y"] = "idle"
    return recipe


def one_larger() -> Recipe:
    """A requirement on sizes, by which what is predicted to be better is not possible."""
    recipe = two_arrays({**SMALL, "sp": [16, 32, 128], "acc": [16, 64]})
    recipe.template["require"] = ["acc <= sp"]
    return recipe


SPACES = {f.__name__: f for f in (not_whole, falling, limited, across, one_larger)}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("objective", ["edp", "energy", "delay"])
def test_search_and_certifier_find_the_least_value(name: str, objective: str) -> None:
    made = SPACES[name]()
    recipe = Recipe(made.template, made.layers, made.shape, made.energy, objective, made.version)
    space = recipe.space()
    best = optimum(space)
    assert math.isfinite(best)
    try:
        search = CoSearch(space, CoSearchGoal.of(space.objective, (), None), 300_000)
        for _ in search.run():
            assert search.bound <= best * (1.0 + 1e-12)
        assert search.incumbent is not None
        assert search.incumbent.value == pytest.approx(best, rel=1e-12)
    except UnsolvableSpace as error:  # it may be beyond the search, which says so
        assert name in ("not_whole", "falling"), error
    assert recheck(space, best).outcome is Decision.CERTIFIED
    assert recheck(space, best * (1.0 + 1e-9)).outcome is Decision.REFUTED


def test_a_search_among_impossible_sizes_ends() -> None:
    """The first space on which the steps around an incumbent went in circles."""
    recipe = Recipe(
        template=gemmini({"pe_dim": [3, 8], "scratchpad_kb": [16, 32, 128], "accumulator_kb": [16]})
        .template, layers=LAYERS, shape="cnn-layer", energy="dosa", objective="edp",
        version="4cf6d4c",
    )  # fmt: skip
    recipe.template["require"] = ["accumulator_kb * 2 <= scratchpad_kb"]
    space = recipe.space()
    search = CoSearch(space, CoSearchGoal.of(space.objective, (), None), 1000)
    for _ in search.run():
        assert search.nodes < 1000
    assert search.incumbent is not None
    assert search.incumbent.value == pytest.approx(optimum(space), rel=1e-12)


def test_arrays_without_a_price_hide_no_others() -> None:
    """On some arrays no accumulator is within what the chain can price."""
    for seed in range(200):
        recipe = random_recipe(np.random.default_rng([7, seed]))
        if recipe.energy == "table" and recipe.template["name"] == "systolic":
            break
    space = recipe.space()
    best = optimum(space)
    search = CoSearch(space, CoSearchGoal.of(space.objective, space.limits, None), 300_000)
    for _ in search.run():
        pass
    found = math.inf if search.incumbent is None else search.incumbent.value
    assert found == pytest.approx(best, rel=1e-12)


def test_the_gap_of_nothing_is_nothing() -> None:
    assert gap_of(0.0, 0.0) == 0.0
    assert gap_of(3.0, 4.0) == 0.25
    assert gap_of(5.0, 4.0) == 0.0
