"""One layer explained: what limits it, which PEs idle and why, where its energy goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from dse.breakdown.cycles import CycleBreakdown, cycle_breakdown
from dse.breakdown.energy import EnergyShare, energy_parts
from dse.breakdown.parallel import FanUse, fans
from dse.breakdown.zeros import ComputeFates, compute_fates, saved_accesses
from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.goals.metric_names import operations
from dse.goals.rates import Throughput
from dse.model.stats import Stats
from dse.timeloop.evaluate import Evaluation, evaluated
from dse.timeloop.read.inputs import TimeloopInput


@dataclass(frozen=True)
class ExplainedLayer:
    """A layer as it is mapped.

    Attributes:
        name: the layer's.
        count: how often the network runs it.
        problem: its own sizes; those that are mapped may be padded.
        evaluation: architecture, problem and mapping, and what the model says of them.
    """

    name: str
    count: int
    problem: Problem
    evaluation: Evaluation

    @classmethod
    def of(
        cls,
        name: str,
        count: int,
        problem: Problem,
        architecture: Architecture,
        mapped: Problem,
        mapping: Mapping,
        version: str,
    ) -> ExplainedLayer:
        """Evaluate a mapping of a layer, or of its padded problem, ``mapped``.

        Raises:
            dse.errors.InvalidMapping: it does not fit.
            dse.errors.SpecError: the model cannot say.
        """
        spec = TimeloopInput(architecture, mapped, mapping, version)
        return cls(name, count, problem, evaluated(spec, mapping))

    @property
    def architecture(self) -> Architecture:
        """What it runs on."""
        return self.evaluation.input.architecture

    @property
    def stats(self) -> Stats:
        """What the model says."""
        return self.evaluation.stats

    @property
    def utilization(self) -> float:
        """Share of the MACs' time that does the layer's own operations."""
        return self.stats.utilization * self.problem.macs / self.evaluation.input.problem.macs

    @cached_property
    def cycles(self) -> CycleBreakdown:
        """What its cycles are made of."""
        return cycle_breakdown(self.architecture, self.evaluation.mapping, self.stats)

    @cached_property
    def energy(self) -> tuple[EnergyShare, ...]:
        """What its energy is made of."""
        return tuple(energy_parts(self.architecture, self.stats))

    @cached_property
    def fans(self) -> tuple[FanUse, ...]:
        """Its spatial factors against the meshes."""
        return fans(self.architecture, self.evaluation.input.problem, self.evaluation.mapping)

    @property
    def fates(self) -> ComputeFates | None:
        """What becomes of the computes of a sparse design; None of a dense one."""
        return compute_fates(self.stats)

    @property
    def rates(self) -> Throughput | None:
        """Time and power of one run; None where the clock is not known."""
        technology = self.architecture.technology
        if technology is None:
            return None
        cycles, energy_pj = float(self.stats.cycles), self.stats.energy_pj
        return Throughput.of(cycles, energy_pj, operations(self.problem), technology.clock_ns)

    @property
    def limit(self) -> str:
        """What makes it take as long as it does: a bandwidth, or compute, with all PEs or some."""
        binding = self.cycles.binding
        if binding.bandwidth is not None:
            return binding.name
        return "compute with idle PEs" if self.idle else "compute, all PEs busy"

    @property
    def limited_by(self) -> str:
        """The same with how many PEs are busy, where that is not all."""
        if self.cycles.binding.bandwidth is not None or not self.idle:
            return self.limit
        used, there = (math.prod(getattr(fan, of) for fan in self.fans) for of in ("used", "mesh"))
        return f"compute, {used:,} of {there:,} PEs busy"

    @property
    def idle(self) -> tuple[str, ...]:
        """Which PEs idle, and why; a phrase for each axis with some."""
        problem = self.evaluation.input.problem
        return tuple(
            f"{fan.used} of {fan.mesh} below {fan.level} along {fan.axis}: {fan.why_idle(problem)}"
            for fan in self.fans
            if fan.used < fan.mesh
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        cycles, problem = self.cycles, self.evaluation.input.problem
        return {
            "name": self.name,
            "count": self.count,
            "cycles": self.stats.cycles,
            "energy_pj": self.stats.energy_pj,
            "utilization": self.utilization,
            **({"rates": self.rates.as_dict()} if self.rates else {}),
            "limited_by": cycles.binding.name,
            "limits": [asdict(limit) for limit in cycles.limits],
            "latency_cycles": cycles.latency_cycles,
            "spatial": [{**asdict(f), "why_idle": f.why_idle(problem)} for f in self.fans],
            "energy": [asdict(part) for part in self.energy],
            **self._sparse_dict(),
        }

    def _sparse_dict(self) -> dict[str, Any]:
        fates = self.fates
        if fates is None:
            return {}
        accesses = [asdict(x) for x in saved_accesses(self.stats)]
        return {"sparse": {"computes": asdict(fates), "accesses": accesses}}


@dataclass(frozen=True)
class EnergyCells:
    """Energies by place and tensor, with what no tensor takes in columns of its own.

    Attributes:
        columns: tensors, then ``leakage`` and ``compute`` where there are any.
        rows: by place, from the inside out, the pJ of each column.
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]

    @property
    def total_pj(self) -> float:
        """All of it."""
        return sum(map(sum, self.rows.values()))


def energy_table(layers: Sequence[ExplainedLayer]) -> EnergyCells:
    """Return the energies of layers, each as often as the network runs it."""
    found: dict[tuple[str, str], float] = {}
    places: dict[str, None] = {}
    columns: dict[str, None] = {}
    for layer in layers:
        for part in layer.energy:
            column = part.tensor or part.kind
            if part.kind != "network" or part.energy_pj:
                places.setdefault(part.place)
            if part.tensor or part.energy_pj:
                columns.setdefault(column)
            key = part.place, column
            found[key] = found.get(key, 0.0) + layer.count * part.energy_pj
    last = [name for name in ("leakage", "compute") if name in columns]
    ordered = (*(name for name in columns if name not in last), *last)
    rows = {place: tuple(found.get((place, name), 0.0) for name in ordered) for place in places}
    return EnergyCells(ordered, rows)
