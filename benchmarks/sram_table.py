"""How good the SRAM table is: on Accelergy's grid, and between grid points.

``python benchmarks/sram_table.py --grid FILE`` compares the chain ``table`` with a grid of
Accelergy 0.4's answers (columns as in ``cacti_sram_grid.csv.gz``). Between grid points, every point
of the shipped CACTI runs that has neighbours on both sides is left out in turn and interpolated
from them: the spacing is then twice the real one, so these errors bound the table's own from above.
``--json FILE`` writes the figures for programs.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
from pathlib import Path

import numpy as np

from dse.components import cacti

_QUANTITIES = ("read", "write", "leak", "area")
_COLUMNS = ("read_energy_pJ", "write_energy_pJ", "leak_power_mW", "area_um2")


def main() -> int:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=Path, help="a grid of Accelergy's answers")
    parser.add_argument("--node", type=float, default=40.0, help="nm, for the left-out points")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures: dict[str, object] = {"off_grid": _off_grid(given.node)}
    if given.grid:
        figures["grid"] = _grid(given.grid)
    print(json.dumps(figures, indent=2))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


def _grid(path: Path) -> dict[str, object]:
    """Return the largest relative error of each quantity on the grid."""
    worst, points = np.zeros(4), 0
    for row in csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()):
        if "old_plugin" in row["source"]:  # made by CACTI at 40 nm directly
            continue
        keys = ("width_bits", "depth_rows", "n_rw_ports", "n_banks")
        made = cacti.scaled_sram(*(int(row[key]) for key in keys), float(row["technology_nm"]))
        expected = np.array([float(row[key]) for key in _COLUMNS])
        worst = np.maximum(worst, np.abs(np.array(made) / expected - 1))
        points += 1
    errors = dict(zip(_QUANTITIES, worst.tolist(), strict=True))
    return {"points": points, "largest_relative_error": errors}


def _off_grid(node_nm: float) -> dict[str, object]:
    """Leave points out, along size and along width, and interpolate them at the node."""
    lower, upper, share = cacti._nodes(node_nm)
    table = cacti._table()
    found: dict[str, list[list[float]]] = {"size": [], "width": []}
    for node, ports, banks in table:
        if node != lower or (upper, ports, banks) not in table:
            continue
        low, high = table[lower, ports, banks], table[upper, ports, banks]
        widths = sorted(low)
        for at, width in enumerate(widths):
            here = {n: dict(c[width]) for n, c in ((0, low), (1, high))}
            sizes = sorted(set(here[0]) & set(here[1]))
            for before, size, after in zip(sizes, sizes[1:], sizes[2:], strict=False):
                real = _blend_nodes(here[0][size], here[1][size], share)
                t = np.log(size / before) / np.log(after / before)
                guess = [_log(here[n][before], here[n][after], t) for n in (0, 1)]
                found["size"].append((_blend_nodes(*guess, share) / real - 1).tolist())
                if 0 < at < len(widths) - 1:
                    left, right = widths[at - 1], widths[at + 1]
                    ends = [(dict(c[left]), dict(c[right])) for c in (low, high)]
                    if all(size in side for pair in ends for side in pair):
                        t = np.log(width / left) / np.log(right / left)
                        guess = [_log(a[size], b[size], t) for a, b in ends]
                        found["width"].append((_blend_nodes(*guess, share) / real - 1).tolist())
    return {
        "node_nm": node_nm,
        **{f"left_out_along_{key}": _summary(np.abs(errors)) for key, errors in found.items()},
    }


def _log(low: tuple[float, ...], high: tuple[float, ...], share: float) -> np.ndarray:
    a, b = np.array(low), np.array(high)
    return np.asarray(a * (b / a) ** share)


def _blend_nodes(low: object, high: object, share: float) -> np.ndarray:
    return np.asarray((1 - share) * np.asarray(low, float) + share * np.asarray(high, float))


def _summary(errors: np.ndarray) -> dict[str, object]:
    """Return mean, 90th percentile and maximum of each quantity's relative error in percent."""
    rows = {
        name: {
            "mean_percent": round(100 * float(column.mean()), 2),
            "p90_percent": round(100 * float(np.quantile(column, 0.9)), 2),
            "max_percent": round(100 * float(column.max()), 2),
        }
        for name, column in zip(_QUANTITIES, errors.T, strict=True)
    }
    return {"points": len(errors), **rows}


if __name__ == "__main__":
    sys.exit(main())
