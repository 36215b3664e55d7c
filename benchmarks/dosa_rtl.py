"""What DOSA's designs gain over Gemmini's own tiling, by cycles that were recorded in RTL.

    python benchmarks/dosa_rtl.py [--data FOLDER] [--predictors NAME ...] [--seed N]

The offline form of figures 10 to 12 of the DOSA paper (MICRO 2023): for each of four networks and
each of three latency models that DOSA searched with, the EDP of Gemmini's default (tiles of its
own choice, on 16 x 16 with 128 KB and 32 KB) over that of the found design, cycles as FireSim
recorded both (``firesim_test.csv`` of ucb-bar/dosa, BSD-2; not part of this repository). Energies
are the native model's (version ``dosa``); the default's are of its tiles rounded down to divisors,
as the authors do. Beside it the same with the cycles of our predictors, which were trained on the
training rows: who would have told which designs are good? Exit code 1 where the order of the
published means (both > dnn > analytical) does not come out of the recorded cycles.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.problem import Problem
from dse.learned.data import read_data
from dse.learned.dosa_rows import COEFFICIENTS, DIMENSIONS, mappings_of, problem_of
from dse.learned.encoding import Encoding, blocks_of
from dse.learned.kinds import kind
from dse.learned.rows import RecordedRows, Row
from dse.numeric import Floats
from dse.space import catalog

DEFAULT_DATA = Path(__file__).parents[2] / "shared/reference/dosa"
#: In the order of the file.
SEARCHED_WITH = ("analytical", "both", "dnn")
NETWORKS = ("dosa_bert", "resnet50", "dosa_retinanet", "dosa_unet")
#: Side, and KB of scratchpad and accumulator, of Gemmini's default.
DEFAULT_HARDWARE = {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 32}
#: Means of the networks that the rows were found to give, for comparison.
KNOWN = {"analytical": 1.43, "both": 1.78, "dnn": 1.66}
PREDICTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "residual": ("residual", {}),
    "trees": ("trees", {}),
    "starlight": ("starlight", {}),
    "starlight +firesim": ("starlight", {"features": "+firesim"}),
}


@dataclass(frozen=True)
class Found:
    """A design that DOSA found for a network with one of its latency models.

    Attributes:
        rows: of the file, one for each layer.
        counts: how often the network has each layer, ``(L,)``.
    """

    network: str
    searched_with: str
    rows: Sequence[int]
    counts: Floats


def main() -> int:
    """Print the tables; return 1 where the order of the means is another."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the CSV files")
    parser.add_argument("--predictors", nargs="*", choices=list(PREDICTORS), default=[*PREDICTORS])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    path = options.data / "firesim_test.csv"
    if not path.is_file():
        sys.stderr.write(f"error: {path}: no such file; give the folder with --data\n")
        return 2
    found = read_data(path)
    with path.open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    default = default_rows(lines, str(path))
    designs = designs_of(lines)
    means = print_gains(
        "recorded in RTL",
        designs,
        np.exp(ln_cycles(found)),
        np.exp(ln_cycles(default)),
        found,
        default,
    )
    print(f"known of these rows: {', '.join(f'{k} {v}' for k, v in KNOWN.items())}")
    native = [np.exp(table(rows, "").ln_native) for rows in (found, default)]
    print_gains("native model", designs, *native, found, default)
    training = read_data(options.data / "firesim_train.csv", used_arrays=True)
    for name in options.predictors:
        told = predicted(*PREDICTORS[name], training, (found, default), options.seed)
        print_gains(name, designs, *told, found, default)
    right = means["both"] > means["dnn"] > means["analytical"]
    print(f"target: both > dnn > analytical in RTL: {'met' if right else 'MISSED'}")
    return 0 if right else 1


def designs_of(lines: Sequence[dict[str, str]]) -> list[Found]:
    """Part the file's rows into designs: one after the other, each on its own hardware."""
    known = {}
    for name in NETWORKS:
        layers = catalog.workload(name)
        known[frozenset(layer.problem for layer in layers)] = (name, layers)

    def hardware(number: int) -> tuple[str, str]:
        return lines[number]["arch.mem1_entries"], lines[number]["arch.mem2_entries"]

    result, seen = [], dict.fromkeys(NETWORKS, 0)
    for _, group in itertools.groupby(range(len(lines)), key=hardware):
        rows = list(group)
        problems = [problem(lines[row]) for row in rows]
        name, layers = known[frozenset(problems)]
        count = {layer.problem: 0.0 for layer in layers}
        for layer in layers:
            count[layer.problem] += layer.count
        searched_with = SEARCHED_WITH[seen[name]]
        seen[name] += 1
        result.append(Found(name, searched_with, rows, np.array([count[p] for p in problems])))
    return result


