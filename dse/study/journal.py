"""The journal of a study: one JSON line per evaluated design, append-only.

A line is written whole and at once, so a killed process leaves at most one torn line at the end,
which readers skip and a resumed study cuts off. There are no times in it: equal studies have
equal journals.

The last key of a line, ``crc``, is the CRC-32 of the line without it, begun from that of the line
before: a changed line is noticed, and so is one that is missing, doubled or moved.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from dse.disk import not_written, open_to_append, open_to_read, write_all
from dse.errors import DseError, SpecError

_SEAL = re.compile(rb',"crc":"([0-9a-f]{8})"}$')
#: Bytes of a line, more than any template's variables make.
_LONGEST = 16 * 1024 * 1024

try:
    import fcntl
except ImportError:  # not on every platform
    fcntl = None  # type: ignore[assignment]


class Journal:
    """Writer of a journal; holds a lock on the file, so that no two studies share a folder.

    Attributes:
        size_bytes: length.
        crc: checksum of the last line; 0 before the first.
    """

    def __init__(self, path: Path, size_bytes: int = 0, crc: int = 0) -> None:
        """Open for appending after the first ``size_bytes`` bytes; the rest is cut off.

        Raises:
            SpecError: the file is shorter than that, its lines are not those that were written,
                or a link stands in its place. Then nothing is cut off.
            DseError: another process is writing to it.
        """
        self._path = path
        self._descriptor = open_to_append(path)
        try:
            _lock(self._descriptor, path)
            found = os.fstat(self._descriptor).st_size
            if found < size_bytes:
                raise SpecError(
                    f"{path}: has {found} bytes, but its checkpoint is for {size_bytes}: it was "
                    "cut by hand"
                )
            self._check(size_bytes, crc)
            os.ftruncate(self._descriptor, size_bytes)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.size_bytes, self.crc = size_bytes, crc

    def write(self, record: dict[str, Any]) -> None:
        """Append one record, which has one key at least.

        Raises:
            DseError: it cannot be written; the disk is full, say.
        """
        body = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
        crc = zlib.crc32(body, self.crc)
        line = b'%s,"crc":"%08x"}\n' % (body[:-1], crc)
        try:
            write_all(self._descriptor, line)
        except OSError as error:
            raise not_written(self._path, error) from error
        self.size_bytes += len(line)
        self.crc = crc

    def close(self) -> None:
        """Close the file and give up the lock."""
        os.close(self._descriptor)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self, size_bytes: int, crc: int) -> None:
        """Refuse lines that are not those of a checkpoint."""
        found = 0
        with open_to_read(self._path) as file:
            for number, line in enumerate(_lines(file, size_bytes), start=1):
                _, found = _opened(self._path, number, line, found)
        if found != crc:
            raise SpecError(f"{self._path}: is not the journal that its checkpoint was saved with")


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a journal; a torn last line is skipped.

    Raises:
        SpecError: the file is missing, or a line before the last is not as it was written.
    """
    crc = 0
    try:
        with open_to_read(path) as file:
            for number, line in enumerate(_lines(file), start=1):
                body, crc = _opened(path, number, line, crc)
                yield _record(path, number, body)
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror or error})") from error


def extent(path: Path) -> tuple[int, int]:
    """Return bytes of the whole lines of a journal, and the checksum of the last; 0, 0 of none.

    Raises:
        SpecError: a line is not as it was written.
    """
    size = crc = 0
    if path.exists():
        with open_to_read(path) as file:
            for number, line in enumerate(_lines(file), start=1):
                _, crc = _opened(path, number, line, crc)
                size += len(line) + 1
    return size, crc


def has_checksums(path: Path) -> bool:
    """Whether the first line of a journal has one; those of version 0.1.0 have none.

    Raises:
        SpecError: the file is missing or cannot be read.
    """
    try:
        with open_to_read(path) as file:
            return any(_SEAL.search(line) for line in islice(_lines(file), 1))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror or error})") from error


def _lines(file: BinaryIO, size_bytes: int | None = None) -> Iterator[bytes]:
    """Yield the whole lines of a file without their ends; those of its first bytes, where given."""
    left = size_bytes
    while left is None or left > 0:
        line = file.readline(_LONGEST if left is None else min(left, _LONGEST))
        if not line.endswith(b"\n"):
            # torn; but not where a checkpoint says that it is whole, or that is no line at all
            if left is not None or len(line) == _LONGEST:
                yield line
            return
        yield line[:-1]
        left = None if left is None else left - len(line)


def _opened(path: Path, number: int, line: bytes, before: int) -> tuple[bytes, int]:
    """Return a line without its checksum, and the checksum.

    Raises:
        SpecError: it is not what was written.
    """
    seal = _SEAL.search(line)
    if seal is None:
        raise SpecError(
            f"{path}, line {number}: damaged: it has no checksum; those of version 0.1.0 have none"
        )
    body = line[: seal.start()] + b"}"
    crc = zlib.crc32(body, before)
    if crc != int(seal.group(1), 16):
        raise SpecError(
            f"{path}, line {number}: damaged: it, or the line before it, is not what was written"
        )
    return body, crc


def _record(path: Path, number: int, body: bytes) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}, line {number}: not a record ({error})") from error
    if not isinstance(record, dict):
        raise SpecError(f"{path}, line {number}: not a record")
    return record


def _lock(descriptor: int, path: Path) -> None:
    if fcntl is not None:  # else two writers are the user's affair
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DseError(f"{path}: another process is writing to it") from error
