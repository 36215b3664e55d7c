"""What a search of networks found: accuracy against EDP, beside networks that are fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dse.report.charts import Axis, Series, chart
from dse.report.reported import Reported

#: What each compared design is called, by its key in ``result.json``.
_BESIDE = {
    "own_design": "fixed network, baseline chip",
    "default_network": "fixed network, searched chip",
}
_J_CYCLES = 1e12


@dataclass(frozen=True)
class AccuracyPoint:
    """A design with a network.

    Attributes:
        name: what it is.
        edp: energy x delay in J x cycle.
        accuracy: of its network.
    """

    name: str
    edp: float
    accuracy: float


def searches_networks(content: Mapping[str, Any]) -> bool:
    """Whether a ``result.json`` is of a run that searched networks."""
    return "accuracy" in content


def compared_points(content: Mapping[str, Any]) -> list[AccuracyPoint]:
    """Return the valid ones of the designs that a run is compared with, and its best one."""
    found = {name: content.get(key) for key, name in _BESIDE.items()}
    found["network and chip searched"] = {**content["best"], "valid": True}
    return [
        AccuracyPoint(name, one["edp_pj_cycles"] / _J_CYCLES, one["accuracy"])
        for name, one in found.items()
        if one is not None and one["valid"]
    ]


def front_points(content: Mapping[str, Any]) -> list[AccuracyPoint]:
    """Return the front of accuracy against EDP among the run's front, growing in EDP."""
    points = [
        AccuracyPoint(m["files"], m["cycles"] * m["energy_pj"] / _J_CYCLES, m["accuracy"])
        for m in (content.get("front") or {}).get("members", [])
    ]
    edge: list[AccuracyPoint] = []
    for point in sorted(points, key=lambda p: (p.edp, -p.accuracy)):
        if not edge or point.accuracy > edge[-1].accuracy:
            edge.append(point)
    return edge


def accuracy_label(content: Mapping[str, Any]) -> str:
    """Return what the accuracy is counted in."""
    return f"accuracy, {content['accuracy']['unit']}"


def accuracy_chart(run: Reported) -> Markup:
    """Draw accuracy against EDP: all designs, the front, and what it is compared with."""
    valid = [x for x in run.designs if x["valid"] and "accuracy" in x]
    every = [(x["cycles"] * x["energy_pj"] / _J_CYCLES, x["accuracy"]) for x in valid]
    series = [Series("all valid designs", every, (), "dots", "cgrey")]
    edge = front_points(run.content)
    if edge:
        points = [(p.edp, p.accuracy) for p in edge]
        tips = [f"{p.name}: {p.edp:.5g} J x cycle, accuracy {p.accuracy:.4f}" for p in edge]
        series.append(Series("front", points, tips, "step", "c0"))
    for number, point in enumerate(compared_points(run.content), 1):
        tip = f"{point.name}: {point.edp:.5g} J x cycle, accuracy {point.accuracy:.4f}"
        series.append(
            Series(point.name, [(point.edp, point.accuracy)], [tip], "dots", f"c{number}")
        )
    label = accuracy_label(run.content)
    return chart(f"{label} against EDP", Axis("EDP, J x cycle", log=True), Axis(label), series)


def network_facts(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a report says of accuracies, and of networks that are fixed."""
    source = content["accuracy"]
    doubt = "; a stand-in, no accuracy" if source["stands_in"] else ""
    yield "accuracy", f"{content['best']['accuracy']:.4f} {source['unit']}{doubt}"
    yield "accuracy by", source["predictor"]
    best = content["best"]["edp_pj_cycles"]
    for point in compared_points(content)[:-1]:
        factor = point.edp * _J_CYCLES / best if best else float("inf")
        told = f"accuracy {point.accuracy:.4f}, {point.edp:.5g} J x cycle"
        yield point.name, f"{told}: {factor:.3g} times this one's EDP"
