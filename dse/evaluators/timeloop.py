"""The Timeloop back end: every mapping is evaluated by a real ``timeloop-model``."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.evaluators.one_by_one import (
    OneByOneEvaluator,
    TimeloopTotals,
    check_limits,
    warn_of_version,
)
from dse.model.stats import Stats
from dse.settings import setting
from dse.tools import binaries
from dse.tools.model_run import ModelRunner
from dse.tools.process import Limits


@dataclass(frozen=True)
class TimeloopSettings:
    """Settings of the Timeloop back end."""

    binary: str | None = setting(None, "timeloop-model; null: $DSE_TIMELOOP_MODEL, else PATH's")
    timeout_s: float = setting(60.0, "seconds that one evaluation may take")
    memory_gb: float = setting(4.0, "memory that one evaluation may use, in GiB")
    on_error: str = setting(
        "stop", "when Timeloop itself fails: stop the run, or skip the mapping, unscored"
    )


class TimeloopEvaluator(OneByOneEvaluator):
    """Evaluates with the timeloop-model that is installed, one process per mapping.

    ``area_um2`` has the two digits that Timeloop prints.
    """

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
        super().__init__("timeloop-model", n_jobs or os.cpu_count() or 1, self.settings.on_error)
        check_limits(self.settings.timeout_s, self.settings.memory_gb)
        limits = Limits(
            self.settings.timeout_s, int(self.settings.memory_gb * 2**30), file_bytes=2**28
        )
        binary = binaries.find("timeloop-model", self.settings.binary)
        self.timeloop_version = timeloop_version
        self.binary_version = binaries.version(binary)
        warn_of_version(str(binary), self.binary_version, timeloop_version)
        self._runner = ModelRunner(binary, limits)
        # evaluate() is called by several threads at once; the processes are counted over all
        self._slots = threading.BoundedSemaphore(self.n_jobs)

    def totals(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> TimeloopTotals:
        """See :meth:`dse.evaluators.one_by_one.OneByOneEvaluator.totals`."""
        stats = self.stats(architecture, problem, mapping)
        return TimeloopTotals(stats.cycles, stats.energy_pj, stats.utilization, stats.area_um2)

    def stats(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> Stats:
        """Return everything that Timeloop says of one mapping, level by level.

        Raises:
            InvalidMapping: Timeloop rejects it.
            ToolError: Timeloop failed.
        """
        text = self._runner.text(architecture, problem, mapping)
        with self._slots:
            return self._runner.stats(text, problem)
