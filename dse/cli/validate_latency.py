"""``python -m dse validate evaluator=rtl RUN``: a design's cycles by three models, side by side."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from dse.cli.columns import table
from dse.errors import SpecError, unknown_name
from dse.plugins import plugin, typed
from dse.runner.config import resolve
from dse.study.folder import read_settings

_EVALUATORS = ("cycles", "rtl")


def validate_latency(arguments: argparse.Namespace, name: str) -> int:
    """Print the latencies of a run's best design; return the exit code.

    Raises:
        SpecError: there is no such evaluator here, or the arguments are not for it.
        ToolError: the RTL could not be built or run.
    """
    from dse.runner.run import space_of_run  # noqa: PLC0415 - loads numba
    from dse.validate.latency import EXPLANATION, latencies, rows, summary  # noqa: PLC0415
    from dse.validate.model import design_cases  # noqa: PLC0415

    if name not in _EVALUATORS:
        raise SpecError(unknown_name("evaluator", name, _EVALUATORS))
    settings = [text for text in arguments.inputs if "=" in text]
    folders = [Path(text) for text in arguments.inputs if "=" not in text]
    if len(folders) != 1 or arguments.random is not None:
        raise SpecError(f"evaluator={name} takes one run folder, and evaluator.NAME=VALUE")
    (folder,) = folders
    space = space_of_run(folder)
    version = arguments.timeloop_version or space.timeloop_version
    jobs = arguments.n_jobs or os.cpu_count() or 1
    own, given = _own_settings(folder), _given(settings)

    def made(kind: str) -> Any:  # noqa: ANN401 - of the kind that is asked for
        chosen = plugin("evaluator", kind)
        known = {field.name for field in dataclasses.fields(chosen.settings_type)}
        told = {key: x for key, x in own.items() if key in known}
        told |= {key: x for key, x in given.items() if key in known or kind == name}
        return chosen.factory(
            timeloop_version=version,
            n_jobs=jobs,
            settings=typed(chosen.settings_type, told, "evaluator."),
        )

    rtl = made("rtl") if name == "rtl" else None
    cases = design_cases(folder, space, version)
    counts = [layer.count for layer in space.workload]
    found = latencies(cases, counts, made("cycles"), rtl, jobs)
    if arguments.json:
        told = {"agree": found.agree, "layers": [x.as_dict() for x in found.layers]}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        lines = ["", *summary(found), "", EXPLANATION.rstrip(), ""]
        sys.stdout.write(table(rows(found)) + "\n".join(lines))
    return 0 if found.agree else 1


def _given(settings: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in settings:
        key, _, value = text.partition("=")
        if not key.startswith("evaluator."):
            raise SpecError(f"{text}: expected evaluator.NAME=VALUE")
        found[key.removeprefix("evaluator.")] = None if value == "null" else value
    return found


def _own_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of the run's own evaluator, where it is one of these."""
    config = resolve(read_settings(folder))
    own = config.plugins["evaluator"].name in _EVALUATORS
    return dataclasses.asdict(config.settings["evaluator"]) if own else {}
