"""One run from settings to result: what the command line and ``dse.run`` both call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dse.components.chain import energy_chain
from dse.errors import DseError, NothingFeasible, SpecError, unknown_name
from dse.evaluators.base import Evaluator
from dse.goals.limits import Limit, limits
from dse.goals.metric_names import TIMED
from dse.goals.objective import Objective, objective
from dse.runner.config import ResolvedConfig, resolve
from dse.settings import NoSettings
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate
from dse.space.workload import read_workload
from dse.study import folder as run_folder
from dse.study.result import RunResult, header
from dse.study.study import Progress, Study, optimizer_rng

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Run:
    """A run that is set up, in its folder, ready to go on."""

    config: ResolvedConfig
    space: SearchSpace
    study: Study
    objective: Objective
    folder: Path

    def execute(self, report: Report | None = None) -> RunResult:
        """Search to the end of the budget, write the result and the best design's files.

        Raises:
            NothingFeasible: no valid design was found; the result file says so too.
            DseError: the run folder cannot be written; the run can be resumed.
        """
        from dse.timeloop.write.inputs import write_design  # noqa: PLC0415 - only needed here

        state = self.study.run(report)
        settings = self.config.as_dict()
        counts = (state.samples, state.asked, state.feasible)
        if state.best is None or state.best_metrics is None:
            run_folder.write_result(self.folder, header(settings, "infeasible", *counts))
            last = f"; the last reason: {state.last_reason}" if state.last_reason else ""
            raise NothingFeasible(
                f"none of {state.asked} designs is valid{last} (journal: {self.folder})"
            )
        result = RunResult(
            design=state.best,
            metrics=state.best_metrics,
            architecture=self.space.architecture(state.best.values),
            workload=self.space.workload,
            labels={
                name: self.space.template.variable(name).label(value)
                for name, value in state.best.values.items()
            },
            variables=self.space.template.variables,
            objective=self.objective.name,
            value=state.best_value,
            unit=self.objective.unit,
            settings=settings,
            samples=state.samples,
            designs=state.asked,
            feasible=state.feasible,
            folder=self.folder,
            front_objectives=state.optimizer.objectives,
            front=tuple(state.front.ordered()),
            own_design=self.study.own_design(),
            certificate=state.optimizer.certificate,
        )
        mapped = list(zip(self.space.workload, state.best.mappings or (), strict=True))
        try:
            write_design(self.folder / run_folder.BEST, result.architecture, mapped)
            if result.front:
                self._write_front(result)
        except OSError as error:
            reason = f"cannot be written ({error.strerror or error})"
            raise DseError(f"folder {self.folder}: {reason}; resume= goes on") from error
        run_folder.write_result(self.folder, result.as_dict())
        return result

    def _write_front(self, result: RunResult) -> None:
        """Write the files of every design on the front, and the plot."""
        from dse.runner.front_plot import plot_front  # noqa: PLC0415 - needs matplotlib
        from dse.timeloop.write.inputs import write_design  # noqa: PLC0415

        for number, member in enumerate(result.front):
            architecture = self.space.architecture(member.design.values)
            mapped = zip(self.space.workload, member.design.mappings or (), strict=True)
            write_design(result.front_folder(number), architecture, mapped)
        plot_front(result, self.folder / "front.png")


def start(given: Mapping[str, Any]) -> Run:
    """Set up a new run with these settings, and its folder.

    Raises:
        SpecError: a setting, the template or the workload is wrong; then no folder is made.
    """
    config = resolve(given)
    arch_file = catalog.find("arch", config.run.arch)
    workload_file = catalog.find_workload(config.run.workload)
    template = ArchTemplate.read(arch_file)
    config = replace(
        config,
        run=replace(
            config.run,
            energy=config.run.energy or template.energy,
            samples=_budget(config),
        ),
    )
    space = _space(config, template, workload_file)
    parts = _parts(config, space)
    label = f"{config.plugins['optimizer'].name}_{space.workload.name}_s{config.run.seed}"
    wanted = Path(config.run.folder) if config.run.folder else None
    folder = run_folder.create(wanted, Path(config.run.runs), label)
    run_folder.write_inputs(folder, config.as_dict(), arch_file, workload_file)
    return _run(config, space, parts, folder)


def space_of_run(folder: Path) -> SearchSpace:
    """Return the space that a run folder's files describe.

    Raises:
        SpecError: it is not a run folder, or its files are broken.
    """
    config = resolve(run_folder.read_settings(folder))
    template = ArchTemplate.read(folder / run_folder.TEMPLATE)
    return _space(config, template, folder / run_folder.WORKLOAD)


def _budget(config: ResolvedConfig) -> int:
    """Return the budget that the user set, else the optimizer's own."""
    given = config.run.samples
    own: int = getattr(config.plugins["optimizer"].factory, "default_samples", 1000)
    return own if given is None else given


