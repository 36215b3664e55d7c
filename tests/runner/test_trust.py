"""Run folders whose settings name programs: run here, not run from elsewhere."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from pathlib import Path

import pytest
import yaml
from pytimeloop_stub import stub

import dse
from dse.cli import main
from dse.errors import SpecError
from dse.plugins import GROUPS, plugins
from dse.runner.config import resolve
from dse.runner.run import resume, start
from dse.runner.trust import SIGNATURE, programs

SMALL = {"workload": "dosa_bert", "optimizer": "random", "samples": 2, "n_jobs": 1}
VARIABLES = {"pe_dim": 8, "scratchpad_kb": 64, "accumulator_kb": 64}


@pytest.fixture(autouse=True)
def _user(tmp_path, monkeypatch):
    """A user of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def spy(tmp_path):
    """A program that leaves a trace of being run, as the Python that has pytimeloop."""
    real, script = stub(tmp_path / "bin"), tmp_path / "bin" / "spy"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path / 'was_run'}\nexec {real}\n")
    script.chmod(0o755)
    return script


def started(folder, spy):
    evaluator = {"name": "pytimeloop", "python": str(spy)}
    return start({**SMALL, "variables": VARIABLES, "evaluator": evaluator, "folder": str(folder)})


def trace(tmp_path):
    """Whether the program was run since the last time of asking."""
    try:
        (tmp_path / "was_run").unlink()
    except FileNotFoundError:
        return False
    return True


def test_a_folder_of_another_user_runs_nothing(tmp_path, spy, monkeypatch, capsys):
    started(tmp_path / "run", spy)
    assert trace(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    for _ in range(2):  # without a key, and with one
        assert main(["run", f"resume={tmp_path / 'run'}"]) == 2
        said = capsys.readouterr().err
        assert f"run/config.yaml: names a program to run (evaluator.python = {spy})" in said
        assert "--trust runs it" in said
        assert not trace(tmp_path)
        started(tmp_path / "mine", spy)
        assert trace(tmp_path)
        shutil.rmtree(tmp_path / "mine")
    assert main(["run", "--quiet", f"resume={tmp_path / 'run'}", "--trust"]) == 0
    assert trace(tmp_path)


def test_validate_needs_nothing_of_what_a_run_names(tmp_path, spy, monkeypatch, capsys):
    started(tmp_path / "run", spy).execute()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("DSE_PYTIMELOOP_PYTHON", stub(tmp_path / "bin"))
    assert trace(tmp_path)
    assert main(["validate", str(tmp_path / "run"), "--only", "pytimeloop", "-q"]) == 0
    assert not trace(tmp_path)


def test_ones_own_folder_may_be_moved_and_copied(tmp_path, spy):
    started(tmp_path / "run", spy)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    (tmp_path / "run").rename(tmp_path / "moved")
    resume(tmp_path / "copy")
    assert resume(tmp_path / "moved").execute().samples == 2


def test_a_changed_folder_is_not_trusted(tmp_path, spy):
    folder = started(tmp_path / "run", spy).folder
    config, signature = folder / "config.yaml", folder / SIGNATURE
    before, signed = config.read_text(), signature.read_bytes()
    other = before.replace(str(spy), str(spy.with_name("python-native")))
    more = before.replace("samples: 2", "samples: 3")
    assert before not in (other, more)
    for text, sign in ((other, signed), (more, signed), (before, b""), (before, signed[1:])):
        config.write_text(text)
        signature.write_bytes(sign)
        with pytest.raises(SpecError, match="names a program to run"):
            resume(folder)
    config.write_text(before)
    signature.unlink()
    os.mkfifo(signature)
    with pytest.raises(SpecError, match="names a program to run"):
        resume(folder)
    signature.unlink()
    signature.write_bytes(signed)
    # what no result depends on may change
    config.write_text(before.replace("n_jobs: 1", "n_jobs: 2") + "# a comment\n")
    resume(folder)


def test_a_relative_name_is_trusted_for_what_it_was(tmp_path, spy, monkeypatch):
    (tmp_path / "elsewhere" / "bin").mkdir(parents=True)
    shutil.copy(spy, tmp_path / "elsewhere" / "bin" / "spy")
    monkeypatch.chdir(tmp_path)
    started(tmp_path / "run", "./bin/spy")
    resume(tmp_path / "run")
    assert trace(tmp_path)
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match=r"evaluator.python = ./bin/spy"):
        resume(tmp_path / "run")
    assert not trace(tmp_path)


def test_folders_that_name_no_program_are_not_asked_about(tmp_path, monkeypatch):
    dse.run(**SMALL, folder=tmp_path / "run")
    assert not (tmp_path / "run" / SIGNATURE).exists()
    assert not (tmp_path / "state").exists()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert resume(tmp_path / "run").execute().samples == 2


def test_the_key_is_the_users_alone(tmp_path, spy):
    started(tmp_path / "run", spy)
    key = tmp_path / "state" / "dse" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert len(key.read_bytes()) == 32
    assert [path.name for path in key.parent.iterdir()] == ["key"]
    before = key.read_bytes()
    started(tmp_path / "again", spy)
    assert key.read_bytes() == before
    assert before.hex() not in (tmp_path / "run" / SIGNATURE).read_text()


def test_without_a_key_the_run_goes_on_with_a_warning(tmp_path, spy, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        folder = started(tmp_path / "run", spy).folder
    assert "to resume" in caplog.text
    assert "will need --trust" in caplog.text
    with pytest.raises(SpecError, match="names a program to run"):
        resume(folder)
    resume(folder, trust=True)


def test_every_setting_that_names_a_program_is_known():
    """A new back end's ``binary`` is not forgotten."""
    marked = {
        f"{kind}.{name}.{field}"
        for kind in GROUPS
        for name, plugin in plugins(kind).items()
        for field, what in plugin.settings_type.__dataclass_fields__.items()
        if what.metadata.get("program")
    }
    assert marked == {
        "evaluator.command.command",
        "evaluator.timeloop.binary",
        "evaluator.pytimeloop.python",
        "mapper.timeloop.binary",
        # who answers there has its objects unpacked here
        "parallel.dask.address",
        "parallel.ray.address",
    }
    named = {"evaluator": {"name": "timeloop", "binary": "a"}, "mapper": "timeloop"}
    assert programs(resolve(named)) == {"evaluator.binary": "a"}


def test_trust_is_for_resuming(capsys):
    assert main(["run", "--trust", "workload=dosa_bert"]) == 2
    assert "unknown option '--trust'" in capsys.readouterr().err


def test_config_is_what_the_user_set(tmp_path, spy):
    folder = started(tmp_path / "run", spy).folder
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["evaluator"]["python"] == str(spy)
    assert Path(settings["folder"]) == folder


def test_a_function_of_accuracies_is_code_that_a_strangers_folder_does_not_run(
    tmp_path, monkeypatch
):
    (tmp_path / "accuracies_of_mine.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'was_run')!r}).touch()\n"
        "def accuracy(network):\n    return 0.5\n"
    )
    monkeypatch.chdir(tmp_path)
    given = {**SMALL, "workload": "ofa_digits", "accuracy": "accuracies_of_mine:accuracy"}
    start({**given, "arch": "eyeriss", "folder": str(tmp_path / "run")})
    assert trace(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    with pytest.raises(SpecError, match="accuracy = accuracies_of_mine:accuracy"):
        resume(tmp_path / "run")
    assert not trace(tmp_path)
