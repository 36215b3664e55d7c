"""How far proofs of whole networks get on every template, in the time that they are given.

    python benchmarks/optimal_templates.py --json FILE                     dense, connectivity fixed
    python benchmarks/optimal_templates.py --json FILE --templates eyeriss_256 --time 120

``optimizer=optimal`` with ``optimizer.time``, EDP. A pair counts as solved where the gap is 1 % at
most. Pairs that stand in the file are not run again, so a table may be measured in parts; an entry
holds the machine's load while it was made. Exit code 1: fewer than 80 % are solved, a gap is
missing, or their median is above 5 %.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from dse.runner.run import start
from dse.space import catalog

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "bert_base", "vgg16")
SOLVED, SHARE, MEDIAN = 0.01, 0.8, 0.05

Record = dict[str, Any]


def main() -> int:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    fixed = [
        name
        for name in catalog.names("arch")
        if not name.startswith("naas_") and not catalog.template(name).is_sparse
    ]
    parser.add_argument("--templates", nargs="+", default=fixed, metavar="NAME")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--time", type=float, default=120.0, help="seconds a pair (default 120)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results; those in it are kept")
    given = parser.parse_args()
    known: list[Record] = []
    if given.json and given.json.exists():
        known = json.loads(given.json.read_text(encoding="utf-8"))
    found = []
    for template in given.templates:
        for network in given.networks:
            key = (template, network, given.time)
            record = next((r for r in known if _key(r) == key), None)
            if record is None:
                record = measured(*key)
                known.append(record)
                sys.stderr.write(f"{row(record)}\n")
                if given.json:
                    given.json.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            found.append(record)
    print("| template | network | EDP J x cycle | gap | status | nodes | s | CPU s | load |")
    print("|---|---|---:|---:|---|---:|---:|---:|---:|")
    for record in found:
        print(row(record))
    return verdict(found)


def _key(record: Record) -> tuple[str, str, float]:
    return record["template"], record["network"], record["time"]


def measured(template: str, network: str, seconds: float) -> Record:
    """Prove one network on one template; return its gap and what it took."""
    began, used = time.monotonic(), time.process_time()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        run = start(
            {
                "arch": template, "workload": network, "report": False, "folder": f"{folder}/run",
                "optimizer": {"name": "optimal", "time": seconds, "gap": 0.0},
            }
        )  # fmt: skip
        proof = run.execute().certificate
    if proof is None:
        raise RuntimeError(f"{template}, {network}: the run has no certificate")
    return {
        "template": template,
        "network": network,
        "time": seconds,
        "value": proof["value"],
        "gap": proof["gap"],
        "status": proof["status"],
        "nodes": proof.get("effort", {}).get("nodes"),
        "reason": proof.get("reason", ""),
        "wall_s": time.monotonic() - began,
        "cpu_s": time.process_time() - used,
        "load": load,
    }


def row(record: Record) -> str:
    """Return a line of the table."""
    value = "-" if record["value"] is None else f"{record['value'] / 1e12:.6g}"
    known = record["status"] != "unsolved" and record["gap"] is not None
    gap = f"{100 * record['gap']:.2f} %" if known else "-"
    cells = [record["template"], record["network"], value, gap, record["status"]]
    cells += [record["nodes"] or "-", f"{record['wall_s']:.0f}", f"{record['cpu_s']:.0f}"]
    return f"| {' | '.join(map(str, cells))} | {record['load']:.1f} |"


def verdict(records: list[Record]) -> int:
    """Print how many pairs are solved, and the gaps' median; return the exit code."""
    gaps = [1.0 if r["status"] == "unsolved" or r["gap"] is None else r["gap"] for r in records]
    solved = sum(gap <= SOLVED for gap in gaps) / len(gaps)
    unsolved = [f"{r['template']} x {r['network']}" for r in records if r["status"] == "unsolved"]
    print(f"{solved:.0%} of {len(gaps)} pairs within {SOLVED:.0%}, median gap {median(gaps):.2%}")
    if unsolved:
        print(f"unsolved: {', '.join(unsolved)}")
    return 0 if solved >= SHARE and not unsolved and median(gaps) <= MEDIAN else 1


if __name__ == "__main__":
    sys.exit(main())
