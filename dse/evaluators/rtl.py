"""The back end with the last word: our accelerator's RTL, simulated by Verilator."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from dse.cycles import values
from dse.cycles.job import Job
from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import ToolError
from dse.evaluators.cycles import MemorySettings, job_of_mapping
from dse.evaluators.one_by_one import NativeFirstEvaluator, ToolSettings, ToolTotals
from dse.settings import setting
from dse.tools import verilator

#: A job that takes this many times as long as the cycle model says has not ended.
_PATIENCE = 2
_SEED = 1


@dataclass(frozen=True)
class RtlSettings(MemorySettings, ToolSettings):
    """Settings of the RTL back end."""

    timeout_s: float = setting(600.0, "seconds that one evaluation may take")
    check: bool = setting(True, "compare all outputs with numpy's, of random operands")


class RtlEvaluator(NativeFirstEvaluator[RtlSettings]):
    """Evaluates energy with the native model, and cycles by running the RTL.

    What is rejected is what the back end ``cycles`` rejects. With ``check``, wrong outputs are a
    :class:`dse.errors.ToolError`.
    """

    settings_type = RtlSettings
    tool = "verilator"

    def __init__(
        self,
        timeloop_version: str = "4cf6d4c",
        n_jobs: int = 1,
        settings: RtlSettings | None = None,
    ) -> None:
        """Find Verilator and a C++ compiler."""
        super().__init__(timeloop_version, n_jobs, settings)
        self._tools = verilator.find()

    def identity(self) -> tuple[str, ...]:
        """See :meth:`dse.evaluators.base.Evaluator.identity`; answers follow from the RTL."""
        rtl = hashlib.sha256(b"".join(verilator.sources().values()))
        return (*super().identity(), rtl.hexdigest())

    def totals(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> ToolTotals:
        """See :meth:`dse.evaluators.one_by_one.OneByOneEvaluator.totals`."""
        metrics = self.native(architecture, problem, mapping)
        cycles = self.cycles(job_of_mapping(architecture, problem, mapping, self.settings))
        return ToolTotals(
            float(cycles),
            float(metrics.energy_pj[0]),
            float(metrics.utilization[0] * metrics.cycles[0] / cycles),
            float(metrics.area_um2[0]),
        )

    def cycles(self, job: Job) -> int:
        """Return the cycles of a job, as simulated.

        Raises:
            ToolError: a program failed, the job did not end, or outputs are wrong.
        """
        from dse.cycles.model import cycles  # noqa: PLC0415 - compiled code

        limit = _PATIENCE * cycles(job).total + 1000
        operands = values.operands(job, np.random.default_rng(_SEED))
        with self.slots:
            (run,) = verilator.simulate(
                [job],
                [operands],
                [limit],
                timeout_s=self.limits.timeout_s,
                memory_bytes=self.limits.memory_bytes,
                tools=self._tools,
            )
        if run.cycles is None:
            raise ToolError(f"the RTL had not ended after {limit:,} cycles")
        if self.settings.check and not np.array_equal(run.outputs, values.outputs(job, *operands)):
            raise ToolError("the RTL's outputs differ from numpy's")
        return run.cycles
