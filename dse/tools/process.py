"""Runs one external process: in a folder of its own, with limits, and killed with its children.

Two runs of Timeloop in one folder overwrite each other's files, so every run gets a new folder.
What a process prints goes to a file there: it can be large, and it is of use after a failure.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dse.errors import ToolError

try:
    import resource
except ImportError:  # not on every platform
    resource = None  # type: ignore[assignment]

_OUTPUT = "output.txt"
_SHOWN_LINES = 12
_SHOWN_CHARACTERS = 1500


@dataclass(frozen=True)
class Limits:
    """What one process may use.

    Attributes:
        timeout_s: seconds of wall-clock time; then it is killed.
        memory_bytes: address space; None = unlimited. Enforced on Linux only.
        file_bytes: size of any one file that it writes, its output included.
    """

    timeout_s: float
    memory_bytes: int | None = None
    file_bytes: int = 2**30


@dataclass(frozen=True)
class FinishedProcess:
    """A process that ended by itself: exit status (negative: a signal) and what it printed."""

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


@contextlib.contextmanager
def own_folder(parent: Path | None = None, *, keep: bool = True) -> Iterator[Path]:
    """Make a new folder, removed at the end; kept when a ToolError names it.

    Args:
        parent: where to make it; None = the system's place for temporary files.
        keep: False removes it after a ToolError too.

    Raises:
        ToolError: the folder cannot be made or written to.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="dse-tool-", dir=parent))
    except OSError as error:
        place = parent or tempfile.gettempdir()
        raise ToolError(f"folder {place}: cannot be written ({error.strerror or error})") from error
    try:
        yield folder
    except ToolError:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ToolError(
            f"folder {folder}: cannot be written ({error.strerror or error}); "
            "TMPDIR chooses another place"
        ) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)


def run(
    command: Sequence[str],
    folder: Path,
    limits: Limits,
    environment: Mapping[str, str] | None = None,
) -> FinishedProcess:
    """Run a command in ``folder`` and wait for it.

    Args:
        command: the executable and its arguments.
        folder: its working directory, of no one else's use.
        limits: what it may use.
        environment: variables on top of this process's own.

    Raises:
        ToolError: it cannot be started, or ran past its time; its process group is killed.
    """
    extra = dict(environment or {})
    shown = shown_command(command, folder, extra)
    with (folder / _OUTPUT).open("wb") as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own tool, no shell
                list(command),
                cwd=folder,
                env={**os.environ, **extra},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # a group of its own, so that a kill reaches its children too
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise failure(f"{command[0]} cannot be started: {reason}", shown) from error
    try:
        limit(process.pid, limits)
        ended = _wait(process, limits.timeout_s)
    finally:
        if process.returncode is None:
            kill(process)
    with (folder / _OUTPUT).open("rb") as written:
        printed = tail(written)
    if not ended:
        name = Path(command[0]).name
        raise failure(f"{name} ran for more than {limits.timeout_s:g} s", shown, printed)
    return FinishedProcess(shown, process.returncode, printed)


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


def limit(pid: int, limits: Limits) -> None:
    """Set resource limits from outside, which keeps the start of the process fast."""
    if not hasattr(resource, "prlimit"):
        return
    wanted = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, limits.file_bytes)]
    if limits.memory_bytes is not None:
        wanted.append((resource.RLIMIT_AS, limits.memory_bytes))
    for kind, value in wanted:
        # a process that has ended already needs no limit; a stricter one in force stays
        with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
            _, hard = resource.prlimit(pid, kind)
            ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, kind, (ceiling, ceiling))


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for the end; False when the time ran out."""
    if hasattr(os, "pidfd_open"):
        # wakes at once, where waiting with a timeout would poll
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError:
            descriptor = -1
        if descriptor >= 0:
            try:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                if not poll.poll(timeout_s * 1000):
                    return False
            finally:
                os.close(descriptor)
            process.wait()
            return True
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, and wait for it; it may have ended already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tail(file: IO[bytes]) -> str:
    """Return the end of what was printed to a file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2**20))
    return file.read().decode(errors="replace")
