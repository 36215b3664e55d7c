"""The model of sparse designs against Timeloop's own answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from reference_cases import SPARSE, read_cases, reference_files
from sparse_cases import sparse_disagreements

FILES = reference_files("sparse")
VERSIONS = ("3.0.3", "4cf6d4c")


def compared(path: Path, version: str | None = None) -> tuple[Counter[str], dict[str, list[str]]]:
    """Return how many cases there are by status, and where which differ."""
    count: Counter[str] = Counter()
    wrong = {}
    for case in read_cases(path):
        if version in (None, case["timeloop"]):
            count["nonsense" if case.get("nonsense") else case["status"]] += 1
            found = sparse_disagreements(case)
            if found:
                wrong[case["id"]] = found
    return count, wrong


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_cases_agree_with_timeloop(version):
    count, wrong = compared(SPARSE, version)
    assert count["ok"] > 500
    assert count["rejected"] > 40
    assert count["error"] > 30
    assert count["nonsense"] > 5
    assert not wrong, f"{len(wrong)} of {count.total()}: {dict(list(wrong.items())[:5])}"


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.skipif(not FILES, reason="the full reference data is not beside the repository")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_recorded_case_agrees_with_timeloop(path):
    count, wrong = compared(path)
    assert count.total() > 1000
    assert not wrong, f"{len(wrong)} of {count.total()}: {dict(list(wrong.items())[:5])}"


def test_the_comparison_notices_a_wrong_number():
    case = next(x for x in read_cases(SPARSE) if x["status"] == "ok" and "gate" in x["id"])
    assert sparse_disagreements(case) == []
    level = next(iter(case["levels"].values()))
    next(x for x in level.values() if isinstance(x, dict))["random_reads"] += 1
    case["compute"]["gated_computes"] += 1
    assert len(sparse_disagreements(case)) == 2
