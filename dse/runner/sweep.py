"""A sweep: a folder of run folders, all made before the first of them runs.

So wrong settings show at once, inputs cannot change in between, and what is left of a sweep that
was interrupted is in its folder: every run that has not ended goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dse.disk import read_file, replace_file
from dse.errors import DseError, SpecError
from dse.plugins import GROUPS
from dse.runner.config import DEFAULT_PLUGINS, RunConfig
from dse.runner.run import start
from dse.state.entries import CheckedEntries
from dse.study import folder as run_folder

#: What is written once all runs of a sweep have their folders.
SWEEP = "sweep.json"
SCHEMA = "dse.sweep"
_MAX_BYTES = 16 * 1024 * 1024
#: Characters of names of folders; what varies may be any text.
_LONGEST = 120
_UNFIT = re.compile(r"[^A-Za-z0-9._=+-]+")

Settings = Mapping[str, Any]
T = TypeVar("T")
R = TypeVar("R")
#: Takes the name of a run that cannot be started, the exit code, and why.
OnFailure = Callable[[str, int, str], None]
#: Does tasks, in this process or in others; yields the place of each and its answer.
Answers = Callable[[Callable[[T], R], Sequence[T]], Iterator[tuple[int, R]]]


@dataclass(frozen=True)
class Sweep:
    """Runs that belong together.

    Attributes:
        folder: of the sweep.
        runs: their folders, in order.
    """

    folder: Path
    runs: tuple[Path, ...]

    @property
    def left(self) -> list[Path]:
        """The runs that have not ended."""
        return [run for run in self.runs if not (run / run_folder.RESULT).is_file()]


class Failure(NamedTuple):
    """Why a run has no result: plain data, which processes hand on."""

    code: int
    text: str


def in_turn(function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
    """Do tasks one after the other, here."""
    for at, task in enumerate(tasks):
        yield at, function(task)


def prepare(
    jobs: Sequence[Settings],
    swept: Sequence[str],
    failed: OnFailure,
    answers: Answers[Any, Any] = in_turn,
) -> Sweep:
    """Make the folder of a sweep, and that of each of its runs.

    Args:
        jobs: the settings of each run.
        swept: the settings that have several values.
        failed: told of every run whose settings are wrong; the others are made.
        answers: who makes them.

    Raises:
        SpecError: the folder cannot be made.
    """
    if "folder" in swept:
        raise SpecError("folder: has several values, expected the one folder of the sweep")
    wanted = jobs[0].get("folder")
    place = Path(str(jobs[0].get("runs") or "runs"))
    folder = run_folder.create(Path(wanted) if wanted else None, place, _label(jobs, swept))
    runs = [
        folder / f"{number:03}_{_label([settings], swept, values=True)}"
        for number, settings in enumerate(jobs)
    ]
    tasks = [{**settings, "folder": str(run)} for settings, run in zip(jobs, runs, strict=True)]
    failures: dict[int, Failure | None] = dict(answers(_start, tasks))
    made = []
    for number, run in enumerate(runs):
        if (failure := failures[number]) is None:
            made.append(run)
        else:
            failed(run.name, *failure)
    told = {"schema": SCHEMA, "version": 1, "swept": list(swept), "runs": [r.name for r in made]}
    replace_file(folder / SWEEP, (json.dumps(told, indent=1) + "\n").encode())
    return Sweep(folder, tuple(made))


def _start(settings: Settings) -> Failure | None:
    """Make the folder of a run; return why there is none."""
    try:
        start(settings).setup.close()
    except DseError as error:
        return Failure(error.exit_code, str(error))
    return None


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep, rather than of one run."""
    return (folder / SWEEP).is_file() and not (folder / run_folder.CONFIG).is_file()


def read_sweep(folder: Path) -> Sweep:
    """Return the sweep of a folder.

    Raises:
        SpecError: its file is broken, or a run is missing.
    """
    path = folder / SWEEP
    try:
        content = json.loads(read_file(path, _MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not JSON: {error}") from error
    entries = CheckedEntries(content, str(path))
    if entries.text("schema") != SCHEMA:
        raise SpecError(f"{path}: expected schema = '{SCHEMA}'")
    runs = []
    for name in entries.items("runs", str):
        run = folder / name
        if _UNFIT.search(name) or name.strip(".") == "" or run.is_symlink():
            raise SpecError(f"{path}: runs: '{name}' is not the name of a folder beside it")
        if not (run / run_folder.CONFIG).is_file():
            raise SpecError(f"{path}: runs: there is no run folder '{name}'")
        runs.append(run)
    return Sweep(folder, tuple(runs))


def _label(jobs: Sequence[Settings], swept: Sequence[str], *, values: bool = False) -> str:
    """Return template, optimizer and what varies, as the name of a folder."""
    named = ("arch", "optimizer")
    words = [] if values else ["sweep"]
    for key in named:
        words.append("+".join(dict.fromkeys(_value(job, key) for job in jobs)))
    for key in swept:
        if key not in named:
            words.append(f"{key}={_value(jobs[0], key)}" if values else key)
    return _UNFIT.sub("-", "_".join(words))[:_LONGEST]


def _value(settings: Settings, key: str) -> str:
    """Return the value of a dotted setting; of a plug-in or a file, its name."""
    found: Any = {"arch": RunConfig.arch, **DEFAULT_PLUGINS, **settings}
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if key in GROUPS and isinstance(found, Mapping):
        found = found.get("name")
    text = str(found)
    return Path(text).stem if key in ("arch", "workload") and "/" in text else text
