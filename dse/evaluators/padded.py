"""Evaluating mappings of which each says how far it pads the problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.padding import mapped_problems
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator
from dse.goals.metrics import Metrics


def evaluate_padded(
    evaluator: Evaluator[Any],
    hardware: Architecture | HardwareBatch,
    problem: Problem,
    mappings: MappingBatch,
    hardware_index: npt.NDArray[np.int32] | None = None,
) -> Metrics:
    """Evaluate mappings of a problem and of its paddings; operations that padding adds are no work.

    Args:
        evaluator: by which.
        hardware: one architecture, or several with ``hardware_index``.
        problem: the layer's own.
        mappings: B mappings with perfect factors, at least one.
        hardware_index: ``(B,)`` which of several architectures each mapping runs on.
    """
    index = np.zeros(len(mappings), np.int32) if hardware_index is None else hardware_index
    found = mapped_problems(problem, mappings)
    parts = [
        evaluator.evaluate(hardware, padded, mappings.take(own), index[own]).of_work(
            problem.macs / padded.macs
        )
        for padded, own in found.items()
    ]
    back = np.argsort(np.concatenate(list(found.values())))
    return Metrics.concatenate(parts).take(back)
