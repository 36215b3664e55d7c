"""Standard output and error that may be closed or full: no traceback, and no run ends for them.

What goes to stderr (progress, messages) is lost where it cannot be written; a failure of stdout
is an error of its own once the work is done. Either way the exit code says that output failed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

#: Exit code where output could not be written.
FAILED = 1


class Streams:
    """What became of the standard streams."""

    def __init__(self, out: _Watched, err: _Watched) -> None:
        self._out, self._err = out, err

    def code(self, code: int) -> int:
        """Return the exit code: that of the command, or that its output failed."""
        try:
            self._out.flush()
        except BrokenPipeError:
            pass  # the reader of our output, such as head, has gone
        except OSError as error:
            self._err.write(f"error: {error.filename}: {error.strerror}\n")
        self._err.flush()
        return code or (FAILED if self._out.failure or self._err.failure else 0)


@contextmanager
def watched() -> Iterator[Streams]:
    """Put streams in the place of stdout and stderr that note what fails."""
    before = sys.stdout, sys.stderr
    _occupy()
    out, err = _Watched(sys.stdout, "standard output"), _Watched(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield Streams(out, err)
    finally:
        sys.stdout, sys.stderr = before
        for stream in (out, err):
            stream.let_go()


class _Watched:
    """A text stream whose first failure is kept; from then on nothing is written to it.

    Args:
        stream: the stream; None: it was closed before the program began.
        name: what its failures are raised by; None: they are kept only.
    """

    def __init__(self, stream: TextIO | None, name: str | None = None) -> None:
        self._stream = stream
        self._name = name
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write."""
        if self._stream is None:
            self._fail(OSError(errno.EBADF, os.strerror(errno.EBADF)))
        elif self.failure is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._fail(error)
        else:
            self._fail(self.failure)
        return len(text)

    def flush(self) -> None:
        """Hand on what is still held back."""
        if self._stream is None or self.failure is not None:
            return
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def let_go(self) -> None:
        """Where writing failed, let the interpreter's end not fail on it again."""
        if self.failure is None or self._stream is None:
            return
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person looks on."""
        return self._stream is not None and self._stream.isatty()

    @property
    def encoding(self) -> str:
        """What texts are encoded with."""
        return self._stream.encoding if self._stream is not None else "utf-8"

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)

    def _fail(self, error: OSError) -> None:
        self.failure = error
        if self._name is not None:
            raise OSError(error.errno, error.strerror, self._name) from error


def _occupy() -> None:
    """Open what is closed of descriptors 0 to 2, so that no file of ours gets their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
