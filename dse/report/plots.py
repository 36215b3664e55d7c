"""Plots of a result: matplotlib axes in, axes out; without any, in a figure of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dse.report.frames import explained_layers
from dse.report.units import labelled, scale_of
from dse.study.journal import read_journal
from dse.study.result import RunResult
from dse.study.study import JOURNAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#222222")


class Plots:
    """The plots of a result; each draws into ``axes`` and returns them."""

    def __init__(self, result: RunResult) -> None:
        self._result = result

    def convergence(self, axes: Axes | None = None) -> Axes:
        """Draw the best value so far over samples, and the value of every design."""
        axes = _axes(axes)
        result = self._result
        scale, unit = scale_of(result.objective, result.unit)
        records = list(read_journal(result.folder / JOURNAL))
        valid = [r for r in records if r["valid"]]
        axes.scatter(
            [r["samples"] for r in valid], [r["objective"] / scale for r in valid],
            s=9, color=_COLORS[6], label="designs",
        )  # fmt: skip
        best = [(r["samples"], r["best"] / scale) for r in records if "best" in r]
        best.append((result.samples, result.value / scale))
        axes.step(*zip(*best, strict=True), where="post", color=_COLORS[0], label="best so far")
        axes.set_yscale("log")
        axes.set_xlabel("samples")
        axes.set_ylabel(labelled(result.objective, unit))
        axes.legend(frameon=False)
        return axes

    def energy(self, axes: Axes | None = None) -> Axes:
        """Draw where each layer's energy goes, times its count, by the native model."""
        axes = _axes(axes)
        layers = explained_layers(self._result)
        places: dict[str, list[float]] = {}
        for number, layer in enumerate(layers):
            for part in layer.energy:
                own = part.kind in ("leakage", "network")
                name = part.kind if own else part.place
                column = places.setdefault(name, [0.0] * len(layers))
                column[number] += part.energy_pj * layer.count / 1e6
        bottom = [0.0] * len(layers)
        names = [layer.name for layer in layers]
        for number, (name, column) in enumerate(places.items()):
            color = _COLORS[number % len(_COLORS)]
            axes.bar(names, column, bottom=bottom, color=color, label=name)
            bottom = [a + b for a, b in zip(bottom, column, strict=True)]
        axes.set_ylabel("energy (uJ)")
        axes.tick_params(axis="x", labelrotation=90)
        axes.legend(frameon=False)
        return axes

    def roofline(self, axes: Axes | None = None) -> Axes:
        """Draw each layer's MACs a cycle over its MACs for a word of the outermost level."""
        axes = _axes(axes)
        architecture = self._result.architecture
        outer = architecture.levels[-1]
        peak = float(architecture.compute.instances)
        spots = []
        for layer in explained_layers(self._result):
            tensors = layer.stats.levels[outer.name].tensors.values()
            words = sum((t.reads + t.fills + t.updates) * t.utilized_instances for t in tensors)
            if words:
                spots.append((layer.problem.macs / words, layer.problem.macs / layer.stats.cycles))
        x, y = [a for a, _ in spots], [b for _, b in spots]
        axes.scatter(x, y, s=20, color=_COLORS[0], label="layers")
        axes.axhline(peak, color=_COLORS[7], linewidth=1, label=f"{peak:,.0f} MACs a cycle")
        bandwidth = outer.shared_bandwidth or outer.read_bandwidth
        if bandwidth and math.isfinite(bandwidth):
            lowest = min(x) / 2
            ridge = peak / bandwidth
            if lowest < ridge:
                axes.plot(
                    [lowest, ridge], [lowest * bandwidth, peak], "--", color=_COLORS[1],
                    linewidth=1, label=f"{outer.name}: {bandwidth:g} words a cycle",
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(f"MACs for a word of {outer.name}")
        axes.set_ylabel("MACs a cycle")
        axes.legend(frameon=False)
        return axes

    def pareto(self, axes: Axes | None = None) -> Axes:
        """Draw the Pareto front of two objectives; else cycles and energy of every design."""
        axes = _axes(axes)
        result = self._result
        valid = [r for r in read_journal(result.folder / JOURNAL) if r["valid"]]
        if result.front_members:
            first, second = result.front_objectives[:2]
            x = [member.value[0] for member in result.front_members]
            y = [member.value[1] for member in result.front_members]
            labels = labelled(first.name, first.unit), labelled(second.name, second.unit)
        else:
            ordered = sorted((r["cycles"], r["energy_pj"] / 1e6) for r in valid)
            front: list[tuple[float, float]] = []
            for spot in ordered:
                if not front or spot[1] < front[-1][1]:
                    front.append(spot)
            x, y = [a for a, _ in front], [b for _, b in front]
            labels = ("cycles", "energy (uJ)")
            axes.scatter(
                [a for a, _ in ordered], [b for _, b in ordered],
                s=9, color=_COLORS[6], label="designs",
            )  # fmt: skip
        axes.scatter(x, y, s=20, color=_COLORS[1], label="front")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.legend(frameon=False)
        return axes


def _axes(given: Axes | None) -> Axes:
    """Return the axes to draw in; new ones of a figure that notebooks show."""
    if given is not None:
        return given
    from matplotlib import pyplot  # noqa: PLC0415 - slow to load

    return pyplot.subplots(layout="constrained")[1]
