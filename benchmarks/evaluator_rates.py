"""How many mappings a second each back end evaluates, beside each other.

``python benchmarks/evaluator_rates.py`` draws random valid mappings of ResNet-50's layers on
DOSA's Gemmini and has the native model, ``evaluator=timeloop`` and ``evaluator=pytimeloop`` (where
they are found) evaluate them, two at a time. Target for ``timeloop``: 60 a second on two free cores
with the 3.0.3 binary; the exit status is 1 below it. The load of the machine is part of the table:
on a busy one, compare the CPU time. ``--json FILE`` writes the figures for programs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import ToolError
from dse.evaluators.base import Evaluator
from dse.evaluators.native import NativeEvaluator
from dse.evaluators.pytimeloop import PyTimeloopEvaluator
from dse.evaluators.timeloop import TimeloopEvaluator
from dse.mapspace import Mapspace, sample_valid
from dse.space import catalog

_TARGET_PER_S = 60.0
_MOST_DRAWS = 10**7

Cases = list[tuple[Problem, MappingBatch]]


def main() -> int:
    """Print the table; exit status 1 when the target is missed, 2 when no Timeloop is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mappings", type=int, default=600, help="of all layers together")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes or workers at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    architecture, cases = _cases(given.mappings, given.seed)
    rows, missing = [], []
    for name, make in (
        ("native", lambda v: NativeEvaluator(v, given.n_jobs)),
        ("timeloop", lambda v: TimeloopEvaluator(v, given.n_jobs)),
        ("pytimeloop", lambda v: PyTimeloopEvaluator(v, given.n_jobs)),
    ):
        try:
            rows.append(_row(name, make("4cf6d4c"), architecture, cases))
        except ToolError as error:
            missing.append(f"{name}: {str(error).partition(chr(10))[0]}")
    print(_table(rows))
    for line in missing:
        print(line)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if len(rows) < 2:
        return 2
    rates = {row["back_end"]: row["per_s"] for row in rows}
    return 1 if rates.get("timeloop", _TARGET_PER_S) < _TARGET_PER_S else 0


def _cases(count: int, seed: int) -> tuple[Architecture, Cases]:
    """Return DOSA's Gemmini and as many mappings, spread over ResNet-50's layers."""
    template = catalog.template("gemmini")
    architecture = energy_chain(template.energy).price(template.build(template.defaults))
    layers = list(catalog.workload("resnet50"))
    cases = []
    for index, layer in enumerate(layers):
        share = (count * (index + 1)) // len(layers) - (count * index) // len(layers)
        space = Mapspace(layer.problem, architecture, template.constraints)
        found = sample_valid(space, share, seed + index, _MOST_DRAWS).mappings
        cases.append((layer.problem, found))
    return architecture, cases


def _row(
    name: str, back_end: Evaluator[Any], architecture: Architecture, cases: Cases
) -> dict[str, Any]:
    """Evaluate all mappings once to warm up (one of each layer) and once for the clock."""
    for problem, mappings in cases:
        back_end.evaluate(architecture, problem, mappings.take(np.array([0])))
    load = os.getloadavg()[0]
    wall, cpu = time.perf_counter(), _cpu_s()
    done = sum(
        int(back_end.evaluate(architecture, problem, mappings).valid.sum())
        for problem, mappings in cases
    )
    wall = time.perf_counter() - wall
    back_end.close()  # the time of a child counts once it has ended
    cpu = _cpu_s() - cpu
    return {
        "back_end": name,
        "computes_as": getattr(back_end, "binary_version", back_end.timeloop_version),
        "mappings": done,
        "per_s": done / wall,
        "cpu_ms_each": 1e3 * cpu / done,
        "load_1min": load,
    }


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usages)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| back end | computes as | mappings | a second | CPU ms each | load |",
        "|---" * 6 + "|",
    ]
    for r in rows:
        lines.append(
            f"| {r['back_end']} | {r['computes_as']} | {r['mappings']} | {r['per_s']:,.0f} "
            f"| {r['cpu_ms_each']:.3g} | {r['load_1min']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
