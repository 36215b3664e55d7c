"""Objectives that divide by zero, or leave floating point, have no value; none is a score."""

import numpy as np
import pytest

from dse.errors import SpecError
from dse.goals.metrics import Metrics
from dse.goals.objective import objective

METRICS = Metrics(np.ones(2, np.bool_), *(np.full(2, 5.0) for _ in range(4)))


@pytest.mark.parametrize(
    "text",
    [
        "edp/0",
        "-edp/0",
        "0/0*edp",
        "edp//0",
        "edp%0",
        "edp/(cycles-cycles)",
        "log2(0)*edp",
        "log2(cycles-cycles)",
        "(0-1)**0.5*edp",
        "ceil(1/0)+edp",
        "edp*2**9999",
        "-edp*2**9999",
    ],
)
def test_what_has_no_value_ranks_last(text):
    assert objective(text).rank(METRICS).tolist() == [np.inf, np.inf]


def test_a_number_that_is_none_is_refused():
    with pytest.raises(SpecError, match="'1e999\\*edp': a number in it is too large"):
        objective("1e999*edp")
