"""How far proofs of whole networks get on every template, in the time that they are given.

    python benchmarks/optimal_templates.py --json FILE                     dense, connectivity fixed
    python benchmarks/optimal_templates.py --json FILE --templates eyeriss_256 --time 120
    python benchmarks/optimal_templates.py --json FILE --against lockstep naas ga dosa bo
    python benchmarks/optimal_templates.py --json FILE --free --time 600 --gap 0.1

``optimizer=optimal`` with ``optimizer.time``, EDP. A pair counts as solved where the gap is 1 % at
most. ``--free``: templates of free connectivity, ``naas_*``. ``--gap`` ends a proof at that gap:
for a median it is enough. ``--against`` gives other optimizers the processor time that the proof
took, ten seconds at least, and prints how far above the bound they end. Pairs that stand in the
file are not run again, so a table may be measured in parts; an entry holds its date and commit, the
processor, and the machine's load when it began. ``--known`` prints what the file holds, and runs
nothing. Exit code 1: fewer than 80 % are solved, a gap is missing, or their median is above 5 %; of
free connectivity: a gap is missing, or their median is above 10 %.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from model_throughput import machine
from timed_search import installed, timed_search

from dse.errors import SpecError
from dse.runner.run import start
from dse.space import catalog

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "bert_base", "vgg16")
SOLVED, SHARE, MEDIAN = 0.01, 0.8, 0.05
#: Share that is to be solved, and median of the gaps, of templates with free connectivity.
FREE_SHARE, FREE_MEDIAN = 0.0, 0.1
#: Processor time that other optimizers have at least.
LEAST_S = 10.0

Record = dict[str, Any]


def main() -> int:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--templates", nargs="+", metavar="NAME", help="default: all of a kind")
    parser.add_argument("--free", action="store_true", help="templates of free connectivity")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--time", type=float, default=120.0, help="seconds a pair (default 120)")
    parser.add_argument("--gap", type=float, default=0.0, help="proofs end at it (default 0)")
    parser.add_argument("--against", nargs="+", default=[], metavar="OPTIMIZER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results; those in it are kept")
    parser.add_argument("--known", action="store_true", help="run nothing")
    given = parser.parse_args()
    others = [name for name in given.against if installed(name)]
    results = Results(given.json, given.gap)
    templates = given.templates or [
        name
        for name in catalog.names("arch")
        if name.startswith("naas_") == given.free and not catalog.template(name).is_sparse
    ]
    pairs = [(template, network) for template in templates for network in given.networks]
    if given.known:
        pairs = [pair for pair in pairs if results.has(["optimal", *others], *pair, given.time)]
        if not pairs:
            sys.exit(f"{given.json}: none of these pairs within {given.time:g} s each")
    proofs = [results.of("optimal", *pair, given.time) for pair in pairs]
    print_proofs(proofs)
    if others:
        found = [
            [results.of(name, *pair, given.time, max(proof["cpu_s"], LEAST_S)) for name in others]
            for pair, proof in zip(pairs, proofs, strict=True)
        ]
        print_others(others, proofs, found)
    asked = (FREE_SHARE, FREE_MEDIAN) if given.free else (SHARE, MEDIAN)
    return verdict(proofs, *asked)


class Results:
    """What was measured, in a file where one is given."""

    def __init__(self, file: Path | None, gap: float) -> None:
        self._file, self._gap = file, gap
        self._known: list[Record] = []
        if file and file.exists():
            self._known = json.loads(file.read_text(encoding="utf-8"))

    def has(self, optimizers: Sequence[str], template: str, network: str, seconds: float) -> bool:
        """Whether there are the records of all these optimizers."""
        return all(self._find(name, template, network, seconds) for name in optimizers)

    def _find(self, *asked: str | float) -> Record | None:
        keys = ("optimizer", "template", "network", "time")
        return next(
            (
                record
                for record in self._known
                if asked == tuple(record[key] for key in keys)
                and record.get("until", 0.0) == self._gap
            ),
            None,
        )

    def of(
        self, optimizer: str, template: str, network: str, seconds: float, cpu_s: float = 0.0
    ) -> Record:
        """Return the record of a search, which is made where there is none.

        Args:
            optimizer: that searches.
            template: of the accelerator.
            network: the workload.
            seconds: that proofs are given.
            cpu_s: processor time that others than `optimal` are given.
        """
        known = self._find(optimizer, template, network, seconds)
        if known is not None:
            return known
        asked = {
            "optimizer": optimizer, "template": template, "network": network, "time": seconds,
            "until": self._gap,
        }  # fmt: skip
        about = {
            "date": date.today().isoformat(), "commit": commit(), "cpu": machine()["cpu"],
            "load": os.getloadavg()[0],
        }  # fmt: skip
        if optimizer == "optimal":
            made = measured(template, network, seconds, self._gap)
        else:
            made = searched(optimizer, template, network, cpu_s)
        record = {**asked, **made, **about}
        self._known.append(record)
        sys.stderr.write(f"{row(record)}\n")
        if self._file:
            self._file.write_text(json.dumps(self._known, indent=1) + "\n", encoding="utf-8")
        return record


def commit() -> str:
    """Return the commit of this checkout; empty where it is none."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def measured(template: str, network: str, seconds: float, gap: float) -> Record:
    """Prove one network on one template; return its gap and what it took."""
    began, used = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = start(
            {
                "arch": template, "workload": network, "report": False, "folder": f"{folder}/run",
                "optimizer": {"name": "optimal", "time": seconds, "gap": gap},
            }
        )  # fmt: skip
        proof = run.execute().certificate
    if proof is None:
        raise RuntimeError(f"{template}, {network}: the run has no certificate")
    return {
        "value": proof["value"],
        "gap": proof["gap"],
        "status": proof["status"],
        "nodes": proof.get("effort", {}).get("nodes"),
        "reason": proof.get("reason", ""),
        "wall_s": time.monotonic() - began,
        "cpu_s": time.process_time() - used,
    }


