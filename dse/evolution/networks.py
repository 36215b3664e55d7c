"""The loop over networks on one piece of hardware: once-for-all's evolution, by networks' worth.

Once-for-all (Cai et al., ICLR 2020) searches the most accurate network within a limit on its cost;
here, as in NAAS (DAC 2021), it is the other way round: networks that are accurate enough, and among
them what costs least. Where nothing says what is enough, networks are ranked by both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dse.errors import SpecError
from dse.goals.limits import Limit
from dse.goals.metric_names import ACCURACY
from dse.goals.pareto import crowding_distance, nondominated_ranks
from dse.space.network_space import NetworkSpace
from dse.space.search_space import SearchSpace
from dse.space.variable import Values

#: Draws of a network before it is drawn to the most accurate one known.
_DRAWS = 30
#: Steps by which that is done.
_STEPS = 20


@dataclass(frozen=True)
class Member:
    """A network on a piece of hardware.

    Attributes:
        values: of the network's variables.
        value: of the objective; infinite where it is not valid there.
        error: 1 - accuracy.
    """

    values: Values
    value: float
    error: float


@dataclass(frozen=True)
class Breeding:
    """How generations of networks follow each other; once-for-all's settings.

    Attributes:
        population: networks of a generation.
        parents: share of it that become parents: the best so far.
        mutants: share of the children that have one parent; the others have two.
        mutation: probability that a variable of a mutant is drawn anew.
    """

    population: int
    parents: float
    mutants: float
    mutation: float


@dataclass
class TriedNetworks:
    """The networks that one piece of hardware has seen, in order."""

    members: list[Member] = field(default_factory=list)

    def ranked(self, by_accuracy: bool) -> list[Member]:
        """Return the valid ones, best first: by the objective, or by it and the error alike."""
        valid = [m for m in self.members if math.isfinite(m.value)]
        if not by_accuracy or len(valid) < 2:
            return sorted(valid, key=lambda m: m.value)
        points = np.array([(math.log(max(m.value, 1e-300)), m.error) for m in valid])
        rank = nondominated_ranks(points)
        distance = np.zeros(len(valid))
        for number in np.unique(rank):
            here = rank == number
            distance[here] = crowding_distance(points[here])
        return [valid[i] for i in np.lexsort((-distance, rank))]


class NetworkEvolution:
    """Draws networks that are accurate enough.

    Args:
        space: of hardware and networks.
        breeding: how generations follow each other.
        limits: those on accuracy alone rule networks out before they are mapped.
    """

    def __init__(self, space: SearchSpace, breeding: Breeding, limits: Iterable[Limit]) -> None:
        if space.networks is None:
            raise ValueError("expected a space of networks")
        self.networks: NetworkSpace = space.networks
        self.breeding = breeding
        self._space = space
        self._limits = [limit for limit in limits if limit.names == {ACCURACY}]
        self._anchor = self._most_accurate()

    @property
    def by_accuracy(self) -> bool:
        """Whether networks are ranked by accuracy, too: nothing says what is enough."""
        return not self._limits

    def first(self, rng: np.random.Generator, count: int, known: Sequence[Values]) -> list[Values]:
        """Return different networks: known ones, and random ones that are accurate enough.

        Args:
            rng: of all randomness.
            count: of them; fewer where no more are found.
            known: networks that were good elsewhere; the first of them are taken.
        """
        found: dict[tuple[int, ...], Values] = {}
        for values in known[:count]:
            found[_key(values)] = values
        for _ in range(4 * count):
            if len(found) >= count:
                break
            drawn = self._enough(rng, self.networks.sample(rng))
            found.setdefault(_key(drawn), drawn)
        return list(found.values())

    def children(
        self, rng: np.random.Generator, count: int, population: TriedNetworks
    ) -> list[Values]:
        """Return networks bred from the best that a piece of hardware has seen."""
        ranked = population.ranked(self.by_accuracy)
        parents = ranked[: max(2, round(self.breeding.parents * self.breeding.population))]
        seen = {_key(m.values) for m in population.members}
        found: list[Values] = []
        for _ in range(4 * count):
            if len(found) >= count:
                break
            child = self._child(rng, parents, len(found) < self.breeding.mutants * count)
            if _key(child) not in seen:
                seen.add(_key(child))
                found.append(child)
        # what has been seen before costs nothing new: its layers are known
        missing = count - len(found)
        return found + [self._child(rng, parents, mutant=True) for _ in range(missing)]

    def _child(self, rng: np.random.Generator, parents: Sequence[Member], mutant: bool) -> Values:
        if not parents:
            return self._enough(rng, self.networks.sample(rng))
        for _ in range(_DRAWS):
            values = dict(parents[int(rng.integers(len(parents)))].values)
            other = parents[int(rng.integers(len(parents)))].values
            for variable in self.networks.free:
                if mutant and rng.random() < self.breeding.mutation:
                    values[variable.name] = variable.sample(rng)
                elif not mutant and rng.random() < 0.5:
                    values[variable.name] = other[variable.name]
            values = self.networks.canonical(values)
            if self._is_enough(values):
                return values
        return self._enough(rng, values)

    def _enough(self, rng: np.random.Generator, values: Values) -> Values:
        """Return a network that is accurate enough: this one, another, or one drawn to the best."""
        for _ in range(_DRAWS):
            if self._is_enough(values):
                return values
            values = self.networks.sample(rng)
        for step in range(1, _STEPS + 1):
            mixed = {
                v.name: (
                    self._anchor[v.name] if rng.random() < step / _STEPS else values[v.name]
                )
                for v in self.networks.variables
            }  # fmt: skip
            mixed = self.networks.canonical(mixed)
            if self._is_enough(mixed):
                return mixed
        return self._anchor

    def _is_enough(self, values: Values) -> bool:
        accuracy = self._space.accuracy_of(values)
        if accuracy is None or not math.isfinite(accuracy):
            return False
        return all(limit.excess({ACCURACY: accuracy}) <= 0 for limit in self._limits)

    def _most_accurate(self) -> Values:
        """Return a network that is accurate enough, the most accurate of some.

        Raises:
            SpecError: none of them is.
        """
        rng = np.random.default_rng(0)
        corners = [
            {
                v.name: self.networks.fixed.get(v.name, getattr(v, end))
                for v in self.networks.variables
            }
            for end in ("maximum", "minimum")
        ]
        tried = [self.networks.defaults, *map(self.networks.canonical, corners)]
        tried += [self.networks.sample(rng) for _ in range(200)]
        known = [(self._space.accuracy_of(v), v) for v in tried]
        ranked = sorted(
            ((a, i) for i, (a, _) in enumerate(known) if a is not None and math.isfinite(a)),
            reverse=True,
        )
        for _, i in ranked:
            if self._is_enough(tried[i]):
                return tried[i]
        best = (
            f"the most accurate of {len(tried)} has {ranked[0][0]:g}" if ranked else "none is known"
        )
        told = ", ".join(limit.source for limit in self._limits) or "an accuracy"
        raise SpecError(f"no network of '{self.networks.name}' has {told}: {best}")


def front_area(members: Iterable[Member], value: float, error: float) -> float:
    """Return the area that networks dominate, over the error and the logarithm of the objective.

    Args:
        members: of one piece of hardware.
        value: of the objective, up to which it counts.
        error: up to which it counts.
    """
    area, reached, best = 0.0, error, math.log(value)
    below = [m for m in members if m.value < value and m.error < error]
    # from the least objective to the least error
    for member in sorted(below, key=lambda m: (m.value, m.error)):
        if member.error < reached:
            height = best - math.log(max(member.value, 1e-300))
            area += (reached - member.error) * height
            reached = member.error
    return area


def _key(values: Values) -> tuple[int, ...]:
    return tuple(values.values())
