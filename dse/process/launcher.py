"""Starts programs within limits, watches them, and ends them with all that they started.

``dse`` runs this file as a process of its own, ``python -I -S launcher.py DESCRIPTOR``: this one
has a single thread, so it may fork and set limits before the program begins, and so they hold for
everything that the program starts. It imports nothing of ``dse``.

Orders come over the socket of that descriptor: a length (8 bytes), along with four descriptors (a
connection, standard input, output and error), and as many bytes of JSON as it says::

    {"command": [..], "folder": .., "environment": {..}, "timeout_s": .. or null,
     "limits": {"RLIMIT_FSIZE": .., ..}, "folder_bytes": .., "memory_bytes": .. or null,
     "processes": ..}

Texts are bytes decoded as Latin-1. Every order gets a supervisor, forked from here. It adopts what
the program leaves behind (Linux), ends the whole tree when the program has ended, used too much,
or the other side of its connection was shut down, and reports there, as a line of JSON::

    {"status": .. or null, "stopped": "", "time", "files", "memory", "processes" or "request",
     "failed": why it could not be started, or "", "left": processes that it could not end}

Since a connection is shut down when ``dse`` ends, in whichever way, no program outlives it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

_LINUX = sys.platform.startswith("linux")
_prctl = ctypes.CDLL(None, use_errno=True).prctl if _LINUX else None
_SET_DEATH_SIGNAL = 1
_SET_SUBREAPER = 36
#: Signals that are ignored here: those to a whole job are for dse, which shuts down connections.
_IGNORED = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD),
)
_HEADER_BYTES = 8
#: Files that a program may leave in its folder.
_MOST_FILES = 2_000
#: Seconds until the first look at what a program uses, and between later ones.
_FIRST_LOOK_S = 0.1
_LONGEST_WAIT_S = 1.0
#: A look that takes long, on a busy machine, is rarer: 2 % of the time, but so many seconds.
_SHARE = 0.02
_LONGEST_PAUSE_S = 5.0
#: Seconds that killed processes get to go.
_PATIENCE_S = 10.0


def main(place: int) -> None:
    """Take orders until there is nobody to give them any more."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN if number in _IGNORED else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # forked processes share the memory of this one for as long as nobody writes to it
    gc.disable()
    gc.freeze()
    orders = socket.socket(fileno=place)
    while True:
        header, descriptors, _, _ = socket.recv_fds(orders, _HEADER_BYTES, 4, socket.MSG_WAITALL)
        if len(header) < _HEADER_BYTES:
            return
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        text = _received(orders, int.from_bytes(header, "big"))
        connection = socket.socket(fileno=descriptors[0])
        try:
            forked = os.fork()
        except OSError as error:
            _say(connection, failed=f"no process for it: {error.strerror}")
        else:
            if forked == 0:
                orders.close()
                _supervise_and_exit(connection, descriptors[1:], json.loads(text))
        connection.close()
        for other in descriptors[1:]:
            os.close(other)


