"""Evaluates mappings with ``pytimeloop``, in a process of its own: Timeloop's code may end it.

This file is run by the Python that has ``pytimeloop``, which need not be the one that has
``dse``; so it imports nothing of ``dse``. Two ways to run it:

``python pytimeloop_worker.py`` answers questions, one JSON object a line, on standard input:
``{"hardware", "problem", "mapping", "details"}``, the first three YAML texts (``hardware`` is the
architecture with its ERT and ART). An answer is ``{"rejected": line}``, ``{"error": text}`` or the
results. The first line it writes is ``{"ready": place}`` or ``{"missing": why}``. What Timeloop
itself prints goes to standard error, which is emptied before each question.

``python pytimeloop_worker.py input.yaml`` answers one question, to repeat a failed one.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

#: Counts of one level that ``details`` adds, one number per data space.
COUNTS = (
    "reads",
    "fills",
    "updates",
    "utilized_capacity",
    "partition_size",
    "utilized_instances",
    "utilized_clusters",
    "energy",
    "temporal_reductions",
    "address_generations",
)


class Model:
    """Timeloop's model, with the parsed forms of the last hardware and problem.

    A mapping search brings the same ones again and again, and to parse them takes longer than
    to evaluate a mapping.
    """

    def __init__(self, bindings: Any) -> None:  # noqa: ANN401 - a compiled module
        self._bindings = bindings
        self._read: tuple[str, str] | None = None
        self._workload: Any = None
        self._specs: Any = None
        self._sparse: Any = None

    def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the results of one question, or Timeloop's line of a rejection."""
        bindings = self._bindings
        if self._read != (question["hardware"], question["problem"]):
            self._parse(question["hardware"], question["problem"])
        config = bindings.config.Config(question["mapping"], "yaml")
        mapping = bindings.mapping.Mapping(config.root["mapping"], self._specs, self._workload)
        engine = bindings.model.Engine()
        engine.spec(self._specs)
        # known from here to the evaluation, which resets it
        area_um2 = engine.area()
        statuses = engine.evaluate(mapping, self._workload, self._sparse, True)
        for name, status in zip(self._specs.level_names(), statuses, strict=True):
            if not status.success:
                line = f"ERROR: couldn't map level {name}: {status.fail_reason}"
                return {"rejected": line.strip()}
        result = {
            "cycles": engine.cycles(),
            "energy_pj": engine.energy(),
            "utilization": engine.utilization(),
            "area_um2": area_um2,
            "computes": engine.get_topology().algorithmic_computes,
        }
        if question.get("details"):
            result["text"] = engine.pretty_print_stats()
            result["levels"] = {
                name: _level(level.stats)
                for name, level in zip(
                    self._specs.storage_level_names(),
                    engine.get_topology().buffer_levels,
                    strict=True,
                )
            }
        return result

    def _parse(self, hardware: str, problem: str) -> None:
        config, model = self._bindings.config.Config, self._bindings.model
        # The shape of the problem is a global of Timeloop's. The end of a workload unsets it, so
        # the old one must have gone before the new one comes; and the hardware is read by it.
        self._read = self._workload = self._specs = self._sparse = None
        # nodes refer to their file, which has to stay
        file = config(problem, "yaml")
        self._workload = self._bindings.problem.Workload(file.root["problem"])
        file = config(hardware, "yaml")
        root = file.root
        self._specs = model.ArchSpecs(root["architecture"], False)
        self._specs.parse_accelergy_ert(root["ERT"])
        self._specs.parse_accelergy_art(root["ART"])
        # there is nothing sparse, but Timeloop asks for it
        nothing = config.ConfigNode()
        self._sparse = model.SparseOptimizationInfo(nothing, self._specs)
        self._read = (hardware, problem)


def _level(stats: Any) -> dict[str, Any]:  # noqa: ANN401 - a compiled class
    counts = {name: [float(x) for x in getattr(stats, name)] for name in COUNTS}
    return {"cycles": int(stats.cycles), "slowdown": float(stats.slowdown), **counts}


def _serve(questions: TextIO, answers: TextIO) -> None:
    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        bindings = importlib.import_module("bindings")
        model = Model(bindings)
        bindings.model.Engine.pretty_print_stats  # noqa: B018 - other modules have this name too
    except (ImportError, AttributeError) as error:
        say({"missing": f"{type(error).__name__}: {error}"})
        return
    say({"ready": str(bindings.__file__)})
    for line in questions:
        _empty(sys.stderr)
        try:
            say(model.answer(json.loads(line)))
        except (RuntimeError, ValueError, TypeError, LookupError, MemoryError) as error:
            say({"error": f"{type(error).__name__}: {error}"})


def _empty(file: TextIO) -> None:
    with contextlib.suppress(OSError):  # a terminal, or a pipe
        os.ftruncate(file.fileno(), 0)
        os.lseek(file.fileno(), 0, os.SEEK_SET)


def _once(path: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    question = {"hardware": text, "problem": text, "mapping": text, "details": True}
    answer = Model(importlib.import_module("bindings")).answer(question)
    json.dump(answer, sys.stdout, indent=1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _once(sys.argv[1])
    else:
        # Timeloop prints to standard output, so answers get a descriptor of their own
        with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
            os.dup2(2, 1)
            _serve(sys.stdin, replies)
