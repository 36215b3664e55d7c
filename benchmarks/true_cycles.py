"""What a search on true cycles gains over one on Timeloop's, with the RTL's word on both.

    python benchmarks/true_cycles.py [--networks resnet50 dosa_bert] [--seeds 0 1 2]
        [--samples 200] [--pe-dim 16] [--no-rtl] [--json FILE]

On the template gemmini with its array fixed, the same optimizer searches with the same samples
twice: with Timeloop's cycles (``evaluator=native``) and with the cycle model's (``cycles``). Both
designs are then evaluated by the cycle model and simulated as RTL, their outputs compared with
numpy's. EDP is energy by the native model times cycles of the RTL. Exit code 1 where cycle model
and RTL differ.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dse
from dse.evaluators.cycles import CyclesEvaluator
from dse.evaluators.rtl import RtlEvaluator
from dse.runner.run import space_of_run
from dse.validate.latency import Latencies, latencies
from dse.validate.model import design_cases


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["resnet50", "dosa_bert"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--optimizer", default="lockstep")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--pe-dim", type=int, default=16)
    parser.add_argument("--no-rtl", action="store_true", help="by the cycle model alone")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [
        pair(network, seed, arguments) for network in arguments.networks for seed in arguments.seeds
    ]
    print(
        f"{arguments.optimizer}, {arguments.samples:,} samples, gemmini {arguments.pe_dim} x "
        f"{arguments.pe_dim}; EDP in J x cycle, on the RTL's cycles"
    )
    print(
        f"{'network':10} {'seed':>4} {'found natively':>15} {'(Timeloop says)':>16} "
        f"{'on true cycles':>15} {'gain':>6}  RTL equal  search s"
    )
    for r in rows:
        a, b = r["native"], r["cycles"]
        print(
            f"{r['network']:10} {r['seed']:4} {a['edp']:15.6g} {a['edp_timeloop']:16.6g} "
            f"{b['edp']:15.6g} {a['edp'] / b['edp']:5.2f}x  "
            f"{'yes' if a['agree'] and b['agree'] else 'NO':9}  "
            f"{a['seconds']:.0f} + {b['seconds']:.0f}"
        )
    for network in arguments.networks:
        gains = [r["native"]["edp"] / r["cycles"]["edp"] for r in rows if r["network"] == network]
        mean = math.exp(sum(map(math.log, gains)) / len(gains))
        print(f"{network}: {mean:.3f}x (geometric mean of {len(gains)} seeds)")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0 if all(r[x]["agree"] for r in rows for x in ("native", "cycles")) else 1


def pair(network: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Search with both evaluators, and have both designs simulated."""
    row: dict[str, Any] = {"network": network, "seed": seed}
    for name in ("native", "cycles"):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "run"
            began = time.monotonic()
            result = dse.run(
                optimizer=arguments.optimizer,
                arch="gemmini",
                workload=network,
                evaluator=name,
                variables={"pe_dim": arguments.pe_dim},
                samples=arguments.samples,
                seed=seed,
                folder=str(folder),
            )
            seconds = time.monotonic() - began
            space = space_of_run(folder)
            cases = design_cases(folder, space, space.timeloop_version)
        counts = [layer.count for layer in result.workload]
        rtl = None if arguments.no_rtl else RtlEvaluator()
        found = latencies(cases, counts, CyclesEvaluator(), rtl)
        row[name] = {**summary(found), "seconds": seconds, "values": dict(result.labels)}
        sys.stderr.write(f"{network} seed {seed} {name}: {row[name]}\n")
    return row


def summary(found: Latencies) -> dict[str, Any]:
    """Return what the table needs of a design."""
    timeloop = found.total(lambda x: x.timeloop)
    cycles = found.total(lambda x: x.model.total if x.rtl is None else x.rtl)
    return {
        "energy_pj": found.energy_pj,
        "cycles": cycles,
        "cycles_timeloop": timeloop,
        "edp": found.energy_pj * cycles / 1e12,
        "edp_timeloop": found.energy_pj * timeloop / 1e12,
        "agree": found.agree,
    }


if __name__ == "__main__":
    sys.exit(main())
