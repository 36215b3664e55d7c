"""How many mappings a second the native model samples and evaluates.

    python benchmarks/model_throughput.py [--mappings N] [--repeats R] [--json FILE]
        [--imperfect | --sparse]

For each accelerator: valid mappings/s of evaluation (everything that energy, cycles and validity
need), valid mappings/s and draws/s of sampling, on 1 and on 2 threads, and the share of mappings
that the exact kernel had to finish. Then the rate on batches that mix keep/bypass patterns, the
memory of one call with 10 million mappings, start-up from a warm cache, the floor (operations a
perfect kernel needs), and, where they are installed (on PATH, or named by DSE_TIMELOOP_MODEL and
DSE_TIMELOOP_MAPPER), timeloop-model and timeloop-mapper on the same problems in the same run, as
ratios.

``--imperfect`` measures the kernel of imperfect factors instead, on one thread: the same mappings
of problems whose dimensions above 4 are one smaller, so that nearly all of these have a remainder.

``--sparse`` measures the kernel of sparse designs, on one thread: the Eyeriss-like array with
compressed weights and inputs, and skipping, and the sparse templates of the package, each beside
its dense design in the same minutes. *First* is the first call, which works out what tiles hold;
later ones look it up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sparse_cases import SparseCase, sparse_cases
from throughput_cases import CASES, Case, free_array, gemmini
from throughput_floor import floor
from throughput_timeloop import timeloop_rates

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch, least_remainders
from dse.domain.problem import Problem
from dse.mapspace import Mapspace, sample_valid
from dse.model.arrays import HEAD, new_totals
from dse.model.batch import evaluate_batch, has_closed_form, make_plan, run_lanes
from dse.model.evaluate import evaluate_imperfect
from dse.model.imperfect import Remainders
from dse.sparse.batch.evaluate import SparseModel

MAX_DRAWS = 10**9


def samples_of(case: Case, count: int) -> list[tuple[Mapspace, MappingBatch]]:
    """Draw ``count`` valid mappings for every problem of a case."""
    spaces = [Mapspace(p, case.architecture, case.constraints) for p in case.problems]
    return [(space, sample_valid(space, count, 1, MAX_DRAWS).mappings) for space in spaces]


def median_seconds(work: Any, repeats: int) -> float:  # noqa: ANN401
    """Median wall time of calling ``work``, after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(case: Case, count: int, repeats: int) -> dict[str, Any]:
    """Rates of one case on 1 and 2 threads."""
    drawn = samples_of(case, count)
    hardware = HardwareBatch.of(case.architecture)
    index = np.zeros(count, np.int32)
    total = count * len(drawn)
    row: dict[str, Any] = {"case": case.name, "problems": len(drawn), "mappings": total}
    for threads in (1, 2):

        def evaluate(threads: int = threads) -> None:
            for space, mappings in drawn:
                evaluate_batch(hardware, space.problem, mappings, index, HEAD, threads)

        def sample(threads: int = threads) -> int:
            share = count // threads
            with ThreadPoolExecutor(threads) as pool:
                jobs = [
                    pool.submit(sample_valid, space, share, seed, MAX_DRAWS)
                    for space, _ in drawn
                    for seed in range(threads)
                ]
                return sum(job.result().drawn for job in jobs)

        row[f"evaluated_per_s_{threads}"] = total / median_seconds(evaluate, repeats)
        seconds = median_seconds(sample, repeats)
        row[f"sampled_valid_per_s_{threads}"] = total / seconds
        row[f"draws_per_s_{threads}"] = sample() / seconds
    row["exact_kernel_share"] = exact_share(drawn, hardware, index)
    return row


def exact_share(
    drawn: list[tuple[Mapspace, MappingBatch]],
    hardware: HardwareBatch,
    index: npt.NDArray[np.int32],
) -> float:
    """Share of the mappings that the fast path hands to the exact kernel."""
    marked = 0
    for space, mappings in drawn:
        if not has_closed_form(hardware, space.problem, mappings):
            marked += len(mappings)
            continue
        plan = make_plan(space.problem, mappings.keep[:, :, 0], HEAD)
        again = np.zeros(len(mappings), np.bool_)
        totals = new_totals(len(mappings))
        run_lanes(hardware, space.problem, mappings, index, plan, totals, again, 1)
        marked += int(again.sum())
    return marked / sum(len(mappings) for _, mappings in drawn)


