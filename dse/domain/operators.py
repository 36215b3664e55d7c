"""The operators that arithmetic in files may use, and how its text is parsed: never executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from dse.errors import SpecError

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
#: Largest exponent: beyond, a power may have more digits than fit in memory.
MAX_POWER = 64


def parse(text: str, kind: str, longest: int) -> ast.expr:
    """Return the tree of an expression in Python's grammar; which nodes are known is not checked.

    Args:
        text: the expression.
        kind: what it is called in errors, such as ``formula``.
        longest: the most characters that it may have.

    Raises:
        SpecError: it is too long, or cannot be parsed.
    """
    if len(text) > longest:
        raise SpecError(f"{kind} of {len(text)} characters, expected at most {longest}")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SpecError(f"'{text}' is not arithmetic") from error