def resume(folder: Path, n_jobs: int | None = None) -> Run:
    """Take up a run folder where its last checkpoint left it; a finished run stays finished.

    Args:
        folder: the run folder.
        n_jobs: threads to use instead of those set; results do not depend on it.

    Raises:
        SpecError: it is not a run folder, or its files are broken.
    """
    config = resolve(run_folder.read_settings(folder))
    if n_jobs is not None:
        config = replace(config, run=replace(config.run, n_jobs=n_jobs))
    template = ArchTemplate.read(folder / run_folder.TEMPLATE)
    space = _space(config, template, folder / run_folder.WORKLOAD)
    return _run(config, space, _parts(config, space), folder)


def _space(config: ResolvedConfig, template: ArchTemplate, workload_file: Any) -> SearchSpace:  # noqa: ANN401
    chain = energy_chain(config.run.energy or template.energy)
    workload = read_workload(workload_file, config.run.parameters)
    goal = objective(config.run.objective)
    if workload.networks and goal.expression is not None:
        raise SpecError(
            f"objective = {goal.name}: the mean over several networks is geometric, which needs a "
            "named objective"
        )
    return SearchSpace(
        template,
        workload,
        chain,
        config.run.variables,
        goal,
        timeloop_version=config.run.timeloop_version,
        limits=limits(config.run.constraints),
    )


def _parts(config: ResolvedConfig, space: SearchSpace) -> dict[str, Any]:
    """Build what the study drives; every setting is checked here, before a folder is made."""
    goal = space.objective
    bounds = space.limits
    _check_clock(goal, bounds, space)
    evaluator = make_evaluator(config)
    optimizer, mapper = config.plugins["optimizer"], config.plugins["mapper"]
    if _budget(config) < 1:
        raise SpecError(f"samples = {_budget(config)}, expected at least 1")
    if not 0 <= config.run.seed < 2**63:
        raise SpecError(f"seed = {config.run.seed}, expected 0 to 2^63 - 1")
    return {
        "optimizer": optimizer.factory(
            space,
            config.settings["optimizer"],
            optimizer_rng(config.run.seed),
            _budget(config),
        ),
        "mapper": mapper.factory(
            evaluator, space.template.constraints, goal, config.settings["mapper"]
        ),
        "evaluator": evaluator,
        "objective": goal,
        "limits": bounds,
    }


def _check_clock(goal: Objective, bounds: Sequence[Limit], space: SearchSpace) -> None:
    """Refuse timed metrics where the template has no clock."""
    named = goal.metrics.union(*(limit.names for limit in bounds))
    if named & TIMED and not space.template.has_clock:
        raise SpecError(
            f"metric {min(named & TIMED)} needs a clock: template '{space.template.name}' has no "
            "'technology: {clock_ns: ..}'"
        )


def make_evaluator(config: ResolvedConfig) -> Evaluator:
    """Return the evaluator that the settings ask for; raises SpecError where they are wrong."""
    from dse.model import TIMELOOP_VERSIONS  # noqa: PLC0415

    if config.run.timeloop_version not in TIMELOOP_VERSIONS:
        raise SpecError(
            unknown_name("timeloop_version", config.run.timeloop_version, TIMELOOP_VERSIONS)
        )
    if config.run.n_jobs < 0:
        raise SpecError(f"n_jobs = {config.run.n_jobs}, expected 0 (all cores) or more")
    own = config.settings["evaluator"]
    extra = {} if isinstance(own, NoSettings) else {"settings": own}
    made: Evaluator = config.plugins["evaluator"].factory(
        timeloop_version=config.run.timeloop_version,
        n_jobs=_threads(config),
        **extra,
    )
    return made


def _threads(config: ResolvedConfig) -> int:
    return config.run.n_jobs or os.cpu_count() or 1


def _run(config: ResolvedConfig, space: SearchSpace, parts: dict[str, Any], folder: Path) -> Run:
    study = Study(
        space,
        **parts,
        samples=_budget(config),
        seed=config.run.seed,
        folder=folder,
        n_jobs=_threads(config),
    )
    return Run(config, space, study, parts["objective"], folder)
