"""A comparison as text."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from dse.report.compare import Comparison, Standing, overall
from dse.report.finished import FinishedRun
from dse.report.statistics import Summary
from dse.report.units import labelled, scale_of, value_of

_WIDTH = 132
#: Runs that are listed one by one.
_MOST_RUNS = 10


def comparison_text(
    tables: Sequence[Comparison],
    *,
    every_run: bool = False,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return the tables for a terminal.

    Args:
        tables: of the comparison.
        every_run: whether all runs are listed, however many there are.
        color: whether for a terminal that shows colours.
        ascii_only: whether for one that shows nothing but ASCII.
    """
    buffer = io.StringIO()
    console = Console(file=buffer, width=_WIDTH, force_terminal=color, highlight=False)
    lines = box.ASCII if ascii_only else box.HEAVY_HEAD
    for table in tables:
        for line in _heading(table):
            console.print(line, soft_wrap=True, markup=False)
        console.print(_drawn(table, lines))
        _list_runs(console, table, every_run or len(table.runs) <= _MOST_RUNS)
        for known in dict.fromkeys(_known_line(run) for run in table.runs if run.known):
            console.print(known, soft_wrap=True, markup=False)
        console.print()
    means = overall(tables)
    if means:
        console.print(f"over all {len(tables)} tables, geometric mean of the factor to baseline:")
        for one in means:
            name = " ".join(f"{key}={text}" for key, text in one.labels.items())
            console.print(f"  {one.ratio:.4f}  {name}", soft_wrap=True, markup=False)
    return buffer.getvalue().rstrip() + "\n"


def _heading(table: Comparison) -> list[str]:
    _, unit = scale_of(table.of["objective"], table.unit)
    of = ", ".join(
        text if key in ("workload", "objective") else f"{key}={text}"
        for key, text in table.of.items()
    )
    archs = list(dict.fromkeys(run.arch for run in table.runs))
    at = f"at {table.samples:,.0f} samples"
    if table.seconds is not None:
        at += f" and at {_number(table.seconds)} s"
    lines = [f"{labelled(of, unit)} on {', '.join(archs)}, {at}"]
    if any(len(search.runs) > 1 for search in table.searches):
        lines.append("median of the runs, and its quartiles below")
    if len(table.rows) > 1:
        lines.append(f"baseline: {table.baseline.name}")
    return lines


def _drawn(table: Comparison, lines: box.Box) -> Table:
    drawn = Table(box=lines)
    scale, _ = scale_of(table.of["objective"], table.unit)
    several, known = len(table.rows) > 1, any(row.optimum for row in table.rows)
    spread = any(len(search.runs) > 1 for search in table.searches)
    tested = any(row.contrast is not None and row.contrast.p is not None for row in table.rows)
    timed = any(math.isfinite(search.takes_s) for search in table.searches)
    drawn.add_column("", justify="right")
    for key in table.varied:
        # values may go on below; the head is whole
        drawn.add_column(key, justify="left", overflow="fold", min_width=len(key))
    heads = [
        ("runs", True),
        ("equal samples", True),
        ("equal time", table.seconds is not None),
        ("end", table.budgets_differ),
        ("to baseline", several),
        ("p", tested),
        ("better", several and spread),
        ("to optimum", known),
        ("takes s", timed),
    ]
    for head, there in heads:
        if there:
            drawn.add_column(head, justify="right", no_wrap=True)
    for rank, row in enumerate(table.rows, 1):
        cells = [
            _runs(row),
            _cell(row.at_samples, scale, spread),
            "" if row.at_seconds is None else _cell(row.at_seconds, scale, spread),
            _cell(row.end, scale, spread),
            _ratio(row),
            "" if row.contrast is None or row.contrast.p is None else _p(row.contrast.p),
            f"{row.contrast.better:.0%}" if row.contrast else "",
            f"{row.to_optimum:.4f}" if row.to_optimum else "-",
            _number(row.search.takes_s),
        ]
        kept = [cell for cell, (_, there) in zip(cells, heads, strict=True) if there]
        drawn.add_row(str(rank), *(row.search.labels[key] for key in table.varied), *kept)
    return drawn


def _runs(row: Standing) -> str:
    count = len(row.search.runs)
    return str(count) if row.search.feasible == count else f"{row.search.feasible} of {count}"


def _cell(found: Summary, scale: float, spread: bool) -> str:
    median = _number(found.median / scale)
    if not spread or not math.isfinite(found.median):
        return median
    return f"{median}\n{_number(found.low / scale)} to {_number(found.high / scale)}"


def _ratio(row: Standing) -> str:
    if row.contrast is None:
        return "1"
    return f"{row.contrast.ratio:.4f}" if math.isfinite(row.contrast.ratio) else "-"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def _number(value: float) -> str:
    """Return four digits of a number, or more before the point."""
    if not math.isfinite(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 1e9:
        return f"{value:.3e}"
    digits = 3 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{max(0, digits)}f}"


def _list_runs(console: Console, table: Comparison, every: bool) -> None:
    """List the runs, or the best one of each search, by the ranks of the searches."""
    for rank, search in enumerate(table.searches, 1):
        for run in search.runs if every else search.runs[:1]:
            console.print(f"{rank}  {run.folder}", soft_wrap=True, markup=False)
            console.print(f"   {_run_line(run)}", soft_wrap=True, markup=False)
    if not every:
        left = len(table.runs) - len(table.rows)
        console.print(f"   and {left} more runs, which --runs lists", markup=False)


def _run_line(run: FinishedRun) -> str:
    parts = [
        _value(run),
        f"{run.workload} on {run.arch}, optimizer {run.optimizer}, {run.samples:,} samples",
        f"seed {run.seed}",
    ]
    if run.cycles is not None and run.energy_pj is not None:
        parts.append(f"{run.cycles:,.0f} cycles, {run.energy_pj / 1e6:,.2f} uJ")
    if run.area_um2:
        parts.append(f"{run.area_um2 / 1e6:.4f} mm2")
    return ", ".join(parts)


def _known_line(run: FinishedRun) -> str:
    if run.known is None:
        return ""
    return f"known: {run.known.text()} ({run.workload} on {run.arch}, {run.energy})"


def _value(run: FinishedRun) -> str:
    if run.value is None:
        return "nothing feasible"
    name = "EDP" if run.objective == "edp" else run.objective
    return f"{name} {value_of(run.objective, run.unit, run.value)}"
