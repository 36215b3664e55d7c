"""What open flows and the flows outside them cost together, over the loops of the next level.

The plain bound of a label lets its open flows choose the order of the loops outside
(`dse.mappers.exact.ways`), and lets the flows that start further out choose their tile, each for
itself. Where many labels pass, that is too little. A *tail* of a tile is one choice of the next
level's loops, of their order, and of the order of the loops that follow: by how much it multiplies
the words of each tensor at rest, and what the flows that start outside cost with it at least. A
label can become no better than with the best of its tile's tails. There must be no spatial loops
outside, and the next level must not be the last.
"""

from __future__ import annotations

import numpy as np

from dse.jit import inner, tiered
from dse.mappers.exact.labels import Draft, new_draft
from dse.mappers.exact.tables import Int, Tables, Tail
from dse.mappers.exact.ways import set_ways, start_energy_of_way, term_energy
from dse.numeric import Flags, Floats, Ints


def tile_ways(t: Tables, level: int, fits: Flags, beyond: Floats) -> tuple[Ints, Floats, Floats]:
    """Tabulate the ways of the tiles that fit a level.

    Args:
        t: of the space.
        level: at which the loops inside the tiles end.
        fits: ``(tiles,)``; the others have no ways.
        beyond: ``(tiles,)`` least energy of the flows that start outside the level.

    Returns:
        ``(tiles + 1,)`` where the ways of each tile start; ``(n, T)`` how they multiply the words
        of each tensor; ``(n,)`` least energy of the flows that start at the level or outside it.
    """
    first = np.zeros(len(fits) + 1, np.int64)
    draft = new_draft(t)
    _count_ways(t, draft, fits, first)
    times, start = np.empty((first[-1], len(t.total))), np.empty(first[-1])
    _tile_ways(t, draft, level, fits, beyond, first, times, start)
    return first, times, start


@tiered
def _count_ways(t: Tables, x: Draft, fits: Flags, first: Ints) -> None:
    for tile in range(fits.shape[0]):
        first[tile + 1] = first[tile]
        if fits[tile]:
            set_ways(t, x, tile)
            first[tile + 1] += x.ways[0]


@tiered
def _tile_ways(
    t: Tables, x: Draft, level: int, fits: Flags, beyond: Floats, first: Ints, times: Floats,
    start: Floats,
) -> None:  # fmt: skip
    for tile in range(fits.shape[0]):
        if not fits[tile]:
            continue
        set_ways(t, x, tile)
        for way in range(x.ways[0]):
            row = first[tile] + way
            for tensor in range(t.total.shape[0]):
                times[row, tensor] = x.times[way, tensor]
            start[row] = beyond[tile] + start_energy_of_way(t, x, level, tile, way)


@inner
def _equals_or_beats(x: Draft, k: int, row: int) -> bool:
    """Whether tail ``k`` costs no more than the one in another row, for any label."""
    for i in range(x.tail.shape[1]):
        if x.tail[k, i] > x.tail[row, i]:
            return False
    return True


@inner
def _add(x: Draft) -> None:
    """Add the tail in the last row, unless another is as good."""
    new = Int(x.tail.shape[0] - 1)
    count = x.tails[0]
    for k in range(count):
        if _equals_or_beats(x, k, new):
            return
    to = Int(0)
    for k in range(count):
        if _equals_or_beats(x, new, k):
            continue
        if to < k:
            for i in range(x.tail.shape[1]):
                x.tail[to, i] = x.tail[k, i]
        to += 1
    if to == new:
        # no room: the last stands for both
        to -= 1
        for i in range(x.tail.shape[1]):
            x.tail[to, i] = min(x.tail[to, i], x.tail[new, i])
    else:
        for i in range(x.tail.shape[1]):
            x.tail[to, i] = x.tail[new, i]
    x.tails[0] = to + 1


