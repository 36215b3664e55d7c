"""The back end of learned cycles: energies and verdicts of the native model, cycles predicted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.cycles import CyclesEvaluator, with_cycles
from dse.evaluators.native import NativeEvaluator
from dse.goals.metrics import Metrics, Violation
from dse.learned.folder import open_model
from dse.learned.model import LearnedModel
from dse.learned.predictor import Prediction
from dse.settings import setting


@dataclass(frozen=True)
class LearnedSettings:
    """Settings of the learned back end."""

    model: str = setting(
        "", "folder of a model that 'python -m dse train' wrote; needed", contents=True
    )


class LearnedEvaluator(Evaluator[LearnedSettings]):
    """Evaluates with the native model, and replaces its cycles by those that a model has learned.

    The cycles are the median of what the model believes, or that at another level of optimism, and
    at least what the MACs need. The
    features are those of the model's own ``timeloop_version``, energies and verdicts those of the
    run's.
    """

    settings_type = LearnedSettings

    def __init__(
        self,
        timeloop_version: str = "4cf6d4c",
        n_jobs: int = 1,
        settings: LearnedSettings | None = None,
        model: LearnedModel | None = None,
        optimism: float = 0.0,
    ) -> None:
        """Open the model that the settings name, or take one.

        Args:
            timeloop_version: see `Evaluator`.
            n_jobs: see `Evaluator`.
            settings: see `Evaluator`.
            model: in place of the one that the settings name.
            optimism: by how many deviations mappings are taken to be quicker than expected.

        Raises:
            SpecError: there is none, or as `Evaluator` and `open_model` do.
        """
        super().__init__(timeloop_version, n_jobs, settings)
        if model is None:
            if not self.settings.model:
                raise SpecError(
                    "evaluator.model: expected the folder of a model; 'python -m dse train' "
                    "makes one"
                )
            model = open_model(Path(self.settings.model)).model
        self.model = model
        self._optimism = optimism

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`."""
        prediction, metrics = self.model.predict(
            hardware, problem, mappings, hardware_index, self.n_jobs
        )
        if self.model.encoding.timeloop_version == self.timeloop_version:
            area = np.where(metrics.valid, hardware.area_um2[hardware_index], np.nan)
            native = Metrics(
                *(metrics.valid, metrics.cycles, metrics.energy_pj, metrics.utilization, area)
            )
        else:
            native = self._native.evaluate_batch(hardware, problem, mappings, hardware_index)
        least = native.utilization * native.cycles
        cycles = np.exp(prediction.mean - self._optimism * prediction.deviation)
        found = with_cycles(native, np.maximum(cycles, least))
        return Metrics(
            *(found.valid, found.cycles, found.energy_pj),
            *(np.minimum(found.utilization, 1.0), found.area_um2),
        )

    def predict(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Prediction:
        """Return mean and deviation of ln cycles, ``(B,)``; NaN where a mapping is rejected."""
        return self.model.predict(hardware, problem, mappings, hardware_index, self.n_jobs)[0]

    def explain_one(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain_one`."""
        encoding = self.model.encoding
        rejected = self._native.explain_one(architecture, problem, mapping)
        if rejected is None and encoding.timeloop_version != self.timeloop_version:
            native = NativeEvaluator(encoding.timeloop_version)
            rejected = native.explain_one(architecture, problem, mapping)
        if rejected is None and "cycles" in encoding.blocks:
            model = CyclesEvaluator(encoding.timeloop_version, 1, encoding.memory)
            rejected = model.explain_one(architecture, problem, mapping)
        return rejected

    @property
    def _native(self) -> NativeEvaluator:
        return NativeEvaluator(self.timeloop_version, self.n_jobs)
