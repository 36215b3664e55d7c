"""Words that are not 0 at a fixed density: any tile holds its share, up to rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dse.numeric import Floats, Ints
from dse.sparse.densities import Sides, most_elements, size


@dataclass(frozen=True)
class FixedStructured:
    """The share of ``density`` in every tile."""

    density: float

    def most(self, tile: Sides) -> int:
        """See `DensityModel`."""
        exact = size(tile) * self.density
        certain = 1.0 - (exact - math.floor(exact)) >= 1.0
        return math.floor(exact) if certain else math.ceil(exact)

    def least(self, tile: Sides) -> int:
        """See `DensityModel`."""
        words = size(tile)
        return math.floor(math.floor(words * self.density) / words * words)

    def probability(self, tile: Sides, occupancy: int) -> float:
        """See `DensityModel`."""
        return _probability(size(tile) * self.density, occupancy)

    def distribution(self, tile: Sides) -> tuple[Ints, Floats]:
        """See `DensityModel`."""
        exact = size(tile) * self.density
        likely = {o: _probability(exact, o) for o in (math.floor(exact), math.ceil(exact))}
        kept = [(o, p) for o, p in likely.items() if p]
        return np.array([o for o, _ in kept], np.int64), np.array([p for _, p in kept])

    def empty_within(self, tile: Sides, around: Sides, occupancies: Ints) -> Floats:
        """See `DensityModel`."""
        exact = size(tile) * (occupancies / size(around))
        return np.where(exact < 1.0, 1.0 - exact, 0.0)

    def expected(self, tile: Sides) -> float:
        """See `DensityModel`."""
        return size(tile) * self.density

    def most_elements(self, fiber: Sides, element: Sides) -> int:
        """See `DensityModel`."""
        return most_elements(fiber, element, self.most(fiber))


def _probability(exact: float, occupancy: int) -> float:
    above = exact - math.floor(exact)
    if occupancy == math.floor(exact):
        return 1.0 - above
    return above if occupancy == math.ceil(exact) else 0.0
