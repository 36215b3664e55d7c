"""DOSA's comparison (MICRO 2023, figure 7): searches on its Gemmini space with equal samples.

    python benchmarks/dosa.py [--json FILE] [--plot docs/dosa.png] [--anchors FOLDER]
    python benchmarks/dosa.py --templates [--json FILE]     # on Eyeriss and Simba, beside ga

Every optimizer searches hardware and mappings of four networks; designs are scored by the exact
model with DOSA's prices. A sample is one mapping evaluated for every unique layer, by whatever
model. EDP in uJ x cycles, geometric mean over the seeds. A run has one thread; "after so many
seconds" counts its processor time, which is the clock's where nothing else runs. Runs that stand in
the ``--json`` file are not run again, so parts (``--networks``, ``--optimizers``, ``--seeds``) can
be measured one after another. It exits with 1 where a target is missed.

The anchors are measured re-runs of DOSA's public artifact: gradient search (7 starts of 1,490
steps, 10,500 samples) and its random search (10 x 1,000). ``--anchors`` names a folder with their
``anchor_curves.csv``, for the plot.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from dse.runner.run import start
from dse.study.study import Progress

SAMPLES = 10_500
AT_SAMPLES = (1_000, 3_000, 10_000, SAMPLES)
AT_SECONDS = (1, 10, 60)
OPTIMIZERS = ("random", "dosa", "lockstep")
#: What random search gets: DOSA's 1,000 mappings for each hardware.
SETTINGS: dict[str, dict[str, Any]] = {"random": {"mappings_per_hardware": 1000}}
DOSA_MODEL = {"energy": "dosa", "timeloop_version": "dosa"}


class Network(NamedTuple):
    """A network, its anchors (EDP in uJ x cycles, geometric mean of 5 seeds) and the target."""

    title: str
    artifact: str
    gradient: float
    random: float
    factor: float


NETWORKS = {
    "resnet50": Network("ResNet-50", "resnet50", 7.53e10, 1.15e11, 1.12),
    "dosa_bert": Network("BERT", "bert", 1.90e9, 3.29e9, 1.2),
    "dosa_retinanet": Network("RetinaNet", "retinanet", 2.59e10, 5.43e10, 1.2),
    "dosa_unet": Network("U-Net", "unet", 2.27e13, 6.08e13, 1.6),
}
#: DOSA's own claim: its EDP is so many times lower than that of random search.
RATIO_TO_RANDOM = 2.80
MOST_SECONDS = 60.0

TEMPLATES = ("eyeriss", "simba")
TEMPLATE_OPTIMIZERS = ("random", "ga", "lockstep")
TEMPLATE_NETWORKS = ("resnet50", "dosa_bert")

Case = tuple[str, str, str, int]


def main() -> int:
    """Run what is missing, print the tables, draw the plot, check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--templates", action="store_true", help="Eyeriss and Simba instead")
    parser.add_argument("--networks", nargs="+")
    parser.add_argument("--optimizers", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--json", type=Path, help="results; those that it holds are kept")
    parser.add_argument("--plot", type=Path, help="draw the curves there (PNG)")
    parser.add_argument("--anchors", type=Path, help="folder of anchor_curves.csv, for the plot")
    given = parser.parse_args()
    archs = TEMPLATES if given.templates else ("gemmini",)
    optimizers = given.optimizers or (TEMPLATE_OPTIMIZERS if given.templates else OPTIMIZERS)
    networks = given.networks or (TEMPLATE_NETWORKS if given.templates else tuple(NETWORKS))
    seeds = given.seeds if given.seeds is not None else range(3 if given.templates else 5)
    cases = [(a, n, o, s) for s in seeds for a in archs for n in networks for o in optimizers]
    runs = measured(cases, given.samples, given.jobs, given.json)
    if given.templates:
        print(template_table(runs))
        return 0
    print(sample_table(runs), time_table(runs), sep="\n\n")
    if given.plot:
        draw(runs, given.plot, given.anchors)
    missed = list(misses(runs)) if given.samples == SAMPLES else []
    print("\n" + ("\n".join(f"missed: {text}" for text in missed) or "no target is missed"))
    return 1 if missed else 0


def measured(cases: list[Case], samples: int, jobs: int, file: Path | None) -> list[dict[str, Any]]:
    """Return a record for every case; measure those that the file does not hold, and add them."""
    known: list[dict[str, Any]] = []
    if file and file.exists():
        known = json.loads(file.read_text(encoding="utf-8"))
    have = {_case(record) for record in known if record["budget"] == samples}
    missing = [case for case in cases if case not in have]
    with ProcessPoolExecutor(jobs) as pool:
        pending = [pool.submit(run, case, samples) for case in missing]
        for done in as_completed(pending):
            known.append(done.result())
            if file:
                file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            record = known[-1]
            sys.stderr.write(
                f"{' '.join(map(str, _case(record)))}: EDP {record['edp_uj_cycles']:.4g}, "
                f"{record['wall_s']:.1f} s, CPU {record['cpu_s']:.1f} s\n"
            )
    wanted = set(cases)
    return [r for r in known if r["budget"] == samples and _case(r) in wanted]


def _case(record: dict[str, Any]) -> Case:
    return record["arch"], record["network"], record["optimizer"], record["seed"]


def run(case: Case, samples: int) -> dict[str, Any]:
    """Run one search on one thread; the curve has samples, seconds and the best EDP so far."""
    arch, network, optimizer, seed = case
    _warm_up(arch, optimizer)
    curve: list[tuple[int, float, float]] = []
    began, cpu = time.perf_counter(), time.process_time()

    def report(progress: Progress) -> None:
        seconds = time.process_time() - cpu
        if math.isfinite(progress.best_value):
            curve.append((progress.samples, seconds, progress.best_value * 1e-6))

    with tempfile.TemporaryDirectory() as folder:
        given = _settings(arch, network, optimizer, seed, samples, f"{folder}/run")
        result = start(given).execute(report)
        journal = (result.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [json.loads(line) for line in journal]
    return {
        "arch": arch,
        "network": network,
        "optimizer": optimizer,
        "seed": seed,
        "budget": samples,
        "samples": result.samples,
        "edp_uj_cycles": result.metrics.edp * 1e-6,
        "energy_uj": result.metrics.energy_pj * 1e-6,
        "cycles": result.metrics.cycles,
        "values": result.design.values,
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
        "by_samples": _improvements(
            [(s["samples"], s["best"] * 1e-6) for s in steps if "best" in s]
        ),
        "by_seconds": _improvements([(seconds, edp) for _, seconds, edp in curve]),
    }


def _settings(
    arch: str, network: str, optimizer: str, seed: int, samples: int, folder: str
) -> dict[str, Any]:
    return {
        "arch": arch,
        "workload": network,
        "optimizer": {"name": optimizer, **SETTINGS.get(optimizer, {})},
        "samples": samples,
        "seed": seed,
        "folder": folder,
        "n_jobs": 1,
        **(DOSA_MODEL if arch == "gemmini" else {}),
    }


def _warm_up(arch: str, optimizer: str) -> None:
    """Load the compiled code before the clock starts."""
    with tempfile.TemporaryDirectory() as folder:
        start(_settings(arch, "dosa_bert", optimizer, 1, 100, f"{folder}/run")).execute()


def _improvements(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep the points at which the best value changes."""
    kept: list[tuple[float, float]] = []
    for at, value in points:
        if not kept or value < kept[-1][1]:
            kept.append((at, value))
    return kept


def value_at(record: dict[str, Any], key: str, at: float) -> float:
    """Return the best EDP of a run after so many samples or seconds; NaN before the first."""
    return next((value for x, value in reversed(record[key]) if x <= at), math.nan)


def geomean(values: list[float]) -> float:
    """Return the geometric mean; NaN where a value is missing."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def _of(runs: list[dict[str, Any]], network: str, optimizer: str) -> list[dict[str, Any]]:
    return [r for r in runs if (r["network"], r["optimizer"]) == (network, optimizer)]


def _rows(runs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(sorted((r["network"], r["optimizer"]) for r in runs)))


def sample_table(runs: list[dict[str, Any]]) -> str:
    """Return the Markdown table of EDP after so many samples, with the anchors."""
    lines = [
        "| network | search | seeds | "
        + " | ".join(f"{n:,}" for n in AT_SAMPLES)
        + " | worst | anchor: gradient | anchor / this |",
        "|---|---|" + "---:|" * (len(AT_SAMPLES) + 4),
    ]
    for network, optimizer in _rows(runs):
        mine, anchor = _of(runs, network, optimizer), NETWORKS[network].gradient
        at = [geomean([value_at(r, "by_samples", n) for r in mine]) for n in AT_SAMPLES]
        worst = max(r["edp_uj_cycles"] for r in mine)
        lines.append(
            f"| {NETWORKS[network].title} | {optimizer} | {len(mine)} | "
            + " | ".join(f"{value:.3g}" for value in at)
            + f" | {worst:.3g} | {anchor:.3g} | {anchor / at[-1]:.2f} |"
        )
    return "\n".join(lines)


def time_table(runs: list[dict[str, Any]]) -> str:
    """Return the Markdown table of EDP after so many seconds; runs end with their samples."""
    lines = [
        "| network | search | "
        + " | ".join(f"{s} CPU s" for s in AT_SECONDS)
        + " | wall s | CPU s |",
        "|---|---|" + "---:|" * (len(AT_SECONDS) + 2),
    ]
    for network, optimizer in _rows(runs):
        mine = _of(runs, network, optimizer)
        at = [geomean([value_at(r, "by_seconds", s) for r in mine]) for s in AT_SECONDS]
        wall, cpu = (sum(r[key] for r in mine) / len(mine) for key in ("wall_s", "cpu_s"))
        lines.append(
            f"| {NETWORKS[network].title} | {optimizer} | "
            + " | ".join("-" if math.isnan(v) else f"{v:.3g}" for v in at)
            + f" | {wall:.1f} | {cpu:.1f} |"
        )
    return "\n".join(lines)


def template_table(runs: list[dict[str, Any]]) -> str:
    """Return the Markdown table for other templates: EDP over that of lockstep in the end."""
    optimizers = list(dict.fromkeys(r["optimizer"] for r in runs))
    lines = [
        "| template | network | " + " | ".join(optimizers) + " | best hardware |",
        "|---|---|" + "---:|" * len(optimizers) + "---|",
    ]
    for arch, network in dict.fromkeys(sorted((r["arch"], r["network"]) for r in runs)):
        here = [r for r in runs if (r["arch"], r["network"]) == (arch, network)]
        means = [geomean([r["edp_uj_cycles"] for r in _of(here, network, o)]) for o in optimizers]
        best = min(here, key=lambda r: r["edp_uj_cycles"])
        hardware = ", ".join(f"{k}={v}" for k, v in best["values"].items())
        cells = " | ".join(f"{m:.4g} ({m / min(means):.2f})" for m in means)
        lines.append(f"| {arch} | {network} | {cells} | {hardware} |")
    return "\n".join(lines)


def misses(runs: list[dict[str, Any]]) -> list[str]:
    """Return the targets that the runs miss, of those that they say something about."""
    missed, ratios = [], []
    for network, of in NETWORKS.items():
        ends = {o: geomean([r["edp_uj_cycles"] for r in _of(runs, network, o)]) for o in OPTIMIZERS}
        for optimizer, factor in (("dosa", 1.0), ("lockstep", of.factor)):
            if ends[optimizer] > of.gradient / factor:
                missed.append(
                    f"{network}: {optimizer} {ends[optimizer]:.3g}, expected at most "
                    f"{of.gradient / factor:.3g} (anchor / {factor})"
                )
        slow = [r["cpu_s"] for r in _of(runs, network, "lockstep") if r["cpu_s"] > MOST_SECONDS]
        if slow:
            missed.append(
                f"{network}: lockstep took {max(slow):.0f} CPU s, expected {MOST_SECONDS:g}"
            )
        at = {
            o: geomean([value_at(r, "by_samples", 10_000) for r in _of(runs, network, o)])
            for o in ("random", "lockstep")
        }
        ratios.append(at["random"] / at["lockstep"])
    ratio = geomean(ratios)
    if ratio <= RATIO_TO_RANDOM:
        missed.append(f"random / lockstep at 10,000 samples: {ratio:.2f}, expected above 2.80")
    elif math.isfinite(ratio):
        print(f"\nrandom / lockstep after 10,000 samples, geometric mean: {ratio:.2f} (DOSA: 2.80)")
    return missed


def draw(runs: list[dict[str, Any]], path: Path, anchors: Path | None) -> None:
    """Draw EDP against samples, a panel for each network: geometric mean, and the seeds' range."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to load

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    networks = [n for n in NETWORKS if any(r["network"] == n for r in runs)]
    figure, axes = plt.subplots(
        *(1, len(networks)),
        figsize=(3.6 * len(networks), 3.6),
        squeeze=False,
        layout="constrained",
    )
    grid = np.unique(np.geomspace(10, SAMPLES, 120).round())
    for axis, network in zip(axes[0], networks, strict=True):
        for number, optimizer in enumerate(dict.fromkeys(r["optimizer"] for r in runs)):
            mine = _of(runs, network, optimizer)
            curves = np.array([[value_at(r, "by_samples", x) for x in grid] for r in mine])
            axis.plot(
                grid, np.exp(np.log(curves).mean(axis=0)), color=f"C{number}", label=optimizer
            )
            axis.fill_between(
                grid, curves.min(axis=0), curves.max(axis=0), color=f"C{number}", alpha=0.2, lw=0
            )
        of = NETWORKS[network]
        for method, value, style in (("gd", of.gradient, "--"), ("random", of.random, ":")):
            label = {"gd": "artifact, gradient", "random": "artifact, random"}[method]
            points = _anchor_curve(anchors, of.artifact, method) or [(SAMPLES, value)]
            axis.plot(
                *zip(*points, strict=True), style, color="black", lw=1, marker=".", label=label
            )
        axis.set(xscale="log", yscale="log", title=of.title, xlabel="samples")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("EDP in uJ x cycles")
    lines, names = axes[0][-1].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(names), frameon=False)
    figure.savefig(path, dpi=110)


def _anchor_curve(folder: Path | None, network: str, method: str) -> list[tuple[float, float]]:
    """Return the geometric mean over the seeds of an anchor's best EDP, by samples."""
    if folder is None:
        return []
    found: dict[int, list[float]] = {}
    with (folder / "anchor_curves.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if (row["method"], row["workload"]) == (method, network):
                edp = float(row["best_edp_uJcycles"])
                found.setdefault(int(float(row["samples"])), []).append(edp)
    most = max(map(len, found.values()), default=0)
    return sorted((n, geomean(v)) for n, v in found.items() if len(v) == most)


if __name__ == "__main__":
    sys.exit(main())
