"""Searches whose evaluator is dear: how good a design after how many of its evaluations.

    python benchmarks/polaris.py [--evaluator cycles|rtl|truth] [--network dosa_bert]
        [--samples 60] [--seeds 0 1 2] [--methods ...] [--rows 300] [--data FOLDER]
        [--json FILE] [--plot FILE]

On the template gemmini with its array fixed. A sample is one evaluation of a design by the
evaluator: ``rtl`` simulates our own accelerator; ``cycles`` is its cycle model, which equals the
RTL to the cycle and takes its place where nobody waits for a simulator; ``truth`` stands for
Gemmini on FireSim: Starlight with the answer of the model of FireSim, trained on half of DOSA's
recorded training rows and on the 222 found points (``--data``; the searches see none of these).
``dosa`` and ``dosa learned`` search on models, with all samples that DOSA has by itself, and have
but their best design evaluated. The learned one's latency (the native model and a network) is
trained on ``--rows`` mappings of random search that the evaluator priced, which count as its
evaluations; with ``truth`` on the other half of the recorded rows. Whatever is in ``--json``
already is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from published import DOSA, is_here

import dse
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.evaluators.base import Evaluator
from dse.plugins import plugin
from dse.space import catalog
from dse.study.result import RunResult

METHODS = (
    *("random", "bo", "spotlight", "lockstep", "polaris", "polaris search=2000"),
    *("polaris +cycles", "dosa", "dosa learned"),
)
DEFAULT_DATA = Path(__file__).parents[2] / "shared/reference/dosa"


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--evaluator", choices=["cycles", "rtl", "truth"], default="cycles")
    parser.add_argument("--network", default="dosa_bert")
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rows", type=int, default=300, help="rows that dosa learned trains on")
    parser.add_argument("--pe-dim", type=int, default=16)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="firesim_*.csv, for truth")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="best EDP over evaluations")
    options = parser.parse_args()
    for name in ("train", "test"):
        file = options.data / f"firesim_{name}.csv"
        if options.evaluator == "truth" and not is_here(file, DOSA, "--data FOLDER"):
            return 2
    known: dict[str, Any] = {}
    if options.json and options.json.is_file():
        known = json.loads(options.json.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as place:
        for method in options.methods:
            for seed in options.seeds:
                key = f"{options.evaluator} {options.network} {options.pe_dim} {method} {seed}"
                if key not in known:
                    known[key] = measured(method, seed, options, Path(place))
                    sys.stderr.write(f"{key}: {known[key]['edp'][-1]:.6g} J x cycle\n")
                    if options.json:
                        text = json.dumps(known, indent=1) + "\n"
                        options.json.write_text(text, encoding="utf-8")
    print_table(known, options)
    if options.plot:
        _plot(known, options)
    return 0


def measured(method: str, seed: int, options: argparse.Namespace, kept: Path) -> dict[str, Any]:
    """Run one search; return the best EDP in J x cycle after each evaluation, and the seconds.

    Args:
        method: of :data:`METHODS`.
        seed: of it.
        options: of the command.
        kept: a folder for what searches share.
    """
    evaluator = _evaluator(options, kept)
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
            searched: Any = "native"
            if how:
                searched, spent = _learned(folder, common, evaluator, options)
            result = dse.run(**common, optimizer="dosa", evaluator=searched)
            curve = [_edp(result, evaluator)]
        else:
            optimizer: dict[str, Any] = {"name": name}
            if how:
                key, _, number = how.rpartition("=")
                optimizer |= {key: int(number)} if key else {"features": how}
            dse.run(**common, optimizer=optimizer, evaluator=evaluator, samples=options.samples)
            curve = _curve(folder / "run")
    return {"edp": curve, "before": spent, "seconds": time.monotonic() - began}


def _evaluator(options: argparse.Namespace, kept: Path) -> dict[str, str]:
    """Return the dear evaluator; the one that stands for FireSim is trained at first."""
    if options.evaluator != "truth":
        return {"name": options.evaluator}
    folder = kept / "truth"
    if not folder.exists():
        _train("starlight", _halves(options.data, kept)[0], {"features": "+firesim"}, folder, 0)
    return {"name": "learned", "model": str(folder)}


def _halves(data: Path, kept: Path) -> tuple[Path, Path]:
    """Part the recorded rows; return the file that the truth learns from, and the searches' one."""
    columns, rows = [], []
    for name in ("train", "test"):
        with (data / f"firesim_{name}.csv").open(encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows.append(list(reader))
            columns.append(reader.fieldnames or ())
    shared = [c for c in columns[0] if c in columns[1]]
    parts = (rows[0][::2] + rows[1], rows[0][1::2])
    paths = (kept / "truth.csv", kept / "seen.csv")
    for path, part in zip(paths, parts, strict=True):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, shared, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(part)
    return paths


def _train(kind_name: str, data: Path, given: dict[str, Any], folder: Path, seed: int) -> None:
    from dse.learned.data import read_data  # noqa: PLC0415 - compiled code
    from dse.learned.dosa_rows import is_dosa  # noqa: PLC0415
    from dse.learned.folder import save_model  # noqa: PLC0415
    from dse.learned.kinds import kind  # noqa: PLC0415
    from dse.learned.train import TrainSettings, train  # noqa: PLC0415

    settings = kind(kind_name).settings_type(**given)
    rows = read_data(data, used_arrays=is_dosa(data))
    common = TrainSettings(seed=seed, held_out=0.0)
    save_model(folder, train(kind_name, rows, settings, common, lambda *_: None))


def _learned(
    folder: Path, common: dict[str, Any], evaluator: dict[str, str], options: argparse.Namespace
) -> tuple[dict[str, str], int]:
    """Train a latency on rows of the evaluator; return an evaluator, and the designs spent."""
    layers = len(catalog.workload(options.network))
    if options.evaluator == "truth":
        data = _halves(options.data, folder)[1]
        count = (len(data.read_text(encoding="utf-8").splitlines()) - 1) // layers
    else:
        data, count = folder / "recorded", max(1, options.rows // layers)
        dse.run(
            **{**common, "folder": str(data), "seed": common["seed"] + 1000},
            optimizer={"name": "random", "mappings_per_hardware": 5},
            evaluator=evaluator,
            samples=count,
            record=True,
        )
    _train("residual", data, {}, folder / "model", common["seed"])
    return {"name": "learned", "model": str(folder / "model")}, count


def _edp(result: RunResult, named: dict[str, str]) -> float:
    """Return the EDP of a result's design by an evaluator, in J x cycle."""
    chosen = plugin("evaluator", named["name"])
    given = {key: value for key, value in named.items() if key != "name"}
    evaluator: Evaluator[Any] = chosen.factory(settings=chosen.settings_type(**given))
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


def _plot(known: dict[str, Any], options: argparse.Namespace) -> None:
    import matplotlib.pyplot as plt  # noqa: PLC0415 - slow to load
    import numpy as np  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(6.4, 4.0), constrained_layout=True)
    head = f"{options.evaluator} {options.network} {options.pe_dim} "
    for method in METHODS:
        found = [known[k] for s in options.seeds if (k := f"{head}{method} {s}") in known]
        if not found:
            continue
        if method.startswith("dosa"):
            middle = statistics.median(run["edp"][-1] for run in found)
            label = f"{method} ({statistics.median(r['before'] + 1 for r in found):.0f} designs)"
            axes.axhline(
                middle, linestyle="--" if method == "dosa" else ":", color="0.4", label=label
            )
            continue
        curves = np.array([run["edp"][: options.samples] for run in found])
        at = np.arange(1, curves.shape[1] + 1)
        (line,) = axes.plot(at, np.median(curves, axis=0), label=method)
        axes.fill_between(at, curves.min(0), curves.max(0), color=line.get_color(), alpha=0.15)
    axes.set(yscale="log", xlabel="designs evaluated", ylabel="best EDP (J x cycle)")
    axes.legend(fontsize="small")
    figure.savefig(options.plot, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
