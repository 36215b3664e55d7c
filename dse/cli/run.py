"""``python -m dse run``: the flags around a run, its progress and its result."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dse.errors import DseError, SpecError

if TYPE_CHECKING:
    from dse.runner.run import Run

_USAGE = """\
usage: python -m dse run [SETTING=VALUE ...] [-m] [--json] [--quiet]
       python -m dse run resume=FOLDER [n_jobs=N]

Searches hardware and mappings for a workload. Settings follow Hydra's grammar:
'optimizer=NAME' chooses, 'optimizer.SETTING=VALUE' sets; with -m, values split
by commas give one run each, and 'hydra/launcher=...' runs them in parallel.

  --json         print the result as one line of JSON
  -q, --quiet    no progress
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
        return _resume(folder[-1].removeprefix("resume="), arguments, as_json, quiet)

    from dse.cli.hydra_front import run_with_hydra  # noqa: PLC0415

    codes: list[int] = []
    run_with_hydra(arguments, lambda settings: codes.append(_run(settings, as_json, quiet)))
    return max(codes, default=0)


def _run(settings: dict[str, object], as_json: bool, quiet: bool) -> int:
    """Run one job of a sweep; its error is its own, so that the other jobs still run."""
    from dse.runner.run import start  # noqa: PLC0415 - after the settings were read

    try:
        return _execute(start(settings), as_json, quiet)
    except DseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or 'output'}: {error.strerror or error}\n")
        return 1


def _resume(folder: str, arguments: list[str], as_json: bool, quiet: bool) -> int:
    from dse.runner.run import resume  # noqa: PLC0415

    n_jobs = None
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "n_jobs" and value.isdecimal():
            n_jobs = int(value)
        elif key != "resume":
            raise SpecError(
                f"'{argument}': a resumed run keeps its settings; only n_jobs=N may be given"
            )
    return _execute(resume(Path(folder), n_jobs), as_json, quiet)


def _execute(run: Run, as_json: bool, quiet: bool) -> int:
    from dse.certify.known import find  # noqa: PLC0415
    from dse.cli.progress import progress  # noqa: PLC0415

    known = find(run.space)
    try:
        with progress(run.objective, quiet, known) as report:
            result = run.execute(report)
    except KeyboardInterrupt:
        sys.stderr.write(f"python -m dse run resume={run.folder} goes on\n")
        raise  # the other jobs of a sweep are off, too
    if as_json:
        sys.stdout.write(json.dumps({**result.as_dict(), "folder": str(result.folder)}) + "\n")
    else:
        from dse.report.table import result_text  # noqa: PLC0415

        out = sys.stdout
        plain = "utf" not in (out.encoding or "").lower()
        out.write(result_text(result, color=out.isatty(), ascii_only=plain, known=known))
    return 0


def _take_flag(arguments: list[str], *names: str) -> bool:
    found = False
    while any(name in arguments for name in names):
        arguments.remove(next(name for name in names if name in arguments))
        found = True
    return found
