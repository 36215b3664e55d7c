"""``python -m dse report``: one HTML file of a finished run, or of several beside each other."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dse.errors import DseError, SpecError

_EPILOG = """\
One file that holds everything it shows: what was searched and how sure we are,
the best design with its storage tree, convergence, trade-offs, and for every
layer what limits it, where its energy goes, and how it is mapped. Of one run it
is report.html in its folder, of several report.html here; -o says otherwise.
'python -m dse run' leaves it, unless report=false.

  python -m dse report runs/20261120-155903_random_resnet50_s0
  python -m dse report runs/*_resnet50_s? -o seeds.html
"""


def _parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    result = argparse.ArgumentParser(
        prog="python -m dse report",
        description="Write a report of finished runs as one HTML file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    result.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write it")
    result.add_argument(
        "--samples",
        type=int,
        default=0,
        metavar="N",
        help="map every layer anew with so many mappings where the report changes the hardware",
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        SpecError: a folder is no finished run, or one of its files is broken.
        DseError: the report cannot be written.
    """
    arguments = _parser().parse_args(argv)
    if arguments.samples < 0:
        raise SpecError(f"--samples {arguments.samples}, expected 0 or more")
    from dse.report.comparable import warnings  # noqa: PLC0415 - compiled code
    from dse.report.compare import compare  # noqa: PLC0415
    from dse.report.finished import read_result  # noqa: PLC0415
    from dse.report.page import REPORT, write_report  # noqa: PLC0415
    from dse.report.reported import reported  # noqa: PLC0415

    folders: list[Path] = arguments.runs
    notes: list[str] = []
    if len(folders) > 1:
        notes = warnings(compare([read_result(folder) for folder in folders]))
    runs = [reported(folder, arguments.samples) for folder in folders]
    path = folders[0] / REPORT if len(folders) == 1 else Path(REPORT)
    path = arguments.output or path
    try:
        write_report(runs, path, notes)
    except OSError as error:
        reason = error.strerror or error
        raise DseError(f"{path}: cannot be written ({reason})") from error
    sys.stdout.write(f"{path}\n")
    return 0
