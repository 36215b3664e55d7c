"""Limits on energy and cycles, several networks, and proofs that there is no design."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml
from certify_fuzz import Tally, attack
from certify_spaces import aimed, random_recipe
from hypothesis import given
from hypothesis import strategies as st

from dse.certify import known
from dse.certify.borders import Border, border
from dse.certify.choices import Aim, Choices, ChoiceTotals
from dse.certify.limited import choices_below
from dse.certify.region import corners
from dse.cli import main
from dse.errors import NothingFeasible
from dse.goals.limits import limits
from dse.runner.run import start
from dse.space import catalog

TRIANGLE = [(1.0, 1.0, 2.0), (-1.0, 0.0, -3.0), (0.0, -1.0, -4.0)]


def test_corners_of_what_sides_leave() -> None:
    assert sorted(map(tuple, corners(TRIANGLE))) == [(0, 2), (0, 4), (2, 0), (3, 0), (3, 4)]
    assert corners([*TRIANGLE, (1.0, 1.0, 7.5)]) == []
    touched = corners([*TRIANGLE, (1.0, 1.0, 7.0)])
    assert set(touched) == {(Fraction(3), Fraction(4))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cycles <= 9", (0.0, 1.0, 9.0)),
        ("energy_uj < 2", (1e-6, 0.0, 2.0)),
        ("9 >= cycles", (0.0, 1.0, 9.0)),
        ("cycles >= 9", (0.0, -1.0, -9.0)),
        ("delay_ns <= 10", (0.0, 5.0, 10.0)),
        ("energy_pj + 2 * cycles <= 9 - cycles", (1.0, 3.0, 9.0)),
        ("power_w <= 2", (0.2e-3, -2.0, 0.0)),
    ],
)
def test_a_limit_is_a_half_plane(text: str, expected: tuple[float, float, float]) -> None:
    (limit,) = limits(text)
    found = border(limit, 5.0)
    assert found[:3] == pytest.approx(expected)
    assert found.source == text
    assert found.is_upper == (min(expected[:2]) >= 0.0)


numbers = st.integers(1, 40)
layer = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4)


@given(
    layers=st.lists(layer, min_size=1, max_size=4),
    aim=st.sampled_from(
        [(1.0, 1.0, True), (1.0, 0.0, False), (0.0, 1.0, False), (2.0, 3.0, False)]
    ),
    sides=st.lists(
        st.tuples(st.integers(-2, 3), st.integers(-2, 3), st.integers(-20, 200)), max_size=2
    ),
    share=st.floats(0.9, 1.2),
)
def test_what_lines_and_joined_layers_leave_is_what_there_is(layers, aim, sides, share) -> None:
    borders = tuple(Border(float(a), float(b), float(most), "") for a, b, most in sides)
    goal = Aim(*aim, borders)
    every = [ChoiceTotals(*map(float, np.sum(c, axis=0))) for c in itertools.product(*layers)]

    def meets(t: ChoiceTotals) -> bool:
        return all(b.energy * t.energy + b.cycles * t.cycles <= b.most for b in borders)

    least = min((goal.worth(t) for t in every if meets(t)), default=math.inf)
    claim = least * share if math.isfinite(least) else math.inf
    first = np.cumsum([0, *map(len, layers)]).astype(np.int64)
    energy, cycles = np.array([p for own in layers for p in own], np.float64).T
    choices = Choices(np.ones(len(layers)), first, energy, cycles)
    lines = choices.within(claim, goal)
    for line in lines:
        assert min(line.x * t.energy + line.y * t.cycles for t in every) >= line.total * (1 - 1e-12)
    if least < claim:
        assert lines
    if lines and all(b.is_upper for b in borders):
        own = [tuple(np.array(points, np.float64).T) for points in layers]
        found = list(choices_below(claim, goal, own, lines))
        assert bool(found) == (least < claim)
        assert all(t in every and meets(t) and goal.worth(t) < claim for t in found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_sums_limits_and_networks_are_certified_as_brute_force_says(seed: int) -> None:
    rng = np.random.default_rng([20_261_130, seed])
    tally = Tally()
    recipe = aimed(random_recipe(rng), rng)
    attack(recipe, rng, tally)
    assert tally.faults == []


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.setenv(known.VARIABLE, str(tmp_path / "known.json"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DSE_TIMELOOP_MODEL", raising=False)
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    content["variables"] = {
        "pe_dim": {"min": 2, "max": 6}, "scratchpad_kb": {"min": 1, "max": 4},
        "accumulator_kb": {"min": 1, "max": 4},
    }  # fmt: skip
    content["mapspace"] = {"padding": "off"}
    (tmp_path / "arch.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    for name, layers in (
        ("one", [{"name": "a", "R": 3, "P": 8, "C": 6, "K": 32}, {"name": "b", "C": 24, "K": 8}]),
        ("two", [{"name": "a", "P": 12, "C": 16, "K": 8}]),
    ):
        content = {"name": name, "shape": "cnn-layer", "layers": layers}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return {
        "arch": str(tmp_path / "arch.yaml"), "workload": str(tmp_path / "one.yaml"),
        "optimizer": "optimal", "folder": str(tmp_path / "run"),
    }  # fmt: skip


@pytest.mark.slow
def test_a_run_under_limits_is_certified_and_one_that_breaks_them_refuted(files, capsys) -> None:
    free = start({**files, "folder": f"{files['folder']}_free"}).execute()
    most = free.metrics.cycles
    bound = f"cycles <= {most!r}"
    start({**files, "objective": "energy", "constraints": bound}).execute()
    folder = Path(str(files["folder"]))
    assert main(["certify", str(folder), "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verdict   certified"
    path = folder / "config.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["constraints"] = f"cycles <= {most / 2!r}"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert main(["certify", str(folder), "--quiet"]) == 1
    assert "constraint cycles <= " in capsys.readouterr().out


@pytest.mark.slow
def test_two_networks_are_certified(files, tmp_path, capsys) -> None:
    both = f"{tmp_path / 'one.yaml'}+{tmp_path / 'two.yaml'}"
    start({**files, "workload": both}).execute()
    assert main(["certify", str(files["folder"]), "--quiet"]) == 0
    path = tmp_path / "run" / "result.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in ("value", "bound"):
        content["certificate"][key] *= 1.0 + 1e-9
    path.write_text(json.dumps(content), encoding="utf-8")
    assert main(["certify", str(files["folder"]), "--quiet"]) == 1
    assert "verdict   refuted" in capsys.readouterr().out


@pytest.mark.slow
def test_that_there_is_no_design_is_certified_or_refuted(files, capsys) -> None:
    folder = Path(str(files["folder"]))
    with pytest.raises(NothingFeasible):
        start({**files, "constraints": "cycles <= 9"}).execute()
    assert main(["certify", str(folder), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "no design is valid: certified" in said
    assert not known.user_file().exists()
    path = folder / "config.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["constraints"] = "cycles <= 1e9"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert main(["certify", str(folder), "--quiet", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert "is valid" in said["reason"]
    assert said["bound"]["claimed"] is None
