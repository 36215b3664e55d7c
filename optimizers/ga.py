"""Genetic algorithm over hardware; by default that of Kumar, Hofgard and Lev (MIT 6.5930, 2024).

Theirs: 8 designs per generation, the best 6 are parents, the best survives, each gene is drawn
anew with probability 0.1, no crossover; the loss is a weighted sum of z-scores, by mean and
deviation of 100 random designs; 888 hardware evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError, unknown_name
from dse.goals.design import Design, DesignMetrics
from dse.settings import setting
from dse.space.genes import Genes
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.state.in_space import take_values
from dse.study.optimizer import Optimizer

_LOSSES = ("zscore", "objective")
_SELECTIONS = ("truncation", "tournament")
#: The poster's hardware evaluations; each gets as many mappings, unless told otherwise.
_DESIGNS = 888
#: What the weighted loss is made of, and which way is good.
_TERMS = {"cycles": 1.0, "energy_pj": 1.0, "flops_per_cycle": -1.0, "utilization": -1.0}


@dataclass(frozen=True)
class GeneticSettings:
    """Settings of the genetic algorithm; the defaults are the poster's."""

    population: int = setting(8, "designs per generation")
    parents: int = setting(6, "the best so many may become parents (selection=truncation)")
    elite: int = setting(1, "best designs that go on unchanged, and are mapped again")
    mutation: float = setting(0.1, "probability that a gene is drawn anew")
    crossover: float = setting(0.0, "probability that a child has two parents")
    selection: str = setting("truncation", "how parents are picked: truncation tournament")
    tournament: int = setting(3, "designs that compete to become a parent (selection=tournament)")
    creep: float = setting(0.0, "share of mutations that go to a neighbouring value")
    adaptive: bool = setting(
        False, "mutate more the longer nothing better was found, up to 4 times as much"
    )
    niche: int = setting(
        0, "designs that differ from a better one in fewer genes cannot be parents; 0: off"
    )
    loss: str | None = setting(
        None,
        "what the generations minimise: zscore (weighted, the poster's) or objective; null: "
        "zscore where the objective is edp, else objective",
    )
    weights: dict[str, float] = setting(
        {"cycles": 1.0, "energy": 1.0, "gflops": 1.0, "utilization": 1.0},
        "of cycles and energy (less is better), gflops and utilization (more is) in zscore",
    )
    norm_designs: int = setting(100, "random designs evaluated first, for means and deviations")
    mappings_per_hardware: int | None = setting(
        None, "mappings per layer on each hardware; null: the square root of the budget, to 1000"
    )


@dataclass(frozen=True)
class _Individual:
    values: Values
    metrics: DesignMetrics


