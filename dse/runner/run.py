"""One run from settings to result: what the command line and ``dse.run`` both call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse.components.chain import energy_chain
from dse.cosearch.certificate import INFEASIBLE
from dse.domain.problem import Workload
from dse.errors import DseError, NothingFeasible
from dse.runner import trust as signatures
from dse.runner.config import ResolvedConfig, resolve
from dse.runner.files import read_inputs
from dse.runner.front_plot import plot_front
from dse.runner.setup import Setup, closed_on_failure, set_up, space_of
from dse.space.network_space import NetworkSpace, read_networks
from dse.space.network_spec import PREFIX
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate
from dse.space.variable import Values
from dse.state.entries import CheckedEntries
from dse.study import folder as run_folder
from dse.study.checkpoint import StudyState
from dse.study.inputs import Inputs, inputs_of_run
from dse.study.optimizer import Optimizer
from dse.study.result import RunResult, header
from dse.study.study import Progress, Study
from dse.study.times import TIMES, Times
from dse.timeloop.write.inputs import write_design

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Run:
    """A run that is set up, in its folder, ready to go on."""

    setup: Setup
    study: Study
    folder: Path

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        return self.setup.space

    def execute(
        self, report: OnProgress | None = None, tick: OnProgress | None = None
    ) -> RunResult:
        """Search to the end of the budget, write the result and the best design's files.

        However the search ends, so does what the evaluator runs beside this process. ``report`` is
        called after every batch, ``tick`` within one.

        Raises:
            NothingFeasible: no valid design was found; the result file says so too.
            DseError: the run folder cannot be written; the run can be resumed.
        """
        with closing(self.setup), Times(self.folder / TIMES, self.study.state.samples) as times:

            def note(now: Progress) -> None:
                times.note(now)
                if report is not None:
                    report(now)

            return self._finished(self.study.run(note, tick))

    def _finished(self, state: StudyState) -> RunResult:
        """Write what is found, and return it."""
        settings = self.setup.config.as_dict()
        counts = (state.samples, state.asked, state.feasible)
        if state.best is None or state.best_metrics is None:
            told = header(settings, "infeasible", *counts)
            told["objective"] = self.space.objective.name
            proof = state.optimizer.certificate
            if proof is not None:
                told["certificate"] = proof
            run_folder.write_result(self.folder, told)
            last = f"; the last reason: {state.last_reason}" if state.last_reason else ""
            if proof is not None and proof["status"] == INFEASIBLE:
                raise NothingFeasible(
                    f"it is proven that no design of this mapspace is valid{last} (journal: "
                    f"{self.folder})"
                )
            raise NothingFeasible(
                f"none of {state.asked} designs is valid{last} (journal: {self.folder})"
            )
        result = RunResult(
            design=state.best,
            metrics=state.best_metrics,
            architecture=self.space.architecture(state.best.values),
            space=self.space.at_network(state.best.values),
            workload=self.space.workload_of(state.best.values),
            labels={v.name: v.label(state.best.values[v.name]) for v in self.space.variables},
            variables=self.space.variables,
            objective=self.space.objective.name,
            value=state.best_value,
            unit=self.space.objective.unit,
            settings=settings,
            samples=state.samples,
            designs=state.asked,
            feasible=state.feasible,
            folder=self.folder,
            front_objectives=state.optimizer.objectives,
            front_members=tuple(state.front.ordered()),
            own_design=self.study.own_design(),
            default_network=self.study.default_network(),
            accuracy=self.setup.accuracy,
            certificate=state.optimizer.certificate,
            unpadded=self.study.unpadded(),
            model_samples=state.optimizer.model_samples,
            note=state.optimizer.note,
        )
        mapped = list(zip(result.workload, state.best.mappings or (), strict=True))
        try:
            best = run_folder.subfolder(self.folder, run_folder.BEST)
            write_design(best, result.architecture, mapped)
            if result.front_members:
                self._write_front(result)
        except OSError as error:
            reason = f"cannot be written ({error.strerror or error})"
            raise DseError(f"folder {self.folder}: {reason}; resume= goes on") from error
        run_folder.write_result(self.folder, result.as_dict())
        return result

    def _write_front(self, result: RunResult) -> None:
        """Write the files of every design on the front, and the plot."""
        for number, member in enumerate(result.front_members):
            architecture = self.space.architecture(member.design.values)
            workload = self.space.workload_of(member.design.values)
            mapped = zip(workload, member.design.mappings or (), strict=True)
            place = result.front_folder(number).relative_to(self.folder)
            write_design(run_folder.subfolder(self.folder, *place.parts), architecture, mapped)
        plot_front(result, self.folder / "front.png")


#: What looks on while a run goes: entered with the run, it gives what is told after every batch,
#: and within them where it has a method `tick`.
Watch = Callable[[Run], AbstractContextManager[OnProgress | None]]


@contextmanager
def unwatched(_: Run) -> Iterator[None]:
    """Look on at nothing."""
    yield None


def search(given: Mapping[str, Any], watch: Watch = unwatched) -> RunResult:
    """Run a new search from its settings to its result.

    Raises:
        SpecError: as :func:`start`.
        DseError: as :meth:`Run.execute`.
    """
    return _watched(start(given), watch)


def go_on(
    folder: Path,
    local: Mapping[str, Any] | None = None,
    watch: Watch = unwatched,
    *,
    trust: bool = False,
) -> RunResult:
    """Take a run up from its folder and bring it to its result.

    Raises:
        SpecError: as :func:`resume`.
        DseError: as :meth:`Run.execute`.
    """
    return _watched(resume(folder, local, trust=trust), watch)


def start(given: Mapping[str, Any]) -> Run:
    """Set up a new run with these settings, and its folder.

    Raises:
        SpecError: a setting, the template or the workload is wrong; then no folder is made.
    """
    inputs = read_inputs(resolve(given))
    config = inputs.config
    setup = set_up(config, inputs.template, inputs.workload, _budget(config, inputs.workload))
    with closed_on_failure(setup):
        optimizer = setup.optimizer()
        folder = setup.new_folder(f"{config.plugins['optimizer'].name}_{inputs.workload.name}")
        run_folder.write_inputs(
            folder, setup.config.as_dict(), inputs.template_file, inputs.workload_file
        )
        signatures.sign(folder, setup.config)
        setup = setup.recording(folder)
        return Run(setup, setup.study(optimizer, folder), folder)


def resume(folder: Path, local: Mapping[str, Any] | None = None, *, trust: bool = False) -> Run:
    """Take up a run folder where its last checkpoint left it; a finished run stays finished.

    Args:
        folder: the run folder.
        local: settings on which no result depends (`n_jobs`, `parallel`, `store`), in place of
            those of the folder.
        trust: run the programs that its settings name, wherever it comes from.

    Raises:
        SpecError: it is not a run folder, its files are broken, or its settings name a program to
            run, and it was not started here.
    """
    config = resolve(run_folder.read_settings(folder))
    if not trust:
        signatures.check(folder, config)
    if local:
        config = resolve({**config.as_dict(), **local})
    template = ArchTemplate.read(folder / run_folder.TEMPLATE)
    workload = _read_workload(folder, config)
    setup = set_up(config, template, workload, _budget(config, workload))
    with closed_on_failure(setup):
        optimizer = setup.optimizer()
        setup = setup.recording(folder)
        return Run(setup, setup.study(optimizer, folder), folder)


def _read_workload(folder: Path, config: ResolvedConfig) -> Workload | NetworkSpace:
    run = config.run
    return read_networks(folder / run_folder.WORKLOAD, run.parameters, run.network)


def _budget(config: ResolvedConfig, workload: Workload | NetworkSpace) -> int:
    """Return the samples that a run has unless it is told."""
    chosen: type[Optimizer[Any]] = config.plugins["optimizer"].factory
    networks = isinstance(workload, NetworkSpace) and bool(workload.free)
    return chosen.budget(config.settings["optimizer"], networks=networks)


def space_of_run(folder: Path) -> SearchSpace:
    """Return the space that a run folder's files describe.

    Of a run that searched networks, it is that of the hardware for the best network.

    Raises:
        SpecError: it is not a run folder, its files are broken, or its objective is code, and it
            was not started here.
    """
    config = resolve(run_folder.read_settings(folder))
    signatures.check(folder, config, only_code=True)
    template = ArchTemplate.read(folder / run_folder.TEMPLATE)
    workload = _read_workload(folder, config)
    space = space_of(config, template, workload)
    return space if space.networks is None else space.at_network(_best_network(folder, space))


def _best_network(folder: Path, space: SearchSpace) -> Values:
    """Return the values of the best design's network; SpecError where the run has none."""
    with CheckedEntries(run_folder.read_result(folder), str(folder / run_folder.RESULT)) as entries:
        for name in [name for name in entries if name != "best"]:
            entries.take(name)
        with entries.part("best") as best:
            values = {k: v for k, v in best.integers("values").items() if k.startswith(PREFIX)}
            for name in list(best):
                best.take(name)
    return space.networks.check(values) if space.networks else {}


def inputs_of_folder(folder: Path) -> Inputs:
    """Return what a run folder says now that its run is of.

    Raises:
        SpecError: it is not a run folder, or its files are broken.
    """
    config = resolve(run_folder.read_settings(folder))
    energy = config.run.energy or ArchTemplate.read(folder / run_folder.TEMPLATE).energy
    files = (*energy_chain(energy).files, *config.contents)
    return inputs_of_run(folder, config.as_dict(), files)


def _watched(run: Run, watch: Watch) -> RunResult:
    with closed_on_failure(run.setup), watch(run) as report:
        return run.execute(report, getattr(report, "tick", None))
