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
from dse.cli.validate_cases import best_cases
from dse.errors import SpecError, unknown_name
from dse.plugins import plugin, typed
from dse.study.folder import read_settings

_EVALUATORS = ("cycles", "rtl")


def validate_latency(arguments: argparse.Namespace, name: str) -> int:
    """Print the latencies of a run's best design; return the exit code.

    Raises:
        SpecError: there is no such evaluator here, or the arguments are not for it.
        ToolError: the RTL could not be built or run.
    """
    from dse.evaluators.rtl import RtlEvaluator  # noqa: PLC0415 - loads numba
    from dse.runner.run import space_of_run  # noqa: PLC0415
    from dse.validate.latency import EXPLANATION, latencies, rows, summary  # noqa: PLC0415

    if name not in _EVALUATORS:
        raise SpecError(unknown_name("evaluator", name, _EVALUATORS))
    settings = [text for text in arguments.inputs if "=" in text]
    folders = [Path(text) for text in arguments.inputs if "=" not in text]
    if len(folders) != 1 or arguments.random is not None:
        raise SpecError(f"evaluator={name} takes one run folder, and evaluator.NAME=VALUE")
    (folder,) = folders
    space = space_of_run(folder)
    version = arguments.timeloop_version or space.timeloop_version
    given = {**_own_settings(folder), **_given(settings)}
    jobs = arguments.n_jobs or os.cpu_count() or 1
    by_layer = {_layer(case.name): case for case in best_cases(folder, version)}
    layers = [layer for layer in space.workload if layer.name in by_layer]
    if len(layers) < len(by_layer):
        others = sorted(by_layer.keys() - {layer.name for layer in layers})
        raise SpecError(f"{folder}/best: {others[0]} is no layer of the run's workload")
    cases = [dataclasses.replace(by_layer[layer.name], name=layer.name) for layer in layers]

    made = {
        kind: plugin("evaluator", kind).factory(
            timeloop_version=version, n_jobs=jobs, settings=_settings(kind, given, name)
        )
        for kind in dict.fromkeys(("cycles", name))
    }
    rtl = made.get("rtl")
    assert rtl is None or isinstance(rtl, RtlEvaluator)
    found = latencies(cases, [x.count for x in layers], made["cycles"], rtl, jobs)
    if arguments.json:
        told = {"agree": found.agree, "layers": [x.as_dict() for x in found.layers]}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        lines = ["", *summary(found), "", EXPLANATION.rstrip(), ""]
        sys.stdout.write(table(rows(found)) + "\n".join(lines))
    return 0 if found.agree else 1


def _layer(file: str) -> str:
    return file.removesuffix(".mapping.yaml")


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
    from dse.runner.config import resolve  # noqa: PLC0415 - loads omegaconf

    config = resolve(read_settings(folder))
    own = config.plugins["evaluator"].name in _EVALUATORS
    return dataclasses.asdict(config.settings["evaluator"]) if own else {}


def _settings(kind: str, given: dict[str, Any], asked: str) -> object:
    """Return an evaluator's settings: all that it has of those given; the one asked for, of all."""
    schema = plugin("evaluator", kind).settings_type
    fields = {field.name for field in dataclasses.fields(schema)}
    known = {key: value for key, value in given.items() if kind == asked or key in fields}
    return typed(schema, known, "evaluator.")
