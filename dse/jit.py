"""The one way in which this package compiles: cached on disk, without the interpreter lock.

Compiled functions allocate nothing: all working memory comes in as arguments. So they are compiled
without numba's reference counting, whose atomic increments at every array view would otherwise
take more than half of the time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import event

_LOG = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
}
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


#: Rooms whose compiled code all other rooms may call.
_BASE = ("model", "mapspace")


@cache
def _sources(room: str) -> tuple[tuple[str, int, int], ...]:
    """Return name, time and size of every file that a room's compiled code comes from."""
    package = Path(__file__).parent
    rooms = {*_BASE, room}
    files = [
        package / "domain" / "architecture.py",
        *(f for r in rooms for f in package.glob(f"{r}/**/*.py")),
    ]
    stats = [(str(f.relative_to(package)), f.stat()) for f in sorted(files)]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _cached(dispatcher: Any) -> Any:  # noqa: ANN401
    """Let the function's cache go stale with any of the sources: its room's, and the model's.

    Numba looks at the function's own file only, but its code holds that of the functions it
    calls, so an edit elsewhere would leave the old code running.
    """
    module = dispatcher.py_func.__module__.split(".")
    # tests compile functions of their own, which call the model's
    room = module[1] if module[0] == "dse" and len(module) > 2 else "model"
    dispatcher._cache._cache_file._source_stamp = _sources(room)
    return dispatcher


def compiled(function: F) -> F:
    """Compile an entry point: callable from Python, cached on disk, GIL released."""
    result: F = _cached(numba.njit(**_OPTIONS)(function))
    return result


def inner(function: F) -> F:
    """Compile a function that only compiled code calls: it gets no wrappers for Python."""
    result: F = _cached(numba.njit(**_OPTIONS, **_NO_WRAPPERS)(function))
    return result


class _FirstCompile(event.Listener):
    """Says once that code is being compiled: nothing else explains a silent half minute."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, event: event.Event) -> None:
        dispatcher = event.data["dispatcher"]
        if not self._said and dispatcher.py_func.__module__.startswith("dse."):
            self._said = True
            _LOG.warning("compiling the model for this machine: about half a minute, only once")

    def on_end(self, event: event.Event) -> None:
        """Do nothing."""


event.register("numba:compile", _FirstCompile())  # type: ignore[no-untyped-call]
