"""Rows of our own: ``rows.jsonl``, one recorded answer a line, checked like a journal.

The first line says what all have in common: ``format`` and ``timeloop_version``. A row has
``architecture`` (Timeloop's files of architecture, ERT and ART as one text), ``problem``,
``mapping``, ``cycles``, ``layer`` and ``source`` (who counted the cycles).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import SHAPES, Problem, Shape
from dse.errors import DseError, SpecError
from dse.files import validated
from dse.learned.rows import RecordedRows, Row
from dse.space.workload import ShapeSpec
from dse.state.entries import CheckedEntries
from dse.state.records import RECORDS
from dse.study.journal import Journal, read_journal
from dse.timeloop.read.inputs import check_version, read_entry
from dse.timeloop.yaml.io import load_texts
from dse.tools.model_run import hardware_text

ROWS = "rows.jsonl"
FORMAT = "dse-rows-1"


class RowsWriter:
    """Appends recorded answers to a file; holds a lock on it.

    A search that is resumed opens it at the size and checksum that it has kept (see `Journal`).
    """

    def __init__(
        self, path: Path, timeloop_version: str, *, size_bytes: int = 0, crc: int = 0
    ) -> None:
        """Open a file; a new one gets its first line.

        Args:
            path: of the file.
            timeloop_version: of the native model beside the rows.
            size_bytes: of the file, to go on with.
            crc: of its last line.

        Raises:
            SpecError: as `Journal` does, or the version is unknown.
        """
        check_version(timeloop_version)
        self.journal = Journal(path, size_bytes, crc)
        if not size_bytes:
            self.journal.write({"format": FORMAT, "timeloop_version": timeloop_version})

    def add(
        self,
        architecture: Architecture,
        problem: Problem,
        mapping: Mapping,
        cycles: float,
        *,
        source: str,
        layer: str = "",
    ) -> None:
        """Append one row.

        Args:
            architecture: with its prices.
            problem: that the mapping maps (the padded one, where it is padded).
            mapping: of perfect factors.
            cycles: recorded.
            source: who counted them, such as ``rtl``.
            layer: its name.

        Raises:
            SpecError: imperfect factors, or an architecture that Timeloop's files cannot express.
            DseError: it cannot be written.
        """
        if not mapping.is_perfect:
            raise SpecError("mapping: has imperfect factors, which rows do not hold")
        fields = RECORDS["$mapping"].fields(mapping)
        self.journal.write(
            {
                "architecture": hardware_text(architecture),
                "problem": problem_entries(problem),
                "mapping": {"sizes": fields["sizes"], "numbers": fields["numbers"].tolist()},
                "cycles": float(cycles),
                "source": source,
                "layer": layer,
            }
        )

    def close(self) -> None:
        """Close the file and give up the lock."""
        self.journal.close()


def read_rows(path: Path) -> RecordedRows:
    """Read the rows that a `RowsWriter` wrote; a torn last line is skipped.

    Raises:
        SpecError: naming file, line, key and value.
    """
    reader: _RowsReader | None = None
    rows, digest = [], hashlib.sha256()
    for number, record in enumerate(read_journal(path), start=1):
        place = f"{path}, line {number}"
        digest.update(repr(record).encode())
        try:
            if reader is None:
                reader = _RowsReader(record, place)
            else:
                rows.append(reader.row(record, place))
        except SpecError as error:
            text = str(error)
            raise SpecError(text if text.startswith(place) else f"{place}: {text}") from error
    if reader is None:
        raise SpecError(f"{path}: has no rows")
    return RecordedRows.of(str(path), digest.hexdigest(), reader.timeloop_version, rows)


class _RowsReader:
    """Reads rows after the first line of their file."""

    def __init__(self, record: dict[str, Any], place: str) -> None:
        with CheckedEntries(record, place) as entries:
            found = entries.text("format")
            if found != FORMAT:
                entries.refuse("format", found, FORMAT)
            self.timeloop_version = entries.text("timeloop_version")
            check_version(self.timeloop_version)
        self._machines: dict[str, Architecture] = {}

    def row(self, record: dict[str, Any], place: str) -> Row:
        with CheckedEntries(record, place) as entries:
            with entries.part("problem") as part:
                problem = _problem(part, f"{place}: problem")
            with entries.part("mapping") as part:
                mapping = _mapping(part, f"{place}: mapping")
            architecture = self._architecture(entries, problem, place)
            entries.text("source")
            return Row(
                *(architecture, problem, mapping, entries.number("cycles", finite=True), place),
                layer=entries.text("layer"),
            )

    def _architecture(self, entries: CheckedEntries, problem: Problem, place: str) -> Architecture:
        text = entries.text("architecture")
        if text not in self._machines:
            root = load_texts([(f"{place}: architecture", text)])
            found, fault = read_entry(root, self.timeloop_version, problem, for_model=False)
            if fault is not None:
                raise fault.error
            self._machines[text] = found.architecture
        return self._machines[text]


def problem_entries(problem: Problem) -> dict[str, Any]:
    """Return a problem as plain data; built-in shapes by name, others in full."""
    shape = problem.shape
    built_in = SHAPES.get(shape.name) == shape
    return {
        "shape": shape.name if built_in else _shape_entries(shape),
        "bounds": dict(problem.bounds),
        "coefficients": dict(problem.coefficients),
    }


def _shape_entries(shape: Shape) -> dict[str, Any]:
    def row(terms: tuple[Any, ...]) -> str:
        return " + ".join(
            t.dimension if t.coefficient is None else f"{t.dimension}*{t.coefficient}"
            for t in terms
        )

    return {
        "name": shape.name,
        "dimensions": list(shape.dimensions),
        "coefficients": dict(shape.coefficients),
        "data_spaces": {
            space.name: {
                "projection": ", ".join(row(terms) for terms in space.projection),
                "read_write": space.read_write,
            }
            for space in shape.data_spaces
        },
    }


def _problem(entries: CheckedEntries, where: str) -> Problem:
    given = entries.take("shape")
    if isinstance(given, str):
        if given not in SHAPES:
            entries.refuse("shape", given, f"one of {', '.join(SHAPES)}, or a whole shape")
        shape = SHAPES[given]
    else:
        shape = validated(ShapeSpec, given, f"{where}.shape").build()
    return Problem(shape, entries.integers("bounds"), entries.integers("coefficients"))


def _mapping(entries: CheckedEntries, where: str) -> Mapping:
    numbers = entries.items("numbers", int)
    if any(abs(n) >= 2**31 for n in numbers):
        entries.refuse("numbers", max(numbers, key=abs), "integers of 32 bits")
    given = {"sizes": entries.take("sizes"), "numbers": np.array(numbers, np.int32)}
    with CheckedEntries(given, where) as inner:
        built = RECORDS["$mapping"].build(inner)
    if not isinstance(built, Mapping):
        raise DseError(f"{where}: no mapping")
    return built
