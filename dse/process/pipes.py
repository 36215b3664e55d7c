"""Reading from and writing to programs, without waiting for one while another has something."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import deque
from collections.abc import Callable, Mapping

_PIECE = 1 << 16
_LARGEST_PIPE = 1 << 20

#: What is called with every piece read, which is empty at the end; True = it is enough.
Sink = Callable[[bytes], bool]


class Capture:
    """The beginning and the end of what a program prints; what lies between is counted only."""

    def __init__(self, most_bytes: int) -> None:
        self._half = most_bytes // 2
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = self._left_out = 0

    def add(self, piece: bytes) -> bool:
        """Take what was printed next; a `Sink` that never has enough."""
        room = self._half - len(self._head)
        self._head += piece[:room]
        rest = piece[room:] if room < len(piece) else b""
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail and self._tail_bytes - len(self._tail[0]) >= self._half:
            dropped = len(self._tail.popleft())
            self._tail_bytes -= dropped
            self._left_out += dropped
        return False

    def text(self) -> str:
        """Return what is kept, and how much is not."""
        gap = f"\n[{self._left_out} bytes left out]\n".encode() if self._left_out else b""
        return b"".join([self._head, gap, *self._tail]).decode(errors="replace")


class Pipe:
    """A pipe to or from a program: our end does not block, the other one is for the program.

    Args:
        writes: whether this process writes to it.
    """

    def __init__(self, *, writes: bool) -> None:
        reading, writing = os.pipe()
        self.ours, self.theirs = (writing, reading) if writes else (reading, writing)
        os.set_blocking(self.ours, False)

    def hand_over(self) -> None:
        """Close the program's end, which the program has by now."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    def close(self) -> None:
        """Close both ends; they may be closed."""
        self.hand_over()
        if self.ours >= 0:
            os.close(self.ours)
            self.ours = -1

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def exchange(
    outgoing: tuple[int, bytes] | None,
    incoming: Mapping[int, Sink],
    ended: int,
    deadline: float,
) -> bool:
    """Write to a program and read from it.

    Args:
        outgoing: a descriptor, and what to write to it.
        incoming: by descriptor, who takes what is read.
        ended: a descriptor that can be read once the program has ended; then this ends, when what
            is there was read.
        deadline: by ``time.monotonic``.

    Returns:
        Whether the program has ended or a sink has enough; False when the time is over.
    """
    poll = select.poll()
    for descriptor in (*incoming, ended):
        poll.register(descriptor, select.POLLIN)
    left = memoryview(b"")
    if outgoing is not None:
        left = memoryview(outgoing[1])
        poll.register(outgoing[0], select.POLLOUT)
    while True:
        wait_s = deadline - time.monotonic()
        if wait_s <= 0:
            return False
        enough = False
        for descriptor, _ in poll.poll(min(wait_s, 3600.0) * 1000 + 1):
            if descriptor == ended:
                return _drain(incoming)
            if outgoing is not None and descriptor == outgoing[0]:
                left = _write(descriptor, left)
                if not left:
                    poll.unregister(descriptor)
                continue
            piece = os.read(descriptor, _PIECE)
            if not piece:
                poll.unregister(descriptor)
            enough = incoming[descriptor](piece) or enough
        if enough:
            return True


def _write(descriptor: int, data: memoryview) -> memoryview:
    """Write what can be written; return what is left, nothing where nobody reads it."""
    try:
        return data[os.write(descriptor, data) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:  # it has ended, or does not listen
        return data[:0]


def _drain(incoming: Mapping[int, Sink]) -> bool:
    """Read what is there, but no more than a pipe holds: a stranger may have its other end."""
    for descriptor, sink in incoming.items():
        with contextlib.suppress(BlockingIOError):
            for _ in range(_LARGEST_PIPE // _PIECE):
                piece = os.read(descriptor, _PIECE)
                sink(piece)
                if not piece:
                    break
    return True
