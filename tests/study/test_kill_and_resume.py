"""Killed at any moment and resumed, a run leaves what it would have left undisturbed."""

import json
import subprocess
import sys
from pathlib import Path

import kill_matrix
import pytest

from dse.plugins import plugins

pytestmark = pytest.mark.slow

PROGRAM = Path(kill_matrix.__file__)


def test_every_builtin_is_killed():
    builtin = {n for n, p in plugins("optimizer").items() if p.distribution == "dse-accel"}
    assert builtin == set(kill_matrix.SETTINGS)
    assert len(set(kill_matrix.MOMENTS)) == 9


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork and /proc")
@pytest.mark.parametrize("optimizer", sorted(kill_matrix.SETTINGS))
def test_killed_at_any_moment_and_resumed(optimizer, tmp_path):
    if optimizer in kill_matrix.LEARNED:
        pytest.importorskip("botorch", reason="the extra 'learned' is not installed")
    words = [sys.executable, str(PROGRAM), optimizer, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(kill_matrix.MOMENTS)
    for moment in told:
        assert moment == {
            "moment": moment["moment"],
            "of": moment["of"],
            "killed": True,
            "result": False,
            "differs": [],
        }
