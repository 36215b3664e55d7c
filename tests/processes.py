"""Processes that tests start: told apart by a word on their command line."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="what a program leaves behind is found on Linux"
)


def marked() -> str:
    """Return a word that no other process has."""
    return f"marked-{uuid.uuid4().hex}"


def living(word: str) -> list[int]:
    """Return the processes with a word on their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def gone(word: str, patience_s: float = 20.0) -> bool:
    """Whether all processes with a word end in time."""
    return comes(lambda: not living(word), patience_s)


def there(word: str, count: int = 1, patience_s: float = 60.0) -> bool:
    """Whether so many processes with a word come in time."""
    return comes(lambda: len(living(word)) >= count, patience_s)


def comes(true: Callable[[], bool], patience_s: float = 20.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
