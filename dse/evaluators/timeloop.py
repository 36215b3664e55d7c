"""The Timeloop back end: every mapping is evaluated by a real ``timeloop-model``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.evaluators.one_by_one import OneByOneEvaluator, ToolSettings, ToolTotals, warn_of_version
from dse.model.stats import Stats
from dse.settings import setting
from dse.tools import binaries
from dse.tools.model_run import ModelRunner


@dataclass(frozen=True)
class TimeloopSettings(ToolSettings):
    """Settings of the Timeloop back end."""

    binary: str | None = setting(
        None, "timeloop-model; null: $DSE_TIMELOOP_MODEL, else PATH's", program=True
    )


class TimeloopEvaluator(OneByOneEvaluator[TimeloopSettings]):
    """Evaluates with the timeloop-model that is installed, one process per mapping.

    ``area_um2`` has the two digits that Timeloop prints.
    """

    settings_type = TimeloopSettings
    tool = "timeloop-model"
    equals_timeloop = True

    def __init__(
        self,
        timeloop_version: str = "4cf6d4c",
        n_jobs: int = 1,
        settings: TimeloopSettings | None = None,
    ) -> None:
        """Find the binary, have it evaluate a small example, and warn of another version."""
        super().__init__(timeloop_version, n_jobs, settings)
        binary = binaries.find("timeloop-model", self.settings.binary)
        self.binary_version = binaries.version(binary)
        warn_of_version(str(binary), self.binary_version, timeloop_version)
        self._runner = ModelRunner(binary, self.limits)

    def programs(self) -> list[Path]:
        """See :meth:`dse.evaluators.one_by_one.OneByOneEvaluator.programs`."""
        return [self._runner.binary]

    def totals(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> ToolTotals:
        """See :meth:`dse.evaluators.one_by_one.OneByOneEvaluator.totals`."""
        stats = self.stats(architecture, problem, mapping)
        return ToolTotals(stats.cycles, stats.energy_pj, stats.utilization, stats.area_um2)

    def stats(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> Stats:
        """Return everything that Timeloop says of one mapping, level by level.

        Raises:
            InvalidMapping: Timeloop rejects it.
            ToolError: Timeloop failed.
        """
        text = self._runner.text(architecture, problem, mapping)
        with self.slots:
            return self._runner.stats(text, problem, perfect=mapping.is_perfect)
