"""Words that are not 0 anywhere in a tensor, each place as likely: the hypergeometric distribution.

Of N words, r are not 0; a tile has n of the words. Probabilities are the exact rationals, rounded
once: they are worked out to 50 digits. Those of more words than Timeloop's library is exact for are
products of long doubles, from the likeliest occupancy outwards.
"""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np

from dse.errors import SpecError
from dse.numeric import Floats, Ints
from dse.sparse.densities import Sides, most_elements, size

_EXACT = decimal.Context(prec=50, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)
#: Most words of which Boost, which Timeloop asks, multiplies prime factors: with more it is no
#: longer exact.
_MOST_EXACT = 104_723
#: Most occupancies that are followed one by one.
_MOST = 2**23


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
        likely = _empty_probabilities(size(tile), size(around), int(occupancies.max(initial=0)))
        return likely[occupancies]

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
    if n > whole:
        return 0, np.zeros(0)
    first, last = max(0, n + r - whole), min(n, r)
    _check(last - first)
    weigh = _exact_probabilities if whole <= _MOST_EXACT else _long_probabilities
    likely = weigh(n, r, whole, first, last)
    kept = np.flatnonzero(likely)
    return first + int(kept[0]), likely[kept[0] : kept[-1] + 1].copy()


def _exact_probabilities(n: int, r: int, whole: int, first: int, last: int) -> Floats:
    likely = np.empty(last - first + 1)
    with decimal.localcontext(_EXACT):
        # the least occupancy: all that lie outside of the tile are alike
        if first == 0:
            value = _product(whole, *sorted((n, r)))
        else:
            value = _product(whole, *sorted((whole - n, whole - r)))
        for i, o in enumerate(range(first, last + 1)):
            likely[i] = value
            value *= (r - o) * (n - o)
            value /= (o + 1) * (whole - r - n + o + 1)
    return likely


def _long_probabilities(n: int, r: int, whole: int, first: int, last: int) -> Floats:
    """Return the probabilities by their ratios to the likeliest, which fall off to both sides."""
    middle = min(max((n + 1) * (r + 1) // (whole + 2), first), last)
    o = np.arange(first, last, dtype=np.longdouble)
    ratios = (r - o) / (o + 1) * (n - o) / (whole - r - n + o + 1)
    above = np.multiply.accumulate(ratios[middle - first :])
    below = np.multiply.accumulate(1 / ratios[: middle - first][::-1])[::-1]
    weights = np.concatenate((below, np.ones(1, np.longdouble), above))
    return np.asarray(weights / weights.sum(), np.float64)


@lru_cache(maxsize=64)
def _growing(n: int, whole: int) -> list[Decimal]:
    """Return the list that `_empty_probabilities` keeps of these."""
    return [Decimal(1 if n <= whole else 0)]


def _empty_probabilities(n: int, whole: int, most: int) -> Floats:
    """Return how likely n of ``whole`` words are all 0, where 0 .. ``most`` of these are not."""
    _check(most)
    if whole > _MOST_EXACT:
        before = np.arange(most, dtype=np.longdouble)
        ratios = np.maximum(whole - n - before, 0) / (whole - before)
        start = np.ones(1, np.longdouble) if n <= whole else np.zeros(1, np.longdouble)
        return np.asarray(np.multiply.accumulate(np.append(start, ratios)), np.float64)
    exact = _growing(n, whole)
    with decimal.localcontext(_EXACT):
        for o in range(len(exact) - 1, most):
            left = max(whole - n - o, 0)
            exact.append(exact[-1] * left / (whole - o) if left else Decimal(0))
    return np.array(exact[: most + 1], dtype=np.float64)


def _product(whole: int, fewer: int, more: int) -> Decimal:
    """Return how likely ``fewer`` and ``more`` of ``whole`` words have none in common."""
    _check(fewer)
    value = Decimal(1)
    for i in range(fewer):
        value *= whole - more - i
        value /= whole - i
    return value


def _check(steps: int) -> None:
    if steps > _MOST:
        raise SpecError(
            f"densities: hypergeometric, with tiles of more than {_MOST:,} words that may not be "
            "0, takes too long; expected fixed_structured for tensors of that size"
        )
