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


def compiled(function: F) -> F:
    """Compile ``function`` with numba: no-Python mode, cached on disk, GIL released."""
    result: F = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function)
    return result