def _received(source: socket.socket, count: int) -> bytes:
    pieces = []
    while count > 0 and (piece := source.recv(min(count, 1 << 20))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _supervise_and_exit(
    connection: socket.socket, streams: list[int], order: dict[str, Any]
) -> NoReturn:
    try:
        _say(connection, **_supervise(connection, streams, order))
    except BaseException as error:  # the other side is told, and forked code goes no further
        _say(connection, failed=f"not supervised: {type(error).__name__}: {error}")
    finally:
        os._exit(0)


def _say(connection: socket.socket, **report: object) -> None:
    whole = {"status": None, "stopped": "", "failed": "", "left": 0, **report}
    with contextlib.suppress(OSError):  # there is nobody any more
        connection.sendall(json.dumps(whole).encode() + b"\n")


def _supervise(
    connection: socket.socket, streams: list[int], order: dict[str, Any]
) -> dict[str, object]:
    """Run a program to its end, and return the report."""
    woken, wakes = os.pipe()
    for end in (woken, wakes):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    _control(_SET_SUBREAPER, 1)
    failed, fails = os.pipe()
    program = os.fork()
    if program == 0:
        _become(streams, order, fails)
    for descriptor in (*streams, fails):
        os.close(descriptor)
    with os.fdopen(failed, "rb") as file:
        why = file.read()  # it is closed by the start of the program
    stopped, status = "", None
    if not why:
        stopped, status = _watch(program, woken, connection, order)
    left = _end_all(program, woken)
    return {
        "status": status,
        "stopped": stopped,
        "failed": why.decode(errors="replace"),
        "left": left,
    }


def _become(streams: list[int], order: dict[str, Any], fails: int) -> NoReturn:
    """Turn the forked process into the program; what fails is written to ``fails``."""
    try:
        os.setsid()  # no terminal, and a group of its own
        _control(_SET_DEATH_SIGNAL, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for ignored in _IGNORED:
            signal.signal(ignored, signal.SIG_DFL)
        # they have numbers above 2: the standard ones were open when this process began
        for standard, descriptor in enumerate(streams):
            os.dup2(descriptor, standard)
        os.chdir(_bytes(order["folder"]))
        for name, value in order["limits"].items():
            _limit(name, value)
        command = [_bytes(word) for word in order["command"]]
        variables = {_bytes(key): _bytes(value) for key, value in order["environment"].items()}
        os.execvpe(command[0], command, variables)  # noqa: S606 - the user's own tool, no shell
    except BaseException as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        os.write(fails, str(why).encode())
    finally:
        os._exit(127)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def _limit(name: str, value: int) -> None:
    """Set a limit, below which a stricter one that is in force stays."""
    kind = getattr(resource, name)
    _, hard = resource.getrlimit(kind)
    ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(kind, (ceiling, ceiling))
    except (ValueError, OSError):
        if _LINUX:  # others have limits that they do not let one set
            raise


def _control(option: int, value: int) -> None:
    if _prctl is not None and _prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _watch(
    program: int, woken: int, connection: socket.socket, order: dict[str, Any]
) -> tuple[str, int | None]:
    """Wait for a program's end, or for a reason to end it: return the reason, or the status."""
    timeout_s = order["timeout_s"]
    now = time.monotonic()
    deadline = float("inf") if timeout_s is None else now + timeout_s
    wait_s = _FIRST_LOOK_S
    look = now + wait_s
    poll = select.poll()
    poll.register(woken, select.POLLIN)
    # nothing ever comes over the connection but its end
    poll.register(connection, select.POLLIN)
    while True:
        status = _reaped(program)
        if status is not None:
            return "", status
        now = time.monotonic()
        if now >= deadline:
            return "time", None
        if now >= look:
            excess = _excess(order)
            if excess:
                return excess, None
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            took_s = time.monotonic() - now
            look = now + max(wait_s, min(took_s / _SHARE, _LONGEST_PAUSE_S))
        until = min(look, deadline) - time.monotonic()
        for descriptor, _ in poll.poll(max(until, 0.0) * 1000 + 1):
            if descriptor == connection.fileno():
                return "request", None
            _empty(woken)


def _empty(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(pipe, 512):
            pass


def _reaped(program: int) -> int | None:
    """Collect processes that have ended; return the program's status, as Popen says it, if so."""
    status = None
    while True:
        try:
            number, raw = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if number == 0:
            return status
        if number == program:
            status = os.waitstatus_to_exitcode(raw)


def _excess(order: dict[str, Any]) -> str:
    """Return what there is too much of, if anything."""
    if order["folder_bytes"] is not None and not _folder_fits(
        order["folder"], order["folder_bytes"]
    ):
        return "files"
    tree = _below(os.getpid())
    if len(tree) > order["processes"] + 1:
        return "processes"
    memory_bytes = order["memory_bytes"]
    if memory_bytes is not None and sum(map(_resident_bytes, tree)) > memory_bytes:
        return "memory"
    return ""


def _folder_fits(folder: str, most_bytes: int) -> bool:
    """Say whether the files below a folder take up no more than so many bytes."""
    total = 0
    for files, entry in enumerate(_files(_bytes(folder)), start=1):
        total += entry.st_blocks * 512
        if total > most_bytes or files > _MOST_FILES:
            return False
    return True


def _files(folder: bytes) -> Iterator[os.stat_result]:
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        folders.append(entry.path)
                    yield found
        except OSError:  # gone meanwhile, or closed to us
            continue


def _below(root: int) -> set[int]:
    """Return the processes that descend from one; none where the system does not say."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if _LINUX else ():  # noqa: PTH208 - thousands of names
        if name.isdecimal():
            text = _content(f"/proc/{name}/stat")
            # the name, in parentheses, may hold anything; state and parent come after it
            fields = text.rpartition(b")")[2].split()
            if len(fields) > 1:
                children.setdefault(int(fields[1]), []).append(int(name))
    found: set[int] = set()
    todo = [root]
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def _resident_bytes(process: int) -> int:
    fields = _content(f"/proc/{process}/statm").split()
    return int(fields[1]) * resource.getpagesize() if len(fields) > 1 else 0


def _content(path: str) -> bytes:
    """Return the beginning of a small file of the system's; nothing where it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _end_all(program: int, woken: int) -> int:
    """Kill what is left of the program's tree; return how many processes would not go."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(OSError):
            os.killpg(program, signal.SIGKILL)
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0  # adopted ones are children too: there is nothing left
        tree = _frozen()
        for process in tree:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            return max(len(tree), 1)
        select.select([woken], [], [], 0.01)
        _empty(woken)
        _reaped(program)


def _frozen() -> set[int]:
    """Stop all processes below this one, so that no more of them come, and return them."""
    stopped: set[int] = set()
    while fresh := _below(os.getpid()) - stopped:
        for process in fresh:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGSTOP)
        stopped |= fresh
    return stopped


if __name__ == "__main__":
    main(int(sys.argv[1]))
