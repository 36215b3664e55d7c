"""Tiles worth having, by what they take of some levels and what the flows that start there move.

Prices play no part, so they are found once for hardware of all prices and sizes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dse.jit import inner, tiered
from dse.mappers.exact.labels import Draft, new_draft
from dse.mappers.exact.tables import Tables
from dse.mappers.exact.ways import set_ways
from dse.numeric import Floats, Ints

#: Tiles that are told apart; what is beyond them is taken together with the last, at its best.
_MOST_POINTS = 4096


class TilePoints(NamedTuple):
    """Tiles of which none takes no more, and moves no more, than another; F flows, K levels."""

    need: Floats  # (n, K) words of each level
    words: Floats  # (n, F) that each flow moves in all, at least


def tile_points(
    t: Tables, starts: tuple[tuple[int, int], ...], served: tuple[float, ...], *, last: bool
) -> TilePoints:
    """Find the tiles worth having for flows that start with one and the same tile.

    Args:
        t: of any pattern of the space.
        starts: tensor and level of each flow.
        served: receivers that a read of each flow serves by the spatial loops outside, at most.
        last: whether no spatial loops are outside.
    """
    levels = sorted({level for _, level in starts})
    tensors = np.array([tensor for tensor, _ in starts], np.int64)
    need = np.array(
        [sum(t.words[tensor] for tensor, own in starts if own == level) for level in levels]
    )
    order = np.lexsort(need[::-1]).astype(np.int64)
    room = np.empty((_MOST_POINTS, len(need) + len(tensors)))
    words = np.empty(len(tensors))
    count = _collect(
        t, new_draft(t), order, need, tensors, np.array(served, np.float64), last, words, room
    )
    return TilePoints(room[:count, : len(need)].copy(), room[:count, len(need) :].copy())


@inner
def _is_beaten(room: Floats, count: int, need: Floats, tile: int, words: Floats) -> bool:
    """Whether a point takes no more than a tile, and moves no more."""
    levels = need.shape[0]
    for i in range(count - 1, -1, -1):
        worse = True
        for f in range(words.shape[0]):
            if room[i, levels + f] > words[f]:
                worse = False
                break
        for k in range(levels if worse else 0):
            if room[i, k] > need[k, tile]:
                worse = False
                break
        if worse:
            return True
    return False


@tiered
def _collect(
    t: Tables, x: Draft, order: Ints, need: Floats, tensors: Ints, served: Floats, last: bool,
    words: Floats, room: Floats,
) -> int:  # fmt: skip
    """Write needs and words of tiles, in an order of growing first needs; return how many."""
    count = 0
    levels, flows = need.shape[0], tensors.shape[0]
    for tile in order:
        set_ways(t, x, tile)
        for way in range(x.ways[0]):
            for f in range(flows):
                tensor = tensors[f]
                times = x.times[way, tensor]
                if not last:
                    times = max(times / served[f], t.rest[tensor, tile])
                words[f] = max(t.words[tensor, tile] * times, t.crossing[tensor])
            if _is_beaten(room, count, need, tile, words):
                continue
            if count < room.shape[0]:
                for k in range(levels):
                    room[count, k] = need[k, tile]
                for f in range(flows):
                    room[count, levels + f] = words[f]
                count += 1
                continue
            for k in range(levels):
                room[count - 1, k] = min(room[count - 1, k], need[k, tile])
            for f in range(flows):
                room[count - 1, levels + f] = min(room[count - 1, levels + f], words[f])
    return count


def undominated(columns: Floats) -> Ints:
    """Return the columns of ``(rows, n)`` that no other is as good as in all rows."""
    order = np.lexsort(columns[::-1]).astype(np.int64)
    kept = np.empty(len(order), np.int64)
    count = _undominated(np.ascontiguousarray(columns.T), order, kept)
    return kept[:count].copy()


@inner
def _is_equalled(points: Floats, kept: Ints, count: int, new: int) -> bool:
    """Whether a point that is kept is as good as a new one in all rows."""
    for k in range(count):
        equalled = True
        for row in range(points.shape[1]):
            if points[kept[k], row] > points[new, row]:
                equalled = False
                break
        if equalled:
            return True
    return False


@tiered
def _undominated(points: Floats, order: Ints, kept: Ints) -> int:
    """Write the points ``(n, rows)`` that none before them equals or beats; return how many."""
    count = 0
    for new in order:
        if not _is_equalled(points, kept, count, new):
            kept[count] = new
            count += 1
    return count
