"""NSGA-II over hardware (Deb et al., 2002): designs that trade several objectives.

It is written out here, and not taken from pymoo, because a study's state must be plain data, and
pymoo's objects do not say theirs; ranking and crowding are a page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.goals.design import Design, DesignMetrics
from dse.goals.objective import Objective, objective
from dse.goals.pareto import crowding_distance, nondominated_ranks
from dse.settings import setting
from dse.space.genes import Genes
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.state.in_space import take_values
from dse.study.optimizer import Optimizer


@dataclass(frozen=True)
class Nsga2Settings:
    """Settings of NSGA-II."""

    objectives: list[str] = setting(
        ["energy", "delay", "area"], "what is traded: objectives or arithmetic over metrics"
    )
    population: int = setting(24, "designs per generation")
    mutation: float | None = setting(
        None, "probability that a gene is drawn anew; null: one gene per child on average"
    )
    crossover: float = setting(0.9, "probability that a child has two parents")
    creep: float = setting(0.5, "share of mutations that go to a neighbouring value")
    mappings_per_hardware: int | None = setting(
        None, "mappings per layer on each hardware; null: the square root of the budget, to 1000"
    )


@dataclass(frozen=True)
class _Candidate:
    values: Values
    goal: tuple[float, ...]
    violation: float


class Nsga2(Optimizer[Nsga2Settings]):
    """NSGA-II: several objectives at once, the Pareto front between them."""

    settings_type = Nsga2Settings
    takes_networks = True
    default_samples = 100_000

    def __init__(
        self,
        space: SearchSpace,
        settings: Nsga2Settings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        super().__init__(space, settings, rng, samples)
        _check(settings)
        self._genes = Genes(space)
        wanted = settings.mappings_per_hardware
        self.mappings_per_hardware = wanted or min(max(math.isqrt(samples), 1), 1000)
        self._members: list[_Candidate] = []

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """See :attr:`dse.study.optimizer.Optimizer.objectives`."""
        return tuple(objective(name) for name in self.settings.objectives)

    def ask(self) -> list[Design]:
        """Return a random generation, then children of the best."""
        count = self.settings.population
        if not self._members:
            found = [self._genes.sample(self.rng) for _ in range(count)]
        else:
            rank, distance = _order(self._members)
            found = [self._child(rank, distance) for _ in range(count)]
        return [Design(values, mapping_samples=self.mappings_per_hardware) for values in found]

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Let the new designs compete with the old ones."""
        goals = self.objectives
        new = [
            _Candidate(d.values, tuple(goal(m) for goal in goals), 0.0 if m.valid else m.violation)
            for d, m in zip(designs, metrics, strict=True)
        ]
        # of equal hardware the latest mappings compete, unless they are beaten by the earlier ones
        joint = self._members + new
        rank, distance = _order(joint)
        order = np.lexsort((-distance, rank))
        seen: set[tuple[tuple[str, int], ...]] = set()
        kept: list[_Candidate] = []
        doubles: list[_Candidate] = []
        for index in order:
            key = tuple(joint[index].values.items())
            (doubles if key in seen else kept).append(joint[index])
            seen.add(key)
        self._members = (kept + doubles)[: self.settings.population]

    def state_dict(self) -> dict[str, State]:
        """Return the generation."""
        members: list[State] = [
            {"values": m.values, "goal": m.goal, "violation": m.violation} for m in self._members
        ]
        return {"members": members}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        with CheckedEntries(state, "optimizer") as entries:
            self._members = [self._read(member) for member in entries.each("members")]

    def _read(self, entries: CheckedEntries) -> _Candidate:
        with entries:
            return _Candidate(
                take_values(entries, "values", self.space),
                entries.numbers("goal", len(self.settings.objectives)),
                entries.number("violation"),
            )

    def _child(self, rank: npt.NDArray[np.int64], distance: npt.NDArray[np.float64]) -> Values:
        parents = [self._pick(rank, distance)]
        if self.rng.random() < self.settings.crossover:
            parents.append(self._pick(rank, distance))
        mutation = self.settings.mutation
        if mutation is None:
            mutation = 1 / max(1, len(self._genes.free))
        return self._genes.child(self.rng, parents, mutation, self.settings.creep)

    def _pick(self, rank: npt.NDArray[np.int64], distance: npt.NDArray[np.float64]) -> Values:
        """Return the better of two: the lower rank, then the lonelier."""
        one, other = (int(i) for i in self.rng.integers(0, len(self._members), 2))
        if (rank[other], -distance[other]) < (rank[one], -distance[one]):
            one = other
        return self._members[one].values


def _order(members: Sequence[_Candidate]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return rank and crowding distance, ``(N,)`` each; what misses constraints comes last."""
    value = np.array([m.goal for m in members])
    violation = np.array([m.violation for m in members])
    rank = np.full(len(members), len(members), np.int64)
    distance = -violation
    valid = np.isfinite(value).all(axis=1)
    if valid.any():
        rank[valid] = nondominated_ranks(value[valid])
        for number in np.unique(rank[valid]):
            here = rank == number
            if number < len(members):
                distance[here] = crowding_distance(value[here])
    return rank, distance


def _check(s: Nsga2Settings) -> None:
    if len(s.objectives) < 2:
        raise SpecError(f"optimizer.objectives = {s.objectives}, expected at least two")
    for name in s.objectives:
        objective(name)
    if s.population < 2:
        raise SpecError(f"optimizer.population = {s.population}, expected at least 2")
    for name in ("mutation", "crossover", "creep"):
        value = getattr(s, name)
        if value is not None and not 0 <= value <= 1:
            raise SpecError(f"optimizer.{name} = {value}, expected 0 to 1")
    if s.mappings_per_hardware is not None and s.mappings_per_hardware < 1:
        raise SpecError(
            f"optimizer.mappings_per_hardware = {s.mappings_per_hardware}, expected at least 1"
        )
