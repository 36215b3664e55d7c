"""Networks of type M:N against Timeloop's own answers."""

from __future__ import annotations

import re

import pytest
from reference_cases import DISTRIBUTED, disagreements, read_cases, version_of

from dse.errors import SpecError
from dse.timeloop.evaluate import evaluate_text

#: In which Timeloop distributes a multicast, by what its answer differs in.
DISTRIBUTING = {
    *(f"mn-21-{number}" for number in (13, 22, 24, 34)),
    *(f"mn-22-{number}" for number in (1, 5, 18, 20, 23, 35, 36)),
}
CASES = list(read_cases(DISTRIBUTED))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_what_is_distributed_is_refused_and_all_else_agrees_with_timeloop(case):
    if case["id"] not in DISTRIBUTING:
        assert disagreements(case) == []
        return
    with pytest.raises(SpecError, match="type M:N distributes the multicast of .* not modelled"):
        evaluate_text(case["input"], version_of(case))
    plain = re.sub('(network.type: )"M:N"', r'\1"1:N"', case["input"])
    assert plain != case["input"]
    assert disagreements({**case, "input": plain}), "equals the answer without distribution"


def test_the_cases_are_of_all_three_kinds():
    complex_ones = [case for case in CASES if "complex multicast" in case.get("message", "")]
    assert {case["id"] for case in CASES} > DISTRIBUTING
    assert len(complex_ones) == 4
    assert len(CASES) > len(DISTRIBUTING) + len(complex_ones) + 30
