"""What timeloop-mapper does: the best mapping of a project's problem, by any of the mappers.

A metric that is no objective, the accesses of a storage level, is searched as energy: on a copy of
the architecture in which one access of that level costs 1 pJ and everything else nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dse.domain.architecture import AccessEnergy, Architecture, HardwareBatch, StorageLevel
from dse.domain.fixed_factors import fitted
from dse.domain.mapping import Mapping
from dse.domain.padding import NO_PADDING, Padding, mapped_problem, padding_text
from dse.domain.problem import Problem
from dse.domain.uneven import divided
from dse.errors import NothingFeasible, SpecError
from dse.goals.certificate import Certificate
from dse.goals.metrics import Metrics
from dse.goals.objective import Objective, objective
from dse.numeric import Floats
from dse.plugins import Plugin, plugin
from dse.timeloop.convert import Project
from dse.timeloop.evaluate import Evaluation, evaluated, said_to_timeloop
from dse.timeloop.read.inputs import TimeloopInput
from dse.timeloop.search_evaluators import (
    FewLoopsEvaluator,
    SinglyEvaluator,
    temporal_loops,
)

#: What a second metric may weigh against the first: mappings whose first metrics differ by less
#: than this share count as equal in it. timeloop-mapper takes 0.001 for equal.
_TIE = 2.0**-24
#: The mapper that proves, and the one that searches where nothing can be proven.
_PROVER, _HEURISTIC = "optimal", "hillclimb"
_UNITS = {"delay": "cycles", "energy": "pJ", "edp": "pJ x cycle"}


@dataclass(frozen=True)
class BestMapping:
    """The best mapping of a project.

    Attributes:
        evaluation: what was mapped, the mapping, and what the model says of it.
        metrics: what was minimised, with the mapping's value and its unit, in order.
        certificate: what the mapper proved of the first metric; None where it proves nothing.
        notes: lines on what the search did not take into account.
        padded: whether the problem that was mapped has larger bounds than the project's, as fixed
            factors ask for or as searches may choose.
        sizes: what the search chose to pad, as in ``K 37 -> 39``; empty: nothing.
        as_timeloop: of an uneven mapping, the evaluation that Timeloop's files can say, or why they
            cannot; None: the mapping is even.
        unpadded: the best mapping without that, of the same search; None where nothing is padded,
            or nothing else can be mapped.
    """

    evaluation: Evaluation
    metrics: tuple[tuple[str, float, str], ...]
    certificate: Certificate | None
    notes: tuple[str, ...] = ()
    padded: bool = False
    sizes: str = ""
    as_timeloop: Evaluation | str | None = None
    unpadded: BestMapping | None = None


@dataclass(frozen=True)
class MapperBudget:
    """How a project is searched.

    Attributes:
        mapper: the mapper's name.
        settings: an instance of its settings; None: their defaults.
        samples: mappings that may be priced, at least 1, for each of the metrics searched.
        seed: of all randomness.
        threads: 0 = all cores.
        padding: how far dimensions may be padded.
        uneven: levels each of whose tensors may stand at loops of its own; None: all that can be.
    """

    mapper: str
    settings: Any
    samples: int
    seed: int = 0
    threads: int = 0
    padding: Padding = NO_PADDING
    uneven: tuple[str, ...] | None = ()


def search(
    project: Project,
    metrics: tuple[str, ...],
    effort: MapperBudget,
    version: str,
    most_loops: int | None = None,
) -> BestMapping:
    """Return the best mapping that a mapper finds.

    Args:
        project: architecture, problem and constraints.
        metrics: as in `dse.timeloop.read.mapper.MapperDirectives`.
        effort: with which mapper, and how long.
        version: of Timeloop.
        most_loops: temporal loops that a mapping may have.

    Raises:
        SpecError: the mapper cannot search for the metric, or a constraint is wrong.
        NothingFeasible: no valid mapping was found; the message says what stands in the way.
    """
    given = project
    if project.architecture.sparse is not None:
        _check_sparse(effort, metrics)
    if effort.uneven != ():
        _check_uneven(metrics)
    fit = fitted(project.problem, project.constraints, project.architecture)
    project = replace(project, problem=fit.problem, constraints=dict(fit.constraints))
    searched = _searched(project.architecture, metrics[0])
    second = metrics[1] if len(metrics) > 1 and metrics[1] in _UNITS else None
    if second == "energy" and metrics[0] not in _UNITS:
        second = None  # energies are accesses there
    first = objective("energy" if metrics[0] not in _UNITS else metrics[0])
    goals = [first, *([_ordered(first, objective(second))] if second else [])]
    task = _FileSearch(project, searched, effort, version)
    runs, limits = _runs(task, goals, most_loops)
    which, best = min(runs, key=lambda run: goals[-1].rank(run[1].metrics)[0])
    mapping = best.mappings[0]
    if mapping is None:
        within = f", with at most {most_loops} temporal loops" if most_loops else ""
        raise NothingFeasible(task.why_unmapped(first) + within)
    problem = mapped_problem(project.problem, mapping)
    evaluation = task.evaluation(problem, mapping, which)
    told = tuple((m, metric_value(evaluation, m), _UNITS.get(m, "accesses")) for m in metrics)
    proofs = runs[0][1].certificates
    certificate = proofs[0] if proofs else None
    if certificate is not None:
        # the mapping may be another one than the proof's, as good within what counts as equal
        bound = certificate.bound
        bound = None if bound is None else min(bound, told[0][1])
        certificate = replace(certificate, value=told[0][1], bound=bound)
    passed_over = _passed_over(project.architecture)
    handed_over = _handed_over(certificate, effort)
    said = said_to_timeloop(evaluation)
    unsaid = (f"no files of it: {said}",) if isinstance(said, str) else ()
    notes = (
        *(*fit.changes, *limits, *handed_over, *passed_over, *unsaid),
        *_notes(metrics, second),
    )
    unpadded = None
    if problem != project.problem:
        with suppress(NothingFeasible):
            plain = replace(effort, padding=NO_PADDING)
            unpadded = search(given, metrics, plain, version, most_loops)
    return BestMapping(
        evaluation,
        told,
        certificate,
        notes,
        padded=problem != given.problem,
        sizes=padding_text(project.problem, problem),
        as_timeloop=said,
        unpadded=unpadded,
    )


@dataclass(frozen=True)
class _FileSearch:
    """What mappers are run on.

    Attributes:
        project: with the problem that is mapped.
        searched: its architecture, priced in the metric.
        effort: how it is searched.
        version: of Timeloop.
    """

    project: Project
    searched: Architecture
    effort: MapperBudget
    version: str

    def run(
        self,
        goal: Objective,
        name: str,
        settings: Any,  # noqa: ANN401
        most_loops: int | None,
    ) -> tuple[int, Any]:
        """Return on which hardware, and what, a mapper finds; the evaluator limits the loops."""
        effort = self.effort
        hardware = HardwareBatch.of(_in_batches(self.searched))
        if self._names:
            hardware = self._divided(self.searched)
        mapper = self._mapper(goal, name, settings, most_loops)
        found: tuple[int, Any] = mapper.map_best(
            hardware, self.project.problem, effort.samples, effort.seed, effort.padding
        )
        return found

    def evaluation(self, problem: Problem, mapping: Mapping, which: int) -> Evaluation:
        """Return everything that the model says of a mapping on one of the hardware."""
        architecture = self.project.architecture
        if self._names:
            architecture = self._divided(architecture).architectures[which]
        return evaluated(TimeloopInput(architecture, problem, mapping, self.version), mapping)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Levels in parts, by the prices that count in the end."""
        if self.effort.uneven == ():
            return ()
        project = self.project
        asked = (project.architecture, project.problem, project.constraints, self.effort.uneven)
        return divided(*asked).architectures[0].divided

    def _divided(self, architecture: Architecture) -> HardwareBatch:
        return divided(architecture, self.project.problem, self.project.constraints, self._names)

    def why_unmapped(self, goal: Objective) -> str:
        """Return what stands in the way of any mapping."""
        mapper = self._mapper(goal, _HEURISTIC, None, None)
        architecture = _in_batches(self.project.architecture)
        why: str = mapper.why_unmapped(self.project.problem, architecture)
        return why

    def _mapper(self, goal: Objective, name: str, settings: Any, most_loops: int | None) -> Any:  # noqa: ANN401
        """Return the mapper, which is found by name; the evaluator is the native model."""
        native: Plugin = plugin("evaluator", "native")
        evaluator = native.factory(timeloop_version=self.version, n_jobs=self.effort.threads)
        if self.searched.singly is not None:
            evaluator = SinglyEvaluator(evaluator, self.searched)
        if most_loops is not None:
            evaluator = FewLoopsEvaluator(evaluator, most_loops)
        chosen = plugin("mapper", name)
        settings = chosen.settings_type() if settings is None else settings
        return chosen.factory(evaluator, self.project.constraints, goal, settings)


