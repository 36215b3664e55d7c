"""How long a first run waits for code to be compiled, and how long a warm one takes.

    python benchmarks/first_run.py [--json FILE]

Every command is run twice: with an empty cache of compiled code, or with what the commands before
it in its list have left there, and again with everything in it. The designs are small, so that
nearly all of the time is start-up and what has to be compiled. A command begins when the processes
that compile beside the one before have ended. CPU is the command's own, with that of those that
ended before it did.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from model_throughput import machine

import dse.optimizers

#: Lists of commands that share a cache, which the first of each finds empty.
LISTS = (
    (
        "run optimizer=random report=false",
        "run optimizer=random",
        "run optimizer=lockstep",
        "run optimizer=naas",
        "run optimizer=ga",
        "run optimizer=dosa",
        "run optimizer=optimal",
    ),
    ("run",),
    ("run optimizer=random report=false", "run"),
    ("map layer=alexnet/conv2 mapper=optimal",),
)
#: Small work for all of them.
RUN, MAP = "arch=gemmini workload=dosa_bert samples=300", "arch=gemmini"


#: Seconds between looks whether processes have ended.
POLL_S = 0.2


class Times(NamedTuple):
    """What a command took, in seconds."""

    wall_s: float
    cpu_s: float


def timed(command: str, cache: Path, folder: Path) -> Times:
    """Run a command of ``dse`` with a cache of compiled code; it must end well."""
    words = [*command.split(), *(RUN if command.startswith("run") else MAP).split()]
    words = [*words, "-q", f"runs={folder}"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "dse", *words],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s = time.monotonic() - began
    if done.returncode:
        sys.exit(f"python -m dse {' '.join(words)}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    while any(map(uses(cache), Path("/proc").glob("[0-9]*/environ"))):
        time.sleep(POLL_S)
    return Times(wall_s, cpu_s)


def uses(cache: Path) -> Callable[[Path], bool]:
    """Return what says of a process whether it was started with this cache."""
    mark = f"NUMBA_CACHE_DIR={cache}".encode()

    def told(environment: Path) -> bool:
        try:
            return mark in environment.read_bytes().split(b"\0")
        except OSError:  # it has just ended, or is not ours
            return False

    return told


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for package in (dse, dse.optimizers):  # installers do it, but for checkouts
        compileall.compile_dir(str(Path(package.__file__).parent), quiet=1)
    about = machine()
    print(f"machine: {about}")
    print(
        f"{'seconds':42}" + "".join(f"{c:>12}" for c in ("first, wall", "CPU", "warm, wall", "CPU"))
    )
    rows: list[dict[str, object]] = []
    for commands in LISTS:
        with tempfile.TemporaryDirectory() as name:
            cache, folder = Path(name, "cache"), Path(name, "runs")
            first = [timed(command, cache, folder) for command in commands]
            for number, (command, cold) in enumerate(zip(commands, first, strict=True)):
                warm = timed(command, cache, folder)
                told = {"first": cold._asdict(), "warm": warm._asdict()}
                rows.append({"command": command, "after": commands[:number], **told})
                print(f"{command:42}" + "".join(f"{s:12.1f}" for s in (*cold, *warm)), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": about, "commands": rows}, indent=1))


if __name__ == "__main__":
    main()
