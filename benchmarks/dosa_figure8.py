"""The hand-made baselines of DOSA's figure 8, each with the same mapper effort.

``python benchmarks/dosa_figure8.py`` maps four networks onto Eyeriss-256, NVDLA small, NVDLA large
and Gemmini as their makers built them, with the best of ``--mappings`` random valid mappings of
every layer, and prints the EDP beside the one in DOSA's public artifact (MICRO 2023).
``nvdla_small_mac16`` is NVDLA small with its MACs priced at 16 bits, as the artifact's file leaves
it to Accelergy: it gives no ``datawidth``, and 16 is the default. ``--json FILE`` writes the
figures for programs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dse import catalog, run

_NETWORKS = {
    "resnet50": "ResNet-50",
    "dosa_bert": "BERT",
    "dosa_retinanet": "RetinaNet",
    "dosa_unet": "U-Net",
}
#: EDP in uJ x cycles: a comment beside the baselines in DOSA's artifact, in the networks' order.
_PUBLISHED = {
    "eyeriss_256": (7.81e11, 1.972e10, 4.885e11, 1.108e15),
    "nvdla_small": (1.792e12, 7.354e10, 9.157e11, 2.239e15),
    "nvdla_small_mac16": (1.792e12, 7.354e10, 9.157e11, 2.239e15),
    "nvdla_large": (2.133e11, 6.845e9, 1.077e11, 1.419e14),
    "gemmini": (2.502e11, 9.086e9, 1.465e11, 2.522e14),
}


def main() -> int:
    """Map every network onto every baseline and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mappings", type=int, default=100_000, help="per layer (10 x 10,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--energy", default="dosa", help="energy chain, the same for all")
    parser.add_argument("--archs", nargs="*", default=list(_PUBLISHED))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = []
    for arch in given.archs:
        for column, network in enumerate(_NETWORKS):
            result = _map(arch, network, given.mappings, given.seed, given.energy)
            result["published_edp_uj_cycles"] = _PUBLISHED[arch][column]
            results.append(result)
            sys.stderr.write(" ".join(f"{k}={v}" for k, v in result.items()) + "\n")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(_table(results, given.archs))
    return 0


def _map(arch: str, network: str, mappings: int, seed: int, energy: str) -> dict[str, Any]:
    """Map one network onto the hand-made hardware."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        template = _template(arch, Path(folder))
        defaults = catalog.template(template).defaults
        found = run(
            template,
            network,
            {"name": "random", "mappings_per_hardware": mappings},
            samples=mappings,
            seed=seed,
            energy=energy,
            variables=defaults,
            folder=str(Path(folder) / "run"),
        )
    return {
        "arch": arch,
        "workload": network,
        "mappings": found.samples,
        "edp_uj_cycles": found.metrics.edp * 1e-6,
        "cycles": found.metrics.cycles,
        "energy_uj": found.metrics.energy_pj * 1e-6,
        "utilization": found.metrics.utilization,
        "seconds": round(time.perf_counter() - start, 1),
    }


def _template(arch: str, folder: Path) -> str:
    """Return the template's name, or the path of a copy with MACs of another width."""
    name, wider, bits = arch.partition("_mac")
    if not wider:
        return arch
    text = catalog.find("arch", name).read_text(encoding="utf-8")
    mac = "class: intmac, word_bits: 8,"
    if mac not in text:
        raise ValueError(f"template {name} has no MAC of 8 bits")
    copy = folder / f"{arch}.yaml"
    copy.write_text(text.replace(mac, f"class: intmac, word_bits: {bits},"), encoding="utf-8")
    return str(copy)


def _table(results: list[dict[str, Any]], archs: list[str]) -> str:
    """Return a Markdown table: here / published (ratio), and the geomean against Gemmini."""
    cells = {(r["arch"], r["workload"]): r for r in results}
    lines = [
        "| hardware | " + " | ".join(_NETWORKS.values()) + " | to Gemmini: here | published |",
        "|---" * 7 + "|",
    ]
    for arch in archs:
        row, ratios = [], {"edp_uj_cycles": 0.0, "published_edp_uj_cycles": 0.0}
        for network in _NETWORKS:
            cell = cells[arch, network]
            here, published = cell["edp_uj_cycles"], cell["published_edp_uj_cycles"]
            row.append(f"{here:.3g} / {published:.3g} ({here / published:.2f})")
            for key in ratios:
                gemmini = cells.get(("gemmini", network), cell)
                ratios[key] += math.log(cell[key] / gemmini[key]) / len(_NETWORKS)
        row += [f"{math.exp(value):.2f}" for value in ratios.values()]
        lines.append(f"| {arch} | " + " | ".join(row) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
