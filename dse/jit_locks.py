"""The files beside a function's cache: its lock, which whoever compiles it holds, and its times."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # processes that start together then all compile
    fcntl = None  # type: ignore[assignment]

#: What is compiled or waited for; a command that says no progress does not say it either.
NOTES = logging.getLogger("dse.compiling")


def name_of(dispatcher: Any) -> str:  # noqa: ANN401
    """Return a function's full name."""
    return f"{dispatcher.py_func.__module__}.{dispatcher.py_func.__qualname__}"


def file_beside(dispatcher: Any, kind: str) -> Path:  # noqa: ANN401
    """Return the path of a file of ours beside a function's cache."""
    return Path(dispatcher._cache.cache_path) / f"{name_of(dispatcher)}.{kind}"


def is_being_compiled(dispatcher: Any) -> bool:  # noqa: ANN401
    """Whether a process holds a function's lock; never where there are no locks."""
    if fcntl is not None:
        with suppress(FileNotFoundError), file_beside(dispatcher, "lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


@contextmanager
def locked(
    dispatcher: Any,  # noqa: ANN401
    waiting: Callable[[], AbstractContextManager[None]],
) -> Iterator[None]:
    """Hold the lock of a function's cache; without one where it cannot be had.

    Args:
        dispatcher: of the function.
        waiting: is entered while another process holds it.
    """
    descriptor = None
    if fcntl is not None:
        with suppress(OSError):
            Path(dispatcher._cache.cache_path).mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file_beside(dispatcher, "lock"), os.O_RDWR | os.O_CREAT, 0o644)
    if descriptor is None:
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            NOTES.warning("waiting for a process that compiles %s", name_of(dispatcher))
            with waiting():
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
