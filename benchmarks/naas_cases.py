"""What `benchmarks/naas.py` measures: chips and searched arrays, with equal mapper effort."""

from __future__ import annotations

import math
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dse import run
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.problem import Workload
from dse.evaluators.native import NativeEvaluator
from dse.evolution.population import PopulationSampler
from dse.mapspace import MapspaceCache, sample_valid
from dse.space import catalog
from dse.study.journal import read_journal
from dse.study.result import RunResult

_LARGE = ("vgg16", "resnet50", "unet")
_MOBILE = ("mobilenet_v2", "squeezenet", "mnasnet")


@dataclass(frozen=True)
class Scenario:
    """A chip, its networks, and what NAAS's paper reports.

    Attributes:
        speed, energy: speed-up and energy saving of the paper, averaged over the networks.
        order: loop order of the chip's dataflow, outermost first, for searches without orders.
    """

    chip: str
    title: str
    networks: tuple[str, ...]
    speed: float
    energy: float
    order: str


SCENARIOS = {
    s.chip: s
    for s in (
        Scenario("edge_tpu", "Edge TPU", _LARGE, 2.6, 1.1, "K C P Q R S"),
        Scenario("nvdla_1024", "NVDLA-1024", _LARGE, 2.2, 1.1, "K C P Q R S"),
        Scenario("eyeriss", "Eyeriss", _MOBILE, 4.4, 2.1, "K C P Q R S"),
        Scenario("nvdla_256", "NVDLA-256", _MOBILE, 1.7, 1.4, "K C P Q R S"),
        Scenario("shidiannao", "ShiDianNao", _MOBILE, 4.4, 4.9, "K P Q C R S"),
    )
}

#: Searches of the ablation: settings of the optimizer. How orders are encoded is compared from the
#: centre of the space, where nothing of the chip is known; there, too, what becomes of hardware
#: beyond the budget, and the search without inheritance.
VARIANTS: dict[str, dict[str, Any]] = {
    "sizing": {"search": "sizing"},
    "+connectivity": {"search": "connectivity"},
    "+mapping": {"search": "mapping"},
    "importance": {"search": "mapping", "start": "center"},
    "index": {"search": "mapping", "start": "center", "encoding": "index"},
    "repair": {"search": "mapping", "start": "center", "legality": "repair"},
    "plain": {"search": "mapping", "start": "center", "inherit": 0.0},
}


@dataclass(frozen=True)
class Effort:
    """How hard is searched; ``final`` are the mappings per layer with which both are compared."""

    population: int
    generations: int
    mappings: int
    final: int
    threads: int
    optimizer: dict[str, Any]


class Clock:
    """Counts evaluations of the native evaluator, and the thread time that they take.

    And that of drawing: random numbers, vectors, their mappings, and whether those fit.
    """

    def __init__(self) -> None:
        self.mappings, self.seconds, self.drawing_seconds = 0, 0.0, 0.0
        self._lock = threading.Lock()
        self._evaluate, self._draw = NativeEvaluator.evaluate, PopulationSampler.draw

    def __enter__(self) -> Clock:
        clock = self

        def evaluate(self: NativeEvaluator, *given: Any) -> Any:  # noqa: ANN401
            start = time.thread_time()
            metrics = clock._evaluate(self, *given)
            with clock._lock:
                clock.seconds += time.thread_time() - start
                clock.mappings += len(metrics)
            return metrics

        def draw(self: PopulationSampler, *given: Any) -> Any:  # noqa: ANN401
            start = time.thread_time()
            drawn = clock._draw(self, *given)
            with clock._lock:
                clock.drawing_seconds += time.thread_time() - start
            return drawn

        NativeEvaluator.evaluate = evaluate  # type: ignore[method-assign]
        PopulationSampler.draw = draw  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        NativeEvaluator.evaluate = self._evaluate  # type: ignore[method-assign]
        PopulationSampler.draw = self._draw  # type: ignore[method-assign]


def mapped(
    arch: str,
    networks: str,
    values: dict[str, int],
    effort: Effort,
    seed: int,
    mapper: dict[str, Any] | None = None,
) -> RunResult:
    """Map networks onto given hardware with the mapper ``cma``, or with these settings of it."""
    with tempfile.TemporaryDirectory() as folder:
        return run(
            arch,
            networks,
            {"name": "random", "mappings_per_hardware": effort.final},
            mapper=mapper or {"name": "cma"},
            samples=effort.final,
            seed=seed,
            variables=values,
            n_jobs=effort.threads,
            folder=str(Path(folder) / "run"),
        )


