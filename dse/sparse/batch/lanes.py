"""Mappings abreast whose tiles are known: memory of a block, one mapping per SIMD lane.

All mappings of a block keep the same tensors and save in the same places. Quantities are rows of W
lanes in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dse.jit import inlined, inner
from dse.numeric import Flags, Floats, Ints
from dse.sparse.batch.memory import SparseWork
from dse.sparse.batch.plan import SparsePlan

#: Mappings of a block.
WIDTH = 40


class SparseLanes(NamedTuple):
    """Memory of a block: L levels, T tensors, R ranks, W lanes."""

    place: Ints  # (W,) of the mapping in its batch
    # of all lanes
    keep: Flags  # (L, T)
    how: Ints  # (T, L) what becomes of accesses that are saved; -1: none is
    parent: Ints  # (T, L) next level outside that keeps the tensor, -1: none
    child: Ints  # (T, L) the same inside
    final: Flags  # (L,) whether the savings of a tensor at hand are counted
    saves: Flags  # (T,) whether a tensor's savings reach the computes
    # of tiles
    tile: Floats  # (T, L, W)
    density: Floats  # (T, L, W)
    there: Floats  # (T, L, W)
    units: Floats  # (T, L, R, 2, W)
    share: Floats  # (T, L, W) saved
    blocks: Floats  # (T, L, W) by what factor blocks are more than if all were full
    instances: Floats  # (L, W)
    computing: Floats  # (W,) MACs
    # counts
    left: Floats  # (L, 3, W)
    metadata_left: Floats  # (L, 3, R, 2, W)
    data: Floats  # (T, L, 3, 3, W) words by what becomes of an access, and by access
    bits: Floats  # (T, L, 3, 3, W) of metadata
    compressed: Floats  # (T, L, W)
    decompressed: Floats  # (T, L, W)
    computes: Floats  # (T, W) share of the computes that a tensor saves
    operand: Floats  # (2, 3, W)
    done: Floats  # (3, W) computes
    # totals
    energy_pj: Floats  # (W,)
    iterations: Floats  # (W,)
    busy: Floats  # (W,)
    use: Floats  # (5, W) of a tensor at a level: pJ, words and bits read, words and bits written
    work: Floats  # (3, W)
    ok: Flags  # (W,) whether the answer makes sense
    wraps: Flags  # (W,) whether a level's accesses are fewer than none


def new_lanes(plan: SparsePlan) -> SparseLanes:
    """Allocate the memory for a plan."""
    levels, tensors, ranks = plan.formats.code.shape
    row, cells = (levels, WIDTH), (tensors, levels, WIDTH)
    arrays: list[Any] = [
        np.zeros(WIDTH, np.int64),
        np.zeros((levels, tensors), np.bool_),
        *(np.zeros((tensors, levels), np.int64) for _ in range(3)),
        np.zeros(levels, np.bool_),
        np.zeros(tensors, np.bool_),
        *(np.ones(cells) for _ in range(3)),
        np.zeros((tensors, levels, ranks, 2, WIDTH)),
        np.zeros(cells),
        *(np.ones(shape) for shape in (cells, row, WIDTH)),
        np.zeros((levels, 3, WIDTH)),
        np.zeros((levels, 3, ranks, 2, WIDTH)),
        *(np.zeros((tensors, levels, 3, 3, WIDTH)) for _ in range(2)),
        *(np.zeros(cells) for _ in range(2)),
        np.zeros((tensors, WIDTH)),
        np.zeros((2, 3, WIDTH)),
        np.zeros((3, WIDTH)),
        *(np.zeros(WIDTH) for _ in range(3)),
        np.zeros((5, WIDTH)),
        np.zeros((3, WIDTH)),
        *(np.zeros(WIDTH, np.bool_) for _ in range(2)),
    ]
    return SparseLanes(*arrays)


@inlined
def belongs(x: SparseLanes, w: SparseWork, keep: Flags) -> bool:
    """Whether a mapping keeps and saves what those of the block do."""
    same = True
    for t in range(keep.shape[1]):
        for s in range(keep.shape[0]):
            same &= keep[s, t] == x.keep[s, t] and w.how[t, s] == x.how[t, s]
    return same


@inlined
def begin(x: SparseLanes, w: SparseWork, keep: Flags) -> None:
    """Let the block be of mappings that keep and save as one does."""
    for t in range(keep.shape[1]):
        for s in range(keep.shape[0]):
            x.keep[s, t], x.how[t, s] = keep[s, t], w.how[t, s]
            x.parent[t, s], x.child[t, s] = w.parent[t, s], w.child[t, s]


@inlined
def add(x: SparseLanes, w: SparseWork, plan: SparsePlan, i: int, b: int) -> None:
    """Let lane ``i`` be of mapping ``b``."""
    x.place[i], x.ok[i] = b, True
    for s in range(w.x.shape[0]):
        x.instances[s, i] = w.x[s] * w.y[s]
    x.computing[i] = w.x[0] * w.nest.width[0] * w.y[0] * w.nest.height[0]
    for t in range(w.tile.shape[0]):
        there, tile, density, blocks = x.there[t], x.tile[t], x.density[t], x.blocks[t]
        for s in range(w.tile.shape[1]):
            if not x.keep[s, t]:
                continue
            there[s, i] = w.there[t, s]
            ranks = plan.formats.ranks[s, t]
            if ranks > 0:
                tile[s, i], density[s, i] = w.tile[t, s], w.density[t, s]
                blocks[s, i] = w.blocks[t, s]
                units, own = x.units[t, s], w.units[t, s]
                for r in range(ranks):
                    units[r, 0, i], units[r, 1, i] = own[r, 0], own[r, 1]
            if x.how[t, s] >= 0:
                x.share[t, s, i] = w.share[t, s]


@inner
def require_finite(x: SparseLanes, row: Floats, n: int) -> None:
    """Of lanes whose number is not finite there is no answer."""
    for i in range(n):
        x.ok[i] &= row[i] - row[i] == 0.0