def mixed(repeats: int) -> dict[int, float]:
    """Mappings a second by the size of the batch, one thread, with many keep/bypass patterns."""
    case = free_array()
    space = Mapspace(case.problems[0], case.architecture, case.constraints)
    hardware = HardwareBatch.of(case.architecture)
    drawn = sample_valid(space, 30_000, 1, MAX_DRAWS).mappings
    rates = {}
    for count in (300, 3000, 30_000):
        batch, index = drawn.window(0, count), np.zeros(count, np.int32)

        def evaluate(batch: MappingBatch = batch, index: npt.NDArray[np.int32] = index) -> None:
            evaluate_batch(hardware, space.problem, batch, index, HEAD, 1)

        rates[count] = count / median_seconds(evaluate, 10 * repeats)
    return rates


def shrunk(problem: Problem) -> Problem:
    """Return the problem with all dimensions above 4 one smaller."""
    bounds = {d: n - 1 if n > 4 else n for d, n in problem.bounds.items()}
    return Problem(problem.shape, bounds, problem.coefficients)


def imperfect(case: Case, count: int, repeats: int) -> dict[str, Any]:
    """Rate of the kernel of imperfect factors on one thread."""
    hardware, index = HardwareBatch.of(case.architecture), np.zeros(count, np.int32)
    drawn = [(shrunk(space.problem), mappings) for space, mappings in samples_of(case, count)]
    tasks = [
        (problem, m, Remainders(*least_remainders(m.temporal, m.spatial, problem.sizes)))
        for problem, m in drawn
    ]
    valid = 0

    def evaluate() -> None:
        nonlocal valid
        valid = 0
        for problem, mappings, remainders in tasks:
            totals, _, _ = evaluate_imperfect(hardware, problem, mappings, remainders, index, HEAD)
            valid += int(totals.valid.sum())

    seconds = median_seconds(evaluate, repeats)
    total = count * len(tasks)
    return {
        "case": case.name,
        "problems": len(tasks),
        "mappings": total,
        "valid": valid,
        "evaluated_per_s_1": total / seconds,
    }


