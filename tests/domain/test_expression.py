"""Numbers of templates: those beyond floating point are refused in one line."""

import math

import pytest

from dse.domain.expression import Expression
from dse.errors import SpecError


@pytest.mark.parametrize("number", [10**400, -(10**400), math.inf, -math.inf, math.nan])
def test_numbers_that_are_not_finite_are_refused(number):
    with pytest.raises(SpecError, match="is not a finite number"):
        Expression(number)


def test_numbers_stand_for_themselves():
    assert Expression(2**61).integer({}) == 2**61
    assert Expression(0.5).value({}) == 0.5
