"""How good the SRAM table is: on Accelergy's grid, and between grid points.

``python benchmarks/sram_table.py --grid FILE`` compares the chain ``table`` with a grid of
Accelergy 0.4's answers (columns as in ``cacti_sram_grid.csv.gz``). Between grid points, every point
of the shipped CACTI runs that has neighbours on both sides is left out in turn and interpolated
from them: the spacing is then twice the real one, so these errors bound the table's own from above.

``--live N`` draws N random SRAMs between grid points and asks the Accelergy 0.4 on PATH for them
(with its CACTI plug-in: about 4 s each, half with ``--calls 2`` on two cores; answers are cached).
Sizes are log-uniform, and so are the widths: powers of two (``--widths table``) or whole bytes that
are none (``--widths any``). ``--widths uniform`` takes all whole bytes alike, so mostly wide rows.
With ``--plug-in FOLDER --cacti PROGRAM`` (see ``cacti_table.py``) CACTI itself is asked, two runs
an SRAM where Accelergy makes more, and blended between the nodes as the plug-in does it.
``--json FILE`` writes the figures for programs.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cacti_table
import numpy as np

from dse.components import accelergy, cacti
from dse.domain.technology import Technology
from dse.errors import ToolError

_QUANTITIES = ("read", "write", "leak", "area")
#: What random SRAMs are drawn from: bits per row, bits in all, ports or banks.
_WIDTHS = (32, 1024)
_LARGEST_BITS = 8 * 2**23
_COUNTS = (1, 2)
#: SRAMs in one call of Accelergy, which has a time limit.
_AT_ONCE = 5
#: At 1 ns, pJ of leakage per cycle are mW.
_CLOCK_NS = 1.0
_COLUMNS = ("read_energy_pJ", "write_energy_pJ", "leak_power_mW", "area_um2")


def main() -> int:
    """Print the comparisons; exit status 2 when Accelergy is asked for and is of no use."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=Path, help="a grid of Accelergy's answers")
    parser.add_argument("--node", type=float, default=40.0, help="nm, for points off the grid")
    parser.add_argument("--live", type=int, metavar="N", help="SRAMs to ask Accelergy for")
    parser.add_argument("--seed", type=int, default=0, help="of the random SRAMs")
    parser.add_argument("--widths", choices=("table", "any", "uniform"), default="table")
    parser.add_argument("--calls", type=int, default=1, help="of Accelergy, at the same time")
    parser.add_argument("--plug-in", type=Path, help="accelergy-cacti-plug-in, with --cacti")
    parser.add_argument("--cacti", type=Path, help="ask this CACTI instead of Accelergy")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures: dict[str, object] = {"off_grid": _off_grid(given.node)}
    if given.grid:
        figures["grid"] = _grid(given.grid)
    if given.live:
        try:
            figures["live"] = _live(given)
        except ToolError as error:
            print(f"--live: {error}", file=sys.stderr)
            return 2
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
        width, rows, ports, banks = (int(row[key]) for key in keys)
        made = cacti.scaled_sram(width, rows, ports, banks, float(row["technology_nm"]))
        expected = np.array([float(row[key]) for key in _COLUMNS])
        worst = np.maximum(worst, np.abs(np.array(made) / expected - 1))
        points += 1
    errors = dict(zip(_QUANTITIES, worst.tolist(), strict=True))
    return {"points": points, "largest_relative_error": errors}


def _live(given: argparse.Namespace) -> dict[str, object]:
    """Compare random SRAMs off the grid with the installed Accelergy, or with CACTI.

    Raises:
        ToolError: Accelergy is missing, failed, or is not of the version that the table follows.
    """
    drawn = _drawn(given.live, given.seed, given.widths)
    node_nm = given.node
    if given.cacti:
        asked, theirs = "CACTI", _by_cacti(drawn, given)
    else:
        asked, theirs = _by_accelergy(drawn, given)
    ours = np.array([cacti.scaled_sram(*sram, node_nm) for sram in drawn])
    ranks = [_rank_correlation(a, b) for a, b in zip(ours.T, theirs.T, strict=True)]
    return {
        "asked": asked,
        "node_nm": node_nm,
        "seed": given.seed,
        "widths": given.widths,
        **_summary(np.abs(ours / theirs - 1)),
        "rank_correlation": dict(zip(_QUANTITIES, ranks, strict=True)),
        "worst": _worst(drawn, ours / theirs - 1),
    }


