"""All tiles and orders of a layer where :mod:`dse.certify.tiers` holds, as mappings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.certify import kernel
from dse.certify.places import KEEP, Places, X
from dse.certify.tiers import ACCUMULATOR, MEMORY, SCRATCHPAD, Tiers
from dse.certify.verdict import NotCoveredError
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.model.arrays import version_number

Ints = npt.NDArray[np.int64]

#: Tiles with their orders that one layer may have.
_MOST_TILES = 30_000_000


def divisors(n: int) -> list[int]:
    """Return the divisors of n in growing order."""
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})


@dataclass(frozen=True)
class TiledLayer:
    """A layer with all its tiles and orders.

    Attributes:
        tiles: ``(R, 2 D)`` of :mod:`dse.certify.kernel`.
        words: ``(R, T)`` of every tensor in the tiles.
        outer: ``(D, R)`` the order of the loops at the memory, innermost first.
    """

    problem: Problem
    tiers: Tiers
    keep: npt.NDArray[np.bool_]
    tiles: Ints
    words: Ints
    outer: npt.NDArray[np.int8]

    def mappings(self, which: Ints, rows: Ints, columns: Ints) -> MappingBatch:
        """Return mappings of some tiles with these factors in space, ``(B,)`` each."""
        tiers, (levels, tensors) = self.tiers, self.keep.shape
        dims, count = len(self.problem.dimensions), len(which)
        temporal, spatial = (np.ones((levels, dims, count), np.int32) for _ in range(2))
        for d, level, factor in (
            (tiers.rows, ACCUMULATOR, rows), (tiers.columns, SCRATCHPAD, columns),
        ):  # fmt: skip
            if d is not None:
                spatial[level, d] = factor
        inner = self.tiles[which, :dims].T
        temporal[ACCUMULATOR] = inner // spatial.astype(np.int64).prod(axis=0)
        temporal[MEMORY] = self.problem.sizes[:, None] // inner
        permutation = np.tile(np.arange(dims, dtype=np.int8)[None, :, None], (levels, 1, count))
        permutation[ACCUMULATOR] = np.array(tiers.order, np.int8)[:, None]
        permutation[MEMORY] = self.outer[:, which]
        split = np.full((levels, 1), dims, np.int8)
        for level, axis in zip((ACCUMULATOR, SCRATCHPAD), tiers.axes, strict=True):
            split[level] = dims if axis == X else 0
        none = np.zeros((levels, tensors, 1), np.bool_)
        return MappingBatch(
            temporal=temporal,
            spatial=spatial,
            permutation=permutation,
            spatial_permutation=np.tile(
                np.arange(dims, dtype=np.int8)[None, :, None], (levels, 1, 1)
            ),
            split=split,
            keep=self.keep[:, :, None],
            no_temporal_reuse=none,
            no_multicast=none,
            no_link_transfer=none,
        )

    def factors(self, d: int | None, most: int) -> list[int]:
        """Return the factors that a dimension may have in space."""
        bound = 1 if d is None else int(self.problem.sizes[d])
        return [n for n in divisors(bound) if n <= most]

    def divides(self, d: int | None, factor: int, index: Ints) -> npt.NDArray[np.bool_]:
        """Return into which of some tiles ``(B,)`` a factor of a dimension goes."""
        if d is None:
            return np.full(len(index), factor == 1)
        divides: npt.NDArray[np.bool_] = self.tiles[index, d] % factor == 0
        return divides

    def largest(self, d: int | None, most: int, index: Ints) -> Ints:
        """Return the largest factor of a dimension in space, by tile of some, ``(B,)``."""
        best = np.ones(len(index), np.int64)
        if d is not None:
            for n in self.factors(d, most):
                best[self.divides(d, n, index)] = n
        return best


class Tiler:
    """Makes tiled layers; those of one problem share their tiles."""

    def __init__(self, timeloop_version: str) -> None:
        self._version = version_number(timeloop_version)
        self._tiles: dict[Problem, tuple[Ints, Ints, npt.NDArray[np.int8]]] = {}

    def layer(self, places: Places, tiers: Tiers) -> TiledLayer:
        """Return a layer with all its tiles."""
        problem = places.problem
        if problem not in self._tiles:
            dims = len(problem.dimensions)
            tiles = _tiles(problem, self._version)
            sides = 1 + np.einsum("tqd,bd->btq", problem.projection, tiles[:, :dims] - 1)
            self._tiles[problem] = tiles, sides.prod(axis=2), _outer_orders(tiles[:, dims:])
        return TiledLayer(problem, tiers, places.keep == KEEP, *self._tiles[problem])


def _outer_orders(loops: Ints) -> npt.NDArray[np.int8]:
    """Return orders of all dimensions ``(D, R)``: the loops first, the rest behind, in any."""
    count, dims = loops.shape
    place = np.full((count, dims), dims, np.int64)
    for j in range(dims):
        known = np.flatnonzero(loops[:, j] >= 0)
        place[known, loops[known, j]] = j
    return np.ascontiguousarray(np.argsort(place, axis=1, kind="stable").T.astype(np.int8))


def _tiles(problem: Problem, version: int) -> Ints:
    """Return all tiles with all orders of the outer loops that may matter."""
    dims, (tensors, ranks, _) = len(problem.dimensions), problem.projection.shape
    lists = [divisors(int(n)) for n in problem.sizes]
    first = np.cumsum([0, *(len(x) for x in lists)]).astype(np.int64)
    divisor = np.array([d for x in lists for d in x], np.int64)

    def zeros(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    work = kernel.TileWork(
        choice=zeros(dims),
        tile=zeros(dims),
        loops=zeros(dims),
        edge=zeros(ranks),
        moved=zeros(ranks),
        first=zeros(ranks),
        step=zeros(ranks),
        words=zeros(tensors),
        kept=zeros(kernel.MOST, tensors),
        orders=zeros(kernel.MOST, dims),
    )
    most = 8 * math.prod(len(x) for x in lists)
    while True:
        if most > 4 * _MOST_TILES:
            raise NotCoveredError(f"a layer with more than {_MOST_TILES:,} tiles and orders")
        out = np.empty((most, 2 * dims), np.int64)
        rows = kernel.all_tiles(
            problem.projection, problem.sizes, first, divisor, version, work, out
        )
        if rows == -2:
            raise NotCoveredError(f"a tile with more than {kernel.MOST} different traffics")
        if rows >= 0:
            return out[:rows].copy()
        most *= 4
