"""All 72,700 Timeloop results of the DOSA artifact, evaluated again by the native model.

    python benchmarks/dosa_dataset.py [--data FILE] [--json FILE]

The data (``timeloop_dataset.csv.gz`` of ucb-bar/dosa, BSD-2) are not part of this repository.
Cycles must be equal, energy and EDP within 2e-5 of the printed values; DOSA's own analytical
model stands beside it. Exit code 1 when a bound does not hold.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from dosa_model import analytical_model
from published import DOSA, is_here

from dse.domain.problem import Problem
from dse.evaluators.native import NativeEvaluator
from dse.learned.dosa_rows import (
    COEFFICIENTS,
    DIMENSIONS,
    CsvRow,
    hardware_of,
    mappings_of,
    problem_of,
)
from dse.numeric import Floats

DEFAULT_DATA = Path(__file__).parents[2] / "shared/reference/dosa/timeloop_dataset.csv.gz"

ENERGY_BOUND = 2e-5
AREA_BOUND = 1e-4


@dataclass
class Results:
    """One entry per row of the data, ``(N,)``; ``kind`` names its group."""

    kind: npt.NDArray[np.str_]
    cycles: Floats
    energy_uj: Floats
    area_mm2: Floats
    printed_cycles: Floats
    printed_energy_uj: Floats
    printed_edp: Floats
    printed_area_mm2: Floats
    analytical_edp: Floats
    hardware: npt.NDArray[np.int32]
    hardware_values: list[tuple[int, int, int]]


def main() -> int:
    """Evaluate, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="timeloop_dataset.csv.gz")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    options = parser.parse_args()
    if not is_here(options.data, DOSA, "--data FILE"):
        return 2
    with gzip.open(options.data, "rt") as file:
        rows = list(csv.DictReader(file))
    start = time.perf_counter()
    results = evaluate(rows, options.jobs)
    seconds = time.perf_counter() - start
    report = summary(results)
    report["seconds"] = round(seconds, 2)
    print_report(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    total = report["groups"]["all"]
    area = max(h["area_error"] for h in report["hardware"] if h["in_table"])
    good = total["cycles_equal"] == total["rows"] and area <= AREA_BOUND
    good &= max(total["energy_max_error"], total["edp_max_error"]) <= ENERGY_BOUND
    return 0 if good else 1


def evaluate(rows: list[CsvRow], n_jobs: int) -> Results:
    """Evaluate all rows, those of one problem together."""
    hardware, index, values = hardware_of(rows)
    evaluator = NativeEvaluator("dosa", n_jobs)
    count = len(rows)
    cycles, energy_pj, analytical = np.empty(count), np.empty(count), np.empty(count)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        groups[tuple(row[f"prob.{d}"] for d in (*DIMENSIONS, *COEFFICIENTS))].append(number)
    kind = np.empty(count, dtype="<U8")
    for sizes, numbers in groups.items():
        members = np.array(numbers)
        problem = problem_of(sizes)
        kind[members] = kind_of(problem)
        mappings, ranks = mappings_of([rows[n]["mapping.mapping"] for n in numbers])
        metrics = evaluator.evaluate(hardware, problem, mappings, index[members])
        cycles[members], energy_pj[members] = metrics.cycles, metrics.energy_pj
        chosen = np.array([values[i] for i in index[members]], dtype=np.float64)
        analytical[members] = analytical_model(problem, mappings, ranks, chosen.T)
    return Results(
        kind=kind,
        cycles=cycles,
        energy_uj=energy_pj / 1e6,
        area_mm2=hardware.area_um2[index] / 1e6,
        printed_cycles=column(rows, "target.cycle"),
        printed_energy_uj=column(rows, "target.energy"),
        printed_edp=column(rows, "target.edp"),
        printed_area_mm2=column(rows, "target.area"),
        analytical_edp=analytical,
        hardware=index,
        hardware_values=values,
    )


def column(rows: list[CsvRow], name: str) -> Floats:
    """Return one column as numbers."""
    return np.array([float(row[name]) for row in rows])


def kind_of(problem: Problem) -> str:
    """Return the group of a problem: gemm, 1x1, strided or conv (the rest)."""
    b, c = problem.bounds, problem.coefficients
    if b["R"] == b["S"] == 1:
        return "gemm" if b["Q"] == 1 else "1x1"
    return "strided" if max(c["Wstride"], c["Hstride"]) > 1 else "conv"


def summary(r: Results) -> dict[str, Any]:
    """Return the numbers of the table, by group of rows, and the areas by hardware."""
    masks = {"all": np.ones(len(r.kind), np.bool_)}
    masks |= {k: r.kind == k for k in ("conv", "strided", "1x1", "gemm")}
    edp = r.cycles * r.energy_uj / 1e6
    energy_error = np.abs(r.energy_uj / r.printed_energy_uj - 1)
    edp_error = np.abs(edp / r.printed_edp - 1)
    area_error = np.abs(r.area_mm2 / r.printed_area_mm2 - 1)
    model_error = np.abs(r.analytical_edp / r.printed_edp - 1)
    groups = {
        name: {
            "rows": int(mask.sum()),
            "cycles_equal": int((r.cycles == r.printed_cycles)[mask].sum()),
            "energy_max_error": float(energy_error[mask].max()),
            "edp_max_error": float(edp_error[mask].max()),
            "area_within_bound": int((area_error[mask] <= AREA_BOUND).sum()),
            "area_max_error": float(area_error[mask].max()),
            "dosa_edp_mean_error": float(model_error[mask].mean()),
            "dosa_edp_within_1_percent": float((model_error[mask] <= 0.01).mean()),
        }
        for name, mask in masks.items()
        if mask.any()
    }
    off = [
        {
            "pe_dim": pe_dim,
            "scratchpad_kb": scratchpad_kb,
            "accumulator_kb": accumulator_kb,
            # the CACTI table has no rows of 16 bits, and no two banks below 128 rows
            "in_table": pe_dim > 2 and accumulator_kb * 256 // pe_dim >= 128,
            "area_error": float(area_error[r.hardware == h].max()),
        }
        for h, (pe_dim, scratchpad_kb, accumulator_kb) in enumerate(r.hardware_values)
    ]
    return {"groups": groups, "hardware": off}


def print_report(report: dict[str, Any]) -> None:
    """Print the table."""
    groups: dict[str, dict[str, float]] = report["groups"]
    hardware: list[dict[str, float]] = report["hardware"]
    print("native model (timeloop_version=dosa, energy=dosa) against the printed Timeloop results")
    print(
        f"{'rows':8} {'number':>7} {'cycles equal':>13} {'energy':>9} {'EDP':>9} "
        f"{'area <= 1e-4':>13} {'area':>9} | {'DOSA model: mean':>17} {'<= 1 %':>8}"
    )
    for name, g in groups.items():
        print(
            f"{name:8} {g['rows']:7} {g['cycles_equal']:13} {g['energy_max_error']:9.1e} "
            f"{g['edp_max_error']:9.1e} {g['area_within_bound']:13} {g['area_max_error']:9.1e} | "
            f"{g['dosa_edp_mean_error']:16.3%} {g['dosa_edp_within_1_percent']:8.2%}"
        )
    print("energy, EDP, area: largest relative deviation from the printed value")
    inside = [h for h in hardware if h["in_table"]]
    worst = max(h["area_error"] for h in inside)
    print(f"area of the {len(inside)} architectures in the CACTI table: off by up to {worst:.1e}")
    print(f"area of the other {len(hardware) - len(inside)}:")
    beyond = [h for h in hardware if not h["in_table"]]
    for cause, members in (
        ("rows of 16 bits (priced as 32)", [h for h in beyond if h["pe_dim"] == 2]),
        ("accumulators below 128 rows (extrapolated)", [h for h in beyond if h["pe_dim"] > 2]),
    ):
        if members:
            print(f"  {len(members)} {cause}: by up to {max(h['area_error'] for h in members):.2%}")
    print(f"{report['seconds']} s")


if __name__ == "__main__":
    sys.exit(main())
