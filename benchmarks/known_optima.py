"""Makes the certificates that come with the package: the optima of eight networks on Gemmini.

    python benchmarks/known_optima.py [--networks NAME...] [--into FOLDER] [--json FILE]

Each is searched by ``optimizer=optimal`` in a fresh process and then certified in another, which
packs it. A certificate of the same template, network and objective that is of other content is
removed. Exit code 1: one was not certified; what was there before stays.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from optimal_cosearch import NETWORKS

import dse
from dse.certify.packed import ENDING, PackedCertificate

_PACKAGE = Path(dse.__file__).parent / "certify" / "certificates"


def main() -> int:
    """Make them; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--arch", default="gemmini", metavar="NAME")
    parser.add_argument("--into", type=Path, default=_PACKAGE, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    print(f"{'network':16} {'value':>24} {'search CPU s':>13} {'certify CPU s':>14} {'bytes':>7}")
    rows = []
    for network in given.networks:
        row = made(given.arch, network, given.into)
        rows.append(row)
        if row["file"] is None:
            print(f"{network:16} NOT CERTIFIED: {row['reason']}", flush=True)
        else:
            print(
                f"{network:16} {row['value']!r:>24} {row['search_cpu_s']:13.1f} "
                f"{row['certify_cpu_s']:14.1f} {row['bytes']:7,}",
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["file"] for row in rows) else 1


def made(arch: str, network: str, into: Path) -> dict[str, Any]:
    """Search, certify and pack; return the figures, ``file`` None where it was not certified."""
    with tempfile.TemporaryDirectory() as place:
        run = f"{place}/run"
        search = ["run", "--json", "--quiet", "report=false", "optimizer=optimal"]
        searched, search_cpu_s = _dse(
            *search, f"arch={arch}", f"workload={network}", f"folder={run}"
        )
        told: dict[str, Any] = {"network": network, "search_cpu_s": search_cpu_s, "file": None}
        if searched.returncode != 0:
            return told | {"reason": searched.stderr.strip()}
        pack = f"{place}/packed{ENDING}"
        checked, told["certify_cpu_s"] = _dse("certify", run, "--forget", "--quiet", "--pack", pack)
        if checked.returncode != 0:
            return told | {"reason": (checked.stdout + checked.stderr).strip()}
        packed = PackedCertificate.read(Path(pack))
        for old in into.glob(f"{packed.title}.*{ENDING}"):
            old.unlink()
        file = packed.write(into)
    return told | {
        "file": file.name,
        "bytes": file.stat().st_size,
        "value": packed.known.value,
        "values": packed.known.values,
    }


def _dse(*words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a command in a fresh process; return what it said, and its CPU seconds."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "dse", *words], capture_output=True, text=True, check=False
    )
    after = os.times()
    cpu_s = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    return done, cpu_s


if __name__ == "__main__":
    sys.exit(main())
