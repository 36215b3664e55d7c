"""A long-lived external process that answers questions, one line each; watched and replaceable."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Mapping, Sequence

from dse.process import together
from dse.process.limits import Limits
from dse.process.pipes import Capture, Pipe, exchange
from dse.process.run import ending, over
from dse.process.running import Running

#: Bytes of the longest answer.
_LONGEST = 2**24
#: Seconds that a process which has closed its output gets to end.
_PATIENCE_S = 1.0


class WorkerEnded(Exception):
    """The process is of no more use: what happened to it, and what it had printed."""

    def __init__(self, what: str, printed: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.printed = printed


class Worker:
    """One process: a line in, a line out. After `WorkerEnded`, make another.

    It ends with the scope in which it is made, and with the one in which it is asked.

    Args:
        command: the executable and its arguments.
        limits: what it may use; ``timeout_s`` is for each answer.
        environment: variables on top of this process's own.

    Raises:
        ToolError: no process can be started at all.
    """

    def __init__(
        self,
        command: Sequence[str],
        limits: Limits,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._limits = limits
        self._answer = bytearray()
        self._printed = Capture(limits.output_bytes)
        self._asks, self._hears = Pipe(writes=True), Pipe(writes=False)
        self._errors = Pipe(writes=False)
        pipes = (self._asks, self._hears, self._errors)
        try:
            asked, said, printed = (pipe.theirs for pipe in pipes)
            variables = {**os.environ, **(environment or {})}
            self._running = Running(
                command,
                limits,
                None,
                variables,
                (asked, said, printed),
                None,
                together.current(),
            )
        except BaseException:
            for pipe in pipes:
                pipe.close()
            raise
        for pipe in pipes:
            pipe.hand_over()
        self._end = weakref.finalize(self, _close, self._running, pipes)

    @property
    def ended(self) -> bool:
        """Whether it is of no more use."""
        return not self._end.alive or self._running.ended

    def ask(self, question: str) -> str:
        """Send one line (without its end), and return the line that comes back.

        Raises:
            WorkerEnded: the process ended, or gave no answer in time and was killed.
            Stopped: it was ended because another program failed.
        """
        self._printed = Capture(self._limits.output_bytes)
        with contextlib.suppress(BlockingIOError):
            self._answer += os.read(self._hears.ours, 1)
        if self._answer:
            self._fail("said more than it was asked")
        return self._exchanged((self._asks.ours, question.encode() + b"\n"))

    def listen(self) -> str:
        """Return the next line that the process writes. Raises as `ask` does."""
        return self._exchanged(None)

    def close(self) -> None:
        """End the process; it may be called again."""
        self._end()

    def _exchanged(self, outgoing: tuple[int, bytes] | None) -> str:
        deadline = time.monotonic() + self._limits.timeout_s
        incoming = {self._hears.ours: self._hear, self._errors.ours: self._printed.add}
        with together.in_use(self._running):
            in_time = exchange(outgoing, incoming, self._running.fileno(), deadline)
        if not in_time:
            self._fail(f"gave no answer in {self._limits.timeout_s:g} s")
        line, found, rest = bytes(self._answer).partition(b"\n")
        if not found:
            self._fail("answered without an end" if len(line) > _LONGEST else "")
        self._answer = bytearray(rest)
        return line.decode(errors="replace")

    def _hear(self, piece: bytes) -> bool:
        self._answer += piece
        return not piece or b"\n" in piece or len(self._answer) > _LONGEST

    def _fail(self, what: str) -> None:
        """Raise WorkerEnded with what the process had printed."""
        try:
            what = what or self._how_it_ended()
        finally:
            self.close()
        raise WorkerEnded(what, self._printed.text())

    def _how_it_ended(self) -> str:
        # its output is closed, so it is about to end
        sinks = {self._errors.ours: self._printed.add}
        exchange(None, sinks, self._running.fileno(), time.monotonic() + _PATIENCE_S)
        if not self._running.ended and not self._running.is_stopping:
            return "closed its output"
        report = self._running.report()
        if report.stopped == "request":
            raise together.Stopped("a worker was ended, because another program failed")
        if report.failed:
            return f"cannot be started: {report.failed}"
        return (
            over(report.stopped, self._limits) if report.status is None else ending(report.status)
        )


def _close(running: Running, pipes: Sequence[Pipe]) -> None:
    try:
        running.close()
    finally:
        for pipe in pipes:
            pipe.close()
