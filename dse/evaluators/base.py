"""The evaluator contract: hardware, problem and mappings in, metrics out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.goals.metrics import Metrics, Violation


class Evaluator(ABC):
    """Prices mappings. One method is all that a back end needs.

    An evaluator knows nothing of objectives and holds no random state: equal arguments give
    equal metrics, for any degree of parallelism. A tool that fails raises
    :class:`dse.errors.ToolError`; it never becomes a metric.
    """

    #: whether an evaluation takes no longer than looking up whether it was done before
    is_quick: ClassVar[bool] = False

    @abstractmethod
    def evaluate(
        self,
        hardware: Architecture | Sequence[Architecture] | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: npt.NDArray[np.int32] | None = None,
    ) -> Metrics:
        """Evaluate B mappings of one problem.

        Args:
            hardware: one architecture, or H of one structure (same level names).
            problem: the problem that all mappings map.
            mappings: B mappings.
            hardware_index: ``(B,)`` which of the H architectures each mapping runs on; None
                means architecture 0 for all when H = 1, else architecture b for mapping b.

        Raises:
            ValueError: the shapes of the arguments do not fit each other.
            dse.errors.SpecError: the problem is outside what the back end can represent.
            dse.errors.ToolError: an external tool is missing or failed.
        """

    @abstractmethod
    def explain(
        self,
        hardware: Architecture,
        problem: Problem,
        mappings: MappingBatch,
        index: int,
    ) -> Violation | None:
        """Return why mapping ``index`` is rejected, or None when it is valid."""


def hardware_index_of(
    machines: HardwareBatch, mappings: MappingBatch, given: npt.NDArray[np.int32] | None
) -> npt.NDArray[np.int32]:
    """Return which hardware each mapping runs on (the evaluator contract's rule for None)."""
    count = len(mappings)
    if given is not None:
        if given.shape != (count,):
            raise ValueError(f"hardware_index has shape {given.shape}, expected ({count},)")
        if count and (given.min() < 0 or given.max() >= len(machines)):
            raise ValueError(f"hardware_index must lie in 0 .. {len(machines) - 1}")
        return given
    if len(machines) == 1:
        return np.zeros(count, np.int32)
    if len(machines) != count:
        raise ValueError(f"{len(machines)} architectures for {count} mappings: give hardware_index")
    return np.arange(count, dtype=np.int32)


def check_shapes(machines: HardwareBatch, problem: Problem, mappings: MappingBatch) -> None:
    """Raise ValueError where the mappings are not for these levels, dimensions and tensors."""
    levels, dimensions, _ = mappings.temporal.shape
    if levels != len(machines.level_names) or dimensions != len(problem.dimensions):
        raise ValueError(
            f"mappings are for {levels} levels and {dimensions} dimensions, "
            f"the hardware has {len(machines.level_names)}, the problem {len(problem.dimensions)}"
        )
    if mappings.keep.shape[1] != len(problem.tensors):
        raise ValueError(
            f"mappings are for {mappings.keep.shape[1]} tensors, "
            f"the problem has {len(problem.tensors)}"
        )