class GeneticAlgorithm(Optimizer[GeneticSettings]):
    """Genetic algorithm over hardware; mappings come from the mapper."""

    settings_type = GeneticSettings
    takes_networks = True
    default_samples = _DESIGNS * _DESIGNS

    def __init__(
        self,
        space: SearchSpace,
        settings: GeneticSettings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        super().__init__(space, settings, rng, samples)
        _check(settings)
        self._genes = Genes(space)
        wanted = settings.mappings_per_hardware
        self.mappings_per_hardware = wanted or min(max(math.isqrt(samples), 1), 1000)
        self._weighted = (
            settings.loss == "zscore"
            if settings.loss is not None
            else space.objective.name == "edp"
        )
        # a small budget is not to be spent on means and deviations
        designs = samples // self.mappings_per_hardware
        self._to_norm = min(settings.norm_designs, designs // 4) if self._weighted else 0
        # designs of the normalisation so far, and the terms of those that are valid
        self._normed = 0
        self._terms: npt.NDArray[np.float64] = np.empty((0, len(_TERMS)))
        self._norm: dict[str, tuple[float, float]] = {}
        self._members: list[_Individual] = []
        self._best_loss = math.inf
        self._stalled = 0

    def ask(self) -> list[Design]:
        """Return the random designs of the normalisation, then generation after generation."""
        if self._normed < self._to_norm:
            left = self._to_norm - self._normed
            return [self._design(self._genes.sample(self.rng)) for _ in range(min(left, 20))]
        ranked = self._ranked()
        if not ranked:
            return [
                self._design(self._genes.sample(self.rng)) for _ in range(self.settings.population)
            ]
        elite = [member.values for member in ranked[: self.settings.elite]]
        pool = self._pool(ranked)
        children = [self._child(pool) for _ in range(self.settings.population - len(elite))]
        return [self._design(values) for values in (*elite, *children)]

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Take the generation's results; an elite design keeps the better of its mappings."""
        if self._normed < self._to_norm:
            rows = [list(_terms(m).values()) for m in metrics if m.valid]
            self._terms = np.concatenate([self._terms, np.reshape(rows, (-1, len(_TERMS)))])
            self._normed += len(metrics)
            self._normalise()
            return
        known = {tuple(m.values.items()): m.metrics for m in self._members}
        members = []
        for design, new in zip(designs, metrics, strict=True):
            old = known.get(tuple(design.values.items()))
            better = old is not None and self._key(old) < self._key(new)
            members.append(_Individual(design.values, old if old is not None and better else new))
        self._members = members
        best = min((self._key(m.metrics)[1] for m in members if m.metrics.valid), default=math.inf)
        self._stalled = 0 if best < self._best_loss else self._stalled + 1
        self._best_loss = min(best, self._best_loss)

    def state_dict(self) -> dict[str, State]:
        """Return the generation, and what the normalisation is made of."""
        return {
            "normed": self._normed,
            "terms": self._terms,
            "members": [{"values": m.values, "metrics": m.metrics} for m in self._members],
            "best_loss": self._best_loss,
            "stalled": self._stalled,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        with CheckedEntries(state, "optimizer") as entries:
            self._normed = entries.integer("normed", 0, self._to_norm)
            self._terms = entries.array("terms", np.float64, (None, len(_TERMS)))
            self._members = [self._read(member) for member in entries.each("members")]
            self._best_loss = entries.number("best_loss")
            self._stalled = entries.integer("stalled", 0)
        self._normalise()

    def _read(self, entries: CheckedEntries) -> _Individual:
        with entries:
            values = take_values(entries, "values", self.space)
            return _Individual(values, entries.record("metrics", DesignMetrics))

    def _normalise(self) -> None:
        """Take mean and deviation of each term once all designs for it are there."""
        if self._normed >= self._to_norm and len(self._terms):
            self._norm = _normalisation(self._terms)

    def _design(self, values: Values) -> Design:
        return Design(values, mapping_samples=self.mappings_per_hardware)

    def _key(self, metrics: DesignMetrics) -> tuple[float, float]:
        """Sort key: valid designs by loss, before the others by how much they miss."""
        if not metrics.valid:
            return math.inf, metrics.violation
        if not self._weighted:
            return 0.0, self.space.objective(metrics)
        loss = 0.0
        for (name, sign), weight in zip(_TERMS.items(), self._weights(), strict=True):
            mean, deviation = self._norm.get(name, (0.0, 1.0))
            loss += sign * weight * (_terms(metrics)[name] - mean) / deviation
        return 0.0, loss

    def _weights(self) -> list[float]:
        given = self.settings.weights
        return [given.get(name, 1.0) for name in ("cycles", "energy", "gflops", "utilization")]

    def _ranked(self) -> list[_Individual]:
        return sorted(self._members, key=lambda m: self._key(m.metrics))

    def _pool(self, ranked: list[_Individual]) -> list[_Individual]:
        """Return who may become a parent, best first."""
        niche = self.settings.niche
        if niche:
            apart: list[_Individual] = []
            for member in ranked:
                if all(self._genes.distance(member.values, x.values) >= niche for x in apart):
                    apart.append(member)
            ranked = apart
        if self.settings.selection == "truncation":
            return ranked[: self.settings.parents]
        return ranked

    def _child(self, pool: list[_Individual]) -> Values:
        s = self.settings
        parents = [self._pick(pool).values]
        if self.rng.random() < s.crossover:
            parents.append(self._pick(pool).values)
        mutation = s.mutation
        if s.adaptive:
            mutation = min(1.0, mutation * (1 + min(self._stalled, 30) / 10))
        return self._genes.child(self.rng, parents, mutation, s.creep)

    def _pick(self, pool: list[_Individual]) -> _Individual:
        if self.settings.selection == "truncation":
            return pool[int(self.rng.integers(len(pool)))]
        # the pool is sorted: the lowest index is the best
        return pool[int(self.rng.integers(0, len(pool), self.settings.tournament).min())]


def _terms(metrics: DesignMetrics) -> dict[str, float]:
    """Return what the weighted loss is made of."""
    return {
        "cycles": metrics.cycles,
        "energy_pj": metrics.energy_pj,
        "flops_per_cycle": metrics.operations / metrics.cycles,
        "utilization": metrics.utilization,
    }


def _normalisation(terms: npt.NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of each term, by rows of the terms of valid designs."""
    result = {}
    for name, column in zip(_TERMS, np.ascontiguousarray(terms.T), strict=True):
        deviation = float(column.std())
        result[name] = (float(column.mean()), deviation if deviation > 0 else 1.0)
    return result


def _check(s: GeneticSettings) -> None:
    for name, least in (("population", 2), ("parents", 1), ("tournament", 1)):
        if getattr(s, name) < least:
            raise SpecError(f"optimizer.{name} = {getattr(s, name)}, expected at least {least}")
    if not 0 <= s.elite < s.population:
        raise SpecError(f"optimizer.elite = {s.elite}, expected 0 to {s.population - 1}")
    for name in ("niche", "norm_designs"):
        if getattr(s, name) < 0:
            raise SpecError(f"optimizer.{name} = {getattr(s, name)}, expected 0 or more")
    for name in ("mutation", "crossover", "creep"):
        if not 0 <= getattr(s, name) <= 1:
            raise SpecError(f"optimizer.{name} = {getattr(s, name)}, expected 0 to 1")
    if s.selection not in _SELECTIONS:
        raise SpecError(unknown_name("optimizer.selection", s.selection, _SELECTIONS))
    if s.loss is not None and s.loss not in _LOSSES:
        raise SpecError(unknown_name("optimizer.loss", s.loss, _LOSSES))
    if s.mappings_per_hardware is not None and s.mappings_per_hardware < 1:
        raise SpecError(
            f"optimizer.mappings_per_hardware = {s.mappings_per_hardware}, expected at least 1"
        )
    terms = ("cycles", "energy", "gflops", "utilization")
    for name in s.weights:
        if name not in terms:
            raise SpecError(unknown_name("optimizer.weights", name, terms))