@inner
def _is_beaten(t: Tables, tail: Tail, x: Draft, tile: int, relevant: int) -> bool:
    """Whether no tail through a tile can be better than all that are known.

    ``relevant`` are the tensors that the next level's loops move, whose ``quotient`` is in the
    draft.
    """
    new = Int(x.tail.shape[0] - 1)
    tensors = t.total.shape[0]
    for tensor in range(tensors):
        times: float = t.moves[tensor, tile]
        if relevant >> tensor & 1:
            times = t.outside[tile]
            for d in range(t.bound.shape[0]):
                if t.row[tensor, d] >= 0:
                    times *= x.quotient[d]
            slide = 1.0
            for number in range(x.slide.shape[1]):
                slide = min(slide, x.slide[tensor, number, 0])
            times *= slide
        x.tail[new, tensor] = times
    least = np.inf
    for row in range(tail.first[tile], tail.first[tile + 1]):
        least = min(least, tail.start[row])
    x.tail[new, tensors] = least
    for k in range(x.tails[0]):
        if _equals_or_beats(x, k, new):
            return True
    return False


@inner
def _through(t: Tables, tail: Tail, x: Draft, tile: int, mask: int, relevant: int) -> None:
    """Add the tails through a tile, to which the loops in ``mask`` lead."""
    new = Int(x.tail.shape[0] - 1)
    tensors = t.total.shape[0]
    for way in range(t.way_first[mask], t.way_first[mask + 1]):
        for row in range(tail.first[tile], tail.first[tile + 1]):
            for tensor in range(tensors):
                times: float = tail.times[row, tensor]
                if relevant >> tensor & 1:
                    times = t.outside[tile]
                    for d in range(t.bound.shape[0]):
                        if not t.way_inside[way, tensor] >> d & 1:
                            times *= x.quotient[d]
                    number = t.way_window[way, tensor]
                    if number >= 0:
                        times *= x.slide[tensor, number, 0]
                x.tail[new, tensor] = times
            x.tail[new, tensors] = tail.start[row]
            _add(x)


@inner
def _lead_to(t: Tables, tail: Tail, x: Draft, tile: int) -> None:
    """Add the tails through a tile, where they may be better than those that are known."""
    mask = relevant = Int(0)
    for d in range(t.bound.shape[0]):
        digit = tail.ahead[d, x.origin[d], x.place[d]]
        x.quotient[d] = t.divisor[d, digit] / t.divisor[d, x.origin[d]]
        if digit != x.origin[d]:
            mask |= 1 << d
            for tensor in range(t.total.shape[0]):
                if t.row[tensor, d] >= 0:
                    relevant |= 1 << tensor
    if not _is_beaten(t, tail, x, tile, relevant):
        _through(t, tail, x, tile, mask, relevant)


@inner
def set_tails(t: Tables, tail: Tail, x: Draft, tile: int) -> None:
    """Write the tails of a tile, whose ways are set."""
    x.tails[0] = 0
    dimensions = Int(t.bound.shape[0])
    for d in range(dimensions):
        x.origin[d] = (tile // t.stride[d]) % t.digit[d]
        x.place[d] = 0
        if tail.ahead[d, x.origin[d], 0] < 0:
            return  # nothing follows
    while True:
        high = Int(0)
        for d in range(dimensions):
            high += tail.ahead[d, x.origin[d], x.place[d]] * t.stride[d]
        if tail.first[high] < tail.first[high + 1]:
            _lead_to(t, tail, x, high)
        d = dimensions - 1
        while d >= 0:
            x.place[d] += 1
            if tail.ahead[d, x.origin[d], x.place[d]] >= 0:
                break
            x.place[d] = 0
            d -= 1
        if d < 0:
            return


@inner
def best_tail(t: Tables, x: Draft) -> float:
    """Least energy of the open flows at rest, whose terms are in the draft, and all outside."""
    tensors = t.total.shape[0]
    best = np.inf
    for k in range(x.tails[0]):
        sum_ = x.tail[k, tensors]
        for f in range(x.resting[0]):
            if sum_ >= best:
                break
            sum_ += term_energy(x, f, x.tail[k, x.term.tensor[f]])
        best = min(best, sum_)
    return best
