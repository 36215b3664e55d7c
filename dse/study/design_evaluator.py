"""From designs to metrics: build the hardware, let the mapper complete it, add up the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.padding import mapped_problem
from dse.domain.problem import Layer, Problem, Workload
from dse.errors import SpecError
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.memo import MemoEvaluator
from dse.evaluators.padded import evaluate_padded
from dse.goals.design import Design, DesignMetrics, LayerMetrics
from dse.goals.limits import Limit
from dse.goals.metric_names import operations
from dse.goals.metrics import Metrics
from dse.mappers.base import Mapped, Mapper
from dse.process.together import ended_together
from dse.space.search_space import SearchSpace

Priced = tuple[Design, DesignMetrics]
#: Takes the share of a batch that is done.
OnShare = Callable[[float], None]


@dataclass(frozen=True)
class MappingTask:
    """A layer to map: on which hardware, with how many samples on each, from which seed."""

    hardware: HardwareBatch
    problem: Problem
    samples: npt.NDArray[np.int64]
    seed: int


class DesignEvaluator:
    """Evaluates designs on the whole workload, many at a time.

    Hardware that cannot be built, is too large, or maps some layer in no way gives metrics that
    are not valid, with the reason.
    """

    def __init__(
        self, space: SearchSpace, mapper: Mapper[Any], evaluator: Evaluator[Any], n_jobs: int = 1
    ) -> None:
        """Set up; with ``n_jobs`` above 1, layers are mapped in so many threads at once."""
        self._space = space
        self._mapper = mapper
        self._evaluator = evaluator
        # a search that brings its mappings often brings the same ones again
        self._memo = evaluator if evaluator.is_quick else MemoEvaluator(evaluator)
        self._n_jobs = n_jobs

    def refused(self, design: Design, limits: Sequence[Limit]) -> DesignMetrics | None:  # noqa: ARG002
        """Return why a design need not be mapped; None: it has to be, to be known."""
        return None

    def __call__(
        self,
        designs: Sequence[Design],
        seed: np.random.SeedSequence,
        tick: OnShare | None = None,
    ) -> list[Priced]:
        """Return the designs, completed with mappings, and their metrics, in order.

        Args:
            designs: with mappings, or without.
            seed: of the mapper.
            tick: called with the share of the layers that are mapped, for progress.

        Raises:
            ValueError: a design brings another number of mappings than there are layers.
            dse.errors.ToolError: the evaluator's tool failed.
        """
        results: dict[int, Priced] = {}
        built: dict[int, Architecture] = {}
        # a search of mappings asks for the same hardware many times over
        made: dict[tuple[tuple[str, int], ...], Architecture | DesignMetrics] = {}
        for index, design in enumerate(designs):
            key = tuple(self._space.hardware(design.values).items())
            if key not in made:
                made[key] = self._build(design)
            architecture = made[key]
            if isinstance(architecture, DesignMetrics):
                results[index] = (design, architecture)
            else:
                built[index] = architecture
        bare = [i for i in built if designs[i].mappings is None]
        if bare:
            hardware = [built[i] for i in bare]
            priced = self._complete([designs[i] for i in bare], hardware, seed, tick)
            results.update(zip(bare, priced, strict=True))
        mapped = [i for i in built if designs[i].mappings is not None]
        if mapped:
            priced = self._evaluate([designs[i] for i in mapped], [built[i] for i in mapped])
            results.update(zip(mapped, priced, strict=True))
        return [results[index] for index in range(len(designs))]

    def _build(self, design: Design) -> Architecture | DesignMetrics:
        """Return the priced hardware, or why there is none."""
        try:
            architecture = self._space.architecture(design.values)
        except SpecError as error:
            return DesignMetrics.infeasible(str(error))
        limit = self._space.template.max_area_um2
        if limit is not None and architecture.area_um2 > limit:
            return DesignMetrics.infeasible(
                f"area {architecture.area_um2:.6g} um^2 exceeds the budget of {limit:.6g} um^2",
                architecture.area_um2,
            )
        return architecture

    def _complete(
        self,
        designs: Sequence[Design],
        built: Sequence[Architecture],
        seed: np.random.SeedSequence,
        tick: OnShare | None,
    ) -> list[Priced]:
        """Let the mapper find mappings for every layer, on all the hardware at once."""
        hardware = HardwareBatch(tuple(built))
        samples = np.array([design.mapping_samples for design in designs], dtype=np.int64)
        seeds = seed.generate_state(len(self._space.workload), np.uint64) >> np.uint64(1)
        # layers with the same problem are mapped once
        tasks = {
            layer.problem: MappingTask(hardware, layer.problem, samples, int(layer_seed))
            for layer, layer_seed in zip(self._space.workload, seeds, strict=True)
        }
        of_problem = dict(zip(tasks, self._mapped(list(tasks.values()), tick), strict=True))
        found = [of_problem[layer.problem] for layer in self._space.workload]
        return [
            self._completed(design, built[h], self._space.workload, [(f, h) for f in found])
            for h, design in enumerate(designs)
        ]

    def _mapped(self, tasks: Sequence[MappingTask], tick: OnShare | None) -> list[Mapped]:
        """Let the mapper do its tasks, several at once where there are threads for it."""

        def find(task: MappingTask) -> Mapped:
            padding = self._space.padding
            return self._mapper.map_padded(
                task.hardware, task.problem, task.samples, task.seed, padding
            )

        # the seeds are the tasks' own, so the order in which threads get to them is no matter
        if self._n_jobs > 1:
            with ThreadPoolExecutor(self._n_jobs) as pool, ended_together() as scope:
                found_in_order = pool.map(scope.within(find), tasks)
                return list(_counted(found_in_order, len(tasks), tick))
        return list(_counted(map(find, tasks), len(tasks), tick))

    def _completed(
        self,
        design: Design,
        architecture: Architecture,
        workload: Workload,
        found: Sequence[tuple[Mapped, int]],
    ) -> Priced:
        """Return a design with its mappings, and what it is worth.

        Args:
            design: that asked for mappings.
            architecture: of it.
            workload: that it runs.
            found: for each layer, what was found, and at which place for this hardware.
        """
        mappings = [f.mappings[h] for f, h in found]
        whole = tuple(m for m in mappings if m is not None)
        metrics = self._sum([(f.metrics, h) for f, h in found], architecture, workload)
        if not metrics.valid:
            unmapped = workload.layers[mappings.index(None)]
            why = self._mapper.why_unmapped(unmapped.problem, architecture)
            reason = f"layer '{unmapped.name}': {why}"
            metrics = DesignMetrics.infeasible(reason, metrics.area_um2)
        completed = Design(design.values, whole, design.mapping_samples)
        return (completed if metrics.valid else design, metrics)

    def _evaluate(
        self,
        designs: Sequence[Design],
        built: Sequence[Architecture],
    ) -> list[Priced]:
        """Evaluate designs that bring their mappings."""
        workload = self._space.workload
        brought = [design.mappings or () for design in designs]
        for mappings in brought:
            if len(mappings) != len(workload):
                raise ValueError(
                    f"a design brings {len(mappings)} mappings, expected {len(workload)}"
                )
        places = {id(architecture): i for i, architecture in enumerate(built)}
        different = {place: number for number, place in enumerate(sorted(places.values()))}
        hardware = HardwareBatch(tuple(built[place] for place in different))
        index = np.array([different[places[id(x)]] for x in built], dtype=np.int32)
        per_layer = [
            self._priced(hardware, layer.problem, batch, index)
            for layer, batch in zip(workload, zip(*brought, strict=True), strict=True)
        ]
        results = []
        for h, design in enumerate(designs):
            metrics = self._sum([(layer, h) for layer in per_layer], built[h], workload)
            if not metrics.valid:
                metrics = self._explained(design, metrics, built[h])
            results.append((design, metrics))
        return results

    def _priced(
        self, hardware: HardwareBatch, problem: Problem, mappings: Sequence[Mapping], index: Index
    ) -> Metrics:
        """Price mappings of a problem, or of its paddings where these are allowed."""
        batch = MappingBatch.of(list(mappings))
        if not self._space.padding.on:
            return self._memo.evaluate(hardware, problem, batch, index)
        return evaluate_padded(self._memo, hardware, problem, batch, index)

    def unpadded(
        self, design: Design, metrics: DesignMetrics, seed: np.random.SeedSequence
    ) -> DesignMetrics | None:
        """Return what a design is worth where no layer is padded; None: none of its layers is.

        Padded layers are mapped again, each with the design's own samples; the others stay as they
        are.

        Raises:
            dse.errors.ToolError: the evaluator's tool failed.
        """
        workload, mappings = self._space.workload_of(design.values), design.mappings or ()
        padded = [
            layer.problem
            for layer, mapping in zip(workload, mappings, strict=True)
            if mapped_problem(layer.problem, mapping) != layer.problem
        ]
        if not padded:
            return None
        architecture = self._space.architecture(design.values)
        samples = np.array([design.mapping_samples], np.int64)
        seeds = seed.generate_state(len(padded), np.uint64) >> np.uint64(1)
        hardware = HardwareBatch.of(architecture)
        found = {
            problem: self._mapper.map(hardware, problem, samples, int(own))
            for problem, own in zip(padded, seeds, strict=True)
        }
        layers = []
        for layer, own in zip(workload, metrics.layers, strict=True):
            if layer.problem not in found:
                layers.append(own)
                continue
            again = found[layer.problem]
            if again.mappings[0] is None:
                why = self._mapper.why_unmapped(layer.problem, architecture)
                return DesignMetrics.infeasible(f"layer '{layer.name}': {why}")
            layers.append(_layer_metrics(layer, again.metrics, 0))
        return network_metrics(workload, architecture, layers)

    def _explained(
        self, design: Design, metrics: DesignMetrics, architecture: Architecture
    ) -> DesignMetrics:
        """Return the metrics with the evaluator's reason for the first rejected layer."""
        for layer, mapping in zip(self._space.workload, design.mappings or (), strict=True):
            batch = MappingBatch.of([mapping])
            problem = layer.problem
            if self._space.padding.on:
                problem = mapped_problem(problem, mapping)
            violation = self._evaluator.explain(architecture, problem, batch, 0)
            if violation is not None:
                reason = f"layer '{layer.name}': {violation.message}"
                return DesignMetrics.infeasible(reason, metrics.area_um2)
        return metrics

    def _sum(
        self,
        per_layer: Iterable[tuple[Metrics, int]],
        architecture: Architecture,
        workload: Workload,
    ) -> DesignMetrics:
        """Add up the metrics of a workload's layers, each at a place of a batch."""
        layers = []
        for layer, (metrics, index) in zip(workload, per_layer, strict=True):
            if not metrics.valid[index]:
                reason = f"layer '{layer.name}': no valid mapping found"
                return DesignMetrics.infeasible(reason, architecture.area_um2)
            layers.append(_layer_metrics(layer, metrics, index))
        return network_metrics(workload, architecture, layers)


