"""Every template x every workload: does random search find designs, and how good are they.

``python benchmarks/matrix.py`` prints the table of docs/matrix.md; ``--archs``, ``--workloads``
and ``--samples`` narrow it, ``--json FILE`` writes the figures for programs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dse import run
from dse.errors import NothingFeasible
from dse.space import catalog


def main() -> int:
    """Run all pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archs", nargs="*", default=catalog.names("arch"))
    parser.add_argument("--workloads", nargs="*", default=catalog.names("workload"))
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    pairs = []
    for arch in given.archs:
        for workload in given.workloads:
            pairs.append(_pair(arch, workload, given.samples, given.seed))
            sys.stderr.write(_line(pairs[-1]) + "\n")
    if given.json:
        given.json.write_text(json.dumps(pairs, indent=1), encoding="utf-8")
    print(_table(pairs, given.archs, given.workloads))
    for pair in pairs:
        if not pair["valid"]:
            print(f"\n{pair['arch']} x {pair['workload']}: {pair['reason']}")
    return 0


def _pair(arch: str, workload: str, samples: int, seed: int) -> dict[str, Any]:
    """Search one pair; a pair without a design carries the reason."""
    start = time.perf_counter()
    pair: dict[str, Any] = {"arch": arch, "workload": workload}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "run")
        try:
            found = run(arch, workload, "random", samples=samples, seed=seed, folder=path)
            pair |= {
                "valid": found.feasible,
                "designs": found.designs,
                "edp_j_cycles": found.metrics.edp * 1e-12,
                "energy_uj": found.metrics.energy_pj * 1e-6,
                "cycles": found.metrics.cycles,
                "utilization": found.metrics.utilization,
            }
        except NothingFeasible as error:
            pair |= {"valid": 0, "reason": str(error)}
    return {**pair, "seconds": round(time.perf_counter() - start, 2)}


def _line(pair: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in pair.items())


def _table(pairs: list[dict[str, Any]], archs: list[str], workloads: list[str]) -> str:
    """Return a Markdown table: the best EDP in J x cycle, and the valid designs if not all."""
    cells = {(p["arch"], p["workload"]): p for p in pairs}
    lines = ["| workload | " + " | ".join(archs) + " |", "|---" * (len(archs) + 1) + "|"]
    for workload in workloads:
        row = []
        for arch in archs:
            pair = cells[arch, workload]
            if not pair["valid"]:
                row.append("none")
                continue
            share = (
                "" if pair["valid"] == pair["designs"] else f" ({pair['valid']}/{pair['designs']})"
            )
            row.append(f"{pair['edp_j_cycles']:.2g}{share}")
        lines.append(f"| {workload} | " + " | ".join(row) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
