"""``compare`` ranks finished runs, and refuses or warns where they do not compare."""

import csv
import io
import json
import shutil

import pytest

import dse
from dse.cli import main
from dse.errors import NothingFeasible
from dse.space import catalog


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, seed, energy in (("a", 0, "dosa"), ("b", 1, "dosa"), ("c", 0, "pat")):
        dse.run(arch="gemmini", workload="dosa_bert", optimizer="random", samples=20, seed=seed,
                energy=energy, folder=str(folder / name))  # fmt: skip
    return folder


@pytest.mark.slow
def test_runs_that_differ_in_their_seed_are_one_search(runs, capsys):
    assert main(["compare", str(runs / "a"), str(runs / "b")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    values = {
        name: json.loads((runs / name / "result.json").read_text())["objective"]["value"]
        for name in "ab"
    }
    lines = out.splitlines()
    assert "dosa_bert, edp (J x cycle) on gemmini, at 20 samples and at " in lines[0]
    best, other = sorted(values, key=values.__getitem__)
    listed = [line for line in lines if line.startswith("1  ")]
    assert listed == [f"1  {runs / best}", f"1  {runs / other}"]
    assert out.count("dosa_bert on gemmini, optimizer random, 20 samples, seed") == 2
    told = told_json([runs / "a", runs / "b"], capsys)
    ((search,),) = [table["searches"] for table in told["tables"]]
    assert search["runs"] == 2
    assert search["at_samples"]["median"] == sum(values.values()) / 2
    assert search["at_samples"] == search["end"]
    assert search["takes_s"] > 0
    assert {run["folder"] for run in told["runs"]} == {str(runs / "a"), str(runs / "b")}


def told_json(folders, capsys, *words):
    assert main(["compare", *map(str, folders), "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_plot_and_a_table_for_programs(runs, tmp_path, capsys):
    folders = [str(runs / name) for name in "abc"]
    assert main(["compare", *folders, "--csv", "--plot", str(tmp_path / "curves.svg")]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["energy"] for line in lines] in (["dosa", "pat"], ["pat", "dosa"])
    assert {line["runs"] for line in lines} == {"1", "2"}
    drawn = (tmp_path / "curves.svg").read_text()
    assert drawn.startswith("<?xml")
    assert "<svg" in drawn
    assert main(["compare", *folders, "--plot", "curves.doc"]) == 2
    assert "ends in one of png, svg, pdf" in capsys.readouterr().err


def test_a_folder_of_runs_stands_for_them(runs, tmp_path, capsys):
    sweep = tmp_path / "all" / "sweep"
    shutil.copytree(runs, sweep)
    (sweep / "multirun.yaml").write_text("x: 1")
    (sweep / "c" / "result.json").unlink()
    assert main(["compare", str(tmp_path / "all"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert f"warning: {sweep / 'c'}: has not ended, so it is left out" in err
    assert [run["folder"] for run in json.loads(out)["runs"]] == [
        str(sweep / name) for name in "ab"
    ]


def test_other_energy_chains_are_warned_of(runs, capsys):
    assert main(["compare", str(runs / "a"), str(runs / "c"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "warning: the runs have different energy chains (dosa, pat)" in err
    answer = json.loads(out)
    assert len(answer["runs"]) == 2
    assert answer["warnings"] == ["the runs have different energy chains (dosa, pat)"]
    assert answer["tables"][0]["varied"] == ["energy"]


@pytest.mark.slow
def test_other_clocks_are_warned_of_with_energy_x_delay_in_seconds(runs, tmp_path, capsys):
    template = tmp_path / "fast.yaml"
    text = catalog.find("arch", "gemmini").read_text()
    assert "clock_ns: 5," in text
    template.write_text(text.replace("clock_ns: 5,", "clock_ns: 1,"))
    fast = dse.run(arch=str(template), workload="dosa_bert", optimizer="random", samples=20,
                   mapspace={"padding": "off"}, folder=str(tmp_path / "fast"))  # fmt: skip
    capsys.readouterr()
    assert main(["compare", str(runs / "a"), str(tmp_path / "fast"), "--json"]) == 0
    (warning,) = [w for w in json.loads(capsys.readouterr().out)["warnings"] if "clocks" in w]
    assert "the runs have different clocks (1000 MHz, 200 MHz)" in warning
    told = fast.metrics.edp * 1e-12 * 1e-9
    assert f"{told:.4g}" in warning
    assert f"{5 * told:.4g}" in warning  # the same design in five times as long


@pytest.mark.slow
def test_other_technology_nodes_are_warned_of(runs, tmp_path, capsys):
    template = tmp_path / "small.yaml"
    text = catalog.find("arch", "gemmini").read_text()
    assert "node_nm: 40," in text
    template.write_text(text.replace("node_nm: 40,", "node_nm: 7,"))
    dse.run(arch=str(template), workload="dosa_bert", optimizer="random", samples=20,
            mapspace={"padding": "off"}, folder=str(tmp_path / "small"))  # fmt: skip
    capsys.readouterr()
    assert main(["compare", str(runs / "a"), str(tmp_path / "small"), "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    told = "the runs have different technology nodes (7 nm, 40 nm), as do energies and areas"
    assert told in warnings


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
            optimizer="random",
            samples=20,
            constraints="area_mm2 < 0.001",
            folder=str(tmp_path / "none"),
        )
    assert main(["compare", str(runs / "a"), str(tmp_path / "none")]) == 0
    out, err = capsys.readouterr()
    assert "nothing feasible" in out
    assert err == ""
