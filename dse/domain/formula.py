"""Arithmetic as Accelergy writes it in attributes: Python's, checked, never executed as Python.

Beside what templates know (:mod:`dse.domain.expression`) there are words, comparisons, ``a if b
else c``, ``and or not`` and more functions, among them ``log`` with base e: Accelergy hands its
expressions to Python.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from dse.domain.operators import BINARY, COMPARE, MAX_POWER, UNARY, parse
from dse.errors import SpecError, unknown_name

Value = int | float | bool | str

_MAX_LENGTH = 1000
_LARGEST = 1e100
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {**UNARY, ast.Not: operator.not_}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "bool": bool,
    "ceil": math.ceil,
    "exp": math.exp,
    "float": float,
    "floor": math.floor,
    "int": int,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": round,
    "sqrt": math.sqrt,
    "str": str,
}
_CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf, "True": True, "False": False}


def evaluate(text: str, names: Mapping[str, Value]) -> Value:
    """Return what a formula is worth.

    Args:
        text: the formula.
        names: what names stand for; they hide the constants ``pi``, ``e`` and ``inf``.

    Raises:
        SpecError: no formula, an unknown name, or no value (a division by zero, ``'a' * 2``).
    """
    tree = _parsed(text)
    try:
        return _value(tree, names)
    except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
        raise SpecError(f"'{text}' has no value: {error}") from error


@lru_cache(maxsize=4096)
def _parsed(text: str) -> ast.expr:
    return parse(text, "formula", _MAX_LENGTH)


def _value(node: ast.expr, names: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.Name(id=name):
            return _named(name, names)
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _value(left, names), _value(right, names))
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            return _checked(_UNARY[type(sign)](_value(operand, names)))
        case ast.BoolOp(op=op, values=parts):
            return _either(parts, names, until=isinstance(op, ast.Or))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared(_value(left, names), ops, [_value(x, names) for x in others])
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, names) else other, names)
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            if function not in _FUNCTIONS:
                raise SpecError(unknown_name("function", function, _FUNCTIONS))
            parts_ = [_value(argument, names) for argument in arguments]
            if len(parts_) == 1 and function in ("min", "max"):
                return parts_[0]
            return _checked(_FUNCTIONS[function](*parts_))
        case _:
            raise SpecError(f"'{ast.unparse(node)}' is not arithmetic")


def _named(name: str, names: Mapping[str, Value]) -> Value:
    if name in names:
        return names[name]
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    raise SpecError(unknown_name("name", name, names))


def _binary(op: ast.operator, left: Value, right: Value) -> Value:
    numbers = not isinstance(left, str) and not isinstance(right, str)
    if isinstance(op, ast.Pow):
        if not numbers or abs(float(right)) > MAX_POWER:
            raise ValueError(f"a power of {right!r}")
        return _checked(operator.pow(left, right))
    if type(op) not in BINARY:
        raise ValueError("an operator that is not arithmetic")
    if not numbers and not isinstance(op, ast.Add):
        raise TypeError("a word among numbers")
    return _checked(BINARY[type(op)](left, right))


def _either(parts: list[ast.expr], names: Mapping[str, Value], *, until: bool) -> Value:
    """Return the first part that is true (``or``) or false (``and``), else the last."""
    value: Value = not until
    for part in parts:
        value = _value(part, names)
        if bool(value) == until:
            break
    return value


def _compared(left: Value, ops: list[ast.cmpop], others: list[Value]) -> bool:
    for op, right in zip(ops, others, strict=True):
        if type(op) not in COMPARE:
            raise ValueError("a comparison that is not known")
        if not COMPARE[type(op)](left, right):
            return False
        left = right
    return True


def _checked(value: Any) -> Value:  # noqa: ANN401 - what Python's operators return
    if isinstance(value, complex) or (not isinstance(value, str) and not abs(value) <= _LARGEST):
        raise ArithmeticError(f"the result {value} is too large")
    if isinstance(value, str) and len(value) > _MAX_LENGTH:
        raise ArithmeticError("the text is too long")
    result: Value = value
    return result
