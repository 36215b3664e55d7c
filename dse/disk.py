"""Files of a run folder: written whole or not at all, read within bounds, never through a link.

A run folder may come from a stranger. A link that stands in the place of a file to be written is
replaced, or refused; what it leads to is never touched. What is read must be a regular file, since
a pipe or a device may have no end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from dse.errors import DseError, SpecError

# not on every platform
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        DseError: it cannot be written; the disk is full, say.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise not_written(path, error) from error


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file as :func:`replace_file`, but raise OSError where it cannot be written.

    Args:
        path: of the file; a link of that name is replaced.
        data: its content.
        durable: whether it outlives a failure of power, which costs milliseconds.
    """
    partial = path.with_name(f"{path.name}.partial")
    # what a kill left, or a stranger's link: its name goes, what it leads to stays as it is
    partial.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY
    descriptor = os.open(partial, flags, 0o666)
    try:
        try:
            write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data; OSError where only a part could be written."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def open_to_append(path: Path) -> int:
    """Open a file for reading and appending, made where there is none; return its descriptor.

    Raises:
        SpecError: a link, or something else that is no file, stands in its place.
        DseError: it cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _NO_LINK | _NO_WAIT | _BINARY
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SpecError(f"{path}: is a link, expected the file itself") from error
        raise DseError(f"{path}: cannot be opened ({error.strerror or error})") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SpecError(f"{path}: is not a regular file")
    return descriptor


def open_to_read(path: Path) -> BinaryIO:
    """Open a regular file; OSError where it cannot be.

    Raises:
        SpecError: it is no regular file.
    """
    # a pipe is not waited for
    descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | _BINARY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SpecError(f"{path}: is not a regular file")
    return os.fdopen(descriptor, "rb")


def read_file(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most so many bytes.

    Raises:
        SpecError: there is none, it is larger, or it cannot be read.
    """
    try:
        with open_to_read(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise SpecError(f"{path}: has {size} bytes, expected at most {most}")
            return file.read()
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror or error})") from error


def not_written(path: Path, error: OSError) -> DseError:
    """Return the error of a file that cannot be written."""
    return DseError(f"{path}: cannot be written ({error.strerror or error})")


def cache_folder(kind: str) -> Path:
    """Return where things of a kind are kept between runs; DSE_CACHE chooses another place."""
    named = os.environ.get("DSE_CACHE")
    if named:
        return Path(named) / kind
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dse" / kind


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write texts by file name into a folder, which is made where it is missing.

    Raises:
        SpecError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{folder}: cannot be written: {error.strerror or error}") from error
