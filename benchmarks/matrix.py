"""Every template x every workload: does random search find designs, and how good are they.

``python benchmarks/matrix.py`` runs one sweep, ``python -m dse run -m arch=... workload=...``, and
prints the table of docs/matrix.md and what the sweep took; ``--archs``, ``--workloads`` and
``--samples`` narrow it, ``--json FILE`` writes the figures for programs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from model_throughput import machine

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
    words = [
        *("run", "-m", "optimizer=random", f"arch={','.join(given.archs)}"),
        *(f"workload={','.join(given.workloads)}", f"samples={given.samples}"),
        *(f"seed={given.seed}", "--json"),
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "sweep"
        before, start = machine(), time.perf_counter()
        ended = subprocess.run(
            [sys.executable, "-m", "dse", *words, f"folder={folder}"],
            stdout=subprocess.DEVNULL,
            check=False,
        )
        wall = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        if ended.returncode not in (0, 3):  # 3: of some pair no design is valid
            return ended.returncode
        runs = json.loads((folder / "sweep.json").read_bytes())["runs"]
        pairs = [_pair(folder / run) for run in runs]
    took = {"runs": len(pairs), "wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime}
    if given.json:
        told = {"machine": before, "took": took, "pairs": pairs}
        given.json.write_text(json.dumps(told, indent=1), encoding="utf-8")
    print(_table(pairs, given.archs, given.workloads))
    for pair in pairs:
        if not pair["valid"]:
            print(f"\n{pair['arch']} x {pair['workload']}: {pair['reason']}")
    print(f"\n{len(pairs)} runs in {wall:.0f} s, {took['cpu_s']:.0f} CPU s; {before}")
    return 0


def _pair(folder: Path) -> dict[str, Any]:
    """Return what a pair came to; one without a design carries the reason."""
    told = json.loads((folder / "result.json").read_bytes())
    pair = {"arch": told["arch"], "workload": told["workload"], "designs": told["designs"]}
    if told["status"] != "ok":
        return {**pair, "valid": 0, "reason": "no design is valid"}
    best = told["best"]
    return {
        **pair,
        "valid": told["feasible_designs"],
        "edp_j_cycles": best["edp_pj_cycles"] * 1e-12,
        "energy_uj": best["energy_pj"] * 1e-6,
        "cycles": best["cycles"],
        "utilization": best["utilization"],
    }


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
