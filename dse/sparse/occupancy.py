"""What tiles hold on average, and at most, and how often that is accessed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.numeric import Floats
from dse.sparse.metadata import metadata_units
from dse.sparse.numbers import ceiled, floored, unsigned
from dse.sparse.ranks import RankedTile
from dse.sparse.tiles import TensorTiles

#: Metadata and payload of each rank, from the inside.
Units = list[list[int]]


@dataclass(frozen=True)
class Held:
    """What one tensor's tiles hold at one level.

    Attributes:
        words: on average, of tiles that are there at all.
        density: words by those of the tile without compression; not a number where bypassed.
        metadata: units on average, ``(R, 2)``; of no ranks without metadata.
        most_words: at most; without metadata those of the tile.
        most_metadata: units at most, ``(R, 2)``.
        there: share of the tiles that are not empty, which alone take instances.
    """

    words: float
    density: float
    metadata: npt.NDArray[np.float64]
    most_words: int
    most_metadata: npt.NDArray[np.float64]
    there: float

    @property
    def units(self) -> float:
        """All units on average."""
        total = 0.0
        for metadata, payload in self.metadata:
            total += metadata + payload
        return total


@dataclass(frozen=True)
class Accesses:
    """Accesses of one tensor at one level, without savings: of data, and of metadata by kind."""

    reads: int
    fills: int
    updates: int
    metadata_reads: Units
    metadata_fills: Units
    metadata_updates: Units


NOTHING = np.zeros((0, 2))


def held(tensor: TensorTiles, s: int, ranked: RankedTile | None) -> Held:
    """Return what a level holds of a tensor.

    Where the level outside keeps metadata, empty tiles do not come. Timeloop takes the first
    occupancy that is possible for that of empty tiles, whatever it is.

    Args:
        tensor: of the mapping.
        s: the level.
        ranked: its tile as ranks; None where it is bypassed.

    Raises:
        SpecError: the density is not defined for its tiles.
        Senseless: there is no answer.
    """
    shape = tensor.shape(s)
    if ranked is None:
        return Held(0.0, math.nan, NOTHING, 0, NOTHING, 1.0)
    tile, density, parent = tensor.tiles[s], tensor.density, tensor.parent(s)
    least, most = density.least(tile), density.most(tile)
    occupancies, likely = density.distribution(tile)
    looked_at = (occupancies >= least) & (occupancies <= most)
    occupancies, likely = occupancies[looked_at], likely[looked_at]
    there = 1.0
    if parent is not None and tensor.ranks(parent) and least == 0 and len(likely):
        there = 1.0 - float(likely[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            likely = likely / there
        likely[0] = 0.0
    words = _in_order(likely * occupancies)
    metadata, most_metadata = NOTHING, NOTHING
    if tensor.ranks(s):
        units = metadata_units(tensor, s, ranked, occupancies)
        metadata = np.array([[_in_order(kind * likely) for kind in rank] for rank in units])
        most_metadata = metadata_units(tensor, s, ranked, np.array([most]))[:, :, 0]
    return Held(
        words,
        words / shape,
        metadata,
        most if tensor.ranks(s) else shape,
        most_metadata,
        there,
    )


def accesses(tensor: TensorTiles, s: int, own: Held, dense: tuple[int, int, int]) -> Accesses:
    """Return a level's accesses to compressed data.

    Args:
        tensor: of the mapping.
        s: the level.
        own: what it holds.
        dense: reads, fills and updates without compression.
    """
    counts = list(dense)
    if tensor.ranks(s):
        sparsity = 1 - own.density
        for i in range(3 if tensor.read_write else 2):
            counts[i] = unsigned(counts[i] - floored(counts[i] * sparsity))
    shape = tensor.shape(s)
    metadata = [
        [[unsigned(ceiled(units * (count / shape))) for units in rank] for rank in own.metadata]
        for count in dense
    ]
    reads, fills, updates = counts
    return Accesses(reads, fills, updates, *metadata)


def _in_order(values: Floats) -> float:
    """Return the sum of values, added one after the other."""
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0
