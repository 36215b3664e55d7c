"""Runs CACTI for the points that the shipped SRAM table lacks, and adds them to it.

``python benchmarks/cacti_table.py --plug-in FOLDER --cacti PROGRAM`` takes Accelergy's CACTI
plug-in (for its ``default_cfg.cfg``) and the CACTI 7 that it comes with, runs the widths between
the powers of two (about half a second each), keeps what it has in ``--runs FILE`` (interrupted, it
goes on there), and at the end rewrites ``dse/components/cacti_runs.csv.gz``. Nodes 32 and 45 nm,
which everything at 40 nm is made from, get three widths between two powers of two, the others one.

``--check N`` repeats N random points of the shipped table instead; the exit status is 1 where CACTI
says anything else.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

TABLE = Path(__file__).parents[1] / "dse" / "components" / "cacti_runs.csv.gz"
_NODES_NM = (32, 45, 22, 65, 90)
_WIDTHS = (48, 96, 192, 384, 768)
_MORE_WIDTHS = (40, 56, 80, 112, 160, 224, 320, 448, 640, 896)
_ROWS = sorted([2**k for k in range(6, 23)] + [3 * 2**k for k in range(5, 22)])
_MOST_BITS = 2**27
#: Columns of CACTI's output, with the factor to the table's units: pJ, mW, um^2.
_COLUMNS = (
    (" Dynamic read energy (nJ)", 1e3),
    (" Dynamic write energy (nJ)", 1e3),
    (" Standby leakage per bank(mW)", 1.0),
    (" Area (mm2)", 1e6),
)


class Point(NamedTuple):
    """One SRAM; its fields are the table's first columns."""

    node_nm: int
    ports: int
    banks: int
    width_bits: int
    depth_rows: int


Runs = dict[Point, tuple[str, ...]]


def main() -> int:
    """Run what is missing and write the table, or check what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plug-in", type=Path, required=True, help="accelergy-cacti-plug-in")
    parser.add_argument("--cacti", type=Path, required=True, help="the program, in its own folder")
    parser.add_argument("--runs", type=Path, default=Path("cacti_runs.jsonl"))
    parser.add_argument("--calls", type=int, default=2, help="at the same time")
    parser.add_argument("--check", type=int, metavar="N", help="points of the table to repeat")
    given = parser.parse_args()
    base = (given.plug_in / "default_cfg.cfg").read_text(encoding="utf-8")
    header, table = _read_table()
    if given.check:
        return _check(table, base, given.cacti, given.check)
    runs = _read_runs(given.runs)
    missing = [point for point in _points() if point not in table and point not in runs]
    print(f"{len(table)} points in the table, {len(runs)} run before, {len(missing)} to run")
    with ThreadPoolExecutor(given.calls) as pool, given.runs.open("a", encoding="utf-8") as file:
        for point, values in pool.map(lambda p: (p, _run(p, base, given.cacti)), missing):
            runs[point] = values
            file.write(json.dumps([point, values]) + "\n")
            file.flush()
    _write_table(header, table | runs)
    return 0


def _points() -> Iterator[Point]:
    for node, ports, banks in itertools.product(_NODES_NM, (1, 2), (1, 2, 4)):
        fine = node in (32, 45) and banks < 4
        for width, rows in itertools.product(_WIDTHS + _MORE_WIDTHS * fine, _ROWS):
            if rows >= 64 * banks and width * rows <= _MOST_BITS:
                yield Point(node, ports, banks, width, rows)


def _run(point: Point, base: str, cacti: Path) -> tuple[str, ...]:
    """Return read and write energy, leakage per bank and area, with the table's digits."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sram.cfg"
        config.write_text(
            f"{base}\n"
            f"-size (bytes) {point.width_bits * point.depth_rows // 8}\n"
            f"-read-write port  {point.ports}\n"
            f"-block size (bytes) {point.width_bits // 8}\n"
            f"-technology (u) {point.node_nm / 1000}\n"
            f"-output/input bus width  {point.width_bits}\n"
            f"-UCA bank {point.banks}\n"
            '-cache type "ram"\n-tag size (b) 0\n-associativity 1\n',
            encoding="utf-8",
        )
        subprocess.run(
            [str(cacti.resolve()), "-infile", str(config)],
            cwd=cacti.resolve().parent,  # it looks for its technology files there
            stdout=subprocess.DEVNULL,
            check=True,
        )
        output = Path(f"{config}.out").read_text(encoding="utf-8")
    row = list(csv.DictReader(output.splitlines()))[-1]
    return tuple(f"{float(row[name]) * factor:.6g}" for name, factor in _COLUMNS)


def _check(table: Runs, base: str, cacti: Path, count: int) -> int:
    """Repeat random points, and say which differ."""
    wrong = 0
    known = sorted(table)
    for index in np.random.default_rng(0).choice(len(known), count, replace=False):
        point = known[index]
        said = _run(point, base, cacti)
        if [float(x) for x in said] != [float(x) for x in table[point]]:
            wrong += 1
            print(f"{point}: CACTI says {said}, the table {table[point]}")
    print(f"{count - wrong} of {count} points are what CACTI says")
    return 1 if wrong else 0


def _read_table() -> tuple[str, Runs]:
    lines = gzip.decompress(TABLE.read_bytes()).decode().splitlines()
    rows = (line.split(",") for line in lines[1:])
    return lines[0], {Point(*map(int, row[:5])): tuple(row[5:]) for row in rows}


def _read_runs(path: Path) -> Runs:
    if not path.exists():
        return {}
    pairs = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {Point(*point): tuple(values) for point, values in pairs}


def _write_table(header: str, runs: Runs) -> None:
    text = io.StringIO()
    text.write(header + "\n")
    for point in sorted(runs):
        text.write(",".join([*map(str, point), *runs[point]]) + "\n")
    # no time in it: equal runs give an equal file
    TABLE.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    print(f"{TABLE}: {len(runs)} points, {TABLE.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    sys.exit(main())
