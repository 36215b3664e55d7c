"""The native model against Timeloop's own answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference_cases import BEYOND, SUBSET, disagreements, read_cases, reference_files

#: A SimpleMulticast network that carries updates, too: Timeloop takes it for a mesh in memory.
UNDEFINED = ("netbad-21-13",)
#: What is said of a network of type M:N that has a multicast to distribute.
DISTRIBUTES = "which is not modelled"
FILES = reference_files("timeloop", "imperfect", "misc")


@pytest.mark.parametrize("case", list(read_cases(SUBSET)), ids=lambda case: case["id"])
def test_a_case_agrees_with_timeloop(case):
    assert disagreements(case) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["imperfect", "misc"])
def test_cases_beyond_perfect_factors_agree_with_timeloop(kind):
    wrong = {}
    count = 0
    for case in read_cases(BEYOND):
        if case["kind"] == kind:
            count += 1
            found = disagreements(case)
            if found:
                wrong[case["id"]] = found
    assert count > 150
    assert not wrong, f"{len(wrong)} of {count} cases: {dict(list(wrong.items())[:5])}"


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.skipif(not FILES, reason="the full reference data is not beside the repository")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_reference_case_agrees_with_timeloop(path: Path):
    wrong = {}
    count = 0
    for case in read_cases(path):
        if case["id"] in UNDEFINED:
            continue
        count += 1
        found = [line for line in disagreements(case) if DISTRIBUTES not in line]
        if found:
            wrong[case["id"]] = found
    assert count > 0
    assert not wrong, f"{len(wrong)} of {count} cases: {dict(list(wrong.items())[:5])}"


def test_the_comparison_notices_a_wrong_number():
    case = next(c for c in read_cases(SUBSET) if c["status"] == "ok")
    level, tensor = next(iter(case["levels"])), "reads"
    entry = next(v for v in case["levels"][level].values() if isinstance(v, dict))
    entry[tensor] += 1
    assert len(disagreements(case)) == 1
