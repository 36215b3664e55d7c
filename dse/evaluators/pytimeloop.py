"""The pytimeloop back end: Timeloop's own model, loaded into worker processes."""

from __future__ import annotations

from dataclasses import dataclass

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.evaluators.one_by_one import OneByOneEvaluator, ToolSettings, ToolTotals, warn_of_version
from dse.model.stats import Stats
from dse.settings import setting
from dse.tools import pytimeloop


@dataclass(frozen=True)
class PyTimeloopSettings(ToolSettings):
    """Settings of the pytimeloop back end."""

    python: str | None = setting(
        None,
        "Python that has pytimeloop; null: $DSE_PYTIMELOOP_PYTHON, else this one",
        program=True,
    )


class PyTimeloopEvaluator(OneByOneEvaluator[PyTimeloopSettings]):
    """Evaluates with the pytimeloop that is installed, in ``n_jobs`` worker processes."""

    settings_type = PyTimeloopSettings
    tool = "pytimeloop"
    equals_timeloop = True

    def __init__(
        self,
        timeloop_version: str = "4cf6d4c",
        n_jobs: int = 1,
        settings: PyTimeloopSettings | None = None,
    ) -> None:
        """Load pytimeloop, have it evaluate a small example, and warn of another version."""
        super().__init__(timeloop_version, n_jobs, settings)
        self._model = pytimeloop.PyTimeloop(pytimeloop.find(self.settings.python), self.limits)
        self.binary_version = pytimeloop.version(self._model)
        warn_of_version(f"pytimeloop ({self._model.place})", self.binary_version, timeloop_version)

    def identity(self) -> tuple[str, ...]:
        """See :meth:`dse.evaluators.base.Evaluator.identity`."""
        return (*super().identity(), str(self._model.place), str(self.binary_version))

    def totals(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> ToolTotals:
        """See :meth:`dse.evaluators.one_by_one.OneByOneEvaluator.totals`."""
        with self.slots:
            return ToolTotals(*self._model.totals(architecture, problem, mapping))

    def stats(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> Stats:
        """Return everything that Timeloop says of one mapping, level by level.

        Raises:
            InvalidMapping: Timeloop rejects it.
            ToolError: Timeloop failed.
        """
        with self.slots:
            return self._model.stats(architecture, problem, mapping)

    def close(self) -> None:
        """See :meth:`dse.evaluators.base.Evaluator.close`; it ends the workers."""
        self._model.close()
