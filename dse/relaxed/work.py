"""Working memory of the twin's compiled code, and the loops and tiles of one relaxed mapping.

Gradients are kept in logarithms throughout: the adjoint of a quantity x, here called its *share*,
is x times the derivative by x. Products then only add.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dse.jit import inner
from dse.model import rules
from dse.numeric import Floats, Ints
from dse.relaxed.points import Points
from dse.relaxed.structure import Structure


class Work(NamedTuple):
    """Scratch for one mapping at a time; L levels, D dimensions, T tensors, Q rows, N loops."""

    temporal: Floats  # (L, D) factors, at least 1
    spatial: Floats  # (L, D)
    extent: Floats  # (L, D) tile extents at the boundary of each level
    spatial_extent: Floats  # (L, D) the same up to the level's spatial loops
    fanout: Floats  # (L,) product of a level's spatial loops
    used: Floats  # (L,) utilised instances
    loops: Ints  # (1,) how many temporal loops are above 1
    bound: Floats  # (N,) their factors, innermost first
    level: Ints  # (N,)
    dimension: Ints  # (N,)
    left: Floats  # (N + 1,) product of this loop and all outer ones
    first: Ints  # (L + 1,) each level's innermost loop
    edge: Floats  # (T, L, Q) sides of each tensor's tile at each level
    size: Floats  # (T, L)
    spatial_edge: Floats  # (T, L, Q) the same for the spatial extents
    spatial_size: Floats  # (T, L)
    words: Floats  # (T, L) that a level delivers to one child
    groups: Floats  # (T, L) transfers that children do not share
    content: Floats  # (T, L)
    part: Floats  # (T, L) partition
    top: Ints  # (T,) outermost level that keeps the tensor, -1: none
    traffic: Floats  # (T, L, 3) reads, fills, updates of one instance
    energy_seed: Floats  # (T, L, 3) derivatives of the energy by them
    cycles_seed: Floats  # (T, L, 3)
    scalar_seed: Floats  # (2,) shares of the iterations in energy and cycles
    used_share: Floats  # (L + 1,) shares of the utilised instances, then of the MACs, in the energy
    size_share: Floats  # (L,) of the tensor at hand
    spatial_size_share: Floats  # (L,)
    content_share: Floats  # (L,)
    extent_share: Floats  # (L, D)
    spatial_extent_share: Floats  # (L, D)
    bound_share: Floats  # (N,)
    spatial_share: Floats  # (L, D)


def new_work(levels: int, dimensions: int, tensors: int, ranks: int) -> Work:
    """Allocate scratch."""
    loops = levels * dimensions
    cube, grid = (tensors, levels, ranks), (tensors, levels)
    shape = (levels, dimensions)
    sizes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("temporal", "spatial", "extent", "spatial_extent"), shape),
        **dict.fromkeys(("extent_share", "spatial_extent_share", "spatial_share"), shape),
        **dict.fromkeys(("fanout", "used"), (levels,)),
        **dict.fromkeys(("size_share", "spatial_size_share", "content_share"), (levels,)),
        **dict.fromkeys(("bound", "bound_share"), (loops,)),
        **dict.fromkeys(("edge", "spatial_edge"), cube),
        **dict.fromkeys(("size", "spatial_size", "words", "groups", "content", "part"), grid),
        **dict.fromkeys(("traffic", "energy_seed", "cycles_seed"), (*grid, 3)),
        "left": (loops + 1,),
        "scalar_seed": (2,),
        "used_share": (levels + 1,),
    }
    whole: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("level", "dimension"), (loops,)),
        "loops": (1,),
        "first": (levels + 1,),
        "top": (tensors,),
    }
    parts: list[Any] = [
        np.zeros(whole[name], np.int64) if name in whole else np.zeros(sizes[name])
        for name in Work._fields
    ]
    return Work(*parts)


@inner
def set_loops(w: Work, x: Points, b: int) -> None:
    """Load mapping b: factors, extents, fan-outs and the temporal loops above 1."""
    levels, dimensions = w.temporal.shape
    for s in range(levels):
        w.fanout[s] = 1.0
        for d in range(dimensions):
            w.temporal[s, d] = max(x.temporal[b, s, d], 1.0)
            w.spatial[s, d] = max(x.spatial[b, s, d], 1.0)
            w.fanout[s] *= w.spatial[s, d]
            inside = w.extent[s - 1, d] if s > 0 else 1.0
            w.spatial_extent[s, d] = inside * w.spatial[s, d]
            w.extent[s, d] = w.spatial_extent[s, d] * w.temporal[s, d]
    used = 1.0
    for s in range(levels - 1, -1, -1):
        w.used[s] = used
        used *= w.fanout[s]
    k = 0
    for s in range(levels):
        w.first[s] = k
        for place in range(dimensions):
            d = x.order[b, s, place]
            if w.temporal[s, d] > 1.0:
                w.bound[k] = w.temporal[s, d]
                w.level[k] = s
                w.dimension[k] = d
                k += 1
    w.first[levels] = k
    w.loops[0] = k
    w.left[k] = 1.0
    for j in range(k - 1, -1, -1):
        w.left[j] = w.left[j + 1] * w.bound[j]


@inner
def set_tiles(w: Work, st: Structure, p: int, with_spatial: bool) -> None:
    """Set sides and sizes of all tiles."""
    tensors, levels = w.size.shape
    for t in range(tensors):
        for s in range(levels):
            w.size[t, s] = _box(st.projection[p, t], w.extent[s], w.edge[t, s])
            if with_spatial:
                w.spatial_size[t, s] = _box(
                    st.projection[p, t], w.spatial_extent[s], w.spatial_edge[t, s]
                )


@inner
def _box(c: Floats, extent: Floats, edge: Floats) -> float:
    size = 1.0
    for q in range(c.shape[0]):
        side = 1.0
        for d in range(c.shape[1]):
            side += rules.stretch(c[q, d], extent[d])
        edge[q] = side
        size *= side
    return size


@inner
def share_box(c: Floats, extent: Floats, edge: Floats, share: float, to: Floats) -> None:
    """Pass the share of a tile's size on to the extents, ``to (D,)``."""
    for q in range(c.shape[0]):
        for d in range(c.shape[1]):
            if c[q, d] != 0.0:
                to[d] += share * c[q, d] * extent[d] / edge[q]
