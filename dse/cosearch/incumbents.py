"""The best design so far: of some mappings of each layer on one hardware, by the exact model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from dse.cosearch.choices import Offer, TooManyChoicesError, best_choice
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.joint import JointChoices
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Layer
from dse.errors import ProofError, SpecError
from dse.evaluators.native import NativeEvaluator
from dse.evaluators.padded import evaluate_padded
from dse.goals.design import Design, DesignMetrics, LayerMetrics
from dse.goals.metrics import Metrics
from dse.goals.networks import network_metrics
from dse.mappers.exact.proof import layer_front
from dse.mappers.exact.tables import TooLargeError
from dse.space.search_space import SearchSpace
from dse.space.variable import Values

#: Partial mappings of a layer after which its front is given up.
_FRONT_LABELS = 20_000_000


@dataclass(frozen=True)
class Incumbent:
    """A design, priced by the exact model."""

    design: Design
    metrics: DesignMetrics
    value: float


class Incumbents:
    """Prices designs and keeps the best.

    Args:
        space: what is searched.
        goal: what is minimised.

    Attributes:
        incumbent: the best design; None before there is one.
    """

    def __init__(self, space: SearchSpace, goal: CoSearchGoal) -> None:
        self._space, self._goal = space, goal
        self._evaluator = NativeEvaluator(space.timeloop_version)
        self._choices = JointChoices(space.workload, goal)
        self.incumbent: Incumbent | None = None
        self._machine: HardwareBatch | None = None

    @property
    def value(self) -> float:
        """The incumbent's value, infinite without one."""
        return self.incumbent.value if self.incumbent else math.inf

    def build(self, values: Values) -> Architecture | None:
        """Return the priced hardware; None where there is none, or it is too large."""
        try:
            architecture = self._space.architecture(values)
        except SpecError:
            return None
        return architecture if self._goal.admits(architecture.area_um2) else None

    def evaluate(self, architecture: Architecture, layer: Layer, batch: MappingBatch) -> Metrics:
        """Price mappings of a layer, or of what it may be padded to."""
        machine = self._machine
        if machine is None or machine.architectures[0] is not architecture:
            machine = self._machine = HardwareBatch.of(architecture)
        if self._space.padding.on:
            return evaluate_padded(self._evaluator, machine, layer.problem, batch)
        return self._evaluator.evaluate(machine, layer.problem, batch)

    def offer(
        self,
        values: Values,
        architecture: Architecture,
        choices: Sequence[tuple[MappingBatch, Metrics]],
    ) -> bool:
        """Take hardware with the best choice of one mapping per layer, if it is better.

        Args:
            values: of the hardware.
            architecture: that they make.
            choices: mappings of each layer, and what they are worth on it.

        Returns:
            Whether it is certain that no choice of these is better than the incumbent.
        """
        parts, offers = [], []
        for batch, m in choices:
            kept = np.flatnonzero(m.valid)
            kept = kept[np.lexsort((m.energy_pj[kept], m.cycles[kept]))]
            parts.append(batch.take(kept))
            offers.append((m.energy_pj[kept], m.cycles[kept]))
        if not all(len(part) for part in parts):
            return True
        chosen, certain = self._best_of(architecture, offers)
        if chosen is None:
            return certain
        mappings = tuple(part[i] for part, i in zip(parts, chosen, strict=True))
        return self.take(values, architecture, mappings) and certain

    def _best_of(
        self, architecture: Architecture, offers: Sequence[Offer]
    ) -> tuple[list[int] | None, bool]:
        """Return the best choice, and whether nothing is better; None: it is no incumbent."""
        goal = self._goal
        if goal.settles_limits:
            area = architecture.area_um2 if goal.needs_area else 0.0
            below = goal.without_area(self.value, area)
            with suppress(TooManyChoicesError):
                return best_choice(offers, self._choices.weight, goal, below), True
        first = np.cumsum([0, *(len(e) for e, _ in offers)]).astype(np.int64)
        energy, cycles = (np.concatenate(column) for column in zip(*offers, strict=True))
        joint = self._choices.best(self._choices.points(first, energy, cycles), 0.0)
        if joint is None or math.isinf(joint.value):
            return None, not goal.planes
        chosen = [int(r - start) for r, start in zip(joint.points, first, strict=False)]
        return chosen, not goal.planes

    def settle_all(self, values: Values, architecture: Architecture) -> bool:
        """Take hardware with the best choice of all mappings, if it is better.

        Returns:
            Whether it is certain that no choice is better than the incumbent.
        """
        constraints = architecture.constraints or self._space.template.constraints
        version = self._space.timeloop_version
        choices = []
        try:
            for layer in self._space.workload.layers:
                front = layer_front(
                    layer.problem, architecture, constraints, version, nodes=_FRONT_LABELS
                )
                if front.mappings is None:
                    return True
                m = self.evaluate(architecture, layer, front.mappings)
                choices.append((front.mappings, m))
        except TooLargeError:
            return False
        return self.offer(values, architecture, choices)

    def take(
        self, values: Values, architecture: Architecture, mappings: tuple[Mapping, ...]
    ) -> bool:
        """Take a design, if it is better; return whether it meets the limits."""
        metrics = self._metrics(architecture, mappings)
        value = self._goal.objective(metrics)
        if not self._goal.meets(metrics):
            return False
        if value < self.value:
            self.incumbent = Incumbent(Design(values, mappings), metrics, value)
        return True

    def _metrics(self, architecture: Architecture, mappings: tuple[Mapping, ...]) -> DesignMetrics:
        layers = []
        for layer, mapping in zip(self._space.workload, mappings, strict=True):
            m = self.evaluate(architecture, layer, MappingBatch.of([mapping]))
            if not m.valid[0]:
                raise ProofError(f"layer '{layer.name}': the model rejects the best mapping")
            numbers = (float(x[0]) for x in (m.cycles, m.energy_pj, m.utilization))
            layers.append(LayerMetrics(layer.name, layer.count, *numbers))
        return network_metrics(self._space.workload, architecture, layers)
