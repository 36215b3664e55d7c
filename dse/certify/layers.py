"""What the recheck of two-tier spaces looks at: every tile of a layer with every order."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dse.certify import kernel as recheck_kernel
from dse.cosearch.frames import HardwareSpace, UnsolvableSpace
from dse.cosearch.two_tier.roles import ACCUMULATOR, MEMORY, SCRATCHPAD, Roles, roles
from dse.domain.architecture import Architecture
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.mapspace.factorization import divisors
from dse.mapspace.space import Mapspace, MapspaceCache
from dse.model.arrays import version_number
from dse.space.search_space import SearchSpace

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BoxLayer:
    """A layer with all its tiles and orders: ``(R, 2 D)`` of :mod:`dse.certify.kernel`."""

    problem: Problem
    space: Mapspace
    roles: Roles
    tiles: Ints
    weight: float


def two_tier_layers(space: SearchSpace, hardware: HardwareSpace) -> list[BoxLayer] | None:
    """Return the layers with their tiles; None where the space is not a two-tier one."""
    frames = [hardware.frame(i) for i in range(len(hardware.frames))]
    if not frames or len(frames[0].architecture.levels) != 4:
        return None
    widest = max(frames, key=lambda f: f.architecture.compute.instances).architecture
    space_of = MapspaceCache(space.template.constraints)
    made: dict[Problem, BoxLayer | None] = {}
    layers = []
    for layer in space.workload:
        if layer.problem not in made:
            mapspace = space_of(layer.problem, widest)
            role = roles(mapspace)
            made[layer.problem] = None if role is None else BoxLayer(
                layer.problem, mapspace, role,
                _tiles(layer.problem, version_number(space.timeloop_version)), 0.0,
            )  # fmt: skip
        known = made[layer.problem]
        if known is None:
            return None
        layers.append(replace(known, weight=float(layer.count)))
    return layers


def _tiles(problem: Problem, version: int) -> Ints:
    """Return all tiles with all orders of the outer loops that may matter."""
    dims, (tensors, ranks, _) = len(problem.dimensions), problem.projection.shape
    lists = [divisors(int(n)) for n in problem.sizes]
    first = np.cumsum([0, *(len(x) for x in lists)]).astype(np.int64)
    divisor = np.array([d for x in lists for d in x], np.int64)

    def zeros(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    work = recheck_kernel.TileWork(
        choice=zeros(dims),
        tile=zeros(dims),
        loops=zeros(dims),
        edge=zeros(ranks),
        moved=zeros(ranks),
        first=zeros(ranks),
        step=zeros(ranks),
        words=zeros(tensors),
        kept=zeros(recheck_kernel.MOST, tensors),
        orders=zeros(recheck_kernel.MOST, dims),
    )
    most = 8 * math.prod(len(x) for x in lists)
    while True:
        out = np.empty((most, 2 * dims), np.int64)
        rows = recheck_kernel.all_tiles(
            problem.projection, problem.sizes, first, divisor, version, work, out
        )
        if rows == -2:
            raise UnsolvableSpace(f"a tile has more than {recheck_kernel.MOST} different traffics")
        if rows >= 0:
            return out[:rows].copy()
        most *= 4


def mappings_of(layer: BoxLayer, tiles: Ints, rows: Ints, columns: Ints) -> MappingBatch:
    """Return mappings of tiles with these spatial factors, ``(B,)`` each."""
    dims = len(layer.problem.dimensions)
    batch = layer.space.empty_batch(len(tiles))
    batch.spatial[ACCUMULATOR, layer.roles.rows] = rows
    batch.spatial[SCRATCHPAD, layer.roles.columns] = columns
    inner = tiles[:, :dims].T
    spatial = batch.spatial.astype(np.int64).prod(axis=0)
    batch.temporal[ACCUMULATOR] = inner // spatial
    batch.temporal[MEMORY] = layer.problem.sizes[:, None] // inner
    orders = tiles[:, dims:]
    permutation = np.repeat(batch.permutation, len(tiles), axis=2) if (
        batch.permutation.shape[2] == 1
    ) else batch.permutation.copy()  # fmt: skip
    # loops first, in their order; the rest behind, in any
    place = np.full((len(tiles), dims), dims, np.int64)
    for j in range(dims):
        known = np.flatnonzero(orders[:, j] >= 0)
        place[known, orders[known, j]] = j
    permutation[MEMORY] = np.argsort(place, axis=1, kind="stable").T
    return replace(batch, permutation=permutation)


def largest_divisor(bounds: Ints, tile: Ints, most: int) -> Ints:
    """Return the largest divisor of each tile up to ``most``."""
    best = np.ones(len(tile), np.int64)
    for d in divisors(int(bounds)):
        if d <= most:
            best = np.where(tile % d == 0, np.maximum(best, d), best)
    return best


def spatial_pairs(architecture: Architecture, layer: BoxLayer) -> list[tuple[int, int]]:
    """Return the spatial factors, along rows and columns, that the hardware has room for."""
    sizes, r = layer.problem.sizes, layer.roles
    rows = [d for d in divisors(int(sizes[r.rows])) if d <= max(architecture.fanout(ACCUMULATOR))]
    wide = [d for d in divisors(int(sizes[r.columns])) if d <= max(architecture.fanout(SCRATCHPAD))]
    return list(itertools.product(rows, wide))


def usable_words(architecture: Architecture, s: int) -> float:
    """Return the words that tiles may take of a level."""
    level = architecture.levels[s]
    return math.inf if level.size_words is None else level.size_words // level.multiple_buffering


def tile_words(problem: Problem, tiles: Ints) -> Ints:
    """Return words ``(B, T)`` of every tensor in tiles ``(B, D)``."""
    sides = 1 + np.einsum("tqd,bd->btq", problem.projection, tiles - 1)
    words: Ints = sides.prod(axis=2)
    return words
