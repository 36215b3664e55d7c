"""A predictor with the encoding that it was fitted on: from mappings to cycles."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Index
from dse.goals.metrics import Metrics
from dse.learned.encoding import Encoding
from dse.learned.predictor import Prediction, Predictor

#: Mappings that one thread encodes and predicts at a time.
_CHUNK = 2048


@dataclass(frozen=True, eq=False)
class LearnedModel:
    """Predicts the cycles of mappings.

    Attributes:
        kind: name of the predictor in `dse.learned.kinds`.
    """

    kind: str
    predictor: Predictor
    encoding: Encoding

    def predict(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
        n_jobs: int = 1,
    ) -> tuple[Prediction, Metrics]:
        """Predict the cycles of B mappings; arguments as those of an evaluator.

        Returns:
            The prediction, NaN where a mapping is not valid, and the native model's metrics.

        Raises:
            SpecError: as `Encoding.encode`.
        """

        def part(start: int) -> tuple[Prediction, Metrics]:
            stop = min(start + _CHUNK, len(mappings))
            encoded = self.encoding.encode(
                hardware, problem, mappings.window(start, stop), hardware_index[start:stop]
            )
            ln_native = np.where(encoded.valid, encoded.ln_native, np.nan)
            return self.predictor.predict(encoded.features, ln_native), encoded.native

        starts = range(0, len(mappings), _CHUNK)
        if not starts:
            return Prediction(np.empty(0), np.empty(0)), Metrics.rejected(0)
        if n_jobs > 1 and len(starts) > 1:
            with ThreadPoolExecutor(n_jobs) as pool:
                parts = list(pool.map(part, starts))
        else:
            parts = [part(start) for start in starts]
        prediction = Prediction(*(np.concatenate([p[i] for p, _ in parts]) for i in range(2)))
        return prediction, Metrics.concatenate([native for _, native in parts])
