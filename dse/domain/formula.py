"""Arithmetic as Accelergy and timeloopfe write it: Python's, checked, never executed as Python.

Beside what templates know (:mod:`dse.domain.expression`) there are words, lists, comparisons,
``in``, ``a if b else c``, ``and or not``, more functions, among them ``log`` with base e, and what
a file says itself, as in ``spec.problem.instance["R"]``: these tools hand their expressions to
Python. What is beyond that, such as comprehensions, is refused.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from dse.domain.operators import BINARY, COMPARE, MAX_POWER, UNARY, parse
from dse.errors import SpecError, unknown_name

#: What attributes are worth.
Value = int | float | bool | str
#: What arithmetic works on.
Datum = Value | tuple[Any, ...] | Mapping[str, Any]

_MAX_LENGTH = 1000
_LARGEST = 1e100


def _power(base: Datum, exponent: Datum) -> Any:  # noqa: ANN401
    numbers = isinstance(base, int | float) and isinstance(exponent, int | float)
    if not numbers or abs(exponent) > MAX_POWER:  # type: ignore[arg-type]
        raise ValueError(f"a power of {exponent!r}")
    return operator.pow(base, exponent)


def _one_or_more(pick: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``min`` or ``max``, of which one number is that of itself."""

    def picked(*given: Any) -> Any:  # noqa: ANN401
        return given[0] if len(given) == 1 and not isinstance(given[0], tuple) else pick(*given)

    return picked


_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {**UNARY, ast.Not: operator.not_}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    **COMPARE,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (abs, bool, float, int, len, round, str, sum)},
    **{
        name: getattr(math, name)
        for name in (
            *("ceil", "fabs", "floor", "gcd", "isqrt", "prod", "sqrt", "trunc"),
            *("exp", "log", "log2", "log10"),
        )
    },
    "max": _one_or_more(max),
    "min": _one_or_more(min),
    "pow": _power,
}
_CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau, "inf": math.inf}


def evaluate(text: str, names: Mapping[str, Value]) -> Value:
    """Return what a formula is worth: a number, a word, true or false.

    Args:
        text: the formula.
        names: what names stand for; they hide the constants ``pi``, ``e``, ``tau`` and ``inf``.

    Raises:
        SpecError: no formula, an unknown name, or no value (a division by zero, ``'a' * 2``).
    """
    found = worked_out(text, names)
    if isinstance(found, tuple | Mapping):
        raise SpecError(f"'{text}' is not arithmetic")
    return found


def worked_out(text: str, names: Mapping[str, Datum]) -> Datum:
    """Return what a formula over any names is worth, lists and tables too.

    Raises:
        SpecError: as :func:`evaluate`.
    """
    tree = _parsed(text)
    try:
        found: Datum = _value(tree, names)
        return found
    except (ArithmeticError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise SpecError(f"'{text}' has no value: {error}") from error


@lru_cache(maxsize=4096)
def _parsed(text: str) -> ast.expr:
    return parse(text, "formula", _MAX_LENGTH)


def _value(node: ast.expr, names: Mapping[str, Datum]) -> Any:  # noqa: ANN401
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.Name(id=name):
            return _named(name, names)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return tuple(_value(part, names) for part in parts)
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _value(left, names), _value(right, names))
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            return _checked(_UNARY[type(sign)](_value(operand, names)))
        case ast.BoolOp(op=op, values=parts):
            return _either(parts, names, until=isinstance(op, ast.Or))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared([_value(part, names) for part in (left, *others)], ops)
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, names) else other, names)
        case ast.Subscript(value=listed, slice=index):
            return _item(_value(listed, names), _value(index, names))
        case ast.Attribute(value=owner, attr=name):
            table = _value(owner, names)
            if isinstance(table, Mapping):
                return table[name]
        case ast.Call(
            func=ast.Attribute(value=owner, attr="get"), args=[key, *default], keywords=[]
        ) if len(default) < 2:
            table = _value(owner, names)
            if isinstance(table, Mapping):
                found = table.get(_value(key, names))
                return found if found is not None or not default else _value(default[0], names)
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            if function not in _FUNCTIONS:
                raise SpecError(unknown_name("function", function, _FUNCTIONS))
            return _checked(_FUNCTIONS[function](*(_value(one, names) for one in arguments)))
    raise SpecError(f"'{ast.unparse(node)}' is not arithmetic")


def _named(name: str, names: Mapping[str, Datum]) -> Datum:
    if name in names:
        return names[name]
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    raise SpecError(unknown_name("name", name, names))


def _item(listed: Datum, index: Datum) -> Any:  # noqa: ANN401
    if isinstance(listed, Mapping):
        return listed[index]  # type: ignore[index]
    if isinstance(listed, tuple) and isinstance(index, int):
        return listed[index]
    raise TypeError("an item of what is no list")


def _binary(op: ast.operator, left: Datum, right: Datum) -> Any:  # noqa: ANN401
    if isinstance(op, ast.Pow):
        return _checked(_power(left, right))
    if type(op) not in BINARY:
        raise ValueError("an operator that is not arithmetic")
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    words = isinstance(left, str) and isinstance(right, str)
    if not numbers and not (words and isinstance(op, ast.Add)):
        raise TypeError("a word among numbers")
    return _checked(BINARY[type(op)](left, right))


def _either(parts: list[ast.expr], names: Mapping[str, Datum], *, until: bool) -> Any:  # noqa: ANN401
    """Return the first part that is true (``or``) or false (``and``), else the last."""
    value: Any = not until
    for part in parts:
        value = _value(part, names)
        if bool(value) == until:
            break
    return value


def _compared(parts: list[Any], ops: list[ast.cmpop]) -> bool:
    if not all(type(op) in _COMPARE for op in ops):
        raise ValueError("a comparison that is not known")
    return all(_COMPARE[type(op)](a, b) for op, (a, b) in zip(ops, pairwise(parts), strict=True))


def _checked(value: Any) -> Any:  # noqa: ANN401 - what Python's operators return
    if isinstance(value, str):
        if len(value) > _MAX_LENGTH:
            raise ArithmeticError("the text is too long")
    elif isinstance(value, complex) or (
        isinstance(value, int | float) and not abs(value) <= _LARGEST
    ):
        raise ArithmeticError(f"the result {value} is too large")
    return value
