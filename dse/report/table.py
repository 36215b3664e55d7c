"""A run's result as text: the hardware, one row per layer, the totals."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from dse.certify.entry import Known
from dse.cosearch.certificate import FRONT, gap_is_proven, why_nothing_is_proven
from dse.goals.certificate import times
from dse.goals.design import DesignMetrics
from dse.goals.rates import Throughput
from dse.report.front import print_front
from dse.study.result import RunResult

_WIDTH = 100
#: Padded layers that are named.
_MOST_PADDED = 6


def result_text(
    result: RunResult,
    *,
    color: bool = False,
    ascii_only: bool = False,
    known: Known | None = None,
) -> str:
    """Return the result table and what was chosen, ready for a terminal.

    Args:
        result: of the run.
        color: whether for a terminal that shows colours.
        ascii_only: whether for one that shows nothing but ASCII.
        known: what is known of the optimum.
    """
    buffer = io.StringIO()
    console = Console(file=buffer, width=_WIDTH, force_terminal=color, highlight=False)
    lines = box.ASCII if ascii_only else box.HEAVY_HEAD
    console.print(_table(result, lines))
    if result.front_members:
        print_front(console, result, lines)
    m = result.metrics
    settings = result.settings
    values = "  ".join(f"{name}={value}" for name, value in result.labels.items())
    for label, text in (
        ("hardware", f"{result.architecture.name}  {values}"),
        *_edge(result),
        ("area", f"{m.area_um2 / 1e6:.4f} mm^2" if m.area_um2 else "not priced by this chain"),
        ("total", _total(m)),
        *rates_rows(m.rates),
        *_mean(result),
        *_accuracy(result),
        *_padding(result),
        *_own_design(result),
        *_default_network(result),
        ("model", _model(settings)),
        (
            "search",
            f"{result.samples:,} samples, {result.feasible} of {result.designs} designs valid, "
            f"seed {settings['seed']}",
        ),
        *([("optimizer", result.note)] if result.note else []),
        *_modelled(result),
        *_proof(result, known),
        ("folder", str(result.folder)),
    ):
        console.print(f"{label:9} {text}", soft_wrap=True, markup=False)
    return buffer.getvalue()


def rates_rows(rates: Throughput | None, *, what: str = "inference") -> list[tuple[str, str]]:
    """Return time and power with their labels; none where there is no clock.

    Args:
        rates: of the whole.
        what: it is that runs.
    """
    if rates is None:
        return []
    clock = f"at {1e3 / rates.clock_ns:.4g} MHz"
    per_w = f", {rates.tops_per_w:.4g} TOPS/W" if rates.tops_per_w is not None else ""
    return [
        ("time", f"{_si(rates.seconds, 's')} {clock}, {rates.inferences_per_s:.4g} {what}s/s"),
        ("power", f"{_si(rates.power_w, 'W')}, {_si(rates.energy_j, 'J')} per {what}"),
        ("rate", f"{rates.tops:.4g} TOPS{per_w}"),
    ]


def _si(value: float, unit: str) -> str:
    """Return a quantity in the unit's m, u or n where it is small."""
    for factor, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "u")):
        if value >= factor:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value * 1e9:.4g} n{unit}"


def _model(settings: Mapping[str, Any]) -> str:
    """Return what priced the designs."""
    name = settings["evaluator"]["name"]
    other = "" if name == "native" else f"evaluator {name}, "
    return f"{other}timeloop {settings['timeloop_version']}, energy chain {settings['energy']}"


def _edge(result: RunResult) -> list[tuple[str, str]]:
    """Return at which ends of their ranges variables stand: there the range bounds the search."""
    ends = {"minimum": "the smallest", "maximum": "the largest"}
    said = ", ".join(
        f"{name}={result.labels[name]} is {ends[end]}" for name, end in result.at_edge.items()
    )
    return [("edge", f"{said} that the template allows")] if said else []


def _total(m: DesignMetrics) -> str:
    return f"{m.cycles:,.0f} cycles  {m.energy_pj / 1e6:,.2f} uJ  EDP {m.edp / 1e12:.6g} J x cycle"


def _padding(result: RunResult) -> list[tuple[str, str]]:
    """Return what is padded, and what that buys: the same hardware without, mapped as hard."""
    m = result.unpadded
    if m is None:
        return []
    own = {layer.name: layer.problem.bounds for layer in result.workload}
    said = [
        f"{name} ({', '.join(f'{d} {own[name][d]} -> {n}' for d, n in sizes.items())})"
        for name, sizes in result.padded.items()
    ]
    more = [f"and {len(said) - _MOST_PADDED} more"] if len(said) > _MOST_PADDED else []
    without = m.reason
    if m.valid:
        without = f"{_total(m)}, {times(_edp(m), _edp(result.metrics)):.3g}x this one's"
    count = f"{len(said)} of {len(result.workload)} layers"
    return [
        ("padded", f"{count}: {', '.join([*said[:_MOST_PADDED], *more])}"),
        ("", f"without: {without}"),
    ]


