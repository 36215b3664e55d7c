"""SIGTERM and SIGHUP: what runs is ended, and the run goes on from where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from processes import gone, living, marked, needs_proc, there
from pytimeloop_stub import stub as worker_stub
from timeloop_stub import stub

from dse.cli import main
from dse.cli.signals import Terminated, raised
from dse.runner.run import start
from dse.study.journal import read_journal

SETTINGS = {
    "workload": "alexnet",
    "samples": 12,
    "n_jobs": 2,
    "optimizer": {"name": "random", "mappings_per_hardware": 2},
    "variables": {"pe_dim": 8, "scratchpad_kb": 64, "accumulator_kb": 64},
}
CODES = {"SIGTERM": (143, "terminated"), "SIGHUP": (129, "hung up")}


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Folders of a user: for state, and for temporary files."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def _heed_signals():
    for name in (*CODES, "SIGINT"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def begun(folder, evaluator):
    """Start a run with these settings, in a process of its own."""
    start({**SETTINGS, "evaluator": evaluator, "folder": str(folder)})
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "dse", "run", "--quiet", f"resume={folder}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background may ignore signals, and so would its children
        preexec_fn=_heed_signals,  # noqa: PLW1509
    )


def ended(process):
    """Wait for the end of a run, and return its stderr; where none comes, say what it is at."""
    try:
        return process.communicate(timeout=150)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        pytest.fail(f"a run goes on in spite of a signal:\n{process.communicate()[1]}")


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("name", CODES)
def test_a_run_ends_with_its_tools_and_goes_on(user, name):
    evaluator = {"name": "pytimeloop", "python": worker_stub(user / "bin", "stalled")}
    with begun(user / "run", evaluator) as process:
        count = user / "bin" / "count"
        deadline = time.monotonic() + 300
        while not count.exists() or count.stat().st_size < 40:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        errors = ended(process)
    code, word = CODES[name]
    assert process.returncode == code
    assert errors.splitlines()[-2:] == [f"python -m dse run resume={user / 'run'} goes on", word]
    assert "Traceback" not in errors
    assert gone(f"{user}/bin", 1.0)
    assert list((user / "tmp").iterdir()) == []
    assert all(record["valid"] for record in read_journal(user / "run" / "journal.jsonl"))
    # the fortieth question stalls once only
    assert main(["run", "--quiet", "--json", f"resume={user / 'run'}"]) == 0
    start({**SETTINGS, "folder": str(user / "native")}).execute()
    one, other = (json.loads((user / f / "result.json").read_text()) for f in ("run", "native"))
    assert one["objective"]["value"] == pytest.approx(other["objective"]["value"], rel=1e-9)


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("name", [*CODES, "SIGINT", "SIGKILL"])
def test_no_program_and_no_folder_outlives_a_run(user, name):
    """One process for each mapping, each with an orphan that has left its session."""
    word = marked()
    behaviour = f"setsid sh -c 'sleep 100; : {word}' & sh -c 'sleep 100; : {word}'"
    binary = str(stub(user / "bin", behaviour))
    with begun(user / "run", {"name": "timeloop", "binary": binary}) as process:
        assert there(word, 4, 300)
        assert list((user / "tmp").iterdir())
        process.send_signal(getattr(signal, name))
        errors = ended(process)
    assert "Traceback" not in errors
    assert process.returncode == {"SIGINT": 130, "SIGKILL": -9}.get(name, CODES.get(name, [0])[0])
    if name == "SIGKILL":
        assert gone(word)  # its folders go when the next dse makes one
    else:
        assert living(word) == []
        assert list((user / "tmp").iterdir()) == []
        assert f"resume={user / 'run'} goes on" in errors


def test_signals_raise_in_the_main_thread_and_only_once(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # which a signal changes
    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL:
        pytest.skip("somebody else takes the signal")
    with pytest.raises(Terminated, match="terminated") as found, raised():  # noqa: PT012
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # does not cut this short
            time.sleep(0.05)
    assert found.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ignored_signals_stay_ignored():
    """As with nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raised():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)
