"""Searches whose evaluator is dear: how good a design after how many of its evaluations.

    python benchmarks/polaris.py [--evaluator cycles|rtl] [--network dosa_bert] [--samples 60]
        [--seeds 0 1 2] [--methods ...] [--rows 300] [--json FILE]

On the template gemmini with its array fixed. ``cycles`` is the cycle model, which equals the RTL to
the cycle and takes its place where nobody waits for a simulator; ``rtl`` simulates. A sample is
one evaluation of a design by that evaluator. ``dosa`` and ``dosa learned`` search on models, with
all samples that DOSA has by itself, and have but their best design evaluated; the learned one's
latency (DOSA's analytical model and network) was trained on ``--rows`` mappings of random search
that the evaluator priced, which count as its evaluations. Whatever is in ``--json`` already is not
run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dse
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.evaluators.base import Evaluator
from dse.plugins import plugin
from dse.study.result import RunResult

METHODS = ("random", "lockstep", "polaris", "polaris +cycles", "dosa", "dosa learned")


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--evaluator", choices=["cycles", "rtl"], default="cycles")
    parser.add_argument("--network", default="dosa_bert")
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rows", type=int, default=300, help="rows that dosa learned trains on")
    parser.add_argument("--pe-dim", type=int, default=16)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    known: dict[str, Any] = {}
    if options.json and options.json.is_file():
        known = json.loads(options.json.read_text(encoding="utf-8"))
    for method in options.methods:
        for seed in options.seeds:
            key = f"{options.evaluator} {options.network} {options.pe_dim} {method} {seed}"
            if key not in known:
                known[key] = measured(method, seed, options)
                sys.stderr.write(f"{key}: {known[key]['edp'][-1]:.6g} J x cycle\n")
                if options.json:
                    options.json.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print_table(known, options)
    return 0


def measured(method: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run one search; return the best EDP in J x cycle after each evaluation, and the seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        common = {
            "arch": "gemmini",
            "workload": options.network,
            "variables": {"pe_dim": options.pe_dim},
            "seed": seed,
            "folder": str(folder / "run"),
        }
        name, _, how = method.partition(" ")
        spent = 0
        if name == "dosa":
            evaluator: Any = "native"
            if how:
                evaluator, spent = _learned(folder, common, options)
            result = dse.run(**common, optimizer="dosa", evaluator=evaluator)
            curve = [_edp(result, options.evaluator)]
        else:
            optimizer: dict[str, Any] = {"name": name, **({"features": how} if how else {})}
            dse.run(
                **common,
                optimizer=optimizer,
                evaluator=options.evaluator,
                samples=options.samples,
            )
            curve = _curve(folder / "run")
    return {"edp": curve, "before": spent, "seconds": time.monotonic() - began}


def _learned(
    folder: Path, common: dict[str, Any], options: argparse.Namespace
) -> tuple[dict[str, str], int]:
    """Train DOSA's latency on rows of the evaluator; return an evaluator, and the designs spent."""
    from dse.learned.data import read_data  # noqa: PLC0415 - compiled code
    from dse.learned.folder import save_model  # noqa: PLC0415
    from dse.learned.kinds import kind  # noqa: PLC0415
    from dse.learned.train import TrainSettings, train  # noqa: PLC0415

    given = {**common, "folder": str(folder / "rows"), "seed": common["seed"] + 1000}
    count = max(1, options.rows // len(dse.run(**{**given, "samples": 1}).workload))
    given["folder"] = str(folder / "recorded")
    dse.run(
        **given,
        optimizer={"name": "random", "mappings_per_hardware": 5},
        evaluator=options.evaluator,
        samples=count,
        record=True,
    )
    rows = read_data(folder / "recorded")
    settings = kind("residual").settings_type()
    trained = train("residual", rows, settings, TrainSettings(), lambda *_: None)
    save_model(folder / "model", trained)
    return {"name": "learned", "model": str(folder / "model")}, count


def _edp(result: RunResult, name: str) -> float:
    """Return the EDP of a result's design by an evaluator, in J x cycle."""
    chosen = plugin("evaluator", name)
    evaluator: Evaluator[Any] = chosen.factory(settings=chosen.settings_type())
    hardware = HardwareBatch.of(result.architecture)
    cycles = energy_pj = 0.0
    for layer, mapping in zip(result.workload, result.design.mappings or (), strict=True):
        found = evaluator.evaluate(hardware, layer.problem, MappingBatch.of([mapping]))
        cycles += layer.count * float(found.cycles[0])
        energy_pj += layer.count * float(found.energy_pj[0])
    return cycles * energy_pj / 1e12


def _curve(folder: Path) -> list[float]:
    best: list[float] = []
    for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        value = record.get("best", float("inf")) / 1e12
        best += [value] * (record["samples"] - len(best))
    return best


def print_table(known: dict[str, Any], options: argparse.Namespace) -> None:
    """Print best EDP, evaluations, and how many it took to get below dosa learned."""
    print(
        f"{options.network} on gemmini {options.pe_dim} x {options.pe_dim}, evaluator "
        f"{options.evaluator}: EDP in J x cycle, median [least, most] of the seeds"
    )
    print(f"{'method':16} {'evaluations':>11} {'EDP':>30} {'evaluations to dosa learned':>28} min")

    def runs(method: str) -> list[dict[str, Any]]:
        head = f"{options.evaluator} {options.network} {options.pe_dim} {method} "
        return [known[f"{head}{s}"] for s in options.seeds if f"{head}{s}" in known]

    learned = [run["edp"][-1] for run in runs("dosa learned")]
    for method in METHODS:
        found = runs(method)
        if not found:
            continue
        ends = [run["edp"][-1] for run in found]
        spent = statistics.median(run["before"] + len(run["edp"]) for run in found)
        minutes = statistics.median(run["seconds"] for run in found) / 60
        reached = "-"
        if learned and not method.startswith("dosa"):
            goal = statistics.median(learned)
            counts = [next((i + 1 for i, e in enumerate(r["edp"]) if e <= goal), 0) for r in found]
            reached = ", ".join(str(c) if c else "never" for c in counts)
        shown = f"{statistics.median(ends):.6g} [{min(ends):.6g}, {max(ends):.6g}]"
        print(f"{method:16} {spent:11.0f} {shown:>30} {reached:>28} {minutes:.1f}")


if __name__ == "__main__":
    sys.exit(main())
