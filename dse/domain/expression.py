"""Arithmetic in templates: parsed, checked against a whitelist, never executed as Python.

Known: numbers, variable names, ``+ - * / // % **``, parentheses, ``min max ceil floor log2``,
``divisible(value, number)`` and Python's ``a if b else c`` with comparisons, ``and``, ``or`` and
``not``.
"""

from __future__ import annotations

import ast
import math
import operator
import sys
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from dse.domain.operators import BINARY, COMPARE, MAX_POWER, UNARY, parse
from dse.errors import SpecError, unknown_name

Number = int | float

_LIMIT = 2.0**62
_MAX_LENGTH = 200


def divisible(value: Any, number: Any) -> Any:  # noqa: ANN401 - numbers or arrays
    """Return the multiple of a number that is nearest, and at least 0.9 of the value.

    So MobileNets round numbers of channels (Sandler et al., CVPR 2018, and their released code).
    """
    nearest = np.maximum(number, (value + number / 2) // number * number)
    return np.where(nearest < 0.9 * value, nearest + number, nearest)


def _divisible(value: Number, number: Number) -> Number:
    if number <= 0:
        raise ValueError(f"divisible by {number:g}, expected a number above 0")
    return float(divisible(value, number))


_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "min": min,
    "max": max,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
    "divisible": _divisible,
}


@dataclass(frozen=True)
class Expression:
    """A number, or arithmetic over variables.

    Raises:
        SpecError: the text is not arithmetic of the known kind.
    """

    source: Number | str
    _tree: ast.expr = field(init=False, repr=False, compare=False)
    #: the variables that it mentions
    names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.source, str):
            tree = parse(self.source, "expression", _MAX_LENGTH)
        elif abs(self.source) <= sys.float_info.max:
            tree = ast.Constant(self.source)
        else:
            raise SpecError(f"'{str(self.source)[:40]}' is not a finite number")
        names: set[str] = set()
        _check(tree, str(self.source), names)
        object.__setattr__(self, "_tree", tree)
        object.__setattr__(self, "names", frozenset(names))

    @property
    def tree(self) -> ast.expr:
        """The arithmetic, parsed and checked."""
        return self._tree

    def value(self, variables: Mapping[str, Number]) -> Number:
        """Return the value.

        Raises:
            SpecError: an unknown variable, a division by zero, or a result beyond 2^62.
        """
        try:
            return _value(self._tree, variables)
        except KeyError as error:
            message = unknown_name("variable", str(error.args[0]), variables)
            raise SpecError(f"'{self.source}': {message}") from error
        except (ArithmeticError, ValueError, TypeError) as error:
            raise SpecError(f"'{self.source}' has no value: {error}") from error

    def array(self, variables: Mapping[str, Any]) -> Any:  # noqa: ANN401 - numbers or arrays
        """Return the value for numbers or equally long arrays, in floating point.

        Divisions by zero and overflows give infinities and NaN, as in NumPy.

        Raises:
            SpecError: an unknown variable.
        """
        for name in sorted(self.names):
            if name not in variables:
                raise SpecError(f"'{self.source}': {unknown_name('variable', name, variables)}")
        with np.errstate(all="ignore"):
            return _array(self._tree, variables)

    def relaxed(self, variables: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as array
        """Return the value as :meth:`array` does, for real variables, without rounding.

        ``//`` divides, ``floor`` and ``ceil`` return what they are given.
        """
        with np.errstate(all="ignore"):
            return _array(self._tree, variables, _UNROUNDED)

    def inlined(self, definitions: Mapping[str, Expression]) -> Expression:
        """Return the same arithmetic with names replaced by what they stand for.

        The text stays as it was written: it is what people are told.
        """
        if self.names.isdisjoint(definitions):
            return self
        result = copy(self)
        tree = _Inline(definitions).visit(deepcopy(self._tree))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        object.__setattr__(result, "_tree", tree)
        object.__setattr__(result, "names", frozenset(names - _FUNCTIONS.keys()))
        return result

    def integer(self, variables: Mapping[str, Number]) -> int:
        """Return the value as an integer.

        Raises:
            SpecError: as :meth:`value`, or the value is not a whole number.
        """
        value = self.value(variables)
        if value != int(value):
            raise SpecError(f"'{self.source}' = {value:g}, expected a whole number")
        return int(value)


class _Inline(ast.NodeTransformer):
    """Replaces names by the trees of their definitions."""

    def __init__(self, definitions: Mapping[str, Expression]) -> None:
        self._definitions = definitions

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Go on with the arguments: the function's name stands for itself."""
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return what a name stands for, or the name."""
        known = self._definitions.get(node.id)
        return node if known is None else known._tree


def _check(node: ast.expr, source: str, names: set[str]) -> None:
    """Raise SpecError unless the tree holds nothing but whitelisted nodes; collect names."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            if not math.isfinite(value):  # 1e999 is read as infinity
                raise SpecError(f"'{source}': a number in it is too large")
        case ast.Name(id=name):
            names.add(name)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            _check(left, source, names)
            _check(right, source, names)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            _check(operand, source, names)
        case ast.Call(func=ast.Name(id=function), args=[_, *_] as arguments, keywords=[]) if (
            function in _FUNCTIONS
        ):
            for argument in arguments:
                _check(argument, source, names)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            _check_condition(test, source, names)
            _check(body, source, names)
            _check(orelse, source, names)
        case _:
            raise SpecError(
                f"'{source}': '{ast.unparse(node)}' is not arithmetic; expected numbers, "
                f"variables, + - * / // % **, {', '.join(_FUNCTIONS)} and a if b else c"
            )


def _check_condition(node: ast.expr, source: str, names: set[str]) -> None:
    """Check what stands between ``if`` and ``else``."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in COMPARE for op in ops
        ):
            for part in (left, *others):
                _check(part, source, names)
        case ast.BoolOp(values=parts):
            for part in parts:
                _check_condition(part, source, names)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _check_condition(operand, source, names)
        case _:
            _check(node, source, names)


def array_of(tree: ast.expr, variables: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the value of checked arithmetic, or of a part of it, as :meth:`Expression.array`."""
    with np.errstate(all="ignore"):
        return _array(tree, variables)


#: What stands for the rounding operators where nothing is rounded.
_UNROUNDED: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    **BINARY,
    ast.FloorDiv: operator.truediv,
}


