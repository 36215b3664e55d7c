"""A published design, read from its files and priced again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dse.certify.objective import CheckedGoal
from dse.certify.places import Places
from dse.certify.sizes import allows
from dse.certify.verdict import NotCoveredError
from dse.domain.architecture import Architecture
from dse.errors import InvalidMapping, SpecError
from dse.goals import metric_names
from dse.goals.design import DesignMetrics, LayerMetrics
from dse.goals.networks import network_metrics
from dse.model.evaluate import evaluate_one
from dse.space.search_space import SearchSpace
from dse.timeloop.read.inputs import TimeloopInput

#: Numbers that are the same differ by no more than the last digits of their sums.
EQUAL = 1e-12


class WrongError(Exception):
    """What is wrong with a published design."""


def hardware_of(space: SearchSpace, values: dict[str, int]) -> Architecture:
    """Return the priced hardware of a design; WrongError where it is not of the space."""
    try:
        architecture = space.architecture(values)
    except SpecError as error:
        raise WrongError(f"the design's hardware is not of the space: {error}") from error
    try:
        goal = CheckedGoal.of(space)
    except NotCoveredError:
        return architecture  # the recheck says so
    if not goal.allows(architecture.area_um2):
        raise WrongError(f"the design's area of {architecture.area_um2:.6g} um^2 is not allowed")
    return architecture


def metrics_of(
    space: SearchSpace, architecture: Architecture, files: Sequence[TimeloopInput]
) -> DesignMetrics:
    """Evaluate the design layer by layer with the exact kernel, in full detail."""
    version = space.timeloop_version
    layers = []
    for layer, spec in zip(space.workload, files, strict=True):
        where, own, mapping = f"layer '{layer.name}'", layer.problem, spec.mapping
        same = (
            allows(own, spec.problem, space.padding)
            and spec.problem.tensors == own.tensors
            and np.array_equal(spec.problem.projection, own.projection)
        )
        if not same or mapping is None:
            raise WrongError(f"{where}: its files are of another problem")
        problem = replace(own, bounds=spec.problem.bounds)
        names = [[x.name for x in a.levels] for a in (architecture, spec.architecture)]
        if names[0] != names[1]:
            raise WrongError(f"{where}: its files have levels {', '.join(names[1])}")
        why = Places(problem, architecture).why_not(mapping)
        if why is not None:
            raise WrongError(f"{where}: its mapping is not of the space: {why}")
        try:
            stats, filed = (
                evaluate_one(a, problem, mapping, version)
                for a in (architecture, spec.architecture)
            )
        except InvalidMapping as error:
            raise WrongError(f"{where}: {error}") from error
        if not (
            stats.cycles == filed.cycles
            and math.isclose(stats.energy_pj, filed.energy_pj, rel_tol=EQUAL)
        ):
            raise WrongError(f"{where}: best/arch.yaml and ERT.yaml describe other hardware")
        layers.append(
            LayerMetrics(
                layer.name,
                layer.count,
                stats.cycles,
                stats.energy_pj,
                stats.utilization * own.macs / problem.macs,
            )
        )
    return network_metrics(space.workload, architecture, layers)


def check_limits(space: SearchSpace, metrics: DesignMetrics) -> None:
    """Raise WrongError where a design misses a constraint on metrics."""
    known = metric_names.of_design(metrics)
    for limit in space.limits:
        if limit.excess(known):
            raise WrongError(limit.reason(known))
