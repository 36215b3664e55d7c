"""The command line: what it prints, where, and how it exits."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dse
import dse.space.catalog
from dse.cli import COMMANDS, main
from dse.cli.columns import two_columns

QUICK = (
    *("optimizer=random", "workload=dosa_bert", "samples=4"),
    "optimizer.mappings_per_hardware=2",
)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def call(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "dse", *words],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_help():
    done = call("--help")
    assert done.returncode == 0
    for word in ("run", "model", "list", "show", "exit codes", "examples"):
        assert word in done.stdout


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"]], ids=str)
def test_help_loads_no_library(words):
    code = f"""
import sys
before = set(sys.modules)
import dse
if {words}:
    from dse.cli import main
    main({words})
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(sorted(loaded - sys.stdlib_module_names - {{"dse"}}), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_plain_settings_need_no_configuration_library(tmp_path):
    code = f"""
import sys
from dse.cli import main
words = ["run", "optimizer=random", "workload=alexnet", "samples=10", "-q"]
main([*words, "runs={tmp_path}"])
print([name for name in ("hydra", "omegaconf", "antlr4") if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_garbage_collector_waits_for_the_start_and_goes_on():
    code = """
import gc
from dse.cli import main
usual = gc.get_threshold()
main(["--version"])
main(["--version"])  # a second command in the process changes nothing
assert gc.get_threshold()[0] > 100 * usual[0] and not gc.get_freeze_count()
held = [[] for _ in range(gc.get_threshold()[0])]
assert gc.get_threshold() == usual and gc.get_freeze_count() > len(held) // 2
main(["--version"])
assert gc.get_threshold() == usual and not gc.callbacks
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_run(capsys, tmp_path):
    assert main(["run", *QUICK, "seed=0"]) == 0
    out, err = capsys.readouterr()
    for word in ("query", "total (x count)", "pe_dim=", "mm^2", "EDP", "4 samples", "folder"):
        assert word in out
    assert "samples/s" in err
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("_random_dosa_bert_s0")
    assert {p.name for p in folder.iterdir()} == {
        *("best", "checkpoint", "config.yaml", "env.json", "journal.jsonl", "result.json"),
        *("report.html", "template.yaml", "times.jsonl", "workload.yaml"),
    }
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]  # Hydra left nothing


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_live_progress_on_a_terminal():
    import pty

    leader, follower = pty.openpty()
    words = [sys.executable, "-m", "dse", "run", *QUICK]
    env = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=follower, env=env)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other end was closed
            break
        if not part:
            break
        shown += part
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, shown
    assert b"total (x count)" in out
    assert b"/s ETA" in shown
    assert b"best EDP" in shown


def test_json_and_quiet(capsys):
    assert main(["run", *QUICK, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    result = json.loads(out)
    assert result["schema"] == "dse.result"
    assert result["samples"] == 4
    assert Path(result["folder"]).is_dir()


def test_the_command_line_and_python_agree(capsys, tmp_path):
    assert main(["run", *QUICK, "-q", "--json", "variables.pe_dim=8", "objective=energy"]) == 0
    told = json.loads(capsys.readouterr().out)
    result = dse.run(
        workload="dosa_bert",
        optimizer={"name": "random", "mappings_per_hardware": 2},
        samples=4,
        variables={"pe_dim": 8},
        objective="energy",
        folder=tmp_path / "python",
    )
    assert result.as_dict() == {k: v for k, v in told.items() if k not in ("folder", "report")}
    assert result.design.values["pe_dim"] == 8


@pytest.mark.slow
def test_a_sweep_runs_every_combination(capsys, tmp_path):
    assert main(["run", "-m", "-q", "--json", *QUICK, "seed=0,1", "variables.pe_dim=4,8"]) == 0
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["seed"], r["variables"]["pe_dim"]) for r in results] == [
        *((0, 4), (0, 8), (1, 4), (1, 8)),
    ]
    assert not (tmp_path / "multirun").exists()


