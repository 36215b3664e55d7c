"""What every search stands on, built once from settings: for runs and single layers alike."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from dse.accuracy.choice import DEFAULT, files_of, predictor
from dse.components.chain import energy_chain
from dse.domain.padding import Padding
from dse.domain.problem import Workload
from dse.domain.uneven import levels_asked
from dse.errors import SpecError
from dse.evaluators.base import Evaluator
from dse.goals.limits import Limit, limits
from dse.goals.metric_names import ACCURACY, TIMED
from dse.goals.objective import ERROR, Objective, objective
from dse.goals.python_objective import is_code, python_objective
from dse.learned.recording import RecordingEvaluator
from dse.mappers.base import Mapper
from dse.parallel.base import Engine
from dse.plugins import plugins
from dse.runner.config import ResolvedConfig
from dse.runner.sparse import for_sparse
from dse.space.mapspace_choice import freed, held_on_chip
from dse.space.network_space import NetworkSpace
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate
from dse.study import folder as run_folder
from dse.study.answers import AnswerStore
from dse.study.inputs import digest_of, inputs_of_run
from dse.study.optimizer import Optimizer
from dse.study.result import AccuracySource
from dse.study.spread import SpreadEvaluator, SpreadMapper
from dse.study.study import Study, optimizer_rng

#: Layers that are mapped at once where other processes do the work, which these only wait for.
_WAITING = 64


@dataclass(frozen=True)
class Setup:
    """Checked settings, and what they name.

    Attributes:
        config: the settings; nothing in them is left to a default any more.
        space: template, workload, energy chain, objective and limits.
        evaluator: prices mappings.
        mapper: finds mappings for hardware that has none.
        engine: does what takes long, for the evaluator or for the mapper.
        samples: the budget: mappings evaluated for every unique layer.
    """

    config: ResolvedConfig
    space: SearchSpace
    evaluator: Evaluator[Any]
    mapper: Mapper[Any]
    engine: Engine[Any]
    samples: int

    def close(self) -> None:
        """End what runs beside this process; see `dse.evaluators.base.Evaluator.close`."""
        try:
            self.evaluator.close()
        finally:
            self.engine.close()

    @property
    def accuracy(self) -> AccuracySource | None:
        """What said how accurate networks are; None where they are no variable."""
        made = self.space.accuracy
        if made is None or self.config.run.accuracy is None:
            return None
        named = self.config.run.accuracy
        digests = [digest_of(path) for path in files_of(named)]
        return AccuracySource(named, made.unit, made.stands_in, " ".join(digests))

    def optimizer(self) -> Optimizer[Any]:
        """Return the optimizer at its start; SpecError where a setting does not fit the space."""
        chosen = self.config.plugins["optimizer"]
        if self.space.networks is not None and not chosen.factory.takes_networks:
            able = [n for n, one in plugins("optimizer").items() if one.factory.takes_networks]
            raise SpecError(
                f"optimizer={chosen.name} searches no networks, and workload = "
                f"{self.space.networks.name} is a space of them; expected "
                f"optimizer={' '.join(sorted(able))}, or all variables fixed (network.NAME=VALUE)"
            )
        made: Optimizer[Any] = chosen.factory(
            self.space,
            self.config.settings["optimizer"],
            optimizer_rng(self.config.run.seed),
            self.samples,
        )
        _check_accuracy(self.space, made.objectives)
        made.of_timeloop = self.evaluator.equals_timeloop
        made.own_mapper = self.config.has_own_mapper
        if made.proves:
            self.evaluator.require_timeloop(f"optimizer={chosen.name}")
        if self.space.padding.on and not made.pads:
            others = [name for name, one in plugins("optimizer").items() if one.factory.pads]
            raise SpecError(
                f"mapspace.padding = {self.space.padding.text}: optimizer={chosen.name} finds "
                "mappings by itself, of the layers' own sizes; expected off, or an optimizer that "
                f"pads ({', '.join(sorted(others))})"
            )
        return made

    def recording(self, folder: Path) -> Setup:
        """Return a set-up whose evaluator leaves rows in a folder, if the settings say so.

        Raises:
            SpecError: there are rows that are not as they were written.
        """
        if not self.config.run.record:
            return self
        name = self.config.plugins["evaluator"].name
        if self.evaluator.is_quick and self.engine.spreads:
            raise SpecError(
                f"record = true: evaluator={name} is asked by the workers of "
                f"parallel={self.config.plugins['parallel'].name}, which leave no rows here; "
                "expected parallel=threads"
            )
        evaluator = RecordingEvaluator(self.evaluator, folder, name)
        mapper = _mapper(self.config, self.space, evaluator, self.engine)
        return replace(self, evaluator=evaluator, mapper=mapper)

    def study(self, optimizer: Optimizer[Any], folder: Path) -> Study:
        """Return the study of an optimizer in a folder, where its last checkpoint left it."""
        return Study(
            self.space,
            optimizer,
            self.mapper,
            self.evaluator,
            self.space.objective,
            samples=self.samples,
            seed=self.config.run.seed,
            folder=folder,
            inputs=inputs_of_run(
                folder,
                self.config.as_dict(),
                (*self.space.chain.files, *self.config.contents),
            ),
            n_jobs=_WAITING if self.engine.spreads else _threads(self.config),
            limits=self.space.limits,
        )

    def new_folder(self, label: str) -> Path:
        """Make the folder of the results, as the settings say; SpecError where it cannot be."""
        run = self.config.run
        wanted = Path(run.folder) if run.folder else None
        return run_folder.create(wanted, Path(run.runs), f"{label}_s{run.seed}")


class _Closable(Protocol):
    def close(self) -> None: ...


@contextmanager
def closed_on_failure(made: _Closable) -> Iterator[None]:
    """Close an evaluator, or a whole set-up, that does not come to be used."""
    try:
        yield
    except BaseException:
        made.close()
        raise


def set_up(
    config: ResolvedConfig,
    template: ArchTemplate,
    workload: Workload | NetworkSpace,
    default_samples: int,
) -> Setup:
    """Check settings against a template and a workload, and build what they name.

    Raises:
        SpecError: a setting is wrong, or does not fit the template or the workload.
        dse.errors.ToolError: the evaluator needs a tool that is missing.
    """
    samples = default_samples if config.run.samples is None else config.run.samples
    if samples < 1:
        raise SpecError(f"samples = {samples}, expected at least 1")
    if not 0 <= config.run.seed < 2**63:
        raise SpecError(f"seed = {config.run.seed}, expected 0 to 2^63 - 1")
    energy = config.run.energy or template.energy
    config = replace(config, run=replace(config.run, energy=energy, samples=samples))
    if isinstance(workload, NetworkSpace) and workload.free and config.run.accuracy is None:
        config = replace(config, run=replace(config.run, accuracy=DEFAULT))
    space = space_of(config, template, workload)
    _check_clock(space.objective, space.limits, space)
    _check_accuracy(space, (space.objective,))
    if template.is_sparse:
        config = for_sparse(config, template)
    evaluator = _evaluator(config)
    with closed_on_failure(evaluator):
        engine: Engine[Any] = config.plugins["parallel"].factory(
            config.settings["parallel"], _threads(config)
        )
        evaluator = _spread(config, evaluator, engine)
        mapper = _mapper(config, space, evaluator, engine)
    return Setup(config, space, evaluator, mapper, engine, samples)


def _spread(
    config: ResolvedConfig, evaluator: Evaluator[Any], engine: Engine[Any]
) -> Evaluator[Any]:
    """Return the evaluator, asked through the engine where it is slow and there is a reason to."""
    if evaluator.is_quick or not (engine.spreads or config.run.store):
        return evaluator
    store = AnswerStore(Path(config.run.store)) if config.run.store else None
    return SpreadEvaluator(evaluator, config.plugins["evaluator"].name, engine, store)


def _mapper(
    config: ResolvedConfig, space: SearchSpace, evaluator: Evaluator[Any], engine: Engine[Any]
) -> Mapper[Any]:
    """Return the mapper; where the evaluator is quick, mapping layers is what the engine does."""
    name = config.plugins["mapper"].name
    made: Mapper[Any] = config.plugins["mapper"].factory(
        evaluator, space.template.constraints, space.objective, config.settings["mapper"]
    )
    if not (evaluator.is_quick and engine.spreads):
        return made
    return SpreadMapper(made, name, config.plugins["evaluator"].name, engine)


def space_of(
    config: ResolvedConfig, template: ArchTemplate, workload: Workload | NetworkSpace
) -> SearchSpace:
    """Return what is searched: a template, a workload, and what the settings say of both.

    A space of networks of which all variables are fixed is the network that is left.

    Raises:
        SpecError: a setting does not fit them.
    """
    if levels_asked(config.run.mapspace.uneven) != ():
        raise SpecError(
            f"mapspace.uneven = {config.run.mapspace.uneven}: uneven mappings are searched of one "
            "layer on fixed hardware alone, with 'python -m dse map'; expected false"
        )
    named = config.run.objective
    goal = python_objective(named) if is_code(named) else objective(named)
    if isinstance(workload, NetworkSpace) and not workload.free:
        workload = workload.default
    accuracy = None
    if isinstance(workload, NetworkSpace):
        accuracy = predictor(config.run.accuracy or DEFAULT, workload)
    elif config.run.accuracy is not None:
        raise SpecError(
            f"accuracy = {config.run.accuracy}: workload '{workload.name}' is one network; "
            "expected null, or a space of networks"
        )
    elif workload.networks and goal.expression is not None:
        raise SpecError(
            f"objective = {goal.name}: the mean over several networks is geometric, which needs a "
            "named objective"
        )
    if config.run.mapspace.onchip is not None:
        template = held_on_chip(template, config.run.mapspace.onchip)
    if config.run.mapspace.free:
        template = freed(template)
    return SearchSpace(
        template,
        workload,
        energy_chain(config.run.energy or template.energy),
        config.run.variables,
        goal,
        timeloop_version=config.run.timeloop_version,
        limits=limits(config.run.constraints),
        padding=Padding.parse(config.run.mapspace.padding or "off"),
        accuracy=accuracy,
    )


def _check_accuracy(space: SearchSpace, goals: Sequence[Objective]) -> None:
    """Refuse what asks for an accuracy where networks are no variable."""
    wants = [f"objective {goal.name}" for goal in goals if goal is ERROR]
    wants += [f"constraint {limit.source}" for limit in space.limits if ACCURACY in limit.names]
    if wants and space.networks is None:
        raise SpecError(
            f"{wants[0]}: workload '{space.workload.name}' is one network; expected a space of "
            "networks, such as ofa_resnet50"
        )


def _check_clock(goal: Objective, bounds: Sequence[Limit], space: SearchSpace) -> None:
    """Refuse timed metrics where the template has no clock."""
    named = goal.metrics.union(*(limit.names for limit in bounds))
    if named & TIMED and not space.template.has_clock:
        raise SpecError(
            f"metric {min(named & TIMED)} needs a clock: template '{space.template.name}' has no "
            "'technology: {clock_ns: ..}'"
        )


def _evaluator(config: ResolvedConfig) -> Evaluator[Any]:
    made: Evaluator[Any] = config.plugins["evaluator"].factory(
        timeloop_version=config.run.timeloop_version,
        n_jobs=_threads(config),
        settings=config.settings["evaluator"],
    )
    return made


def _threads(config: ResolvedConfig) -> int:
    return config.run.n_jobs or os.cpu_count() or 1
