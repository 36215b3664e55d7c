"""The charts of a report: convergence, trade-offs, parameters, roofline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from markupsafe import Markup

from dse.domain.architecture import UNLIMITED
from dse.goals.mapspace_text import OPTIMUM
from dse.report.charts import Axis, Series, chart
from dse.report.reported import Reported

#: By which key of the journal the named objectives go.
_NAMES = {"delay": "cycles", "energy": "energy_pj", "area": "area_um2"}
#: Colours of runs.
_COLORS = 6


def goal(run: Reported) -> tuple[str, float]:
    """Return what the objective is called with its unit, and by what its values are divided."""
    told = run.content["objective"]
    if told["name"] == "edp":
        return "EDP, J x cycle", 1e12
    unit = f", {told['unit']}" if told["unit"] else ""
    return f"{told['name']}{unit}", 1.0


def goal_text(run: Reported) -> str:
    """Return what was reached, with its unit."""
    name, factor = goal(run)
    title, _, unit = name.partition(", ")
    return f"{title} {run.value / factor:.6g} {unit}".rstrip()


def convergence(runs: Sequence[Reported]) -> Markup:
    """Draw the best value so far over samples; of one run also every design's."""
    name, factor = goal(runs[0])
    series: list[Series] = []
    for number, run in enumerate(runs):
        css = f"c{number % _COLORS}"
        curve = [(x["samples"], x["best"] / factor) for x in run.designs if "best" in x]
        if len(runs) == 1:
            valid = [x for x in run.designs if x["valid"]]
            points = [(x["samples"], x["objective"] / factor) for x in valid]
            tips = [_design_tip(x, factor) for x in valid]
            series.append(Series("designs", points, tips, "dots", "cgrey"))
        changes = [
            p for i, p in enumerate(curve) if i in (0, len(curve) - 1) or p[1] != curve[i - 1][1]
        ]
        tips = [f"best {y:.6g} after {x:,} samples" for x, y in changes]
        told = "best so far" if len(runs) == 1 else run_name(run)
        series.append(Series(told, changes, tips, "step", css))
    values = [y for one in series for _, y in one.points]
    known = {run.known.value / factor for run in runs if run.known is not None}
    levels = [(OPTIMUM, value) for value in sorted(known)]
    log = bool(values) and min(values) > 0
    first = min((p[0] for one in series for p in one.points), default=1)
    last = max((p[0] for one in series for p in one.points), default=1)
    axis = Axis("samples", log=first > 0 and last > 50 * first)
    return chart(f"{name} over samples", axis, Axis(name, log=log), series, levels)


def run_name(run: Reported) -> str:
    """Return what tells a run from others on a page."""
    optimizer = run.content["optimizer"]["name"]
    return f"{optimizer}, seed {run.content['seed']} ({run.folder.name})"


def _design_tip(record: Mapping[str, Any], factor: float) -> str:
    values = ", ".join(f"{k}={v}" for k, v in record["values"].items())
    return f"{record['objective'] / factor:.6g}: {values}"


def trades(run: Reported) -> Iterator[Markup]:
    """Draw what was traded, two objectives at a time; of one objective, energy and cycles."""
    front = run.content.get("front")
    valid = [x for x in run.designs if x["valid"]]
    if front is None:
        if len(valid) > 1:
            yield _cloud(valid)
        return
    goals = front["objectives"]
    for i, j in combinations(range(len(goals)), 2):
        series = []
        keys = [_NAMES[goals[k]["name"]] for k in (i, j) if goals[k]["name"] in _NAMES]
        if len(keys) == 2:
            points = [(x[keys[0]], x[keys[1]]) for x in valid]
            series.append(Series("all valid designs", points, (), "dots", "cgrey"))
        members = front["members"]
        points = [(m["objectives"][i], m["objectives"][j]) for m in members]
        tips = [
            f"{m['files']}: {p[0]:.5g}, {p[1]:.5g}; "
            + ", ".join(f"{k}={v}" for k, v in m["labels"].items())
            for m, p in zip(members, points, strict=True)
        ]
        series.append(Series("on the front", points, tips, "dots", "c1"))
        edge = _edge(points)
        series.append(Series("front of these two", edge, (), "step", "c0"))
        axes = [
            _axis(f"{goals[k]['name']}, {goals[k]['unit']}".rstrip(", "), [p[n] for p in points])
            for n, k in enumerate((i, j))
        ]
        yield chart(f"{axes[0].label} against {axes[1].label}", axes[0], axes[1], series)


