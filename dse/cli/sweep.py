"""``python -m dse run -m``: runs in turn, side by side or by a launcher, and a table at the end."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from dse.cli.abreast import RunTask, Side, finish, side_by_side
from dse.cli.hydra_front import launch, names_launcher
from dse.cli.plain_settings import composed_jobs
from dse.cli.progress import value_text
from dse.cli.screen import Screen
from dse.cli.signals import Terminated
from dse.errors import DseError, NothingFeasible
from dse.report.comparable import contradictions, warnings
from dse.report.compare import compare
from dse.report.compare_text import comparison_text
from dse.report.finished import FinishedRun, read_result
from dse.report.page import REPORT, report_of
from dse.runner.run import go_on
from dse.runner.sweep import Answers, Failure, Settings, Sweep, in_turn, prepare, read_sweep
from dse.study.folder import RESULT, read_settings
from dse.study.folder import read_result as read_content


class SweepRun:
    """What is told of a sweep while it goes, and how it ended.

    Args:
        as_json: one line of JSON for each run in place of a table.
        quiet: no progress.
        local: settings of `dse.runner.run.resume` in place of those of each run.
        trust: run the programs that the settings of runs from elsewhere name.
    """

    def __init__(
        self,
        as_json: bool,
        quiet: bool,
        local: Mapping[str, Any] | None = None,
        trust: bool = False,
    ) -> None:
        self._as_json, self._quiet = as_json, quiet
        self._local, self._trust = dict(local or {}), trust
        self._codes = [0]
        self._read: dict[Path, FinishedRun] = {}

    def begin(self, arguments: Sequence[str]) -> int:
        """Run the sweep of these words; return the exit code."""
        jobs, swept = composed_jobs(arguments)
        if names_launcher(arguments):
            sweep = self._prepared(jobs, swept)
            self._launch(arguments, sweep)
            return self._ended(sweep)
        side = side_by_side(jobs)
        if side is None:
            sweep = self._prepared(jobs, swept)
            self._each(sweep)
        else:
            with closing(side.engine):
                sweep = self._prepared(jobs, swept, side.engine.answers)
                self._abreast(sweep, side)
        return self._ended(sweep)

    def _prepared(
        self, jobs: Sequence[Settings], swept: Sequence[str], answers: Answers[Any, Any] = in_turn
    ) -> Sweep:
        sweep = prepare(jobs, swept, self._failed, answers)
        self._note(f"{len(sweep.runs)} runs in {sweep.folder}")
        return sweep

    def _launch(self, arguments: Sequence[str], sweep: Sweep) -> None:
        """Run them where the launcher that is named wants it."""
        # a launcher numbers its jobs as the names of the folders do
        numbered = {int(run.name.partition("_")[0]): run for run in sweep.runs}
        launch(arguments, partial(_launched_run, numbered), sweep.folder)
        for run in sweep.runs:
            self._codes.append(_code(run))
            self._tell_json(run)

    def resume(self, folder: Path) -> int:
        """Go on with what is left of a sweep; return the exit code."""
        sweep = read_sweep(folder)
        left = sweep.left
        self._note(f"{len(left)} of {len(sweep.runs)} runs of {folder} are left")
        side = side_by_side([{**read_settings(run), **self._local} for run in left])
        if side is None:
            self._each(sweep)
        else:
            with closing(side.engine):
                self._abreast(sweep, side)
        return self._ended(sweep)

    def _abreast(self, sweep: Sweep, side: Side) -> None:
        """Bring those that are left to their ends, several at a time."""
        left = sweep.left
        tasks = [RunTask(str(run), self._local, self._trust, side.threads) for run in left]
        ended = len(sweep.runs) - len(left)
        try:
            for at, outcome in side.engine.answers(finish, tasks):
                ended += 1
                if isinstance(outcome, Failure):
                    self._failed(left[at].name, *outcome)
                else:
                    found = self._read[left[at]] = outcome.run
                    value = math.nan if found.value is None else found.value
                    best = value_text(found.objective, found.unit, value)
                    name = f"{ended}/{len(sweep.runs)}: {left[at].name}"
                    self._note(f"run {name}: {best}, {outcome.seconds:.1f} s")
        except (KeyboardInterrupt, Terminated):
            sys.stderr.write(f"python -m dse run resume={sweep.folder} goes on\n")
            raise
        for run in sweep.runs:
            if run not in left:
                self._codes.append(_code(run))
            self._tell_json(run)

    def _each(self, sweep: Sweep) -> None:
        left = set(sweep.left)
        for number, run in enumerate(sweep.runs, 1):
            if run in left:
                self._one(sweep, run, f"{number}/{len(sweep.runs)}")
            else:
                self._codes.append(_code(run))
            self._tell_json(run)

    def _one(self, sweep: Sweep, run: Path, number: str) -> None:
        """Run one of them; its error is its own, so that the others still run."""
        self._note(f"run {number}: {run.name}")
        began = time.monotonic()
        screen = Screen(self._as_json, self._quiet, sweep.folder)
        try:
            result = go_on(run, self._local, screen.watch, trust=self._trust)
        except DseError as error:
            self._failed(run.name, error.exit_code, str(error))
            return
        report_of(result)
        took = time.monotonic() - began
        best = value_text(result.objective, result.unit, result.value)
        self._note(f"run {number}: {best}, {took:.1f} s")

    def _failed(self, name: str, code: int, text: str) -> None:
        self._codes.append(code)
        sys.stderr.write(f"error: {name}: {text}\n")

    def _note(self, line: str) -> None:
        if not self._quiet:
            sys.stderr.write(line + "\n")

    def _tell_json(self, run: Path) -> None:
        if self._as_json and (run / RESULT).is_file():
            told = json.loads((run / RESULT).read_bytes())
            if told["status"] == "ok":
                told["folder"] = str(run)
                if (run / REPORT).is_file():
                    told["report"] = str(run / REPORT)
                sys.stdout.write(json.dumps(told) + "\n")

    def _ended(self, sweep: Sweep) -> int:
        """Print the comparison of the runs that ended; return the exit code."""
        left = set(sweep.left)
        ended = [self._read.get(run) or read_result(run) for run in sweep.runs if run not in left]
        for text in contradictions(ended):
            self._codes.append(1)
            sys.stderr.write(f"error: {text}\n")
        if ended and not self._as_json:
            tables = compare(ended)
            out = sys.stdout
            plain = "utf" not in (out.encoding or "").lower()
            out.write(comparison_text(tables, color=out.isatty(), ascii_only=plain))
            out.write(f"folder    {sweep.folder}\n")
            for text in warnings(tables):
                sys.stderr.write(f"warning: {text}\n")
        return max(self._codes)


def _launched_run(runs: Mapping[int, Path], number: int) -> None:
    """Run one of a sweep where a launcher wants it; what became of it is in its folder."""
    run = runs.get(number)
    if run is not None:  # else its settings are wrong, which has been told
        try:
            report_of(go_on(run))
        except DseError as error:
            sys.stderr.write(f"error: {run.name}: {error}\n")


def _code(run: Path) -> int:
    """Return the exit code of a run by what it left."""
    if not (run / RESULT).is_file():
        return 1
    ended_well = read_content(run).get("status") == "ok"
    return 0 if ended_well else NothingFeasible.exit_code
