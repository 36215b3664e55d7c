"""The journal of a study: one JSON line per evaluated design, append-only.

A line is written whole and flushed, so a killed process leaves at most one torn line at the end,
which readers skip and a resumed study cuts off. There are no times in it: equal studies have
equal journals.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from dse.errors import DseError, SpecError


class Journal:
    """Writer of a journal; holds a lock on the file, so that no two studies share a folder."""

    def __init__(self, path: Path, size_bytes: int = 0) -> None:
        """Open for appending after the first ``size_bytes`` bytes; the rest is cut off.

        Raises:
            SpecError: the file is shorter than that.
            DseError: another process is writing to it.
        """
        self._path = path
        self._file = path.open("ab")
        try:
            _lock(self._file.fileno(), path)
            if path.stat().st_size < size_bytes:
                raise SpecError(
                    f"{path}: has {path.stat().st_size} bytes, but its checkpoint is for "
                    f"{size_bytes}: it was cut by hand"
                )
            self._file.truncate(size_bytes)
        except BaseException:
            self._file.close()
            raise
        self.size_bytes = size_bytes

    def write(self, record: dict[str, Any]) -> None:
        """Append one record and flush it.

        Raises:
            DseError: it cannot be written; the disk is full, say.
        """
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise _not_written(self._path, error) from error
        self.size_bytes += len(line)

    def close(self) -> None:
        """Close the file and give up the lock."""
        # every record was flushed; what is left is one whose failure has been told
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a journal; a torn last line is skipped.

    Raises:
        SpecError: the file is missing, or a line before the last is not a record.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror})") from error
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise SpecError(f"{path}, line {number}: not a record ({error})") from error
        yield record


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl  # noqa: PLC0415
    except ImportError:  # not on this platform: two writers are the user's affair
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DseError(f"{path}: another process is writing to it") from error


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        DseError: it cannot be written; the disk is full, say.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> DseError:
    return DseError(f"{path}: cannot be written ({error.strerror or error})")
