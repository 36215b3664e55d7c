"""Answers that are kept: a folder of files that are only ever appended to, each by one process.

So several processes, on several machines, may keep their answers in one folder of a shared disk
without locks that work there. A process finds what was in the folder when it came, and what it
adds itself. A line is written whole; what a kill tears off is skipped.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import uuid
from pathlib import Path
from types import TracebackType

from dse.errors import SpecError
from dse.state.entries import CheckedEntries
from dse.study.journal import Journal, read_journal

#: Whether a mapping is valid, and its cycles, pJ, utilization and um^2: NaN where it is not.
Answer = tuple[bool, float, float, float, float]
_NAN = float("nan")
REJECTED: Answer = (False, _NAN, _NAN, _NAN, _NAN)
_ENDING = ".answers"


class AnswerStore:
    """Answers by the digest of what was asked; several threads may use it at once."""

    def __init__(self, folder: Path) -> None:
        """Read what is there.

        Raises:
            SpecError: it is no folder, cannot be made, or a file in it is damaged.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise SpecError(f"store = {folder}: cannot be made ({reason})") from error
        self._folder = folder
        self._known: dict[str, Answer] = {}
        self._file: Journal | None = None
        self._lock = threading.Lock()
        for path in sorted(folder.glob(f"*{_ENDING}")):
            for record in read_journal(path):
                with CheckedEntries(record, str(path)) as entries:
                    key = entries.text("asked")
                    row = entries.maybe("answer", lambda name: entries.numbers(name, 4))
                self._known[key] = REJECTED if row is None else (True, *row)  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> Answer | None:
        """Return what was answered; None: it was not asked yet."""
        return self._known.get(key)

    def add(self, key: str, answer: Answer) -> None:
        """Keep an answer, unless numbers of it are not finite, which no line can hold.

        Raises:
            DseError: it cannot be written; the disk is full, say.
        """
        valid, *row = answer
        if valid and not all(map(math.isfinite, row)):
            return
        with self._lock:
            if key in self._known:
                return
            if self._file is None:
                name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}{_ENDING}"
                self._file = Journal(self._folder / name)
            self._file.write({"asked": key, "answer": row if valid else None})
            self._known[key] = answer

    def close(self) -> None:
        """Close the file; a next answer begins another one."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()

    def __enter__(self) -> AnswerStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
