"""Einstein's sums of two operands as matrix products."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dse.errors import SpecError


@dataclass(frozen=True)
class Contraction:
    """``batch`` products of (rows x inner) and (inner x columns)."""

    rows: int
    inner: int
    columns: int
    batch: int

    @property
    def is_elementwise(self) -> bool:
        """Whether nothing is summed up, nor used twice."""
        return self.rows == self.inner == self.columns == 1


def product_of(equation: str, shapes: Sequence[Sequence[int]]) -> Contraction | None:
    """Return the product that an equation is; None where one operand is only summed or turned.

    An index that both operands and the result have is of the batch, one that only both operands
    have is summed up. What one operand alone has and the result does not is summed up before.

    Args:
        equation: as of NumPy and ONNX, such as ``bhqd,bhkd->bhqk``.
        shapes: of the operands.

    Raises:
        SpecError: it has more than two operands, or an index twice in one.
    """
    left, _, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise SpecError(f"'{equation}' is of {len(terms)} operands, and there are {len(shapes)}")
    if len(terms) == 1:
        return None
    if len(terms) > 2:
        raise SpecError(f"'{equation}' is of {len(terms)} operands, expected 2")
    indices = [_indices(term, len(shape)) for term, shape in zip(terms, shapes, strict=True)]
    sizes: dict[str, int] = {}
    for own, shape in zip(indices, shapes, strict=True):
        if len(own) != len(shape):
            raise SpecError(f"'{equation}' does not fit an operand of shape {list(shape)}")
        if len(set(own)) < len(own):
            raise SpecError(f"'{equation}' has an index twice in one operand")
        for index, n in zip(own, shape, strict=True):
            sizes[index] = max(n, sizes.get(index, 1))
    a, b = map(set, indices)
    if "->" in equation:
        dots = max(sum(i.startswith(".") for i in own) for own in indices)
        result = set(_indices(right, len(right.replace("...", "")) + dots))
    else:  # what stands once, and all that the dots stand for
        counted = Counter(i for own in indices for i in own)
        result = {i for i, n in counted.items() if n == 1 or i.startswith(".")}

    def size(some: set[str]) -> int:
        return math.prod(sizes[i] for i in some)

    return Contraction(
        size((a - b) & result), size((a & b) - result), size((b - a) & result), size(a & b & result)
    )


def _indices(term: str, rank: int) -> list[str]:
    """Return the indices of an operand; those that dots stand for are counted from the right."""
    before, dots, after = term.partition("...")
    if not dots:
        return list(term)
    hidden = rank - len(before) - len(after)
    return [*before, *(f".{i}" for i in range(hidden, 0, -1)), *after]
