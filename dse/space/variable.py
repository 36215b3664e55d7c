"""Design variables: integers of a range with steps, of a list, or standing for named choices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from dse.errors import SpecError
from dse.numeric import Ints

if TYPE_CHECKING:
    from dse.space.schema import VariableSpec

#: The value of each variable by name.
Values = dict[str, int]


@dataclass(frozen=True)
class Variable:
    """One design variable; its values are integers.

    Attributes:
        minimum, maximum, step: the values ``minimum, minimum + step, ... <= maximum``.
        sampling: ``uniform`` over those, or ``powers_of_two`` between the bounds: how random
            hardware is drawn. Every step is a legal value under both.
        unit: for people.
        values: where not empty, the only legal values, growing; ``minimum`` and ``maximum`` are
            the first and the last.
        choices: where not empty, what the values 0, 1, ... stand for.
        meanings: the names that constraints read in place of each choice.
        default: the value that the real design has; None where there is none.
    """

    name: str
    minimum: int
    maximum: int
    step: int = 1
    sampling: str = "uniform"
    unit: str = ""
    description: str = ""
    values: tuple[int, ...] = ()
    choices: tuple[str, ...] = ()
    meanings: tuple[tuple[str, ...], ...] = ()
    default: int | None = None

    @classmethod
    def of(cls, name: str, spec: VariableSpec) -> Variable:
        """Build a variable from a file's entry."""
        low = (spec.values or (spec.min or 0,))[0]
        high = (spec.values or (spec.max or 0,))[-1]
        named = spec.choices or ()
        made = cls(
            name,
            minimum=low,
            maximum=len(spec.choices) - 1 if spec.choices else high,
            step=spec.step,
            sampling=spec.sampling,
            unit=spec.unit,
            description=spec.description,
            values=spec.values or (),
            choices=tuple(named),
            meanings=tuple(named[x] if isinstance(named, dict) else (x,) for x in named),
        )
        if spec.default is None:
            return made
        try:
            return replace(made, default=made.check(spec.default))
        except SpecError as error:
            raise SpecError(f"default: {error}") from error

    @property
    def count(self) -> int:
        """Number of legal values."""
        return len(self.values) or (self.maximum - self.minimum) // self.step + 1

    def value_at(self, index: int) -> int:
        """Return the legal value at that position, counted from 0; IndexError beyond the last."""
        if not 0 <= index < self.count:
            raise IndexError(f"variable {self.name} has {self.count} values, no index {index}")
        return self.values[index] if self.values else self.minimum + self.step * index

    def all_values(self) -> Ints:
        """Return all legal values, ``(count,)``."""
        if self.values:
            return np.array(self.values, np.int64)
        return self.minimum + self.step * np.arange(self.count, dtype=np.int64)

    def nearest(self, value: float) -> int:
        """Return the legal value that is nearest, the smaller of two."""
        if self.values:
            return min(self.values, key=lambda one: (abs(one - value), one))
        steps = np.ceil((value - self.minimum) / self.step - 0.5)
        return self.value_at(int(np.clip(steps, 0, self.count - 1)))

    def index_of(self, value: int) -> int:
        """Return the position of a legal value.

        Raises:
            SpecError: it is none.
        """
        self.check(value)
        return self.values.index(value) if self.values else (value - self.minimum) // self.step

    def label(self, value: int) -> str:
        """Return the value as people write it: the choice that it stands for, or the number."""
        return self.choices[value] if self.choices else str(value)

    def sample(self, rng: np.random.Generator) -> int:
        """Draw one value."""
        if self.sampling == "powers_of_two":
            low = (self.minimum - 1).bit_length()
            high = self.maximum.bit_length() - 1
            exponent = int(rng.integers(low, high + 1))
            return int(2**exponent)
        return self.value_at(int(rng.integers(0, self.count)))

    def check(self, value: object) -> int:
        """Return the value as an integer of this variable's range; a choice may go by name.

        Raises:
            SpecError: it is no integer, out of range, or off the steps.
        """
        if isinstance(value, str) and value in self.choices:
            return self.choices.index(value)
        expected = self._expected()
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole:
            raise SpecError(f"variable {self.name} = {value!r}: {expected}")
        number = int(cast(int, value))
        legal = (
            number in self.values
            if self.values
            else self.minimum <= number <= self.maximum and (number - self.minimum) % self.step == 0
        )
        if not legal:
            raise SpecError(f"variable {self.name} = {number}: {expected}")
        return number

    def _expected(self) -> str:
        if self.choices:
            return f"expected one of {', '.join(self.choices)}"
        if self.values:
            return f"expected one of {', '.join(map(str, self.values))}"
        expected = f"expected an integer from {self.minimum} to {self.maximum}"
        return f"{expected} in steps of {self.step}" if self.step > 1 else expected
