"""Standard streams that are closed or full: no traceback, no lost run, exit code 1."""

import json
import subprocess
import sys

import pytest

QUICK = "optimizer=random workload=dosa_bert samples=4 optimizer.mappings_per_hardware=2"
DSE = f"{sys.executable} -m dse"


def shell(line, folder):
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, cwd=folder, check=False
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    assert shell(f"{DSE} run {QUICK} folder=whole -q", folder).returncode == 0
    return {
        name: (folder / "whole" / name).read_bytes() for name in ("result.json", "journal.jsonl")
    }


@pytest.mark.parametrize(
    ("streams", "code"),
    [
        (">&-", 1),
        (">/dev/full", 1),
        ("2>&-", 1),  # there is progress to tell
        ("2>/dev/full", 1),
        (">&- 2>&- <&-", 1),
        (">/dev/full 2>/dev/full", 1),
        ("<&-", 0),
        ("-q 2>&-", 0),  # nothing was to be said there
        ("-q 2>/dev/full", 0),
    ],
)
def test_a_run_ends_with_its_results(streams, code, whole, tmp_path):
    done = shell(f"{DSE} run {QUICK} folder=run {streams}", tmp_path)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if ">&-" in streams.split() or ">/dev/full" in streams.split():
        assert "error: standard output: " in done.stderr or "2>" in streams
    for name, content in whole.items():
        assert (tmp_path / "run" / name).read_bytes() == content
    assert all(json.loads(line) for line in whole["journal.jsonl"].splitlines())


@pytest.mark.parametrize("command", ["list", "show gemmini", "--help", "--version", "run --help"])
def test_other_commands_say_so_in_one_line(command, tmp_path):
    for stream, reason in ((">&-", "Bad file descriptor"), (">/dev/full", "No space left")):
        done = shell(f"{DSE} {command} {stream}", tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: standard output: {reason}")
        assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    done = shell(f"{DSE} list | head -n 1", tmp_path)
    assert (done.stdout, done.stderr) == ("archs:\n", "")


def test_errors_keep_their_exit_code(tmp_path):
    for streams in ("2>&-", "2>/dev/full", ">&- 2>&-"):
        assert shell(f"{DSE} run sampels=3 {streams}", tmp_path).returncode == 2


def test_without_progress_nothing_is_said_of_what_is_compiled(tmp_path):
    """Nor is a closed stderr a failure then, whatever has to be compiled."""
    cold = f"NUMBA_CACHE_DIR={tmp_path / 'cold'} {DSE} run {QUICK} samples=400"
    told = shell(f"{cold} folder=told", tmp_path)
    assert "compiling dse." in told.stderr
    assert shell(f"rm -r cold; {cold} folder=quiet -q", tmp_path).stderr == ""
    assert shell(f"rm -r cold; {cold} folder=closed -q 2>&-", tmp_path).returncode == 0
