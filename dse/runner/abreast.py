"""Runs side by side: each in one of a few processes, which share nothing but compiled code on disk.

Start-up, inputs, reports and small designs are work of the interpreter, which threads of one process
do not share. So where there are many runs, whole runs are what cores are given.
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
from dse.report.page import report_of
from dse.runner.run import go_on
from dse.runner.sweep import Failure
from dse.study.result import RunResult

#: So many runs are worth the seconds that processes take to start.
MANY = 8


class Task(NamedTuple):
    """A run to bring to its result: plain data, as all tasks."""

    folder: str
    local: Mapping[str, Any]
    trust: bool


class Ended(NamedTuple):
    """What a run came to."""

    objective: str
    unit: str
    value: float
    seconds: float


def engine_of(settings: Sequence[Mapping[str, Any]]) -> LokyEngine | None:
    """Return the processes for runs of these settings; None: they go one after the other.

    Runs go side by side if there are many, if there is more than one thread (``n_jobs``), and if none
    of them names processes or machines of its own.
    """
    threads = min((_threads(one) for one in settings), default=1)
    if len(settings) < MANY or threads == 1 or any(_spreads(one) for one in settings):
        return None
    return LokyEngine(EngineSettings(), threads)


def _threads(settings: Mapping[str, Any]) -> int:
    return int(settings.get("n_jobs") or 0) or os.cpu_count() or 1


def _spreads(settings: Mapping[str, Any]) -> bool:
    named = settings.get("parallel", "threads")
    return (named.get("name") if isinstance(named, Mapping) else named) not in ("threads", None)


def finish(task: Task) -> Ended | Failure:
    """Bring a run to its result and report, with one thread; an error is its own."""
    began = time.monotonic()
    try:
        result: RunResult = go_on(Path(task.folder), {**task.local, "n_jobs": 1}, trust=task.trust)
        report_of(result)
    except DseError as error:
        return Failure(error.exit_code, str(error))
    return Ended(result.objective, result.unit, result.value, time.monotonic() - began)
