"""Processes that compile beside this one, and take requests as long as it goes on."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import IO, Any, NamedTuple, cast

from dse.jit_locks import NOTES, is_being_compiled

#: Processes that compile at a time.
_PROCESSES = 2
#: Seconds after which a process ends that is asked for nothing.
_IDLE_S = 10.0
#: What such a process runs.
_PROGRAM = f"from {__name__} import compile_told; compile_told()"
#: What it says of every request that is done.
_DONE = b"."


class Request(NamedTuple):
    """A function to compile for some types of arguments, as it is told to another process."""

    module: str
    name: str
    types: tuple[Any, ...]


class _Process:
    """A process that compiles.

    Raises:
        OSError: there can be none.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        stdin = cast(IO[bytes], self._process.stdin)
        self._told = Connection(os.dup(stdin.fileno()), readable=False)
        stdin.close()
        self._said = cast(IO[bytes], self._process.stdout)
        os.set_blocking(self._said.fileno(), False)
        self._asked: list[Request] = []

    @property
    def asked(self) -> list[Request]:
        """What it was asked for and has not done."""
        done = len(self._said.read() or b"")
        # it may say so and end: what it has said goes first
        self._asked = [] if self.has_ended else self._asked[done:]
        return self._asked

    @property
    def has_ended(self) -> bool:
        """Whether it does no more."""
        return self._process.poll() is not None

    def ask(self, requests: list[Request]) -> None:
        """Ask for more; nothing comes of it where the process has just ended."""
        with suppress(OSError):
            self._told.send(requests)
        self._asked = [*self.asked, *requests]


class Beside:
    """The processes that compile, and what waits for one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Request] = []
        self._processes: list[_Process] = []
        self._on_all_cores = False

    def ask(self, request: Request, *, at_once: bool = False) -> None:
        """Have a function compiled, together with all others that wait.

        Args:
            request: the function.
            at_once: on all cores, where else one is left to this process.
        """
        NOTES.warning(
            "compiling %s.%s beside this process, only once; it is slower until then",
            *(request.module, request.name),
        )
        with self._lock:
            self._waiting.append(request)
            self._on_all_cores |= at_once
            self._go_on()

    def is_at_work(self, request: Request) -> bool:
        """Whether a function that was asked for may still come."""
        with self._lock:
            self._go_on()
            return request in self._waiting or any(request in p.asked for p in self._processes)

    @property
    def takes_all_cores(self) -> bool:
        """Whether processes compile on all cores."""
        with self._lock:
            self._go_on()
            return sum(bool(p.asked) for p in self._processes) >= _cores()

    def leave(self) -> None:
        """Have compiled what still waits, for commands to come."""
        with self._lock:
            self._go_on(whatever=True)

    def _go_on(self, *, whatever: bool = False) -> None:
        """Hand what waits to a process that has nothing to do."""
        self._processes = [p for p in self._processes if not p.has_ended]
        if not self._waiting:
            return
        idle = next((p for p in self._processes if not p.asked), None)
        most = min(_PROCESSES, _cores() if self._on_all_cores else max(_cores() - 1, 1))
        if sum(bool(p.asked) for p in self._processes) >= most and not whatever:
            return
        with suppress(OSError):  # of no process: who asked compiles then
            if idle is None:
                idle = _Process()
                self._processes.append(idle)
            idle.ask(self._waiting)
        self._waiting, self._on_all_cores = [], False


def compile_told() -> None:
    """Compile the functions that stdin names and that nobody compiles, until it names no more."""
    told: queue.SimpleQueue[list[Request]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(told,), daemon=True).start()
    with suppress(queue.Empty):
        while requests := told.get(timeout=_IDLE_S):
            for request in requests:
                dispatcher = attrgetter(request.name)(import_module(request.module))
                if not is_being_compiled(dispatcher):
                    dispatcher.compile(request.types)
                with suppress(OSError):  # who asked has ended
                    os.write(sys.stdout.fileno(), _DONE)


def _listen(told: queue.SimpleQueue[list[Request]]) -> None:
    """Take requests while others are compiled; the last one is empty."""
    parent = Connection(os.dup(sys.stdin.fileno()), writable=False)
    with suppress(EOFError):
        while True:
            told.put(parent.recv())
    told.put([])


def _cores() -> int:
    return os.cpu_count() or 1