def _array(
    node: ast.expr,
    variables: Mapping[str, Any],
    binary: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = BINARY,
) -> Any:  # noqa: ANN401
    match node:
        case ast.Constant(value=int() | float() as number):
            return np.float64(number)
        case ast.Name(id=name):
            return np.asarray(variables[name], np.float64)
        case ast.BinOp(left=left, op=op, right=right):
            return binary[type(op)](
                _array(left, variables, binary), _array(right, variables, binary)
            )
        case ast.UnaryOp(op=sign, operand=operand):
            return UNARY[type(sign)](_array(operand, variables, binary))
        case ast.Call(func=ast.Name(id=function), args=arguments):
            parts = [_array(argument, variables, binary) for argument in arguments]
            if binary is _UNROUNDED and function in ("floor", "ceil", "divisible"):
                return parts[0]
            if function == "divisible":
                return divisible(*parts)
            if function == "min":
                return reduce(np.minimum, parts)
            if function == "max":
                return reduce(np.maximum, parts)
            return getattr(np, function)(*parts)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return np.where(
                _holds(test, lambda part: _array(part, variables, binary)),
                _array(body, variables, binary),
                _array(orelse, variables, binary),
            )
        case _:
            raise AssertionError(f"unchecked node {node!r}")


def _holds(node: ast.expr, value: Callable[[ast.expr], Any]) -> Any:  # noqa: ANN401
    """Return whether a condition holds, for numbers or for each element of arrays."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            parts = [value(part) for part in (left, *others)]
            found = [
                COMPARE[type(op)](a, b) for op, a, b in zip(ops, parts, parts[1:], strict=False)
            ]
            return reduce(np.logical_and, found)
        case ast.BoolOp(op=op, values=operands):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return reduce(join, [_holds(part, value) for part in operands])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return np.logical_not(_holds(operand, value))
        case _:
            return np.not_equal(value(node), 0)


def _value(node: ast.expr, variables: Mapping[str, Number]) -> Number:
    value: Number
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return variables[name]
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _value(left, variables), _value(right, variables)
            if isinstance(op, ast.Pow) and (abs(b) > MAX_POWER or abs(a) > _LIMIT):
                raise OverflowError("too large")
            value = BINARY[type(op)](a, b)
        case ast.UnaryOp(op=sign, operand=operand):
            value = UNARY[type(sign)](_value(operand, variables))
        case ast.Call(func=ast.Name(id=function), args=arguments):
            parts = [_value(argument, variables) for argument in arguments]
            value = (
                parts[0]
                if len(parts) == 1 and function in ("min", "max")
                else (_FUNCTIONS[function](*parts))
            )
        case ast.IfExp(test=test, body=body, orelse=orelse):
            chosen = body if _holds(test, lambda part: _value(part, variables)) else orelse
            value = _value(chosen, variables)
        case _:
            raise AssertionError(f"unchecked node {node!r}")
    if isinstance(value, complex) or not abs(value) <= _LIMIT:
        raise OverflowError(f"the result {value} is too large")
    return value
