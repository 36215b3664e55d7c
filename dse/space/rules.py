"""What ties a template's constraints and designs to its variables."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dse.domain.expression import Expression, Number
from dse.errors import SpecError

Names = tuple[str, ...]


class Resolver:
    """Fills the variables' values into constraints.

    Args:
        values: of all variables.
        chosen: by variable with choices, the names that its value stands for.
    """

    def __init__(self, values: Mapping[str, Number], chosen: Mapping[str, Names]) -> None:
        self._values = values
        self._chosen = chosen

    def names(self, listed: Names | None) -> Names | None:
        """Return the dimensions that a list names, each once."""
        if listed is None:
            return None
        return tuple(dict.fromkeys(x for name in listed for x in self._chosen.get(name, (name,))))

    def numbers(self, factors: Mapping[str, Expression], least: int) -> dict[str, int]:
        """Return factors by dimension, none below ``least``.

        Two variables that stand for one dimension multiply.
        """
        found: dict[str, int] = {}
        for name, expression in factors.items():
            number = expression.integer(self._values)
            if number < least:
                raise SpecError(f"factor of {name} = {number}, expected at least {least}")
            for dimension in self._chosen.get(name, (name,)):
                found[dimension] = found.get(dimension, 1) * number
        return found


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Relation:
    """A comparison of two pieces of arithmetic that every design must satisfy."""

    source: str
    left: Expression
    sign: str
    right: Expression

    @classmethod
    def parse(cls, source: str) -> Relation:
        """Parse ``arithmetic sign arithmetic``; raises SpecError when it is none."""
        parts = re.split(r"(==|!=|<=|>=|<|>)", source)
        if len(parts) != 3:
            signs = " ".join(_COMPARE)
            raise SpecError(f"'{source}': expected two pieces of arithmetic and one of {signs}")
        return cls(source, Expression(parts[0].strip()), parts[1], Expression(parts[2].strip()))

    @property
    def names(self) -> frozenset[str]:
        """The variables that it mentions."""
        return self.left.names | self.right.names

    def holds(self, values: Mapping[str, Number]) -> bool:
        """Whether values satisfy it."""
        return bool(self.compare(self.left.value(values), self.right.value(values)))

    def compare(self, left: Any, right: Any) -> Any:  # noqa: ANN401 - numbers or arrays
        """Return whether two sides, numbers or equally long arrays, satisfy it."""
        return _COMPARE[self.sign](left, right)

    def check(self, values: Mapping[str, Number]) -> None:
        """Raise SpecError, with both sides, when the values do not satisfy it."""
        if not self.holds(values):
            left, right = self.left.value(values), self.right.value(values)
            raise SpecError(f"requires {self.source}, but {left:g} {self.sign} {right:g} is false")
