"""Arithmetic in timeloopfe's nodes: of the Python that Accelergy evaluates, what is arithmetic.

Numbers, texts, true and false, lists; ``+ - * / // % **``, comparisons, ``in``, ``and``, ``or``,
``not``, ``a if b else c``, the functions below, and what a file says itself, as in
``spec.problem.instance["R"]``. It is parsed and worked out here, never run: what is beyond that
(functions of a file's own, comprehensions) stays the text that it is.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from dse.domain.operators import BINARY, COMPARE, MAX_POWER, UNARY, parse
from dse.errors import SpecError

#: What arithmetic works on.
Datum = int | float | bool | str | tuple[Any, ...] | Mapping[str, Any]

_LONGEST = 1_000
_LARGEST = 2.0**100


def _number(value: Any) -> int | float:  # noqa: ANN401
    if isinstance(value, (int, float)):
        return value
    raise TypeError(f"{value!r} is no number")


def _table(value: Any) -> Mapping[str, Any]:  # noqa: ANN401
    if isinstance(value, Mapping):
        return value
    raise TypeError(f"{value!r} has no names in it")


def _power(a: Any, b: Any) -> Any:  # noqa: ANN401
    if abs(_number(b)) > MAX_POWER or abs(_number(a)) > _LARGEST:
        raise OverflowError("too large")
    return a**b


_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {**UNARY, ast.Not: operator.not_}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    **COMPARE,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (abs, bool, float, int, len, max, min, round, str, sum)},
    **{
        name: getattr(math, name)
        for name in (
            *("ceil", "fabs", "floor", "gcd", "isqrt", "prod", "sqrt", "trunc"),
            *("exp", "log", "log2", "log10"),
        )
    },
    "pow": _power,
}
_CONSTANTS: dict[str, Datum] = {"pi": math.pi, "e": math.e, "tau": math.tau, "inf": math.inf}


def worked_out(text: str, names: Mapping[str, Datum]) -> Datum:
    """Return the value of arithmetic over names.

    Raises:
        SpecError: it is no arithmetic, mentions an unknown name, or has no value.
    """
    tree = parse(text, "arithmetic", _LONGEST)
    try:
        value: Datum = _value(tree, names)
        return value
    except RecursionError as error:
        raise SpecError(f"'{text}' is not arithmetic") from error
    except KeyError as error:
        raise SpecError(f"'{text}': unknown name {error}") from error
    except (ArithmeticError, ValueError, TypeError) as error:
        raise SpecError(f"'{text}' has no value: {error}") from error


def _value(node: ast.expr, names: Mapping[str, Datum]) -> Any:  # noqa: ANN401
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as constant):
            return constant
        case ast.Name(id=name):
            return _CONSTANTS[name] if name in _CONSTANTS and name not in names else names[name]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return tuple(_value(part, names) for part in parts)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            a, b = _number(_value(left, names)), _number(_value(right, names))
            value = _power(a, b) if isinstance(op, ast.Pow) else BINARY[type(op)](a, b)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            value = _UNARY[type(op)](_value(operand, names))
        case ast.BoolOp(op=op, values=parts):
            value = _joined(isinstance(op, ast.And), parts, names)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in _COMPARE for op in ops
        ):
            parts_of = [_value(part, names) for part in (left, *others)]
            value = all(
                _COMPARE[type(op)](a, b)
                for op, a, b in zip(ops, parts_of, parts_of[1:], strict=False)
            )
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names) else orelse, names)
        case ast.Subscript(value=listed, slice=index):
            table, key = _value(listed, names), _value(index, names)
            return table[key] if isinstance(table, Mapping) else table[int(_number(key))]
        case ast.Attribute(value=owner, attr=name):
            return _table(_value(owner, names))[name]
        case ast.Call(
            func=ast.Attribute(value=owner, attr="get"), args=[key, *default], keywords=[]
        ) if len(default) < 2:
            found = _table(_value(owner, names)).get(_value(key, names))
            return found if found is not None or not default else _value(default[0], names)
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]) if (
            function in _FUNCTIONS and function not in names
        ):
            value = _FUNCTIONS[function](*(_value(argument, names) for argument in arguments))
        case _:
            raise SpecError(f"'{ast.unparse(node)}' is not arithmetic")
    if isinstance(value, complex) or (isinstance(value, int) and abs(value) > _LARGEST):
        raise OverflowError("too large")
    return value


def _joined(is_and: bool, parts: list[ast.expr], names: Mapping[str, Datum]) -> Any:  # noqa: ANN401
    """Return what ``and`` or ``or`` makes of its parts: one of them, as in Python."""
    value: Any = is_and
    for part in parts:
        value = _value(part, names)
        if bool(value) != is_and:
            break
    return value
