"""The result of a run: the best design with its metrics, and the same as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse.architecture import Architecture
from dse.problem import Workload
from dse.study.design import Design, DesignMetrics

SCHEMA = "dse.result"
VERSION = 1


@dataclass(frozen=True)
class RunResult:
    """The best design of a run.

    Attributes:
        design: values of the variables, and one mapping per layer of ``workload``.
        metrics: what it is worth: cycles, energy_pj, area_um2, utilization, edp, per layer too.
        architecture: its hardware, priced.
        labels: the values of the variables as people write them.
        objective, value, unit: what was minimised, and how far.
        settings: everything that the run was set to.
        samples, designs, feasible: samples spent; hardware points seen; those that worked.
        folder: the run folder.
    """

    design: Design
    metrics: DesignMetrics
    architecture: Architecture
    workload: Workload
    labels: dict[str, str]
    objective: str
    value: float
    unit: str
    settings: dict[str, Any]
    samples: int
    designs: int
    feasible: int
    folder: Path

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data, the content of ``result.json``."""
        m = self.metrics
        return {
            **header(self.settings, "ok", self.samples, self.designs, self.feasible),
            "objective": {"name": self.objective, "value": self.value, "unit": self.unit},
            "best": {
                "values": self.design.values,
                "labels": self.labels,
                "cycles": m.cycles,
                "energy_pj": m.energy_pj,
                "edp_pj_cycles": m.edp,
                "area_um2": m.area_um2,
                "utilization": m.utilization,
                "layers": [
                    {
                        "name": layer.name,
                        "count": layer.count,
                        "cycles": layer.cycles,
                        "energy_pj": layer.energy_pj,
                        "edp_pj_cycles": layer.edp,
                        "utilization": layer.utilization,
                    }
                    for layer in m.layers
                ],
            },
        }


def header(
    settings: dict[str, Any], status: str, samples: int, designs: int, feasible: int
) -> dict[str, Any]:
    """Return the part of ``result.json`` that a run without a valid design has too."""
    told = ("arch", "workload", "variables", "seed", "energy", "timeloop_version")
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "status": status,
        **{key: settings[key] for key in told},
        "optimizer": settings["optimizer"],
        "mapper": settings["mapper"],
        "evaluator": settings["evaluator"],
        "samples": samples,
        "designs": designs,
        "feasible_designs": feasible,
    }
