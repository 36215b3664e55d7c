"""The third loop: networks, accelerators and mappings searched together, and what each part gains.

``python benchmarks/third_loop.py digits`` trains a supernet of digits (unless ``--supernet FOLDER``
holds one), searches Eyeriss' resources with it for each seed, and prints, beside the network of the
defaults on the chip's own array, what the chip alone, the network alone and both gain in EDP at no
loss of accuracy. Accuracies of the front are measured again from the saved weights.

``rate`` runs the loop on ofa_resnet50 with ``macs`` and with a perceptron, and counts mappings per
second. ``cost`` measures CPU minutes of searches for five chips' resources, for the table of NAAS'
paper. ``--json FILE`` keeps the figures and goes on with what is there.

Exits with 1 where no pair on a front beats the fixed network on the baseline chip in both.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import dse
from dse.accuracy.choice import predictor
from dse.evaluators.native import NativeEvaluator
from dse.goals.pareto import FrontMember
from dse.learned.supernet import SPACE, supernet_space
from dse.learned.supernet_train import (
    CARD,
    SupernetSettings,
    save_supernet,
    train_supernet,
)
from dse.report.result import SearchResult
from dse.space import catalog

#: Hardware a generation, generations, networks on each hardware, and mappings per layer.
_POPULATION, _GENERATIONS, _NETWORKS, _MAPPINGS = 8, 4, 24, 200
_CHIPS = ("naas_eyeriss", "naas_shidiannao", "naas_nvdla_256", "naas_nvdla_1024", "naas_edge_tpu")


def main() -> int:
    """Measure what was asked for."""
    given = _arguments()
    kept = given.json if given.json else Path(tempfile.mkdtemp()) / "third_loop.json"
    figures: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    measures = {"digits": _digits, "rate": _rate, "cost": _cost}
    for name in given.what:
        measures[name](given, figures, kept)
    _print(figures)
    return 0 if all(row["dominates"] for row in figures.get("seeds", {}).values()) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", default=["digits", "rate", "cost"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--supernet", type=Path, default=Path("supernet"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


class _Clock:
    """Seconds, CPU seconds and mappings of a measurement; compiling is not part of it."""

    def __enter__(self) -> _Clock:
        self._mappings = _EVALUATED["mappings"]
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._wall
        self.cpu_seconds = time.process_time() - self._cpu
        self.mappings = _EVALUATED["mappings"] - self._mappings

    def as_dict(self) -> dict[str, float]:
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "mappings": self.mappings,
        }


_EVALUATED: Counter[str] = Counter()
_evaluate = NativeEvaluator.evaluate_batch


def _counted(self: NativeEvaluator, *batch: object) -> object:
    _EVALUATED["mappings"] += len(batch[2])
    return _evaluate(self, *batch)


NativeEvaluator.evaluate_batch = _counted


def _search(given: argparse.Namespace, folder: Path, **settings: object) -> SearchResult:
    """Run naas with the benchmark's effort."""
    own: dict[str, Any] = {
        "name": "naas",
        "population": _POPULATION,
        "mappings_per_hardware": _MAPPINGS,
        **settings.pop("optimizer", {}),
    }
    designs = own["population"] * settings.pop("generations", _GENERATIONS)
    samples = designs * own.get("networks", 1) * own["mappings_per_hardware"]
    return dse.run(
        **{"arch": "naas_eyeriss", "workload": SPACE, **settings},
        optimizer=own, samples=samples, folder=folder, report=False, n_jobs=given.threads,
    )  # fmt: skip


def _warm(given: argparse.Namespace, folder: Path) -> None:
    """Compile what the searches use."""
    small = {"population": 4, "networks": 2, "mappings_per_hardware": 20}
    _search(given, folder / "warm", optimizer=small, generations=1)


def _supernet(given: argparse.Namespace, figures: dict[str, Any]) -> str:
    if not (given.supernet / CARD).exists():
        with _Clock() as clock:
            trained = train_supernet(SupernetSettings(), lambda *_: None)
            save_supernet(given.supernet, trained)
        figures["training"] = {**clock.as_dict(), "accuracies": trained.accuracies}
    return f"digits:{given.supernet}"


def _defaults() -> dict[str, float]:
    space = supernet_space()
    return space.numbers(space.defaults)


