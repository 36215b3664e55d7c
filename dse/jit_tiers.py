"""Two tiers: what is not compiled yet runs interpreted, while other processes compile it.

A first use need not wait: the same functions run in Python, to the same bits, some hundred times
slower. What has taken a tenth of a second so is compiled beside this process, and taken up as soon
as it is on disk, in the midst of a call if need be: that is begun again, compiled.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.registry import CPUDispatcher

from dse.jit_beside import Beside, Request
from dse.jit_locks import is_being_compiled

BUILT_AS_EXPECTED = all(hasattr(Dispatcher, name) for name in ("_compile_for_args", "typeof_pyval"))

#: Seconds of work that a function may take in Python before it is compiled.
_HOT_S = 0.1
#: Seconds between looks at what has been compiled.
_POLL_S = 0.05

_Types = tuple[Any, ...]

_BESIDE = Beside()
_is_on = False


@contextmanager
def interpreting_first() -> Iterator[None]:
    """Within it, interpret what would have to be compiled; not so on one core."""
    global _is_on  # noqa: PLW0603 - of all threads
    before, _is_on = _is_on, (os.cpu_count() or 1) > 1
    try:
        yield
    finally:
        _is_on = before
        _BESIDE.leave()


@contextmanager
def rehearsing() -> Iterator[None]:
    """Within it, have compiled at once, on all cores, what this thread calls and is missing.

    For calls with next to nothing, before those that will take long: these are spared then from
    finding out one after the other what is missing.
    """
    before, _INTERPRETING.rehearses = _INTERPRETING.rehearses, True
    try:
        yield
    finally:
        _INTERPRETING.rehearses = before


def is_missing(dispatcher: Any) -> bool:  # noqa: ANN401
    """Whether a function would be interpreted, as there is no compiled code of it at all."""
    if not _is_on or "_compile_for_args" not in vars(dispatcher) or dispatcher.overloads:
        return False
    return not dispatcher._cache._cache_file._load_index()


class _Ready(Exception):
    """The compiled code of the function that is interpreted is there."""


class _Missing:
    """The compiled code of a function for some types, as long as it is missing.

    Args:
        dispatcher: of the function.
        types: of its arguments.
        beside: who compiles.
    """

    def __init__(self, dispatcher: Any, types: _Types, beside: Beside) -> None:  # noqa: ANN401
        function = dispatcher.py_func
        self._request = Request(function.__module__, function.__qualname__, types)
        self._beside = beside
        self._dispatcher = dispatcher
        self._cache = dispatcher._cache
        self._key = self._cache._index_key(types, dispatcher.targetctx.codegen())
        self._seen: int | None = None
        self._found = False
        self._look_next = 0.0
        self._lock = threading.Lock()
        self._asked = False
        #: Whether it was asked for in a rehearsal.
        self.is_wanted = False
        #: Whether it is to be compiled here and now.
        self.is_urgent = False
        self._spent_s = 0.0

    def is_over(self) -> bool:
        """Whether the code is on disk, or nobody compiles it who was asked to."""
        if self.is_urgent or self._is_there():
            return True
        if not self._asked:
            return False
        at_work = self._beside.is_at_work(self._request) or is_being_compiled(self._dispatcher)
        # it may have come, and the process ended, since we looked
        return not at_work or self._is_there(at_once=True)

    def _is_there(self, *, at_once: bool = False) -> bool:
        """Whether the code was on disk when it was last looked for, a moment ago or just now."""
        now = time.monotonic()
        if now < self._look_next and not at_once:
            return self._found
        self._look_next = now + _POLL_S
        index = self._cache._cache_file
        try:
            changed = Path(index._index_path).stat().st_mtime_ns
        except OSError:
            return False
        if changed != self._seen:
            self._seen = changed
            self._found = self._key in index._load_index()
        return self._found

    def look(self, spent_s: float) -> bool:
        """Have it compiled if it has taken long, ``spent_s`` of late; return `is_over`."""
        with self._lock:
            rehearses = _INTERPRETING.rehearses
            if not self._asked and (rehearses or self._spent_s + spent_s > _HOT_S):
                if not is_being_compiled(self._dispatcher):
                    self._beside.ask(self._request, at_once=rehearses)
                    self.is_wanted = rehearses
                self._asked = True  # by now, so that no other thread finds nobody at work
        return self.is_over()

    def give_way(self) -> bool:
        """Wait while it comes and all cores are taken by compiling; return `is_over`."""
        while not (over := self.is_over()) and self._beside.takes_all_cores:
            time.sleep(_POLL_S)
        return over

    def add(self, spent_s: float) -> None:
        """Add to the time that it has taken."""
        self.look(spent_s)
        self._spent_s += spent_s


class _Interpreting(threading.local):
    """What a thread interprets, if anything, and when to look next whether it has been compiled."""

    missing: _Missing | None = None
    began = 0.0
    next = 0.0
    rehearses = False

    @contextmanager
    def code(self, missing: _Missing, began: float) -> Iterator[None]:
        """Interpret a function, in another one maybe; its time since it was called is added up."""
        outer = self.missing, self.began, self.next
        self.missing, self.began, self.next = missing, began, time.monotonic() + _POLL_S
        try:
            yield
        finally:
            self.missing, self.began, self.next = outer
            missing.add(time.thread_time() - began)

    def look(self) -> None:
        """Leave what is interpreted once its compiled code is there."""
        if self.missing is not None and (now := time.monotonic()) >= self.next:
            self.next = now + _POLL_S
            if self.missing.look(time.thread_time() - self.began):
                raise _Ready


_INTERPRETING = _Interpreting()


class Callee(CPUDispatcher):
    """A function that compiled code calls; called from Python it is interpreted."""

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401
        """Call the function, unless what it is a part of has been compiled by now."""
        _INTERPRETING.look()
        return self.py_func(*args)


def in_tiers(
    dispatcher: Any,  # noqa: ANN401
    stopped: Callable[[], AbstractContextManager[None]],
) -> None:
    """Let a function be interpreted as long as its compiled code is missing.

    Args:
        dispatcher: of the function, which may be left anywhere and begun again.
        stopped: is entered while it is interpreted or waited for, in place of being compiled.
    """
    compile_now = dispatcher._compile_for_args
    known: dict[_Types, _Missing] = {}

    def compile_or_interpret(*args: Any) -> Any:  # noqa: ANN401
        if not _is_on:
            return compile_now(*args)
        began = time.thread_time()
        types = tuple(dispatcher.typeof_pyval(arg) for arg in args)
        missing = known.get(types) or known.setdefault(types, _Missing(dispatcher, types, _BESIDE))
        if missing.is_over():
            return compile_now(*args)
        if missing.is_wanted and not _INTERPRETING.rehearses:
            with stopped():
                over = missing.give_way()
            if over:
                return compile_now(*args)

        def interpret(*args: Any) -> Any:  # noqa: ANN401
            try:
                with stopped(), _INTERPRETING.code(missing, began), np.errstate(all="ignore"):
                    return dispatcher.py_func(*args)
            except _Ready:
                pass
            except ArithmeticError:  # of Python's numbers, where compiled code has infinities
                missing.is_urgent = True
            return dispatcher(*args)

        return interpret

    dispatcher._compile_for_args = compile_or_interpret
