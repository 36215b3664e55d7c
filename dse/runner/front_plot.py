"""A Pareto front as a plot."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from dse.disk import write_whole
from dse.study.result import RunResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_J_CYCLES = 1e12


def plot_front(result: RunResult, path: Path) -> None:
    """Draw the front, one panel for each pair of objectives, and write it as PNG.

    Of a search of networks, it is accuracy against EDP, beside networks that are fixed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415

    if result.accuracy is not None:
        figure = Figure(figsize=(5.6, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        _draw_accuracy(figure.add_subplot(), result)
        figure.suptitle(f"{result.workload.name} on {result.architecture.name}")
        _write(figure, path)
        return
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
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=130)
    write_whole(path, drawn.getvalue(), durable=False)


def _draw_accuracy(panel: Axes, result: RunResult) -> None:
    """Draw accuracy against EDP: the front, fixed networks, and the best of both searched."""
    members = [m.metrics for m in result.front_members if m.metrics.accuracy is not None]
    x = [m.edp / _J_CYCLES for m in members]
    y = [-(m.accuracy or 0.0) for m in members]
    edge = _staircase(x, y)
    panel.step(edge[0], [-a for a in edge[1]], where="post", color="#4477aa", linewidth=1)
    panel.scatter(edge[0], [-a for a in edge[1]], s=22, color="#4477aa", label="front")
    beside = (
        ("fixed network, baseline chip", result.own_design, "#ee6677", "s"),
        ("fixed network, searched chip", result.default_network, "#ccbb44", "D"),
        ("network and chip searched", (result.design, result.metrics), "#228833", "*"),
    )
    for name, one, color, marker in beside:
        if one is not None and one[1].valid and one[1].accuracy is not None:
            edp, accuracy = one[1].edp / _J_CYCLES, one[1].accuracy
            panel.scatter([edp], [accuracy], s=60, color=color, marker=marker, label=name)
    panel.set_xscale("log")
    panel.set_xlabel("EDP (J x cycle)")
    panel.set_ylabel(f"accuracy ({result.accuracy.unit if result.accuracy else ''})")
    panel.grid(alpha=0.3, which="both")
    panel.legend(frameon=False, fontsize=8)


def _label(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _staircase(x: list[float], y: list[float]) -> tuple[list[float], list[float]]:
    """Return the points that no other beats in these two objectives."""
    edge: list[tuple[float, float]] = []
    for point in sorted(zip(x, y, strict=True)):
        if not edge or point[1] < edge[-1][1]:
            edge.append(point)
    return [a for a, _ in edge], [b for _, b in edge]