def _runs(
    task: _FileSearch, goals: Sequence[Objective], most_loops: int | None
) -> tuple[list[tuple[int, Any]], list[str]]:
    """Return what is found for each goal, and lines on what the proof could not be of."""
    effort = task.effort
    proves = effort.mapper == _PROVER
    sparse = task.project.architecture.sparse is not None
    if proves and task.searched.singly is None and not sparse:
        found = [task.run(goal, effort.mapper, effort.settings, None) for goal in goals]
        mappings = [one.mappings[0] for _, one in found]
        # the best of all mappings is the best of those with few loops, if it is one of them
        if most_loops is None or all(
            m is None or temporal_loops(m) <= most_loops for m in mappings
        ):
            return found, []
        why = f"the best mappings of all have more than {most_loops} temporal loops"
    elif proves and sparse:
        why = "its bounds hold for dense tensors, of which a sparse design saves some"
    elif proves:
        why = f"{task.searched.singly} are modelled for single mappings only"
    else:
        return [task.run(g, effort.mapper, effort.settings, most_loops) for g in goals], []
    found = [task.run(goal, _HEURISTIC, None, most_loops) for goal in goals]
    return found, [f"nothing is proven, and mapper={_HEURISTIC} searched: {why}"]


def _check_sparse(effort: MapperBudget, metrics: tuple[str, ...]) -> None:
    """Refuse what cannot be searched of a sparse design.

    Raises:
        SpecError: a metric counts accesses, or the mapper knows dense tensors only.
    """
    for metric in metrics:
        if metric not in _UNITS:
            raise SpecError(
                f"metric {metric}: not supported with sparse_optimizations, expected one of "
                f"{', '.join(_UNITS)}"
            )
    if effort.mapper != _PROVER and not plugin("mapper", effort.mapper).factory.takes_sparse:
        raise SpecError(
            f"mapper={effort.mapper}: searches by a model of dense tensors, and "
            "sparse_optimizations are not part of it; expected another mapper, such as "
            f"{_HEURISTIC}"
        )


