"""Mappers against each other: equal samples, several seeds, geometric mean over the layers.

    python benchmarks/mapper_quality.py [--seeds 5] [--samples 1000 10000 100000] [--layers 3]
        [--json FILE] [--plot FILE]
    python benchmarks/mapper_quality.py --merge FILE... --plot docs/mappers.png

Every mapper maps some layers of each network on each architecture's own hardware. A number is the
geometric mean over layers and seeds of EDP over the best EDP that any mapper ever found for that
layer: 1 is the best known. ``--merge`` reads what ``--json`` wrote instead of measuring, so that
architectures can be measured one after the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.problem import Problem
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objective
from dse.mappers.base import Mapper
from dse.plugins import plugin
from dse.space import catalog

ARCHS = ("gemmini", "eyeriss", "simba")
NETWORKS = ("resnet50", "mobilenet_v2", "bert_base")
MAPPERS = ("random", "hillclimb", "anneal", "gamma")
#: Gemmini as it is built; its template leaves its size open.
GEMMINI = {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 32}

Case = tuple[str, str, str]


def main() -> int:
    """Measure, print the table, write the docs; exit with 1 where gamma does not beat random."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--layers", type=int, default=3, help="layers of each network")
    parser.add_argument("--archs", nargs="+", default=list(ARCHS))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--jobs", type=int, default=2, help="layers mapped at a time")
    parser.add_argument("--plot", type=Path, help="write the convergence plot there (PNG)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--merge", type=Path, nargs="+", default=[], metavar="FILE")
    arguments = parser.parse_args()
    found: dict[Case, dict[str, dict[int, list[float]]]] = {}
    seconds: dict[str, dict[int, float]] = {}
    for path in arguments.merge:
        read_results(path, found, seconds)
    if arguments.merge:
        arguments.archs = list(dict.fromkeys(case[0] for case in found))
        arguments.networks = list(dict.fromkeys(case[1] for case in found))
    for arch in arguments.archs if not arguments.merge else ():
        architecture, constraints = hardware(arch)
        for network in arguments.networks:
            for layer, problem in some_layers(network, arguments.layers):
                case = (arch, network, layer)
                found[case] = measure(architecture, constraints, problem, arguments, seconds)
    write_report(found, seconds, arguments)
    if arguments.plot:
        plot(found, arguments)
    if arguments.json:
        plain = {"/".join(case): values for case, values in found.items()}
        text = json.dumps({"edp": plain, "seconds": seconds}, indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return 0 if beats_random(found, arguments) else 1


def read_results(
    path: Path,
    found: dict[Case, dict[str, dict[int, list[float]]]],
    seconds: dict[str, dict[int, float]],
) -> None:
    """Add the results that another call wrote with ``--json``."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for text, by_mapper in content["edp"].items():
        arch, network, layer = text.split("/", 2)
        found[arch, network, layer] = {
            name: {int(n): values for n, values in by.items()} for name, by in by_mapper.items()
        }
    for name, by in content["seconds"].items():
        spent = seconds.setdefault(name, {})
        for n, took in by.items():
            spent[int(n)] = spent.get(int(n), 0.0) + took


def hardware(arch: str) -> tuple[Architecture, Constraints]:
    """Return the architecture with its own sizes, priced, and its constraints."""
    template = catalog.template(arch)
    values = template.defaults or GEMMINI
    architecture = energy_chain(template.energy).price(template.build(values))
    return architecture, architecture.constraints or template.constraints


def some_layers(network: str, count: int) -> Iterator[tuple[str, Problem]]:
    """Yield layers evenly picked from a network."""
    layers = list(catalog.workload(network))
    for index in np.unique(np.linspace(0, len(layers) - 1, count).round().astype(int)):
        yield layers[index].name, layers[index].problem


def make_mapper(name: str, constraints: Constraints) -> Mapper[Any]:
    """Return a mapper with its default settings."""
    chosen = plugin("mapper", name)
    made: Mapper[Any] = chosen.factory(
        NativeEvaluator(), constraints, objective("edp"), chosen.settings_type()
    )
    return made


def measure(
    architecture: Architecture,
    constraints: Constraints,
    problem: Problem,
    arguments: argparse.Namespace,
    seconds: dict[str, dict[int, float]],
) -> dict[str, dict[int, list[float]]]:
    """Return the EDP by mapper, samples and seed; add up the time."""
    machine = HardwareBatch.of(architecture)
    result: dict[str, dict[int, list[float]]] = {}

    def one(task: tuple[str, int, int]) -> tuple[float, float]:
        name, samples, seed = task
        mapper = make_mapper(name, constraints)
        start = time.perf_counter()
        mapped = mapper.map(machine, problem, np.array([samples], np.int64), seed)
        return float(mapped.metrics.edp[0]), time.perf_counter() - start

    tasks = [
        (name, samples, seed)
        for name in MAPPERS
        for samples in arguments.samples
        for seed in range(arguments.seeds)
    ]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for (name, samples, _), (edp, took) in zip(tasks, pool.map(one, tasks), strict=True):
            result.setdefault(name, {}).setdefault(samples, []).append(edp)
            spent = seconds.setdefault(name, {})
            spent[samples] = spent.get(samples, 0.0) + took
    return result


def relative(found: dict[str, dict[int, list[float]]]) -> dict[str, dict[int, list[float]]]:
    """Return EDP over the best of all mappers, samples and seeds; infinite: nothing was found."""
    values = [v for by in found.values() for many in by.values() for v in many]
    best = float(np.nanmin(values))
    return {
        name: {n: [v / best if np.isfinite(v) else np.inf for v in many] for n, many in by.items()}
        for name, by in found.items()
    }


def geomean(values: list[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(values))))


def summary(
    found: dict[Case, dict[str, dict[int, list[float]]]], arch: str | None, network: str | None
) -> dict[str, dict[int, float]]:
    """Return the geometric mean by mapper and samples over the cases that match."""
    chosen = [
        relative(values)
        for case, values in found.items()
        if arch in (None, case[0]) and network in (None, case[1])
    ]
    return {
        name: {n: geomean([v for c in chosen for v in c[name][n]]) for n in chosen[0][name]}
        for name in chosen[0]
    }


def beats_random(
    found: dict[Case, dict[str, dict[int, list[float]]]], arguments: argparse.Namespace
) -> bool:
    """Whether gamma is ahead of random for every pair of architecture and network, or both best."""
    for arch in arguments.archs:
        for network in arguments.networks:
            means = summary(found, arch, network)
            for n in arguments.samples:
                if means["gamma"][n] > means["random"][n] * (1 + 1e-12):
                    return False
    return True


def write_report(
    found: dict[Case, dict[str, dict[int, list[float]]]],
    seconds: dict[str, dict[int, float]],
    arguments: argparse.Namespace,
) -> None:
    """Write the table to stdout, as Markdown."""
    out = sys.stdout.write
    heads = [f"{name} {n:,}" for n in arguments.samples for name in MAPPERS]
    out(f"| hardware | network | {' | '.join(heads)} |\n|---|---|{'---:|' * len(heads)}\n")
    pairs: list[tuple[str | None, str | None]] = [
        (a, w) for a in arguments.archs for w in arguments.networks
    ]
    for arch, network in [*pairs, (None, None)]:
        means = summary(found, arch, network)
        cells = [f"{means[name][n]:.3f}" for n in arguments.samples for name in MAPPERS]
        out(f"| {arch or 'all'} | {network or 'all'} | {' | '.join(cells)} |\n")
    runs = len(found) * arguments.seeds
    speeds = [f"{n * runs / seconds[name][n]:,.0f}" for n in arguments.samples for name in MAPPERS]
    out(f"| samples/s | per search | {' | '.join(speeds)} |\n")


def plot(
    found: dict[Case, dict[str, dict[int, list[float]]]], arguments: argparse.Namespace
) -> None:
    """Draw the geometric mean over the samples, one panel per architecture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    archs = arguments.archs
    figure = Figure(figsize=(4.2 * len(archs), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    colors = dict(zip(MAPPERS, ("#bbbbbb", "#ccbb44", "#228833", "#4477aa"), strict=True))
    first = None
    for number, arch in enumerate(archs, start=1):
        panel = figure.add_subplot(1, len(archs), number, sharey=first)
        first = first or panel
        for name, by in summary(found, arch, None).items():
            panel.plot(list(by), list(by.values()), marker="o", color=colors[name], label=name)
        panel.set_xscale("log")
        panel.set_title(arch)
        panel.set_xlabel("samples per layer")
        panel.grid(alpha=0.3)
    if first is not None:
        first.set_ylabel("EDP over the best known\n(geometric mean)")
        first.legend(frameon=False)
    figure.savefig(arguments.plot, dpi=130)


if __name__ == "__main__":
    sys.exit(main())