def _layer_metrics(layer: Layer, metrics: Metrics, index: int) -> LayerMetrics:
    return LayerMetrics(
        name=layer.name,
        count=layer.count,
        cycles=float(metrics.cycles[index]),
        energy_pj=float(metrics.energy_pj[index]),
        utilization=float(metrics.utilization[index]),
    )


def network_metrics(
    workload: Workload, architecture: Architecture, layers: Sequence[LayerMetrics]
) -> DesignMetrics:
    """Add up the layers of a workload, one entry for each, and those of each of its networks."""
    whole = _total(workload, architecture, layers)
    rest = iter(layers)
    networks = tuple(
        _total(network, architecture, list(islice(rest, len(network))))
        for network in workload.networks
    )
    return replace(whole, networks=networks) if networks else whole


def _total(
    workload: Workload, architecture: Architecture, layers: Sequence[LayerMetrics]
) -> DesignMetrics:
    """Add up the layers of a network."""
    technology, instances = architecture.technology, architecture.compute.instances
    macs: float = workload.macs
    if architecture.sparse is not None:  # those that are skipped keep no MAC busy
        macs = instances * sum(layer.count * layer.cycles * layer.utilization for layer in layers)
    return DesignMetrics.of(
        tuple(layers),
        macs,
        instances,
        architecture.area_um2,
        operations=sum(layer.count * operations(layer.problem) for layer in workload),
        clock_ns=technology.clock_ns if technology else None,
    )


def _counted(found: Iterable[Mapped], count: int, tick: OnShare | None) -> Iterator[Mapped]:
    """Yield them, and tell how many of them there were."""
    for number, one in enumerate(found, 1):
        if tick is not None:
            tick(number / count)
        yield one
