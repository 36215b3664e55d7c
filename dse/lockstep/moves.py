"""Hardware near a given one: variables moved by powers of two, alone or against each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dse.space.genes import Genes
from dse.space.variable import Values, Variable
from dse.state.entries import CheckedEntries

#: Ranges at least this wide are moved along by ratios, others by positions.
_WIDE = 4


@dataclass(frozen=True)
class Direction:
    """Which variables move, and which way: ``((name, +1 or -1), ...)``."""

    signs: tuple[tuple[str, int], ...]


class Moves:
    """The moves of a search space.

    Args:
        genes: the variables that are free to move, and how the others follow.
    """

    def __init__(self, genes: Genes) -> None:
        self._genes = genes
        names = [v.name for v in genes.free if v.count > 1]
        alone = [Direction(((name, sign),)) for name in names for sign in (1, -1)]
        against = [Direction(((up, 1), (down, -1))) for up in names for down in names if up != down]
        self.alone: tuple[Direction, ...] = tuple(alone)
        self.against: tuple[Direction, ...] = tuple(against)
        self._all = (*alone, *against)
        self._numbers = {direction: number for number, direction in enumerate(self._all)}

    def number(self, direction: Direction) -> int:
        """Return what stands for a direction in a state."""
        return self._numbers[direction]

    def take(self, entries: CheckedEntries, key: str) -> list[Direction]:
        """Return the directions whose numbers an entry lists; SpecError where there are none."""
        numbers = entries.items(key, int)
        if not all(0 <= number < len(self._all) for number in numbers):
            entries.refuse(key, numbers, f"numbers of {len(self._all)} directions")
        return [self._all[number] for number in numbers]

    def moved(
        self, rng: np.random.Generator, values: Values, direction: Direction, octaves: float
    ) -> Values | None:
        """Return the hardware so many octaves away; None where there is none that can be.

        Args:
            rng: picks where several values of a tied variable fit.
            values: where to start.
            direction: which variables move.
            octaves: how far, in powers of two; every variable moves by one position at least.
        """
        found = dict(values)
        for name, sign in direction.signs:
            variable = self._genes.space.template.variable(name)
            value = _moved(variable, values[name], sign * octaves)
            if value is None:
                return None
            found[name] = value
        return self._genes.repaired(rng, found)


def _moved(variable: Variable, value: int, octaves: float) -> int | None:
    """Return the legal value so many octaves away; None beyond the ends."""
    index = variable.index_of(value)
    sign = 1 if octaves > 0 else -1
    if variable.choices:
        target = index + sign
    elif variable.minimum > 0 and variable.maximum >= _WIDE * variable.minimum:
        target = _nearest(variable, value * 2.0**octaves)
        if sign * (target - index) < 1:
            target = index + sign
    else:
        reach = max(1, round(variable.count * (2.0 ** abs(octaves) - 1) / 8))
        target = index + sign * reach
    target = min(max(target, 0), variable.count - 1)
    return variable.value_at(target) if target != index else None


def _nearest(variable: Variable, wanted: float) -> int:
    """Return the position of the legal value that is nearest by ratio."""
    if variable.values:
        gaps = [abs(math.log(wanted / value)) for value in variable.values]
        return gaps.index(min(gaps))
    return min(max(round((wanted - variable.minimum) / variable.step), 0), variable.count - 1)
