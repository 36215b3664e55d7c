"""The metrics that objectives and constraints may be made of, by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from dse.domain.problem import Problem
from dse.goals.design import DesignMetrics
from dse.goals.metrics import Metrics

#: Every name with its unit and meaning.
METRIC_NAMES = {
    "cycles": "cycles of one inference",
    "energy_pj": "energy of one inference, pJ",
    "energy_uj": "the same in uJ",
    "edp": "energy x delay, pJ x cycle",
    "area_um2": "area of the accelerator, um^2",
    "area_mm2": "the same in mm^2",
    "utilization": "fraction of MACs x cycles that compute",
    "delay_ns": "duration of one inference, ns",
    "gflops": "multiplications and additions per ns",
    "power_w": "energy over duration, W",
    "seconds": "duration of one inference, s",
    "inferences_per_s": "inferences per second, one after the other",
    "tops": "multiplications and additions per ps",
    "tops_per_w": "multiplications and additions per pJ",
}
#: What hardware takes, with its meaning; a constraint may bound it from above.
RESOURCES = {
    "pes": "MAC units",
    "on_chip_bytes": "storage but DRAM, all instances",
    "noc_words_per_cycle": "what the outermost on-chip level delivers",
}
#: How accurate the network is: of designs of a space of networks, and of constraints on them.
ACCURACY = "accuracy"
#: Those that need the clock.
TIMED = frozenset({"delay_ns", "gflops", "power_w", "seconds", "inferences_per_s", "tops"})


@dataclass(frozen=True)
class Scale:
    """What the timed metrics of mappings need beyond `dse.evaluators.base.Metrics`.

    Attributes:
        operations: multiplications and additions of the problem.
        clock_ns: period of the clock; None where it is not known: timed metrics are NaN then.
    """

    operations: int
    clock_ns: float | None


@lru_cache(maxsize=4096)
def operations(problem: Problem) -> int:
    """Multiplications and additions of a problem: the first of each sum needs no addition."""
    outputs = sum(problem.tensor_size(t) for t, written in enumerate(problem.read_write) if written)
    return 2 * problem.macs - outputs


def of_mappings(metrics: Metrics, scale: Scale) -> dict[str, Any]:
    """Return all metrics of B mappings by name, arrays ``(B,)``."""
    return _named(metrics, scale)


def of_design(metrics: DesignMetrics) -> dict[str, Any]:
    """Return all metrics of a design by name; the accuracy, too, where there is one."""
    known = _named(metrics, Scale(metrics.operations, metrics.clock_ns))
    return known if metrics.accuracy is None else {**known, ACCURACY: metrics.accuracy}


def _named(m: Metrics | DesignMetrics, scale: Scale) -> dict[str, Any]:
    delay_ns = m.cycles * (float("nan") if scale.clock_ns is None else scale.clock_ns)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_pj = np.divide(scale.operations, m.energy_pj)  # no energy: no value
    return {
        "cycles": m.cycles,
        "energy_pj": m.energy_pj,
        "energy_uj": m.energy_pj * 1e-6,
        "edp": m.edp,
        "area_um2": m.area_um2,
        "area_mm2": m.area_um2 * 1e-6,
        "utilization": m.utilization,
        "delay_ns": delay_ns,
        "gflops": scale.operations / delay_ns,
        "power_w": m.energy_pj / delay_ns * 1e-3,
        "seconds": delay_ns * 1e-9,
        "inferences_per_s": 1e9 / delay_ns,
        "tops": scale.operations / delay_ns * 1e-3,
        "tops_per_w": per_pj,
    }
