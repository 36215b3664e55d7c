"""What ``data=`` may name: DOSA's CSV files, our own rows, and run folders with such."""

from __future__ import annotations

from pathlib import Path

from dse.errors import SpecError
from dse.learned.dosa_rows import is_dosa, read_dosa
from dse.learned.recorded import ROWS, read_rows
from dse.learned.rows import RecordedRows


def read_data(path: Path, *, used_arrays: bool = False) -> RecordedRows:
    """Return the rows of a file or of a run folder.

    Args:
        path: of it.
        used_arrays: of DOSA's rows, see `read_dosa`.

    Raises:
        SpecError: there is none, or it is none of these.
    """
    if used_arrays and not is_dosa(path):
        raise SpecError(f"used_arrays: {path} is no CSV of DOSA's recorded rows")
    if path.is_dir():
        if not (path / ROWS).is_file():
            raise SpecError(f"data = {path}: the folder has no {ROWS}")
        return read_rows(path / ROWS)
    if not path.is_file():
        raise SpecError(f"data = {path}: there is no such file")
    if is_dosa(path):
        return read_dosa(path, used_arrays=used_arrays)
    if path.suffix == ".jsonl":
        return read_rows(path)
    raise SpecError(
        f"data = {path}: expected a run folder, a file of rows (.jsonl), or DOSA's CSV with "
        "target.gemmini_cycle"
    )
