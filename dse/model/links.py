"""Link transfers: children that get their whole delta from a grid neighbour (section 6)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner
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
        possible = True
        for i in range(count):
            n = nest.bound[start + i]
            digit = rest % n + carry_in
            rest //= n
            carry_out = (pattern >> i) & 1 if i < count - 1 else 0
            possible = digit > 0 if carry_out else digit < n or i == count - 1
            if not possible:
                break
            for q in range(ranks):
                total[q] += (digit - n * carry_out) * vector[start + i, q]
            carry_in = carry_out
        if possible and _matches(total, u):
            return True
    return False


@inner
def set_reach(nest: Nest, vector: Ints, s: int, reach: Ints) -> None:
    """Set how far two children of level s can lie apart in each row."""
    for q in range(reach.shape[0]):
        reach[q] = 0
        for k in range(nest.first[s], nest.middle[s]):
            reach[q] += abs(vector[k, q]) * (nest.bound[k] - 1)


@inlined
def is_near(u: Ints, reach: Ints) -> bool:
    """Whether a move is no longer than two children can lie apart."""
    for q in range(u.shape[0]):
        if abs(u[q]) > reach[q]:
            return False
    return True


@inner
def may_link(nest: Nest, vector: Ints, s: int, grid_width: int, u: Ints, total: Ints) -> bool:
    """Whether two grid neighbours at level s can differ by u; never a false no."""
    start, stop, middle = nest.first[s], nest.middle[s], nest.middle_x[s]
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
    before: Grid,
    count_before: int,
    count: int,
    grid_width: int,
    grid_height: int,
    u: Ints,
) -> int:
    """Mark the children that some grid neighbour serves by a move of u; return how many.

    ``before`` are the ``count_before`` children of the invocation before, placed with the same
    radices: ``grid`` itself where it had the same children.
    """
    move = np.int64(0)
    for q in range(u.shape[0]):
        move += u[q] * grid.radix[q]
    linked = 0
    column, row = 0, 0
    for i in range(count):
        key = grid.key[i] + move
        found = column > 0 and _lies_at(before, count_before, i - 1, key, grid, i, u)
        found |= column < grid_width - 1 and _lies_at(before, count_before, i + 1, key, grid, i, u)
        found |= row > 0 and _lies_at(before, count_before, i - grid_width, key, grid, i, u)
        found |= row < grid_height - 1 and _lies_at(
            before, count_before, i + grid_width, key, grid, i, u
        )
        grid.linked[i] = found
        linked += found
        column += 1
        if column == grid_width:
            column = 0
            row += 1
    return linked


@inner
def _lies_at(
    before: Grid, count_before: int, other: int, key: int, grid: Grid, i: int, u: Ints
) -> bool:
    """Whether child ``other`` lay where child i and a move of u, with such a key, do."""
    if other >= count_before or before.key[other] != key:
        return False
    same = True  # of moves beyond the grid keys are ambiguous
    for q in range(u.shape[0]):
        same &= before.offset[other, q] - grid.offset[i, q] == u[q]
    return same