def searched(optimizer: str, template: str, network: str, seconds: float) -> Record:
    """Search by another optimizer; return the best value, or why there is none.

    Args:
        optimizer: that searches.
        template: of the accelerator.
        network: the workload.
        seconds: of processor time.
    """
    try:
        found = timed_search(
            optimizer, template, network, seconds=seconds, clock=time.process_time
        )  # fmt: skip
    except SpecError as error:  # it cannot search this space
        return {"value": None, "reason": str(error), "samples": 0, "cpu_s": 0.0}
    value = found.value if math.isfinite(found.value) else None
    return {"value": value, "samples": found.samples, "cpu_s": found.seconds}


def print_proofs(proofs: list[Record]) -> None:
    """Print the gap of every pair, and the value where there is one; of proven ones the time."""
    networks = list(dict.fromkeys(record["network"] for record in proofs))
    print(f"| template | {' | '.join(networks)} |")
    print(f"|---|{'---:|' * len(networks)}")
    for template in dict.fromkeys(record["template"] for record in proofs):
        own = {r["network"]: told(r) for r in proofs if r["template"] == template}
        print(f"| {template} | {' | '.join(own.get(name, '') for name in networks)} |")
    print()


def told(record: Record) -> str:
    """Return a cell of the table."""
    if record["status"] == "unsolved" or record["value"] is None or record["gap"] is None:
        return "unsolved"
    if record["status"] == "optimal":
        gap = f"0 in {max(record['wall_s'], 1.0):.0f} s"
    elif record["gap"] <= record.get("until", 0.0):
        gap = f"{100 * record['gap']:.2f} % in {record['wall_s']:.0f} s"
    else:
        gap = f"{100 * record['gap']:.2f} %" if record["gap"] >= 5e-5 else "< 0.01 %"
    return f"{record['value'] / 1e12:.6g}: {gap}"


def print_others(names: list[str], proofs: list[Record], found: list[list[Record]]) -> None:
    """Print how far above the proven bound the searches of each pair ended."""
    print(f"\n| template | network | optimal | {' | '.join(names)} |")
    print(f"|---|---|{'---:|' * (1 + len(names))}")
    above: dict[str, list[float]] = {name: [] for name in ("optimal", *names)}
    for proof, others in zip(proofs, found, strict=True):
        cells = [proof["template"], proof["network"]]
        for name, record in zip(above, (proof, *others), strict=True):
            if record["value"] is None or proof["gap"] is None or proof["status"] == "unsolved":
                cells.append("-")
                continue
            above[name].append(record["value"] / (proof["value"] * (1.0 - proof["gap"])))
            cells.append(f"{above[name][-1]:.3f} x")
        print(f"| {' | '.join(cells)} |")
    middle = [f"{median(some):.3f} x" if some else "-" for some in above.values()]
    print(f"| median | | {' | '.join(middle)} |")


def row(record: Record) -> str:
    """Return a line of what was measured."""
    cells = [record["optimizer"], record["template"], record["network"]]
    if "gap" in record:
        cells += [told(record), f"{record['nodes']} nodes", f"{record['wall_s']:.0f} s"]
    else:
        cells += [f"{record['value']}", f"{record['samples']} samples"]
    return ", ".join((*cells, f"{record['cpu_s']:.0f} CPU s", f"load {record['load']:.1f}"))


def verdict(records: list[Record], share: float, most: float) -> int:
    """Print how many pairs are solved, and the gaps' median; return the exit code."""
    gaps = [1.0 if r["status"] == "unsolved" or r["gap"] is None else r["gap"] for r in records]
    solved = sum(gap <= SOLVED for gap in gaps) / len(gaps)
    unsolved = [f"{r['template']} x {r['network']}" for r in records if r["status"] == "unsolved"]
    print(f"{solved:.0%} of {len(gaps)} pairs within {SOLVED:.0%}, median gap {median(gaps):.2%}")
    if unsolved:
        print(f"unsolved: {', '.join(unsolved)}")
    return 0 if solved >= share and not unsolved and median(gaps) <= most else 1


if __name__ == "__main__":
    sys.exit(main())
