"""Tiles worth having, by what they take of some levels and what the flows out of them move.

Prices play no part, so they are found once for hardware of all prices and sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dse.jit import inner, tiered
from dse.mappers.exact.labels import Draft, new_draft
from dse.mappers.exact.tables import Int, Tables
from dse.mappers.exact.ways import set_ways
from dse.numeric import Flags, Floats, Ints

#: Tiles that are told apart; what is beyond them is taken together with the last, at its best.
_MOST_POINTS = 4096


class Crossing(NamedTuple):
    """A flow that crosses out of a tile.

    Where it is received further in, there are two cases. No loop in time between the receivers and
    the tile moves the tensor: then they hold its words of the tile between them. Or one does: then
    every loop outside brings the tile's words anew.

    Attributes:
        tensor: that flows.
        level: of the tile, that receives; -1: it is received further in.
        served: receivers that a read serves by the spatial loops outside, at most.
        handed: receivers further in to which links hand what one of them has read, at most.
    """

    tensor: int
    level: int
    served: float
    handed: float


class Least(NamedTuple):
    """How large a tile is at least, as it holds what runs in space within it; D dimensions.

    Attributes:
        extents: ``(D,)`` of each dimension.
        volume: the product of all of them but those that nothing runs along.
        runs: ``(D,)`` which that are.
    """

    extents: tuple[int, ...]
    volume: float
    runs: tuple[bool, ...]


class Tally(NamedTuple):
    """What counts of the words of F flows: V sums.

    Attributes:
        spared: ``(F, 2)`` words that are not read, and not filled.
        weight: ``(V, F, 3)`` of words that are read, filled, and all.
    """

    spared: Floats
    weight: Floats

    @classmethod
    def each(cls, flows: int) -> Tally:
        """Return those of all words of each flow by itself."""
        weight = np.zeros((flows, flows, 3))
        weight[:, :, 2] = np.eye(flows)
        return cls(np.zeros((flows, 2)), weight)


class TilePoints(NamedTuple):
    """Tiles of which none takes no more, and moves no more, than another; K needs, V sums."""

    need: Floats  # (n, K) words: of each level that receives, then of each flow received further in
    moved: Floats  # (n, V) what the words that flows move in all come to, at least


def tile_points(
    t: Tables, flows: Sequence[Crossing], weights: Tally, least: Least, *, last: bool
) -> TilePoints:
    """Find the tiles worth having for flows that cross out of one and the same tile.

    Args:
        t: of any pattern of the space.
        flows: that cross.
        weights: what counts of their words.
        least: how large the tile is.
        last: whether no spatial loops are outside.
    """
    levels = sorted({flow.level for flow in flows if flow.level >= 0})
    needs = [sum(t.words[flow.tensor] for flow in flows if flow.level == level) for level in levels]
    inside = [flow.tensor for flow in flows if flow.level < 0]
    own = np.array(needs).reshape(len(levels), t.words.shape[1])
    order = np.lexsort(own[::-1]) if levels else np.arange(t.words.shape[1])
    place = np.full(len(flows), -1, np.int64)
    place[[f for f, flow in enumerate(flows) if flow.level < 0]] = np.arange(len(inside))
    columns = len(levels) + len(inside)
    room = np.empty((_MOST_POINTS, columns + len(weights.weight)))
    count = _collect(
        t, new_draft(t), order.astype(np.int64), own,
        np.array([flow.tensor for flow in flows], np.int64), place,
        np.array([(flow.served, flow.handed) for flow in flows], np.float64), last,
        np.any(t.window >= 0, axis=1), weights,
        np.array(least.extents, np.int64), least.volume, np.array(least.runs, np.bool_),
        np.empty(room.shape[1]), room,
    )  # fmt: skip
    return TilePoints(room[:count, :columns].copy(), room[:count, columns:].copy())


@inner
def _is_beaten(room: Floats, count: int, point: Floats) -> bool:
    """Whether a point takes no more than another, and moves no more."""
    for i in range(count - 1, -1, -1):
        worse = True
        for k in range(point.shape[0] - 1, -1, -1):
            if room[i, k] > point[k]:
                worse = False
                break
        if worse:
            return True
    return False


@inner
def _words(
    t: Tables, x: Draft, tensor: int, tile: int, way: int, served: float, last: bool
) -> float:
    """Words of a tensor at rest on a tile that a way of the loops outside moves, at least."""
    times: float = x.times[way, tensor]
    words: float = t.words[tensor, tile]
    if not last:
        times = max(times / served, t.rest[tensor, tile])
    return words * times


@inner
def _words_anew(t: Tables, x: Draft, tensor: int, tile: int, served: float, window: bool) -> float:
    """Words of a tensor that moves in a tile, at least: every loop outside multiplies them.

    Of a window the loops that do not move it: neighbouring places share words.
    """
    times = 1.0
    for d in range(t.bound.shape[0]):
        if not window or t.row[tensor, d] < 0:
            times *= x.left[d]
    words: float = t.crossing[tensor] if window else t.words[tensor, tile]
    least: float = 1.0 if window else t.rest[tensor, tile]
    return words * max(times / served, least)


@inner
def _add(point: Floats, first: int, weights: Tally, f: int, words: float) -> None:
    """Add what counts of a flow's words to the sums of a point."""
    read = max(words - weights.spared[f, 0], 0.0)
    filled = max(words - weights.spared[f, 1], 0.0)
    for v in range(weights.weight.shape[0]):
        own = weights.weight[v, f]
        point[first + v] += own[0] * read + own[1] * filled + own[2] * words


@inner
def _holds(x: Draft, extents: Ints, volume: float, runs: Flags) -> bool:
    """Whether a tile, whose extents are in the draft, is as large as it has to be."""
    product = 1.0
    for d in range(extents.shape[0]):
        if x.other[d] < extents[d]:
            return False
        if runs[d]:
            product *= x.other[d]
    return product >= volume


@tiered
def _collect(
    t: Tables, x: Draft, order: Ints, own: Floats, tensors: Ints, place: Ints, shares: Floats,
    last: bool, window: Flags, weights: Tally, extents: Ints, volume: float, runs: Flags,
    point: Floats, room: Floats,
) -> int:  # fmt: skip
    """Write needs and sums of tiles, in an order of growing first needs; return how many."""
    count = 0
    levels, sums = own.shape[0], weights.weight.shape[0]
    columns = point.shape[0] - sums
    cases = Int(1) << (columns - levels)
    for tile in order:
        set_ways(t, x, tile)
        if not _holds(x, extents, volume, runs):
            continue
        for k in range(levels):
            point[k] = own[k, tile]
        for case in range(cases):
            for way in range(x.ways[0]):
                for v in range(sums):
                    point[columns + v] = 0.0
                for f in range(tensors.shape[0]):
                    tensor = tensors[f]
                    served, handed = shares[f, 0], shares[f, 1]
                    moves = place[f] >= 0 and (case >> place[f]) & 1 == 1
                    if moves:
                        words = _words_anew(
                            t, x, tensor, tile, served * handed, window[tensor]
                        )  # fmt: skip
                    else:
                        words = _words(t, x, tensor, tile, way, served, last) / handed
                    if place[f] >= 0:
                        point[levels + place[f]] = 0.0 if moves else t.words[tensor, tile]
                    _add(point, columns, weights, f, max(words, t.crossing[tensor]))
                if _is_beaten(room, count, point):
                    continue
                if count < room.shape[0]:
                    for k in range(point.shape[0]):
                        room[count, k] = point[k]
                    count += 1
                    continue
                for k in range(point.shape[0]):
                    room[count - 1, k] = min(room[count - 1, k], point[k])
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
