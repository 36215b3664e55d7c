"""The report: one HTML file that holds everything it shows, for one run or several."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dse._version import __version__
from dse.disk import write_whole
from dse.errors import DseError
from dse.goals.certificate import times
from dse.report.reported import Reported, reported_result
from dse.report.run_charts import convergence, goal_text, run_name
from dse.report.views import run_view
from dse.study.result import RunResult

_LOG = logging.getLogger(__name__)

#: What the page of a run is called in its folder.
REPORT = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"
#: Runs that are shown in full; the best come first.
_IN_FULL = 3


def report_html(runs: Sequence[Reported], notes: Sequence[str] = ()) -> str:
    """Return the page of a run, or of several beside each other, best first.

    Args:
        runs: one at least.
        notes: why they should not be compared.
    """
    ranked = sorted(runs, key=lambda run: run.value)
    shown = ranked[:_IN_FULL]
    several = len(ranked) > 1
    title = f"{len(ranked)} runs" if several else ranked[0].explained.name
    return (
        _templates()
        .get_template("report.html")
        .render(
            title=title,
            version=__version__,
            style=_own_text("style.css"),
            script=_own_text("script.js"),
            several=several,
            notes=notes,
            comparison=[_compared(run, ranked[0], i) for i, run in enumerate(ranked)],
            overlay=convergence(ranked) if several else None,
            runs=[run_view(run, i) for i, run in enumerate(shown)],
            left_out=len(ranked) - len(shown),
            goal=goal_text(ranked[0]),
        )
    )


def write_report(runs: Sequence[Reported], path: Path, notes: Sequence[str] = ()) -> Path:
    """Write the page and return its path; OSError where it cannot be written."""
    write_whole(path, report_html(runs, notes).encode(), durable=False)
    return path


def report_of(result: RunResult) -> Path | None:
    """Write the report of a run that has just ended into its folder, if its settings say so.

    What the run found is written already and does not depend on it: where it cannot be made, a
    warning says why.

    Returns:
        The path; None where there is none.
    """
    if not result.settings["report"]:
        return None
    try:
        return write_report([reported_result(result)], result.folder / REPORT)
    except (DseError, OSError) as error:
        _LOG.warning("no report is written: %s", error)
        return None


@cache
def _templates() -> Environment:
    """Return our templates; whatever they are given is escaped."""
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _own_text(name: str) -> Markup:
    """Return a file of ours as it is; nothing of others' is in it."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704


def _compared(run: Reported, best: Reported, place: int) -> dict[str, Any]:
    """Return a run's row of the comparison."""
    found = run.best
    return {
        "css": f"c{place % 6}",
        "name": run_name(run),
        "what": run.explained.name,
        "goal": goal_text(run),
        "to_best": f"{times(run.value, best.value):.4g}",
        "samples": f"{run.content['samples']:,}",
        "cycles": f"{found['cycles']:,.0f}",
        "uj": f"{found['energy_pj'] / 1e6:,.2f}",
        "area": f"{found['area_um2'] / 1e6:.4f}" if found["area_um2"] else "-",
        "power": f"{found['power_w']:.4g}" if "power_w" in found else "-",
        "hardware": ", ".join(f"{k}={v}" for k, v in found["labels"].items()),
    }