def _check_uneven(metrics: tuple[str, ...]) -> None:
    """Refuse metrics that count the accesses of a level by its number: parts have their own.

    Raises:
        SpecError: there is one.
    """
    for metric in metrics:
        if metric not in _UNITS:
            raise SpecError(
                f"metric {metric}: not counted with mapspace.uneven, expected one of "
                f"{', '.join(_UNITS)}"
            )


def _handed_over(certificate: Certificate | None, effort: MapperBudget) -> list[str]:
    """Return a line where the proof was not begun, so that only heuristics searched."""
    if certificate is None or certificate.bound is not None:
        return []
    return [f"heuristics searched in the proof's place, with {effort.samples:,} samples"]


def _passed_over(architecture: Architecture) -> list[str]:
    """Return a line on the mappings that a search cannot judge, and so leaves out."""
    if any(level.distributes for level in architecture.levels):
        return ["mappings whose multicasts a network of type M:N distributes are passed over"]
    return []


def _in_batches(architecture: Architecture) -> Architecture:
    """Return the architecture without what is modelled for single mappings only."""
    from dse.model.singly import without  # noqa: PLC0415 - compiled code

    levels = (
        replace(level, read_network=None, update_network=None)
        for level in without(architecture).levels
    )
    return replace(architecture, levels=tuple(levels), networks=())


def metric_value(evaluation: Evaluation, metric: str) -> float:
    """Return a metric of an evaluated mapping: cycles, pJ, pJ x cycle, or scalar accesses."""
    stats = evaluation.stats
    if metric == "delay":
        return float(stats.cycles)
    if metric == "energy":
        return float(stats.energy_pj)
    if metric == "edp":
        return float(stats.energy_pj * stats.cycles)
    level = evaluation.input.architecture.levels[_level_of(metric)].name
    tensors = stats.levels[level].tensors.values()
    return math.fsum((t.reads + t.fills + t.updates) * t.utilized_instances for t in tensors)


def _notes(metrics: tuple[str, ...], second: str | None) -> list[str]:
    beyond = [m for m in metrics[1:] if m != second]
    return [f"metric {name}: not searched for, as it stands behind {metrics[0]}" for name in beyond]


def _ordered(first: Objective, second: Objective) -> Objective:
    """Return the objective by which equals of the first are compared by the second."""

    def rank(metrics: Metrics) -> Floats:
        value: Floats = second.rank(metrics)
        share = np.where(value > 0, np.log2(np.maximum(value, 1e-300)) / 2048 + 0.5, 0.0)
        return first.rank(metrics) * (1.0 + _TIE * np.clip(share, 0.0, 1.0))

    name = f"{first.name}, {second.name}"
    summary = f"{first.summary}, then {second.summary}"
    return Objective(name, first.unit, summary, first.of_design, rank)


def _level_of(metric: str) -> int:
    return int(metric.removeprefix("accesses-"))


def _searched(architecture: Architecture, metric: str) -> Architecture:
    """Return the architecture in whose energies the metric can be searched."""
    if metric in _UNITS:
        return architecture
    counted = _level_of(metric)
    levels = tuple(_priced(level, s == counted) for s, level in enumerate(architecture.levels))
    compute = replace(architecture.compute, energy_pj=0.0)
    return replace(architecture, levels=levels, compute=compute, networks=())


def _priced(level: StorageLevel, counted: bool) -> StorageLevel:
    price = 1.0 if counted else 0.0
    level = replace(
        level, read_network=None, update_network=None, power_gated_at=None, bandwidth_scales=()
    )
    network = replace(
        level.network,
        hop_energy_pj=0.0,
        wire_energy_pj=0.0,
        router_energy_pj=0.0,
        ingress_energy_pj=0.0,
    )
    if counted:
        level = replace(level, block_size=1, cluster_size=1)
    return replace(level, energy=AccessEnergy(price, price, price, 0.0, 0.0), network=network)
