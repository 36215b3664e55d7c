"""``python -m dse import model.onnx``: a workload file from an ONNX model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dse.errors import SpecError
from dse.importers.found import Imported
from dse.importers.onnx_model import from_onnx, workload_name
from dse.space import catalog


def main(argv: Sequence[str]) -> int:
    """Import a model, write the workload file, say what was left out."""
    given = _parser().parse_args(argv)
    name = given.name or workload_name(given.model)
    target = given.output or Path(f"{name}.yaml")
    if target.exists() and not given.force:
        raise SpecError(f"{target}: exists already; --force replaces it")
    found = from_onnx(given.model, name, dict(map(_size, given.size)))
    writes = given.allow_partial or not found.is_partial
    if writes:
        found.write(target, f"imported from {given.model.name}", f"ONNX file {given.model.name}")
    sys.stdout.write(_summary(found, target, written=writes))
    if not writes:
        sys.stderr.write(
            f"error: {given.model}: {found.missing} are missing, and {target} was not written; "
            "--allow-partial writes it without them\n"
        )
    return 0 if writes else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dse import",
        description="Writes the convolutions and matrix products of an ONNX model as a workload "
        "file. What is skipped is listed with its share of the MACs; where that is more than 1 %, "
        "or not known, nothing is written.",
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
    parser.add_argument(
        "--allow-partial", action="store_true", help="write it though MACs of the model are missing"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    return parser


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdigit() or int(number) < 1:
        raise SpecError(f"--size {text}: expected DIM=N with N at least 1")
    return name, int(number)


def _summary(found: Imported, target: Path, *, written: bool) -> str:
    workload = found.workload
    total = sum(layer.count for layer in workload)
    place = f"{target}" if written else workload.name
    lines = [
        f"{place}: {len(workload)} unique layers of {total}, {workload.macs / 1e9:.3f} G MACs, "
        f"{workload.weight_words / 1e6:.3f} M weights"
    ]
    lines += [f"note: {note}" for note in found.notes]
    if found.skipped:
        lines.append(f"skipped, {found.missing}:")
        lines += [f"  {line}" for line in found.told()]
    if written:
        lines.append(f"use it with workload={_argument(target)}")
    return "\n".join(lines) + "\n"


def _argument(target: Path) -> str:
    """Return what names a workload file: in this folder its name alone, unless one is built in."""
    here = target.parent == Path() and target.suffix == ".yaml"
    short = here and target.stem not in catalog.names("workload") and "+" not in target.stem
    return target.stem if short else str(target if target.parent != Path() else f"./{target}")
