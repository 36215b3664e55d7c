"""``python -m dse export``: a run's designs for other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dse.disk import replace_file
from dse.errors import SpecError

_EPILOG = """\
  python -m dse export runs/FOLDER --csv designs.csv
  python -m dse export runs/FOLDER --optuna sqlite:///runs.db
  optuna-dashboard sqlite:///runs.db

--optuna needs Optuna: pip install 'dse-accel[optuna]'. In Python,
result.journal is the same as a pandas DataFrame.
"""


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m dse export",
        description="Write all designs of a run as CSV, or as a study of Optuna's.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("run", type=Path, metavar="RUN", help="run folder, finished or not")
    result.add_argument("--csv", metavar="FILE", help="write CSV; -: to stdout")
    result.add_argument("--optuna", metavar="URL", help="a storage, as in sqlite:///runs.db")
    result.add_argument("--study", metavar="NAME", help="name of Optuna's study; else the folder's")
    return result


def main(argv: Sequence[str]) -> int:
    """Export a run; return the exit code.

    Raises:
        SpecError: no format is named, or as :mod:`dse.report.export`.
    """
    arguments = _parser().parse_args(argv)
    if arguments.csv is None and arguments.optuna is None:
        raise SpecError("export: expected --csv FILE or --optuna URL")
    if arguments.study is not None and arguments.optuna is None:
        raise SpecError("export: --study is of --optuna, which is missing")
    from dse.report.export import journal_csv, to_optuna  # noqa: PLC0415 - loads numba

    if arguments.csv is not None:
        text = journal_csv(arguments.run)
        if arguments.csv == "-":
            sys.stdout.write(text)
        else:
            replace_file(Path(arguments.csv), text.encode())
            sys.stdout.write(f"{arguments.csv}: {text.count(chr(10)) - 1:,} designs\n")
    if arguments.optuna is not None:
        name, count = to_optuna(arguments.run, arguments.optuna, arguments.study)
        sys.stdout.write(f"{arguments.optuna}: study '{name}', {count:,} trials\n")
    return 0
