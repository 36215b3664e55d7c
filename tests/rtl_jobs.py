"""Random jobs, and the RTL's cycles of them: ``python -m tests.rtl_jobs --jobs 300``.

That draws so many jobs for each array side and each memory, runs them all in Verilator, and says
how many cycles and outputs are equal to the model's and to numpy's. ``--memories`` draws for some
of the memories only. ``--table FILE`` keeps the cycles; the committed tables come from

    --jobs 60 --memories near usual far --table tests/data/rtl_cycles.csv.gz
    --jobs 40 --sides 4 8 --memories small large slow --table tests/data/rtl_cached_cycles.csv.gz

The exit status is 1 where anything is not equal.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import sys
import time
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np

from dse.cycles import values
from dse.cycles.hardware import DIMENSIONS, Cache, Machine, Memory
from dse.cycles.job import Job
from dse.cycles.lower import Tiling, job_of
from dse.cycles.model import cycles
from dse.domain.problem import SHAPES, Problem
from dse.errors import DseError, InvalidMapping, SpecError

TABLE = Path(__file__).parent / "data" / "rtl_cycles.csv.gz"
CACHED_TABLE = TABLE.with_name("rtl_cached_cycles.csv.gz")
SIDES = (4, 8, 16)
MEMORIES = {
    "near": Memory(latency_cycles=4, bytes_per_cycle=16, in_flight=8, burst_bytes=64),
    "usual": Memory(latency_cycles=100, bytes_per_cycle=8, in_flight=16, burst_bytes=64),
    "far": Memory(latency_cycles=300, bytes_per_cycle=4, in_flight=3, burst_bytes=32),
    # and with caches
    "small": Memory(50, 16, 8, 64, Cache(kilobytes=1, latency_cycles=3, line_bytes=64)),
    "large": Memory(100, 8, 16, 64, Cache(kilobytes=64, latency_cycles=20, line_bytes=64)),
    "slow": Memory(300, 4, 3, 32, Cache(kilobytes=8, latency_cycles=40, line_bytes=256)),
}
#: Those without a cache, and those with one.
PLAIN = ("near", "usual", "far")
CACHED = ("small", "large", "slow")
#: Largest bounds that are drawn.
_BOUNDS = {"R": 4, "S": 4, "P": 12, "Q": 9, "C": 48, "K": 48, "N": 3, "G": 6}
_PADDINGS = (0, 0, 0, 1, 2)


@dataclass(frozen=True)
class Case:
    """All that a job is made from, as plain data; the memory's numbers end with its cache's."""

    shape: str
    bounds: dict[str, int]
    coefficients: dict[str, int]
    tile: list[int]
    order: list[int]
    blocks: list[int]
    padding: list[int]
    output_bytes: int
    machine: list[int]
    memory: list[int]

    def job(self) -> Job:
        """Return it; raises as `job_of` does."""
        problem = Problem(SHAPES[self.shape], self.bounds, self.coefficients)
        timing, cache = self.memory[:4], self.memory[4:]
        memory = Memory(*timing, cache=Cache(*cache) if cache else None)
        return job_of(
            problem,
            Tiling(self.tile, self.order, *self.blocks),
            Machine(*self.machine, memory),
            padding=(self.padding[0], self.padding[1]),
            output_bytes=self.output_bytes,
        )


def draw(
    rng: np.random.Generator,
    side: int,
    memory: Memory,
    most_macs: int = 200_000,
    most_tiles: int = 1000,
) -> tuple[Case, Job]:
    """Draw a case that has a job, and return both."""
    while True:
        case = _case(rng, side, memory)
        try:
            job = case.job()
        except (SpecError, InvalidMapping):
            continue
        if job.macs <= most_macs and job.tiles <= most_tiles:
            return case, job


def _case(rng: np.random.Generator, side: int, memory: Memory) -> Case:
    shapes = ("cnn-layer", "grouped-cnn-layer", "depthwise-cnn-layer")
    shape = SHAPES[shapes[rng.choice(3, p=(0.7, 0.15, 0.15))]]
    most = dict(_BOUNDS)
    if rng.random() < 0.3:  # a GEMM
        most |= {"R": 1, "S": 1, "Q": 1, "P": 40}
    bounds = {d: int(rng.integers(1, most[d] + 1)) for d in shape.dimensions}
    coefficients = {
        name: int(rng.integers(1, 4)) if rng.random() < 0.4 else 1 for name in shape.coefficients
    }
    whole = [bounds.get(d, 1) for d in DIMENSIONS]
    tile = [max(1, round(b * float(rng.choice((1, 1, 0.5, 0.3, 0.2))))) for b in whole]
    blocks = [
        min(side if rng.random() < 0.5 else int(rng.integers(1, side + 1)), tile[d]) for d in (4, 5)
    ]
    machine = [side, int(2 ** rng.integers(8, 15)), int(4 * side * 2 ** rng.integers(2, 9))]
    return Case(
        *(shape.name, bounds, coefficients, tile, [int(d) for d in rng.permutation(8)], blocks),
        padding=[int(rng.choice(_PADDINGS)), int(rng.choice(_PADDINGS))],
        output_bytes=int(rng.choice((1, 4))),
        machine=machine,
        memory=[*astuple(memory)[:4], *(astuple(memory.cache) if memory.cache else ())],
    )


def draws(seed: int, side: int, memory: str, count: int) -> list[tuple[Case, Job]]:
    """Draw so many for one side and one memory; a seed gives the same ones everywhere."""
    rng = np.random.default_rng([seed, side, list(MEMORIES).index(memory)])
    return [draw(rng, side, MEMORIES[memory]) for _ in range(count)]


def read_table(path: Path = TABLE) -> list[tuple[Case, int]]:
    """Return the cases of a table with the RTL's cycles."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        count = int(row.pop("cycles"))
        content = {k: v if k == "shape" else json.loads(v) for k, v in row.items()}
        found.append((Case(**content), count))
    return found


