"""One search on one worker and on two: does the rate double, is the journal the same.

``python benchmarks/scale.py`` prints the table of docs/scale.md. The evaluator is a program that
sleeps, in place of one that takes its time and a core: so it measures what engines cost, and needs
no more cores than there are. ``--seconds`` is for how long it sleeps, ``--samples`` how many
mappings of each layer it is asked about, ``--json FILE`` writes the figures for programs. Hosts are
network namespaces, for which it has to be root. It ends with 1 where a journal differs from that of
one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import scale_hosts

import dse
from dse.extras import is_installed

#: Sleeps, and makes cycles of what it is asked; leaves a file for every question.
_PROGRAM = """
sleep "$4"
sum=$(cksum < "$1")
echo "{\\"cycles\\": $((1000000000 + ${sum%% *} % 1000000))}" > "$2"
: > "$3/$$-$(date +%N)"
"""
#: Share of the questions that count for the rate: the first ones wait for workers to start.
_COUNTED = 0.75


@dataclass(frozen=True)
class Measured:
    """What a set-up took.

    Attributes:
        name: of the set-up.
        workers: of it.
        questions: that the program was asked.
        rate: of them in a second, once all workers had work.
        seconds: from start to end.
        equal: whether the journal is that of one thread.
    """

    name: str
    workers: int
    questions: int
    rate: float
    seconds: float
    equal: bool


class Search:
    """The search, in a folder for its runs."""

    def __init__(self, folder: Path, seconds: float, samples: int) -> None:
        self._folder, self._seconds, self._samples = folder, seconds, samples
        self._program, self.asked = folder / "program.sh", folder / "asked"
        self._program.write_text(_PROGRAM)
        self._journal: bytes | None = None
        self.measured: list[Measured] = []

    def run(self, name: str, workers: int, parallel: Any, kill: Any = None) -> None:  # noqa: ANN401
        """Search in a set-up; ``kill`` is called once a third of the questions was answered."""
        self.asked.mkdir()
        folder = self._folder / f"run{len(self.measured)}"
        words = f"{{input}} {{output}} {self.asked} {self._seconds:g}"
        killer = threading.Thread(target=self._kill, args=(kill,), daemon=True)
        begin = time.monotonic()
        if kill is not None:
            killer.start()
        dse.run(
            "gemmini",
            "dosa_bert",
            {"name": "random", "mappings_per_hardware": self._samples},
            samples=self._samples,
            n_jobs=workers,
            evaluator={"name": "command", "command": f"sh {self._program} {words}"},
            parallel=parallel,
            folder=folder,
            report=False,
        )
        seconds = time.monotonic() - begin
        journal = (folder / "journal.jsonl").read_bytes()
        self._journal = self._journal or journal
        ended = sorted(file.stat().st_mtime for file in self.asked.iterdir())
        self.asked.rename(self._folder / f"asked{len(self.measured)}")
        counted = ended[-int(_COUNTED * len(ended)) :]
        # workers end their questions together: the first of each belong to the time before
        rate = (len(counted) - workers) / (counted[-1] - counted[0])
        equal = journal == self._journal
        self.measured.append(Measured(name, workers, len(ended), rate, seconds, equal))
        sys.stderr.write(f"{self.measured[-1]}\n")

    def _kill(self, kill: Any) -> None:  # noqa: ANN401
        while len(list(self.asked.iterdir())) < 5 * self._samples / 3:
            time.sleep(0.05)
        kill()


def main() -> int:
    """Measure all set-ups and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if not (given.seconds > 0 and given.samples > 0):
        parser.error("expected more than 0 seconds and samples")
    with tempfile.TemporaryDirectory() as folder:
        search = Search(Path(folder), given.seconds, given.samples)
        for engine in ("threads", "loky"):
            for workers in (1, 2):
                search.run(engine, workers, engine)
        if is_installed("distributed"):
            _on_clusters(search, Path(folder))
        else:
            print("dask: not measured: pip install 'dse-accel[dask]'")
    if given.json:
        rows = [asdict(one) for one in search.measured]
        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(_table(search.measured))
    return 0 if all(one.equal for one in search.measured) else 1


def _on_clusters(search: Search, folder: Path) -> None:
    """Search on workers beside each other, on hosts of their own, and with one that is killed."""
    for name, make in (("dask", scale_hosts.cluster), ("dask, hosts", scale_hosts.hosts)):
        for workers in (1, 2):
            place = folder / f"{name.replace(', ', '-')}{workers}"
            place.mkdir()
            try:
                with make(workers, place) as address, _warm(address, workers) as client:
                    engine = {"name": "dask", "address": address}
                    search.run(name, workers, engine)
                    if workers > 1:
                        search.run(f"{name}, one killed", workers, engine, _killer(client))
            except OSError as error:
                print(f"{name}: not measured: {error}")
                return


@contextlib.contextmanager
def _warm(address: str, workers: int) -> Iterator[Any]:
    """Wait for workers, and have each load what it needs."""
    from distributed import Client  # noqa: PLC0415 - an extra

    with Client(address, timeout=60) as client:
        client.wait_for_workers(workers, timeout=60)
        client.run(_load)
        yield client


def _load() -> None:
    from dse.runner.warm import _details, _evaluation  # noqa: PLC0415

    _evaluation()
    _details()


def _killer(client: Any) -> Any:  # noqa: ANN401 - an extra
    """Return what kills one of the workers."""
    processes = client.run(os.getpid)
    return lambda: os.kill(next(iter(processes.values())), signal.SIGKILL)


def _table(rows: list[Measured]) -> str:
    """Return a Markdown table; the factor is to one worker of the same kind."""
    lines = [
        "| set-up | workers | questions | 1/s | factor | whole run s | journal |",
        "|---" * 7 + "|",
    ]
    one: dict[str, float] = {}
    for row in rows:
        kind = row.name.removesuffix(", one killed")
        base = one.setdefault(kind, row.rate)
        cells = (
            *(row.name, row.workers, row.questions, f"{row.rate:.2f}", f"{row.rate / base:.2f}"),
            *(f"{row.seconds:.1f}", "equal" if row.equal else "DIFFERS"),
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
