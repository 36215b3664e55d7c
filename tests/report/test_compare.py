"""``compare`` ranks finished runs and warns where they do not compare."""

import json

import pytest

import dse
from dse.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, seed, energy in (("a", 0, "dosa"), ("b", 1, "dosa"), ("c", 0, "pat")):
        dse.run(arch="gemmini", workload="dosa_bert", optimizer="random", samples=20, seed=seed,
                energy=energy, folder=str(folder / name))  # fmt: skip
    return folder


def test_runs_are_ranked_with_their_factor_to_the_best(runs, capsys):
    assert main(["compare", str(runs / "a"), str(runs / "b")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    values = [
        json.loads((runs / name / "result.json").read_text())["objective"]["value"] for name in "ab"
    ]
    best, other = sorted(range(2), key=values.__getitem__)
    assert f"1  {runs / 'ab'[best]}" in lines
    assert f"2  {runs / 'ab'[other]}" in lines
    first, second = (next(x for x in lines if x.startswith(f"│ {n} ")) for n in "12")
    assert f"EDP {values[best] / 1e12:.5g} J x cycle │   1.000" in first
    assert f"{values[other] / values[best]:.3f}" in second
    assert out.count("dosa_bert on gemmini, optimizer random, 20 samples") == 2


def test_other_energy_chains_are_warned_of(runs, capsys):
    assert main(["compare", str(runs / "a"), str(runs / "c"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "warning: the runs have different energy chains (dosa, pat)" in err
    answer = json.loads(out)
    assert len(answer["runs"]) == 2
    assert answer["warnings"] == ["the runs have different energy chains (dosa, pat)"]


def test_a_folder_without_a_result_is_named(runs, capsys, tmp_path):
    assert main(["compare", str(runs / "a"), str(tmp_path)]) == 2
    assert "result.json: cannot be read" in capsys.readouterr().err
    (tmp_path / "result.json").write_text("[1]")
    assert main(["compare", str(runs / "a"), str(tmp_path)]) == 2
    assert "expected 'dse.result'" in capsys.readouterr().err
    assert main(["compare", str(runs / "a")]) == 2
