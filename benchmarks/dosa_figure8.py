"""DOSA's figure 8: hand-made accelerators, and the designs that are found.

``python benchmarks/dosa_figure8.py`` maps four networks onto Eyeriss-256, NVDLA small, NVDLA large
and Gemmini as their makers built them, with the best of ``--mappings`` random valid mappings of
every layer, and prints the EDP beside the one in DOSA's public artifact (MICRO 2023).
``nvdla_small_mac16`` is NVDLA small with its MACs priced at 16 bits, as the artifact's file leaves
it to Accelergy: it gives no ``datawidth``, and 16 is the default. Then the optimizer ``lockstep``
searches Gemmini's hardware and mappings for each network with ``--samples`` samples. ``--plot
FILE`` draws the bars, ``--json FILE`` writes the figures for programs. It exits with 1 where a
hand-made accelerator is better than what is found.
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

from dse import run
from dse.space import catalog

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
    parser.add_argument("--samples", type=int, default=10_500, help="of each search")
    parser.add_argument("--plot", type=Path, help="draw the bars there (PNG)")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = []
    for arch in given.archs:
        for column, network in enumerate(_NETWORKS):
            result = _map(arch, network, given.mappings, given.seed, given.energy)
            result["published_edp_uj_cycles"] = _PUBLISHED[arch][column]
            results.append(result)
            sys.stderr.write(" ".join(f"{k}={v}" for k, v in result.items()) + "\n")
    found = [_search(network, given.samples, given.seed, given.energy) for network in _NETWORKS]
    if given.json:
        text = json.dumps({"hand_made": results, "found": found}, indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")
    print(_table(results, given.archs), _found_table(results, found, given.archs), sep="\n\n")
    if given.plot:
        _draw(results, found, given.archs, given.plot)
    least = {f["workload"]: f["edp_uj_cycles"] for f in found}
    beaten = [r for r in results if r["edp_uj_cycles"] <= least[r["workload"]]]
    for result in beaten:
        print(f"missed: {result['workload']}: {result['arch']} is no worse than what is found")
    return 1 if beaten else 0


def _search(network: str, samples: int, seed: int, energy: str) -> dict[str, Any]:
    """Search hardware and mappings on Gemmini's template."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = run(
            "gemmini",
            network,
            "lockstep",
            samples=samples,
            seed=seed,
            energy=energy,
            folder=str(Path(folder) / "run"),
        )
    return {
        "workload": network,
        "samples": found.samples,
        "values": found.design.values,
        "edp_uj_cycles": found.metrics.edp * 1e-6,
        "cycles": found.metrics.cycles,
        "energy_uj": found.metrics.energy_pj * 1e-6,
        "seconds": round(time.perf_counter() - start, 1),
    }


def _found_table(
    results: list[dict[str, Any]], found: list[dict[str, Any]], archs: list[str]
) -> str:
    """Return a Markdown table: the EDP found, and how many times that the hand-made ones take."""
    cells = {(r["arch"], r["workload"]): r["edp_uj_cycles"] for r in results}
    lines = [
        "| network | found | pe_dim, scratchpad KB, accumulator KB | "
        + " | ".join(f"{arch} / found" for arch in archs)
        + " |",
        "|---|---:|---|" + "---:|" * len(archs),
    ]
    logs = dict.fromkeys(archs, 0.0)
    for one in found:
        ratios = [cells[arch, one["workload"]] / one["edp_uj_cycles"] for arch in archs]
        for arch, ratio in zip(archs, ratios, strict=True):
            logs[arch] += math.log(ratio) / len(found)
        hardware = ", ".join(map(str, one["values"].values()))
        lines.append(
            f"| {_NETWORKS[one['workload']]} | {one['edp_uj_cycles']:.3g} | {hardware} | "
            + " | ".join(f"{ratio:.2f}" for ratio in ratios)
            + " |"
        )
    means = " | ".join(f"{math.exp(logs[arch]):.2f}" for arch in archs)
    return "\n".join([*lines, f"| geometric mean | | | {means} |"])


def _draw(
    results: list[dict[str, Any]], found: list[dict[str, Any]], archs: list[str], path: Path
) -> None:
    """Draw EDP over that of what is found, a group of bars for each network."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to load

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    cells = {(r["arch"], r["workload"]): r["edp_uj_cycles"] for r in results}
    figure, axis = plt.subplots(figsize=(8, 3.4))
    width = 0.8 / (len(archs) + 1)
    for number, arch in enumerate([*archs, "found"]):
        edp = [
            1.0 if arch == "found" else cells[arch, one["workload"]] / one["edp_uj_cycles"]
            for one in found
        ]
        at = [group + number * width for group in range(len(found))]
        label = "gemmini, found" if arch == "found" else arch
        bars = axis.bar(at, edp, width, label=label)
        axis.bar_label(bars, fmt="%.1f", fontsize=7)
    middle = [group + 0.4 - width / 2 for group in range(len(found))]
    axis.set_xticks(middle, [_NETWORKS[one["workload"]] for one in found])
    axis.set(yscale="log", ylabel="EDP over the design found")
    axis.legend(fontsize="small", ncols=3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


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
