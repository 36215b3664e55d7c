"""The contract for an evaluator around another one."""

from __future__ import annotations

from typing import Any

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import ToolError
from dse.evaluators.base import Evaluator, Index
from dse.goals.metrics import Metrics, Violation


class WrappedEvaluator(Evaluator[Any]):
    """Passes everything on to another evaluator; subclasses change what they are for.

    Args:
        inner: the other one, whose version, settings and parallelism are this one's, too.
    """

    def __init__(self, inner: Evaluator[Any]) -> None:
        super().__init__(inner.timeloop_version, inner.n_jobs, inner.settings)
        self.inner = inner
        self.is_quick = inner.is_quick
        self.equals_timeloop = inner.equals_timeloop
        self.takes_sparse = inner.takes_sparse

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`."""
        return self.inner.evaluate(hardware, problem, mappings, hardware_index)

    def explain_one(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain_one`."""
        return self.inner.explain(architecture, problem, MappingBatch.of([mapping]), 0)

    def elsewhere(self) -> Any:  # noqa: ANN401 - the other one's settings
        """See :meth:`dse.evaluators.base.Evaluator.elsewhere`."""
        return self.inner.elsewhere()

    def identity(self) -> tuple[str, ...]:
        """See :meth:`dse.evaluators.base.Evaluator.identity`."""
        return self.inner.identity()

    def unscored(self, error: ToolError) -> None:
        """See :meth:`dse.evaluators.base.Evaluator.unscored`."""
        self.inner.unscored(error)

    def close(self) -> None:
        """See :meth:`dse.evaluators.base.Evaluator.close`."""
        self.inner.close()
