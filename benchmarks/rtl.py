"""Cycle models against Gemmini's RTL on FireSim, as the DOSA authors recorded it.

    python benchmarks/rtl.py [--data FOLDER] [--rtl FILE] [--json FILE] [--fit]

The data (``firesim_train.csv`` and ``firesim_test.csv`` of ucb-bar/dosa, BSD-2) are not part of
this repository. Side by side: Timeloop's cycles, those of ``dse.cycles.firesim``, and, for the
rows that ``--rtl`` names, those of generated Gemmini RTL in Verilator. ``--fit`` fits the model's
timing on training rows anew and prints it; nothing is ever fitted on test rows. Exit code 1 where
a target is missed.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from published import DOSA, is_here
from scipy.optimize import minimize
from scipy.stats import spearmanr

from dse.cycles import firesim
from dse.cycles.gemmini import Program, Timing
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

DEFAULT_DATA = Path(__file__).parents[2] / "shared/reference/dosa"
#: Least rank correlation, and largest mean error, of the model.
TARGETS = {"test": (0.98, 0.12), "training": (0.94, 0.35)}
#: What ``--fit`` moves; what it leaves alone was read off training rows, or is known.
FITTED = (
    *("latency", "beat", "store", "level2_line", "memory_line", "array", "start", "level2_kb"),
)
#: Programs of more tiles are left out of the fit, as they take most of its time.
MOST_TILES_FITTED = 6_000
#: A row further off than this factor is counted as not explained.
UNEXPLAINED = 2.0


@dataclass
class Recorded:
    """Rows of one file: ``(N,)`` each.

    Attributes:
        cycles: recorded, of Gemmini on FireSim.
        macs: of the problem.
        timeloop: cycles by the exact model of Timeloop.
        programs: what the bare-metal program did.
        side: of the array that ran it.
    """

    cycles: Floats
    macs: Floats
    timeloop: Floats
    programs: list[Program]
    side: npt.NDArray[np.int64]


def main() -> int:
    """Evaluate, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the CSV files")
    parser.add_argument("--rtl", type=Path, help="gemmini_rtl_cycles.csv; beside the folder")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    parser.add_argument("--fit", action="store_true", help="fit the timing on training rows")
    options = parser.parse_args()
    rtl = options.rtl or options.data.parent / "gemmini_rtl_cycles.csv"
    files = {name: options.data / f"firesim_{file}.csv" for name, file in _FILES.items()}
    needed = [*files.values(), *([options.rtl] if options.rtl else [])]
    for path in needed:
        if not is_here(path, DOSA, "--data FOLDER"):
            return 2
    splits = options.data / "firesim_splits.csv"
    held_out = rows_held_out(splits) if splits.is_file() else []
    if options.fit:
        fit(read(files["training"], with_timeloop=False), held_out)
        return 0
    sets = {name: read(path) for name, path in files.items()}
    firesim.cycles(sets["test"].programs[0])  # compiles
    start = time.process_time()
    models = {name: modelled(rows, firesim.TIMING) for name, rows in sets.items()}
    seconds = time.process_time() - start
    report = summary(sets, models, recorded_rtl(rtl) if rtl.is_file() else {}, held_out)
    report["rows_per_minute"] = round(60 * sum(len(m) for m in models.values()) / seconds)
    print_report(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if all(t["met"] for t in report["targets"].values()) else 1


_FILES = {"test": "test", "training": "train"}


def read(path: Path, *, with_timeloop: bool = True) -> Recorded:
    """Read rows, lower their mappings, and evaluate them by the model of Timeloop if asked to."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    problems = [tuple(row[f"prob.{d}"] for d in (*DIMENSIONS, *COEFFICIENTS)) for row in rows]
    mappings, _ = mappings_of([row["mapping.mapping"] for row in rows])
    programs = [firesim.lower(problem_of(p), mappings, b) for b, p in enumerate(problems)]
    return Recorded(
        cycles=np.array([float(row["target.gemmini_cycle"]) for row in rows]),
        macs=np.array([np.prod([float(size) for size in p[:7]]) for p in problems]),
        timeloop=timeloop_cycles(rows, problems) if with_timeloop else np.empty(0),
        programs=programs,
        side=np.array([p.side for p in programs]),
    )


def timeloop_cycles(rows: list[CsvRow], problems: list[tuple[str, ...]]) -> Floats:
    """Evaluate rows by the exact model of Timeloop, on the hardware that they name."""
    hardware, index, _ = hardware_of(rows)
    evaluator = NativeEvaluator("dosa", 2)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, sizes in enumerate(problems):
        groups[sizes].append(number)
    cycles = np.empty(len(rows))
    for sizes, numbers in groups.items():
        mappings, _ = mappings_of([rows[n]["mapping.mapping"] for n in numbers])
        metrics = evaluator.evaluate(hardware, problem_of(sizes), mappings, index[numbers])
        cycles[numbers] = metrics.cycles
    return cycles


def recorded_rtl(path: Path) -> dict[int, float]:
    """Return the cycles of Gemmini's RTL in Verilator by row of the test set."""
    with path.open() as file:
        return {
            int(row["firesim_test_row"]): float(row["rtl_cycles"]) for row in csv.DictReader(file)
        }


def rows_held_out(path: Path) -> list[int]:
    """Return the training rows that DOSA's authors held out when they trained their network."""
    with path.open() as file:
        return [int(r["row"]) for r in csv.DictReader(file) if r["split"] == "test_same_layers"]


def modelled(rows: Recorded, timing: Timing) -> Floats:
    """Return the cycles of the model."""
    return np.array([firesim.cycles(program, timing) for program in rows.programs])


def tiles(program: Program) -> float:
    """Return how many tiles a program runs through."""
    return float(np.prod(np.ceil(program.limit / program.step)))


def fit(rows: Recorded, held_out: list[int]) -> None:
    """Fit the timing on training rows, from the committed values on, and print it."""
    kept = sorted({*range(len(rows.programs))} - {*held_out})
    chosen = [i for i in kept if tiles(rows.programs[i]) < MOST_TILES_FITTED]
    programs, recorded = [rows.programs[i] for i in chosen], rows.cycles[chosen]
    begin = np.log([getattr(firesim.TIMING, name) for name in FITTED])

    def timing(logs: Floats) -> Timing:
        return firesim.TIMING._replace(**dict(zip(FITTED, map(float, np.exp(logs)), strict=True)))

    def loss(logs: Floats) -> float:
        used = timing(logs)
        found = np.array([firesim.cycles(program, used) for program in programs])
        return float(np.mean(np.abs(np.log(found / recorded))))

    simplex = begin + 0.2 * np.vstack([np.zeros(len(begin)), np.eye(len(begin))])
    print(f"{len(chosen)} of {len(rows.cycles)} training rows, below {MOST_TILES_FITTED} tiles")
    print(f"mean |log(model / recorded)|: {loss(begin):.4f} as committed")
    found = minimize(
        loss,
        begin,
        method="Nelder-Mead",
        options={"maxfev": 1000, "initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-5},
    )
    print(f"{found.fun:.4f} after {found.nfev} evaluations")
    for name, value in timing(found.x)._asdict().items():
        print(f"    {name}={value:.4g},{'' if name in FITTED else '  # not fitted'}")


def errors(cycles: Floats, recorded: Floats) -> dict[str, float]:
    """Return rank correlation and error of one predictor."""
    ratio = cycles / recorded
    return {
        "spearman": float(spearmanr(cycles, recorded).statistic),
        "mean_error": float(np.mean(np.abs(ratio - 1))),
        "median_ratio": float(np.median(ratio)),
        "unexplained": int(np.sum((ratio > UNEXPLAINED) | (ratio < 1 / UNEXPLAINED))),
    }


def summary(
    sets: dict[str, Recorded],
    models: dict[str, Floats],
    rtl: dict[int, float],
    held_out: list[int],
) -> dict[str, Any]:
    """Return the numbers of the table."""
    table = []

    def add(name: str, recorded: Floats, **predictors: Floats) -> None:
        for predictor, cycles in predictors.items():
            numbers = errors(cycles, recorded)
            table.append({"rows": name, "number": len(recorded), "predictor": predictor, **numbers})

    for name, rows in sets.items():
        add(name, rows.cycles, timeloop=rows.timeloop, model=models[name])
    test = sets["test"]
    if rtl:
        at = np.array(list(rtl))
        named = {"timeloop": test.timeloop[at], "model": models["test"][at]}
        add("test with RTL", test.cycles[at], **named, rtl=np.array(list(rtl.values())))
    training = sets["training"]
    if held_out:
        named = {"timeloop": training.timeloop[held_out], "model": models["training"][held_out]}
        add("held out by DOSA", training.cycles[held_out], **named)
    for side in np.unique(training.side):
        of = training.side == side
        named = {"timeloop": training.timeloop[of], "model": models["training"][of]}
        add(f"training, {side} x {side}", training.cycles[of], **named)
    targets = {}
    for name, (least, most) in TARGETS.items():
        of_model = next(r for r in table if (r["rows"], r["predictor"]) == (name, "model"))
        met = of_model["spearman"] >= least and of_model["mean_error"] <= most
        targets[name] = {"spearman": least, "mean_error": most, "met": bool(met)}
    return {
        "table": table,
        "targets": targets,
        "noise": noise([*sets.values()]),
        "above_256_macs_per_cycle": int(np.sum(training.macs / training.cycles > 256)),
        "least_side_above": int(training.side[training.macs / training.cycles > 256].min()),
    }


def noise(sets: list[Recorded]) -> dict[str, float]:
    """Return largest over smallest of programs that were measured more than once."""
    runs: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for number, rows in enumerate(sets):
        for program, cycles in zip(rows.programs, rows.cycles, strict=True):
            loops = [int(d) for d in program.order if program.limit[d] > program.step[d]]
            arrays = [tuple(map(int, a)) for a in (program.limit, program.step)]
            runs[number, *program[:7], *arrays, *loops].append(float(cycles))
    spreads = [max(r) / min(r) for r in runs.values() if len(r) > 1]
    return {
        "programs": len(spreads),
        "median": float(np.median(spreads)),
        "p90": float(np.quantile(spreads, 0.9)),
        "largest": max(spreads),
    }


def print_report(report: dict[str, Any]) -> None:
    """Print the table."""
    print("cycles against Gemmini's RTL on FireSim; no row is left out")
    print(
        f"{'rows':18} {'number':>6} {'predictor':10} {'Spearman':>9} {'MAPE':>7} "
        f"{'median ratio':>13} {f'off by > {UNEXPLAINED:g}x':>13}"
    )
    for row in report["table"]:
        print(
            f"{row['rows']:18} {row['number']:6} {row['predictor']:10} {row['spearman']:9.4f} "
            f"{row['mean_error']:7.1%} {row['median_ratio']:13.3f} {row['unexplained']:13}"
        )
    noise_ = report["noise"]
    print(
        f"noise: {noise_['programs']} programs were measured more than once: largest / smallest "
        f"{noise_['median']:.3f} median, {noise_['p90']:.2f} p90, {noise_['largest']:.2f} largest"
    )
    print(
        f"{report['above_256_macs_per_cycle']} training rows do more than 256 MACs a cycle: they "
        f"ran on arrays of {report['least_side_above']} and more a side, as all their mappings say"
    )
    print(f"fitted, on training rows only: {', '.join(FITTED)}")
    for name, target in report["targets"].items():
        print(
            f"target, {name}: Spearman >= {target['spearman']}, MAPE <= "
            f"{target['mean_error']:.0%}: {'met' if target['met'] else 'MISSED'}"
        )
    print(f"the model: {report['rows_per_minute']} rows a minute on one core")


if __name__ == "__main__":
    sys.exit(main())
