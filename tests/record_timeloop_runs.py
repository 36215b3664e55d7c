"""Records what real Timeloop binaries write, for the tests that run without them.

python tests/record_timeloop_runs.py 3.0.3=PATH/timeloop-model 4cf6d4c=PATH/timeloop-model
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dse.tools.binaries import PROBE

RECORDS = Path(__file__).parent / "data" / "timeloop_runs.json.gz"

#: Two levels with fan-out, leakage, wires and a bypass.
RICH = """\
architecture:
  version: 0.4
  subtree:
  - name: system
    local:
    - name: DRAM
      class: DRAM
      attributes: {word-bits: 8, block-size: 4, shared_bandwidth: 2}
    - name: Buffer
      class: SRAM
      attributes: {entries: 256, word-bits: 8, wire-energy: 0.25, router-energy: 0.5}
    - name: Registers[1..8]
      class: SRAM
      attributes: {entries: 8, word-bits: 8, meshX: 4, meshY: 2}
    - name: MACC[1..8]
      class: intmac
      attributes: {word-bits: 8, meshX: 4, meshY: 2}
ERT:
  version: 0.4
  tables:
  - name: system.DRAM
    actions: [{name: read, arguments: {}, energy: 64.0}, {name: write, arguments: {}, energy: 65.5}]
  - name: system.Buffer
    actions:
    - {name: read, arguments: {}, energy: 3.125}
    - {name: write, arguments: {}, energy: 3.5}
    - {name: leak, arguments: {}, energy: 0.5}
  - name: system.Registers
    actions: [{name: read, arguments: {}, energy: 0.1}, {name: write, arguments: {}, energy: 0.2}]
  - name: system.MACC
    actions: [{name: compute, arguments: {}, energy: 0.56}]
ART:
  version: 0.4
  tables:
  - {name: system.DRAM, area: 0.0}
  - {name: system.Buffer, area: 1234.5}
  - {name: system.Registers, area: 47.75}
  - {name: system.MACC, area: 332.25}
problem: {shape: cnn-layer, R: 3, S: 1, P: 8, Q: 1, C: 4, K: 8, N: 1}
mapping:
- {target: Buffer, type: bypass, keep: [Inputs, Weights], bypass: [Outputs]}
- {target: Registers, type: bypass, keep: [Weights, Outputs], bypass: [Inputs]}
- {target: DRAM, type: temporal, factors: K=2 P=4, permutation: PK}
- {target: Buffer, type: temporal, factors: C=2, permutation: C}
- {target: Buffer, type: spatial, factors: K=4 C=2, permutation: KC, split: 1}
- {target: Registers, type: temporal, factors: R=3 P=2, permutation: RP}
"""
HIDE = "TIMELOOP_HIDE_INCONSEQUENTIAL_STATS"
INPUTS = {"probe": PROBE, "rich": RICH, "rejected": RICH.replace("entries: 8,", "entries: 2,")}


def record(binary: str, text: str, environment: dict[str, str]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input.yaml").write_text(text)
        done = subprocess.run(
            [binary, "input.yaml"],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        files = {}
        for path in ("timeloop-model.stats.txt", "timeloop-model.map+stats.xml"):
            if (folder / path).exists():
                files[path] = (folder / path).read_text()
    return {"input": text, "returncode": done.returncode, "output": done.stdout, "files": files}


def main() -> None:
    records = {}
    for argument in sys.argv[1:]:
        version, _, binary = argument.partition("=")
        for name, text in INPUTS.items():
            records[f"{version} {name}"] = record(binary, text, {HIDE: "0"})
        records[f"{version} hidden"] = record(binary, RICH, {HIDE: "1"})
    with gzip.GzipFile(RECORDS, "wb", mtime=0) as file:
        file.write(json.dumps(records, indent=1).encode())


if __name__ == "__main__":
    main()
