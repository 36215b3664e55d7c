"""The native back end: the exact, compiled re-implementation of Timeloop's model."""

from __future__ import annotations

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.sparse import SparseModels
from dse.goals.metrics import Metrics, Violation
from dse.model import arrays as a
from dse.settings import NoSettings


class NativeEvaluator(Evaluator[NoSettings]):
    """Evaluates with the native model, as the ``timeloop_version`` that is asked for."""

    is_quick = True
    equals_timeloop = True
    takes_sparse = True

    def __init__(
        self,
        timeloop_version: str = "4cf6d4c",
        n_jobs: int = 1,
        settings: NoSettings | None = None,
    ) -> None:
        super().__init__(timeloop_version, n_jobs, settings)
        self._sparse = SparseModels(self.timeloop_version)

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`."""
        from dse.model.batch import evaluate_batch  # noqa: PLC0415  compiled code loads on use

        if hardware.is_sparse:
            return self._sparse.evaluate(hardware, problem, mappings, hardware_index, self.n_jobs)
        version = a.version_number(self.timeloop_version)
        totals = evaluate_batch(hardware, problem, mappings, hardware_index, version, self.n_jobs)
        return Metrics(
            valid=totals.valid,
            cycles=totals.cycles,
            energy_pj=totals.energy_pj,
            utilization=totals.utilization,
            area_um2=np.where(totals.valid, hardware.area_um2[hardware_index], np.nan),
        )

    def explain_one(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain_one`."""
        from dse.model.evaluate import evaluate_exact, rejection  # noqa: PLC0415

        if architecture.sparse is not None:
            return self._sparse.explain(architecture, problem, mapping)
        _, details = evaluate_exact(
            HardwareBatch.of(architecture), problem, MappingBatch.of([mapping]),
            np.zeros(1, np.int32), a.version_number(self.timeloop_version), details=True,
        )  # fmt: skip
        verdict = details.verdict[:, 0]
        level = int(verdict[a.V_LEVEL])
        if level == a.FITS:
            return None
        name = (
            architecture.compute.name if level == a.ARITHMETIC else architecture.levels[level].name
        )
        message = rejection(architecture, verdict)
        if verdict[a.V_CAPACITY]:
            resource = "capacity" if verdict[a.V_CAPACITY] == a.TOO_LARGE else "minimum utilization"
            return Violation(
                name, resource, float(verdict[a.V_USED]), float(verdict[a.V_SIZE]), "words", message
            )
        if verdict[a.V_EXPANSION] == a.TOO_MANY_CYCLES:
            cycles = float(details.level[a.CYCLES, level, 0])
            return Violation(name, "cycles", cycles, a.CYCLES_LIMIT, "cycles", message)
        resource = {
            a.OVER_INSTANCES: "instances",
            a.OVER_X: "meshX",
            a.OVER_Y: "meshY",
            a.KEPT_NOWHERE: "keep",
            a.NEGATIVE_READS: "partition",
        }[int(verdict[a.V_EXPANSION])]
        return Violation(
            name,
            resource,
            float(verdict[a.V_DEMAND]),
            float(verdict[a.V_BOUND]),
            "instances",
            message,
        )
