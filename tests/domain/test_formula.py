"""Arithmetic as Accelergy writes it."""

import math

import pytest

from dse.domain.formula import evaluate
from dse.errors import SpecError

NAMES = {"meshX": 4, "x": 10.5, "depth": 24, "kind": "LPDDR4", "off": False}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("meshX*2", 8),
        ("log2(ceil(x))", math.log2(11)),
        ("log(depth)", math.log(24)),
        ("max(1, ceil(log2(depth))) if depth >= 1 else 1", 5),
        ("max(1, ceil(log2(depth))) if depth < 1 else 1", 1),
        ("widthscale * (depthscale ** (1.56 / 2))", 0.5 * 0.25**0.78),
        ("depth // 5 % 3 - -1", 2),
        ("kind == 'LPDDR4' and not off", True),
        ("0 < depth <= 24", True),
        ("off or depth", 24),
        ("'LP' + 'DDR'", "LPDDR"),
        ("max(depth)", 24),
        ("round(7 / 2)", 4),
        ("pi", math.pi),
    ],
)
def test_values(text, expected):
    found = evaluate(text, {**NAMES, "widthscale": 0.5, "depthscale": 0.25})
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mesX * 2", "unknown name 'mesX'; did you mean 'meshX'"),
        ("ceiling(2)", "unknown function 'ceiling'; did you mean 'ceil'"),
        ("45nm", "is not arithmetic"),
        ("__import__('os')", "unknown function '__import__'"),
        ("depth.real", "is not arithmetic"),
        ("[1, 2]", "is not arithmetic"),
        ("1 / 0", "has no value"),
        ("kind * 2", "a word among numbers"),
        ("2 ** 1000", "a power of 1000"),
        ("10.0 ** 60 * 10.0 ** 60", "too large"),
        ("1 + " * 300 + "1", "expected at most 1000"),
        ("1 is 2", "comparison"),
        ("log2(0)", "has no value"),
    ],
)
def test_what_has_no_value(text, message):
    with pytest.raises(SpecError, match=message):
        evaluate(text, NAMES)