def sparse(case: SparseCase, count: int, repeats: int) -> dict[str, Any]:
    """Rates of a sparse design and of the dense one on one thread, over all problems."""
    architecture = case.dense.architecture
    hardware, index = HardwareBatch.of(architecture), np.zeros(count, np.int32)
    seconds = {"dense": 0.0, "sparse": 0.0, "first": 0.0}
    valid = 0
    drawn = samples_of(case.dense, count)
    for space, mappings in drawn:

        def dense(space: Mapspace = space, mappings: MappingBatch = mappings) -> None:
            evaluate_batch(hardware, space.problem, mappings, index, HEAD, 1)

        design = case.design.of(space.problem)
        SparseModel(architecture, space.problem, design).evaluate(mappings.window(0, 1))
        model = SparseModel(architecture, space.problem, design)
        start = time.perf_counter()
        valid += int(model.evaluate(mappings).valid.sum())
        seconds["first"] += time.perf_counter() - start
        seconds["dense"] += median_seconds(dense, repeats)
        seconds["sparse"] += median_seconds(partial(model.evaluate, mappings), repeats)
    total = count * len(drawn)
    rates = {f"{key}_per_s_1": total / value for key, value in seconds.items()}
    return {"case": case.dense.name, "mappings": total, "valid": valid, **rates}


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def memory(count: int) -> dict[str, Any]:
    """Memory above the inputs of one call with ``count`` mappings (Linux only)."""
    case = gemmini()
    space = Mapspace(case.problems[3], case.architecture, case.constraints)
    hardware = HardwareBatch.of(case.architecture)
    block = sample_valid(space, 100_000, 1, MAX_DRAWS).mappings
    mappings = MappingBatch.concatenate([block] * (count // len(block)))
    index = np.zeros(len(mappings), np.int32)
    evaluate_batch(hardware, space.problem, block, index[: len(block)], HEAD, 2)
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = _peak_bytes()
    start = time.perf_counter()
    evaluate_batch(hardware, space.problem, mappings, index, HEAD, 2)
    seconds = time.perf_counter() - start
    return {
        "mappings": len(mappings),
        "seconds": seconds,
        "bytes_above_inputs": _peak_bytes() - before,
    }


_FIRST_EVALUATION = """
import time; start = time.perf_counter()
import numpy as np
from throughput_cases import gemmini
from dse.domain.architecture import HardwareBatch
from dse.mapspace import Mapspace, sample_valid
from dse.model.arrays import HEAD
from dse.model.batch import evaluate_batch
case = gemmini()
space = Mapspace(case.problems[0], case.architecture, case.constraints)
mappings = sample_valid(space, 1, 1, 10**6).mappings
totals = evaluate_batch(HardwareBatch.of(case.architecture), space.problem, mappings,
                        np.zeros(1, np.int32), HEAD)
assert totals.valid[0]
print(time.perf_counter() - start)
"""


def start_up() -> float:
    """Seconds from a fresh interpreter to the first evaluation, compiled code cached."""
    here = Path(__file__).parent
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", _FIRST_EVALUATION], cwd=here, check=True,
                       capture_output=True)  # fmt: skip
        times.append(time.perf_counter() - start)
    return min(times)


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"machine: {result['machine']}")
    head = (
        "eval 1t",
        "eval 2t",
        "sample 1t",
        "sample 2t",
        "draws 2t",
        "exact %",
        "floor",
        "factor",
    )
    print(f"{'million/s':26s}" + "".join(f"{x:>10s}" for x in head))
    for row, limit in zip(result["cases"], result["floor"], strict=True):
        rates = [
            row[f"{key}_{n}"] / 1e6
            for key in ("evaluated_per_s", "sampled_valid_per_s")
            for n in (1, 2)
        ]
        rates += [row["draws_per_s_2"] / 1e6, 100 * row["exact_kernel_share"]]
        rates += [limit["floor_per_s"] / 1e6, limit["factor_to_floor"]]
        print(f"{row['case']:26s}" + "".join(f"{x:10.2f}" for x in rates))
    counts = ", ".join(str(row["operations_per_mapping"]) for row in result["floor"])
    print(f"floor: {counts} operations a mapping, on one core at ", end="")
    print(f"{result['floor'][0]['vector_operations_per_s'] / 1e9:.1f} billion a second")
    text = ", ".join(f"{n:,}: {rate:,.0f} a second" for n, rate in result["mixed"].items())
    print(f"mixed keeps, by size of the batch: {text}")
    if result["memory"]:
        m = result["memory"]
        above = m["bytes_above_inputs"] / 2**20
        print(f"memory: {m['mappings']:,} mappings in one call, ", end="")
        print(f"{above:.0f} MiB above the inputs, {m['seconds']:.1f} s")
    print(f"start-up to the first evaluation, cached: {result['start_up_s']:.2f} s")
    for row in result["timeloop"]:
        rate = row["per_s"]
        text = f"{rate:.4g} a second" if isinstance(rate, float) else rate
        ratio = f"; the native model on one core: {row['ratio']:,.0f} x" if "ratio" in row else ""
        print(f"{row['program']}: {text}{ratio}")


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mappings", type=int, default=50_000, help="per problem")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory-mappings", type=int, default=10_000_000, help="0: skip")
    parser.add_argument("--imperfect", action="store_true", help="imperfect factors instead")
    parser.add_argument("--sparse", action="store_true", help="a sparse design instead")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": machine()}
    if arguments.sparse:
        result["cases"] = [
            sparse(case, arguments.mappings, arguments.repeats) for case in sparse_cases()
        ]
        print(f"machine: {result['machine']}")
        for row in result["cases"]:
            rates = ", ".join(
                f"{row[f'{key}_per_s_1']:,.0f} {key}" for key in ("dense", "sparse", "first")
            )
            share = row["dense_per_s_1"] / row["sparse_per_s_1"]
            print(f"{row['case']:40s}{rates} a second; a sparse one costs {share:.2f} dense ones")
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n")
        return 0
    cases = [make() for make in CASES]
    if arguments.imperfect:
        result["cases"] = [imperfect(x, arguments.mappings, arguments.repeats) for x in cases]
        print(f"machine: {result['machine']}")
        for row in result["cases"]:
            print(f"{row['case']:26s}{row['evaluated_per_s_1']:12,.0f} imperfect mappings a second")
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n")
        return 0
    result["cases"] = [measure(case, arguments.mappings, arguments.repeats) for case in cases]
    result["floor"] = [floor(case, row["evaluated_per_s_1"])
                       for case, row in zip(cases, result["cases"], strict=True)]  # fmt: skip
    result["mixed"] = mixed(arguments.repeats)
    result["start_up_s"] = start_up()
    result["memory"] = memory(arguments.memory_mappings) if arguments.memory_mappings else None
    result["timeloop"] = timeloop_rates(cases[0], result["cases"][0]["evaluated_per_s_1"])
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
