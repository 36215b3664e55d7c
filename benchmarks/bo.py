"""Bayesian optimisation beside other searches, on DOSA's networks, in factors over the optimum.

    python benchmarks/bo.py --json FILE                        all of it
    python benchmarks/bo.py --json FILE --optimizers bo bo_dosa --seeds 0 1

Every optimizer gets equal samples, but `bo_dosa`: as published it takes 110 pieces of hardware with
110 mappings each, 12,100 samples. Runs that stand in the file are not run again, so a table may be
measured in parts. One thread each, one after another. Exit code 1: `bo` does not beat `bo_dosa`,
seed by seed, on some network.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from dse.components.chain import energy_chain
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.search import CoSearch
from dse.runner.run import start
from dse.space import catalog
from dse.space.search_space import SearchSpace

NETWORKS = ("dosa_bert", "resnet50", "dosa_retinanet", "dosa_unet")
OPTIMIZERS = ("bo", "bo_dosa", "spotlight", "random", "ga", "naas", "dosa", "lockstep")
#: What the published baseline takes, for a budget of this many samples or more.
_PUBLISHED_FROM, _PUBLISHED = 10_000, 12_100

Record = dict[str, Any]


def main() -> int:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)), metavar="SEED")
    parser.add_argument("--samples", type=int, default=10_000, help="budget (default 10000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results; those in it are kept")
    given = parser.parse_args()
    known: list[Record] = []
    if given.json and given.json.exists():
        known = json.loads(given.json.read_text(encoding="utf-8"))
    cases = [
        (name, network, seed)
        for seed in given.seeds
        for network in given.networks
        for name in given.optimizers
    ]
    found = []
    for name, network, seed in cases:
        key = (name, network, seed, given.samples)
        record = next((r for r in known if _key(r) == key), None)
        if record is None:
            record = measured(name, network, seed, given.samples)
            known.append(record)
            if given.json:
                given.json.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            sys.stderr.write(f"{name} {network} {seed}: {record['edp']:.6g}, ")
            sys.stderr.write(f"{record['wall_s']:.0f} s\n")
        found.append(record)
    optima = {network: optimum(network) for network in given.networks}
    print(table(found, optima))
    lost = [n for n in given.networks if not beaten(found, n)]
    if lost:
        print(f"missed: bo does not beat bo_dosa on {', '.join(lost)}")
    return 1 if lost else 0


def _key(record: Record) -> tuple[str, str, int, int]:
    return record["optimizer"], record["network"], record["seed"], record["budget"]


def measured(name: str, network: str, seed: int, budget: int) -> Record:
    """Run an optimizer; return its best EDP in pJ x cycles, its hardware, samples and seconds."""
    published = name == "bo_dosa" and budget >= _PUBLISHED_FROM
    samples = max(budget, _PUBLISHED) if published else budget
    began, used = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = start(
            {
                "arch": "gemmini", "workload": network, "optimizer": name, "samples": samples,
                "seed": seed, "n_jobs": 1, "folder": f"{folder}/run",
            }
        )  # fmt: skip
        state = run.study.run()
    return {
        "optimizer": name,
        "network": network,
        "seed": seed,
        "budget": budget,
        "samples": state.samples,
        "edp": state.best_value,
        "values": state.best.values if state.best else None,
        "wall_s": time.monotonic() - began,
        "cpu_s": time.process_time() - used,
    }


def optimum(network: str) -> float:
    """Return the least EDP of a network on Gemmini, proven."""
    template = catalog.template("gemmini")
    space = SearchSpace(template, catalog.workload(network), energy_chain(template.energy))
    search = CoSearch(space, CoSearchGoal.of(space.objective, (), None), 1)
    for _ in search.run():
        pass
    if not search.finished or search.incumbent is None:
        raise RuntimeError(f"{network}: no optimum was proven")
    return search.incumbent.value


def table(records: list[Record], optima: dict[str, float]) -> str:
    """Return the table in Markdown: EDP in J x cycle, and factors over the optimum."""
    lines = [
        "| network | optimizer | seeds | EDP, median [range] | x optimum, median [range] | CPU s |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for network, best in optima.items():
        lines.append(f"| {network} | optimal | | {best / 1e12:.6g} | 1 | |")
        for name in dict.fromkeys(r["optimizer"] for r in records):
            part = [r for r in records if (r["optimizer"], r["network"]) == (name, network)]
            values = sorted(r["edp"] for r in part)
            low, middle, high = values[0], median(values), values[-1]
            cpu_s = median(r["cpu_s"] for r in part)
            lines.append(
                f"| {network} | {name} | {len(part)} | {middle / 1e12:.6g} "
                f"[{low / 1e12:.6g}, {high / 1e12:.6g}] | {middle / best:.3f} "
                f"[{low / best:.3f}, {high / best:.3f}] | {cpu_s:.0f} |"
            )
    return "\n".join(lines)


def beaten(records: list[Record], network: str) -> bool:
    """Whether every run of bo is better than that of bo_dosa with its seed, where both are."""
    of = {(r["optimizer"], r["seed"]): r["edp"] for r in records if r["network"] == network}
    pairs = [(v, of.get(("bo_dosa", seed))) for (name, seed), v in of.items() if name == "bo"]
    return all(other is None or value < other for value, other in pairs)


if __name__ == "__main__":
    sys.exit(main())
