"""Kills runs of one optimizer at chosen moments, resumes them, and compares what they leave.

    python tests/kill_matrix.py OPTIMIZER FOLDER

A program of its own, so that the compiled model is loaded once and every run is a fork of it. In a
fork, ``write_all``, through which everything in a run folder is written, ends the process by
SIGKILL at one of its calls: before, in the middle of, or after the bytes of a file.
"""

import json
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import dse.disk
import dse.study.journal
import dse.study.study
from dse.runner.run import resume, start
from dse.testing.tiny import ARCH, WORKLOAD

#: Small settings of each optimizer; several batches, with several designs in most.
SETTINGS = {
    "auto": {"nodes": 1, "mappings": 500},
    "random": {"mappings_per_hardware": 2},
    "ga": {"mappings_per_hardware": 2, "population": 4, "norm_designs": 5},
    "lockstep": {"batch": 6, "population": 4, "trial": 12, "polish": 12},
    "optimal": {"mappings": 500},
    "naas": {"mappings_per_hardware": 3, "population": 5},
    "nsga2": {"mappings_per_hardware": 2, "population": 4},
    "dosa": {"steps": 12, "round_every": 5},
    "bo": {"mappings_per_hardware": 4, "batch": 2, "candidates": 40, "warmup": 3},
    "bo_dosa": {"mappings_per_hardware": 4, "training": 10, "trials": 3},
    "spotlight": {"mappings_per_hardware": 3, "batch": 5, "candidates": 50},
    "polaris": {"pretrain": 100, "warmup": 4, "batch": 4, "search": 4},
}
#: Those that need the extra `learned`.
LEARNED = ("bo", "bo_dosa", "polaris", "spotlight")
#: What is searched instead of the conformance kit's space, which has no proof.
SPACES = {"optimal": {"arch": "gemmini", "workload": "dosa_bert", "variables": {"pe_dim": 16}}}
BEFORE, HALF, AFTER = "before", "half", "after"
#: Moments: a file, which of its writes (0.5: one in the middle), and where.
#: ``after`` is before the file takes its name.
MOMENTS = (
    ("config.yaml", 1, AFTER),
    ("journal.jsonl", 1, BEFORE),
    ("journal.jsonl", 1, HALF),
    ("checkpoint", 1, BEFORE),
    ("checkpoint", 1, HALF),
    ("checkpoint", 2, AFTER),
    ("journal.jsonl", 0.5, HALF),
    ("ERT.yaml", 1, HALF),
    ("result.json", 1, HALF),
)

_write_all = dse.disk.write_all


class Writes:
    """Stands in for ``write_all``: counts writes by file, and kills at one of them."""

    def __init__(self, moment=None):
        self.count = Counter()
        self.moment = moment

    def __call__(self, descriptor, data):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name.removesuffix(".partial")
        self.count[name] += 1
        if self.moment is None or (name, self.count[name]) != self.moment[:2]:
            _write_all(descriptor, data)
            return
        where = self.moment[2]
        _write_all(descriptor, data[: {BEFORE: 0, HALF: len(data) // 2, AFTER: len(data)}[where]])
        os.kill(os.getpid(), signal.SIGKILL)

    def install(self):
        dse.disk.write_all = dse.study.journal.write_all = self
        return self


def left(folder):
    """Return what a finished run leaves, but for what says when and where it ran."""
    names = ("journal.jsonl", "result.json", "best", "front", "checkpoint")
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in files
        if p.relative_to(folder).parts[0] in names
    }


def killed(given, moment):
    """Start a run in a fork; return whether it was killed there."""
    child = os.fork()
    if child == 0:
        Writes(moment).install()
        try:
            start(given).execute()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main(optimizer, folder):
    """Print one line of JSON for each moment."""
    arch, net = folder / "arch.yaml", folder / "net.yaml"
    arch.write_text(ARCH)
    net.write_text(WORKLOAD)
    given = {
        "arch": str(arch),
        "workload": str(net),
        "optimizer": {"name": optimizer, **SETTINGS[optimizer]},
        "samples": 60,
        "seed": 3,
        "n_jobs": 1,  # forks and threads do not go together
        **SPACES.get(optimizer, {}),
    }
    dse.study.study._BETWEEN_SAVES_S = 0.0  # these runs are shorter than what is between saves
    writes = Writes().install()
    start({**given, "folder": str(folder / "whole")}).execute()
    whole, count = left(folder / "whole"), writes.count
    Writes().install()
    for file, which, where in MOMENTS:
        number = int(which * count[file]) + 1 if which < 1 else which
        place = folder / f"{file}-{number}-{where}"
        there = {**given, "folder": str(place)}
        told = {"moment": [file, number, where], "of": count[file]}
        told["killed"] = killed(there, (file, number, where))
        told["result"] = (place / "result.json").exists()
        try:
            again = resume(place) if (place / "config.yaml").exists() else start(there)
            again.execute()
            found = left(place)
            told["differs"] = sorted(n for n in whole | found if whole.get(n) != found.get(n))
        except Exception as error:  # told, and the other moments go on
            told["error"] = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        shutil.rmtree(place)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
