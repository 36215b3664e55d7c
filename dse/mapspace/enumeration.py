"""All mappings of a mapspace in order, without those that only differ in loops of one iteration.

A mapping's number has two parts: its tiling (factorisations, axes, keeps), which decides whether
it fits, and the orders of its loops. Tilings that do not fit are passed over with all their
orders.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import MappingBatch
from dse.jit import inner, tiered
from dse.mapspace.moves import change_axis, set_factor
from dse.mapspace.sampling import hardware_arrays, mark_slots
from dse.mapspace.space import Mapspace, SpaceArrays
from dse.mapspace.steps import check_block, copy_mapping
from dse.model import arrays as a
from dse.model.arrays import MappingArrays
from dse.model.batch import make_plan
from dse.model.block import WIDTH, Lanes, Plan, Prices, lay_out, load_first, new_prices
from dse.model.scratch import block
from dse.numeric import Ints, int64

#: Numbers beyond this are not told apart exactly.
LARGEST = 1 << 62


def tilings(space: Mapspace) -> int:
    """Number of tilings: factorisations x axes x keeps, those that do not fit among them."""
    x = space.arrays
    return math.prod(f.count for f in space.factors) << int(
        (x.axis == 2).sum() + (x.keep == 2).sum()
    )


def enumerate_valid(
    space: Mapspace, chunk: int, start: int = 0, stop: int | None = None, stride: int = 1
) -> Iterator[MappingBatch]:
    """Yield the mappings that fit, in batches of at most ``chunk``.

    Args:
        space: the mapspace, with fewer than 2^62 tilings.
        chunk: mappings per batch.
        start: number of the first tiling to look at.
        stop: the number at which to stop; None: after the last.
        stride: distance between the numbers looked at.

    Raises:
        ValueError: the space has too many tilings to number.
    """
    total = tilings(space)
    if total >= LARGEST:
        raise ValueError(f"{total} tilings, expected fewer than 2^62")
    if space.infeasible:
        return
    x = space.arrays
    levels, dimensions = x.order.shape
    prices = new_prices(levels)
    load_first(prices, hardware_arrays(space.architecture))
    plan = make_plan(space.problem, x.keep != 0, a.HEAD)
    scratch = a.mapping_arrays(space.empty_batch(WIDTH))
    digits = np.array([f.count for f in space.factors], np.int64)
    shape = (levels, dimensions, *space.problem.projection.shape[:2])
    at, end = start, total if stop is None else min(stop, total)
    # a tiling has many orders: few tilings at a time, so that a batch stays small
    some = space.empty_batch(min(max(chunk, 2 * WIDTH), 4096))
    while at < end:
        found, at = _tile_into(
            x, plan, block(*shape)[0], prices, digits, scratch, a.mapping_arrays(some),
            at, end, stride,
        )  # fmt: skip
        yield from _ordered(space, some.window(0, found), chunk)


def _ordered(space: Mapspace, tiled: MappingBatch, chunk: int) -> Iterator[MappingBatch]:
    """Yield every tiling with every order of its loops."""
    if not len(tiled):
        return
    count = np.empty(len(tiled), np.float64)
    _count_orders(space.arrays, a.mapping_arrays(tiled), count)
    before = np.concatenate([[0.0], np.cumsum(count)])
    total = int(before[-1])
    for first in range(0, total, chunk):
        number = np.arange(first, min(first + chunk, total), dtype=np.float64)
        index = np.searchsorted(before, number, side="right") - 1
        batch = tiled.take(index)
        if batch.permutation.shape[2] > 1:
            left = (number - before[index]).astype(np.int64)
            _order_each(space.arrays, a.mapping_arrays(batch), left)
        yield batch


@inner
def _decode(space: SpaceArrays, digits: Ints, number: int, m: MappingArrays, i: int) -> None:
    """Write tiling ``number`` to mapping i: factors first, then axes and keeps."""
    levels, dimensions = space.order.shape
    for d in range(dimensions):
        left = float(number % digits[d])
        number //= digits[d]
        node = space.node_start[d]
        for k in range(space.slots[d]):
            edge = space.first[node]
            last = space.first[node + 1] - 1
            while edge < last and space.before[edge + 1] <= left:
                edge += 1
            left -= space.before[edge]
            set_factor(space, m, d, k, i, space.factor[edge])
            node = int64(space.target[edge])
    for s in range(levels):
        for d in range(dimensions):
            if space.axis[s, d] == 2:
                place = 0
                while m.spatial_permutation[s, place, i] != d:
                    place += 1
                on_y = place >= m.split[s, i]
                if on_y != (number & 1 == 1):
                    change_axis(m, s, d, i)
                number >>= 1
    for s in range(levels):
        for t in range(space.keep.shape[1]):
            if space.keep[s, t] == 2:
                m.keep[s, t, i] = number & 1 == 0
                number >>= 1


@inner
def _is_first_of_equals(space: SpaceArrays, m: MappingArrays, i: int) -> bool:
    """Whether no dimension that has no spatial factor was put on Y where X would do."""
    levels, dimensions = space.order.shape
    if not space.any_axis_free:
        return True
    for s in range(levels):
        for p in range(m.split[s, i], dimensions):
            d = m.spatial_permutation[s, p, i]
            if space.axis[s, d] == 2 and m.spatial[s, d, i] == 1:
                return False
    return True


@tiered
def _tile_into(
    space: SpaceArrays, plan: Plan, x: Lanes, c: Prices, digits: Ints,
    scratch: MappingArrays, out: MappingArrays, start: int, stop: int, stride: int,
) -> tuple[int, int]:  # fmt: skip
    """Fill ``out`` with tilings that fit; return how many were found, and the next number."""
    wanted = out.temporal.shape[2] - WIDTH
    found = 0
    at = start
    mark_slots(space, x)
    lay_out(x)
    while at < stop and found <= wanted:
        n = 0
        while n < WIDTH and at < stop:
            _decode(space, digits, at, scratch, n)
            n += _is_first_of_equals(space, scratch, n)
            at += stride
        for i in range(n, WIDTH):
            copy_mapping(scratch, 0, scratch, i, space)
        check_block(space, plan, x, c, scratch)
        for i in range(n):
            if x.ok[i]:
                copy_mapping(scratch, i, out, found, space)
                found += 1
    return found, at


@inner
def _loops(space: SpaceArrays, m: MappingArrays, s: int, b: int) -> int:
    """Loops of more than one iteration in the free stretch of level s."""
    count = int64(0)
    for p in range(space.free_start[s], space.free_start[s] + space.free_count[s]):
        count += m.temporal[s, space.order[s, p], b] > 1
    return count


@tiered
def _count_orders(space: SpaceArrays, m: MappingArrays, count: npt.NDArray[np.float64]) -> None:
    """Set ``count (B,)`` to the number of different loop orders of each tiling."""
    for b in range(count.shape[0]):
        orders = 1.0
        for s in range(space.order.shape[0]):
            for n in range(2, _loops(space, m, s, b) + 1):
                orders *= n
        count[b] = orders


@tiered
def _order_each(space: SpaceArrays, m: MappingArrays, number: Ints) -> None:
    """Give mapping b its order ``number[b]``: loops first, then those of one iteration."""
    for b in range(number.shape[0]):
        left = number[b]
        for s in range(space.order.shape[0]):
            start, count = space.free_start[s], space.free_count[s]
            loops = _loops(space, m, s, b)
            place = start
            for wanted in range(2):
                for p in range(start, start + count):
                    d = space.order[s, p]
                    if (m.temporal[s, d, b] > 1) == (wanted == 0):
                        m.permutation[s, place, b] = d
                        place += 1
            for n in range(loops, 1, -1):
                pick = left % n
                left //= n
                p, q = start + n - 1, start + pick
                m.permutation[s, p, b], m.permutation[s, q, b] = (
                    m.permutation[s, q, b],
                    m.permutation[s, p, b],
                )
