"""Three latencies of a design: Timeloop's, the cycle model's and the RTL's, and why they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from dse.cycles.model import Cycles
from dse.evaluators.cycles import CyclesEvaluator, job_of_mapping
from dse.evaluators.rtl import RtlEvaluator
from dse.model import evaluate_one
from dse.process.together import ended_together
from dse.validate.model import Case

#: Where the cycle model's cycles go: part, and its head in the table.
_PARTS = {
    "compute": "compute",
    "array_fill": "fill",
    "array_drain": "drain",
    "bandwidth": "bandwidth",
    "latency": "latency",
    "overlap": "overlap",
}
EXPLANATION = """\
of the cycles: compute  inputs go through the array
               fill     weights go to the array, and nothing through it
               drain    the last sums come out
               bandwidth, latency
                        the array waits for data: while they have the bus, and
                        for the memory's latency on top
               overlap  it waits for room in a buffer, or for other transfers
"""


@dataclass(frozen=True)
class LayerLatency:
    """A layer's cycles, each for one of ``count`` equal layers.

    Attributes:
        name: of the layer.
        count: how often it occurs.
        energy_pj: by the native model.
        timeloop: cycles by the native model.
        model: by the cycle model.
        rtl: as simulated; None: not asked.
    """

    name: str
    count: int
    energy_pj: float
    timeloop: float
    model: Cycles
    rtl: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Latencies:
    """A design's layers."""

    layers: tuple[LayerLatency, ...]

    @property
    def agree(self) -> bool:
        """Whether the cycle model equals the RTL on every layer that was simulated."""
        return all(x.rtl in (None, x.model.total) for x in self.layers)

    def total(self, of: Callable[[LayerLatency], float]) -> float:
        """Return the network's sum of something, each layer as often as it occurs."""
        return sum(x.count * of(x) for x in self.layers)

    @property
    def energy_pj(self) -> float:
        """Of the network."""
        return self.total(lambda x: x.energy_pj)


def latencies(
    cases: Sequence[Case],
    counts: Sequence[int],
    cycles: CyclesEvaluator,
    rtl: RtlEvaluator | None,
    n_jobs: int = 1,
) -> Latencies:
    """Return the latencies of a design's layers.

    Args:
        cases: layers with hardware and mapping.
        counts: how often each occurs.
        cycles: the cycle model's back end.
        rtl: the RTL's; None: it is not run.
        n_jobs: simulations at a time.

    Raises:
        SpecError: the design is none that our accelerator is for.
        InvalidMapping: a mapping is rejected.
        ToolError: the RTL failed.
    """

    def one(case: Case, count: int) -> LayerLatency:
        parts = case.architecture, case.problem, case.mapping
        stats = evaluate_one(*parts, cycles.timeloop_version)
        simulated = None
        if rtl is not None:
            simulated = rtl.cycles(job_of_mapping(*parts, rtl.settings))
        model = cycles.cycles(*parts)
        return LayerLatency(case.name, count, stats.energy_pj, stats.cycles, model, simulated)

    with ended_together() as scope, ThreadPoolExecutor(n_jobs) as pool:
        return Latencies(tuple(pool.map(scope.within(one), cases, counts)))


def rows(found: Latencies) -> list[tuple[str, ...]]:
    """Return the table: a head, a row for each layer, the network."""
    simulated = any(x.rtl is not None for x in found.layers)
    head = ("layer", "count", "Timeloop", "cycles", *(("RTL",) if simulated else ()))
    table = [(*head, "/ Timeloop", *_PARTS.values())]
    for x in found.layers:
        rtl = (f"{x.rtl:,}",) if x.rtl is not None else ()
        parts = [getattr(x.model, name) / x.model.total for name in _PARTS]
        lead = (x.name, str(x.count), f"{x.timeloop:,.0f}", f"{x.model.total:,}", *rtl)
        table.append((*lead, *_shares(x.model.total / x.timeloop, parts)))
    timeloop, total = found.total(lambda x: x.timeloop), found.total(lambda x: x.model.total)
    parts = [sum(x.count * getattr(x.model, name) for x in found.layers) / total for name in _PARTS]
    rtl = (f"{found.total(lambda x: x.rtl or 0):,.0f}",) if simulated else ()
    lead = ("network", "", f"{timeloop:,.0f}", f"{total:,.0f}", *rtl)
    return [*table, (*lead, *_shares(total / timeloop, parts))]


def _shares(ratio: float, parts: Sequence[float]) -> list[str]:
    return [f"{ratio:.3f}", *(f"{100 * part:.1f}%" for part in parts)]


def summary(found: Latencies) -> list[str]:
    """Return energy, both energy-delay products, and whether cycle model and RTL agree."""
    energy = found.energy_pj
    lines = [f"energy    {energy / 1e6:,.2f} uJ"]
    for name, cycles in (
        ("Timeloop", found.total(lambda x: x.timeloop)),
        ("cycles", found.total(lambda x: x.model.total)),
    ):
        lines.append(f"EDP       {energy * cycles / 1e12:.6g} J x cycle by {name}")
    simulated = [x for x in found.layers if x.rtl is not None]
    if simulated:
        same = sum(x.rtl == x.model.total for x in simulated)
        lines.append(f"RTL       equals the cycle model on {same} of {len(simulated)} layers")
    return lines
