"""``python -m dse import model.onnx``: a workload file from an ONNX model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dse.errors import SpecError
from dse.importers.found import Imported
from dse.importers.onnx_model import from_onnx


def main(argv: Sequence[str]) -> int:
    """Import a model, write the workload file, say what was left out."""
    given = _parser().parse_args(argv)
    name = given.name or given.model.stem.replace(" ", "_")
    target = given.output or Path(f"{name}.yaml")
    if target.exists() and not given.force:
        raise SpecError(f"{target}: exists already; --force replaces it")
    found = from_onnx(given.model, name, dict(map(_size, given.size)))
    found.write(target, f"imported from {given.model.name}", f"ONNX file {given.model.name}")
    sys.stdout.write(_summary(found, target))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dse import",
        description="Writes the convolutions and matrix products of an ONNX model as a workload "
        "file. What is skipped is listed with its share of the MACs.",
    )
    parser.add_argument("model", type=Path, help="the ONNX file")
    parser.add_argument("--name", help="of the workload; the file's name unless given")
    parser.add_argument("-o", "--output", type=Path, help="the file to write; NAME.yaml by default")
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="DIM=N",
        help="value of a symbolic dimension, such as batch=1; may be repeated",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    return parser


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdigit() or int(number) < 1:
        raise SpecError(f"--size {text}: expected DIM=N with N at least 1")
    return name, int(number)


def _summary(found: Imported, target: Path) -> str:
    workload = found.workload
    total = sum(layer.count for layer in workload)
    lines = [
        f"{target}: {len(workload)} unique layers of {total}, {workload.macs / 1e9:.3f} G MACs, "
        f"{workload.weight_words / 1e6:.3f} M weights"
    ]
    lines += [f"note: {note}" for note in found.notes]
    if found.skipped:
        lines.append(f"skipped, {found.skipped_share:.2%} of the MACs that could be counted:")
        for item in found.skipped:
            macs = "MACs unknown" if item.macs is None else f"{item.macs / 1e6:.3f} M MACs"
            lines.append(f"  {item.name} ({item.kind}): {macs}; {item.reason}")
    return "\n".join(lines) + "\n"
