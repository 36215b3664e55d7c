"""``compare`` ranks finished runs, and refuses or warns where they do not compare."""

import json
import shutil

import pytest

import dse
from dse.cli import main
from dse.errors import NothingFeasible


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, seed, energy in (("a", 0, "dosa"), ("b", 1, "dosa"), ("c", 0, "pat")):
        dse.run(arch="gemmini", workload="dosa_bert", optimizer="random", samples=20, seed=seed,
                energy=energy, folder=str(folder / name))  # fmt: skip
    return folder


@pytest.mark.slow
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


@pytest.fixture
def copy(runs, tmp_path):
    return shutil.copytree(runs / "a", tmp_path / "copy")


def refused(runs, copy, capsys):
    """Return what is said of a copy that is refused: one line."""
    assert main(["compare", str(runs / "b"), str(copy)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {copy}")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("objective", "value"), "12", "objective.value = '12', expected a number"),
        (("objective", "value"), None, "objective.value = None, expected a number"),
        (("objective", "value"), float("nan"), "objective.value = nan, expected a finite number"),
        (("objective", "value"), 1.0, "objective.value = 1.0: no design of the journal has it"),
        (("objective",), 3, "objective: holds 3, expected a mapping"),
        (("objective", "name"), 3, "objective.name = 3, expected a text"),
        (("best",), [], "best: holds [], expected a mapping"),
        (("best", "cycles"), "many", "best.cycles = 'many', expected a number"),
        (("best", "cycles"), 5.0, "best.cycles = 5.0, but the journal says"),
        (("best", "energy_pj"), True, "best.energy_pj = True, expected a number"),
        (("best", "area_um2"), 10**400, "best.area_um2 = 1000"),
        (("optimizer",), "random", "optimizer: holds 'random', expected a mapping"),
        (("samples",), 2.5, "samples = 2.5, expected an integer"),
        (("samples",), -1, "samples = -1, expected an integer of at least 0"),
        (("seed",), "0", "seed = '0', expected an integer"),
        (("designs",), 99, "designs = 99, but the journal has 10"),
        (("workload",), None, "workload = None, expected a text"),
        (("status",), 1, "status = 1, expected a text"),
        (("status",), "infeasible", "objective = {'name'"),
        (("schema",), "x" * 500, "schema = 'xxx"),
    ],
)
def test_bad_results_are_one_clear_line(runs, copy, capsys, place, value, told):
    path = copy / "result.json"
    content = json.loads(path.read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))
    assert told in refused(runs, copy, capsys)
    del inner[place[-1]]
    path.write_text(json.dumps(content))
    refused(runs, copy, capsys)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "3", "null", '"dse.result"', "\x00"])
def test_what_is_no_result_is_one_clear_line(runs, copy, capsys, text):
    (copy / "result.json").write_text(text)
    refused(runs, copy, capsys)


def test_a_damaged_journal_is_named(runs, copy, capsys):
    path = copy / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"valid":true', b'"valid":truE', 1))
    assert "journal.jsonl, line 1: damaged" in refused(runs, copy, capsys)
    path.write_bytes(whole[:-1])
    assert "designs = 10, but the journal has 9" in refused(runs, copy, capsys)


def test_edited_inputs_are_noticed(runs, copy, capsys):
    path = copy / "workload.yaml"
    path.write_text(path.read_text().replace("K: 64", "K: 8192").replace("768", "769"))
    assert "its inputs are not those that it was started with" in refused(runs, copy, capsys)


def test_what_cannot_be_checked_is_said(runs, copy, capsys):
    (copy / "config.yaml").unlink()
    assert main(["compare", str(runs / "b"), str(copy), "--json"]) == 0
    assert "there is no config.yaml" in json.loads(capsys.readouterr().out)["warnings"][0]
    path = copy / "journal.jsonl"
    records = map(json.loads, path.read_text().splitlines())
    old = [{k: v for k, v in record.items() if k not in ("crc", "inputs")} for record in records]
    path.write_text("".join(json.dumps(record) + "\n" for record in old))
    assert main(["compare", str(runs / "b"), str(copy)]) == 0
    assert "has no checksums, as up to version 0.1.0" in capsys.readouterr().err
    path.unlink()
    assert main(["compare", str(runs / "b"), str(copy)]) == 0
    assert "there is no journal" in capsys.readouterr().err


def test_runs_without_a_valid_design_are_listed(runs, tmp_path, capsys):
    with pytest.raises(NothingFeasible):
        dse.run(
            arch="gemmini",
            workload="dosa_bert",
            samples=20,
            constraints="area_mm2 < 0.001",
            folder=str(tmp_path / "none"),
        )
    assert main(["compare", str(runs / "a"), str(tmp_path / "none")]) == 0
    out, err = capsys.readouterr()
    assert "nothing feasible" in out
    assert err == ""
