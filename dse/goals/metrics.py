"""What is known of evaluated mappings: their metrics, or why one was rejected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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

    @classmethod
    def rejected(cls, count: int) -> Metrics:
        """Return the metrics of so many mappings none of which is valid."""
        return cls(np.zeros(count, np.bool_), *(np.full(count, np.nan) for _ in range(4)))

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
