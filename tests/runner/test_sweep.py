"""Sweeps: a folder of runs that ends in a comparison, and goes on where it was interrupted."""

import json
import shutil

import pytest

from dse.cli import main
from dse.cli.abreast import MANY, side_by_side
from dse.cli.hydra_front import run_with_hydra
from dse.cli.plain_settings import plain_jobs
from dse.errors import SpecError
from dse.runner import sweep
from dse.runner.config import resolve

QUICK = (
    *("-q", "optimizer=random", "workload=dosa_bert", "samples=4"),
    "optimizer.mappings_per_hardware=2",
)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def only(folder):
    (found,) = folder.iterdir()
    return found


def test_a_sweep_is_a_folder_of_runs_and_ends_in_a_table(tmp_path, capsys):
    assert main(["run", "-m", *QUICK, "seed=0,1", "variables.pe_dim=4,8"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    folder = only(tmp_path / "runs")
    assert folder.name.endswith("_sweep_gemmini_random_seed_variables.pe_dim")
    assert sorted(p.name for p in folder.iterdir()) == [
        "000_gemmini_random_seed=0_variables.pe_dim=4",
        "001_gemmini_random_seed=0_variables.pe_dim=8",
        "002_gemmini_random_seed=1_variables.pe_dim=4",
        "003_gemmini_random_seed=1_variables.pe_dim=8",
        "sweep.json",
    ]
    assert out.count("variables.pe_dim") >= 2
    assert "total (x count)" not in out  # no table of layers
    assert out.endswith(f"folder    runs/{folder.name}\n")
    assert main(["compare", str(folder), "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert table["varied"] == ["variables.pe_dim"]
    assert {s["settings"]["variables.pe_dim"]: s["runs"] for s in table["searches"]} == {
        "4": 2,
        "8": 2,
    }


def test_an_interrupted_sweep_goes_on(tmp_path, capsys, monkeypatch):
    from dse.cli import sweep as shown

    go_on, left = shown.go_on, [2]

    def interrupted(*words, **named):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return go_on(*words, **named)

    monkeypatch.setattr(shown, "go_on", interrupted)
    assert main(["run", "-m", *QUICK, "seed=0,1,2", "folder=mine"]) == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    assert [run.name[:3] for run in sweep.read_sweep(folder).left] == ["001", "002"]
    first = (folder / "000_gemmini_random_seed=0" / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["run", "resume=mine", "--json", "--quiet"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["seed"] for one in told] == [0, 1, 2]
    assert (folder / "000_gemmini_random_seed=0" / "result.json").stat().st_mtime_ns == first
    # what they found is what they find by themselves
    assert main(["run", *QUICK, "--json", "seed=2", "folder=alone"]) == 0
    alone = json.loads(capsys.readouterr().out)
    places = {"folder": "", "report": ""}
    assert told[2] | places == alone | places


def test_wrong_settings_show_before_anything_runs(tmp_path, capsys):
    words = ["run", "-m", *QUICK, "variables.pe_dim=4,5000", "--json"]
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: 001_gemmini_random_variables.pe_dim=5000: ")
    assert [json.loads(line)["variables"] for line in out.splitlines()] == [{"pe_dim": 4}]
    assert main(["run", "-m", *QUICK, "folder=a,b"]) == 2
    assert "folder: has several values" in capsys.readouterr().err
    assert main(["run", "-m", *QUICK, "seed=0,1", "hydra/sweeper=basic"]) == 2
    assert "a sweep takes all combinations" in capsys.readouterr().err


def test_a_sweep_with_nothing_feasible(capsys):
    words = ["constraints='area_mm2 < 0.001','area_mm2 < 90'", "n_jobs=1"]
    assert main(["run", "-m", *QUICK, *words]) == 3
    out, err = capsys.readouterr()
    assert "nothing feasible" in out
    assert "is valid" in err


@pytest.fixture
def finished(tmp_path):
    for name in ("000_a", "001_b"):
        (tmp_path / "sweep" / name).mkdir(parents=True)
        (tmp_path / "sweep" / name / "config.yaml").write_text("{}")
    return tmp_path / "sweep"


def told(folder, runs, schema="dse.sweep"):
    (folder / "sweep.json").write_text(json.dumps({"schema": schema, "version": 1, "runs": runs}))


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (["000_a", "../x"], "'../x' is not the name of a folder beside it"),
        ([".."], "'..' is not the name of a folder"),
        (["000_a", "002_c"], "there is no run folder '002_c'"),
        (["link"], "'link' is not the name of a folder beside it"),
        ("000_a", "expected a list"),
        ([3], "expected a list"),
    ],
)
def test_a_sweep_from_elsewhere_stays_in_its_folder(finished, tmp_path, runs, message):
    shutil.copytree(finished / "000_a", tmp_path / "x")
    (finished / "link").symlink_to(tmp_path / "x")
    told(finished, runs)
    with pytest.raises(SpecError, match=message):
        sweep.read_sweep(finished)


def test_a_broken_sweep_is_one_clear_line(finished):
    (finished / "sweep.json").write_text("{")
    with pytest.raises(SpecError, match="not JSON"):
        sweep.read_sweep(finished)
    told(finished, ["000_a"], schema="x")
    with pytest.raises(SpecError, match="expected schema"):
        sweep.read_sweep(finished)


NINE = ("run", "-m", *QUICK, "seed=0,1,2", "variables.pe_dim=4,8,16")


def results(folder):
    """What every run of a sweep says, but where and how long."""
    found = {}
    for run in sorted(p for p in folder.iterdir() if p.is_dir()):
        told = json.loads((run / "result.json").read_bytes())
        found[run.name] = (told["best"], (run / "journal.jsonl").read_bytes().count(b"\n"))
    return found


def test_many_runs_go_side_by_side_to_the_same_ends(tmp_path, capsys):
    words = [word for word in NINE if word != "-q"]
    assert main([*words, "n_jobs=2", "folder=abreast"]) == 0
    captured = capsys.readouterr()
    assert "run 9/9: " in captured.err
    assert "seed" in captured.out
    assert main([*NINE, "n_jobs=1", "folder=in_turn"]) == 0
    assert results(tmp_path / "abreast") == results(tmp_path / "in_turn")


def test_runs_side_by_side_that_fail_are_told_and_the_others_end(tmp_path, capsys):
    words = ["n_jobs=2", "folder=some", "seed=0,1,2,3", "variables.pe_dim=4,8,5000", "--json"]
    assert main(["run", "-m", *QUICK, *words]) == 2
    out, err = capsys.readouterr()
    assert err.count("5000") >= 4
    told = [json.loads(line) for line in out.splitlines()]
    assert [(one["seed"], one["variables"]["pe_dim"]) for one in told] == [
        (seed, pe_dim) for seed in range(4) for pe_dim in (4, 8)
    ]


def test_what_is_left_of_an_interrupted_sweep_goes_side_by_side(tmp_path, capsys):
    assert main([*NINE, "n_jobs=2", "folder=mine"]) == 0
    whole = results(tmp_path / "mine")
    for run in list((tmp_path / "mine").glob("*/result.json"))[:8]:
        run.unlink()
    capsys.readouterr()
    assert main(["run", "resume=mine", "n_jobs=2"]) == 0
    err = capsys.readouterr().err
    assert "8 of 9 runs of mine are left" in err
    assert "run 9/9: " in err
    assert results(tmp_path / "mine") == whole


@pytest.mark.parametrize(
    ("more", "abreast"),
    [
        ({}, True),
        ({"n_jobs": 1}, False),
        ({"parallel": {"name": "threads"}}, True),
        ({"parallel": {"name": "dask"}}, False),
        ({"parallel": "loky"}, False),
    ],
)
def test_which_runs_go_side_by_side(more, abreast):
    side = side_by_side([{"n_jobs": 2, **more}] * MANY)
    assert (side is not None) == abreast
    assert side_by_side([{"n_jobs": 2, **more}] * (MANY - 1)) is None


def test_more_threads_than_runs_are_shared_out():
    side = side_by_side([{"n_jobs": 3 * MANY + 1}] * MANY)
    assert (side.engine.n_jobs, side.threads) == (MANY, 3)


def test_names_are_chosen_by_patterns(tmp_path, capsys):
    words = ["-q", "optimizer=random", "optimizer.mappings_per_hardware=2", "samples=4"]
    words += [
        "arch=glob(nvdla_*,exclude=[*large,*small])",
        "workload=glob(dosa_bert)",
        "folder=globbed",
    ]
    assert main(["run", "-m", *words]) == 0
    told = json.loads((tmp_path / "globbed" / "sweep.json").read_bytes())
    assert told["runs"] == ["000_nvdla_1024_random", "001_nvdla_256_random"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("arch=glob(nothing*)", "no name is like that (choices: edge_tpu,"),
        ("optimizer=glob(x*)", "no name is like that"),
        ("seed=glob(*)", "glob chooses among names, expected one of arch, workload, optimizer"),
        ("arch=glob(", "'arch=glob('"),
    ],
)
def test_patterns_that_choose_nothing_are_refused(word, message, capsys):
    assert main(["run", "-m", "samples=4", word]) == 2
    assert message in capsys.readouterr().err


def test_plain_sweeps_mean_what_hydra_makes_of_them():
    words = ["arch=eyeriss,simba", "seed=0,1", "samples=5", "objective=edp,energy"]
    jobs, swept = plain_jobs(words)
    by_hydra = []
    run_with_hydra(["-m", *words], by_hydra.append)
    assert swept == ["arch", "seed", "objective"]
    assert [resolve(job).as_dict() for job in jobs] == [resolve(job).as_dict() for job in by_hydra]
    assert plain_jobs(["seed=range(0,2)"]) is None
    assert plain_jobs(["constraints=a,b"]) is None
