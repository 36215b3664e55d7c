"""Benchmarks of papers find their data, or say in a line where it is from."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "option", "source"),
    [
        ("dosa_dataset", "--data", "https://github.com/ucb-bar/dosa"),
        ("learned", "--data", "https://github.com/ucb-bar/dosa"),
        ("rtl", "--data", "https://github.com/ucb-bar/dosa"),
        ("ga_poster", "--reference", "https://github.com/akarshkumar0101/hardware-final-project"),
    ],
)
def test_missing_data_is_named_with_its_source(name, option, source, tmp_path):
    words = [sys.executable, str(BENCHMARKS / f"{name}.py"), option, str(tmp_path / "none")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert source in done.stderr
    assert str(tmp_path / "none") in done.stderr
    assert option in done.stderr
