"""The Timeloop back end: with a stand-in that replays or misbehaves, and live where it is."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from processes import living, marked, needs_proc
from record_timeloop_runs import RICH
from timeloop_stub import REPLAY, stub

from dse.domain.mapping import MappingBatch
from dse.errors import SpecError, ToolError
from dse.evaluators.native import NativeEvaluator
from dse.evaluators.timeloop import TimeloopEvaluator, TimeloopSettings
from dse.timeloop.read.inputs import read_text
from dse.tools import binaries

LIVE = os.environ.get("DSE_TIMELOOP_MODEL") or shutil.which("timeloop-model")
live = pytest.mark.skipif(not LIVE, reason="no timeloop-model here")


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def rich():
    spec = read_text(RICH)
    return spec.architecture, spec.problem, MappingBatch.of([spec.mapping] * 5)


def evaluator(tmp_path, behaviour=REPLAY, version="4cf6d4c", n_jobs=2, **settings):
    binary = str(stub(tmp_path / "bin", behaviour, version))
    return TimeloopEvaluator(version, n_jobs, TimeloopSettings(binary=binary, **settings))


@pytest.mark.parametrize("version", ["3.0.3", "4cf6d4c"])
def test_metrics_are_those_of_the_native_model(tmp_path, rich, version, caplog):
    said = evaluator(tmp_path, version=version).evaluate(*rich)
    own = NativeEvaluator(version).evaluate(*rich)
    assert said.valid.all()
    assert (said.cycles == own.cycles).all()
    assert np.allclose(said.utilization, own.utilization, rtol=1e-12)
    assert np.abs(said.energy_pj - own.energy_pj).max() < 0.005
    assert np.allclose(said.area_um2, own.area_um2, atol=0.2)
    assert not caplog.records
    assert not list((tmp_path / "tmp").iterdir())


def test_another_version_than_the_expected_one_is_warned_of(tmp_path, caplog):
    binary = str(stub(tmp_path / "bin", version="3.0.3"))
    with caplog.at_level(logging.WARNING):
        found = TimeloopEvaluator("4cf6d4c", 1, TimeloopSettings(binary=binary))
    assert found.binary_version == "3.0.3"
    assert "computes as 3.0.3" in caplog.text


def test_a_rejected_mapping_is_data_with_timeloops_reason(tmp_path, rich):
    back_end = evaluator(tmp_path, "cat {rejected}/output; exit 1")
    metrics = back_end.evaluate(*rich)
    assert not metrics.valid.any()
    assert np.isnan(metrics.energy_pj).all()
    found = back_end.explain(*rich, 0)
    assert found is not None
    assert found.message.startswith("ERROR: couldn't map level Registers: mapped tile size 5")
    assert evaluator(tmp_path / "2").explain(*rich, 0) is None


FAILURES = {
    "crash": ("echo a clue; kill -SEGV $$", "was killed by signal 11"),
    "killed": ("kill -KILL $$", "was killed by signal 9"),
    "status": ("echo a clue; exit 3", "ended with exit status 3"),
    "aborted rejection": ("cat {rejected}/output; kill -ABRT $$", "was killed by signal 6"),
    "hang": ("sleep 300 & sleep 300", "ran for more than 0.3 s"),
    "nothing": ("exit 0", "wrote no timeloop-model.stats.txt"),
    "no xml": ("cp {rich}/*.txt .", "wrote no timeloop-model.map+stats.xml"),
    "garbage": (
        "for f in stats.txt map+stats.xml; do head -c 999 /dev/urandom > timeloop-model.$f; done",
        "cannot be read",
    ),
    "cut short": (
        "for f in stats.txt map+stats.xml; do "
        "head -c 9000 {rich}/timeloop-model.$f > timeloop-model.$f; done",
        "cannot be read",
    ),
    "another run": ("cp {probe}/timeloop-model.* .", "cannot be read"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILURES)
def test_a_failing_binary_is_an_error_and_never_a_score(tmp_path, rich, name, caplog):
    behaviour, said = FAILURES[name]
    back_end = evaluator(tmp_path, behaviour, timeout_s=0.3 if name == "hang" else 20.0)
    start = time.monotonic()
    with pytest.raises(ToolError) as error:
        back_end.evaluate(*rich)
    assert time.monotonic() - start < 60  # it would hang for 300
    message = str(error.value)
    assert said in message
    assert error.value.exit_code == 4
    # the command reproduces it: its folder is still there, with the input in it
    folder = Path(message.rpartition("to reproduce: cd ")[2].partition(" && ")[0])
    assert (folder / "input.yaml").is_file()
    assert message.endswith("/timeloop-model input.yaml")
    if "clue" in behaviour:
        assert "it printed:\n  a clue" in message

    skipping = evaluator(
        tmp_path / "skip", behaviour, on_error="skip", timeout_s=0.3 if name == "hang" else 20.0
    )
    with caplog.at_level(logging.WARNING):
        metrics = skipping.evaluate(*rich)
    assert not metrics.valid.any()
    assert np.isnan(metrics.cycles).all()
    assert caplog.text.count("is skipped, unscored") == 5
    reason = skipping.explain(*rich, 0)
    assert reason is not None
    assert reason.message.startswith("not evaluated: timeloop-model ")


def test_a_failure_spares_the_other_mappings_where_it_is_skipped(tmp_path, rich):
    counter = tmp_path / "count"
    behaviour = f"if mkdir {counter} 2>/dev/null; then exit 9; fi; " + REPLAY
    metrics = evaluator(tmp_path, behaviour, on_error="skip").evaluate(*rich)
    assert metrics.valid.sum() == 4
    assert np.isnan(metrics.energy_pj[~metrics.valid]).all()


def test_a_missing_binary_and_bad_settings_are_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DSE_TIMELOOP_MODEL", raising=False)
    with pytest.raises(ToolError, match="is not on PATH, and DSE_TIMELOOP_MODEL is not set"):
        TimeloopEvaluator()
    monkeypatch.setenv("DSE_TIMELOOP_MODEL", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="no executable file"):
        TimeloopEvaluator()
    for bad in ({"on_error": "guess"}, {"timeout_s": 0.0}, {"memory_gb": -1.0}):
        with pytest.raises(SpecError, match=f"evaluator.{next(iter(bad))}"):
            TimeloopEvaluator(settings=TimeloopSettings(**bad))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, rich, monkeypatch):
    back_end = evaluator(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", "/proc/1")
    with pytest.raises(ToolError, match="folder /proc/1: cannot be written"):
        back_end.evaluate(*rich)


def test_a_full_disk_is_an_error(tmp_path, rich, monkeypatch):
    back_end = evaluator(tmp_path, n_jobs=1)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(ToolError, match=r"No space left on device\); TMPDIR chooses another place"):
        back_end.evaluate(*rich)
    assert not list((tmp_path / "tmp").iterdir())


@needs_proc
def test_memory_is_capped(tmp_path, rich):
    code = "bytearray(3 << 30)"
    back_end = evaluator(tmp_path, f"exec {sys.executable} -c '{code}'", memory_gb=2.0)
    with pytest.raises(ToolError, match="it printed:(.|\n)*MemoryError"):
        back_end.evaluate(*rich)


@needs_proc
def test_one_failure_ends_the_others_and_clears_them_away(tmp_path, rich):
    """Of three at a time, the second to start fails once all have started."""
    word, number = marked(), tmp_path / "number"
    behaviour = (
        f"n=1; until mkdir {number}$n; do n=$((n + 1)); done; "
        f"if [ $n -eq 2 ]; then until [ -d {number}3 ]; do sleep 0.01; done; exit 9; fi; "
        f"setsid sh -c 'sleep 600; : {word}' & sh -c 'sleep 600; : {word}'"
    )
    with pytest.raises(ToolError, match="exit status 9"):
        evaluator(tmp_path, behaviour, n_jobs=3, timeout_s=600.0).evaluate(*rich)
    assert living(word) == []
    (kept,) = (tmp_path / "tmp").iterdir()
    assert (kept / "input.yaml").is_file()


def test_a_run_killed_by_its_tool_loses_nothing(tmp_path, monkeypatch):
    """A binary that dies midway stops the run; resumed, it ends as if nothing had happened."""
    from dse.runner.run import resume, start

    if not LIVE:
        pytest.skip("no timeloop-model here")
    real = binaries.find("timeloop-model")
    count, broken = tmp_path / "count", tmp_path / "timeloop-model"
    broken.write_text(
        "#!/bin/sh\n"
        f"echo >> {count}\n"
        f"if [ $(wc -l < {count}) -eq 40 ]; then kill -KILL $$; fi\n"
        f'exec {real} "$@"\n'
    )
    broken.chmod(0o755)
    settings = {
        "workload": "alexnet",
        "samples": 12,
        "n_jobs": 1,
        "timeloop_version": binaries.version(real) or "4cf6d4c",
        "optimizer": {"name": "random", "mappings_per_hardware": 2},
        "variables": {"pe_dim": 8, "scratchpad_kb": 64, "accumulator_kb": 64},
    }
    with_tool = {"name": "timeloop", "binary": str(broken)}
    first = start({**settings, "evaluator": with_tool, "folder": str(tmp_path / "broken")})
    with pytest.raises(ToolError, match="killed by signal 9"):
        first.execute()
    journal = tmp_path / "broken" / "journal.jsonl"
    assert all(json.loads(line) for line in journal.read_text().splitlines())
    ended = resume(tmp_path / "broken").execute()
    undisturbed = start({**settings, "folder": str(tmp_path / "native")}).execute()
    assert ended.design.values == undisturbed.design.values
    assert ended.metrics.cycles == undisturbed.metrics.cycles
    assert ended.metrics.energy_pj == pytest.approx(undisturbed.metrics.energy_pj, rel=1e-9)
    assert len(journal.read_text().splitlines()) == undisturbed.designs


@live
def test_live_results_are_those_of_the_native_model(rich):
    back_end = TimeloopEvaluator(n_jobs=2)
    version = back_end.binary_version
    assert version is not None
    spec = read_text(RICH, version)
    case = (spec.architecture, spec.problem, rich[2])
    said, own = back_end.evaluate(*case), NativeEvaluator(version).evaluate(*case)
    assert (said.cycles == own.cycles).all()
    assert np.abs(said.energy_pj - own.energy_pj).max() < 0.005


def test_failures_do_not_fill_the_disk(tmp_path, rich, monkeypatch):
    monkeypatch.setattr("dse.tools.model_run.MOST_KEPT", 2)
    evaluator(tmp_path, "exit 9", n_jobs=1, on_error="skip").evaluate(*rich)
    assert len(list((tmp_path / "tmp").iterdir())) == 2
