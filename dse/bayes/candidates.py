"""Designs that an acquisition is maximised over: legal values only, so that nothing is rounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dse.bayes.encoding import position, value_at
from dse.space.genes import Genes
from dse.space.search_space import SearchSpace
from dse.space.variable import Values, Variable

#: Deviation, in the unit cube, of draws around a design.
_SPREAD = 0.1

DesignKey = tuple[tuple[str, int], ...]


def key_of(values: Values) -> DesignKey:
    """Return what tells designs apart."""
    return tuple(values.items())


class Candidates:
    """Draws designs of a space, and says which are next to one."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._genes = Genes(space)
        self._moving = tuple(v for v in self._genes.free if v.count > 1)
        template = space.template
        self._bounded = bool(template.requirements) or template.spec.budget is not None
        self._admitted: dict[DesignKey, bool] = {}

    def admits(self, values: Values) -> bool:
        """Whether requirements and budget are met; building the hardware takes a millisecond."""
        if not self._bounded:
            return True
        key = key_of(values)
        if key not in self._admitted:
            self._admitted[key] = self._space.template.admits(values)
        return self._admitted[key]

    def warm_up(self, rng: np.random.Generator, count: int) -> list[Values]:
        """Return designs spread over the cube, a Latin hypercube; all within the budget."""
        genes = self._moving
        places = np.empty((count, len(genes)))
        for column in places.T:
            column[:] = (rng.permutation(count) + rng.random(count)) / count
        return [self._at(rng, row) or self._genes.sample(rng) for row in places]

    def random(self, rng: np.random.Generator, count: int) -> list[Values]:
        """Return designs uniform in the cube; they may be beyond the budget."""
        places = rng.random((count, len(self._moving)))
        found = [self._tied(rng, row) for row in places]
        return [values for values in found if values is not None]

    def sample(self, rng: np.random.Generator) -> Values:
        """Return a random design within the budget."""
        return self._genes.sample(rng)

    def neighbours(self, rng: np.random.Generator, values: Values) -> list[Values]:
        """Return the designs that differ in one gene: by 1, 2, 4, ... places, or by a choice."""
        found = []
        for gene in self._moving:
            for value in _next_values(gene, values[gene.name]):
                tied = self._genes.tied(rng, {**values, gene.name: value})
                if tied is not None:
                    found.append(tied)
        return found

    def around(
        self, rng: np.random.Generator, centres: Sequence[Values], count: int
    ) -> list[Values]:
        """Return designs near the centres: some genes a few places away, or chosen anew."""
        found = []
        genes = self._moving
        for number in range(count):
            values = dict(centres[number % len(centres)])
            for gene in genes:
                if rng.random() < max(0.5, 1 / len(genes)):
                    values[gene.name] = self._near(rng, gene, values[gene.name])
            tied = self._genes.tied(rng, values)
            if tied is not None:
                found.append(tied)
        return found

    def _near(self, rng: np.random.Generator, gene: Variable, value: int) -> int:
        if gene.choices:
            return gene.sample(rng)
        place = float(position(gene, np.array([value]))[0]) + _SPREAD * rng.standard_normal()
        return value_at(gene, min(max(place, 0.0), 1.0))

    def _at(self, rng: np.random.Generator, row: np.ndarray) -> Values | None:
        values = self._tied(rng, row)
        return values if values is not None and self.admits(values) else None

    def _tied(self, rng: np.random.Generator, row: np.ndarray) -> Values | None:
        values = {v.name: v.minimum for v in self._space.template.variables} | self._space.fixed
        for gene, place in zip(self._moving, row, strict=True):
            values[gene.name] = value_at(gene, float(place))
        return self._genes.tied(rng, values)


def _next_values(gene: Variable, value: int) -> Iterator[int]:
    if gene.choices:
        yield from (x for x in range(gene.count) if x != value)
        return
    index, step = gene.index_of(value), 1
    while step < gene.count:
        for other in (index - step, index + step):
            if 0 <= other < gene.count:
                yield gene.value_at(other)
        step *= 2
