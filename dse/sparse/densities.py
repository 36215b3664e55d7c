"""How dense tensors are, and what tiles of them hold: the models by their names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from dse.errors import SpecError, unknown_name
from dse.numeric import Floats, Ints

#: A tile: its length along each row of the tensor's projection, in words.
Sides = tuple[int, ...]
Distribution = Literal["fixed_structured", "hypergeometric", "banded"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("fixed_structured", "hypergeometric", "banded")


class DensityModel(Protocol):
    """What a tensor's tiles hold; occupancies are counts of words that are not 0."""

    def most(self, tile: Sides) -> int:
        """Return the largest occupancy that a tile may have."""
        ...

    def least(self, tile: Sides) -> int:
        """Return the occupancy from which on Timeloop looks for the expected one."""
        ...

    def probability(self, tile: Sides, occupancy: int) -> float:
        """Return how likely a tile has that occupancy."""
        ...

    def distribution(self, tile: Sides) -> tuple[Ints, Floats]:
        """Return all occupancies of a tile that are not impossible, ascending, and how likely."""
        ...

    def empty_within(self, tile: Sides, around: Sides, occupancies: Ints) -> Floats:
        """Return how likely a tile is empty within one that has an occupancy, for each ``(K,)``."""
        ...

    def expected(self, tile: Sides) -> float:
        """Return the mean occupancy of a tile, without its neighbours."""
        ...

    def most_elements(self, fiber: Sides, element: Sides) -> int:
        """Return how many of a fiber's elements are not empty at most.

        Raises:
            SpecError: Timeloop aborts, as the fiber is no multiple of the element.
        """
        ...


@dataclass(frozen=True)
class Density:
    """A tensor's density.

    Attributes:
        distribution: of the words that are not 0.
        density: their share, 0 to 1; not used by ``banded``.
        band_width: of ``banded``: diagonals beside the main one, to either side.

    Raises:
        SpecError: a value is out of bounds.
    """

    distribution: Distribution = "fixed_structured"
    density: float = 1.0
    band_width: int = 0

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise SpecError(unknown_name("distribution", self.distribution, DISTRIBUTIONS))
        if not 0.0 <= self.density <= 1.0:
            raise SpecError(f"density = {self.density}, expected a number from 0 to 1")
        if not 0 <= self.band_width < 2**31:
            raise SpecError(f"band_width = {self.band_width}, expected an integer from 0 to 2^31")

    def name(self, timeloop_version: str) -> str:
        """Return what a version of Timeloop calls it."""
        if self.distribution == "banded":
            return f"banded-{self.band_width}"
        return self.distribution.replace("_", "_" if timeloop_version == "4cf6d4c" else "-")


def size(tile: Sides) -> int:
    """Return the words of a tile."""
    return math.prod(tile)


def most_elements(fiber: Sides, element: Sides, most: int) -> int:
    """Return how many elements of a fiber are not empty, where it holds ``most`` words at most."""
    if size(fiber) % size(element):
        raise SpecError(
            "mapping: a fiber is no multiple of its elements (Timeloop aborts)\n"
            "ERROR: fiber shape not divisiable by element shape"
        )
    return min(size(fiber) // size(element), most)
