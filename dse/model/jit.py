"""The one way in which this package compiles: cached on disk, without the interpreter lock.

Compiled functions allocate nothing: all working memory comes in as arguments. So they are compiled
without numba's reference counting, whose atomic increments at every array view would otherwise
take more than half of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
}
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def compiled(function: F) -> F:
    """Compile an entry point: callable from Python, cached on disk, GIL released."""
    result: F = numba.njit(**_OPTIONS)(function)
    return result


def inner(function: F) -> F:
    """Compile a function that only compiled code calls: it gets no wrappers for Python."""
    result: F = numba.njit(**_OPTIONS, **_NO_WRAPPERS)(function)
    return result
