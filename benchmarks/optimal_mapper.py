"""The optimal mapper on whole networks, and against every mapping of small spaces.

    python benchmarks/optimal_mapper.py [--archs eyeriss ...] [--networks resnet50 ...]
        [--objectives edp] [--layers N] [--time 10] [--others] [--json FILE]
    python benchmarks/optimal_mapper.py --brute [--archs ...] [--json FILE]
    python benchmarks/optimal_mapper.py --merge FILE... [--plot docs/optimal-mapper.png]

Every unique layer is mapped on the template's own hardware (Gemmini: 16 x 16). The table counts the
layers solved to gap 0 and to 1 %, and gives the largest gap and the times; ``--others`` sets other
mappers beside it, at equal samples. ``--brute`` compares with complete enumeration. Exit code 1
where a gap above 1 % is left, enumeration disagrees, or another mapper finds something better.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.problem import Problem
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objective
from dse.mappers.optimal import OptimalMapper, OptimalMapperSettings
from dse.mapspace.space import Mapspace
from dse.plugins import plugin
from dse.space import catalog
from dse.space.template import ArchTemplate
from dse.space.workload import read_workload

ARCHS = ("gemmini", "eyeriss", "simba", "nvdla_1024", "tpu_v1")
NETWORKS = ("resnet50", "mobilenet_v2", "bert_base")
OTHERS = ("random", "hillclimb", "anneal", "gamma", "cma")
#: Samples of the optimal mapper, and of all mappers where they are compared.
SAMPLES, BUDGETS = 12_000, (100, 1_000, 10_000)
TARGET_GAP = 0.01


def main() -> int:
    """Measure, print the table, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archs", nargs="+", default=list(ARCHS))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--objectives", nargs="+", default=["edp"])
    parser.add_argument("--layers", type=int, default=1000, help="layers of each network")
    parser.add_argument("--time", type=float, default=10.0, help="seconds per layer")
    parser.add_argument("--others", action="store_true", help="the other mappers too")
    parser.add_argument("--brute", action="store_true", help="small spaces, every mapping")
    parser.add_argument("--merge", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.brute:
        return brute(arguments)
    rows: list[dict[str, Any]] = []
    for path in arguments.merge:
        rows += json.loads(path.read_text(encoding="utf-8"))["layers"]
    for arch in arguments.archs if not arguments.merge else ():
        architecture, constraints = hardware(arch)
        warm_up(architecture, constraints)
        for network in arguments.networks:
            rows += measure(arch, architecture, constraints, network, arguments)
    report(rows)
    if arguments.plot:
        plot(rows, arguments.plot)
    if arguments.json:
        arguments.json.write_text(json.dumps({"layers": rows}, indent=1) + "\n", encoding="utf-8")
    beaten = any(
        better([row], name, at)
        for row in rows
        if "others" in row
        for name in OTHERS
        for at in range(len(BUDGETS))
    )
    return 0 if all(row["gap"] <= TARGET_GAP for row in rows) and not beaten else 1


def hardware(name: str) -> tuple[Architecture, Constraints]:
    """Return a template's own hardware, priced, and its constraints."""
    template = ArchTemplate.read(catalog.find("arch", name))
    values = {v.name: v.default for v in template.variables if v.default is not None}
    return energy_chain(template.energy).price(template.build(values)), template.constraints


def mapper_of(constraints: Constraints, goal: str, seconds: float | None) -> OptimalMapper:
    """Return the mapper under test."""
    settings = OptimalMapperSettings(time=seconds)
    return OptimalMapper(NativeEvaluator(), constraints, objective(goal), settings)


def warm_up(architecture: Architecture, constraints: Constraints) -> None:
    """Compile, so that the first layer's time is its own."""
    problem = next(iter(read_workload(catalog.find("workload", "bert_base"), {}))).problem
    mapper = mapper_of(constraints, "edp", None)
    mapper.map(HardwareBatch.of(architecture), problem, np.array([200]), 0)


def measure(
    arch: str,
    architecture: Architecture,
    constraints: Constraints,
    network: str,
    arguments: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Map the layers of a network."""
    rows = []
    machine = HardwareBatch.of(architecture)
    layers = list(read_workload(catalog.find("workload", network), {}))[: arguments.layers]
    for layer in layers:
        for goal in arguments.objectives:
            began, cpu = time.monotonic(), time.process_time()
            mapper = mapper_of(constraints, goal, arguments.time)
            found = mapper.map(machine, layer.problem, np.array([SAMPLES]), 0)
            certificate = found.certificates[0]
            assert certificate is not None
            gap = certificate.gap
            row = {
                "arch": arch,
                "network": network,
                "layer": layer.name,
                "objective": goal,
                "value": certificate.value,
                "bound": certificate.bound,
                "gap": 1.0 if gap is None else gap,
                "optimal": certificate.optimal,
                "nodes": certificate.nodes,
                "seconds": time.monotonic() - began,
                "cpu_s": time.process_time() - cpu,
                "tilings": math.prod(
                    f.count for f in mapper.space_of(layer.problem, architecture).factors
                ),
                "size": float(Mapspace(layer.problem, architecture, constraints).size),
            }
            if arguments.others:
                row["others"] = {
                    name: [
                        found_by(name, constraints, goal, machine, layer.problem, budget)
                        for budget in BUDGETS
                    ]
                    for name in ("optimal", *OTHERS)
                }
            rows.append(row)
            sys.stderr.write(
                f"{arch} {network}/{layer.name} {goal}: gap {100 * row['gap']:.3g} %, "
                f"{row['seconds']:.1f} s ({row['cpu_s']:.1f} s CPU)\n"
            )
    return rows


def found_by(
    name: str,
    constraints: Constraints,
    goal: str,
    machine: HardwareBatch,
    problem: Problem,
    samples: int,
) -> float:
    """Return what a mapper finds."""
    chosen = plugin("mapper", name)
    mapper = chosen.factory(NativeEvaluator(), constraints, objective(goal), chosen.settings_type())
    found = mapper.map(machine, problem, np.array([samples]), 0)
    return float(mapper.rank(found.metrics, problem, machine.architectures[0])[0])


def better(rows: list[dict[str, Any]], name: str, budget: int) -> int:
    """Count the layers where a mapper finds something better than the optimal one does."""
    return sum(
        row["others"][name][budget] < row["others"]["optimal"][budget] * (1 - 1e-9) for row in rows
    )


def report_others(rows: list[dict[str, Any]]) -> None:
    """Print how far every mapper is from the optimal one with as many samples."""
    keys = list(dict.fromkeys((r["arch"], r["network"]) for r in rows))
    for at, budget in enumerate(BUDGETS):
        print(f"\n{budget} samples: value over that of the optimal mapper, mean and worst")
        lines = [["architecture", "network", "layers", *OTHERS, "better"]]
        for key in keys:
            mine = [r for r in rows if (r["arch"], r["network"]) == key]
            line = [*key, str(len(mine))]
            for name in OTHERS:
                ratio = np.array([r["others"][name][at] / r["others"]["optimal"][at] for r in mine])
                line.append(f"{math.exp(np.log(ratio).mean()):.3f} {ratio.max():.3f}")
            lines.append([*line, str(sum(better(mine, name, at) for name in OTHERS))])
        print_table(lines)


def print_table(lines: list[list[str]]) -> None:
    """Print columns as wide as they need to be."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(x.ljust(w) for x, w in zip(line, widths, strict=True)).rstrip())


def report(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    head = ["architecture", "network", "goal", "layers", "gap 0", "<= 1 %", "largest gap"]
    head += ["median s", "max s", "CPU median", "CPU max"]
    lines = [head]
    for key in dict.fromkeys((r["arch"], r["network"], r["objective"]) for r in rows):
        mine = [r for r in rows if (r["arch"], r["network"], r["objective"]) == key]
        gaps = np.array([r["gap"] for r in mine])
        seconds = np.array([r["seconds"] for r in mine])
        cpu = np.array([r["cpu_s"] for r in mine])
        line = [*key, str(len(mine)), str(sum(r["optimal"] for r in mine))]
        line += [str(int((gaps <= TARGET_GAP).sum())), f"{100 * gaps.max():.3g} %"]
        line += [f"{x:.1f}" for x in (np.median(seconds), seconds.max(), np.median(cpu), cpu.max())]
        lines.append(line)
    print_table(lines)
    compared = [row for row in rows if "others" in row]
    if compared:
        report_others(compared)
    slope = growth(rows)
    if slope is not None:
        print(f"\nCPU seconds grow as nodes ^ {slope[0]:.2f}, nodes as tilings ^ {slope[1]:.2f}")


def growth(rows: list[dict[str, Any]]) -> tuple[float, float] | None:
    """Exponents of CPU time over nodes and of nodes over tilings, least squares in logarithms."""
    done = [r for r in rows if r["optimal"] and r["nodes"] > 1000]
    if len(done) < 3:
        return None
    nodes, cpu, tilings = (
        np.log(np.array([float(r[k]) for r in done])) for k in ("nodes", "cpu_s", "tilings")
    )
    return float(np.polyfit(nodes, cpu, 1)[0]), float(np.polyfit(tilings, nodes, 1)[0])


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot CPU time and nodes over the size of the space."""
    import matplotlib  # noqa: PLC0415

    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure, panes = pyplot.subplots(1, 2, figsize=(9, 3.6))
    for arch in dict.fromkeys(r["arch"] for r in rows):
        mine = [r for r in rows if r["arch"] == arch]
        for pane, key in zip(panes, ("nodes", "cpu_s"), strict=True):
            pane.loglog([r["tilings"] for r in mine], [r[key] for r in mine], ".", label=arch)
    for pane, label in zip(panes, ("partial mappings looked at", "CPU seconds"), strict=True):
        pane.set_xlabel("tilings of the mapspace")
        pane.set_ylabel(label)
        pane.grid(alpha=0.3)
    panes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def brute(arguments: argparse.Namespace) -> int:
    """Compare with complete enumeration."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from optimal_cases import HARDWARE, cases, every_mapping, proved  # noqa: PLC0415

    rows = []
    for arch in (a for a in arguments.archs if a in HARDWARE):
        for case in cases(arch):
            least, count = every_mapping(case)
            proofs = {goal: proved(case, goal, samples=5000).certificates[0] for goal in least}
            same = all(proofs[goal].value == least[goal] for goal in least)
            proven = all(proof.optimal for proof in proofs.values())
            rows.append({"case": case.name, "mappings": count, "equal": same, "proven": proven})
            print(f"{case.name:14} {count:>12,} mappings  {'equal' if same else 'DIFFERENT'}"
                  f"  {'proven' if proven else 'not proven'}", flush=True)  # fmt: skip
    total = sum(row["mappings"] for row in rows)
    equal = sum(row["equal"] for row in rows)
    print(f"{len(rows)} cases, {total:,} mappings: edp, energy and delay equal in {equal}, "
          f"proven in {sum(row['proven'] for row in rows)}")  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps({"cases": rows}, indent=1) + "\n", encoding="utf-8")
    return 0 if equal == len(rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
