"""A long-lived external process that answers questions, one line each; watched and replaceable."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import IO

from dse.tools.process import Limits, ending, kill, limit, tail


class WorkerEnded(Exception):
    """The process is of no more use: what happened to it, and what it had printed."""

    def __init__(self, what: str, printed: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.printed = printed


class Worker:
    """One process: a line in, a line out. After `WorkerEnded`, make another.

    Args:
        command: the executable and its arguments.
        limits: what it may use; ``timeout_s`` is for each answer.
        environment: variables on top of this process's own.

    Raises:
        WorkerEnded: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        limits: Limits,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._limits = limits
        self._unread = b""
        self._printed: IO[bytes] = tempfile.TemporaryFile(prefix="dse-tool-")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own tool, no shell
                list(command),
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._printed,
                # a group of its own, so that a kill reaches its children too
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._printed.close()
            reason = getattr(error, "strerror", None) or error
            raise WorkerEnded(f"cannot be started: {reason}") from error
        limit(self._process.pid, limits)
        self._end = weakref.finalize(self, _end, self._process, self._printed)

    def ask(self, question: str) -> str:
        """Send one line (without its end), and return the line that comes back.

        Raises:
            WorkerEnded: the process ended, or gave no answer in time and was killed.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            # it has ended; reading says how
            pass
        return self.listen()

    def listen(self) -> str:
        """Return the next line that the process writes. Raises `WorkerEnded` as `ask` does."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + self._limits.timeout_s
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        pieces = [self._unread]
        while b"\n" not in pieces[-1]:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                self._fail(f"gave no answer in {self._limits.timeout_s:g} s")
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                self._fail()
            pieces.append(piece)
        line, _, self._unread = b"".join(pieces).partition(b"\n")
        return line.decode(errors="replace")

    def close(self) -> None:
        """End the process; it may be called again."""
        self._end()

    def _fail(self, what: str = "") -> None:
        """Raise WorkerEnded with what the process had printed."""
        if not what:
            # its output is closed, so it is about to end
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            code = self._process.poll()
            what = "closed its output" if code is None else ending(code)
        printed = tail(self._printed)
        self.close()
        raise WorkerEnded(what, printed)


def _end(process: subprocess.Popen[bytes], printed: IO[bytes]) -> None:
    kill(process)
    for pipe in (process.stdin, process.stdout, printed):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