def _write_table(path: Path, rows: list[tuple[Case, int]]) -> None:
    text = io.StringIO()
    names = [*asdict(rows[0][0]), "cycles"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for case, count in rows:
        plain = [v if isinstance(v, str) else json.dumps(v) for v in asdict(case).values()]
        writer.writerow([*plain, count])
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the command."""
    from dse.tools import verilator

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20, help="for each side and memory")
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--memories", nargs="+", default=MEMORIES, choices=MEMORIES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, help="write the RTL's cycles there")
    arguments = parser.parse_args()
    kept: list[tuple[Case, int]] = []
    wrong = 0
    _say("side  memory  jobs  tiles(median)  cycles equal  outputs equal  kcycles  seconds")
    for side in arguments.sides:
        for memory in arguments.memories:
            drawn = draws(arguments.seed, side, memory, arguments.jobs)
            jobs = [job for _, job in drawn]
            rng = np.random.default_rng([arguments.seed, side])
            operands = [values.operands(job, rng) for job in jobs]
            modelled = [cycles(job, skipping=False).total for job in jobs]
            verilator.program(jobs[0].machine)
            began = time.perf_counter()
            limits = [2 * count + 10_000 for count in modelled]
            runs = verilator.simulate(jobs, operands, limits, timeout_s=3600)
            took = time.perf_counter() - began
            equal = sum(r.cycles == count for r, count in zip(runs, modelled, strict=True))
            right = sum(
                np.array_equal(r.outputs, values.outputs(job, *given))
                for r, job, given in zip(runs, jobs, operands, strict=True)
            )
            for (case, _), run, count in zip(drawn, runs, modelled, strict=True):
                if run.cycles != count:
                    _say(f"RTL {run.cycles}, model {count}: {case}")
                kept.append((case, run.cycles or 0))
            wrong += 2 * len(jobs) - equal - right
            _say(
                f"{side:4}  {memory:6}  {len(jobs):4}  "
                f"{np.median([job.tiles for job in jobs]):13.0f}  {equal:12}  {right:13}  "
                f"{sum(r.cycles or 0 for r in runs) / 1e3:7.0f}  {took:7.1f}",
            )
    if arguments.table:
        _write_table(arguments.table, kept)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DseError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