def searched(
    scenario: Scenario, networks: str, effort: Effort, seed: int, variant: dict[str, Any]
) -> tuple[RunResult, list[dict[str, Any]]]:
    """Search the free array within the chip's resources; return the best, and the journal."""
    settings = {
        "name": "naas",
        "population": effort.population,
        "mappings_per_hardware": effort.mappings,
        **effort.optimizer,
        **variant,
    }
    mapper = _mapper(scenario, variant)
    return _journalled(f"naas_{scenario.chip}", networks, settings, mapper, effort, seed)


def _mapper(scenario: Scenario, variant: dict[str, Any]) -> dict[str, Any]:
    """Return the mapper of a variant; without a search of orders, they are the chip's."""
    if variant.get("search", "mapping") != "mapping":
        return {"name": "cma", "search": "tiles", "order": scenario.order}
    return {"name": "cma", "encoding": variant.get("encoding", "importance")}


def drawn(
    scenario: Scenario, networks: str, effort: Effort, seed: int
) -> tuple[RunResult, list[dict[str, Any]]]:
    """Search at random, with the same mapper and as much effort."""
    settings = {"name": "random", "mappings_per_hardware": effort.mappings}
    return _journalled(f"naas_{scenario.chip}", networks, settings, {"name": "cma"}, effort, seed)


