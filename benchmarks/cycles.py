"""How fast the cycle model is, and the RTL in Verilator.

``python benchmarks/cycles.py`` counts the cycles of random valid mappings of ResNet-50's layers on
the template ``gemmini`` (16 x 16), each lowered anew, and runs one convolution and one
matrix-vector product on the RTL of every ``--sides``, five times each; both on one core.
``--json FILE`` keeps the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from dse.cycles import values
from dse.cycles.hardware import Machine
from dse.cycles.job import Job
from dse.cycles.lower import Tiling, job_of, lower
from dse.cycles.model import cycles
from dse.domain.problem import SHAPES, Problem
from dse.errors import ToolError
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.space import catalog
from dse.tools import verilator

#: Runs of the RTL, of which the fastest counts.
_REPEATS = 5
_ORDER = (4, 5, 3, 2, 0, 1, 6, 7)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mappings", type=int, default=60, help="of each layer")
    parser.add_argument("--sides", type=int, nargs="*", default=[4, 8, 16])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, float] = {}
    found |= _model(arguments.mappings)
    try:
        for side in arguments.sides:
            found |= _rtl(side)
    except ToolError as error:
        print(f"no RTL: {error}", file=sys.stderr)
    for name, value in found.items():
        print(f"{name:45} {value:12.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


def _model(count: int) -> dict[str, float]:
    values_ = {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 32}
    architecture = catalog.template("gemmini").build(values_)
    assert architecture.constraints is not None
    machine = Machine.of(architecture)
    lowering, took, tiles = [], [], []
    for layer in catalog.workload("resnet50"):
        space = Mapspace(layer.problem, architecture, architecture.constraints)
        mappings = sample_valid(space, count, 1, 10**7).mappings
        cycles(lower(layer.problem, mappings[0], machine))  # compiles
        for i in range(len(mappings)):
            mapping = mappings[i]
            at = time.process_time()
            job = lower(layer.problem, mapping, machine)
            lowered = time.process_time()
            cycles(job)
            took.append(time.process_time() - lowered)
            lowering.append(lowered - at)
            tiles.append(job.tiles)
    return {
        "model: jobs a minute, with their lowering": 60 * len(took) / (sum(took) + sum(lowering)),
        "model: ms a job, median": 1e3 * float(np.median(took)),
        "model: ms a job, longest": 1e3 * max(took),
        "model: tiles of a job, median": float(np.median(tiles)),
        "lowering: ms a job, median": 1e3 * float(np.median(lowering)),
    }


def _rtl(side: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    machine = Machine(side, 2**17, 2**16)
    verilator.program(machine)
    found = {}
    for name, job in (
        ("convolution", _job((3, 3, 28, 28, 64, 64, 1), [3, 3, 28, 7, 64, 32, 1, 1], machine)),
        ("matrix-vector", _job((1, 1, 1, 1, 2048, 512, 1), [1, 1, 1, 1, 512, 64, 1, 1], machine)),
    ):
        given = values.operands(job, rng)
        took = float("inf")
        for _ in range(_REPEATS):
            at = time.perf_counter()
            (run,) = verilator.simulate([job], [given], [2 * cycles(job).total])
            took = min(took, time.perf_counter() - at)
        if run.cycles != cycles(job).total:
            raise ToolError(f"the RTL took {run.cycles} cycles, the model says {cycles(job).total}")
        found[f"RTL {side} x {side}: kcycles/s, {name}"] = run.cycles / took / 1e3
    return found


def _job(bounds: tuple[int, ...], tile: list[int], machine: Machine) -> Job:
    problem = Problem(SHAPES["cnn-layer"], dict(zip("RSPQCKN", bounds, strict=True)))
    return job_of(problem, Tiling(tile, _ORDER, machine.pe_dim, machine.pe_dim), machine)


if __name__ == "__main__":
    sys.exit(main())
