"""Evaluates mappings with ``pytimeloop``, in a process of its own: Timeloop's code may end it.

This file is run by the Python that has ``pytimeloop``, which need not be the one that has
``dse``; so it imports nothing of ``dse``. Two ways to run it:

``python pytimeloop_worker.py`` answers questions, one JSON object a line, on standard input:
``{"hardware", "problem", "tensors", "mapping", "details"}``, the first two YAML texts (``hardware``
is the architecture with its ERT and ART), ``tensors`` the data spaces' names, ``mapping`` a list of
directives. An answer is ``{"rejected": line}``, ``{"error": text}`` or the results. The first line
it writes is ``{"ready": place}`` or ``{"missing": why}``. What Timeloop itself prints goes to
standard error, which is emptied before each question.

``python pytimeloop_worker.py input.yaml`` answers one question, to repeat a failed one.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
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


#: What differs between mappings of one form.
_NUMBERS = ("factors", "permutation", "split")
#: Texts, and machines, that are kept in Timeloop's form.
_MOST_KEPT = 128


class _Model:
    """Timeloop's model, with the parsed forms of the last hardware and problem.

    To read a text takes Timeloop 8 ms per KB, because it searches it for a hundred outdated keys;
    to evaluate a mapping takes it 1 ms. So texts that come again are not read again, and mappings
    are not written as text: their numbers are put into one that has the same form.
    """

    def __init__(self, bindings: Any) -> None:  # noqa: ANN401 - a compiled module
        self._bindings = bindings
        self._files: dict[str, Any] = {}
        self._machines: dict[tuple[str, ...], tuple[Any, Any]] = {}
        self._read: tuple[str, str] | None = None
        self._workload: Any = None
        self._specs: Any = None
        self._sparse: Any = None

    def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the results of one question, or Timeloop's line of a rejection."""
        if self._read != (question["hardware"], question["problem"]):
            self._parse(question["hardware"], question["problem"], question["tensors"])
        return self._evaluated(self._mapping(question["mapping"]), bool(question["details"]))

    def answer_file(self, text: str) -> dict[str, Any]:
        """Return the results of a whole input."""
        self._parse(text, text, ())
        return self._evaluated(self._file(text).root["mapping"], details=True)

    def _evaluated(self, node: Any, details: bool) -> dict[str, Any]:  # noqa: ANN401
        bindings = self._bindings
        mapping = bindings.mapping.Mapping(node, self._specs, self._workload)
        engine = bindings.model.Engine()
        engine.spec(self._specs)
        # known from here to the evaluation, which resets it
        area_um2 = engine.area()
        statuses = engine.evaluate(mapping, self._workload, self._sparse, True)
        for name, status in zip(self._specs.level_names(), statuses, strict=True):
            if not status.success:
                line = f"ERROR: couldn't map level {name}: {status.fail_reason}"
                return {"rejected": line.strip()}
        topology = engine.get_topology()
        result = {
            "cycles": engine.cycles(),
            "energy_pj": engine.energy(),
            "utilization": engine.utilization(),
            "area_um2": area_um2,
            "computes": topology.algorithmic_computes,
        }
        if details:
            names = self._specs.storage_level_names()
            levels = zip(names, topology.buffer_levels, strict=True)
            result["levels"] = {name: _level(level.stats) for name, level in levels}
            result["text"] = engine.pretty_print_stats()
        return result

    def _parse(self, hardware: str, problem: str, tensors: Sequence[str]) -> None:
        # The shape of the problem is a global of Timeloop's. The end of a workload unsets it, so
        # the old one must have gone before the new one comes; and the hardware is read by it.
        self._read = self._workload = self._specs = self._sparse = None
        self._workload = self._bindings.problem.Workload(self._file(problem).root["problem"])
        self._specs = self._machine(hardware, tensors)
        # there is nothing sparse, but Timeloop asks for it
        nothing = self._bindings.config.Config.ConfigNode()
        self._sparse = self._bindings.model.SparseOptimizationInfo(nothing, self._specs)
        self._read = (hardware, problem)

    def _machine(self, hardware: str, tensors: Sequence[str]) -> Any:  # noqa: ANN401
        """Return the hardware, which is read with a problem's data spaces in mind."""
        key = (hardware, *tensors)
        if key not in self._machines:
            # to read the hardware changes its file, so that is not read a second time
            file = self._bindings.config.Config(hardware, "yaml")
            root = file.root
            specs = self._bindings.model.ArchSpecs(root["architecture"], False)
            specs.parse_accelergy_ert(root["ERT"])
            specs.parse_accelergy_art(root["ART"])
            _add(self._machines, key, (file, specs))
        return self._machines[key][1]

    def _mapping(self, directives: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401
        """Return the directives as Timeloop's node."""
        form = [{k: "" if k in _NUMBERS else v for k, v in d.items()} for d in directives]
        # JSON is YAML
        node = self._file(json.dumps({"mapping": form})).root["mapping"]
        for index, directive in enumerate(directives):
            for key in _NUMBERS:
                if key in directive:
                    node[index][key] = str(directive[key])
        return node

    def _file(self, text: str) -> Any:  # noqa: ANN401
        """Return Timeloop's form of a text. It has to stay while nodes of it are in use."""
        if text not in self._files:
            _add(self._files, text, self._bindings.config.Config(text, "yaml"))
        return self._files[text]


def _add(kept: dict[Any, Any], key: Any, value: Any) -> None:  # noqa: ANN401
    """Add to what is kept, in place of the oldest where there is much."""
    if len(kept) >= _MOST_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value


def _level(stats: Any) -> dict[str, Any]:  # noqa: ANN401 - a compiled class
    counts = {name: [float(x) for x in getattr(stats, name)] for name in COUNTS}
    return {"cycles": int(stats.cycles), "slowdown": float(stats.slowdown), **counts}


def _serve(questions: TextIO, answers: TextIO) -> None:
    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        bindings = importlib.import_module("bindings")
        model = _Model(bindings)
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
    json.dump(_Model(importlib.import_module("bindings")).answer_file(text), sys.stdout, indent=1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _once(sys.argv[1])
    else:
        # Timeloop prints to standard output, so answers get a descriptor of their own
        with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
            os.dup2(2, 1)
            _serve(sys.stdin, replies)
