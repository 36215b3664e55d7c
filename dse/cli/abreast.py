"""Runs side by side: each in one of a few processes, among which threads are shared out.

Inputs, small designs and reports are work of the interpreter, which threads of one process do not
share. So where there are many runs, whole runs are what cores are given; the processes keep what
they have loaded and compiled.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dse.errors import DseError
from dse.parallel.base import EngineSettings
from dse.parallel.loky import LokyEngine
from dse.report.finished import FinishedRun, read_result
from dse.report.page import report_of
from dse.runner.run import go_on
from dse.runner.sweep import Failure

#: So many runs are worth the seconds that processes take to start.
MANY = 8


class RunTask(NamedTuple):
    """A run to bring to its result: plain data, as all tasks."""

    folder: str
    local: Mapping[str, Any]
    trust: bool
    threads: int


class Ended(NamedTuple):
    """What a run came to, and what it took."""

    run: FinishedRun
    seconds: float


class Side(NamedTuple):
    """Processes for runs, and how many threads each run has."""

    engine: LokyEngine
    threads: int


def side_by_side(settings: Sequence[Mapping[str, Any]]) -> Side | None:
    """Return the processes for runs of these settings; None: they go one after the other.

    Runs go side by side if there are many, if there is more than one thread (``n_jobs``), and if
    none of them names processes or machines of its own.
    """
    threads = min((_threads(one) for one in settings), default=1)
    if len(settings) < MANY or threads == 1 or any(_spreads(one) for one in settings):
        return None
    processes = min(threads, len(settings))
    return Side(LokyEngine(EngineSettings(), processes), threads // processes)


def _threads(settings: Mapping[str, Any]) -> int:
    return int(settings.get("n_jobs") or 0) or os.cpu_count() or 1


def _spreads(settings: Mapping[str, Any]) -> bool:
    named = settings.get("parallel", "threads")
    return (named.get("name") if isinstance(named, Mapping) else named) not in ("threads", None)


def finish(task: RunTask) -> Ended | Failure:
    """Bring a run to its result and report; an error is its own."""
    folder, began = Path(task.folder), time.monotonic()
    try:
        report_of(go_on(folder, {**task.local, "n_jobs": task.threads}, trust=task.trust))
        return Ended(read_result(folder), time.monotonic() - began)
    except DseError as error:
        return Failure(error.exit_code, str(error))
