"""Programs that run: started by the launcher, ended from here, in whichever thread."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dse.errors import ToolError
from dse.process import together
from dse.process.limits import Limits

#: Seconds that a supervisor gets to end a program and to say so.
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class ProcessReport:
    """How a program ended.

    Attributes:
        status: exit status, negative for a signal; None where it did not end by itself.
        stopped: why it was ended: "time", "files", "memory", "processes", "request"; else empty.
        failed: why it could not be started; else empty.
        left: processes that could not be ended.
    """

    status: int | None
    stopped: str
    failed: str
    left: int


class Running:
    """A program that runs, and all that it starts.

    Args:
        command: the executable and its arguments.
        limits: what it may use.
        folder: its working directory, of no one else's use; None = this process's, unwatched.
        environment: all of its variables.
        streams: descriptors of its standard input, output and error.
        timeout_s: seconds until it is ended; None = never.
        scope: what it ends with.

    Raises:
        ToolError: there is no launcher for it.
        dse.process.together.Stopped: nothing may be started any more.
    """

    def __init__(
        self,
        command: Sequence[str],
        limits: Limits,
        folder: Path | None,
        environment: Mapping[str, str],
        streams: tuple[int, int, int],
        timeout_s: float | None,
        scope: together.Scope,
    ) -> None:
        order = {
            "command": [_text(word) for word in command],
            "folder": _text(folder.resolve() if folder else Path.cwd()),
            "environment": {_text(key): _text(value) for key, value in environment.items()},
            "timeout_s": timeout_s,
            "limits": limits.of_the_system(),
            "folder_bytes": limits.folder_bytes if folder else None,
            "memory_bytes": limits.memory_bytes,
            "processes": limits.processes,
        }
        self._connection, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._report: ProcessReport | None = None
        self.is_stopping = False
        self._scope = scope
        try:
            with theirs:
                self._scope.add(self)
                _order(json.dumps(order).encode(), (theirs.fileno(), *streams))
        except BaseException:
            self._scope.discard(self)
            self._connection.close()
            raise
        _OPEN.add(self)

    def fileno(self) -> int:
        """Return the descriptor that can be read once the program has ended."""
        return self._connection.fileno()

    @property
    def ended(self) -> bool:
        """Whether the program has ended."""
        return self._report is not None or bool(select.select([self], [], [], 0)[0])

    def stop(self) -> None:
        """Ask for the end; `report` says when it has come."""
        self.is_stopping = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def report(self) -> ProcessReport:
        """Wait for the end of the program and all that it started.

        Raises:
            ToolError: it does not come, or nothing is known of it.
        """
        with self._lock:
            if self._report is None:
                self._report = self._read()
                self._scope.discard(self)
        if self._report.left:
            raise ToolError(f"{self._report.left} processes of a tool cannot be ended")
        return self._report

    def end(self) -> None:
        """End the program, and wait until it has; it may have ended already."""
        self.stop()
        self.report()

    def close(self) -> None:
        """End the program and let go of it; only for whoever started it."""
        try:
            self.end()
        finally:
            _OPEN.discard(self)
            self._connection.close()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> ProcessReport:
        self._connection.settimeout(_PATIENCE_S)
        pieces = []
        with contextlib.suppress(OSError):
            while piece := self._connection.recv(1 << 16):
                pieces.append(piece)
        try:
            return ProcessReport(**json.loads(b"".join(pieces)))
        except (ValueError, TypeError):
            return ProcessReport(None, "", "the process that watches it has gone", 0)


#: Programs whose connections are open in this process.
_OPEN: set[Running] = set()


class _Launcher:
    """The process that starts programs."""

    def __init__(self) -> None:
        if not hasattr(os, "fork"):
            raise ToolError("dse runs other programs on Linux and macOS only")
        self._orders, theirs = socket.socketpair()
        script = str(Path(__file__).resolve().with_name("launcher.py"))
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                    [sys.executable, "-I", "-S", script, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=os.sep,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                self._orders.close()
                reason = getattr(error, "strerror", None) or error
                raise ToolError(f"{sys.executable}: cannot be started: {reason}") from error

    def send(self, order: bytes, descriptors: Sequence[int]) -> None:
        """Send an order; OSError where the process has gone."""
        socket.send_fds(self._orders, [len(order).to_bytes(8, "big")], descriptors)
        self._orders.sendall(order)

    def close(self) -> None:
        """Let it end."""
        self._orders.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_S)


_launcher: _Launcher | None = None
_launching = threading.Lock()


def _order(order: bytes, descriptors: Sequence[int]) -> None:
    global _launcher  # noqa: PLW0603 - one for the process, started with the first program
    with _launching:
        for _ in range(2):
            _launcher = _launcher or _Launcher()
            try:
                _launcher.send(order, descriptors)
            except BaseException as error:
                # it was killed, or holds half an order: another one takes its place
                _launcher.close()
                _launcher = None
                if not isinstance(error, OSError):
                    raise
            else:
                return
    raise ToolError(f"{sys.executable}: cannot start programs from here")


def _forget() -> None:
    """Let go of what belongs to the process that this one was forked from."""
    global _launcher, _launching  # noqa: PLW0603
    _launching = threading.Lock()
    if _launcher is not None:
        _launcher._orders.close()
        _launcher = None
    for running in _OPEN:
        running._connection.close()
    _OPEN.clear()
    together.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _text(word: object) -> str:
    return os.fsencode(word).decode("latin-1")  # type: ignore[arg-type]
