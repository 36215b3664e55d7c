"""What padding buys: proven optima of awkward layers, with perfect factors alone and padded.

    python benchmarks/padding.py [--padding auto] [--version 4cf6d4c] [--heuristic gamma]
        [--samples 20000] [--json FILE]

Both sides are ``mapper=optimal`` for the EDP on the templates' own hardware (Eyeriss 14 x 12,
Gemmini 16 x 16). With ``--heuristic``, that mapper searches the same paddings with the same
samples, to see what sharing a budget costs. Exits with 1 where padding makes a layer worse.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.padding import NO_PADDING, Padding, mapped_problem, padding_text
from dse.domain.problem import SHAPES, Problem
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import EDP
from dse.mappers.base import Mapped, Mapper
from dse.plugins import plugin
from dse.space import catalog

#: Gemmini as it is built; its template leaves its size open.
GEMMINI = {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 32}
#: Template, what the layer is, bounds.
LAYERS = (
    ("eyeriss", "prime GEMM", {"Q": 197, "C": 113, "K": 37}),
    ("eyeriss", "odd 3x3", {"P": 13, "Q": 13, "C": 37, "K": 113, "R": 3, "S": 3}),
    ("eyeriss", "ViT", {"Q": 197, "C": 768, "K": 768}),
    ("eyeriss", "even 3x3", {"P": 56, "Q": 56, "C": 64, "K": 64, "R": 3, "S": 3}),
    ("gemmini", "prime GEMM", {"P": 197, "C": 113, "K": 37}),
    ("gemmini", "odd 5x5", {"P": 27, "Q": 27, "C": 37, "K": 53, "R": 5, "S": 5}),
    ("gemmini", "ViT", {"P": 197, "C": 768, "K": 768}),
)


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--padding", type=Padding.parse, default=Padding.parse("auto"))
    parser.add_argument("--version", default="4cf6d4c", help="of Timeloop")
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--heuristic", metavar="MAPPER")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [measured(arguments, *layer) for layer in LAYERS]
    sys.stdout.write(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if any(row["padded_edp"] > row["perfect_edp"] * (1 + 1e-11) for row in rows) else 0


def measured(
    arguments: argparse.Namespace, arch: str, kind: str, sizes: dict[str, int]
) -> dict[str, Any]:
    """Return what is found for a layer, in pJ, cycles and seconds."""
    shape = SHAPES["cnn-layer"]
    problem = Problem(shape, {d: sizes.get(d, 1) for d in shape.dimensions})
    template = catalog.template(arch)
    values = GEMMINI if arch == "gemmini" else template.defaults
    hardware = energy_chain(template.energy).price(template.build(values or {}))

    def mapper(name: str) -> Mapper[Any]:
        chosen = plugin("mapper", name)
        evaluator = NativeEvaluator(arguments.version)
        made: Mapper[Any] = chosen.factory(
            evaluator, template.constraints, EDP, chosen.settings_type()
        )
        return made

    def mapped(name: str, padding: Padding) -> tuple[Mapped, float]:
        began = time.monotonic()
        found = search(mapper(name), hardware, problem, arguments.samples, padding)
        return found, time.monotonic() - began

    perfect, perfect_s = mapped("optimal", NO_PADDING)
    padded, padded_s = mapped("optimal", arguments.padding)
    mapping, proof = padded.mappings[0], padded.certificates[0]
    assert mapping is not None
    assert proof is not None
    row = {
        "arch": arch,
        "layer": kind,
        "sizes": sizes,
        "perfect_edp": float(perfect.metrics.edp[0]),
        "perfect_cycles": float(perfect.metrics.cycles[0]),
        "perfect_s": perfect_s,
        "padded_edp": float(padded.metrics.edp[0]),
        "padded_cycles": float(padded.metrics.cycles[0]),
        "padded_s": padded_s,
        "padding": padding_text(problem, mapped_problem(problem, mapping)),
        "gap": proof.gap,
    }
    if arguments.heuristic:
        found, seconds = mapped(arguments.heuristic, arguments.padding)
        row |= {"heuristic_edp": float(found.metrics.edp[0]), "heuristic_s": seconds}
    return row


def search(
    mapper: Mapper[Any], hardware: Architecture, problem: Problem, samples: int, padding: Padding
) -> Mapped:
    """Map a problem or its paddings."""
    budget = np.array([samples], np.int64)
    return mapper.map_padded(HardwareBatch.of(hardware), problem, budget, 0, padding)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table; EDP in cycles x uJ."""
    heuristic = any("heuristic_edp" in row for row in rows)
    head = ["arch", "layer", "perfect EDP, cycles", "padded EDP, cycles", "times", "padded"]
    head += ["gap", "seconds", *(["heuristic / proven"] if heuristic else [])]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for row in rows:
        sizes = " ".join(f"{d}{n}" for d, n in row["sizes"].items())
        cells = [
            row["arch"],
            f"{row['layer']}, {sizes}",
            f"{row['perfect_edp'] * 1e-6:.4g}, {row['perfect_cycles']:,.0f}",
            f"{row['padded_edp'] * 1e-6:.4g}, {row['padded_cycles']:,.0f}",
            f"{row['perfect_edp'] / row['padded_edp']:.3g} x",
            row["padding"] or "nothing",
            f"{row['gap']:.1%}",
            f"{row['perfect_s']:.1f} + {row['padded_s']:.1f}",
        ]
        if heuristic:
            cells.append(f"{row['heuristic_edp'] / row['padded_edp']:.3f}")
        lines.append(" | ".join(cells))
    return "".join(f"| {line} |\n" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
