"""The evaluator contract: hardware, problem and mappings in, metrics out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dse.architecture import Architecture, HardwareBatch
from dse.mapping import MappingBatch
from dse.problem import Problem


@dataclass(frozen=True, eq=False)
class Metrics:
    """Metrics of B mappings, arrays ``(B,)``; where ``valid`` is False the others are NaN.

    ``utilization`` is a fraction. A rejected mapping is data, not an exception: ask the
    evaluator's ``explain`` for the reason.
    """

    valid: npt.NDArray[np.bool_]
    cycles: npt.NDArray[np.float64]
    energy_pj: npt.NDArray[np.float64]
    utilization: npt.NDArray[np.float64]
    area_um2: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def edp(self) -> npt.NDArray[np.float64]:
        """Energy-delay product in pJ x cycle; NaN where not valid."""
        return self.energy_pj * self.cycles


@dataclass(frozen=True)
class Violation:
    """Why a mapping was rejected: demand against bound, and Timeloop's own line."""

    level: str
    resource: str
    demand: float
    bound: float
    unit: str
    message: str

    @property
    def gap(self) -> float:
        """How far demand lies beyond the bound, as a ratio."""
        return self.demand / self.bound if self.bound else float("inf")


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
