"""Words that are not 0 near the diagonal of a square matrix, as Timeloop counts tiles of it.

Timeloop looks at the first rows of tiles and takes the others for copies; of a tile within another
one it counts tiles at places twice as far from the origin. Both are reproduced.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dse.errors import SpecError
from dse.numeric import Floats, Ints
from dse.sparse.densities import Sides, size
from dse.sparse.numbers import no_number

#: A rectangle of the matrix: first row and column, and those behind the last ones.
_MatrixPart = tuple[int, int, int, int]


@dataclass(frozen=True)
class Banded:
    """A matrix of ``side`` x ``side`` words with ``width`` diagonals to either side.

    Raises:
        SpecError: the band has so many that Timeloop's count of words wraps around.
    """

    side: int
    width: int

    def __post_init__(self) -> None:
        if self.nonzero < 0:
            raise SpecError(
                f"densities: band_width = {self.width} is too wide for a matrix of {self.side} x "
                f"{self.side} (Timeloop's count wraps around)"
            )

    @property
    def nonzero(self) -> int:
        """Words on the diagonals, as Timeloop counts them."""
        return self.side + self.width * (2 * self.side - self.width - 1)

    def most(self, tile: Sides) -> int:
        """See `DensityModel`."""
        return max(self._likely(tile))

    def least(self, tile: Sides) -> int:
        """See `DensityModel`."""
        least = min(self._likely(tile))
        return math.floor(least / size(tile) * size(tile))

    def probability(self, tile: Sides, occupancy: int) -> float:
        """See `DensityModel`."""
        return self._likely(tile).get(occupancy, 0.0)

    def distribution(self, tile: Sides) -> tuple[Ints, Floats]:
        """See `DensityModel`."""
        likely = {o: p for o, p in sorted(self._likely(tile).items()) if p != 0.0}
        return np.array(list(likely), np.int64), np.array(list(likely.values()), float)

    def empty_within(self, tile: Sides, around: Sides, occupancies: Ints) -> Floats:
        """See `DensityModel`."""
        found = [
            _empty_within(self, tile, _like(self, around, occupancy))
            for occupancy in occupancies.tolist()
        ]
        return np.array(found, float)

    def expected(self, tile: Sides) -> float:
        """See `DensityModel`."""
        return size(tile) * (self.nonzero / self.side**2)

    def most_elements(self, fiber: Sides, element: Sides) -> int:
        """See `DensityModel`."""
        if size(fiber) % size(element):
            raise SpecError("mapping: a fiber is no multiple of its elements (Timeloop aborts)")
        most = np.array([self.most(fiber)])
        empty = float(self.empty_within(element, fiber, most)[0])
        if math.isnan(empty):
            raise no_number()
        return math.ceil(size(fiber) // size(element) * empty)

    def _likely(self, tile: Sides) -> dict[int, float]:
        return _occupancies(self, tile)

    def words(self, box: _MatrixPart) -> int:
        """Return how many words of a rectangle are not 0; it may lie outside of the matrix."""
        rows = np.arange(box[0], box[2])
        first = np.maximum(box[1], np.maximum(rows - self.width, 0))
        behind = np.minimum(box[3], rows + self.width + 1)
        return int(np.maximum(behind - first, 0).sum())


@lru_cache(maxsize=1024)
def _occupancies(matrix: Banded, tile: Sides) -> dict[int, float]:
    """Return the occupancies of a tile and how likely they are; also some that cannot be."""
    rows, columns = matrix.side // tile[0], matrix.side // tile[1]
    warm = -(-matrix.width // tile[0])
    steady = max(rows - 2 * warm, 0)
    counts = {0: 0}
    for row in range(min(warm + 1, rows)):
        weight = steady if row >= warm else 1 if warm == rows else 2
        top = row * tile[0]
        for column in range(columns):
            left = column * tile[1]
            if left > top + tile[0] - 1 + matrix.width:
                counts[0] += (columns - column) * weight
                break
            held = matrix.words((top, left, top + tile[0], left + tile[1]))
            counts[held] = counts.get(held, 0) + weight
    if not rows * columns:
        return {0: math.nan}
    return {held: count / (rows * columns) for held, count in counts.items()}


@lru_cache(maxsize=4096)
def _like(matrix: Banded, tile: Sides, occupancy: int) -> _MatrixPart:
    """Return the first tile of an occupancy.

    Raises:
        SpecError: Timeloop aborts, as there is none, or the tile does not divide the matrix.
    """
    _check_divides(matrix, tile)
    rows, columns = matrix.side // tile[0], matrix.side // tile[1]
    for row in range(min(-(-matrix.width // tile[0]) + 1, rows)):
        top = row * tile[0]
        for column in range(columns):
            left = column * tile[1]
            box = (top, left, top + tile[0], left + tile[1])
            if left > top + tile[0] - 1 + matrix.width:
                if occupancy == 0:
                    return box
                break
            if matrix.words(box) == occupancy:
                return box
    raise SpecError(
        f"densities: no tile of {tile[0]} x {tile[1]} of the banded matrix holds {occupancy} words "
        f"(Timeloop aborts)\nERROR: cannot find representative occupancy: {occupancy}"
    )


@lru_cache(maxsize=4096)
def _empty_within(matrix: Banded, tile: Sides, around: _MatrixPart) -> float:
    """Return which share of the tiles that Timeloop looks for in another one are empty."""
    _check_divides(matrix, tile)
    top, left, bottom, right = around
    rows, columns = (bottom - top) // tile[0], (right - left) // tile[1]
    if not rows * columns:
        return math.nan
    empty = 0
    for row in range(rows):
        down = top + row * tile[0]
        for column in range(columns):
            along = left + column * tile[1]
            # the place of the tile around counts twice, but not for the end
            box = (top + down, left + along, tile[0] + down, tile[1] + along)
            empty += matrix.words(box) == 0
    return empty / (rows * columns)


def _check_divides(matrix: Banded, tile: Sides) -> None:
    if matrix.side % tile[0] or matrix.side % tile[1]:
        raise SpecError(
            f"mapping: a tile of {tile[0]} x {tile[1]} does not divide a banded matrix of "
            f"{matrix.side} x {matrix.side} (Timeloop aborts)"
        )
