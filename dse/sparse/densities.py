"""What tiles of tensors hold, by how dense these are."""

from __future__ import annotations

import math
from typing import Protocol

from dse.errors import SpecError
from dse.numeric import Floats, Ints

#: A tile: its length along each row of the tensor's projection, in words.
Sides = tuple[int, ...]


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