def _journalled(
    arch: str,
    networks: str,
    optimizer: dict[str, Any],
    mapper: dict[str, Any],
    effort: Effort,
    seed: int,
) -> tuple[RunResult, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        result = run(
            arch,
            networks,
            optimizer,
            mapper=mapper,
            samples=effort.population * effort.generations * effort.mappings,
            seed=seed,
            n_jobs=effort.threads,
            folder=str(Path(folder) / "run"),
        )
        return result, list(read_journal(result.folder / "journal.jsonl"))


def rate(scenario: Scenario, effort: Effort, seed: int) -> dict[str, Any]:
    """Tell what a search takes on one thread; small ones before it have all code compiled."""
    networks = "+".join(scenario.networks)
    first = replace(effort, population=4, generations=2, mappings=50)
    for _ in range(2):  # what the first one leaves to other processes is there for the second
        searched(scenario, networks, replace(first, threads=1), seed, {})
    cpu = time.process_time()
    with Clock() as clock:
        found, _ = searched(scenario, networks, replace(effort, threads=1), seed, {})
    cpu = time.process_time() - cpu
    return {
        "chip": scenario.chip,
        "evaluations": clock.mappings,
        "cpu_seconds": cpu,
        "evaluator_seconds": clock.seconds,
        "drawing_seconds": clock.drawing_seconds,
        "value": found.value,
    }


def compare(scenario: Scenario, effort: Effort, seed: int) -> dict[str, Any]:
    """Search, then map the chip, the best arrays and the first one anew with equal effort."""
    networks = "+".join(scenario.networks)
    own = catalog.template(scenario.chip).defaults
    free = catalog.template(f"naas_{scenario.chip}").defaults
    if own is None or free is None:
        raise ValueError(f"{scenario.chip}: a template gives no defaults")
    chip = mapped(scenario.chip, networks, own, effort, seed)
    copy = mapped(f"naas_{scenario.chip}", networks, free, effort, seed)
    start, cpu = time.perf_counter(), time.process_time()
    with Clock() as clock:
        found, journal = searched(scenario, networks, effort, seed, {})
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    finalists = [
        mapped(f"naas_{scenario.chip}", networks, values, effort, seed)
        for values in _finalists(journal)
    ]
    best = min((copy, found, *finalists), key=lambda result: result.value)
    rows = [
        _network(net.name, *parts, bound)
        for net, *parts, bound in zip(
            chip.workload.networks,
            chip.metrics.networks,
            best.metrics.networks,
            copy.metrics.networks,
            [_bound(net, chip.architecture) for net in chip.workload.networks],
            strict=True,
        )
    ]
    return {
        "chip": scenario.chip,
        "seed": seed,
        "hardware": best.labels,
        "networks": rows,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "designs": found.designs,
        "evaluations": clock.mappings,
        "evaluator_seconds": clock.seconds,
        "drawing_seconds": clock.drawing_seconds,
        "raw_per_second": _raw_rate(best),
        "generations": generations(journal, effort.population),
    }


def _finalists(journal: list[dict[str, Any]], count: int = 4) -> list[dict[str, int]]:
    """Return the best designs of a search, the best first.

    With a search's few mappings, the best by luck may stand before the best.
    """
    rows = sorted((r for r in journal if r["valid"]), key=lambda r: float(r["objective"]))
    return [r["values"] for r in rows[:count]]


def _network(name: str, chip: Any, best: Any, copy: Any, bound: dict[str, float]) -> dict[str, Any]:  # noqa: ANN401
    return {
        "name": name,
        **{
            key: {"cycles": m.cycles, "energy_pj": m.energy_pj, "utilization": m.utilization}
            for key, m in (("chip", chip), ("searched", best), ("copy", copy))
        },
        "bound": bound,
    }


def _bound(network: Workload, chip: Architecture) -> dict[str, float]:
    """Return the cycles and the energy below which no design with these resources can be.

    Every MAC takes a cycle of a PE and its energy; every word of every tensor crosses the DRAM's
    interface once.
    """
    dram = chip.levels[-1]
    # sides of a level share what it is given, or have their own
    words_per_cycle = min(dram.shared_bandwidth, dram.read_bandwidth + dram.write_bandwidth)
    read_pj = dram.energy.read_pj / dram.block_size
    cycles = energy_pj = 0.0
    for layer in network:
        words = sum(layer.problem.tensor_size(t) for t in range(len(layer.problem.tensors)))
        compute = layer.problem.macs / chip.compute.instances
        cycles += layer.count * max(compute, words / words_per_cycle)
        energy_pj += layer.count * (layer.problem.macs * chip.compute.energy_pj + words * read_pj)
    return {"cycles": cycles, "energy_pj": energy_pj}


def _raw_rate(result: RunResult, count: int = 50_000) -> float:
    """Return mappings a second of the evaluator on a large batch of random ones, one thread."""
    architecture, layer = result.architecture, result.workload.layers[1]
    space = MapspaceCache({})(layer.problem, architecture)
    mappings = sample_valid(space, count, 0, 10_000 * count).mappings
    evaluator, hardware = NativeEvaluator(), HardwareBatch.of(architecture)
    best = math.inf
    for _ in range(3):
        start = time.thread_time()
        evaluator.evaluate(hardware, layer.problem, mappings)
        best = min(best, time.thread_time() - start)
    return len(mappings) / best


def generations(journal: list[dict[str, Any]], population: int) -> dict[str, list[float]]:
    """Return the mean objective of each generation's valid designs, and the best so far."""
    mean, best = [], []
    for at in range(0, len(journal), population):
        part = [r["objective"] for r in journal[at : at + population] if r["valid"]]
        mean.append(float(np.mean(part)) if part else math.nan)
        best.append(journal[min(at + population, len(journal)) - 1].get("best", math.nan))
    return {"mean": mean, "best": best}


def ablation(scenario: Scenario, network: str, effort: Effort, seeds: int) -> dict[str, Any]:
    """Run every variant with every seed, and random search; return their best objectives.

    Each design found is mapped anew, with the final effort and what the variant may search.
    """
    arch = f"naas_{scenario.chip}"
    result: dict[str, Any] = {"chip": scenario.chip, "network": network, "edp": {}, "curves": {}}
    for name, variant in {**VARIANTS, "random": {}}.items():
        values = []
        for seed in range(seeds):
            search = drawn if name == "random" else searched
            given = () if name == "random" else (variant,)
            found, journal = search(scenario, network, effort, seed, *given)
            mapper = _mapper(scenario, variant)
            again = mapped(arch, network, found.design.values, effort, seed, mapper)
            values.append(min(found.value, again.value))
            result["curves"].setdefault(name, []).append(generations(journal, effort.population))
        result["edp"][name] = values
        sys.stderr.write(f"{scenario.chip} {network} {name}: {np.median(values):.4g}\n")
    return result


def array_of(labels: dict[str, str]) -> list[tuple[int, str]]:
    """Return size and parallel dimension of each array dimension, as the template builds them."""
    left, found = int(labels["pes"]), []
    for axis in "xyz"[: int(labels["array_dims"])]:
        size = min(int(labels[f"array_{axis}"]), left)
        left //= size
        found.append((size, labels[f"parallel_{axis}"]))
    return found