def _cloud(valid: Sequence[Mapping[str, Any]]) -> Markup:
    points = [(x["cycles"], x["energy_pj"] / 1e6) for x in valid]
    tips = [
        f"{x:,.0f} cycles, {y:,.2f} uJ: " + ", ".join(f"{k}={v}" for k, v in d["values"].items())
        for (x, y), d in zip(points, valid, strict=True)
    ]
    series = [
        Series("valid designs", points, tips, "dots", "c0"),
        Series("no other beats them in both", _edge(points), (), "step", "c1"),
    ]
    axes = _axis("cycles", [p[0] for p in points]), _axis("energy, uJ", [p[1] for p in points])
    return chart("energy against cycles of all designs", *axes, series)


def _axis(label: str, values: Sequence[float]) -> Axis:
    log = bool(values) and min(values) > 0 and max(values) > 5 * min(values)
    return Axis(label, log)


def _edge(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other beats in both."""
    edge: list[tuple[float, float]] = []
    for point in sorted(points):
        if not edge or point[1] < edge[-1][1]:
            edge.append(point)
    return edge


def parameters(run: Reported) -> Iterator[tuple[str, Markup]]:
    """Draw every free variable's values against the objective."""
    name, factor = goal(run)
    valid = [x for x in run.designs if x["valid"]]
    if len(valid) < 2:
        return
    for variable in run.explained.space.free:
        points = [(float(x["values"][variable.name]), x["objective"] / factor) for x in valid]
        tips = [_design_tip(x, factor) for x in valid]
        best = [(float(run.explained.values[variable.name]), run.value / factor)]
        names = {float(i): text for i, text in enumerate(variable.choices)}
        log = variable.sampling == "powers_of_two"
        label = f"{variable.name}{', ' if variable.unit else ''}{variable.unit}"
        values = [p[1] for p in points]
        drawn = chart(
            f"{name} against {variable.name}",
            Axis(label, log=log, names=names),
            Axis(name, log=min(values) > 0),
            [
                Series("designs", points, tips, "dots", "c0"),
                Series("best", best, [f"best: {run.value / factor:.6g}"], "dots", "c1"),
            ],
        )
        yield variable.name, drawn


def roofline(run: Reported) -> Markup | None:
    """Draw what layers compute in a cycle against the bytes of the outermost level they take."""
    architecture = run.explained.architecture
    outermost = architecture.levels[-1]
    words = min(outermost.shared_bandwidth, outermost.read_bandwidth + outermost.write_bandwidth)
    points, tips = [], []
    for layer in run.explained.layers:
        found = layer.stats.levels[outermost.name].tensors.values()
        moved = sum((t.reads + t.fills + t.updates) * t.utilized_instances for t in found)
        if not moved:
            continue
        intensity = layer.problem.macs / (moved * outermost.word_bits / 8)
        achieved = layer.problem.macs / layer.stats.cycles
        points.append((intensity, achieved))
        tips.append(
            f"{layer.name}: {achieved:.4g} MACs a cycle, {intensity:.4g} MACs a byte of "
            f"{outermost.name}; limited by {layer.limited_by}"
        )
    if not points:
        return None
    peak = float(architecture.compute.instances)
    low, high = min(p[0] for p in points) / 2, max(p[0] for p in points) * 2
    roof = [(low, peak), (high, peak)]
    if words != UNLIMITED:
        per_cycle = words * outermost.word_bits / 8 * outermost.instances
        ridge = peak / per_cycle
        high = max(high, 2 * ridge)
        roof = [(low, min(low * per_cycle, peak))]
        roof += [(ridge, peak)] if ridge > low else []
        roof += [(high, peak)]
    return chart(
        "roofline",
        Axis(f"MACs per byte of {outermost.name}", log=True),
        Axis("MACs per cycle", log=True),
        [
            Series("roof", roof, (), "line", "c1"),
            Series("layers", points, tips, "dots", "c0"),
        ],
    )
