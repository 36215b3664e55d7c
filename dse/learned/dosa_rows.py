"""The rows of the DOSA artifact: Gemmini's cycles on FireSim, and Timeloop's answers, as CSV.

Columns: ``prob.*`` the layer, ``arch.*`` the hardware, ``mapping.mapping`` such as
``L3[WIO] P28 R7 - L2[WI] K4X - L1[O] K2 - L0[W] P2``, ``target.gemmini_cycle`` what FireSim
recorded. The data are not part of this package.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dse.components.chain import energy_chain
from dse.disk import read_file
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError
from dse.learned.rows import RecordedRows, Row
from dse.space import catalog

CsvRow = dict[str, str]

DIMENSIONS = ("R", "S", "P", "Q", "C", "K", "N")
COEFFICIENTS = ("Wstride", "Hstride", "Wdilation", "Hdilation")
LEVELS = ("L0", "L1", "L2", "L3")
KEEP = {"L0": "W", "L1": "O", "L2": "WI", "L3": "WIO"}
#: Values of the template ``gemmini`` that a row names.
VARIABLES = ("pe_dim", "scratchpad_kb", "accumulator_kb")
RECORDED = "target.gemmini_cycle"
_MAPPING = "mapping.mapping"
_COLUMNS = (
    *(f"prob.{d}" for d in (*DIMENSIONS, *COEFFICIENTS)),
    *("arch.meshX", "arch.mem1_entries", "arch.mem2_entries", _MAPPING),
)
_PART = re.compile(r"(L[0-3])\[([WIO]*)\]((?: [A-Z][0-9]{1,9}X?)*)")
_MOST_BYTES = 1 << 28


def is_dosa(path: Path) -> bool:
    """Whether a file is CSV with the columns of the artifact's recorded rows."""
    if path.suffix != ".csv":
        return False
    try:
        with path.open(encoding="utf-8") as file:
            return RECORDED in file.readline(1 << 16).rstrip("\n").split(",")
    except (OSError, UnicodeDecodeError):
        return False


def read_dosa(path: Path, *, used_arrays: bool = False) -> RecordedRows:
    """Read rows that FireSim recorded.

    Args:
        path: of the file.
        used_arrays: take an array of the side that ran the mapping for the hardware, with memories
            of the kilobytes that the row names. The training rows all name 128 x 128 and ran on
            arrays of 2 x 2 to 64 x 64 (see ``docs/firesim.md``).

    Raises:
        SpecError: the file cannot be read, lacks a column, or a value is none; names file, line,
            column and value.
    """
    data = read_file(path, _MOST_BYTES)
    rows = csv_rows(data, str(path), (*_COLUMNS, RECORDED))
    if used_arrays:
        rows = [_on_used_array(row, f"{path}, line {i + 2}") for i, row in enumerate(rows)]
    machines, index, _ = hardware_of(rows, str(path))
    found = []
    for number, row in enumerate(rows):
        place = f"{path}, line {number + 2}"
        problem = problem_of(tuple(row[f"prob.{d}"] for d in (*DIMENSIONS, *COEFFICIENTS)), place)
        try:
            cycles = float(row[RECORDED])
        except ValueError:
            raise SpecError(
                f"{place}: {RECORDED} = {row[RECORDED][:40]!r}, expected a number"
            ) from None
        mappings, _ = mappings_of([row[_MAPPING]], place)
        machine = machines.architectures[int(index[number])]
        found.append(Row(machine, problem, mappings[0], cycles, place))
    return RecordedRows.of(str(path), hashlib.sha256(data).hexdigest(), "dosa", found)


