"""The second argument: what it stands on, what it covers, and that nothing false passes."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from certify_fuzz import run
from certify_spaces import Recipe, optimum

import dse
from dse.certify.choices import Aim, Choices
from dse.certify.recheck import recheck
from dse.certify.verdict import Decision, Effort
from dse.components.chain import energy_chain
from dse.goals.limits import limits
from dse.goals.objective import objective
from dse.space import catalog
from dse.space.search_space import SearchSpace

PACKAGE = Path(dse.__file__).parent


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_the_second_argument_shares_nothing_with_the_searches() -> None:
    for path in (PACKAGE / "certify").glob("*.py"):
        shared = {
            name
            for name in imports(path)
            if name.startswith(("dse.cosearch", "dse.mapspace", "dse.mappers"))
        }
        assert shared <= {"dse.cosearch.certificate"}, path.name


@pytest.mark.parametrize("room", ["certify", "cosearch"])
def test_no_proof_hangs_on_an_assert(room: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert)], path.name


def test_random_spaces_and_claims() -> None:
    """A short form of ``python tests/certify_fuzz.py``."""
    tally = run(60, 20_261_128)
    assert tally.faults == []
    assert tally.counts["closed form"] >= 10
    assert tally.counts["enumerated"] >= 20
    assert tally.counts["truth certified"] >= 40
    assert tally.counts["lie refuted"] >= 60
    assert tally.counts["truth refuted"] == tally.counts["lie certified"] == 0


def test_the_best_choice_is_told_to_the_last_digits() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        counts = rng.integers(1, 6, int(rng.integers(1, 5)))
        first = np.cumsum([0, *counts]).astype(np.int64)
        scale = 10.0 ** rng.integers(0, 9)
        energy, cycles = (rng.integers(1, 9, first[-1]) * s for s in (scale, 1.0))
        weight = rng.integers(1, 4, len(counts)).astype(np.float64)
        choices = Choices(weight, first, energy.astype(np.float64), cycles.astype(np.float64))
        for x, y, multiplied in ((1, 1, True), (1, 0, False), (0, 1, False), (0.3, 2e3, False)):

            def worth(e: float, t: float, x=x, y=y, multiplied=multiplied) -> float:
                return e * t if multiplied else x * e + y * t

            values = []
            for rows in itertools.product(*(range(a, b) for a, b in itertools.pairwise(first))):
                e, t = weight @ energy[list(rows)], weight @ cycles[list(rows)]
                values.append(worth(e, t))
            least = min(values)
            aim = Aim(x, y, multiplied)
            rounding = 0.0 if x == int(x) else 1e-12
            assert choices.below(least * (1.0 - rounding), aim) is None
            found = choices.below(least * (1.0 + 1e-9), aim)
            assert found is not None
            assert worth(*found) == pytest.approx(least, rel=1e-12)


def test_a_layer_without_a_mapping_leaves_nothing_below() -> None:
    one = np.ones(1)
    choices = Choices(np.ones(2), np.array([0, 1, 1]), one, one)
    assert choices.below(1e9, Aim(1, 1, multiplied=True)) is None


def gemmini(network: str, goal: str = "edp", constraints: str = "", **fixed: object) -> SearchSpace:
    template = catalog.template("gemmini")
    return SearchSpace(
        template, catalog.workload(network), energy_chain("dosa"), fixed, objective(goal),
        limits=limits(constraints),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (gemmini("vgg16_conv1_1", "cycles**2"), r"objective = cycles\*\*2; covered are edp"),
        (gemmini("vgg16_conv1_1", "2*cycles - energy_pj"), r"objective = 2\*cycles"),
        (gemmini("vgg16_conv1_1", constraints="edp < 9"), "constraint 'edp < 9'"),
        (gemmini("vgg16_conv1_1", constraints="cycles + area_um2 < 9"), "those on the area"),
        (
            gemmini("vgg16_conv1_1+dosa_bert", constraints="cycles < 1e9"),
            "constraint 'cycles < 1e9' on several networks",
        ),
    ],
)
def test_what_is_not_covered_is_named(space: SearchSpace, expected: str) -> None:
    verdict = recheck(space, 1.0)
    assert verdict.outcome is Decision.UNDECIDED
    assert re.search(expected, verdict.reason)


def test_spaces_that_are_too_large_are_not_decided() -> None:
    template = catalog.template("eyeriss")
    network = catalog.workload("vgg16_conv1_1")
    space = SearchSpace(template, network, energy_chain("table"), {"columns": 14, "rows": 12})
    verdict = recheck(space, 1e9, effort=Effort(most_mappings=100_000))
    assert verdict.outcome is Decision.UNDECIDED
    assert "more than 100,000 tilings" in verdict.reason
    free = SearchSpace(catalog.template("naas_eyeriss"), network, energy_chain("dosa"))
    verdict = recheck(free, 1e9)
    assert verdict.outcome is Decision.UNDECIDED
    assert "combinations of" in verdict.reason


def two_tier(**changes: object) -> Recipe:
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    content["variables"] = {
        "pe_dim": {"values": [2, 4]}, "scratchpad_kb": {"values": [1, 2]},
        "accumulator_kb": {"values": [1, 2]},
    }  # fmt: skip
    layers = [{"name": "a", "P": 6, "C": 8, "K": 4}, {"name": "b", "R": 3, "P": 4, "C": 4}]
    recipe = Recipe(content, layers, "cnn-layer", "dosa", "edp", "4cf6d4c")
    return replace(recipe, **changes)


@pytest.mark.parametrize("energy", ["dosa", "table"])
def test_leakage_is_covered(energy: str) -> None:
    """Where idle instances save energy, the largest spatial factors are not the best."""
    recipe = two_tier(energy=energy, template={**two_tier().template, "budget": {"pes": 64}})
    best = optimum(recipe.space())
    assert recheck(recipe.space(), best).outcome is Decision.CERTIFIED
    lie = recheck(recipe.space(), best * (1.0 + 1e-9))
    assert lie.outcome is Decision.REFUTED
    assert "all tiles and orders" in lie.how


@pytest.mark.parametrize("flag", [[], ["-O"]])
def test_python_without_asserts_refuses_as_much(flag: list[str], tmp_path: Path) -> None:
    recipe = two_tier()
    best = optimum(recipe.space())
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from certify_spaces import Recipe\n"
        "from dse.certify.recheck import recheck\n"
        "from dse.cosearch.goal import CoSearchGoal\n"
        "from dse.cosearch.search import CoSearch\n"
        f"space = {recipe!r}.space()\n"
        "search = CoSearch(space, CoSearchGoal.of(space.objective, (), None), 1000)\n"
        "for _ in search.run():\n"
        "    pass\n"
        f"print(search.incumbent.value == {best!r} == search.bound)\n"
        f"for factor in (1.0, 1.0 + 1e-9, 1.5):\n"
        f"    print(recheck(space, {best!r} * factor).outcome)\n",
        encoding="utf-8",
    )
    command = [sys.executable, *flag, str(script)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["True", "certified", "refuted", "refuted"], done.stderr
