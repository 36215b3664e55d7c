"""One hardware with the searches of all layers on it, and the best network they add up to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dse.domain.mapping import Mapping, MappingBatch
from dse.goals.design import Design, DesignMetrics
from dse.goals.objective import Objective
from dse.lockstep.hardware import BuiltHardware
from dse.lockstep.layer import LayerSearch, Slope
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.state.in_space import check_mappings, take_values

#: Relative step of the difference quotients that give an objective's slope.
_STEP = 1e-4
#: Re-rankings of the members against the slope of the network that they add up to.
_ROUNDS = 4


@dataclass
class Site:
    """A hardware point of the search.

    Attributes:
        values: of the design variables.
        searches: one per layer of the workload.
        counts: how often the network runs each layer.
        spent: samples spent here.
        value: the objective of the best network known; infinite before there is one.
        slopes: for each layer, d objective / d energy and d cycles of its network there.
        violation: by how much constraints on metrics were missed by the last design that missed
            them, 0 where one met them.
    """

    values: Values
    searches: list[LayerSearch]
    counts: tuple[int, ...]
    spent: int = 0
    value: float = math.inf
    slopes: list[Slope] = field(default_factory=list)
    violation: float = math.inf
    _asked: list[MappingBatch] = field(default_factory=list)
    _like: DesignMetrics | None = None

    @property
    def rank(self) -> tuple[float, float]:
        """What sites are compared by, smaller is better."""
        return self.violation, self.value

    @property
    def priced(self) -> bool:
        """Whether any design on this hardware could be evaluated."""
        return self._like is not None

    def state_dict(self) -> dict[str, State]:
        """Return it as plain data; what was asked for and not yet learned from is left out."""
        return {
            "values": self.values,
            "searches": [search.state_dict() for search in self.searches],
            "spent": self.spent,
            "value": self.value,
            "slopes": np.array(self.slopes, np.float64).reshape(-1, 2),
            "violation": self.violation,
            "like": self._like,
        }

    @classmethod
    def of_state(cls, entries: CheckedEntries, space: SearchSpace, size: int) -> Site:
        """Return the site of a space that :meth:`state_dict` is of; searches keep ``size``.

        Raises:
            SpecError: it is of none.
        """
        layers = space.workload.layers
        with entries:
            searches = [LayerSearch.of_state(x, size) for x in entries.each("searches")]
            members = [x.members for x in searches]
            check_mappings(entries, "searches", members, space)
            like = entries.maybe("like", lambda key: entries.record(key, DesignMetrics))
            if like is not None and not all(members):
                entries.refuse("searches", None, "members of every layer")
            count = 0 if like is None else len(layers)
            slopes = entries.array("slopes", np.float64, (count, 2))
            return cls(
                values=take_values(entries, "values", space),
                searches=searches,
                counts=tuple(layer.count for layer in layers),
                spent=entries.integer("spent", 0),
                value=entries.number("value"),
                slopes=[(energy, cycles) for energy, cycles in slopes.tolist()],
                violation=entries.number("violation"),
                _like=like,
            )

    def designs(
        self,
        hardware: BuiltHardware,
        count: int,
        seeds: Sequence[MappingBatch] | None,
        rng: np.random.Generator,
    ) -> list[Design]:
        """Return ``count`` designs, a new mapping of every layer in each.

        Empty where some layer cannot be mapped.

        Args:
            hardware: this hardware.
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
                problems, slope = hardware.problems(number), self._slope_of(number)
                more = search.propose(hardware, problems, count - have, slope, rng)
                if not more:
                    return []
                parts.append(more)
            asked.append(MappingBatch.concatenate(parts))
        self._asked = asked
        networks = zip(*(batch.singly() for batch in asked), strict=True)
        return [Design(self.values, mappings) for mappings in networks]

    def learn(
        self, hardware: BuiltHardware, metrics: Sequence[DesignMetrics], goal: Objective
    ) -> None:
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
            self._like = hardware.network_metrics(metrics[priced[0]].layers)
            self.slopes = self._per_layer(_edp_slopes(_parts(self._like)))
        for number, search in enumerate(self.searches):
            batch = self._asked[number].take(np.array(priced, np.intp))
            rows = [metrics[i].layers[number] for i in priced]
            energy = np.array([row.energy_pj for row in rows])
            cycles = np.array([row.cycles for row in rows])
            search.learn(batch, energy, cycles, self.slopes[number])
        self._asked = []
        self._add_up(goal)

    def best(self) -> Design:
        """Return the best network known, as a design."""
        mappings: list[Mapping] = []
        for number, search in enumerate(self.searches):
            if search.members is None:
                raise ValueError("nothing was evaluated on this hardware yet")
            mappings.append(search.members[search.best(self.slopes[number])])
        return Design(self.values, tuple(mappings))

    def _slope_of(self, layer: int) -> Slope:
        return self.slopes[layer] if self.slopes else (1.0, 1.0)

    def _per_layer(self, slopes: Sequence[Slope]) -> list[Slope]:
        """Return each network's slope once for each of its layers."""
        return [
            slope
            for part, slope in zip(_parts(self._like), slopes, strict=True)
            for _ in part.layers
        ]

    def _add_up(self, goal: Objective) -> None:
        """Pick each layer's best against the slope of the sum, until that stays the same."""
        if self._like is None:
            return
        for _ in range(_ROUNDS):
            picks = [
                search.best(slope) for search, slope in zip(self.searches, self.slopes, strict=True)
            ]
            rows = list(zip(self.counts, self.searches, picks, strict=True))
            energy = [n * float(x.energy_pj[i]) for n, x, i in rows]
            cycles = [n * float(x.cycles[i]) for n, x, i in rows]
            here = _with_totals(self._like, energy, cycles)
            self.value = goal(here)
            slopes = self._per_layer(_slopes(goal, here))
            if slopes == self.slopes:
                break
            self.slopes = slopes


