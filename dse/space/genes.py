"""Design variables as genes: drawing, mutating, crossing, and repair where variables are tied.

A gene is the value of one free variable. Where the template requires an equality, such as
``mesh_x * mesh_y == 168``, the variable named last follows from the others and is no gene.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.errors import SpecError
from dse.space.rules import Relation
from dse.space.search_space import SearchSpace
from dse.space.variable import Values, Variable

#: Draws of a child before it is replaced by random hardware.
_TRIES = 32
#: Largest ranges of values that are gone through for a variable that follows from others.
_MOST_VALUES = 10_000


class Genes:
    """The genes of a search space.

    Attributes:
        free: the variables that are genes.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._tied: list[tuple[Variable, Relation]] = []
        tied: set[str] = set()
        free = {v.name: v for v in space.free}
        for relation in space.template.requirements:
            if relation.sign != "==":
                continue
            able = [
                name
                for name in free
                if name in relation.names and name not in tied and free[name].count <= _MOST_VALUES
            ]
            if able:
                tied.add(able[-1])
                self._tied.append((free[able[-1]], relation))
        self.free: tuple[Variable, ...] = tuple(v for v in space.free if v.name not in tied)

    def sample(self, rng: np.random.Generator) -> Values:
        """Draw random hardware that meets the requirements and the budget."""
        return self.space.sample_values(rng)

    def distance(self, one: Values, other: Values) -> int:
        """Number of genes in which two differ."""
        return sum(one[v.name] != other[v.name] for v in self.free)

    def child(
        self,
        rng: np.random.Generator,
        parents: Sequence[Values],
        mutation: float,
        creep: float = 0.0,
    ) -> Values:
        """Return a child: genes of the parents, each mutated with some probability.

        Args:
            rng: of all randomness.
            parents: each gene comes from either of them, equally likely.
            mutation: probability that a gene is drawn anew.
            creep: share of the mutations that go to a neighbouring value instead, where values
                have an order.
        """
        for _ in range(_TRIES):
            values = dict(parents[0])
            for variable in self.free:
                name = variable.name
                if len(parents) > 1:
                    values[name] = parents[int(rng.integers(len(parents)))][name]
                if rng.random() < mutation:
                    values[name] = _mutated(rng, variable, values[name], creep)
            repaired = self.repaired(rng, values)
            if repaired is not None:
                return repaired
        return self.sample(rng)

    def repaired(self, rng: np.random.Generator, values: Values) -> Values | None:
        """Return hardware with these genes whose tied variables fit; None where none can be."""
        tied = self.tied(rng, values)
        if tied is None or not self.space.admits(tied):
            return None
        return self.space.canonical(tied)

    def tied(self, rng: np.random.Generator, values: Values) -> Values | None:
        """Return as :meth:`repaired`, whatever the budget and the other requirements say."""
        values = dict(values)
        return values if self._repair(rng, values) else None

    def _repair(self, rng: np.random.Generator, values: Values) -> bool:
        """Set the tied variables to fit the others; False where no value does."""
        for variable, relation in self._tied:
            if _holds(relation, values):
                continue
            fitting = []
            for index in range(variable.count):
                value = variable.value_at(index)
                if _holds(relation, {**values, variable.name: value}):
                    fitting.append(value)
            if not fitting:
                return False
            values[variable.name] = fitting[int(rng.integers(len(fitting)))]
        return True


def _mutated(rng: np.random.Generator, variable: Variable, value: int, creep: float) -> int:
    if creep and not variable.choices and rng.random() < creep:
        index = variable.index_of(value)
        reach = max(1, variable.count // 20)
        step = int(rng.integers(1, reach + 1)) * (1 if rng.random() < 0.5 else -1)
        return variable.value_at(min(max(index + step, 0), variable.count - 1))
    return variable.sample(rng)


def _holds(relation: Relation, values: Values) -> bool:
    try:
        relation.check(values)
    except SpecError:
        return False
    return True
