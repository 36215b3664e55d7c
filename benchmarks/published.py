"""Data of papers, which are not part of this repository: where they are from, and whether here."""

from __future__ import annotations

import sys
from pathlib import Path

DOSA = "the artifact of DOSA, https://github.com/ucb-bar/dosa (BSD-2)"
POSTER = "the poster's repository, https://github.com/akarshkumar0101/hardware-final-project"


def is_here(path: Path, source: str, option: str) -> bool:
    """Whether a file or folder is there; else a line on stderr says where it is from."""
    if path.exists():
        return True
    sys.stderr.write(f"error: {path}: not here; it is of {source}; {option} says where it lies\n")
    return False
