"""What a certificate lets be said: a gap only where there is a bound and a value."""

import pytest

from dse.cosearch.certificate import (
    OPTIMAL,
    STOPPED,
    UNSOLVED,
    CoSearchCertificate,
    gap_is_proven,
    why_nothing_is_proven,
)


def told(status, value, bound, reason=""):
    return CoSearchCertificate(status, "edp", value, bound, 0.0, (), reason).as_dict()


@pytest.mark.parametrize(
    ("status", "value", "bound", "proven"),
    [
        (STOPPED, 10.0, 9.0, True),
        (STOPPED, 10.0, 0.0, False),  # before there was a bound
        (STOPPED, None, 9.0, False),  # before there was a design
        (UNSOLVED, 10.0, 0.0, False),
        (OPTIMAL, 10.0, 10.0, False),  # it has no gap
    ],
)
def test_a_gap_needs_a_bound_and_a_design(status, value, bound, proven):
    assert gap_is_proven(told(status, value, bound)) is proven


def test_why_nothing_is_proven_is_said():
    assert why_nothing_is_proven(told(UNSOLVED, 10.0, 0.0, "too many")) == "too many"
    assert "before it had a bound" in why_nothing_is_proven(told(STOPPED, 10.0, 0.0))
