"""The one way in which this package compiles: cached on disk, without the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile ``function`` with numba: no-Python mode, cached on disk, GIL released."""
    result: F = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return result


