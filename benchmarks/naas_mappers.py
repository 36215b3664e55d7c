"""The inner half of NAAS beside other mappers, on free arrays.

    python benchmarks/naas_mappers.py [--samples 300 1000 3000] [--seeds 2] [--json FILE]

Every template's own array and five random ones within its budget; some layers of one network each.
A number is the geometric mean, over hardware, layers and seeds, of EDP over the best EDP that any
of the mappers found there: 1 is the best known. Where one found nothing, the mean is infinite.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.plugins import plugin
from dse.space import catalog
from dse.space.search_space import SearchSpace

#: Template, network, and which of its layers: every so many.
CASES = (
    ("naas_nvdla_1024", "resnet50", 5),
    ("naas_edge_tpu", "unet", 4),
    ("naas_eyeriss", "squeezenet", 4),
    ("naas_shidiannao", "mnasnet", 6),
)
MAPPERS: dict[str, dict[str, Any]] = {
    "random": {"name": "random"},
    "gamma": {"name": "gamma"},
    "cma": {"name": "cma"},
    "repair": {"name": "cma", "legality": "repair"},
    "full covariance": {"name": "cma", "covariance": "full"},
    "linear tiles": {"name": "cma", "tiles": "linear"},
    "index": {"name": "cma", "encoding": "index"},
    "sigma 0.3": {"name": "cma", "sigma": 0.3},
}
#: EDP by case, hardware, layer and seed.
Found = dict[tuple[str, int, int, int], float]


def main() -> int:
    """Measure and print; exit with 1 where cma is not ahead of random search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[tuple[str, int], Found] = {}
    seconds: dict[tuple[str, int], float] = {}
    for arch, network, step in CASES:
        space = SearchSpace(
            (template := catalog.template(arch)),
            (workload := catalog.workload(network)),
            energy_chain(template.energy),
        )
        hardware = machines(space)
        layers = list(dict.fromkeys(layer.problem for layer in workload))[::step]
        for name in MAPPERS:
            for samples in given.samples:
                start = time.process_time()
                row = measure(name, space, hardware, layers, samples, given.seeds)
                found.setdefault((name, samples), {}).update(
                    {(arch, *key): value for key, value in row.items()}
                )
                took = time.process_time() - start
                seconds[name, samples] = seconds.get((name, samples), 0.0) + took
    means = summary(found)
    write(means, seconds, given.samples)
    if given.json:
        rows = [{"mapper": n, "samples": s, "case": c, "mean": v} for (n, s, c), v in means.items()]
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(any(means["cma", n, "all"] >= means["random", n, "all"] for n in given.samples))


def machines(space: SearchSpace, count: int = 5) -> HardwareBatch:
    """Return the template's own hardware, and some drawn at random."""
    rng = np.random.default_rng(5)
    variables = space.template.variables
    built: list[Architecture] = [space.architecture(space.template.defaults or {})]
    while len(built) <= count:
        values = {v.name: v.value_at(int(rng.integers(v.count))) for v in variables}
        try:
            built.append(space.architecture(values))
        except SpecError:
            continue  # beyond the budget
    return HardwareBatch(tuple(built))


def measure(
    name: str,
    space: SearchSpace,
    hardware: HardwareBatch,
    layers: list[Problem],
    samples: int,
    seeds: int,
) -> dict[tuple[int, int, int], float]:
    """Return the EDP that a mapper finds, by hardware, layer and seed; infinite: nothing."""
    settings = dict(MAPPERS[name])
    chosen = plugin("mapper", settings.pop("name"))
    mapper = chosen.factory(
        NativeEvaluator(),
        space.template.constraints,
        space.objective,
        chosen.settings_type(**settings),
    )
    budget = np.full(len(hardware), samples)
    result = {}
    for number, problem in enumerate(layers):
        for seed in range(seeds):
            metrics = mapper.map(hardware, problem, budget, seed).metrics
            edp = np.where(metrics.valid, metrics.edp, np.inf)
            result.update({(h, number, seed): float(v) for h, v in enumerate(edp)})
    return result


def summary(found: dict[tuple[str, int], Found]) -> dict[tuple[str, int, str], float]:
    """Return the mean EDP over the best known, by mapper, samples and case."""
    best: dict[tuple[str, int, int], float] = {}
    for row in found.values():
        for (arch, h, layer, _), value in row.items():
            key = (arch, h, layer)
            best[key] = min(best.get(key, np.inf), value)
    means = {}
    for (name, samples), row in found.items():
        parts: dict[str, list[float]] = {}
        for (arch, h, layer, _), value in row.items():
            if not np.isfinite(best[arch, h, layer]):
                continue  # no mapper fits this layer on this hardware
            ratio = value / best[arch, h, layer]
            for case in (arch, "own array" if h == 0 else "random arrays", "all"):
                parts.setdefault(case, []).append(ratio)
        for case, ratios in parts.items():
            means[name, samples, case] = float(np.exp(np.mean(np.log(ratios))))
    return means


def write(
    means: dict[tuple[str, int, str], float],
    seconds: dict[tuple[str, int], float],
    budgets: list[int],
) -> None:
    """Write the table to stdout, as Markdown."""
    out = sys.stdout.write
    out(f"| arrays | samples | {' | '.join(MAPPERS)} |\n|---|---:|{'---:|' * len(MAPPERS)}\n")
    for case in (*(arch for arch, _, _ in CASES), "own array", "random arrays", "all"):
        for n in budgets:
            cells = [f"{means[name, n, case]:.3f}" for name in MAPPERS]
            out(f"| {case} | {n:,} | {' | '.join(cells)} |\n")
    for n in budgets:
        cells = [f"{seconds[name, n]:.1f}" for name in MAPPERS]
        out(f"| CPU s | {n:,} | {' | '.join(cells)} |\n")


if __name__ == "__main__":
    sys.exit(main())
