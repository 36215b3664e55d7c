"""The pytimeloop back end: with a stand-in for its workers, and live where pytimeloop is."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from processes import comes, gone, living, needs_proc
from pytimeloop_stub import stub
from record_timeloop_runs import RICH

from dse.cli import main
from dse.domain.mapping import MappingBatch
from dse.errors import SpecError, ToolError
from dse.evaluators.native import NativeEvaluator
from dse.evaluators.pytimeloop import PyTimeloopEvaluator, PyTimeloopSettings
from dse.model import evaluate_one
from dse.timeloop.read.inputs import read_text
from dse.tools import pytimeloop, pytimeloop_worker


def _live() -> str:
    """Return why there is no pytimeloop here, or nothing."""
    try:
        pytimeloop.PyTimeloop(pytimeloop.find()).close()
    except ToolError as error:
        return str(error)
    return ""


MISSING = _live()
live = pytest.mark.skipif(bool(MISSING), reason=f"no pytimeloop here: {MISSING}")


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def rich():
    spec = read_text(RICH)
    return spec.architecture, spec.problem, MappingBatch.of([spec.mapping] * 5)


@pytest.fixture
def too_large():
    """The same with registers too small."""
    spec = read_text(RICH.replace("entries: 8,", "entries: 2,"))
    return spec.architecture, spec.problem, MappingBatch.of([spec.mapping] * 2)


def evaluator(tmp_path, behaviour="native", n_jobs=2, **settings):
    python = stub(tmp_path / "bin", behaviour)
    return PyTimeloopEvaluator("4cf6d4c", n_jobs, PyTimeloopSettings(python=python, **settings))


@pytest.mark.slow
def test_metrics_and_statistics_come_back_whole(tmp_path, rich, caplog):
    back_end = evaluator(tmp_path)
    said, own = back_end.evaluate(*rich), NativeEvaluator().evaluate(*rich)
    for name in ("valid", "cycles", "energy_pj", "utilization", "area_um2"):
        assert np.array_equal(getattr(said, name), getattr(own, name)), name
    architecture, problem, mappings = rich
    stats = back_end.stats(architecture, problem, mappings[0])
    expected = evaluate_one(architecture, problem, mappings[0], "4cf6d4c")
    assert stats.energy_pj == expected.energy_pj
    for name, level in expected.levels.items():
        assert stats.levels[name].tensors == level.tensors
    assert back_end.binary_version == "4cf6d4c"
    assert not caplog.records


@pytest.mark.slow
def test_a_rejected_mapping_is_data_with_timeloops_reason(tmp_path, too_large):
    back_end = evaluator(tmp_path)
    metrics = back_end.evaluate(*too_large)
    assert not metrics.valid.any()
    assert np.isnan(metrics.energy_pj).all()
    found = back_end.explain(*too_large, 0)
    assert found is not None
    assert found.message.startswith("ERROR: couldn't map level Registers: mapped tile size 5")
    assert (found.resource, found.demand, found.bound) == ("capacity", 5, 2)


FAILURES = {
    "abort": "was killed by signal 6",
    "exit": "ended with exit status 1",
    "killed": "was killed by signal 9",
    "hang": "gave no answer in 12 s",
    "garbage": "answered what cannot be read",
    "incomplete": "answered what cannot be read",
    "other": "evaluated 1 operations",
    "error": "failed: RuntimeError: a clue",
}


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", FAILURES)
def test_a_failing_worker_is_an_error_and_never_a_score(tmp_path, rich, behaviour, caplog):
    limit = {"timeout_s": 12.0} if behaviour == "hang" else {}
    back_end = evaluator(tmp_path, behaviour, n_jobs=1, **limit)
    start = time.monotonic()
    with pytest.raises(ToolError) as error:
        back_end.evaluate(*rich)
    assert time.monotonic() - start < 60
    message = str(error.value)
    assert f"pytimeloop {FAILURES[behaviour]}" in message
    assert error.value.exit_code == 4
    # the command reproduces it: its folder is still there, with the input in it
    folder = Path(message.rpartition("to reproduce: cd ")[2].partition(" && ")[0])
    assert "mapping:" in (folder / "input.yaml").read_text()
    assert message.endswith("/pytimeloop_worker.py input.yaml")
    if behaviour in ("abort", "exit"):
        assert "it printed:\n  a clue" in message


@pytest.mark.slow
def test_failures_are_skipped_where_that_is_asked(tmp_path, rich, caplog):
    skipping = evaluator(tmp_path, "exit", n_jobs=1, on_error="skip")
    with caplog.at_level(logging.WARNING):
        metrics = skipping.evaluate(*rich)
    assert not metrics.valid.any()
    assert np.isnan(metrics.cycles).all()
    assert caplog.text.count("is skipped, unscored") == 5
    reason = skipping.explain(*rich, 0)
    assert reason is not None
    assert reason.message.startswith("not evaluated: pytimeloop ended with")


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(tmp_path, rich):
    metrics = evaluator(tmp_path, "once", n_jobs=1, on_error="skip").evaluate(*rich)
    assert metrics.valid.sum() == 4
    assert np.isnan(metrics.energy_pj[~metrics.valid]).all()


@pytest.mark.slow
def test_a_worker_is_replaced_before_it_grows_too_large(tmp_path, rich, monkeypatch):
    monkeypatch.setattr(pytimeloop, "MOST_ANSWERS", 2)
    back_end = evaluator(tmp_path, n_jobs=1)
    own = NativeEvaluator().evaluate(*rich)
    assert np.array_equal(back_end.evaluate(*rich).energy_pj, own.energy_pj)
    # the version's example and five mappings: the third worker has answered twice and gone
    assert back_end._model._idle.empty()


@pytest.mark.parametrize(("behaviour", "said"), [("early", "exit status 3"), ("speechless", "not")])
def test_a_worker_that_does_not_start_is_told_at_once(tmp_path, behaviour, said):
    with pytest.raises(ToolError, match=f"pytimeloop's process .*{said}"):
        evaluator(tmp_path, behaviour)


def test_a_python_without_pytimeloop_is_told_at_once(tmp_path, monkeypatch, capsys):
    # a module of that name that is another one is as good as none
    (tmp_path / "bindings.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DSE_PYTIMELOOP_PYTHON", sys.executable)
    with pytest.raises(ToolError, match=r"has no pytimeloop that works \(AttributeError"):
        PyTimeloopEvaluator()
    monkeypatch.setenv("DSE_PYTIMELOOP_PYTHON", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="no executable file"):
        PyTimeloopEvaluator()
    words = ["run", "evaluator=pytimeloop", "workload=alexnet", "samples=1", "optimizer=random"]
    assert main(words) == 4
    assert "DSE_PYTIMELOOP_PYTHON names" in capsys.readouterr().err
    for bad in ({"on_error": "guess"}, {"timeout_s": 0.0}, {"memory_gb": -1.0}):
        with pytest.raises(SpecError, match=f"evaluator.{next(iter(bad))}"):
            PyTimeloopEvaluator(settings=PyTimeloopSettings(**bad))


@pytest.mark.slow
def test_no_worker_outlives_its_evaluator(tmp_path, rich):
    back_end = evaluator(tmp_path, n_jobs=2)
    back_end.evaluate(*rich)
    workers = list(back_end._model._idle.queue)
    assert workers
    assert not any(worker.ended for worker in workers)
    back_end.close()
    assert all(worker.ended for worker in workers)
    # and goes on when it is asked again
    assert back_end.evaluate(*rich).valid.all()


@pytest.mark.slow
@needs_proc
def test_a_worker_that_is_killed_while_idle_is_replaced(tmp_path, rich):
    """By the system, say, when memory runs out."""
    back_end = evaluator(tmp_path, n_jobs=1)
    first = back_end.evaluate(*rich)
    workers = living(f"{tmp_path}/bin")
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    assert gone(f"{tmp_path}/bin")
    # whoever watches them has to say so, too
    (idle,) = back_end._model._idle.queue
    assert comes(lambda: idle.ended)
    assert np.array_equal(back_end.evaluate(*rich).energy_pj, first.energy_pj)


@pytest.mark.slow
@needs_proc
def test_one_failing_worker_ends_the_others(tmp_path, rich):
    """The one that fails is the error; the others, which would go on for long, end with it."""
    back_end = evaluator(tmp_path, "first-fails", n_jobs=3, timeout_s=600.0)
    with pytest.raises(ToolError, match="was killed by signal 6"):
        back_end.evaluate(*rich)
    assert living(f"{tmp_path}/bin") == []
    # and the evaluator can be used again
    (tmp_path / "bin" / "answers").touch()
    assert back_end.evaluate(*rich).valid.all()


@pytest.mark.slow
def test_doctor_and_validate_know_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DSE_TIMELOOP_MODEL", raising=False)
    monkeypatch.setenv("DSE_PYTIMELOOP_PYTHON", stub(tmp_path / "bin"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert main(["doctor", "--json"]) == 0
    found = {row["name"]: row["found"] for row in json.loads(capsys.readouterr().out)}
    assert found["pytimeloop"] == "stub (computes as 4cf6d4c)"
    (tmp_path / "in.yaml").write_text(RICH)
    assert main(["validate", str(tmp_path / "in.yaml"), "--only", "pytimeloop", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["comparisons"][0]["back_ends"] == ["native 4cf6d4c", "pytimeloop (4cf6d4c)"]


@pytest.mark.slow
def test_a_run_whose_worker_aborts_loses_nothing(tmp_path):
    """A worker that dies midway stops the run; resumed, it ends as if nothing had happened."""
    from dse.runner.run import resume, start

    settings = {
        "workload": "alexnet",
        "samples": 12,
        "n_jobs": 1,
        "optimizer": {"name": "random", "mappings_per_hardware": 2},
        "variables": {"pe_dim": 8, "scratchpad_kb": 64, "accumulator_kb": 64},
    }
    with_tool = {"name": "pytimeloop", "python": stub(tmp_path / "bin", "fortieth")}
    first = start({**settings, "evaluator": with_tool, "folder": str(tmp_path / "broken")})
    with pytest.raises(ToolError, match="killed by signal 6"):
        first.execute()
    ended = resume(tmp_path / "broken").execute()
    undisturbed = start({**settings, "folder": str(tmp_path / "native")}).execute()
    assert ended.design.values == undisturbed.design.values
    assert ended.metrics.cycles == undisturbed.metrics.cycles
    assert ended.metrics.energy_pj == pytest.approx(undisturbed.metrics.energy_pj, rel=1e-9)


@live
@pytest.mark.parametrize("arch", ["gemmini", "eyeriss", "simba"])
def test_live_results_are_those_of_the_native_model(arch, capsys):
    arguments = ["validate", "--random", "40", f"arch={arch}", "workload=alexnet", "-q"]
    assert main([*arguments, "--only", "pytimeloop"]) == 0
    assert "40 mappings by native" in capsys.readouterr().out


@live
def test_live_rejection_and_metrics(rich, too_large):
    back_end = PyTimeloopEvaluator(n_jobs=2)
    assert back_end.binary_version is not None
    native = NativeEvaluator(back_end.binary_version)
    said, own = back_end.evaluate(*rich), native.evaluate(*rich)
    for name in ("cycles", "energy_pj", "utilization", "area_um2"):
        assert np.allclose(getattr(said, name), getattr(own, name), rtol=1e-9, atol=0), name
    assert not back_end.evaluate(*too_large).valid.any()
    assert back_end.explain(*too_large, 0) == native.explain(*too_large, 0)


@live
def test_live_input_that_ends_the_process_is_an_error(rich):
    """Timeloop calls exit() or abort() on a mapping that it cannot read."""
    architecture, problem, mappings = rich
    model = pytimeloop.PyTimeloop(pytimeloop.find())
    with pytest.MonkeyPatch.context() as patch:
        wrong = [{"target": "Nowhere", "type": "temporal", "factors": "", "permutation": ""}]
        patch.setattr(pytimeloop, "mapping_directives", lambda *_: wrong)
        with pytest.raises(ToolError, match="pytimeloop ") as error:
            model.totals(architecture, problem, mappings[0])
    command = str(error.value).rpartition("to reproduce: ")[2]
    repeated = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602
    assert repeated.returncode != 0
    assert model.totals(architecture, problem, mappings[0])[0] > 0
    model.close()


def test_the_worker_needs_nothing_of_dse():
    """It runs in the Python that has pytimeloop, which need not have dse."""
    text = Path(pytimeloop_worker.__file__).read_text()
    assert "import dse" not in text
    assert "from dse" not in text
    done = subprocess.run(
        [sys.executable, "-S", "-E", pytimeloop_worker.__file__],
        input="",
        capture_output=True,
        text=True,
        check=True,
        cwd=os.sep,
    )
    assert "ModuleNotFoundError" in json.loads(done.stdout)["missing"]
