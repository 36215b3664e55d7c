"""The one way in which this package compiles: cached on disk, without the interpreter lock.

Compiled functions allocate nothing: all working memory comes in as arguments. So they are compiled
without numba's reference counting, whose atomic increments at every array view would otherwise
take more than half of the time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
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


def _sources(*rooms: str) -> tuple[tuple[str, int, int], ...]:
    """Return name, time and size of every file that the compiled code of rooms comes from."""
    package = Path(__file__).parent.parent
    files = [package / "architecture.py"]
    for room in rooms:
        files += package.glob(f"{room}/*.py")
    stats = [(str(f.relative_to(package)), f.stat()) for f in sorted(files)]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


_STAMP = _sources("model", "mapspace")
#: The exact searches stand on the other rooms; an edit there leaves the model's code alone.
_STAMP_OPTIMAL = _sources("model", "mapspace", "optimal")


def _cached(dispatcher: Any) -> Any:  # noqa: ANN401
    """Let the function's cache go stale with any of the sources.

    Numba looks at the function's own file only, but its code holds that of the functions it
    calls, so an edit elsewhere would leave the old code running.
    """
    optimal = dispatcher.py_func.__module__.startswith("dse.optimal")
    dispatcher._cache._cache_file._source_stamp = _STAMP_OPTIMAL if optimal else _STAMP
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
