"""``python -m dse validate model=differentiable``: the relaxed model against the exact one."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from dse.cli.validate_cases import space_of
from dse.errors import SpecError, unknown_name

#: Random mappings that are compared, unless told otherwise.
_MAPPINGS = 2000


def validate_twin(arguments: argparse.Namespace, model: str) -> int:
    """Compare the differentiable model with the native one; return the exit code.

    Raises:
        SpecError: there is no such model, or the arguments are not for it.
    """
    from dse.validate.twin import compare_twin, report_text, scatter  # noqa: PLC0415

    if model != "differentiable":
        raise SpecError(unknown_name("model", model, ["differentiable"]))
    count = _MAPPINGS if arguments.random is None else arguments.random
    if count < 1:
        raise SpecError(f"--random {count}: expected at least 1")
    files = [text for text in arguments.inputs if "=" not in text]
    if files:
        raise SpecError(f"{files[0]}: model=differentiable takes settings (arch=...), no files")
    space = space_of(arguments.inputs)
    report = compare_twin(space, count, arguments.seed, arguments.timeloop_version)
    if arguments.plot is not None:
        scatter(report, arguments.plot)
    if arguments.json:
        told = {
            "title": report.title,
            "agrees": report.agrees,
            "rows": [dataclasses.asdict(row) for row in report.rows],
        }
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        sys.stdout.write(report_text(report))
    return 0 if report.agrees else 1