def _parts(metrics: DesignMetrics | None) -> tuple[DesignMetrics, ...]:
    """Return the networks: one, or those of a workload of several."""
    if metrics is None:
        return ()
    return metrics.networks or (metrics,)


def _joined(like: DesignMetrics, parts: Sequence[DesignMetrics]) -> DesignMetrics:
    """Return metrics with these networks in place of their own."""
    if not like.networks:
        return parts[0]
    energy, cycles = sum(p.energy_pj for p in parts), sum(p.cycles for p in parts)
    return replace(_scaled(like, energy, cycles), networks=tuple(parts))


def _scaled(like: DesignMetrics, energy_pj: float, cycles: float) -> DesignMetrics:
    """Return metrics with other totals."""
    utilization = like.utilization * like.cycles / cycles
    return replace(like, energy_pj=energy_pj, cycles=cycles, utilization=utilization)


def _with_totals(
    like: DesignMetrics, energy_pj: Sequence[float], cycles: Sequence[float]
) -> DesignMetrics:
    """Return metrics whose layers, with their counts, take so much energy and so many cycles."""
    parts, at = [], 0
    for part in _parts(like):
        stop = at + len(part.layers)
        parts.append(_scaled(part, sum(energy_pj[at:stop]), sum(cycles[at:stop])))
        at = stop
    return _joined(like, parts)


def _slopes(goal: Objective, here: DesignMetrics) -> list[Slope]:
    """Return the objective's slope by each network; the EDP's where mappings do not matter."""
    parts = _parts(here)
    found = []
    for index, part in enumerate(parts):

        def quotient(energy: float, cycles: float, index: int = index) -> float:
            values = []
            for step in (_STEP, -_STEP):
                moved = list(parts)
                one = moved[index]
                moved[index] = _scaled(
                    one, one.energy_pj * (1 + step * energy), one.cycles * (1 + step * cycles)
                )
                values.append(goal(_joined(here, moved)))
            return (values[0] - values[1]) / (2 * _STEP)

        if not part.energy_pj:
            return _edp_slopes(parts)  # no step of nothing shows a slope
        found.append((quotient(1, 0) / part.energy_pj, quotient(0, 1) / part.cycles))
    flat = [value for slope in found for value in slope]
    if not all(map(math.isfinite, flat)) or not any(flat):
        return _edp_slopes(parts)
    return found


def _edp_slopes(parts: Sequence[DesignMetrics]) -> list[Slope]:
    """Return the slope of each network's EDP."""
    return [(part.cycles, part.energy_pj) for part in parts]
