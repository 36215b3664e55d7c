"""``python -m dse run``: the flags around a run, its progress and its result."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dse.cli.plain_settings import composed
from dse.cli.screen import Screen
from dse.cli.settings_help import settings_help
from dse.errors import SpecError

_USAGE = """\
usage: python -m dse run [SETTING=VALUE ...] [-m] [--json] [--quiet]
       python -m dse run resume=FOLDER [n_jobs=N] [parallel=NAME] [--trust]

Searches hardware and mappings for a workload. Settings follow Hydra's grammar:
'optimizer=NAME' chooses, 'optimizer.SETTING=VALUE' sets; with -m, values split
by commas give one run each, all in a folder, and 'hydra/launcher=joblib' runs
them in parallel. resume= goes on with an interrupted run, or with the rest of
an interrupted sweep.

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
        sys.stdout.write(_USAGE + settings_help(arguments))
        return 0
    as_json = _take_flag(arguments, "--json")
    quiet = _take_flag(arguments, "--quiet", "-q")
    resumed = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
    if resumed:
        trust = _take_flag(arguments, "--trust")
        return _resume(Path(resumed[-1]), arguments, trust, Screen(as_json, quiet))

    if {"-m", "--multirun"} & set(arguments):
        from dse.cli.sweep import SweepRun  # noqa: PLC0415 - Hydra, rich

        return SweepRun(as_json, quiet).begin(arguments)
    given = composed(arguments)
    from dse.runner.run import search  # noqa: PLC0415 - after the settings were read

    screen = Screen(as_json, quiet)
    for settings in given:  # none where Hydra has printed its configuration instead
        screen.show(search(settings, screen.watch))
    return 0


def _resume(folder: Path, arguments: list[str], trust: bool, screen: Screen) -> int:
    """Go on with a run, or with a sweep."""
    from dse.runner.run import go_on  # noqa: PLC0415 - after the arguments were read
    from dse.runner.sweep import is_sweep  # noqa: PLC0415

    local = _local([word for word in arguments if not word.startswith("resume=")])
    if is_sweep(folder):
        from dse.cli.sweep import SweepRun  # noqa: PLC0415

        return SweepRun(screen.as_json, screen.quiet, local, trust).resume(folder)
    screen.show(go_on(folder, local, screen.watch, trust=trust))
    return 0


def _local(words: list[str]) -> dict[str, Any]:
    """Return the settings that a resumed run may be given: those on which no result depends."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        group, _, name = key.partition(".")
        if key == "n_jobs" and value.isdecimal():
            found[key] = int(value)
        elif key == "store" and value:
            found[key] = None if value == "null" else value
        elif group == "parallel" and equals:
            found.setdefault(group, {})[name or "name"] = value
        else:
            raise SpecError(
                f"'{word}': a resumed run keeps its settings; only n_jobs=N, parallel=NAME with "
                "its settings, and store=FOLDER may be given"
            )
    if found.get("parallel", {}).keys() - {"name"} and "name" not in found["parallel"]:
        raise SpecError("parallel: its settings are given; expected parallel=NAME, too")
    return found


def _take_flag(arguments: list[str], *names: str) -> bool:
    found = False
    while any(name in arguments for name in names):
        arguments.remove(next(name for name in names if name in arguments))
        found = True
    return found