def test_resume(capsys, tmp_path):
    assert main(["run", *QUICK, "-q", "folder=mine"]) == 0
    first = capsys.readouterr().out
    assert main(["run", "resume=mine", "-q", "n_jobs=1"]) == 0
    assert capsys.readouterr().out == first
    assert main(["run", "resume=mine", "samples=9"]) == 2
    assert "a resumed run keeps its settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rn"], "unknown command 'rn'; did you mean 'run'"),
        (["run", "sampels=3"], "unknown setting 'sampels'; did you mean 'samples'"),
        (["run", "optimizer=randm"], "unknown optimizer 'randm'; did you mean 'random'"),
        (
            ["run", "optimizer.mapings_per_hardware=3"],
            "did you mean 'optimizer.mappings_per_hardware'",
        ),
        (["run", "workload=resnet5"], "unknown workload 'resnet5'; did you mean 'resnet50'"),
        (["run", "arch=gemini"], "unknown arch 'gemini'; did you mean 'gemmini'"),
        (["run", "arch=./no.yaml"], "there is no such file"),
        (["run", "samples=x"], "samples: "),
        (["run", "samples=0"], "samples = 0, expected at least 1"),
        (["run", "seed=-1"], "seed = -1"),
        (["run", "n_jobs=-1"], "n_jobs = -1"),
        (["run", "samples=1,2"], "has several values"),
        (["run", "foo"], "expected SETTING=VALUE"),
        (["run", "variables.pe_dm=3"], "did you mean 'pe_dim'"),
        (["run", "variables.pe_dim=3000"], "expected an integer from 2 to 128"),
        (["run", "variables.pe_dim=a"], "pe_dim = 'a': expected an integer"),
        (["run", "objective=edpp"], "did you mean 'edp'"),
        (["run", "energy=dos"], "did you mean 'dosa'"),
        (["run", "timeloop_version=3.0.4"], "did you mean '3.0.3'"),
        (["run", "optimizer=random", "optimizer.mappings_per_hardware=0"], "expected at least 1"),
        (
            ["run", "mapper.max_draws=0", *QUICK],
            "mapper.max_draws = 0, expected 1 to 1000000000000",
        ),
        (
            ["run", "mapper.max_draws=9223372036854775807", *QUICK],
            "mapper.max_draws = 9223372036854775807, expected 1 to 1000000000000",
        ),
        (["run", "resume=nowhere"], "not a run folder"),
        (["--version", "--json"], "--version stands alone, but '--json' follows it"),
        (["components", "sram", "size_kb=1e308"], "size_kb=1e308: expected a number above 0 and"),
        (["list", "optimisers"], "did you mean 'optimizers'"),
        (["show", "resnet"], "did you mean 'resnet50'"),
        (
            ["show"],
            "show takes one name, not 0: (nothing); 'python -m dse list KIND' has the names",
        ),
        (
            ["show", "evaluator"],
            "'evaluator' is a kind; show takes the name of one: command, cycles, ",
        ),
        (["show", "optimizers"], "show takes the name of one: auto, bo, bo_dosa, dosa, "),
        (["show", "4cf6d4c"], "unknown name '4cf6d4c' ('python -m dse list KIND' has the names"),
        (["run", "--jsn"], "unknown option '--jsn'; did you mean '--json'"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(words, message, capsys, tmp_path):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not any(p.name != "runs" for p in tmp_path.iterdir())


def test_nothing_feasible_exits_3(capsys, tmp_path):
    text = dse.space.catalog.find("arch", "gemmini").read_text()
    (tmp_path / "tiny.yaml").write_text(text + "\nbudget: {area_um2: 5}\n")
    assert main(["run", "arch=./tiny.yaml", *QUICK, "-q"]) == 3
    err = capsys.readouterr().err
    assert "none of 2 designs is valid" in err
    assert "exceeds the budget of 5 um^2" in err


def test_list_and_show(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for word in ("archs:", "gemmini", "resnet50", "24 unique of  54 layers", "random", "dosa"):
        assert word in out
    for kind in ("optimizer", "workloads", "energy"):
        assert main(["list", kind]) == 0
    for name in ("gemmini", "resnet50", "random", "native", "dosa", "edp"):
        assert main(["show", name]) == 0
        assert name in capsys.readouterr().out


def test_help_of_commands(capsys):
    for command in ("run", "list", "show"):
        assert main([command, "--help"]) == 0
        assert f"python -m dse {command}" in capsys.readouterr().out
    main(["run", "--help"])
    out = capsys.readouterr().out
    for word in ("samples=null", "optimizer.nodes=5000", "lockstep"):
        assert word in out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dse {dse.__version__}\n"


def test_no_command_is_a_usage_error(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().out


@pytest.mark.slow
def test_a_folder_called_like_ours_changes_nothing(tmp_path):
    for name in ("optimizers", "layers", "arch_templates"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('wrong one')")
        (tmp_path / name / "random.py").write_text("raise SystemExit('wrong one')")
    done = call("run", "-q", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_choice_goes_by_its_name(capsys, tmp_path):
    text = dse.space.catalog.find("arch", "gemmini").read_text()
    text = text.replace("variables:\n", "variables:\n  rows: {choices: [one, two]}\n")
    (tmp_path / "rows.yaml").write_text(text)
    words = ["run", "arch=./rows.yaml", *QUICK, "-q"]
    assert main([*words, "variables.rows=two"]) == 0
    assert "rows=two" in capsys.readouterr().out
    assert main([*words, "variables.rows=three"]) == 2
    assert "variable rows = 'three': expected one of one, two" in capsys.readouterr().err


HELPS = [[c, "--help"] for c in COMMANDS] + [
    ["--help"],
    ["list"],
    ["run", "--help", "optimizer=ga"],
]


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_help_and_lists_fit_80_columns(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.suppress(SystemExit):
        main(words)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3
    assert [line for line in lines if len(line) > 80] == []


def test_columns_wrap_below_themselves_and_only_for_terminals(monkeypatch):
    rows = [("a", "some words that go on and on"), ("long", "x" * 40 + " end")]
    monkeypatch.delenv("COLUMNS", raising=False)
    assert two_columns(rows) == ["a     some words that go on and on", f"long  {'x' * 40} end"]
    monkeypatch.setenv("COLUMNS", "40")
    assert two_columns(rows, " ") == [
        " a     some words that go on and on",
        # a word that is too long stays whole
        f" long  {'x' * 40}",
        "       end",
    ]
    monkeypatch.setenv("COLUMNS", "20")
    assert two_columns(rows)[:2] == ["a", "    some words that go on and on"]
