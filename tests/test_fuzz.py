"""The fuzzing command: it sees what it should see, and a short run of it finds nothing."""

import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.sandbox import CANARY, Case, Sandbox

import dse.cli

ROOT = Path(__file__).parents[1]


def raises(argv):
    raise ValueError("no")


def loops(argv):
    while True:
        pass


def dies(argv):
    os.kill(os.getpid(), signal.SIGABRT)


def executes(argv):
    Path(f"../{CANARY}").write_text("x")
    return 0


def starts(argv):
    return subprocess.run(["/bin/true"], check=False).returncode


def writes_outside(argv):
    Path("../beside/new").write_text("x")
    return 0


def leaves_temporary(argv):
    (Path(os.environ["TMPDIR"]) / "dse-tool-1").mkdir()
    return 0


def takes_memory(argv):
    return len(bytearray(4 << 30)) * 0


#: addresses that are there before a command starts, as those that numba reserves
RESERVED = mmap.mmap(-1, 160 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def touches_memory(argv):
    RESERVED[:: mmap.PAGESIZE] = bytes(len(RESERVED) // mmap.PAGESIZE)
    return 0


def answers_nan(argv):
    sys.stdout.write('{"x": NaN}\n')
    return 0


def is_good(argv):
    Path("result").write_text("x")
    sys.stdout.write("{}\n")
    return 0


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (raises, "traceback ValueError"),
        (loops, "hang"),
        (dies, "death by SIGABRT"),
        (executes, "execution"),
        (starts, "execution"),
        (writes_outside, "file outside"),
        (leaves_temporary, "left in TMPDIR"),
        (takes_memory, "traceback MemoryError"),
        (touches_memory, "memory"),
        (answers_nan, "no JSON"),
        (lambda argv: 7, "exit code 7"),
        (lambda argv: 2, "no error text"),
        (is_good, None),
    ],
)
def test_what_a_fault_is(monkeypatch, tmp_path, command, expected):
    monkeypatch.setattr(dse.cli, "main", command)
    box = Sandbox(tmp_path / "box", seconds=1, memory_mb=150)
    argv = ["run", "--json"] if command in (answers_nan, is_good) else ["run"]
    answer = box.run(Case("test", argv, {"arch.yaml": b"x"}))
    assert (expected is None) == (not answer.faults), answer
    if expected is not None:
        assert answer.faults[0].key.startswith(expected), answer.faults
    monkeypatch.setattr(dse.cli, "main", is_good)
    assert box.run(Case("test", ["run"], {})).faults == []  # what one did, the next does not see


@pytest.mark.slow
def test_a_short_run_finds_no_fault(tmp_path):
    words = ["--short", "--seed", "2", "--inputs", "40", "--minutes", "15", "--faults"]
    found = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.startswith("40 inputs\n")