def _digits(given: argparse.Namespace, figures: dict[str, Any], kept: Path) -> None:
    """Search with and without each part, for every seed."""
    accuracy = _supernet(given, figures)
    _keep(figures, kept)
    networks = {"networks": _NETWORKS, "network_population": _NETWORKS // 2}
    for seed in range(given.seeds):
        if str(seed) in figures.setdefault("seeds", {}):
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _warm(given, folder)
            with _Clock() as clock:
                both = _search(
                    given, folder / "both", accuracy=accuracy, optimizer=networks, seed=seed
                )
            chip = _search(given, folder / "chip", network=_defaults(), seed=seed)
            alone = {**networks, "population": 4}
            template = catalog.template("naas_eyeriss")
            network = _search(
                given, folder / "network", accuracy=accuracy, optimizer=alone, seed=seed,
                variables=template.defaults,
            )  # fmt: skip
            figures["seeds"][str(seed)] = _compared(both, chip, network, accuracy, clock)
        _keep(figures, kept)


def _compared(
    both: SearchResult, chip: SearchResult, network: SearchResult, accuracy: str, clock: _Clock
) -> dict[str, Any]:
    """Return the bars, and the front with its accuracies measured again."""
    _, base = both.own_design
    again = predictor(accuracy, supernet_space())
    front = []
    for member in both.front_members:
        measured = again.predict({k: v for k, v in member.design.values.items() if "." in k})
        if measured != member.metrics.accuracy:
            raise AssertionError(f"{member.design.values}: {measured} measured again")
        front.append([member.metrics.accuracy, member.metrics.edp])

    def best(members: tuple[FrontMember, ...]) -> float:
        found = [m.metrics.edp for m in members if m.metrics.accuracy >= base.accuracy]
        return base.edp / min(found, default=float("inf"))

    better = [p for p in front if p[0] > base.accuracy and p[1] < base.edp]
    return {
        **clock.as_dict(),
        "base": [base.accuracy, base.edp],
        "front": front,
        "chip": base.edp / chip.metrics.edp,
        "network": best(network.front_members),
        "both": best(both.front_members),
        "most_accurate_below": max(better, default=None),
        "dominates": bool(better),
    }


def _rate(given: argparse.Namespace, figures: dict[str, Any], kept: Path) -> None:
    """Count mappings per second on ofa_resnet50, with a stand-in and with a perceptron."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _warm(given, folder)
        for kind in ("macs", _perceptron(folder)):
            with _Clock() as clock:
                result = _search(
                    given, folder / kind.partition(":")[0], workload="ofa_resnet50", accuracy=kind,
                    optimizer={
                        "networks": 12, "network_population": 6, "population": 20,
                        "mappings_per_hardware": 500,
                    },
                    generations=1,
                )  # fmt: skip
            row = {**clock.as_dict(), "front": len(result.front_members)}
            figures.setdefault("rate", {})[kind.partition(":")[0]] = row
            _keep(figures, kept)


def _perceptron(folder: Path) -> str:
    """Write a perceptron of once-for-all's form, with random weights, and return its setting."""
    rng = np.random.default_rng(0)
    sizes = (83, 40, 40, 1)
    arrays = {}
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        arrays[f"{number}.weight"] = rng.normal(size=(outputs, inputs)) / inputs**0.5
    np.savez(folder / "weights.npz", **arrays, base=np.array([0.7]))
    images = list(range(128, 257, 16))
    (folder / "acc.yaml").write_text(
        f"weights: weights.npz\noffset: base\nfeatures:\n"
        f"  - {{variable: image, values: {images}}}\n  - {{variable: stem, values: [0, 1]}}\n"
        "  - {variable: width_*, values: [0.65, 0.8, 1.0]}\n"
        "  - {variable: expand_*, values: [0.2, 0.25, 0.35]}\n"
    )
    return f"mlp:{folder / 'acc.yaml'}"


def _cost(given: argparse.Namespace, figures: dict[str, Any], kept: Path) -> None:
    """Measure searches for several chips' resources with one supernet."""
    accuracy = _supernet(given, figures)
    networks = {"networks": _NETWORKS, "network_population": _NETWORKS // 2}
    with tempfile.TemporaryDirectory() as name:
        _warm(given, Path(name))
        for chip in _CHIPS:
            if chip in figures.setdefault("cost", {}):
                continue
            with _Clock() as clock:
                _search(given, Path(name) / chip, arch=chip, accuracy=accuracy, optimizer=networks)
            figures["cost"][chip] = clock.as_dict()
            _keep(figures, kept)


def _keep(figures: dict[str, Any], kept: Path) -> None:
    kept.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def _print(figures: dict[str, Any]) -> None:
    out = sys.stdout
    if "training" in figures:
        t = figures["training"]
        out.write(f"training: {t['cpu_seconds'] / 60:.1f} CPU minutes, {t['accuracies']}\n")
    for seed, row in figures.get("seeds", {}).items():
        out.write(
            f"seed {seed}: fixed network on the chip: accuracy {row['base'][0]:.4f}, EDP "
            f"{row['base'][1] / 1e12:.4g} J x cycle; EDP less by chip {row['chip']:.2f}, network "
            f"{row['network']:.1f}, both {row['both']:.1f}; {row['cpu_seconds'] / 60:.1f} CPU "
            f"minutes, {row['seconds'] / 60:.1f} minutes\n"
        )
        for accuracy, edp in row["front"]:
            out.write(f"    {accuracy:.4f}  {edp / 1e12:.5g}\n")
    for kind, row in figures.get("rate", {}).items():
        out.write(
            f"rate, {kind}: {row['mappings']:,} mappings, {row['mappings'] / row['seconds']:,.0f}/s"
            f", {row['mappings'] / row['cpu_seconds']:,.0f} per CPU second\n"
        )
    cost = [row["cpu_seconds"] / 60 for row in figures.get("cost", {}).values()]
    if cost:
        training = figures.get("training", {}).get("cpu_seconds", 0.0) / 60
        out.write(
            f"cost: {cost[0]:.1f} CPU minutes for one scenario, {sum(cost):.1f} for {len(cost)}; "
            f"{training:.1f} of training once\n"
        )


if __name__ == "__main__":
    sys.exit(main())
