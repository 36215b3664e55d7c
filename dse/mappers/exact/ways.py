"""What the loops outside cost all open flows together, in the order that is best for their sum.

A flow at rest is multiplied by the loops outside, but for the irrelevant ones inside the first that
moves it (``docs/timeloop-rules.md``, section 4). Taken alone each flow has an order that spares it
all irrelevant loops; one order does so for few. Splitting a dimension over several levels helps no
flow: what counts is which dimensions stand, whole, before the first that moves its tensor. So a
*way* is, for every tensor, that set of dimensions, and whether a window moves first. No spatial
loops may be outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dse.jit import inner, tiered
from dse.mappers.exact.labels import Draft
from dse.mappers.exact.orders import Relevance
from dse.mappers.exact.tables import Int, Tables
from dse.model import rules
from dse.numeric import Floats, Ints

#: For one tensor the dimensions inside the first that moves it (a bit set), and the number of the
#: window that this one moves, -1: none.
_Way = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Ways:
    """Ways for every set of dimensions that are left.

    Attributes:
        first: ``(2^D + 1,)`` start of a set's ways.
        inside: ``(n, T)`` bit sets of the dimensions that do not multiply a tensor.
        window: ``(n, T)`` number of the window that moves first, -1: none.
    """

    first: npt.NDArray[np.int64]
    inside: npt.NDArray[np.int64]
    window: npt.NDArray[np.int64]

    @property
    def most(self) -> int:
        """Most ways of one set."""
        return int(np.diff(self.first).max())


@lru_cache(maxsize=64)
def ways_of(relevance: Relevance) -> Ways:
    """Find the ways that can be best."""
    dimensions = len(relevance.row[0])
    first = [0]
    found: list[_Way] = []
    for mask in range(1 << dimensions):
        found += _best(_ways(mask, relevance))
        first.append(len(found))
    table = np.array(found, np.int64).reshape(len(found), len(relevance.row), 2)
    return Ways(
        np.array(first, np.int64),
        np.ascontiguousarray(table[:, :, 0]),
        np.ascontiguousarray(table[:, :, 1]),
    )


def _ways(mask: int, relevance: Relevance) -> set[_Way]:
    """All ways of a set of dimensions, loop by loop from the inside out."""
    dimensions = range(len(relevance.row[0]))
    undecided: tuple[tuple[int, int] | None, ...] = (None,) * len(relevance.row)
    open_ = {(0, undecided)}
    result: set[_Way] = set()
    while open_:
        after = set()
        for inside, way in open_:
            if inside == mask or None not in way:
                result.add(tuple((mask, -1) if one is None else one for one in way))
                continue
            for d in dimensions:
                if (mask & ~inside) >> d & 1:
                    after.add((inside | 1 << d, _moved(way, inside, d, relevance)))
        open_ = after
    return result


def _moved(
    way: tuple[tuple[int, int] | None, ...], inside: int, d: int, relevance: Relevance
) -> tuple[tuple[int, int] | None, ...]:
    """Run the loop of one dimension over tensors some of which may have moved."""
    return tuple(
        (inside, relevance.window[t][row[d]]) if one is None and row[d] >= 0 else one
        for t, (one, row) in enumerate(zip(way, relevance.row, strict=True))
    )


def _best(ways: set[_Way]) -> list[_Way]:
    """Drop the ways that another equals or beats for every tensor."""
    return [
        way
        for way in sorted(ways)
        if not any(
            other != way
            and all(
                a[0] & b[0] == b[0] and (a[1] == b[1] or b[1] < 0)
                for a, b in zip(other, way, strict=True)
            )
            for other in ways
        )
    ]


@inner
def _run(step: float, whole: float, dimensions: int) -> float:
    if dimensions < 2:
        return 1.0 + (whole - 1.0) * step
    return max(1.0, step * whole / 2.0)


@tiered
def window_runs(step: Floats, whole: Floats, dimensions: Ints, run: Floats) -> None:
    """Write by how much all loops along a row of a window multiply its words at least.

    Where one dimension alone moves it, every move but the first brings as many new words as that,
    or all of them (``docs/timeloop-rules.md``, section 4). Where two do, moves of the outer may
    bring none; the first loop, of two iterations at least, is multiplied all the same.

    Args:
        step: ``(tiles,)`` the least of its steps, relative to the window's side, at most 1.
        whole: ``(tiles,)`` the product of the loops' bounds; 1 where there are none.
        dimensions: ``(tiles,)`` how many have loops.
        run: ``(tiles,)`` for the result.
    """
    for tile in range(step.shape[0]):
        run[tile] = _run(step[tile], whole[tile], dimensions[tile])


@inner
def set_ways(t: Tables, x: Draft, tile: int) -> None:
    """Write how the ways of a tile multiply every tensor, and how many there are."""
    mask = Int(0)
    for d in range(t.bound.shape[0]):
        digit = (tile // t.stride[d]) % t.digit[d]
        x.other[d] = t.divisor[d, digit]
        x.left[d] = t.bound[d] / x.other[d]
        mask |= (x.left[d] > 1.0) << d
    begin, end = t.way_first[mask], t.way_first[mask + 1]
    x.ways[0] = end - begin
    for tensor in range(t.total.shape[0]):
        for q in range(t.window.shape[1]):
            number = t.window[tensor, q]
            if number < 0:
                continue
            side = step = whole = 1.0
            dimensions = Int(0)
            for d in range(t.bound.shape[0]):
                side += rules.stretch(float(t.coefficient[tensor, q, d]), x.other[d])
            for d in range(t.bound.shape[0]):
                if t.row[tensor, d] == q and x.left[d] > 1.0:
                    whole *= x.left[d]
                    step = min(step, t.coefficient[tensor, q, d] * x.other[d] / side)
                    dimensions += 1
            x.slide[tensor, number, 0] = _run(step, whole, dimensions) / whole
            x.slide[tensor, number, 1] = 1.0 / whole
        for way in range(begin, end):
            times = 1.0
            for d in range(t.bound.shape[0]):
                if not t.way_inside[way, tensor] >> d & 1:
                    times *= x.left[d]
            number = t.way_window[way, tensor]
            if number >= 0:
                times *= x.slide[tensor, number, 0]
            x.times[way - begin, tensor] = times


@inner
def start_energy(t: Tables, x: Draft, s: int, tile: int, last: bool) -> float:
    """Least energy of the flows that start at level s over a tile, whose ways are set.

    ``last`` says that no spatial loops are outside.
    """
    if not last:
        sum_ = 0.0
        for f in range(t.low.shape[0]):
            if t.low[f] == s:
                sum_ += _least(t, f, t.words[t.tensor[f], tile] * t.rest[t.tensor[f], tile])
        return sum_
    best = np.inf
    for way in range(x.ways[0]):
        best = min(best, start_energy_of_way(t, x, s, tile, way))
    return best


@inner
def start_energy_of_way(t: Tables, x: Draft, s: int, tile: int, way: int) -> float:
    """Least energy of the flows that start at level s over a tile, in one of its ways."""
    sum_ = 0.0
    for f in range(t.low.shape[0]):
        if t.low[f] == s:
            tensor = t.tensor[f]
            sum_ += _least(t, f, t.words[tensor, tile] * x.times[way, tensor])
    return sum_


@inner
def _least(t: Tables, f: int, words: float) -> float:
    """Least energy of a flow that moves so many words in all."""
    low, high, tensor = t.low[f], t.high[f], t.tensor[f]
    words = max(words, t.crossing[tensor])
    if t.read_write[tensor]:
        energy: float = words / t.block[high] * t.update_pj[high] * t.share[high]
        return energy
    energy = words / t.block[high] * t.read_pj[high] * t.share[high]
    fills = max(0.0, words - t.spread[low]) / t.block[low]
    energy += fills * t.fill_pj[low] * t.share[low]
    return energy


@tiered
def start_energies(t: Tables, x: Draft, s: int, last: bool, energy: Floats) -> None:
    """Write the least energy of the flows that start at level s, for every tile ``(tiles,)``."""
    for tile in range(energy.shape[0]):
        if last:
            set_ways(t, x, tile)
        energy[tile] = start_energy(t, x, s, tile, last)


@inner
def best_way(x: Draft) -> float:
    """Least energy of the open flows at rest together, whose terms are in the draft."""
    if x.resting[0] == 0:
        return 0.0
    best = np.inf
    for way in range(x.ways[0]):
        sum_ = 0.0
        for k in range(x.resting[0]):
            sum_ += term_energy(x, k, x.times[way, x.term.tensor[k]])
            if sum_ >= best:
                break
        best = min(best, sum_)
    return best


@inner
def term_energy(x: Draft, k: int, times: float) -> float:
    """Energy of a flow that the loops outside multiply so many times."""
    term = x.term
    energy: float = term.delivered[k] * times
    energy += max(0.0, term.read[k] * times - term.read_spared[k])
    energy += max(0.0, term.filled[k] * times - term.fill_spared[k])
    return energy
