"""Comparison of finished runs: what they were, what they found, and whether that compares."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from dse.certify.known import Known, of_run
from dse.errors import SpecError
from dse.study.folder import RESULT

#: Settings that must agree for results to be comparable, and what differs otherwise.
_SAME = {
    "energy": "energy chains",
    "timeloop_version": "Timeloop versions",
    "workload": "workloads",
    "objective": "objectives",
}


@dataclass(frozen=True)
class FinishedRun:
    """What a comparison needs of one run; the numbers are None where nothing was feasible."""

    folder: str
    arch: str
    workload: str
    optimizer: str
    energy: str
    timeloop_version: str
    objective: str
    samples: int
    seed: int
    value: float | None
    cycles: float | None
    energy_pj: float | None
    area_um2: float | None
    #: what is known of the run's space: an optimum, or a bound
    known: Known | None = None

    @property
    def to_optimum(self) -> float | None:
        """Factor of the value over the known optimum or bound."""
        if self.known is None or self.value is None:
            return None
        return self.known.factor(self.value)


def read_result(folder: Path) -> FinishedRun:
    """Read the result of a run folder.

    Raises:
        SpecError: the folder has no result (the run did not end), or it is not one of ours.
    """
    path = folder / RESULT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); has the run ended?") from error
    except ValueError as error:
        raise SpecError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != "dse.result":
        raise SpecError(f"{path}: schema = {_get(content, 'schema')!r}, expected 'dse.result'")
    best = content.get("best") or {}
    goal = content["objective"]
    return FinishedRun(
        folder=str(folder),
        arch=content["arch"],
        workload=content["workload"],
        optimizer=content["optimizer"]["name"],
        energy=content["energy"],
        timeloop_version=content["timeloop_version"],
        objective=goal if isinstance(goal, str) else goal["name"],
        samples=content["samples"],
        seed=content["seed"],
        value=None if isinstance(goal, str) else goal.get("value"),
        cycles=best.get("cycles"),
        energy_pj=best.get("energy_pj"),
        area_um2=best.get("area_um2"),
        known=of_run(folder),
    )


def _get(content: Any, key: str) -> Any:  # noqa: ANN401
    return content.get(key) if isinstance(content, dict) else content


def warnings(runs: Sequence[FinishedRun]) -> list[str]:
    """Return why these runs should not be compared; empty where nothing speaks against it."""
    found = []
    for key, what in _SAME.items():
        values = sorted({str(getattr(run, key)) for run in runs})
        if len(values) > 1:
            found.append(f"the runs have different {what} ({', '.join(values)})")
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
    assert run.known is not None
    return f"known: {run.known.text()} ({run.workload} on {run.arch}, {run.energy})"


def _value(run: FinishedRun) -> str:
    if run.value is None:
        return "nothing feasible"
    if run.objective == "edp":
        return f"EDP {run.value / 1e12:.5g} J x cycle"
    return f"{run.objective} {run.value:.5g}"


def comparison_json(runs: Sequence[FinishedRun]) -> str:
    """Return the runs and the warnings as one line of JSON."""
    return json.dumps({"runs": [asdict(run) for run in runs], "warnings": warnings(runs)})
