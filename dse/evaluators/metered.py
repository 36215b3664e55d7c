"""An evaluator whose evaluations an optimizer pays for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator
from dse.goals.meter import Meter
from dse.goals.metrics import Metrics, Violation


class MeteredEvaluator(Evaluator):
    """Charges a meter for every mapping that another evaluator evaluates."""

    def __init__(self, evaluator: Evaluator, meter: Meter) -> None:
        self._evaluator = evaluator
        self._meter = meter

    def evaluate(
        self,
        hardware: Architecture | Sequence[Architecture] | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: npt.NDArray[np.int32] | None = None,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate`.

        Raises:
            ValueError: the budget is spent.
        """
        self._meter.charge(len(mappings))
        return self._evaluator.evaluate(hardware, problem, mappings, hardware_index)

    def explain(
        self, hardware: Architecture, problem: Problem, mappings: MappingBatch, index: int
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain`."""
        return self._evaluator.explain(hardware, problem, mappings, index)
