"""How a peer's program is asked: a job comes by stdin, what was found goes to stdout, as JSON.

Nothing of dse is imported, as the Python of a peer need not have it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

Job = dict[str, Any]


def answered(mapped: Callable[[Job, Path], dict[str, Any]]) -> int:
    """Map the job of stdin in a folder for files; return the exit code.

    What the peer itself prints goes to stderr.
    """
    job = json.load(sys.stdin)
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        with contextlib.redirect_stdout(sys.stderr):
            found = mapped(job, Path(folder))
        os.chdir("/")
    json.dump(found, sys.stdout)
    return 0
