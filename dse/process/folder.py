"""Folders of running programs: one each, since two runs of Timeloop overwrite each other's files.

A folder in use holds a locked file. A folder that holds an unlocked one was left by a ``dse`` that
was killed, and goes when the next one makes a folder there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from dse.disk import open_to_read
from dse.errors import SpecError, ToolError
from dse.process import together

try:
    import fcntl
except ImportError:  # nor can programs be run on such a platform
    fcntl = None  # type: ignore[assignment]

_PREFIX = "dse-tool-"
_IN_USE = ".in-use"


@contextlib.contextmanager
def own_folder(parent: Path | None = None, *, keep: bool = True) -> Iterator[Path]:
    """Make a new folder, removed at the end; kept when a ToolError names it.

    Args:
        parent: where to make it; None = the system's place for temporary files.
        keep: False removes it after a ToolError too.

    Raises:
        ToolError: the folder cannot be made or written to.
    """
    place = parent or Path(tempfile.gettempdir())
    _sweep(place)
    try:
        folder = _Folder(place)
    except OSError as error:
        raise ToolError(f"folder {place}: cannot be written ({error.strerror or error})") from error
    try:
        yield folder.path
    except ToolError as error:
        if keep and not isinstance(error, together.Stopped):
            folder.keep()
        raise
    except OSError as error:
        raise ToolError(
            f"folder {folder.path}: cannot be written ({error.strerror or error}); "
            "TMPDIR chooses another place"
        ) from error
    finally:
        folder.end()


class _Folder:
    """A folder in use; it ends with the programs that it belongs to."""

    def __init__(self, place: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        self._lock = -1
        self._kept = False
        self._scope = together.current()
        try:
            self._scope.add(self)
            making = self.path / f"{_IN_USE}.new"
            self._lock = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            _try_lock(self._lock)
            making.rename(self.path / _IN_USE)  # it is never seen unlocked
        except BaseException:
            self.end()
            raise

    def stop(self) -> None:
        """Do nothing: a program may still be writing to it."""

    def end(self) -> None:
        """Remove it, unless it is kept; it may have been removed already."""
        if not self._kept:
            shutil.rmtree(self.path, ignore_errors=True)
        self._release()

    def keep(self) -> None:
        """Let it stay."""
        self._kept = True
        with contextlib.suppress(OSError):
            (self.path / _IN_USE).unlink()
        self._release()

    def _release(self) -> None:
        self._scope.discard(self)
        descriptor, self._lock = self._lock, -1
        if descriptor >= 0:
            os.close(descriptor)


def result_text(path: Path, most_bytes: int = 2**26) -> str:
    """Return a file that a program wrote.

    Raises:
        FileNotFoundError: it wrote none.
        ToolError: it is no regular file, larger than that, or no text.
    """
    try:
        with open_to_read(path) as file:
            data = file.read(most_bytes + 1)
        text = data.decode()
    except SpecError as error:  # a pipe, say
        raise ToolError(str(error)) from error
    except UnicodeDecodeError as error:
        raise ToolError(f"{path}: is not text ({error})") from error
    if len(data) > most_bytes:
        raise ToolError(f"{path}: is larger than {most_bytes >> 20} MB")
    return text


@cache
def _sweep(place: Path) -> None:
    """Remove folders whose ``dse`` has gone; once for each place."""
    with contextlib.suppress(OSError):
        for folder in place.glob(f"{_PREFIX}*"):
            _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / _IN_USE, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if _try_lock(descriptor):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock a file for as long as the descriptor is open; False where somebody else has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
