"""Evaluates mappings with ``pytimeloop``: Timeloop's model loaded into worker processes.

Timeloop ends its process where it does not like its input, so none of it is loaded into ``dse``'s
own. A worker reads hardware and problem once and evaluates mapping after mapping, which a
``timeloop-model`` started for each one cannot; one that ends is replaced.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, ToolError
from dse.model.stats import LevelStats, Stats, TensorStats
from dse.process.folder import own_folder
from dse.process.limits import Limits
from dse.process.run import failure, shown_command
from dse.process.worker import Worker, WorkerEnded
from dse.timeloop.write.inputs import mapping_directives, mapping_text
from dse.tools import binaries, pytimeloop_worker
from dse.tools.model_run import (
    DEFAULT_LIMITS,
    ENVIRONMENT,
    INPUT,
    MOST_KEPT,
    hardware_text,
    problem_text,
)
from dse.tools.stats_file import parse_stats

GUIDE = "https://github.com/Accelergy-Project/timeloop-python"
#: Variable of the environment that names the Python which has pytimeloop.
VARIABLE = "DSE_PYTIMELOOP_PYTHON"
#: Answers of one worker; Timeloop keeps about 125 KB of each, so another one takes its place.
MOST_ANSWERS = 2000
_SCRIPT = str(Path(pytimeloop_worker.__file__).resolve())


def find(given: str | None = None) -> Path:
    """Return the Python that is to have pytimeloop.

    Args:
        given: a path from the user's settings; None = the environment's, or this process's own.

    Raises:
        ToolError: it is no executable file.
    """
    for source, named in (("setting", given), (VARIABLE, os.environ.get(VARIABLE))):
        if named:
            found = shutil.which(named)
            if found is None:
                raise ToolError(
                    f"pytimeloop: {source} names '{named}', which is no executable file"
                )
            # not resolved: a virtual environment's Python is a link, and is one by its place
            return Path(found).absolute()
    return Path(sys.executable)


class _LoadedWorker(Worker):
    """A worker that has pytimeloop loaded; raises ToolError where it is not to be had."""

    def __init__(self, python: Path, limits: Limits) -> None:
        command = [str(python), _SCRIPT]
        shown = shlex.join(command)
        super().__init__(command, limits, ENVIRONMENT)
        try:
            said = json.loads(self.listen())
        except WorkerEnded as ended:
            raise failure(f"pytimeloop's process {ended}", shown, ended.printed) from ended
        except ValueError as error:
            self.close()
            raise failure("pytimeloop's process answers what is not JSON", shown) from error
        except BaseException:  # nobody gets it
            self.close()
            raise
        if "ready" not in said:
            self.close()
            raise ToolError(
                f"{python} has no pytimeloop that works ({said.get('missing')}); {VARIABLE} names "
                f"another Python; how to install it: {GUIDE} (evaluator=native needs none)"
            )
        self.place: str = said["ready"]
        self.answers = 0


class PyTimeloop:
    """A pool of workers; several threads may ask it at once, each gets a worker of its own.

    Args:
        python: the Python that has pytimeloop, see `find`.
        limits: time for one mapping, memory of one worker.

    Raises:
        ToolError: pytimeloop is not there, or does not work.
    """

    def __init__(self, python: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self.python = python
        self._limits = limits
        self._idle: queue.LifoQueue[_LoadedWorker] = queue.LifoQueue()
        self._failures = 0
        first = self._new()
        #: the compiled module that was found
        self.place: str = first.place
        self._idle.put(first)

    def totals(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> tuple[float, float, float, float]:
        """Return cycles, energy (pJ), utilization and area (um^2), in full precision.

        Raises:
            SpecError: something that Timeloop's files cannot express.
            InvalidMapping: Timeloop rejects the mapping; the message is its own line.
            ToolError: it failed; the message holds the command that reproduces it.
        """
        said = self._ask(architecture, problem, mapping, details=False)
        return said["cycles"], said["energy_pj"], said["utilization"], said["area_um2"]

    def stats(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> Stats:
        """Return everything that Timeloop says; networks and leakage as it prints them.

        Raises as `totals` does.
        """
        said = self._ask(architecture, problem, mapping, details=True)
        printed = parse_stats(said["text"])
        levels = {
            name: _level(level, printed.levels[name], problem)
            for name, level in said["levels"].items()
        }
        return Stats(
            cycles=said["cycles"],
            energy_pj=said["energy_pj"],
            area_um2=said["area_um2"],
            utilization=said["utilization"],
            computes=said["computes"],
            compute_energy_pj=printed.compute_energy_pj,
            levels=levels,
            networks=printed.networks,
        )

    def close(self) -> None:
        """End the workers; the next question starts new ones."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return

    def _ask(
        self, architecture: Architecture, problem: Problem, mapping: Mapping, *, details: bool
    ) -> dict[str, Any]:
        question = {
            "hardware": hardware_text(architecture),
            "problem": problem_text(problem),
            "tensors": problem.tensors,
            "mapping": mapping_directives(mapping, architecture, problem),
            "details": details,
        }
        worker = self._free()
        try:
            answer = worker.ask(json.dumps(question))
        except WorkerEnded as ended:
            raise self._failure(question, ended.what, ended.printed) from ended
        except BaseException:
            # half a conversation: nobody may go on with it
            worker.close()
            raise
        worker.answers += 1
        if worker.answers < MOST_ANSWERS:
            self._idle.put(worker)
        else:
            worker.close()
        return self._checked(question, answer, problem.macs if mapping.is_perfect else None)

    def _checked(self, question: dict[str, Any], answer: str, macs: int | None) -> dict[str, Any]:
        """Return what is said, of so many operations where that is known."""
        try:
            said: dict[str, Any] = json.loads(answer)
            if "rejected" in said:
                raise InvalidMapping(str(said["rejected"]))
            if "error" in said:
                raise self._failure(question, f"failed: {said['error']}")
            if macs is not None and said["computes"] != macs:
                what = f"evaluated {said['computes']} operations, expected {macs}"
                raise self._failure(question, what)
        except (ValueError, KeyError, TypeError) as error:
            raise self._failure(question, f"answered what cannot be read ({error!r})") from error
        return said

    def _free(self) -> _LoadedWorker:
        """Return a worker that lives and has nothing to do."""
        while True:
            try:
                worker = self._idle.get_nowait()
            except queue.Empty:
                return self._new()
            if not worker.ended:
                return worker
            worker.close()

    def _new(self) -> _LoadedWorker:
        return _LoadedWorker(self.python, self._limits)

    def _failure(self, question: dict[str, Any], what: str, printed: str = "") -> ToolError:
        """Return the error, with the question in a folder that is kept for the first few."""
        text = question["hardware"] + question["problem"] + mapping_text(question["mapping"])
        self._failures += 1
        try:
            with own_folder(keep=self._failures <= MOST_KEPT) as folder:
                (folder / INPUT).write_text(text, encoding="utf-8")
                command = [str(self.python), _SCRIPT, INPUT]
                raise failure(
                    f"pytimeloop {what}", shown_command(command, folder, ENVIRONMENT), printed
                )
        except ToolError as error:
            return error


def version(model: PyTimeloop) -> str | None:
    """Return which of the native model's versions it computes as; None when like none of them."""
    return binaries.computes_as(model.stats)


def described(given: str | None = None) -> str:
    """Return one line about the pytimeloop that is found. Raises ToolError as `PyTimeloop` does."""
    model = PyTimeloop(find(given))
    try:
        return f"{model.place} (computes as {version(model) or 'no version that dse knows'})"
    finally:
        model.close()


def _level(said: dict[str, Any], printed: LevelStats, problem: Problem) -> LevelStats:
    tensors = {}
    for t, name in enumerate(problem.tensors):
        row = {key: said[key][t] for key in pytimeloop_worker.COUNTS}
        energy_pj = row.pop("energy")
        for whole in ("utilized_capacity", "partition_size"):
            row[whole] = int(row[whole])
        tensors[name] = TensorStats(energy_pj=energy_pj, **row)
    return LevelStats(
        cycles=said["cycles"],
        slowdown=said["slowdown"],
        area_um2=printed.area_um2,
        leak_energy_pj=printed.leak_energy_pj,
        tensors=tensors,
    )
