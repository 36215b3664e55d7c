"""Which programs, and folders of theirs, end with each other: when one fails, or ``dse`` ends."""

from __future__ import annotations

import atexit
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, Protocol, TypeVar

from dse.errors import ToolError

P = ParamSpec("P")
R = TypeVar("R")


class Stopped(ToolError):
    """A program was ended, or not started, because those that it belongs to are ended."""


class Endable(Protocol):
    """What can be ended, from any thread."""

    def stop(self) -> None:
        """Begin to end, without waiting."""

    def end(self) -> None:
        """Wait until it has ended."""


class Scope:
    """Programs, folders and further scopes that end together; itself one of an outer scope."""

    def __init__(self, outer: Scope | None = None) -> None:
        self._outer = outer
        self._lock = threading.Lock()
        # in the order in which they came
        self._members: dict[Endable, None] = {}
        self._stopped = False
        self._left = False
        if outer is not None:
            outer.add(self)

    def add(self, member: Endable) -> bool:
        """Take a member in; return whether it is new. `Stopped` where all are being ended."""
        with self._lock:
            if self._stopped:
                raise Stopped("not started: what it belongs to is being ended")
            if member in self._members:
                return False
            returns = self._left and not self._members
            self._members[member] = None
        if returns and self._outer is not None:
            try:
                self._outer.add(self)
            except Stopped:
                self._members.pop(member)
                raise
        return True

    def discard(self, member: Endable) -> None:
        """Let go of a member that has ended."""
        with self._lock:
            self._members.pop(member, None)
            done = self._left and not self._members
        if done and self._outer is not None:
            self._outer.discard(self)

    def leave(self) -> None:
        """Say that nothing more comes; what still runs ends with the outer scope."""
        self._left = True
        if not self._members and self._outer is not None:
            self._outer.discard(self)

    def stop(self) -> None:
        """Begin to end all members, and take in no more."""
        with self._lock:
            self._stopped = True
            members = list(self._members)
        for member in members:
            member.stop()

    def end(self) -> None:
        """End all members: first all programs are stopped, then each is waited for."""
        self.stop()
        with self._lock:
            members = list(self._members)
        # a folder came before the program that writes to it
        for member in reversed(members):
            member.end()
            self.discard(member)

    def within(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function such that what it starts, in any thread, is a member."""

        @functools.wraps(function)
        def inside(*arguments: P.args, **named: P.kwargs) -> R:
            token = _CURRENT.set(self)
            try:
                return function(*arguments, **named)
            finally:
                _CURRENT.reset(token)

        return inside


#: The scope around all others: what is in it ends with this process.
ROOT = Scope()
_CURRENT: ContextVar[Scope] = ContextVar("dse.process.scope")
atexit.register(ROOT.end)


def current() -> Scope:
    """Return the scope of what is started here."""
    return _CURRENT.get(ROOT)


@contextmanager
def in_use(member: Endable) -> Iterator[None]:
    """Make a member of another scope one of the scope here, too, for as long as it is used.

    Raises:
        Stopped: all in the scope are being ended.
    """
    scope = current()
    joins = scope.add(member)
    try:
        yield
    finally:
        if joins:
            scope.discard(member)


@contextmanager
def ended_together() -> Iterator[Scope]:
    """Open a scope: an exception ends all programs in it, before it goes on its way.

    What other threads start is in it where they call through :meth:`Scope.within`. They are not
    waited for: their programs end, and they get `Stopped` for it.
    """
    scope = Scope(current())
    token = _CURRENT.set(scope)
    try:
        yield scope
    except BaseException:
        scope.end()
        raise
    finally:
        _CURRENT.reset(token)
        scope.leave()


def forget() -> None:
    """Have no members: those of the process that this one was forked from are not ours."""
    ROOT._members.clear()
    ROOT._lock = threading.Lock()
