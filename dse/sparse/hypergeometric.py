"""Words that are not 0 anywhere in a tensor, each place as likely: the hypergeometric distribution.

Of N words, r are not 0; a tile has n of the words. Probabilities are the exact rationals, rounded
once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dse.errors import SpecError
from dse.numeric import Floats, Ints
from dse.sparse import exact
from dse.sparse.densities import Sides, most_elements, size

#: Most occupancies that are followed one by one.
MOST_OCCUPANCIES = 2**23


@dataclass(frozen=True)
class Hypergeometric:
    """A share of ``density`` of a tensor's ``words``, rounded up."""

    density: float
    words: int

    @property
    def nonzero(self) -> int:
        """How many of the tensor's words are not 0."""
        return math.ceil(self.density * self.words)

    def most(self, tile: Sides) -> int:
        """See `DensityModel`."""
        return min(size(tile), self.nonzero)

    def least(self, tile: Sides) -> int:
        """See `DensityModel`; 64 bits without sign wrap around on the way."""
        words = size(tile)
        if words <= self.words - self.nonzero:
            return 0
        share = ((words - self.words) % 2**64 + float(self.nonzero)) / words
        least = math.floor(share * words)
        return 0 if least >= 2**64 else least

    def probability(self, tile: Sides, occupancy: int) -> float:
        """See `DensityModel`."""
        first, likely = occupancy_probabilities(size(tile), self.nonzero, self.words)
        index = occupancy - first
        return float(likely[index]) if 0 <= index < len(likely) else 0.0

    def distribution(self, tile: Sides) -> tuple[Ints, Floats]:
        """See `DensityModel`."""
        first, likely = occupancy_probabilities(size(tile), self.nonzero, self.words)
        kept = np.flatnonzero(likely)
        return first + kept.astype(np.int64), likely[kept]

    def empty_within(self, tile: Sides, around: Sides, occupancies: Ints) -> Floats:
        """See `DensityModel`."""
        if not len(occupancies):
            return np.zeros(0)
        first, last = int(occupancies.min()), int(occupancies.max())
        _check(last - first)
        likely = np.empty(last - first + 1)
        exact.find_empty(size(tile), size(around), first, likely)
        return np.asarray(likely[occupancies - first], np.float64)

    def expected(self, tile: Sides) -> float:
        """See `DensityModel`; summed in ascending order."""
        occupancies, likely = self.distribution(tile)
        return float(np.add.accumulate(np.append(0.0, likely * occupancies))[-1])

    def most_elements(self, fiber: Sides, element: Sides) -> int:
        """See `DensityModel`."""
        return most_elements(fiber, element, self.most(fiber))


@lru_cache(maxsize=64)
def occupancy_probabilities(n: int, r: int, whole: int) -> tuple[int, Floats]:
    """Return an occupancy of n of ``whole`` words, r of them not 0, and how likely it is.

    And how likely those above it are, up to the last that has a probability as a double; there is
    none below. A tile larger than the tensor has none.
    """
    _check(min(n, r) - max(0, n + r - whole))
    likely = np.empty(support(whole))
    first, count = exact.find_occupancies(n, r, whole, likely)
    return first, likely[:count].copy()


def support(whole: int) -> int:
    """Return an upper bound on the occupancies of one tile that have a probability as a double.

    By Hoeffding's inequality a tile of n <= whole / 2 words is farther from the mean than t with a
    probability of at most exp(-2 t^2 / n); doubles end at exp(-745).
    """
    return min(whole, math.ceil(28.0 * math.sqrt(whole))) + 64


def _check(steps: int) -> None:
    if steps > MOST_OCCUPANCIES:
        raise SpecError(
            f"densities: hypergeometric, with tiles of more than {MOST_OCCUPANCIES:,} words that "
            "may not be 0, takes too long; expected fixed_structured for tensors of that size"
        )
