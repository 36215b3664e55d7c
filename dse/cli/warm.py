"""``python -m dse warm``: compile ahead what commands would compile at their first use."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from dse.errors import DseError


def main(argv: Sequence[str]) -> int:
    """Compile; return the exit code."""
    from dse.runner.warm import JOBS, warm  # noqa: PLC0415 - loads numba

    parser = argparse.ArgumentParser(
        prog="python -m dse warm",
        description="Compile for this machine what commands would compile at their first use; for "
        "images and continuous integration. The code is kept in the package's __pycache__ folders, "
        "or in NUMBA_CACHE_DIR. Jobs do not compile what is there.",
        epilog=f"jobs: {' '.join(JOBS)}",
        allow_abbrev=False,
    )
    parser.add_argument(
        "jobs", nargs="*", metavar="JOB", help="what for; all jobs if none is named"
    )
    parser.add_argument("--here", action="store_true", help="in this process, one after the other")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="so many jobs at a time"
    )
    arguments = parser.parse_args(argv)
    begun = time.monotonic()
    failed = False
    for name, complaint in warm(arguments.jobs or list(JOBS), arguments.processes, arguments.here):
        sys.stdout.write(f"{name:20} {complaint or 'compiled'}  {time.monotonic() - begun:.0f} s\n")
        sys.stdout.flush()
        failed |= complaint is not None
    if failed:
        raise DseError("not everything could be compiled")
    return 0
