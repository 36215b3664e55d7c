"""Searches among recorded rows: how many look-ups until each layer's best recorded row is found.

    python benchmarks/recorded_search.py [--data FOLDER] [--budget 396] [--seeds 0 1 2 3 4]
        [--methods ...] [--json FILE] [--plot FILE]

Of DOSA's 1,567 training rows (66 layers, on the array that ran each) a search sees features and the
native model's answer, and the recorded cycles of those that it has looked up. It begins with one
row of each layer, drawn at random, and then looks up 22 rows at a time, of 22 layers. Its score is
how far the best EDP found of a layer is from the best one recorded, as a geometric mean over the
layers. Every method differs in what it expects of the other rows:

- ``random``: nothing.
- ``dosa``: what the native model says.
- ``dosa +dnn``: the native model and a network (``residual``) of the rows looked up.
- ``bo``: a Gaussian process with a Matern kernel on the features; expected improvement.
- ``spotlight``: a linear kernel; the mean less one deviation.
- ``polaris``: Starlight; expected improvement.

Whatever is in ``--json`` already is not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from published import DOSA, is_here
from scipy.stats import norm

from dse.learned.data import read_data
from dse.learned.encoding import Encoding
from dse.learned.kinds import kind
from dse.learned.predictor import Prediction
from dse.learned.rows import RecordedRows, RowTable

DEFAULT_DATA = Path(__file__).parents[2] / "shared/reference/dosa"
METHODS = ("random", "dosa", "dosa +dnn", "bo", "spotlight", "polaris")
BATCH = 22
#: Factors over the best recorded whose look-ups the table counts.
GOALS = (1.1, 1.05, 1.02)
#: Percent above the best recorded that the plot shows; what is less stands there.
_LEAST_SHOWN = 0.01
Floats = npt.NDArray[np.float64]
#: From the rows looked up to the acquisition of all rows: the larger, the sooner.
Method = Callable[[npt.NDArray[np.intp], Floats], Floats]


def main() -> int:
    """Measure what is not known yet, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the CSV files")
    parser.add_argument("--budget", type=int, default=396, help="look-ups (default 396)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="how far from the best recorded, over look-ups")
    options = parser.parse_args()
    path = options.data / "firesim_train.csv"
    if not is_here(path, DOSA, "--data FOLDER"):
        return 2
    known: dict[str, list[float]] = {}
    if options.json and options.json.is_file():
        known = json.loads(options.json.read_text(encoding="utf-8"))
    pool = Pool(read_data(path, used_arrays=True))
    for method in options.methods:
        for seed in options.seeds:
            key = f"{method} | {options.budget} | {seed}"
            if key not in known:
                known[key] = pool.searched(method, options.budget, seed)
                sys.stderr.write(f"{key}: {known[key][-1]:.4f}\n")
                if options.json:
                    text = json.dumps(known, indent=1) + "\n"
                    options.json.write_text(text, encoding="utf-8")
    curves = {
        method: np.array([known[f"{method} | {options.budget} | {s}"] for s in options.seeds])
        for method in options.methods
    }
    print_table(curves)
    if options.plot:
        _plot(curves, options.plot)
    return 0


class Pool:
    """The recorded rows, encoded; what is learned of them is learned from those looked up."""

    def __init__(self, rows: RecordedRows) -> None:
        self._rows = rows
        self._encoding = Encoding(rows.structure, timeloop_version=rows.timeloop_version)
        self._table = rows.encoded(self._encoding)
        self._ln_energy = np.log(self._table.energy_pj)
        #: what is to be found; a method sees it of the rows that were looked up
        self._ln_edp = self._table.ln_cycles + self._ln_energy
        self._layers = int(self._table.layer.max()) + 1
        self._least = self._least_of(np.arange(len(self._table)))

    def searched(self, name: str, budget: int, seed: int) -> list[float]:
        """Return the factor over the best recorded after each look-up from the first row of all."""
        rng = np.random.default_rng(seed)
        method = self._method(name, seed, rng)
        order = rng.permutation(len(self._table))
        _, first = np.unique(self._table.layer[order], return_index=True)
        seen = order[first]
        curve = [self._factor(seen)]
        while len(seen) < budget:
            worth = method(seen, self._least_of(seen))
            worth[seen] = -np.inf
            best = np.argsort(-worth, kind="stable")
            _, of_layers = np.unique(self._table.layer[best], return_index=True)
            chosen = best[np.sort(of_layers)]
            for row in chosen[np.isfinite(worth[chosen])][: min(BATCH, budget - len(seen))]:
                seen = np.append(seen, row)
                curve.append(self._factor(seen))
        return [float("nan")] * (self._layers - 1) + curve

    def _least_of(self, seen: npt.NDArray[np.intp]) -> Floats:
        """Return ln of the least EDP of each layer among some rows."""
        least = np.full(self._layers, np.inf)
        np.minimum.at(least, self._table.layer[seen], self._ln_edp[seen])
        return least

    def _factor(self, seen: npt.NDArray[np.intp]) -> float:
        return float(np.exp(np.mean(self._least_of(seen) - self._least)))

    def _method(self, name: str, seed: int, rng: np.random.Generator) -> Method:
        match name:
            case "random":
                return lambda _, __: rng.random(len(self._table))
            case "dosa":
                native = self._table.ln_native + self._ln_energy
                return lambda _, least: least[self._table.layer] - native
            case "bo" | "spotlight":
                return lambda seen, least: self._by_process(name, seen, least, seed)
        predictor = kind({"dosa +dnn": "residual", "polaris": "starlight"}[name])
        settings = predictor.settings_type()
        before = predictor.prepared(self._rows, self._encoding, settings, seed, _silent)

        def learned(seen: npt.NDArray[np.intp], least: Floats) -> Floats:
            table = self._table
            fitted = predictor.fit(table.take(seen), settings, seed, _silent, **before)
            told = fitted.predict(table.features, table.ln_native)
            told = told._replace(mean=told.mean + self._ln_energy)
            if name == "polaris":
                return _expected_improvement(told, least[table.layer])
            return np.asarray(least[table.layer] - told.mean)

        return learned

    def _by_process(
        self, name: str, seen: npt.NDArray[np.intp], least: Floats, seed: int
    ) -> Floats:
        from dse.bayes.surrogate import DesignProcess, torch_of  # noqa: PLC0415 - slow to load

        with torch_of(seed):
            points = _unit_cube(self._table)
            groups = np.arange(points.shape[1])
            kernel = "matern" if name == "bo" else "linear"
            process = DesignProcess(points[seen], self._ln_edp[seen], groups, kernel)
            told = Prediction(*process.at(points))
        if name == "bo":
            return _expected_improvement(told, least[self._table.layer])
        return np.asarray(least[self._table.layer] - (told.mean - told.deviation))


def _unit_cube(table: RowTable) -> Floats:
    low, high = table.features.min(axis=0), table.features.max(axis=0)
    moves = high > low
    return np.ascontiguousarray(((table.features - low)[:, moves]) / (high - low)[moves])


def _expected_improvement(told: Prediction, least: Floats) -> Floats:
    """Return by how much rows are expected to lower ln EDP, ``(N,)``."""
    deviation = np.maximum(told.deviation, 1e-9)
    gap = (least - told.mean) / deviation
    result: Floats = deviation * (gap * norm.cdf(gap) + norm.pdf(gap))
    return result


def _silent(step: int, steps: int, line: str) -> None:
    """Report nothing."""


def print_table(curves: dict[str, npt.NDArray[np.float64]]) -> None:
    """Print the factor at the end, and after how many look-ups it is below each goal."""
    print("EDP over the best recorded, geometric mean of 66 layers; median [range] of the seeds")
    print(f"{'method':10} {'at the end':>26} " + " ".join(f"{f'to {g}':>18}" for g in GOALS))
    for method, runs in curves.items():
        ends = runs[:, -1]
        line = f"{statistics.median(ends):.4f} [{ends.min():.4f}, {ends.max():.4f}]"
        counts = []
        for goal in GOALS:
            found = [int(np.argmax(run <= goal)) + 1 if (run <= goal).any() else 0 for run in runs]
            reached = sorted(count or runs.shape[1] + 1 for count in found)
            middle = int(statistics.median(reached))
            counts.append(str(middle) if middle <= runs.shape[1] else "never")
        print(f"{method:10} {line:>26} " + " ".join(f"{c:>18}" for c in counts))


def _plot(curves: dict[str, npt.NDArray[np.float64]], path: Path) -> None:
    import matplotlib.pyplot as plt  # noqa: PLC0415 - slow to load

    figure, axes = plt.subplots(figsize=(6.4, 4.0), constrained_layout=True)
    for method, factors in curves.items():
        runs = np.maximum(100 * (factors - 1), _LEAST_SHOWN)
        at = np.arange(1, runs.shape[1] + 1)
        (line,) = axes.plot(at, np.median(runs, axis=0), label=method)
        axes.fill_between(at, runs.min(0), runs.max(0), color=line.get_color(), alpha=0.15)
    axes.set(xlabel="rows looked up", ylabel="EDP above the best recorded (%)")
    axes.set(yscale="log")
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
