"""Maps a layer here; `benchmarks/peers.py` runs this as it runs the peers."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dse._version import __version__
from dse.runner.map_layer import map_layer


def mapped(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Map a layer on one thread; the time is without imports, with the loading of compiled code."""
    began, cpu = time.perf_counter(), time.process_time()
    found = map_layer({**job["settings"], "n_jobs": 1, "runs": str(folder)}, job["layer"])
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    stats, proof = found.evaluation.stats, found.certificate
    return {
        "version": __version__,
        "cycles": float(stats.cycles),
        "energy_pj": float(stats.energy_pj),
        "proven": proof is not None and proof.optimal,
        "mapspace": found.mapspace,
        "wall_s": wall,
        "cpu_s": cpu,
    }


def main() -> int:
    """Map the job of stdin; return the exit code."""
    logging.disable(logging.WARNING)
    job = json.load(sys.stdin)
    with TemporaryDirectory() as folder:
        json.dump(mapped(job, Path(folder)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
