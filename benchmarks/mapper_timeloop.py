"""The mappers beside timeloop-mapper, at equal wall time on one core.

    python benchmarks/mapper_timeloop.py [--valid 2000] [--seeds 3] [--archs ...] [--networks ...]

For each layer, timeloop-mapper searches with each of its algorithms until it has seen so many
valid mappings (one thread); then the mappers here get as many samples as take them the same time,
at the rate of a trial run, and the optimal one gets the time itself. A number is EDP over the best
that any of them found, the geometric mean over the layers; valid mappings a second stand below.
timeloop-mapper is found through $DSE_TIMELOOP_MAPPER or PATH.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from mapper_quality import geomean, hardware, make_mapper, some_layers

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.problem import Problem
from dse.errors import ToolError
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objective
from dse.mappers.optimal import OptimalMapper, OptimalMapperSettings
from dse.mappers.timeloop import TimeloopMapper, TimeloopMapperSettings

ALGORITHMS = ("random", "hybrid", "random_pruned")
OURS = ("random", "hillclimb", "anneal", "gamma")
#: Samples of the trial run that finds a mapper's rate, and most that it may then get.
_TRIAL, _MOST = 3000, 300_000
#: Mappings that the optimal mapper may evaluate, to start from and to confirm.
_EXACT_SAMPLES = 4000


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--valid", type=int, default=2000, help="valid mappings per search")
    parser.add_argument("--seeds", type=int, default=3, help="of the mappers here")
    parser.add_argument("--layers", type=int, default=1, help="layers of each network")
    parser.add_argument("--archs", nargs="+", default=["gemmini", "eyeriss", "simba"])
    parser.add_argument("--networks", nargs="+", default=["resnet50", "mobilenet_v2", "bert_base"])
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds per search")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cases: dict[str, dict[str, Any]] = {}
    for arch in arguments.archs:
        architecture, constraints = hardware(arch)
        for network in arguments.networks:
            for layer, problem in some_layers(network, arguments.layers):
                found = compare(architecture, constraints, problem, arguments)
                cases[f"{arch}/{network}/{layer}"] = found
                sys.stderr.write(f"{arch}/{network}/{layer}: {found['seconds']:.1f} s\n")
    report(cases)
    if arguments.json:
        arguments.json.write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")
    return 0


def compare(
    architecture: Architecture,
    constraints: Constraints,
    problem: Problem,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Return EDP and samples a second of every search of one layer."""
    machine = HardwareBatch.of(architecture)
    edp: dict[str, list[float]] = {}
    rate: dict[str, float] = {}
    slowest = 0.0
    for algorithm in ALGORITHMS:
        settings = TimeloopMapperSettings(algorithm=algorithm, timeout_s=arguments.timeout)
        mapper = TimeloopMapper(NativeEvaluator(), constraints, objective("edp"), settings)
        start = time.perf_counter()
        try:
            found = mapper.map(machine, problem, np.array([arguments.valid], np.int64), 0)
        except ToolError:  # did not end in time
            edp[f"timeloop {algorithm}"] = [float("inf")]
            slowest = max(slowest, arguments.timeout)
            continue
        seconds = time.perf_counter() - start
        slowest = max(slowest, seconds)
        value = float(found.metrics.edp[0])
        edp[f"timeloop {algorithm}"] = [value if np.isfinite(value) else float("inf")]
        rate[f"timeloop {algorithm}"] = arguments.valid / seconds
    for name in OURS:
        ours = make_mapper(name, constraints)
        # the first call may compile
        ours.map(machine, problem, np.array([100], np.int64), 0)
        start = time.perf_counter()
        ours.map(machine, problem, np.array([_TRIAL], np.int64), 0)
        rate[name] = _TRIAL / (time.perf_counter() - start)
        samples = min(int(rate[name] * slowest), _MOST)
        edp[name] = [
            float(ours.map(machine, problem, np.array([samples], np.int64), seed).metrics.edp[0])
            for seed in range(arguments.seeds)
        ]
    proof = OptimalMapperSettings(time=slowest, threads=1)
    exact = OptimalMapper(NativeEvaluator(), constraints, objective("edp"), proof)
    found = exact.map(machine, problem, np.array([_EXACT_SAMPLES], np.int64), 0)
    edp["optimal"] = [float(found.metrics.edp[0])]
    return {"edp": edp, "rate": rate, "seconds": slowest}


def report(cases: dict[str, dict[str, Any]]) -> None:
    """Write the table to stdout, as Markdown."""
    out = sys.stdout.write
    names = [*(f"timeloop {a}" for a in ALGORITHMS), *OURS, "optimal"]
    out(f"| layer | s | {' | '.join(names)} |\n|---|---:|{'---:|' * len(names)}\n")
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for case, found in cases.items():
        best = min(v for values in found["edp"].values() for v in values)
        for name in names:
            ratios[name].append(geomean([v / best for v in found["edp"][name]]))
        cells = " | ".join(_cell(ratios[name][-1]) for name in names)
        out(f"| {case} | {found['seconds']:.1f} | {cells} |\n")
    means = []
    for name in names:
        ended = [r for r in ratios[name] if np.isfinite(r)]
        means.append(geomean(ended) if ended else float("inf"))
    out(f"| geometric mean of those that ended | | {' | '.join(map(_cell, means))} |\n")
    rates = [[c["rate"][name] for c in cases.values() if name in c["rate"]] for name in names]
    cells = " | ".join(f"{geomean(r):,.0f}" if r else "-" for r in rates)
    out(f"| valid mappings/s | | {cells} |\n")


def _cell(ratio: float) -> str:
    return f"{ratio:.3f}" if np.isfinite(ratio) else "did not end"


if __name__ == "__main__":
    sys.exit(main())
