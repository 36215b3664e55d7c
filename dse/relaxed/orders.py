"""Loop orders worth trying: at each level, one tensor is stationary while the inner loops run."""

from __future__ import annotations

import numpy as np

from dse.domain.mapping import Order
from dse.mapspace.space import Mapspace


def stationary_orders(space: Mapspace, dimensions: int, tensors: int) -> Order:
    """Return a loop order per tensor and level, ``(tensors, L, dimensions)``, innermost first.

    In that of a tensor, the free loops that do not move it come first, the others after them; what
    the mapspace fixes stays. Dimensions beyond the problem's own follow at the end; in place of
    tensors beyond them stands the last one's order.
    """
    a = space.arrays
    levels, own = a.order.shape
    relevant = (space.problem.projection != 0).any(axis=1)
    orders = np.tile(np.arange(dimensions, dtype=np.int8), (tensors, levels, 1))
    for t in range(tensors):
        moves = relevant[min(t, len(relevant) - 1)]
        for s in range(levels):
            start, stop = int(a.free_start[s]), int(a.free_start[s] + a.free_count[s])
            order = a.order[s].copy()
            free = np.sort(order[start:stop])
            order[start:stop] = np.concatenate([free[~moves[free]], free[moves[free]]])
            orders[t, s, :own] = order
    return orders


def free_levels(spaces: list[Mapspace]) -> list[int]:
    """Return the levels whose order is free in any of the mapspaces, outermost first."""
    levels = len(spaces[0].architecture.levels)
    free = np.array([space.arrays.free_count for space in spaces]).max(axis=0)
    return [s for s in range(levels - 1, -1, -1) if free[s] > 1]
