"""Link transfers: children that get their whole delta from a grid neighbour (section 6)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inner
from dse.model.loops import Nest
from dse.model.multicast import Grid

Ints = npt.NDArray[np.int64]


@inner
def _matches(total: Ints, u: Ints) -> bool:
    """Whether the difference vector equals u or -u."""
    plus = minus = True
    for q in range(u.shape[0]):
        plus &= total[q] == u[q]
        minus &= total[q] == -u[q]
    return plus or minus


@inner
def _carry_matches(nest: Nest, vector: Ints, start: int, stop: int, u: Ints, total: Ints) -> bool:
    """Whether stepping to the next element over loops ``start .. stop`` can move by +-u."""
    ranks = u.shape[0]
    for c in range(start, stop):
        for q in range(ranks):
            total[q] = vector[c, q]
            for i in range(start, c):
                total[q] -= (nest.bound[i] - 1) * vector[i, q]
        if _matches(total, u):
            return True
    return False


@inner
def _packed_row_matches(
    nest: Nest, vector: Ints, start: int, stop: int, grid_width: int, u: Ints, total: Ints
) -> bool:
    """Whether adding ``grid_width`` to an element's index can move it by +-u.

    Tries every carry pattern of that addition in the mixed radix of the loop bounds.
    """
    ranks = u.shape[0]
    count = stop - start
    for pattern in range(1 << max(count - 1, 0)):
        total[:] = 0
        rest = np.int64(grid_width)
        carry_in = 0
        for i in range(count):
            n = nest.bound[start + i]
            digit = rest % n
            rest //= n
            carry_out = (pattern >> i) & 1 if i < count - 1 else 0
            step = digit + carry_in - n * carry_out
            for q in range(ranks):
                total[q] += step * vector[start + i, q]
            carry_in = carry_out
        if _matches(total, u):
            return True
    return False


@inner
def set_reach(nest: Nest, vector: Ints, s: int, reach: Ints) -> None:
    """Set how far two children of level s can lie apart in each row."""
    for q in range(reach.shape[0]):
        reach[q] = 0
        for k in range(nest.first[s], nest.middle[s]):
            reach[q] += abs(vector[k, q]) * (nest.bound[k] - 1)


@inner
def may_link(
    nest: Nest, vector: Ints, s: int, grid_width: int, u: Ints, reach: Ints, total: Ints
) -> bool:
    """Whether two grid neighbours at level s can differ by u; never a false no."""
    start, stop, middle = nest.first[s], nest.middle[s], nest.middle_x[s]
    for q in range(u.shape[0]):
        if abs(u[q]) > reach[q]:
            return False
    if nest.width[s] == grid_width:
        return _carry_matches(nest, vector, start, middle, u, total) or _carry_matches(
            nest, vector, middle, stop, u, total
        )
    if _carry_matches(nest, vector, start, stop, u, total):
        return True
    if nest.width[s] * nest.height[s] > grid_width:
        return _packed_row_matches(nest, vector, start, stop, grid_width, u, total)
    return False


@inner
def mark_linked(
    grid: Grid,
    before: Ints,
    count_before: int,
    count: int,
    grid_width: int,
    grid_height: int,
    u: Ints,
) -> int:
    """Mark the children that some grid neighbour serves by a move of u; return how many.

    ``before (E, Q)`` are the offsets that the ``count_before`` children had in the invocation
    before, those of ``grid`` where it had the same children.
    """
    linked = 0
    for i in range(count):
        column, row = i % grid_width, i // grid_width
        found = False
        for side in range(4):
            if side == 0:
                inside = column > 0
                other = i - 1
            elif side == 1:
                inside = column < grid_width - 1
                other = i + 1
            elif side == 2:
                inside = row > 0
                other = i - grid_width
            else:
                inside = row < grid_height - 1
                other = i + grid_width
            if inside and other < count_before:
                same = True
                for q in range(u.shape[0]):
                    same &= before[other, q] - grid.offset[i, q] == u[q]
                found |= same
        grid.linked[i] = found
        linked += found
    return linked
