"""Parts of tiles that a level delivers, and when two of them are the same (section 14.5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inner

Ints = npt.NDArray[np.int64]


class Deltas(NamedTuple):
    """Parts of tiles that were delivered, each once; scratch.

    A delta is a tile without the box ``low .. high`` inside it, relative to the tile's corner.
    """

    used: Ints  # (1,)
    side: Ints  # (E, Q) sides of the tile
    low: Ints  # (E, Q)
    high: Ints  # (E, Q)


@inner
def same_delta(d: Deltas, a: int, b: int) -> bool:
    """Whether two deltas are the same set but for where they lie (section 14.5).

    Timeloop keeps a delta as slices: along each row the left one, the right one, then the rest.
    """
    if a == b:
        return True
    ranks = d.side.shape[1]
    qa = qb = np.int64(0)
    # both start from a whole tile; slices that are empty do not exist
    right_a = right_b = False
    while True:
        while qa < ranks and not _exists(d, a, qa, right_a):
            qa, right_a = qa + right_a, not right_a
        while qb < ranks and not _exists(d, b, qb, right_b):
            qb, right_b = qb + right_b, not right_b
        if ranks in (qa, qb):
            return qa == ranks and qb == ranks
        for q in range(ranks):
            if _slice_low(d, a, qa, right_a, q) != _slice_low(d, b, qb, right_b, q):
                return False
            if _slice_high(d, a, qa, right_a, q) != _slice_high(d, b, qb, right_b, q):
                return False
        qa, right_a = qa + right_a, not right_a
        qb, right_b = qb + right_b, not right_b


@inner
def _whole(d: Deltas, row: int) -> bool:
    for q in range(d.side.shape[1]):
        if d.high[row, q] <= d.low[row, q]:
            return True
    return False


@inner
def _exists(d: Deltas, row: int, q: int, right: bool) -> bool:
    if _whole(d, row):
        return q == 0 and not right
    return d.high[row, q] < d.side[row, q] if right else d.low[row, q] > 0


@inner
def _slice_low(d: Deltas, row: int, cut: int, right: bool, q: int) -> int:
    if _whole(d, row) or q > cut:
        return 0
    if q < cut:
        return d.low[row, q]
    return d.high[row, q] if right else 0


@inner
def _slice_high(d: Deltas, row: int, cut: int, right: bool, q: int) -> int:
    if _whole(d, row) or q > cut:
        return d.side[row, q]
    if q < cut:
        return d.high[row, q]
    return d.side[row, q] if right else d.low[row, q]
