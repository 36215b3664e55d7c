"""Plots of `benchmarks/naas.py`, after figures 4, 5 and 6, 7, 8 and 9 of NAAS (DAC 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from naas_cases import SCENARIOS, array_of

Rows = list[dict[str, Any]]

_COLORS = {
    "sizing": "#b0b7c3",
    "+connectivity": "#6f9bd1",
    "+mapping": "#1f4e9c",
    "importance": "#1f4e9c",
    "index": "#d98c3f",
    "random": "#888888",
}


def plot(results: dict[str, Rows], folder: Path) -> None:
    """Write every plot that there are figures for."""
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    folder.mkdir(parents=True, exist_ok=True)
    if results["scenarios"]:
        _save(_gains(results["scenarios"]), folder / "naas-gains.png")
        _save(_arrays(results["scenarios"]), folder / "naas-arrays.png")
    if results["ablation"]:
        _save(_curves(results["ablation"]), folder / "naas-search.png")
        _save(
            _ranges(results["ablation"], ["sizing", "+connectivity", "+mapping"]),
            folder / "naas-searched.png",
        )
        _save(_ranges(results["ablation"], ["index", "importance"]), folder / "naas-encoding.png")


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401
    figure.tight_layout(rect=(0, 0.07 if figure.legends else 0, 1, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _gains(rows: Rows) -> Any:  # noqa: ANN401
    """Speed-up, energy saving and EDP reduction per network (the paper's figures 5 and 6)."""
    figure, axes = plt.subplots(
        1, len(rows), figsize=(2.4 * len(rows), 2.9), squeeze=False, sharey=True
    )
    for axis, row in zip(axes[0], rows, strict=True):
        names = [n["name"] for n in row["networks"]]
        speed = np.array([n["chip"]["cycles"] / n["searched"]["cycles"] for n in row["networks"]])
        energy = np.array(
            [n["chip"]["energy_pj"] / n["searched"]["energy_pj"] for n in row["networks"]]
        )
        at = np.arange(len(names))
        for i, (label, value, color) in enumerate(
            (
                ("speed-up", speed, "#6f9bd1"),
                ("energy saving", energy, "#d98c3f"),
                ("EDP reduction", speed * energy, "#1f4e9c"),
            )
        ):
            # from 1 up or down: on a logarithmic axis there is no other beginning
            axis.bar(at + 0.27 * (i - 1), value - 1, 0.25, bottom=1, color=color, label=label)
        axis.axhline(1.0, color="black", lw=0.8)
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}x"))
        axis.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        axis.set_xticks(at, [n.replace("_", "\n") for n in names], fontsize=8)
        axis.set_title(SCENARIOS[row["chip"]].title, fontsize=10)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, frameon=False, ncols=3, loc="lower center")
    return figure


def _arrays(rows: Rows) -> Any:  # noqa: ANN401
    """The arrays found, each beside its chip's (the paper's figure 7)."""
    figure, axes = plt.subplots(1, len(rows), figsize=(2.4 * len(rows), 2.8), squeeze=False)
    for axis, row in zip(axes[0], rows, strict=True):
        found = array_of(row["hardware"])
        width, height = found[0][0], found[1][0] if len(found) > 1 else 1
        _array(axis, width, height)
        labels = [f"{size} {dim}" for size, dim in found]
        axis.set_xlabel(labels[0])
        axis.set_ylabel(" x ".join(labels[1:]) or "1-D")
        kb = int(row["hardware"]["l2_bytes"]) / 1024
        use = np.mean([n["searched"]["utilization"] for n in row["networks"]])
        axis.set_title(
            f"{SCENARIOS[row['chip']].title}\nL2 {kb:.0f} KB, L1 {row['hardware']['l1_bytes']} B\n"
            f"utilisation {use:.0%}",
            fontsize=8,
        )
    return figure


def _array(axis: Axes, width: int, height: int) -> None:
    """Draw an array to scale, with at most a few dozen cells along a side."""
    size = max(width, height)
    step = max(1, size // 24)
    for x in range(0, width, step):
        for y in range(0, height, step):
            side = 0.85 * step
            axis.add_patch(Rectangle((x, y), side, side, color="#6f9bd1", lw=0))
    axis.set_xlim((width - size) / 2 - 1, (width + size) / 2 + 1)
    axis.set_ylim((height - size) / 2 - 1, (height + size) / 2 + 1)
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _curves(rows: Rows) -> Any:  # noqa: ANN401
    """Mean EDP of a generation, beside random search (the paper's figure 4); band: all seeds."""
    figure, axes = plt.subplots(1, len(rows), figsize=(2.4 * len(rows), 2.7), squeeze=False)
    for axis, row in zip(axes[0], rows, strict=True):
        unit = min(min(values) for values in row["edp"].values())
        for name, label in (("importance", "NAAS"), ("random", "random")):
            mean = np.array([curve["mean"] for curve in row["curves"][name]]) / unit
            best = np.array([curve["best"] for curve in row["curves"][name]]) / unit
            at = np.arange(1, mean.shape[1] + 1)
            color = _COLORS[name]
            axis.fill_between(at, mean.min(axis=0), mean.max(axis=0), color=color, alpha=0.2, lw=0)
            axis.plot(at, np.median(mean, axis=0), color=color, label=f"{label}, mean")
            axis.plot(at, np.median(best, axis=0), color=color, ls="--", label=f"{label}, best")
        axis.set_yscale("log")
        axis.set_title(f"{SCENARIOS[row['chip']].title}, {row['network']}", fontsize=9)
        axis.set_xlabel("generation")
    axes[0, 0].set_ylabel("EDP over the best found")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, frameon=False, ncols=4, loc="lower center")
    return figure


def _ranges(rows: Rows, names: list[str]) -> Any:  # noqa: ANN401
    """EDP of some variants over the last one's median (figures 8 and 9); line: all seeds."""
    figure, axis = plt.subplots(figsize=(7.2, 2.9))
    at = np.arange(len(rows))
    for i, name in enumerate(names):
        unit = np.array([np.median(row["edp"][names[-1]]) for row in rows])
        values = np.array([row["edp"][name] for row in rows]) / unit[:, None]
        middle = np.median(values, axis=1)
        spread = [middle - values.min(axis=1), values.max(axis=1) - middle]
        place = at + 0.16 * (i - (len(names) - 1) / 2)
        axis.errorbar(
            place, middle, spread, fmt="o", ms=7, color=_COLORS[name], lw=1.5, capsize=3, label=name
        )
    axis.axhline(1.0, color="black", lw=0.6, zorder=0)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("{x:g}" if axis.get_ylim()[1] < 10 else "")
    axis.set_xticks(at, [f"{SCENARIOS[row['chip']].title}\n{row['network']}" for row in rows])
    axis.set_ylabel(f"EDP, {names[-1]} = 1")
    figure.legend(fontsize=8, frameon=False, ncols=len(names), loc="lower center")
    return figure
