"""Comparison of finished runs: what they were, what they found, and whether that compares."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from dse.errors import ProofError
from dse.report.finished import FinishedRun

#: Settings that must agree for results to be comparable, and what differs otherwise.
_SAME = {
    "energy": "energy chains",
    "timeloop_version": "Timeloop versions",
    "workload": "workloads",
    "objective": "objectives",
    "padding": "paddings",
    "model": "models",
}


def warnings(runs: Sequence[FinishedRun]) -> list[str]:
    """Return why these runs should not be compared; empty where nothing speaks against it."""
    found = [doubt for run in runs for doubt in run.doubts]
    for key, what in _SAME.items():
        values = sorted({str(getattr(run, key)) for run in runs})
        if len(values) > 1:
            found.append(f"the runs have different {what} ({', '.join(values)})")
    return found


def contradictions(runs: Sequence[FinishedRun]) -> list[str]:
    """Return which runs found what cannot be, by the known optima of their spaces."""
    found = []
    for run in runs:
        if run.known is not None and run.value is not None and run.evaluator == "native":
            try:
                run.known.check(run.value, run.folder)
            except ProofError as error:
                found.append(str(error))
    return found


def comparison_text(runs: Sequence[FinishedRun], *, color: bool = False) -> str:
    """Return a table of the runs, best first, each with its factor to the best."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=100, force_terminal=color, highlight=False)
    table = Table(box=box.HEAVY_HEAD)
    known = any(run.known for run in runs)
    optimum = ("to optimum",) if known else ()
    for name in ("", "objective", "to best", *optimum, "cycles", "energy uJ", "area mm2"):
        table.add_column(name, justify="right", no_wrap=True)
    ranked = sorted(runs, key=lambda run: (run.value is None, run.value or 0.0))
    best = ranked[0].value
    for rank, run in enumerate(ranked, 1):
        table.add_row(
            str(rank),
            _value(run),
            f"{run.value / best:.3f}" if run.value is not None and best else "-",
            *((f"{run.to_optimum:.4f}" if run.to_optimum else "-",) if known else ()),
            f"{run.cycles:,.0f}" if run.cycles is not None else "-",
            f"{run.energy_pj / 1e6:,.2f}" if run.energy_pj is not None else "-",
            f"{run.area_um2 / 1e6:.4f}" if run.area_um2 else "-",
        )
    console.print(table)
    for rank, run in enumerate(ranked, 1):
        text = (
            f"{rank}  {run.folder}\n   {run.workload} on {run.arch}, optimizer {run.optimizer}, "
            f"{run.samples:,} samples, seed {run.seed}, energy chain {run.energy}"
        )
        console.print(text, soft_wrap=True, markup=False)
    for line in dict.fromkeys(_known_line(run) for run in runs if run.known):
        console.print(line, soft_wrap=True, markup=False)
    return buffer.getvalue()


def _known_line(run: FinishedRun) -> str:
    if run.known is None:
        return ""
    return f"known: {run.known.text()} ({run.workload} on {run.arch}, {run.energy})"


def _value(run: FinishedRun) -> str:
    if run.value is None:
        return "nothing feasible"
    if run.objective == "edp":
        return f"EDP {run.value / 1e12:.5g} J x cycle"
    return f"{run.objective} {run.value:.5g}"


def _as_dict(run: FinishedRun) -> dict[str, Any]:
    """Return a run as plain data; what could not be checked stands among the warnings."""
    told = asdict(run)
    del told["doubts"]
    return told


def comparison_json(runs: Sequence[FinishedRun]) -> str:
    """Return the runs and the warnings as one line of JSON."""
    return json.dumps({"runs": [_as_dict(run) for run in runs], "warnings": warnings(runs)})
