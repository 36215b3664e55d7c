"""A Pareto front as a plot."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

from dse.disk import write_whole
from dse.study.result import RunResult


def plot_front(result: RunResult, path: Path) -> None:
    """Draw the front, one panel for each pair of objectives, and write it as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415

    goals = result.front_objectives
    pairs = list(combinations(range(len(goals)), 2))
    figure = Figure(figsize=(4.6 * len(pairs), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (i, j) in enumerate(pairs, start=1):
        panel = figure.add_subplot(1, len(pairs), number)
        x = [member.value[i] for member in result.front_members]
        y = [member.value[j] for member in result.front_members]
        edge = _staircase(x, y)
        panel.scatter(x, y, s=22, color="#4477aa", alpha=0.75, label="on the front of all")
        panel.step(*edge, where="post", color="#ee6677", linewidth=1, label="front of these two")
        for goal, values, name in ((goals[i], x, "x"), (goals[j], y, "y")):
            getattr(panel, f"set_{name}label")(_label(goal.name, goal.unit))
            if min(values) > 0 and max(values) > 5 * min(values):
                getattr(panel, f"set_{name}scale")("log")
                ticks = getattr(panel, f"{name}axis")
                ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
                ticks.set_minor_formatter(NullFormatter())
        panel.grid(alpha=0.3, which="both")
        if number == 1:
            panel.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{result.workload.name} on {result.architecture.name}")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=130)
    write_whole(path, drawn.getvalue(), durable=False)


def _label(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _staircase(x: list[float], y: list[float]) -> tuple[list[float], list[float]]:
    """Return the points that no other beats in these two objectives."""
    edge: list[tuple[float, float]] = []
    for point in sorted(zip(x, y, strict=True)):
        if not edge or point[1] < edge[-1][1]:
            edge.append(point)
    return [a for a, _ in edge], [b for _, b in edge]
