"""Hardware as a vector of numbers in [0, 1], after NAAS (Lin, Yang and Han, DAC 2021).

One number per size, in the template's order; then, for each set of choices that the template wants
all different (the parallel dimensions of an array), one importance per choice: the most important
one goes to the first variable of the set, and so on. ``encoding=index`` has one number in place of
the importances: which of all arrangements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from dse.numeric import Floats
from dse.space.search_space import SearchSpace
from dse.space.variable import Values, Variable

SCALES = ("log", "linear")


class HardwareVector:
    """The vector of some variables of a search space.

    Args:
        space: the space; its fixed variables stay as they are.
        held: further variables that are not searched, with their values.
        encoding: of choices: ``importance`` or ``index``.
        scale: of sizes: ``linear``, every legal value equally likely, or ``log``, every factor.
    """

    def __init__(self, space: SearchSpace, held: Values, encoding: str, scale: str) -> None:
        self._given = {**space.hardware(space.fixed), **held}
        self._order = [v.name for v in space.template.variables]
        free = [v for v in space.free_hardware if v.name not in held]
        self._sizes = [v for v in free if not v.choices]
        self._groups = list(_groups(space, [v for v in free if v.choices]))
        self._by_index = encoding == "index"
        self._log = scale == "log"

    def __len__(self) -> int:
        return len(self._sizes) + sum(self._width(group) for group in self._groups)

    def decode(self, x: Floats) -> Values:
        """Return the values of all variables, with the template's steps; they may be illegal."""
        values = dict(self._given)
        for u, variable in zip(x, self._sizes, strict=False):
            values[variable.name] = _size(variable, float(u), self._log)
        at = len(self._sizes)
        for group in self._groups:
            width = self._width(group)
            part = x[at : at + width]
            at += width
            choices = len(group[0].choices)
            if self._by_index:
                picked = _arrangement(float(part[0]), choices, len(group))
            else:
                picked = np.argsort(-part, kind="stable").tolist()
            values |= {v.name: int(c) for v, c in zip(group, picked, strict=False)}
        return {name: values[name] for name in self._order}

    def encode(self, values: Values) -> Floats:
        """Return a vector that decodes to these values of the searched variables."""
        x = [_place(v, values[v.name], self._log) for v in self._sizes]
        for group in self._groups:
            choices, picked = len(group[0].choices), [values[v.name] for v in group]
            if self._by_index:
                x.append(_number(picked, choices))
                continue
            importance = np.full(choices, 0.25)
            importance[picked] = 0.9 - 0.1 * np.arange(len(picked))
            x += importance.tolist()
        return np.array(x)

    def shrink(self, x: Floats, factor: float) -> Floats:
        """Return the vector with all sizes drawn to their smallest."""
        smaller = x.copy()
        smaller[: len(self._sizes)] *= factor
        return smaller

    def _width(self, group: Sequence[Variable]) -> int:
        return 1 if self._by_index else len(group[0].choices)


def _groups(space: SearchSpace, free: list[Variable]) -> Iterator[list[Variable]]:
    """Yield sets of choices that must all differ; a choice that is tied to none stands alone."""
    unequal = [r.names for r in space.template.requirements if r.sign == "!="]
    left = list(free)
    while left:
        first = left.pop(0)
        tied = [
            v
            for v in left
            if v.choices == first.choices
            and any({first.name, v.name} == names for names in unequal)
        ]
        left = [v for v in left if v not in tied]
        yield [first, *tied]


def _size(variable: Variable, u: float, log: bool) -> int:
    """Return the legal value at ``u`` of the way from the smallest to the largest."""
    if log and variable.minimum > 0 and not variable.values:
        wanted = variable.minimum * (variable.maximum / variable.minimum) ** u
        index = round((wanted - variable.minimum) / variable.step)
    else:
        index = int(u * variable.count)
    return variable.value_at(min(max(index, 0), variable.count - 1))


def _place(variable: Variable, value: int, log: bool) -> float:
    if variable.count == 1:
        return 0.5
    if log and variable.minimum > 0 and not variable.values:
        return math.log(value / variable.minimum) / math.log(variable.maximum / variable.minimum)
    return (variable.index_of(value) + 0.5) / variable.count


def _arrangement(u: float, n: int, k: int) -> list[int]:
    """Return arrangement number ``floor(u n! / (n - k)!)`` of k of n things, in their order."""
    total = math.perm(n, k)
    left = min(int(u * total), total - 1)
    things, picked = list(range(n)), []
    for i in range(k):
        total //= n - i
        picked.append(things.pop(left // total))
        left %= total
    return picked


def _number(picked: Sequence[int], n: int) -> float:
    """Return the middle of the stretch that :func:`_arrangement` reads as ``picked``."""
    total = math.perm(n, len(picked))
    things, number, left = list(range(n)), 0, total
    for i, thing in enumerate(picked):
        left //= n - i
        number += left * things.index(thing)
        things.remove(thing)
    return (number + 0.5) / total
