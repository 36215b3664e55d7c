"""The best mapping so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.domain.mapping import Mapping, MappingBatch
from dse.goals.metrics import Metrics
from dse.numeric import Floats


@dataclass
class Best:
    """The best mapping that one hardware has seen; ``row`` are its metrics."""

    value: float = float("inf")
    mapping: Mapping | None = None
    row: tuple[float, ...] = (False, np.nan, np.nan, np.nan, np.nan)

    def offer(self, mappings: MappingBatch, metrics: Metrics, value: Floats) -> None:
        """Take over the best of these mappings when it is better; of equals the first stays."""
        if not len(value):
            return
        first = int(np.argmin(value))
        if value[first] < self.value:
            self.value = float(value[first])
            self.mapping = mappings[first]
            self.row = metrics.row(first)