def problem(line: dict[str, str]) -> Problem:
    """Return the problem of a row."""
    return problem_of(tuple(line[f"prob.{d}"] for d in (*DIMENSIONS, *COEFFICIENTS)))


def default_rows(lines: Sequence[dict[str, str]], where: str) -> RecordedRows:
    """Return Gemmini's default for every row: its tiles, and the cycles recorded of them."""
    template = catalog.template("gemmini")
    hardware = energy_chain("dosa").price(template.build(DEFAULT_HARDWARE))
    rows = []
    for number, line in enumerate(lines):
        text = default_mapping(problem(line), line["dse.auto_tiling"])
        mappings, _ = mappings_of([text])
        cycles = float(line["target.gemmini_auto_cycle"])
        place = f"{where}, line {number + 2}"
        rows.append(Row(hardware, problem(line), mappings[0], cycles, place))
    return RecordedRows.of(where, "", "dosa", rows)


def default_mapping(problem: Problem, tiling: str) -> str:
    """Return the mapping of a tiling ``R_S_P_Q_C_K_N``, rounded down to divisors.

    C and K are spread over the array first; what the tiles leave is looped over outside, from the
    inside out C R S K P Q N, as in the authors' script of the figure.
    """
    tiles = dict(zip("RSPQCKN", map(int, tiling.split("_")), strict=True))
    left = dict(problem.bounds)
    spread = {}
    for d in "CK":
        spread[d] = _divisor(left[d], 16)
        left[d] //= spread[d]
        tiles[d] = max(1, tiles[d] // 16)
    inside = {}
    for d, tile in tiles.items():
        inside[d] = _divisor(left[d], tile)
        left[d] //= inside[d]
    outer = " ".join(f"{d}{left[d]}" for d in "NQPKSRC")
    inner = " ".join(f"{d}{inside[d]}" for d in "KSRCNQP")
    return f"L3[WIO] {outer} - L2[WI] K{spread['K']}X - L1[O] {inner} C{spread['C']}X - L0[W] N1"


def _divisor(size: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if size % n == 0)


def table(rows: RecordedRows, features: str, own: Any = None) -> Any:  # noqa: ANN401
    """Return rows with the features of these blocks."""
    blocks = blocks_of(features, own) if own else blocks_of(features)
    return rows.encoded(Encoding(rows.structure, blocks, rows.timeloop_version))


def ln_cycles(rows: RecordedRows) -> Floats:
    """Return ln of the recorded cycles."""
    result: Floats = table(rows, "").ln_cycles
    return result


def predicted(
    name: str,
    given: dict[str, Any],
    training: RecordedRows,
    asked: tuple[RecordedRows, ...],
    seed: int,
) -> list[Floats]:
    """Train a predictor on all training rows; return its cycles of others."""
    of = kind(name)
    settings = of.settings_type(**given)
    blocks = blocks_of(getattr(settings, "features", ""), of.blocks(settings))
    encoding = Encoding(training.structure, blocks, training.timeloop_version)
    before = of.prepared(training, encoding, settings, seed, _silent)
    predictor = of.fit(training.encoded(encoding), settings, seed, _silent, **before)
    tables = [rows.encoded(encoding) for rows in asked]
    return [np.exp(predictor.predict(t.features, t.ln_native).mean) for t in tables]


def _silent(step: int, steps: int, line: str) -> None:
    """Report nothing."""


def print_gains(
    title: str,
    designs: Sequence[Found],
    cycles: Floats,
    default_cycles: Floats,
    found: RecordedRows,
    default: RecordedRows,
) -> dict[str, float]:
    """Print EDP of the default over EDP found; return the mean of the networks by latency model."""
    energy, default_energy = (table(rows, "").energy_pj for rows in (found, default))
    print(f"\n{title}: EDP of Gemmini's default / EDP of DOSA's design")
    print(f"{'searched with':14}" + "".join(f"{name:>16}" for name in NETWORKS) + f"{'mean':>8}")
    means = {}
    for searched_with in SEARCHED_WITH:
        gains = []
        for network in NETWORKS:
            (one,) = (
                d for d in designs if (d.network, d.searched_with) == (network, searched_with)
            )
            at, n = list(one.rows), one.counts
            edp = (n @ energy[at]) * (n @ cycles[at])
            gains.append(float((n @ default_energy[at]) * (n @ default_cycles[at]) / edp))
        means[searched_with] = statistics.mean(gains)
        shown = "".join(f"{gain:16.2f}" for gain in gains)
        print(f"{searched_with:14}{shown}{means[searched_with]:8.2f}")
    return means


if __name__ == "__main__":
    sys.exit(main())
