"""When a study was where: seconds of work and samples after every batch, beside the journal.

The journal holds no times, so that equal studies have equal journals. These do: they are for
comparisons at equal time, and nothing depends on them. Seconds in which code was compiled do not
count, nor do those between a kill and the resumption.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from types import TracebackType

from dse.disk import not_written, open_to_append, read_file, write_all
from dse.errors import SpecError
from dse.jit import working_time
from dse.study.study import Progress

TIMES = "times.jsonl"
_MAX_BYTES = 64 * 1024 * 1024


class Times:
    """Writer of the times of a study, one line after every batch; goes on after what is there.

    Args:
        path: of the file.
        samples: that the study has spent: what comes after was lost, and is done again.
    """

    def __init__(self, path: Path, samples: int) -> None:
        """Open the file.

        Raises:
            SpecError: a link, or something else that is no file, stands in its place.
            DseError: it cannot be opened.
        """
        self._path = path
        before = read_times(path) if path.exists() else []
        self._descriptor = open_to_append(path)
        before = [one for one in before if one[0] <= samples]
        whole = sum(len(_line(*one)) for one in before)
        os.ftruncate(self._descriptor, whole)  # a torn line, and those of batches that were lost
        self._start = working_time() - (before[-1][1] if before else 0.0)

    def note(self, now: Progress) -> None:
        """Write where a study stands now.

        Raises:
            DseError: it cannot be written.
        """
        try:
            write_all(self._descriptor, _line(now.samples, working_time() - self._start))
        except OSError as error:
            raise not_written(self._path, error) from error

    def __enter__(self) -> Times:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


def _line(samples: int, seconds: float) -> bytes:
    return b'{"samples":%d,"seconds":%.6f}\n' % (samples, seconds)


def read_times(path: Path) -> list[tuple[int, float]]:
    """Return samples and seconds after every batch, up to a line that is not as it is written.

    Raises:
        SpecError: the file is missing or cannot be read.
    """
    found: list[tuple[int, float]] = []
    for line in read_file(path, _MAX_BYTES).splitlines(keepends=True):
        try:
            record = json.loads(line)
            one = (int(record["samples"]), float(record["seconds"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            break
        before = found[-1] if found else (0, 0.0)
        if line != _line(*one) or not before[1] <= one[1] < math.inf or one[0] < before[0]:
            break
        found.append(one)
    return found


def times_of(folder: Path) -> list[tuple[int, float]]:
    """Return the times of a run folder; empty where it has none, as up to version 0.1.0."""
    try:
        return read_times(folder / TIMES)
    except SpecError:
        return []
