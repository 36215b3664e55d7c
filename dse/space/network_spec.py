"""What a file of a space of networks may hold: a workload file whose numbers follow variables."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any

from pydantic import Field, model_validator

from dse.space.schema import Arithmetic, Strict, VariableName
from dse.space.variable import Variable
from dse.space.workload import WorkloadSpec

#: What stands before a network's variables where hardware has variables, too.
PREFIX = "network."


class NetworkVariableSpec(Strict):
    """A variable of a network: a range of integers with steps, or a list of growing numbers."""

    min: int | None = Field(default=None, ge=0, le=2**31)
    max: int | None = Field(default=None, ge=0, le=2**31)
    step: int = Field(default=1, ge=1)
    values: (
        Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1, max_length=1000)]
        | None
    ) = None
    default: float
    description: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> NetworkVariableSpec:
        ranged = self.min is not None and self.max is not None
        if ranged == (self.values is not None) or (self.min is None) != (self.max is None):
            raise ValueError("expected either min and max, or values")
        if self.values is not None and list(self.values) != sorted(set(self.values)):
            raise ValueError("values: expected numbers in growing order")
        if self.min is not None and self.max is not None and self.max < self.min:
            raise ValueError(f"max = {self.max} lies below min = {self.min}")
        if self.default not in self.numbers:
            raise ValueError(f"default = {self.default:g}: expected {number_list(self.numbers)}")
        return self

    @property
    def numbers(self) -> tuple[float, ...]:
        """All numbers that it may be, growing."""
        if self.values is not None:
            return self.values
        return tuple(map(float, range(self.min or 0, (self.max or 0) + 1, self.step)))


class NetworkSpaceSpec(WorkloadSpec):
    """A whole file; layers may have a condition, ``when``.

    Attributes:
        derived: names for arithmetic over parameters, variables and the derived names before.
    """

    variables: dict[VariableName, NetworkVariableSpec] = Field(min_length=1)
    derived: dict[VariableName, Arithmetic] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_meaning(self) -> NetworkSpaceSpec:
        groups = (self.parameters, self.variables, self.derived)
        names = [name for group in groups for name in group]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"'{twice[0]}' stands for two of parameters, variables and derived")
        return self


def is_network_space(content: Any) -> bool:  # noqa: ANN401
    """Whether a workload file's content is a space of networks."""
    return isinstance(content, dict) and "variables" in content and "layers" in content


def variable_of(name: str, spec: NetworkVariableSpec) -> Variable:
    """Return the variable as searches know it: whole numbers, or choices that stand for others."""
    numbers = spec.numbers
    if all(number.is_integer() for number in numbers):
        whole = tuple(int(number) for number in numbers)
        return Variable(
            PREFIX + name, whole[0], whole[-1], values=whole, default=int(spec.default),
            description=spec.description,
        )  # fmt: skip
    return Variable(
        PREFIX + name,
        0,
        len(numbers) - 1,
        description=spec.description,
        choices=tuple(f"{number:g}" for number in numbers),
        meanings=tuple((f"{number:g}",) for number in numbers),
        default=numbers.index(spec.default),
    )


def number_list(numbers: tuple[float, ...]) -> str:
    """Return numbers as errors list them."""
    if len(numbers) > 8:
        step = numbers[1] - numbers[0]
        if all(math.isclose(b - a, step) for a, b in pairwise(numbers)):
            return f"one of {numbers[0]:g} to {numbers[-1]:g} in steps of {step:g}"
    return f"one of {', '.join(f'{number:g}' for number in numbers)}"
