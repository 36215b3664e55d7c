"""Runs whose evaluator is a program that takes its time, for tests of engines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dse.study.journal import read_journal

#: Answers after a while; leaves a file for every time that it is asked.
SIMULATOR = """
import json, os, pathlib, sys, time
asked = json.load(open(sys.argv[1]))
pathlib.Path(sys.argv[3], str(os.getpid())).touch()
time.sleep(float(sys.argv[4]))
json.dump({"cycles": 10**9 + sum(map(ord, str(asked["mapping"])))}, open(sys.argv[2], "w"))
"""


def settings(folder: Path, name: str, pause_s: float = 0.0, **more: Any) -> dict[str, Any]:
    """Return the settings of a run in a folder of that name, whose program notes its questions."""
    program, asked = folder / "sim.py", folder / f"{name}-asked"
    program.write_text(SIMULATOR)
    asked.mkdir(exist_ok=True)
    command = f"{sys.executable} {program} {{input}} {{output}} {asked} {pause_s}"
    return {
        "arch": "gemmini",
        "workload": "dosa_bert",
        "optimizer": {"name": "random", "mappings_per_hardware": 3},
        "evaluator": {"name": "command", "command": command},
        "samples": 6,
        "n_jobs": 2,
        "report": False,
        "folder": str(folder / name),
        **more,
    }


def asked(folder: Path, name: str) -> int:
    """Return how often the program of a run was asked."""
    return len(list((folder / f"{name}-asked").iterdir()))


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the journal of a run, without what says which files it is of."""
    return [
        {key: value for key, value in line.items() if key != "inputs"}
        for line in read_journal(folder / name / "journal.jsonl")
    ]
