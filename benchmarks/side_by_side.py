"""Whether one checkout is slower than another: both run the same work, turn by turn.

    python benchmarks/side_by_side.py OTHER_CHECKOUT OTHER_PYTHON [--seconds 300]

``OTHER_PYTHON`` is an interpreter in which the other checkout's ``dse`` is installed. Of each
checkout two processes are started, pinned to one core where that can be done; they take turns of
some milliseconds, in rotating order, so that what slows the machine down slows all alike. The table
gives the ratio of the other's time to ours (above 1: we are faster), best against best and median
against median, and, as a measure of the noise, the ratios between the two processes of a checkout.
Work: evaluation and sampling of the cases of ``model_throughput.py``, and the exact mapper. Exit
code 1 where both ratios of a line are below 0.97.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SLOWER = 0.97
MAPPINGS, DRAWS, SAMPLES = 2000, 300, 12_000
PROOFS = (("gemmini", "resnet50", 4), ("eyeriss", "alexnet", 2))


def main() -> int:
    """Measure and print the table, or serve one checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("python", nargs="?")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(arguments.checkout)
    if arguments.python is None:
        parser.error("OTHER_PYTHON is missing")
    other, ours = (arguments.checkout.resolve(), arguments.python), (ROOT, sys.executable)
    servers = [Server(*x) for x in (other, ours, other, ours)]
    names = [x for x in servers[0].names if all(x in s.names for s in servers)]
    seconds: dict[str, list[list[float]]] = {name: [[], [], [], []] for name in names}
    end = time.monotonic() + arguments.seconds
    turn = 0
    while time.monotonic() < end:
        for name in names:
            for i in range(4):
                at = (i + turn) % 4
                seconds[name][at].append(servers[at].run(name))
        turn += 1
    return report(seconds, turn)


class Server:
    """A process that runs work of one checkout when told to."""

    def __init__(self, checkout: Path, python: str) -> None:
        command = [python, str(Path(__file__).resolve()), str(checkout), "--serve"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=checkout
        )
        self.names: list[str] = json.loads(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args}: ended; see its message above")
        return line

    def run(self, name: str) -> float:
        """Run some work; return its seconds (of its thread)."""
        assert self.process.stdin is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return float(self._answer())


def serve(checkout: Path) -> int:
    """Print the names of all work; run what standard input asks for.

    The benchmarks that are imported are the checkout's own.
    """
    sys.path.insert(0, str(checkout / "benchmarks"))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    work = {**model_work(), **proof_work()}
    for once in work.values():  # compiles, fills caches
        once()
    print(json.dumps(list(work)), flush=True)
    for line in sys.stdin:
        began = time.thread_time()
        work[line.strip()]()
        print(time.thread_time() - began, flush=True)
    return 0


def model_work() -> dict[str, Callable[[], object]]:
    """Evaluation and sampling, by name."""
    model = import_module("model_throughput")
    work: dict[str, Callable[[], object]] = {}
    for make in import_module("throughput_cases").CASES:
        case = make()
        drawn = model.samples_of(case, MAPPINGS)
        hardware = model.HardwareBatch.of(case.architecture)
        work[f"{case.name}: evaluate"] = partial(evaluate, model, drawn, hardware)
        work[f"{case.name}: sample"] = partial(sample, model, drawn)
    return work


def evaluate(model: ModuleType, drawn: list[Any], hardware: object) -> None:
    """Evaluate all mappings of a case."""
    index = np.zeros(MAPPINGS, np.int32)
    for space, mappings in drawn:
        model.evaluate_batch(hardware, space.problem, mappings, index, model.HEAD, 1)


def sample(model: ModuleType, drawn: list[Any]) -> None:
    """Draw mappings from every mapspace of a case."""
    for space, _ in drawn:
        model.sample_valid(space, DRAWS, 1, model.MAX_DRAWS)


def proof_work() -> dict[str, Callable[[], object]]:
    """Proofs of single layers, by name."""
    proofs = import_module("optimal_mapper")
    work: dict[str, Callable[[], object]] = {}
    for arch, network, count in PROOFS:
        architecture, constraints = proofs.hardware(arch)
        machine = proofs.HardwareBatch.of(architecture)
        path = proofs.catalog.find("workload", network)
        for layer in list(proofs.read_workload(path, {}))[:count]:
            mapper = proofs.mapper_of(constraints, "edp", None)
            name = f"{arch}, {network}/{layer.name}: proof"
            work[name] = partial(mapper.map, machine, layer.problem, np.array([SAMPLES]), 0)
    return work


def report(seconds: dict[str, list[list[float]]], turns: int) -> int:
    """Print a line for each kind of work; return the exit code."""
    slower = []
    print(f"{turns} turns; the other checkout's time over ours, and the noise")
    print(f"{'':42s}   best median   other/other ours/ours   ours, ms")
    for name, times in seconds.items():
        ratios = []
        for pick in (min, statistics.median):
            other_a, ours_a, other_b, ours_b = map(pick, times)
            ratios.append((other_a + other_b) / (ours_a + ours_b))
        noise = f"{other_a / other_b:11.3f} {ours_a / ours_b:9.3f}"
        least = 1e3 * min(*times[1], *times[3])
        print(f"{name:42s} {ratios[0]:6.3f} {ratios[1]:6.3f}   {noise}   {least:8.1f}")
        if max(ratios) < SLOWER:
            slower.append(name)
    if slower:
        print(f"slower by more than {1 - SLOWER:.0%}: {', '.join(slower)}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
