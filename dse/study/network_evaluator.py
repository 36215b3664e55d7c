"""From designs that choose their network to metrics: layers that networks share are mapped once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator
from dse.goals.design import Design, DesignMetrics
from dse.goals.limits import Limit
from dse.goals.metric_names import ACCURACY
from dse.mappers.base import Mapped, Mapper
from dse.space.search_space import SearchSpace
from dse.study.design_evaluator import DesignEvaluator, MappingTask, OnShare, Priced

#: Mappings that are remembered.
_KEPT = 60_000

#: Values of hardware that is mapped together, and the samples that each layer gets on it.
_Group = tuple[tuple[tuple[int, ...], ...], int]


class NetworkEvaluator(DesignEvaluator):
    """Evaluates designs of a space of networks.

    What is found for a layer follows from the study's seed, the layer's problem, the samples, and
    the hardware that it is mapped on together with: from nothing that was asked before. So what is
    remembered changes no result, and a study that is taken up again needs no memory.
    """

    def __init__(
        self,
        space: SearchSpace,
        mapper: Mapper[Any],
        evaluator: Evaluator[Any],
        n_jobs: int,
        seed: np.random.SeedSequence,
        *,
        together: bool,
    ) -> None:
        """Set up.

        Args:
            space: with networks.
            mapper: finds mappings.
            evaluator: prices them.
            n_jobs: threads.
            seed: of all mapping.
            together: whether a layer is mapped on all hardware of a batch once any of it needs it:
                for searches that try the same networks on all of it. Else each by itself.
        """
        super().__init__(space, mapper, evaluator, n_jobs)
        self._seed = seed
        self._together = together
        self._known: OrderedDict[tuple[_Group, Problem], Mapped] = OrderedDict()
        self._held = 0

    def refused(self, design: Design, limits: Sequence[Limit]) -> DesignMetrics | None:
        """Return why a network's accuracy alone rules a design out; see the base class."""
        accuracy = self._space.accuracy_of(design.values)
        if accuracy is None:
            return None
        if not np.isfinite(accuracy):
            return DesignMetrics.infeasible(f"no accuracy: {self._why_none(design)}")
        known = {ACCURACY: accuracy}
        missed = [
            (limit, excess)
            for limit in limits
            if limit.names == {ACCURACY} and (excess := limit.excess(known)) > 0
        ]
        if not missed:
            return None
        reason = "; ".join(limit.reason(known) for limit, _ in missed)
        return DesignMetrics.infeasible(reason, violation=sum(excess for _, excess in missed))

    def _why_none(self, design: Design) -> str:
        predictor = self._space.accuracy
        return predictor.why_none(self._space.network(design.values)) if predictor else ""

    def _complete(
        self,
        designs: Sequence[Design],
        built: Sequence[Architecture],
        seed: np.random.SeedSequence,  # noqa: ARG002 - results do not depend on the batch
        tick: OnShare | None,
    ) -> list[Priced]:
        """Let the mapper find mappings for the layers of all networks."""
        workloads = [self._space.workload_of(design.values) for design in designs]
        hardware = [tuple(self._space.hardware(design.values).values()) for design in designs]
        groups = self._groups(designs, hardware)
        architectures = dict(zip(hardware, built, strict=True))
        wanted = {
            (group, layer.problem): None
            for group, workload in zip(groups, workloads, strict=True)
            for layer in workload
        }
        found = {key: self._known[key] for key in wanted if key in self._known}
        new = [key for key in wanted if key not in found]
        tasks = [self._task(architectures, *key) for key in new]
        found |= dict(zip(new, self._mapped(tasks, tick), strict=True))
        self._remember(found)
        results = []
        for i, (design, workload, group) in enumerate(zip(designs, workloads, groups, strict=True)):
            h = group[0].index(hardware[i])
            layers = [(found[group, layer.problem], h) for layer in workload]
            completed, metrics = self._completed(design, built[i], workload, layers)
            accuracy = self._space.accuracy_of(design.values)
            results.append((completed, replace(metrics, accuracy=accuracy)))
        return results

    def _groups(
        self, designs: Sequence[Design], hardware: Sequence[tuple[int, ...]]
    ) -> list[_Group]:
        """Return the hardware that each design is mapped together with."""
        if not self._together:
            return [((h,), d.mapping_samples) for d, h in zip(designs, hardware, strict=True)]
        by_samples: dict[int, dict[tuple[int, ...], None]] = {}
        for design, own in zip(designs, hardware, strict=True):
            by_samples.setdefault(design.mapping_samples, {})[own] = None
        groups = {samples: (tuple(own), samples) for samples, own in by_samples.items()}
        return [groups[design.mapping_samples] for design in designs]

    def _task(
        self,
        architectures: Mapping[tuple[int, ...], Architecture],
        group: _Group,
        problem: Problem,
    ) -> MappingTask:
        hardware, samples = group
        text = repr((problem.shape.name, problem.bounds, problem.coefficients))
        words = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32).tolist()
        own = np.random.SeedSequence(self._seed.entropy, spawn_key=(*self._seed.spawn_key, *words))
        return MappingTask(
            HardwareBatch(tuple(architectures[one] for one in hardware)),
            problem,
            np.full(len(hardware), samples, np.int64),
            int(own.generate_state(1, np.uint64)[0] >> np.uint64(1)),
        )

    def _remember(self, found: Mapping[tuple[_Group, Problem], Mapped]) -> None:
        """Keep what was found; what was not asked for the longest goes first."""
        for key, mapped in found.items():
            if key not in self._known:
                self._held += len(mapped.mappings)
            self._known[key] = mapped
            self._known.move_to_end(key)
        while self._held > _KEPT and len(self._known) > len(found):
            _, gone = self._known.popitem(last=False)
            self._held -= len(gone.mappings)