def _modelled(result: RunResult) -> list[tuple[str, str]]:
    """Return how much a model of the optimizer's own was asked, which no budget counts."""
    count = result.model_samples
    return [("", f"beside them {count:,} samples of the optimizer's own models")] if count else []


def _own_design(result: RunResult) -> list[tuple[str, str]]:
    """Return what the template's own design is worth with the mapper effort of the best one."""
    if result.own_design is None:
        return []
    design, m = result.own_design
    values = "  ".join(f"{name}={value}" for name, value in result.labels_of(design).items())
    factor = times(_edp(m), _edp(result.metrics))
    worth = f"{_total(m)}, {factor:.3g}x the best's{_of_accuracy(m)}" if m.valid else m.reason
    return [
        ("beside", f"the template's own design, {design.mapping_samples:,} mappings a layer:"),
        ("", values),
        ("", worth),
    ]


def _default_network(result: RunResult) -> list[tuple[str, str]]:
    """Return what the network of the defaults is worth on the best design's hardware."""
    if result.default_network is None:
        return []
    design, m = result.default_network
    factor = times(_edp(m), _edp(result.metrics))
    worth = f"{_total(m)}, {factor:.3g}x the best's{_of_accuracy(m)}" if m.valid else m.reason
    told = f"the space's own network on this hardware, {design.mapping_samples:,} mappings a layer:"
    return [("", told), ("", worth)]


def _of_accuracy(m: DesignMetrics) -> str:
    return "" if m.accuracy is None else f", accuracy {m.accuracy:.4f}"


def _accuracy(result: RunResult) -> list[tuple[str, str]]:
    """Return how accurate the best design's network is, and who says so."""
    source, accuracy = result.accuracy, result.metrics.accuracy
    if source is None or accuracy is None:
        return []
    doubt = ": no accuracy, it only grows where that should" if source.stands_in else ""
    return [("accuracy", f"{accuracy:.4f} {source.unit}{doubt} ({source.predictor})")]


def _edp(m: DesignMetrics) -> float:
    """Return the energy-delay product; of several networks, their geometric mean."""
    return math.prod(n.edp for n in m.networks) ** (1 / len(m.networks)) if m.networks else m.edp


def _mean(result: RunResult) -> list[tuple[str, str]]:
    """Return the line with what was minimised over several networks."""
    if not result.metrics.networks:
        return []
    count = len(result.metrics.networks)
    text = (
        f"{result.objective} {result.value:.6g} {result.unit}, geometric mean of {count} networks"
    )
    return [("mean", text)]


def _proof(result: RunResult, known: Known | None) -> list[tuple[str, str]]:
    """Return what the run proved, and how far it is above what is known."""
    lines = []
    proof = result.certificate
    if proof is not None:
        if proof["status"] == "optimal":
            said = "proven: no design of this mapspace is better"
        elif proof["status"] == FRONT:
            said = f"proven of each of {len(proof['points'])} designs: nothing dominates it"
        elif gap_is_proven(proof):
            said = f"nothing of this mapspace is better by more than {proof['gap']:.3%}"
        else:
            said = f"nothing proven: {why_nothing_is_proven(proof)}"
        lines.append(("proof", said))
    if proof is not None or known is not None or result.space.template.is_free:
        lines.append(("mapspace", result.space.mapspace))
    if known is not None:
        lines.append(
            ("known", f"{known.text(result.unit)}: this is {known.factor(result.value):.4f} x that")
        )
    return lines


def _table(result: RunResult, lines: box.Box) -> Table:
    table = Table(title=f"{result.workload.name} on {result.architecture.name}", box=lines)
    table.add_column("layer", no_wrap=True)
    clock_ns = result.metrics.clock_ns
    timed = () if clock_ns is None else ("time ms",)
    for name in ("count", "cycles", *timed, "energy uJ", "utilis.", "EDP Jxcycle"):
        table.add_column(name, justify="right", no_wrap=True)
    for layer in result.metrics.layers:
        table.add_row(
            layer.name,
            str(layer.count),
            f"{layer.cycles:,.0f}",
            *_milliseconds(layer.cycles, clock_ns),
            f"{layer.energy_pj / 1e6:,.2f}",
            f"{layer.utilization:.1%}",
            f"{layer.edp / 1e12:.4g}",
        )
    m = result.metrics
    for network, part in zip(result.workload.networks, m.networks, strict=True):
        table.add_section()
        _add_total(table, f"{network.name} (x count)", part)
    table.add_section()
    _add_total(table, "total (x count)", m)
    return table


def _add_total(table: Table, name: str, m: DesignMetrics) -> None:
    table.add_row(
        name,
        str(sum(layer.count for layer in m.layers)),
        f"{m.cycles:,.0f}",
        *_milliseconds(m.cycles, m.clock_ns),
        f"{m.energy_pj / 1e6:,.2f}",
        f"{m.utilization:.1%}",
        f"{m.edp / 1e12:.4g}",
    )


def _milliseconds(cycles: float, clock_ns: float | None) -> tuple[str, ...]:
    """Return the time as a cell; none where there is no clock."""
    return () if clock_ns is None else (f"{cycles * clock_ns * 1e-6:,.4g}",)
