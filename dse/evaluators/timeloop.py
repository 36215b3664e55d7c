"""The Timeloop back end: every mapping is evaluated by a real ``timeloop-model``."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.architecture import Architecture, HardwareBatch
from dse.errors import InvalidMapping, SpecError, ToolError, unknown_name
from dse.evaluators.base import Evaluator, Metrics, Violation
from dse.evaluators.native import check_shapes, hardware_index_of
from dse.mapping import Mapping, MappingBatch
from dse.model.stats import Stats
from dse.problem import Problem
from dse.process import Limits
from dse.settings import setting
from dse.timeloop import binaries
from dse.timeloop.model_run import ModelRunner

_LOG = logging.getLogger(__name__)
_ON_ERROR = ("stop", "skip")
_NOT_VALID = (False, np.nan, np.nan, np.nan, np.nan)

_LINE = re.compile(r"ERROR: couldn't map level ([^:]+): (.*)", re.DOTALL)
#: Timeloop's reasons: pattern, resource, unit; the numbers are demand and bound.
_REASONS = (
    (r"mapped tile size (\d+) exceeds buffer capacity (\d+)", "capacity", "words"),
    (
        r"mapped tile size (\d+) is less than constrained minimum utilization (\S+)",
        "minimum utilization",
        "words",
    ),
    (r"mapped X expansion (\d+) exceeds available hardware instances (\d+)", "meshX", "instances"),
    (r"mapped Y expansion (\d+) exceeds available hardware instances (\d+)", "meshY", "instances"),
    (r"Arithmetic X expansion (\d+) exceeds hardware instances (\d+)", "meshX", "instances"),
    (r"Arithmetic Y expansion (\d+) exceeds hardware instances (\d+)", "meshY", "instances"),
    (r"instances (\d+) exceeds (?:available )?hardware instances (\d+)", "instances", "instances"),
)


@dataclass(frozen=True)
class TimeloopSettings:
    """Settings of the Timeloop back end."""

    binary: str | None = setting(None, "timeloop-model; null: $DSE_TIMELOOP_MODEL, else PATH's")
    timeout_s: float = setting(60.0, "seconds that one evaluation may take")
    memory_gb: float = setting(4.0, "memory that one evaluation may use, in GiB")
    on_error: str = setting(
        "stop", "when Timeloop itself fails: stop the run, or skip the mapping, unscored"
    )


class TimeloopEvaluator(Evaluator):
    """Evaluates with the timeloop-model that is installed, one process per mapping."""

    settings_type = TimeloopSettings

    def __init__(
        self,
        timeloop_version: str = "4cf6d4c",
        n_jobs: int = 1,
        settings: TimeloopSettings | None = None,
    ) -> None:
        """Find the binary and have it evaluate a small example.

        Args:
            timeloop_version: the version that the user expects; another one is warned of.
            n_jobs: processes at a time; 0 = one per core.
            settings: see :class:`TimeloopSettings`.

        Raises:
            SpecError: a setting is out of range.
            ToolError: there is no binary, or it does not work.
        """
        self.settings = settings or TimeloopSettings()
        _check(self.settings)
        self.n_jobs = n_jobs or os.cpu_count() or 1
        limits = Limits(
            self.settings.timeout_s, int(self.settings.memory_gb * 2**30), file_bytes=2**28
        )
        binary = binaries.find("timeloop-model", self.settings.binary)
        self.timeloop_version = timeloop_version
        self.binary_version = binaries.version(binary)
        if self.binary_version != timeloop_version:
            computes = self.binary_version or "no version that dse knows"
            _LOG.warning(
                "%s computes as %s, and timeloop_version is %s: the numbers are the binary's",
                *(binary, computes, timeloop_version),
            )
        self._runner = ModelRunner(binary, limits)
        # evaluate() is called by several threads at once; the processes are counted over all
        self._slots = threading.BoundedSemaphore(self.n_jobs)

    def evaluate(
        self,
        hardware: Architecture | Sequence[Architecture] | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: npt.NDArray[np.int32] | None = None,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate`.

        ``area_um2`` has the two digits that Timeloop prints.
        """
        machines = HardwareBatch.of(hardware)
        index = hardware_index_of(machines, mappings, hardware_index)
        check_shapes(machines, problem, mappings)

        def price(b: int) -> tuple[bool, float, float, float, float]:
            architecture = machines.architectures[index[b]]
            return self._price(architecture, problem, mappings[b])

        rows = self._parallel(price, len(mappings))
        columns = zip(*rows, strict=True) if rows else [[]] * len(_NOT_VALID)
        valid, *numbers = columns
        return Metrics(
            np.array(valid, dtype=np.bool_), *(np.array(x, dtype=np.float64) for x in numbers)
        )

    def stats(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> Stats:
        """Return everything that Timeloop says of one mapping, level by level.

        Raises:
            InvalidMapping: Timeloop rejects it.
            ToolError: Timeloop failed.
        """
        text = self._runner.text(architecture, problem, mapping)
        with self._slots:
            return self._runner.stats(text, problem)

    def explain(
        self, hardware: Architecture, problem: Problem, mappings: MappingBatch, index: int
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain`."""
        try:
            self.stats(hardware, problem, mappings[index])
        except InvalidMapping as rejection:
            return violation(str(rejection))
        except ToolError as error:
            if self.settings.on_error == "stop":
                raise
            nan, line = float("nan"), str(error).partition("\n")[0]
            return Violation("", "timeloop-model", nan, nan, "", f"not evaluated: {line}")
        return None

    def _price(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> tuple[bool, float, float, float, float]:
        try:
            stats = self.stats(architecture, problem, mapping)
        except InvalidMapping:
            return _NOT_VALID
        except ToolError as error:
            if self.settings.on_error == "stop":
                raise
            _LOG.warning("a mapping is skipped, unscored: %s", error)
            return _NOT_VALID
        return True, stats.cycles, stats.energy_pj, stats.utilization, stats.area_um2

    def _parallel(self, price: object, count: int) -> list[tuple[bool, float, float, float, float]]:
        from joblib import Parallel, delayed  # noqa: PLC0415 - only this back end needs it

        # threads: they only wait for processes, and results come back without copies
        pool = Parallel(n_jobs=min(self.n_jobs, max(count, 1)), prefer="threads")
        results: list[tuple[bool, float, float, float, float]] = pool(
            delayed(price)(b) for b in range(count)
        )
        return results


def violation(line: str) -> Violation:
    """Return what Timeloop's line ``ERROR: couldn't map level ...`` says, as data."""
    found = _LINE.search(line)
    level, reason = (found[1], found[2]) if found else ("", line)
    for pattern, resource, unit in _REASONS:
        numbers = re.search(pattern, reason)
        if numbers:
            return Violation(level, resource, float(numbers[1]), float(numbers[2]), unit, line)
    resource = "keep" if "bypassed in all" in reason else "unknown"
    return Violation(level, resource, float("nan"), float("nan"), "", line)


def _check(settings: TimeloopSettings) -> None:
    if settings.on_error not in _ON_ERROR:
        raise SpecError(unknown_name("evaluator.on_error", settings.on_error, _ON_ERROR))
    for name in ("timeout_s", "memory_gb"):
        value = getattr(settings, name)
        if not value > 0:
            raise SpecError(f"evaluator.{name} = {value}, expected more than 0")
