"""What is known of evaluated mappings: their metrics, or why one was rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

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

    @classmethod
    def concatenate(cls, parts: Sequence[Metrics]) -> Metrics:
        """Join the metrics of several batches."""
        columns = ([getattr(p, name) for p in parts] for name in _COLUMNS)
        return cls(*(np.concatenate(column) for column in columns))

    def take(self, index: npt.NDArray[np.intp]) -> Metrics:
        """Return the metrics of the mappings at ``index``."""
        return Metrics(*(getattr(self, name)[index] for name in _COLUMNS))

    def window(self, start: int, stop: int) -> Metrics:
        """Return the metrics of the mappings ``start .. stop``."""
        return Metrics(*(getattr(self, name)[start:stop] for name in _COLUMNS))

    def row(self, index: int) -> tuple[Any, ...]:
        """Return the metrics of one mapping, in the order of the attributes."""
        return tuple(getattr(self, name)[index] for name in _COLUMNS)

    def of_work(self, share: float | npt.NDArray[np.float64]) -> Metrics:
        """Return them where only a share of the operations is work, the rest being padding."""
        return replace(self, utilization=self.utilization * share)

    @property
    def edp(self) -> npt.NDArray[np.float64]:
        """Energy-delay product in pJ x cycle; NaN where not valid."""
        return self.energy_pj * self.cycles


_COLUMNS = tuple(f.name for f in fields(Metrics))


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
