"""The pytimeloop back end: Timeloop's own model, loaded into worker processes."""

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
from dse.tools import pytimeloop
from dse.tools.process import Limits


@dataclass(frozen=True)
class PyTimeloopSettings:
    """Settings of the pytimeloop back end."""

    python: str | None = setting(
        None, "Python that has pytimeloop; null: $DSE_PYTIMELOOP_PYTHON, else this one"
    )
    timeout_s: float = setting(60.0, "seconds that one evaluation may take")
    memory_gb: float = setting(4.0, "memory that one worker may use, in GiB")
    on_error: str = setting(
        "stop", "when Timeloop itself fails: stop the run, or skip the mapping, unscored"
    )


class PyTimeloopEvaluator(OneByOneEvaluator):
    """Evaluates with the pytimeloop that is installed, in ``n_jobs`` worker processes."""

    settings_type = PyTimeloopSettings

    def __init__(
        self,
        timeloop_version: str = "4cf6d4c",
        n_jobs: int = 1,
        settings: PyTimeloopSettings | None = None,
    ) -> None:
        """Load pytimeloop and have it evaluate a small example.

        Args:
            timeloop_version: the version that the user expects; another one is warned of.
            n_jobs: workers; 0 = one per core.
            settings: see :class:`PyTimeloopSettings`.

        Raises:
            SpecError: a setting is out of range.
            ToolError: there is no pytimeloop, or it does not work.
        """
        self.settings = settings or PyTimeloopSettings()
        super().__init__("pytimeloop", n_jobs or os.cpu_count() or 1, self.settings.on_error)
        check_limits(self.settings.timeout_s, self.settings.memory_gb)
        limits = Limits(
            self.settings.timeout_s, int(self.settings.memory_gb * 2**30), file_bytes=2**28
        )
        self._model = pytimeloop.PyTimeloop(pytimeloop.find(self.settings.python), limits)
        self.timeloop_version = timeloop_version
        self.binary_version = pytimeloop.version(self._model)
        warn_of_version(f"pytimeloop ({self._model.place})", self.binary_version, timeloop_version)
        # evaluate() is called by several threads at once; the workers are counted over all
        self._slots = threading.BoundedSemaphore(self.n_jobs)

    def totals(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> TimeloopTotals:
        """See :meth:`dse.evaluators.one_by_one.OneByOneEvaluator.totals`."""
        with self._slots:
            return TimeloopTotals(*self._model.totals(architecture, problem, mapping))

    def stats(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> Stats:
        """Return everything that Timeloop says of one mapping, level by level.

        Raises:
            InvalidMapping: Timeloop rejects it.
            ToolError: Timeloop failed.
        """
        with self._slots:
            return self._model.stats(architecture, problem, mapping)

    def close(self) -> None:
        """End the workers; the next evaluation starts new ones."""
        self._model.close()