def _by_accelergy(
    drawn: list[tuple[int, int, int, int]], given: argparse.Namespace
) -> tuple[str, np.ndarray]:
    """Return Accelergy's version and its read, write, leakage and area of each SRAM."""
    tool = accelergy.find()
    if tool.is_0_3:
        raise ToolError(f"{tool.path} is Accelergy {tool.version}; the table follows 0.4")
    technology = Technology(given.node, _CLOCK_NS)
    asked = [_component(*sram) for sram in drawn]
    shares = [asked[first : first + _AT_ONCE] for first in range(0, len(asked), _AT_ONCE)]
    with ThreadPoolExecutor(given.calls) as pool:
        answers = pool.map(lambda share: accelergy.price_components(share, technology), shares)
        prices = [price for answer in answers for price in answer]
    rows = [[*(p[a] for a in _QUANTITIES[:3]), area] for p, area in prices]
    return f"Accelergy {tool.version}", np.array(rows)


def _by_cacti(drawn: list[tuple[int, int, int, int]], given: argparse.Namespace) -> np.ndarray:
    """Return CACTI's read, write, leakage and area of each SRAM, at the node."""
    base = (given.plug_in / "default_cfg.cfg").read_text(encoding="utf-8")
    lower, upper, share = cacti._nodes(given.node)
    points = [
        cacti_table.Point(node, ports, banks, width, rows)
        for width, rows, ports, banks in drawn
        for node in (lower, upper)
    ]
    with ThreadPoolExecutor(given.calls) as pool:
        runs = list(pool.map(lambda point: cacti_table.run_cacti(point, base, given.cacti), points))
    values = np.array(runs, float)
    values[:, 2] *= [point.banks for point in points]
    return _blend_nodes(values[0::2], values[1::2], share)


def _drawn(count: int, seed: int, widths: str) -> list[tuple[int, int, int, int]]:
    """Return random (bits per row, rows, ports, banks), as ``--widths`` says; sizes log-uniform."""
    random = np.random.default_rng(seed)
    powers = [1 << exponent for exponent in range(5, 11)]
    drawn: list[tuple[int, int, int, int]] = []
    while len(drawn) < count:
        if widths == "any":
            width = 8 * round(float(np.exp(random.uniform(*np.log(_WIDTHS)))) / 8)
        elif widths == "uniform":
            width = 8 * int(random.integers(_WIDTHS[0] // 8, _WIDTHS[1] // 8, endpoint=True))
        else:
            width = int(random.choice(powers))
        ports, banks = (int(n) for n in random.choice(_COUNTS, 2))
        fewest, most = cacti._MIN_ROWS * banks, _LARGEST_BITS / width
        rows = round(float(np.exp(random.uniform(np.log(fewest), np.log(most)))))
        if widths != "any" or width not in powers:
            drawn.append((width, rows, ports, banks))
    return drawn


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's coefficient; no two SRAMs that differ cost the same, so ranks are whole."""
    gaps = a.argsort().argsort() - b.argsort().argsort()
    return round(1 - 6 * float((gaps**2).sum()) / (len(a) * (len(a) ** 2 - 1)), 5)


def _component(width: int, rows: int, ports: int, banks: int) -> dict[str, object]:
    """Return the SRAM as Accelergy 0.4's component."""
    attributes = {"width": width, "depth": rows, "n_rw_ports": ports, "n_banks": banks}
    return {
        "class": "SRAM",
        "attributes": attributes,
        "required_actions": list(_QUANTITIES[:3]),
    }


def _worst(drawn: list[tuple[int, int, int, int]], errors: np.ndarray) -> dict[str, object]:
    """Return where each quantity is furthest off."""
    worst = np.abs(errors).argmax(axis=0)
    return {
        name: {
            **dict(zip(("width_bits", "rows", "ports", "banks"), drawn[at], strict=True)),
            "error_percent": round(100 * float(errors[at, column]), 2),
        }
        for column, (name, at) in enumerate(zip(_QUANTITIES, worst, strict=True))
    }


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
                found["size"].append((_blend_nodes(guess[0], guess[1], share) / real - 1).tolist())
                if 0 < at < len(widths) - 1:
                    left, right = widths[at - 1], widths[at + 1]
                    # as many rows, as the table takes them
                    at_left, at_right = size * left // width, size * right // width
                    ends = [(dict(c[left]), dict(c[right])) for c in (low, high)]
                    if all(at_left in a and at_right in b for a, b in ends):
                        t = np.log(width / left) / np.log(right / left)
                        guess = [_log(a[at_left], b[at_right], t) for a, b in ends]
                        found["width"].append(
                            (_blend_nodes(guess[0], guess[1], share) / real - 1).tolist()
                        )
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
