"""Runs one program to its end: in a folder of its own, within limits, and with all it starts."""

from __future__ import annotations

import math
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dse.errors import ToolError
from dse.process import together
from dse.process.limits import Limits
from dse.process.pipes import Capture, Pipe, exchange
from dse.process.running import ProcessReport, Running

#: What a program printed, in its folder.
_OUTPUT = "output.txt"
_SHOWN_LINES = 12
_SHOWN_CHARACTERS = 1500
#: Seconds after its time in which a program must have been ended.
_GRACE_S = 30.0


@dataclass(frozen=True)
class FinishedProcess:
    """A program that ended by itself: exit status (negative: a signal) and what it printed."""

    command: str
    returncode: int
    output: str

    def failure(self, what: str) -> ToolError:
        """Return the error that this run is of no use, with the command that reproduces it."""
        return failure(what, self.command, self.output)


def failure(what: str, command: str, output: str = "") -> ToolError:
    """Return a ToolError: what happened, the last lines printed, the command to reproduce it."""
    lines = output.strip()[-_SHOWN_CHARACTERS:].splitlines()[-_SHOWN_LINES:]
    printed = ["it printed:", *(f"  {line}" for line in lines)] if lines else []
    return ToolError("\n".join([what, *printed, f"to reproduce: {command}"]))


def run(
    command: Sequence[str],
    folder: Path,
    limits: Limits,
    environment: Mapping[str, str] | None = None,
) -> FinishedProcess:
    """Run a command in ``folder`` and wait for it; what it printed is written there, too.

    Args:
        command: the executable and its arguments.
        folder: its working directory, of no one else's use; also its place for temporary files.
        limits: what it may use.
        environment: variables on top of this process's own.

    Raises:
        ToolError: it cannot be started, or went over its limits; it is ended with all that it
            started.
        Stopped: it was ended because another program failed.
    """
    extra = dict(environment or {})
    shown = shown_command(command, folder, extra)
    if limits.cpu_s is None:
        # what ends it where even its supervisor was killed
        cores = os.cpu_count() or 1
        limits = replace(limits, cpu_s=math.ceil(limits.timeout_s * cores + _GRACE_S))
    variables = {**os.environ, **extra, "TMPDIR": str(folder)}
    report, printed = communicate(command, limits, folder, variables)
    (folder / _OUTPUT).write_bytes(printed.encode(errors="replace"))
    if report.failed:
        raise failure(f"{command[0]} cannot be started: {report.failed}", shown)
    if report.status is None:
        raise failure(f"{Path(command[0]).name} {over(report.stopped, limits)}", shown, printed)
    return FinishedProcess(shown, report.status, printed)


def communicate(
    command: Sequence[str],
    limits: Limits,
    folder: Path | None,
    environment: Mapping[str, str],
    question: bytes = b"",
) -> tuple[ProcessReport, str]:
    """Run a command to its end; return how it ended, and what it printed.

    Args:
        command: the executable and its arguments.
        limits: what it may use.
        folder: its working directory; None = this process's, which is not watched.
        environment: all of its variables.
        question: what it can read from its standard input.

    Raises:
        ToolError: nothing is known of its end.
        Stopped: it was ended because another program failed.
    """
    printed = Capture(limits.output_bytes)
    with Pipe(writes=True) as asks, Pipe(writes=False) as says:
        streams = (asks.theirs, says.theirs, says.theirs)
        with Running(
            command, limits, folder, environment, streams, limits.timeout_s, together.current()
        ) as running:
            says.hand_over()
            asks.hand_over() if question else asks.close()
            exchange(
                (asks.ours, question) if question else None,
                {says.ours: printed.add},
                running.fileno(),
                # its supervisor has a word first
                time.monotonic() + limits.timeout_s + _GRACE_S,
            )
            running.stop()
            report = running.report()
    if report.stopped == "request":
        raise together.Stopped(f"{Path(command[0]).name} was ended, because another program failed")
    return report, printed.text()


def over(stopped: str, limits: Limits) -> str:
    """Say which limit a program went over."""
    return {
        "time": f"ran for more than {limits.timeout_s:g} s",
        "files": f"wrote too many files, or more than {limits.folder_bytes >> 20} MB",
        "memory": f"used more than {(limits.memory_bytes or 0) >> 20} MB of memory with all that "
        "it started",
        "processes": f"started more than {limits.processes} processes",
    }[stopped]


def ending(returncode: int) -> str:
    """Say how a process ended."""
    if returncode >= 0:
        return f"ended with exit status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = "unknown"
    return f"was killed by signal {-returncode} ({name})"


def shown_command(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Return the shell command line that repeats a run."""
    variables = [f"{key}={shlex.quote(value)}" for key, value in environment.items()]
    words = [*variables, *(shlex.quote(word) for word in command)]
    return f"cd {shlex.quote(str(folder))} && {' '.join(words)}"
