"""Stands in for the worker that has pytimeloop: answers by the native model, or misbehaves.

Run as ``python pytimeloop_stub.py BEHAVIOUR``; `stub` makes an executable that does so and can be
given as the Python that has pytimeloop.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve()


def stub(folder: Path, behaviour: str = "native") -> str:
    """Return an executable that takes the place of Python and its worker script."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / f"python-{behaviour}"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE}" {behaviour} {folder}\n')
    script.chmod(0o755)
    return str(script)


def answer(question: dict) -> dict:
    from dse.errors import InvalidMapping
    from dse.model import evaluate_one
    from dse.timeloop.read.inputs import read_text
    from dse.timeloop.write.inputs import mapping_text
    from dse.tools.pytimeloop_worker import COUNTS

    text = question["hardware"] + question["problem"]
    spec = read_text(text + mapping_text(question["mapping"]))
    try:
        stats = evaluate_one(spec.architecture, spec.problem, spec.mapping, "4cf6d4c")
    except InvalidMapping as rejection:
        return {"rejected": str(rejection)}
    said = {
        key: getattr(stats, key)
        for key in ("cycles", "energy_pj", "utilization", "area_um2", "computes")
    }
    if question["details"]:
        from dse.timeloop.evaluate import Evaluation
        from dse.timeloop.write.stats import stats_text

        said["text"] = stats_text(Evaluation(spec, spec.mapping, stats))
        said["levels"] = {}
        for name, level in stats.levels.items():
            rows = [dataclasses.asdict(t) | {"energy": t.energy_pj} for t in level.tensors.values()]
            counts = {key: [row[key] for row in rows] for key in COUNTS}
            said["levels"][name] = {"cycles": level.cycles, "slowdown": level.slowdown, **counts}
    return said


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


#: What is said in place of an answer.
LINES = {
    "garbage": "no JSON",
    "incomplete": '{"cycles": 5}',
    "other": '{"cycles": 5, "computes": 1}',
    "error": '{"error": "RuntimeError: a clue"}',
}


def counted(folder: Path) -> int:
    """Return which question this is, over all workers."""
    descriptor = os.open(folder / "count", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b".")
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.close(descriptor)
    return place


def misbehave(behaviour: str, folder: Path) -> None:
    """Do what the behaviour says on a question; return to answer it."""
    if behaviour in ("abort", "exit"):
        sys.stderr.write("a clue\n")
        sys.stderr.flush()
        os.abort() if behaviour == "abort" else sys.exit(1)
    if behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "hang":
        time.sleep(60)
    if behaviour == "once" and not (folder / "died").exists():
        (folder / "died").touch()
        os.abort()
    if behaviour == "first-fails" and not (folder / "answers").exists():
        # the first one waits until the others have begun to hang
        number = counted(folder)
        while number == 1 and (folder / "count").stat().st_size < 3:
            time.sleep(0.01)
        os.abort() if number == 1 else time.sleep(600)
    if behaviour in ("fortieth", "stalled") and counted(folder) == 40:
        os.abort() if behaviour == "fortieth" else time.sleep(600)


def main() -> None:
    behaviour, folder = sys.argv[1], Path(sys.argv[2])
    if behaviour == "early":
        sys.exit(3)
    if behaviour == "speechless":
        say("hello")
    say('{"ready": "stub"}')
    for line in sys.stdin:
        question = json.loads(line)
        # the small example that tells the version is always answered
        if "entries: 64" not in question["hardware"]:
            misbehave(behaviour, folder)
            if behaviour in LINES:
                say(LINES[behaviour])
                continue
        say(json.dumps(answer(question)))


if __name__ == "__main__":
    main()
