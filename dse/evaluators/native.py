"""The native back end: the exact, compiled re-implementation of Timeloop's model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator, check_shapes, hardware_index_of
from dse.goals.metrics import Metrics, Violation
from dse.model import arrays as a


class NativeEvaluator(Evaluator):
    """Evaluates with the native model.

    Args:
        timeloop_version: which Timeloop to equal: ``4cf6d4c``, ``3.0.3`` or ``dosa``.
        n_jobs: threads for large batches; results do not depend on it.

    Raises:
        SpecError: the version is unknown.
    """

    is_quick = True

    def __init__(self, timeloop_version: str = "4cf6d4c", n_jobs: int = 1) -> None:
        self.timeloop_version = timeloop_version
        self.n_jobs = n_jobs
        self._version = a.version_number(timeloop_version)

    def evaluate(
        self,
        hardware: Architecture | Sequence[Architecture] | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: npt.NDArray[np.int32] | None = None,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate`."""
        from dse.model.batch import evaluate_batch  # noqa: PLC0415  compiled code loads on use

        machines = HardwareBatch.of(hardware)
        index = hardware_index_of(machines, mappings, hardware_index)
        check_shapes(machines, problem, mappings)
        totals = evaluate_batch(machines, problem, mappings, index, self._version, self.n_jobs)
        return Metrics(
            valid=totals.valid,
            cycles=totals.cycles,
            energy_pj=totals.energy_pj,
            utilization=totals.utilization,
            area_um2=np.where(totals.valid, machines.area_um2[index], np.nan),
        )

    def explain(
        self, hardware: Architecture, problem: Problem, mappings: MappingBatch, index: int
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain`."""
        from dse.model.evaluate import evaluate_exact, rejection  # noqa: PLC0415

        one = mappings.take(np.array([index]))
        machines = HardwareBatch.of(hardware)
        _, details = evaluate_exact(
            machines, problem, one, np.zeros(1, np.int32), self._version, details=True
        )
        verdict = details.verdict[:, 0]
        level = int(verdict[a.V_LEVEL])
        if level == a.FITS:
            return None
        name = hardware.compute.name if level == a.ARITHMETIC else hardware.levels[level].name
        message = rejection(hardware, verdict)
        if verdict[a.V_CAPACITY]:
            resource = "capacity" if verdict[a.V_CAPACITY] == a.TOO_LARGE else "minimum utilization"
            return Violation(
                name, resource, float(verdict[a.V_USED]), float(verdict[a.V_SIZE]), "words", message
            )
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
