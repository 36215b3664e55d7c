"""On a full disk a run ends with one line, and goes on, or begins again, once there is room."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import full_disk
import pytest

pytestmark = pytest.mark.slow

PROGRAM = Path(full_disk.__file__)


def can_mount(folder):
    words = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_a_disk_that_is_full_at_any_moment(tmp_path):
    if not can_mount(tmp_path):
        pytest.skip("needs root and mount namespaces (unshare --mount)")
    words = ["unshare", "--mount", sys.executable, str(PROGRAM), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [x["size_kb"] for x in told] == list(full_disk.SIZES_KB)
    for one in told:
        assert (one["again"], one["errors again"], one["differs"]) == (0, "", []), one
        if one["code"]:
            assert one["code"] == 1, one
            assert one["errors"].startswith("error: "), one
            assert one["errors"].count("\n") == 1, one
            assert "cannot be written" in one["errors"] or "cannot be made" in one["errors"], one
    # the sizes are such that it happens before, in the middle of, and never during the run
    ends = {(x["code"], x["began"]) for x in told}
    assert ends == {(1, False), (1, True), (0, True)}
