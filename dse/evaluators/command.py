"""The back end of the user's own simulator: any program that answers a JSON file with another."""

from __future__ import annotations

import json
import math
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, SpecError, ToolError, unknown_name
from dse.evaluators.one_by_one import NativeFirstEvaluator, ToolSettings, ToolTotals
from dse.process.folder import own_folder, result_text
from dse.process.run import ending, run
from dse.settings import setting
from dse.timeloop.write.inputs import mapping_yaml
from dse.tools.model_run import MOST_KEPT, hardware_text, problem_text

_INPUT, _OUTPUT = "input.json", "output.json"
_PLACES = {"{input}": _INPUT, "{output}": _OUTPUT}
#: What an answer may hold: the totals, or why there are none.
_ANSWERS = (*ToolTotals._fields, "valid", "reason")
_MOST_ANSWER_BYTES = 2**20


@dataclass(frozen=True)
class CommandSettings(ToolSettings):
    """Settings of the user's own simulator."""

    command: str | None = setting(
        None,
        "the simulator with its arguments, as in 'python sim.py {input} {output}'",
        program=True,
    )


class CommandEvaluator(NativeFirstEvaluator[CommandSettings]):
    """Evaluates by a command that reads ``{input}`` and writes ``{output}``, both JSON.

    The input holds what ``timeloop-model`` is given, as JSON: ``architecture``, ``ERT``, ``ART``,
    ``problem``, ``mapping``, each as in Timeloop's files. The answer is an object with ``cycles``,
    and with ``energy_pj``, ``utilization`` and ``area_um2`` where the simulator knows them; the
    native model says what is missing. ``{"valid": false, "reason": ".."}`` rejects a mapping. What
    the native model rejects is not asked.

    Words of the command that name files are taken from the folder that ``dse`` is started in; the
    command itself runs in a folder of its own.
    """

    settings_type = CommandSettings
    tool = "the command"

    def __init__(
        self,
        timeloop_version: str = "4cf6d4c",
        n_jobs: int = 1,
        settings: CommandSettings | None = None,
    ) -> None:
        """Check the command.

        Raises:
            SpecError: there is none, it cannot be split into words, or lacks a place.
            ToolError: its program is not there.
        """
        super().__init__(timeloop_version, n_jobs, settings)
        self._command = _words(self.settings.command)
        self._failures = 0

    def elsewhere(self) -> CommandSettings:
        """See :meth:`dse.evaluators.base.Evaluator.elsewhere`."""
        return replace(super().elsewhere(), command=shlex.join(self._command))

    def programs(self) -> list[Path]:
        """See :meth:`dse.evaluators.one_by_one.OneByOneEvaluator.programs`."""
        return [Path(word) for word in self._command if Path(word).is_file()]

    def totals(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> ToolTotals:
        """See :meth:`dse.evaluators.one_by_one.OneByOneEvaluator.totals`."""
        metrics = self.native(architecture, problem, mapping)
        answer = self._answer(_question(architecture, problem, mapping))
        cycles = answer["cycles"]
        energy_pj = answer.get("energy_pj", float(metrics.energy_pj[0]))
        area_um2 = answer.get("area_um2", float(metrics.area_um2[0]))
        used = answer.get("utilization", problem.macs / (cycles * architecture.compute.instances))
        if used > 1:
            raise ToolError(
                f"cycles = {cycles:g}: {architecture.compute.instances} MACs need more for "
                f"{problem.macs} operations; expected more, or 'utilization' in the answer"
            )
        return ToolTotals(cycles, energy_pj, used, area_um2)

    def _answer(self, question: str) -> dict[str, float]:
        """Run the command, and return the numbers that it answers.

        Raises:
            InvalidMapping: it rejects the mapping.
            ToolError: it fails, or its answer is none.
        """
        with self.slots, own_folder(keep=self._failures < MOST_KEPT) as folder:
            (folder / _INPUT).write_text(question, encoding="utf-8")
            command = [_placed(word, folder) for word in self._command]
            try:
                finished = run(command, folder, self.limits)
                if finished.returncode != 0:
                    raise finished.failure(f"the command {ending(finished.returncode)}")
                try:
                    return _read(result_text(folder / _OUTPUT, _MOST_ANSWER_BYTES))
                except FileNotFoundError as error:
                    raise finished.failure("the command wrote no {output}") from error
                except ToolError as error:
                    raise finished.failure(f"the command's {{output}}: {error}") from error
            except ToolError:
                self._failures += 1
                raise


def _words(command: str | None) -> list[str]:
    """Return the words of a command, with the files that they name found."""
    expected = "expected a command such as 'python sim.py {input} {output}'"
    try:
        words = shlex.split(command or "")
    except ValueError as error:
        raise SpecError(f"evaluator.command = {command}: {error}; {expected}") from error
    if not words:
        raise SpecError(f"evaluator.command = {command}, {expected}")
    missing = [place for place in _PLACES if not any(place in word for word in words)]
    if missing:
        raise SpecError(f"evaluator.command = {command}: no {missing[0]} in it; {expected}")
    program = shutil.which(words[0])
    if program is None:
        raise ToolError(f"evaluator.command: '{words[0]}' is no executable file")
    found = [str(Path(word).resolve()) if Path(word).is_file() else word for word in words[1:]]
    return [str(Path(program).absolute()), *found]


def _placed(word: str, folder: Path) -> str:
    for place, name in _PLACES.items():
        word = word.replace(place, str(folder / name))
    return word


def _question(architecture: Architecture, problem: Problem, mapping: Mapping) -> str:
    """Return what the simulator is asked."""
    text = (
        hardware_text(architecture)
        + problem_text(problem)
        + mapping_yaml(mapping, architecture, problem)
    )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return json.dumps(yaml.load(text, loader), indent=1)  # noqa: S506 - both are safe loaders


def _read(text: str) -> dict[str, float]:
    """Return the numbers of an answer; raises as `CommandEvaluator._answer` does."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ToolError(f"is not JSON ({error})") from error
    if not isinstance(answer, dict):
        raise ToolError(f"is a {type(answer).__name__}, expected an object with 'cycles'")
    for key in answer:
        if key not in _ANSWERS:
            raise ToolError(unknown_name("key", key, _ANSWERS))
    valid = answer.pop("valid", True)
    reason = answer.pop("reason", "the simulator rejects it")
    if not isinstance(valid, bool) or not isinstance(reason, str):
        raise ToolError(f"valid = {valid}, reason = {reason}, expected true or false, and a text")
    if not valid:
        raise InvalidMapping(reason)
    if "cycles" not in answer:
        raise ToolError("lacks 'cycles'")
    return {key: _number(key, value) for key, value in answer.items()}


def _number(key: str, value: Any) -> float:  # noqa: ANN401 - whatever the simulator wrote
    least_excluded = key in ("cycles", "utilization")
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
    if not good or value < 0 or (least_excluded and value == 0):
        shown = json.dumps(value)[:80]
        expected = "more than 0" if least_excluded else "0 or more"
        raise ToolError(f"{key} = {shown}, expected a number, {expected}")
    try:
        return float(value)
    except OverflowError:
        raise ToolError(f"{key}: {len(str(value))} digits, expected a number below 1e308") from None
