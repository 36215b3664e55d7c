"""An evaluator whose evaluations an optimizer pays for."""

from __future__ import annotations

from typing import Any

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.wrapped import WrappedEvaluator
from dse.goals.meter import Meter
from dse.goals.metrics import Metrics


class MeteredEvaluator(WrappedEvaluator):
    """Charges a meter for every mapping that another evaluator evaluates."""

    def __init__(self, inner: Evaluator[Any], meter: Meter) -> None:
        super().__init__(inner)
        self._meter = meter

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`.

        Raises:
            ValueError: the budget is spent.
        """
        self._meter.charge(len(mappings))
        return super().evaluate_batch(hardware, problem, mappings, hardware_index)
