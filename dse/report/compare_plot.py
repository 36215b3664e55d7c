"""Best-so-far curves of the searches of a comparison: medians with bands between quartiles."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dse.disk import not_written, write_whole
from dse.errors import SpecError
from dse.goals.mapspace_text import OPTIMUM
from dse.numeric import Floats
from dse.report.compare import Comparison, SeededSearch
from dse.report.course import SearchCourse
from dse.report.statistics import Summary
from dse.report.units import labelled, scale_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")
#: Paul Tol's bright colours, which colour-blind people tell apart.
_COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777")
#: Points of a curve.
_POINTS = 400


def plot_comparison(tables: Sequence[Comparison], path: Path) -> None:
    """Draw the curves over samples, and over seconds where times were kept, a column a table.

    Raises:
        SpecError: the file's name does not end as one of `FORMATS`.
        DseError: it cannot be written.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise SpecError(f"--plot {path}: expected a name that ends in one of {', '.join(FORMATS)}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = 1 + any(table.seconds is not None for table in tables)
    figure = Figure(figsize=(5.2 * len(tables), 3.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, len(tables), squeeze=False)
    for column, table in enumerate(tables):
        draw_course(panels[0][column], table, over="samples")
        archs = ", ".join(dict.fromkeys(run.arch for run in table.runs))
        panels[0][column].set_title(f"{table.of['workload']} on {archs}", fontsize=10)
        if rows > 1 and table.seconds is not None:
            draw_course(panels[1][column], table, over="seconds")
        elif rows > 1:
            panels[1][column].set_axis_off()
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=150, format=form)
    try:
        write_whole(path, drawn.getvalue(), durable=False)
    except OSError as error:
        raise not_written(path, error) from error


def draw_course(axes: Axes, table: Comparison, over: str) -> None:
    """Draw the median best value so far of each search, with a band between the quartiles.

    Args:
        axes: to draw in.
        table: of the searches.
        over: ``samples`` or ``seconds``.
    """
    of, end, at = _COURSES[over]
    scale, unit = scale_of(table.of["objective"], table.unit)
    searches = [table.baseline, *(s for s in table.searches if s is not table.baseline)]
    for number, search in enumerate(searches):
        places = _places(search, of, end)
        found = [Summary.of([at(run.course, x) for run in search.runs]) for x in places]
        color = _COLORS[number % len(_COLORS)]
        style = "-" if number < len(_COLORS) else "--"
        name = " ".join(search.labels.values()) or table.of["workload"]
        median, low, high = (
            np.array([getattr(one, part) for one in found]) / scale
            for part in ("median", "low", "high")
        )
        shown = np.isfinite(median)
        axes.step(places[shown], median[shown], style, where="post", color=color, label=name)
        band = shown & np.isfinite(high)
        if len(search.runs) > 1:
            axes.fill_between(
                *(places[band], low[band], high[band]),
                step="post", color=color, alpha=0.2, linewidth=0,
            )  # fmt: skip
    _draw_optima(axes, table, scale)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(over)
    axes.set_ylabel(labelled(f"best {table.of['objective']}", unit))
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, fontsize=8)


def _draw_optima(axes: Axes, table: Comparison, scale: float) -> None:
    optima = sorted({row.optimum for row in table.rows if row.optimum is not None})
    for number, value in enumerate(optima):
        label = OPTIMUM if number == 0 else None
        axes.axhline(value / scale, color="black", linestyle=":", linewidth=1.2, label=label)


def _places(
    search: SeededSearch, of: Callable[[SearchCourse], Floats], end: Callable[[SearchCourse], float]
) -> Floats:
    """Return where a search's curve is drawn: at its steps, thinned, and at its last end."""
    steps = np.unique(np.concatenate([of(run.course) for run in search.runs]))
    last = max(end(run.course) for run in search.runs)
    if len(steps) > _POINTS:
        steps = steps[np.unique(np.geomspace(1, len(steps), _POINTS).astype(int) - 1)]
    places = np.union1d(steps, [last])
    return places[places > 0]


#: By what curves are drawn over: the steps there, the end, the value at a place.
_CurveAxis = tuple[
    Callable[[SearchCourse], Floats],
    Callable[[SearchCourse], float],
    Callable[[SearchCourse, float], float],
]
_COURSES: dict[str, _CurveAxis] = {
    "samples": (lambda c: c.samples, lambda c: c.end_samples, SearchCourse.at_samples),
    "seconds": (lambda c: c.seconds, lambda c: c.end_seconds, SearchCourse.at_seconds),
}