def _on_used_array(row: CsvRow, place: str) -> CsvRow:
    """Return a row with the smallest array, of a side that is a power of two, that it fits."""
    mappings, _ = mappings_of([row[_MAPPING]], place)
    side = 1 << max(1, (int(mappings.spatial.max()) - 1).bit_length())
    words = _integer(row, "arch.mem1_entries", place) * _integer(row, "arch.meshX", place)
    return {**row, "arch.meshX": str(side), "arch.mem1_entries": str(words // side)}


def csv_rows(data: bytes, where: str, columns: Sequence[str] = _COLUMNS) -> list[CsvRow]:
    """Return the rows of a CSV text with its header, checked to have these columns.

    Raises:
        SpecError: it is no such text.
    """
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8")), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"{where}: not CSV: {error}") from error
    header = reader.fieldnames or ()
    for name in columns:
        if name not in header:
            raise SpecError(f"{where}: column '{name}' is missing")
    for number, row in enumerate(rows):
        if None in row or None in row.values():
            raise SpecError(f"{where}, line {number + 2}: expected {len(header)} values")
    return rows


def hardware_of(
    rows: Sequence[CsvRow], where: str = "rows"
) -> tuple[HardwareBatch, npt.NDArray[np.int32], list[tuple[int, int, int]]]:
    """Return the distinct hardware, which of it each row uses, and its :data:`VARIABLES`.

    Raises:
        SpecError: a row names hardware that Gemmini's template does not describe.
    """
    template, chain = catalog.template("gemmini"), energy_chain("dosa")
    known: dict[tuple[int, int, int], int] = {}
    index = np.empty(len(rows), np.int32)
    lines = []
    for number, row in enumerate(rows):
        place = f"{where}, line {number + 2}"
        pe_dim = _integer(row, "arch.meshX", place)
        scratchpad_kb = _integer(row, "arch.mem2_entries", place) // 1024
        accumulator_kb = _integer(row, "arch.mem1_entries", place) * pe_dim * 4 // 1024
        key = (pe_dim, scratchpad_kb, accumulator_kb)
        if key not in known:
            lines.append(place)
        index[number] = known.setdefault(key, len(known))
    built = []
    for key, place in zip(known, lines, strict=True):
        try:
            built.append(chain.price(template.build(dict(zip(VARIABLES, key, strict=True)))))
        except SpecError as error:
            raise SpecError(f"{place}: {error}") from error
    return HardwareBatch(tuple(built)), index, list(known)


def problem_of(sizes: tuple[str, ...], where: str = "row") -> Problem:
    """Return the problem of :data:`DIMENSIONS` and :data:`COEFFICIENTS`, given as texts.

    Raises:
        SpecError: one is no integer, or none that a problem may have.
    """
    names = (*DIMENSIONS, *COEFFICIENTS)
    texts = {f"prob.{name}": size for name, size in zip(names, sizes, strict=True)}
    numbers = [_integer(texts, key, where) for key in texts]
    bounds = dict(zip(DIMENSIONS, numbers[:7], strict=True))
    coefficients = dict(zip(COEFFICIENTS, numbers[7:], strict=True))
    try:
        return Problem(SHAPES["cnn-layer"], bounds, coefficients)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error


def _integer(row: CsvRow, key: str, where: str) -> int:
    text = row[key]
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise SpecError(f"{where}: {key} = {text[:40]!r}, expected an integer")
    return int(text)


def mappings_of(
    texts: Sequence[str], where: str = "row"
) -> tuple[MappingBatch, npt.NDArray[np.int8]]:
    """Parse mappings of the artifact's form.

    Returns:
        The batch, and the permutations ``(L, D, B)``, innermost first.

    Raises:
        SpecError: a text is none.
    """
    shape = (len(LEVELS), len(DIMENSIONS), len(texts))
    temporal, spatial = np.ones(shape, np.int32), np.ones(shape, np.int32)
    permutation = np.empty(shape, np.int8)
    for b, text in enumerate(texts):
        seen = []
        for part in text.split(" - "):
            found = _PART.fullmatch(part)
            if found is None or found[2] != KEEP[found[1]] or found[1] in seen:
                raise _no_mapping(text, where)
            level = LEVELS.index(found[1])
            seen.append(found[1])
            order: list[int] = []
            for loop in reversed(found[3].split()):
                if loop[0] not in DIMENSIONS or int(loop[1:].removesuffix("X")) < 1:
                    raise _no_mapping(text, where)
                d = DIMENSIONS.index(loop[0])
                if loop.endswith("X"):
                    spatial[level, d, b] = int(loop[1:-1])
                elif d in order:
                    raise _no_mapping(text, where)
                else:
                    temporal[level, d, b] = int(loop[1:])
                    order.append(d)
            permutation[level, :, b] = [*order, *(d for d in range(7) if d not in order)]
        if len(seen) != len(LEVELS):
            raise _no_mapping(text, where)
    keep = np.array([[t in KEEP[level] for t in "WIO"] for level in LEVELS])[:, :, None]
    nothing = np.zeros_like(keep)
    batch = MappingBatch(
        temporal=temporal,
        spatial=spatial,
        permutation=permutation,
        spatial_permutation=np.tile(np.arange(7, dtype=np.int8), (4, 1))[:, :, None],
        split=np.full((4, 1), 7, np.int8),
        keep=keep,
        no_temporal_reuse=nothing,
        no_multicast=nothing,
        no_link_transfer=nothing,
    )
    return batch, permutation


def _no_mapping(text: str, where: str) -> SpecError:
    return SpecError(
        f"{where}: {_MAPPING} = {text[:100]!r}, expected levels such as 'L3[WIO] P28 R7 - "
        "L2[WI] K4X - L1[O] K2 - L0[W] P2'"
    )
