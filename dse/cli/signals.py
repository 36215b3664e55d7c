"""SIGTERM and SIGHUP end a command as Ctrl-C does: in order, with its tools."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Signals, and what is said of them.
_WORDS = {"SIGTERM": "terminated", "SIGHUP": "hung up"}


class Terminated(BaseException):
    """A signal that asks for the end."""

    def __init__(self, number: int) -> None:
        self.word = _WORDS[signal.Signals(number).name]
        self.exit_code = 128 + number
        super().__init__(self.word)


@contextmanager
def raised() -> Iterator[None]:
    """Have the signals raise `Terminated` in the main thread; those that are ignored stay so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    known = [getattr(signal, name) for name in _WORDS if hasattr(signal, name)]
    taken = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]

    def stop(number: int, _: FrameType | None) -> None:
        for other in taken:  # a second one would cut the end short
            signal.signal(other, signal.SIG_IGN)
        # what was half made complains when it goes
        sys.unraisablehook = lambda _: None
        raise Terminated(number)

    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
