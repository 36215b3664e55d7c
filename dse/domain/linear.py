"""Arithmetic that is linear: the weight of every name."""

from __future__ import annotations

import ast

from dse.domain.expression import Expression

#: What stands for the number without a name.
CONSTANT = ""


def linear_form(expression: Expression) -> dict[str, float] | None:
    """Return the weight of every name in an expression, that of the constant where it is not 0.

    None: it is not written as a sum of multiples. Nothing is tried out: what is linear only for
    some values, such as a maximum, is not linear.
    """
    form = _form(expression.tree)
    if form is None:
        return None
    return {name: w for name, w in form.items() if name != CONSTANT or w != 0.0}


def _form(node: ast.expr) -> dict[str, float] | None:
    match node:
        case ast.Constant(value=int() | float() as number):
            return {CONSTANT: float(number)}
        case ast.Name(id=name):
            return {name: 1.0}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _times(_form(operand), -1.0)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _form(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _joined(_form(left), op, _form(right))
        case _:
            return None


def _joined(
    a: dict[str, float] | None, op: ast.operator, b: dict[str, float] | None
) -> dict[str, float] | None:
    if a is None or b is None:
        return None
    match op:
        case ast.Add():
            return {name: a.get(name, 0.0) + b.get(name, 0.0) for name in {**a, **b}}
        case ast.Sub():
            return {name: a.get(name, 0.0) - b.get(name, 0.0) for name in {**a, **b}}
        case ast.Mult() if set(b) <= {CONSTANT}:
            return _times(a, b.get(CONSTANT, 0.0))
        case ast.Mult() if set(a) <= {CONSTANT}:
            return _times(b, a.get(CONSTANT, 0.0))
        case ast.Div() if set(b) <= {CONSTANT} and b.get(CONSTANT):
            return {name: w / b[CONSTANT] for name, w in a.items()}
        case _:
            return None


def _times(form: dict[str, float] | None, number: float) -> dict[str, float] | None:
    return None if form is None else {name: w * number for name, w in form.items()}
