"""The best design so far: of some mappings of each layer on one hardware, by the exact model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.hull import LayerPoints, joint_minimum
from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Layer
from dse.errors import ProofError, SpecError
from dse.evaluators.native import NativeEvaluator
from dse.evaluators.padded import evaluate_padded
from dse.goals.design import Design, DesignMetrics, LayerMetrics
from dse.goals.metrics import Metrics
from dse.goals.networks import network_metrics
from dse.numeric import Floats
from dse.space.search_space import SearchSpace
from dse.space.variable import Values


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
        weight: ``(N,)`` how often the network runs each layer.
    """

    def __init__(self, space: SearchSpace, goal: CoSearchGoal) -> None:
        self._space, self._goal = space, goal
        self._evaluator = NativeEvaluator(space.timeloop_version)
        self.weight = np.array([layer.count for layer in space.workload], np.float64)
        self.incumbent: Incumbent | None = None

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
        if self._space.padding.on:
            return evaluate_padded(self._evaluator, architecture, layer.problem, batch)
        return self._evaluator.evaluate(architecture, layer.problem, batch)

    def offer(
        self,
        values: Values,
        architecture: Architecture,
        choices: Sequence[tuple[MappingBatch, Metrics]],
    ) -> None:
        """Take hardware with the best choice of one mapping per layer, if it is better.

        Args:
            values: of the hardware.
            architecture: that they make.
            choices: mappings of each layer, and what they are worth on it.
        """
        parts, points = [], []
        for batch, m in choices:
            kept = np.flatnonzero(m.valid)
            kept = kept[np.lexsort((m.energy_pj[kept], m.cycles[kept]))]
            parts.append(batch.take(kept))
            points.append((m.energy_pj[kept], m.cycles[kept]))
        chosen = self._chosen(points)
        if chosen is not None:
            mappings = tuple(part[i] for part, i in zip(parts, chosen, strict=True))
            self.take(values, architecture, mappings)

    def take(
        self, values: Values, architecture: Architecture, mappings: tuple[Mapping, ...]
    ) -> None:
        """Take a design, if it is better and meets the limits."""
        metrics = self._metrics(architecture, mappings)
        value = self._goal.objective(metrics)
        if value < self.value and self._goal.meets(metrics):
            self.incumbent = Incumbent(Design(values, mappings), metrics, value)

    def _chosen(self, points: Sequence[tuple[Floats, Floats]]) -> list[int] | None:
        """Return the best choice of one point per layer, network by network."""
        chosen: list[int] = []
        for network in self._space.workload.networks or (self._space.workload,):
            place = slice(len(chosen), len(chosen) + len(network))
            own = points[place]
            first = np.cumsum([0, *(len(e) for e, _ in own)]).astype(np.int64)
            energy, cycles = (np.concatenate(column) for column in zip(*own, strict=True))
            joint = joint_minimum(
                LayerPoints(first, self.weight[place], energy, cycles), self._goal.of_mappings
            )
            if joint is None:
                return None
            chosen += [int(r - start) for r, start in zip(joint.points, first, strict=False)]
        return chosen

    def _metrics(self, architecture: Architecture, mappings: tuple[Mapping, ...]) -> DesignMetrics:
        layers = []
        for layer, mapping in zip(self._space.workload, mappings, strict=True):
            m = self.evaluate(architecture, layer, MappingBatch.of([mapping]))
            if not m.valid[0]:
                raise ProofError(f"layer '{layer.name}': the model rejects the best mapping")
            numbers = (float(x[0]) for x in (m.cycles, m.energy_pj, m.utilization))
            layers.append(LayerMetrics(layer.name, layer.count, *numbers))
        return network_metrics(self._space.workload, architecture, layers)
