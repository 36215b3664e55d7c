"""One hardware with the searches of all layers on it, and the best network they add up to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dse.lockstep.layer import LayerSearch
from dse.lockstep.machine import Machine
from dse.mapping import Mapping, MappingBatch
from dse.study.design import Design, DesignMetrics
from dse.study.objective import Objective
from dse.variable import Values

#: Relative step of the difference quotients that give an objective's slope.
_STEP = 1e-4
#: Re-rankings of the members against the slope of the network that they add up to.
_ROUNDS = 4

Slope = tuple[float, float]


@dataclass
class Site:
    """A hardware point of the search.

    Attributes:
        values: of the design variables.
        searches: one per layer of the workload.
        counts: how often the network runs each layer.
        spent: samples spent here.
        value: the objective of the best network known; infinite before there is one.
        slope: d objective / d energy and d cycles at that network.
        violation: by how much constraints on metrics were missed by the last design that missed
            them, 0 where one met them.
    """

    values: Values
    searches: list[LayerSearch]
    counts: tuple[int, ...]
    spent: int = 0
    value: float = math.inf
    slope: Slope = (1.0, 1.0)
    violation: float = math.inf
    _asked: list[MappingBatch] = field(default_factory=list)
    _like: DesignMetrics | None = None

    @property
    def rank(self) -> tuple[float, float]:
        """What sites are compared by, smaller is better."""
        return self.violation, self.value

    def designs(
        self,
        machine: Machine,
        count: int,
        seeds: Sequence[MappingBatch] | None,
        rng: np.random.Generator,
    ) -> list[Design]:
        """Return ``count`` designs, a new mapping of every layer in each.

        Empty where some layer cannot be mapped.

        Args:
            machine: this hardware.
            count: designs wanted.
            seeds: mappings to begin with, per layer; None: none.
            rng: of all randomness.
        """
        asked = []
        for number, search in enumerate(self.searches):
            first = search.take_new(seeds[number], count) if seeds else None
            have = len(first) if first is not None else 0
            parts = [first] if first is not None and have else []
            if have < count:
                ground = machine.ground(number)
                more = ground and search.propose(ground, count - have, self.slope, rng)
                if not more:
                    return []
                parts.append(more)
            asked.append(MappingBatch.concatenate(parts))
        self._asked = asked
        return [Design(self.values, tuple(batch[i] for batch in asked)) for i in range(count)]

    def learn(self, machine: Machine, metrics: Sequence[DesignMetrics], goal: Objective) -> None:
        """Take in what the designs of the last :meth:`designs` are worth."""
        priced = [i for i, m in enumerate(metrics) if m.layers]
        self.spent += len(metrics)
        if any(m.valid for m in metrics):
            self.violation = 0.0
        elif self.violation > 0:
            self.violation = min((m.violation for m in metrics), default=math.inf)
        if not priced:
            return
        if self._like is None:
            like = machine.network_metrics(metrics[priced[0]].layers)
            self._like = replace(like, layers=())
            self.slope = _first_slope(metrics[priced[0]])
        for number, search in enumerate(self.searches):
            batch = self._asked[number].take(np.array(priced, np.intp))
            rows = [metrics[i].layers[number] for i in priced]
            energy = np.array([row.energy_pj for row in rows])
            cycles = np.array([row.cycles for row in rows])
            search.learn(batch, energy, cycles, self.slope)
        self._asked = []
        self._add_up(goal)

    def best(self) -> Design:
        """Return the best network known, as a design."""
        mappings: list[Mapping] = []
        for search in self.searches:
            if search.members is None:
                raise ValueError("nothing was evaluated on this hardware yet")
            mappings.append(search.members[search.best(self.slope)])
        return Design(self.values, tuple(mappings))

    def _add_up(self, goal: Objective) -> None:
        """Pick each layer's best against the slope of the sum, until that stays the same."""
        for _ in range(_ROUNDS):
            picks = [search.best(self.slope) for search in self.searches]
            pairs = list(zip(self.counts, self.searches, picks, strict=True))
            energy = sum(n * float(x.energy_pj[i]) for n, x, i in pairs)
            cycles = sum(n * float(x.cycles[i]) for n, x, i in pairs)
            value = self._objective(goal, energy, cycles)
            slope = self._slope(goal, energy, cycles)
            self.value = value
            if slope == self.slope:
                break
            self.slope = slope

    def _objective(self, goal: Objective, energy_pj: float, cycles: float) -> float:
        like = self._like
        if like is None:
            return math.inf
        utilization = like.utilization * like.cycles / cycles
        return goal(replace(like, energy_pj=energy_pj, cycles=cycles, utilization=utilization))

    def _slope(self, goal: Objective, energy: float, cycles: float) -> Slope:
        """Return the objective's slope; that of the EDP where mappings do not matter to it."""
        more, less = 1 + _STEP, 1 - _STEP
        by_energy = self._objective(goal, energy * more, cycles) - self._objective(
            goal, energy * less, cycles
        )
        by_cycles = self._objective(goal, energy, cycles * more) - self._objective(
            goal, energy, cycles * less
        )
        slope = by_energy / (2 * _STEP * energy), by_cycles / (2 * _STEP * cycles)
        if not all(map(math.isfinite, slope)) or slope == (0.0, 0.0):
            return cycles, energy
        return slope


def _first_slope(metrics: DesignMetrics) -> Slope:
    """Return the slope of the EDP at any design: good enough to rank the first mappings."""
    energy = sum(layer.count * layer.energy_pj for layer in metrics.layers)
    cycles = sum(layer.count * layer.cycles for layer in metrics.layers)
    return cycles, energy
