"""What the native evaluator makes of sparse designs: a model of each, kept for the next batch."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, SpecError
from dse.evaluators.base import Index
from dse.goals.metrics import Metrics, Violation

if TYPE_CHECKING:
    from dse.sparse.batch.evaluate import SparseModel

#: Models that are kept, some 100 KB each.
_KEPT = 256


class SparseModels:
    """Evaluates mappings of sparse designs. Several threads may ask it at once.

    Args:
        timeloop_version: 4cf6d4c or 3.0.3.
    """

    def __init__(self, timeloop_version: str) -> None:
        self._version = timeloop_version
        self._known: OrderedDict[tuple[Architecture, Problem], SparseModel] = OrderedDict()
        self._lock = threading.Lock()

    def evaluate(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
        threads: int,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`.

        Raises:
            SpecError: a density is not defined for its tensor, or the version has no such model.
        """
        found = Metrics.rejected(len(mappings))
        for h in np.unique(hardware_index).tolist():
            own = np.flatnonzero(hardware_index == h)
            batch = mappings if len(own) == len(mappings) else mappings.take(own)
            model = self._model(hardware.architectures[h], problem)
            totals = model.evaluate(batch, threads)
            found.valid[own] = totals.valid
            found.cycles[own] = totals.cycles
            found.energy_pj[own] = totals.energy_pj
            found.utilization[own] = totals.utilization
            found.area_um2[own] = np.where(totals.valid, hardware.area_um2[h], np.nan)
        return found

    def explain(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain_one`."""
        from dse.sparse.evaluate import evaluate_sparse  # noqa: PLC0415 - compiled code

        design = architecture.sparse
        if design is None:
            raise ValueError("no sparse design")
        try:
            own = design.of(problem)
            evaluate_sparse(architecture, problem, mapping, own, self._version)
        except (InvalidMapping, SpecError) as error:
            nan = float("nan")
            return Violation("", "sparse design", nan, nan, "", str(error))
        return None

    def _model(self, architecture: Architecture, problem: Problem) -> SparseModel:
        from dse.sparse.batch.evaluate import SparseModel  # noqa: PLC0415 - compiled code

        key = (architecture, problem)
        with self._lock:
            model = self._known.get(key)
            if model is not None:
                self._known.move_to_end(key)
                return model
        design = architecture.sparse
        if design is None:
            raise ValueError("no sparse design")
        model = SparseModel(architecture, problem, design.of(problem), self._version)
        with self._lock:
            self._known[key] = model
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return model
