"""``python -m dse compare``: finished runs beside each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dse.errors import SpecError

_USAGE = """\
usage: python -m dse compare RUN RUN ... [--json]

Lists finished runs, best first, with their factor to the best. Warns where they
do not compare: other energy chains, Timeloop versions, workloads or objectives.
A run that is better than the known optimum of its space is an error (exit
code 1).
"""


def main(argv: Sequence[str]) -> int:
    """Compare runs; return the exit code.

    Raises:
        SpecError: fewer than two runs, or one without a result.
    """
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(_USAGE)
        return 0
    from dse.report.compare import (  # noqa: PLC0415
        comparison_json,
        comparison_text,
        contradictions,
        warnings,
    )
    from dse.report.finished import read_result  # noqa: PLC0415

    folders = [a for a in argv if a != "--json"]
    unknown = [a for a in folders if a.startswith("-")]
    if unknown:
        raise SpecError(f"compare: unknown option '{unknown[0]}'")
    if len(folders) < 2:
        raise SpecError(f"compare takes two run folders or more, not {len(folders)}")
    runs = [read_result(Path(folder)) for folder in folders]
    if "--json" in argv:
        sys.stdout.write(comparison_json(runs) + "\n")
    else:
        sys.stdout.write(comparison_text(runs, color=sys.stdout.isatty()))
    for text in warnings(runs):
        sys.stderr.write(f"warning: {text}\n")
    wrong = contradictions(runs)
    for text in wrong:
        sys.stderr.write(f"error: {text}\n")
    return 1 if wrong else 0
