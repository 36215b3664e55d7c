"""``python -m dse run``: the flags around a run, its progress and its result."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dse.cli.signals import Terminated
from dse.errors import DseError, SpecError

if TYPE_CHECKING:
    from dse.certify.known import Known
    from dse.runner.run import OnProgress, Run
    from dse.study.result import RunResult

_USAGE = """\
usage: python -m dse run [SETTING=VALUE ...] [-m] [--json] [--quiet]
       python -m dse run resume=FOLDER [n_jobs=N] [--trust]

Searches hardware and mappings for a workload. Settings follow Hydra's grammar:
'optimizer=NAME' chooses, 'optimizer.SETTING=VALUE' sets; with -m, values split
by commas give one run each, and 'hydra/launcher=...' runs them in parallel.

  --json         print the result as one line of JSON
  -q, --quiet    no progress
  --trust        with resume=: run the programs that the settings of a run from
                 elsewhere name (evaluator.binary and the like)
  -m, --multirun sweep over comma-separated values
  -h, --help     this text; with optimizer=NAME, the settings of that optimizer
"""


def main(argv: Sequence[str]) -> int:
    """Run a search, a sweep of searches, or resume one; return the exit code."""
    arguments = list(argv)
    if {"-h", "--help"} & set(arguments):
        from dse.cli.settings_help import settings_help  # noqa: PLC0415

        sys.stdout.write(_USAGE + settings_help(arguments))
        return 0
    as_json = _take_flag(arguments, "--json")
    quiet = _take_flag(arguments, "--quiet", "-q")
    folder = [a for a in arguments if a.startswith("resume=")]
    if folder:
        trust = _take_flag(arguments, "--trust")
        return _resume(
            folder[-1].removeprefix("resume="), arguments, trust, _Screen(as_json, quiet)
        )

    from dse.cli.hydra_front import run_with_hydra  # noqa: PLC0415

    codes: list[int] = []
    run_with_hydra(arguments, lambda settings: codes.append(_run(settings, as_json, quiet)))
    return max(codes, default=0)


def _run(settings: dict[str, object], as_json: bool, quiet: bool) -> int:
    """Run one job of a sweep; its error is its own, so that the other jobs still run."""
    from dse.runner.run import search  # noqa: PLC0415 - after the settings were read

    screen = _Screen(as_json, quiet)
    try:
        screen.show(search(settings, screen.watch))
    except DseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or 'output'}: {error.strerror or error}\n")
        return 1
    return 0


def _resume(folder: str, arguments: list[str], trust: bool, screen: _Screen) -> int:
    from dse.runner.run import go_on  # noqa: PLC0415 - after the arguments were read

    n_jobs = None
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "n_jobs" and value.isdecimal():
            n_jobs = int(value)
        elif key != "resume":
            raise SpecError(
                f"'{argument}': a resumed run keeps its settings; only n_jobs=N may be given"
            )
    screen.show(go_on(Path(folder), n_jobs, screen.watch, trust=trust))
    return 0


class _Screen:
    """What a person sees of a run: its progress on stderr, its result on stdout."""

    def __init__(self, as_json: bool, quiet: bool) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._known: Known | None = None

    @contextmanager
    def watch(self, run: Run) -> Iterator[OnProgress | None]:
        """Show the progress of a run, and how to go on with it where it is interrupted."""
        from dse.certify.known import find  # noqa: PLC0415
        from dse.cli.progress import progress  # noqa: PLC0415

        try:
            if run.setup.evaluator.equals_timeloop:
                self._known = find(run.space)
        except SpecError as error:  # a search does not depend on what is known of its end
            sys.stderr.write(f"warning: {error}; goes on without known optima\n")
        try:
            with progress(run.space.objective, self._quiet, self._known) as report:
                yield report
        except (KeyboardInterrupt, Terminated):
            sys.stderr.write(f"python -m dse run resume={run.folder} goes on\n")
            raise  # the other jobs of a sweep are off, too

    def show(self, result: RunResult) -> None:
        """Print the result.

        Raises:
            ProofError: it is better than the optimum that is known.
        """
        from dse.report.page import report_of  # noqa: PLC0415 - jinja2

        out = sys.stdout
        if self._as_json:
            page = report_of(result)
            told = {**result.as_dict(), "folder": str(result.folder)}
            told |= {"report": str(page)} if page else {}
            out.write(json.dumps(told) + "\n")
        else:
            from dse.report.table import result_text  # noqa: PLC0415 - rich

            plain = "utf" not in (out.encoding or "").lower()
            out.write(result_text(result, color=out.isatty(), ascii_only=plain, known=self._known))
            page = report_of(result)
            if page:
                out.write(f"report    {page}\n")
        # optima are the native model's
        if self._known is not None and result.settings["evaluator"]["name"] == "native":
            self._known.check(result.value, str(result.folder))


def _take_flag(arguments: list[str], *names: str) -> bool:
    found = False
    while any(name in arguments for name in names):
        arguments.remove(next(name for name in names if name in arguments))
        found = True
    return found
