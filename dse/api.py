"""What the package does in one call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dse.model.stats import Stats


def model_files(*paths: str | Path, timeloop_version: str = "4cf6d4c") -> Stats:
    """Evaluate the mapping in Timeloop input files, as ``timeloop-model`` would.

    Args:
        paths: YAML files with architecture, problem and mapping, and ERT and ART where there
            are; merged on their top-level keys.
        timeloop_version: ``4cf6d4c``, ``3.0.3`` or ``dosa`` (before commit 59fdc83).

    Raises:
        SpecError: the input is malformed or out of scope; names file, key, value and what was
            expected.
        InvalidMapping: the mapping does not fit; the message is Timeloop's own line.
    """
    from dse.timeloop.evaluate import evaluate_files  # noqa: PLC0415 - loads numba

    return evaluate_files(paths, timeloop_version).stats
