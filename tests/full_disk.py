"""Runs on file systems of a few kilobytes, which then grow: what ended in between goes on.

    unshare --mount python tests/full_disk.py FOLDER

Needs a mount namespace of its own. Prints one line of JSON for each size.
"""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

from kill_matrix import left

from dse.cli import main

SIZES_KB = (4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96)
WORDS = ("run", "-q", "optimizer=random", "workload=dosa_bert", "samples=24", "seed=1", "n_jobs=1")
MAPPINGS = "optimizer.mappings_per_hardware=1"


def mounted(folder, size):
    """Make a file system of that size, or resize the one that is there."""
    words = ["-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if folder.is_mount():
        words = ["-o", f"remount,size={size}", str(folder)]
    subprocess.run(["mount", *words], check=True, capture_output=True)


def called(*words):
    """Call the command line; return exit code and errors."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    return code, errors.getvalue()


def run(whole, disk, size_kb):
    """Run on a small disk, and again once it is larger."""
    disk.mkdir()
    mounted(disk, f"{size_kb}k")
    folder = disk / "run"
    told = {"size_kb": size_kb}
    told["code"], told["errors"] = called(*WORDS, MAPPINGS, f"folder={folder}")
    told["began"] = (folder / "config.yaml").exists()
    mounted(disk, "8m")
    words = ("run", "-q", f"resume={folder}")
    if not told["began"]:
        words = (*WORDS, MAPPINGS, f"folder={folder}")
    told["again"], told["errors again"] = called(*words)
    found = left(folder) if folder.exists() else {}
    told["differs"] = sorted(n for n in whole | found if whole.get(n) != found.get(n))
    subprocess.run(["umount", str(disk)], check=True)
    return told


if __name__ == "__main__":
    place = Path(sys.argv[1])
    called(*WORDS, MAPPINGS, f"folder={place / 'first'}")  # which may say that it compiles
    assert called(*WORDS, MAPPINGS, f"folder={place / 'whole'}") == (0, "")
    for number in SIZES_KB:
        told = run(left(place / "whole"), place / f"disk{number}", number)
        sys.stdout.write(json.dumps(told) + "\n")
