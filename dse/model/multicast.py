"""Spatial distribution: which children share one transfer (section 5 of the rules).

The children of a level are the elements of its spatial loops. Two share a multicast iff their
tiles coincide, that is, iff their offsets do. A histogram lists, for each multicast factor m, how
many groups of m children there are; it has a closed form unless three loops meet in one row.
"""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner
from dse.model import rules
from dse.model.loops import Nest

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Histogram(NamedTuple):
    """Groups of children by size; scratch of fixed length, ``size[0]`` entries are in use."""

    size: Ints  # (1,)
    multicast: Ints  # (R,) children per group
    groups: Ints  # (R,) number of such groups
    hops: Floats  # (R,) hops summed over these groups, where asked for


class Grid(NamedTuple):
    """The children of one level laid out on the physical grid; scratch, grown on demand."""

    offset: Ints  # (E, Q) displacement of each child
    radix: Ints  # (Q,) worth of a word of each row in ``key``
    key: Ints  # (E,) one number per distinct offset
    linked: npt.NDArray[np.bool_]  # (E,)
    column_low: Ints  # (E,)
    column_high: Ints  # (E,)
    member: Ints  # (E,) children that are not linked, sorted by key
    place_key: Ints  # (H,) hash table with open addressing: a key
    place_count: Ints  # (H,) and how many children have it, 0 for a free place


def new_histogram(entries: int) -> Histogram:
    """Allocate a histogram of at most ``entries`` multicast factors."""
    return Histogram(
        np.zeros(1, np.int64),
        np.empty(entries, np.int64),
        np.empty(entries, np.int64),
        np.empty(entries),
    )


def new_grid(elements: int, ranks: int) -> Grid:
    """Allocate a grid of at most ``elements`` children."""
    places = 1 << (2 * elements - 1).bit_length()
    return Grid(
        np.empty((elements, ranks), np.int64),
        np.empty(ranks, np.int64),
        np.empty(elements, np.int64),
        np.empty(elements, np.bool_),
        np.empty(elements, np.int64),
        np.empty(elements, np.int64),
        np.empty(elements, np.int64),
        np.empty(places, np.int64),
        np.zeros(places, np.int64),
    )


@inlined
def accesses(h: Histogram) -> int:
    """Return how often the level above is accessed for a tile: once for each group."""
    total = np.int64(0)
    for i in range(h.size[0]):
        total += h.groups[i]
    return total


@inner
def _add(h: Histogram, multicast: int, groups: int, hops: float) -> None:
    """Add groups of one size to the histogram."""
    for r in range(h.size[0]):
        if h.multicast[r] == multicast:
            h.groups[r] += groups
            h.hops[r] += hops
            return
    r = h.size[0]
    if r < h.multicast.shape[0]:
        h.multicast[r] = multicast
        h.groups[r] = groups
        h.hops[r] = hops
    h.size[0] = r + 1  # beyond the capacity: the caller sees it and allocates more


@inner
def _pair(into: Histogram, other: Histogram, n1: int, n2: int, v1: int, v2: int) -> None:
    """Combine ``into`` with a row that two loops of bounds n1, n2 and steps v1, v2 hit."""
    g = gcd(v1, v2)
    a, b = v1 // g, v2 // g
    entries = into.size[0]
    for r in range(entries):
        other.multicast[r] = into.multicast[r]
        other.groups[r] = into.groups[r]
    into.size[0] = 0
    m = 1
    while rules.colliding_pairs(n1, n2, a, b, m - 1) > 0:
        count = rules.groups_of(n1, n2, a, b, m)
        if count > 0:
            for r in range(entries):
                _add(into, m * other.multicast[r], count * other.groups[r], 0.0)
        if into.size[0] > into.multicast.shape[0]:
            return
        m += 1


@inner
def closed_histogram(
    nest: Nest, vector: Ints, s: int, no_multicast: bool, h: Histogram, other: Histogram
) -> bool:
    """Fill ``h`` for level s from ``vector (N, Q)``; False where only enumeration tells."""
    start, stop = nest.first[s], nest.middle[s]
    ranks = vector.shape[1]
    h.size[0] = 1
    h.multicast[0] = 1
    h.groups[0] = 1
    h.hops[0] = 0.0
    if no_multicast:
        h.groups[0] = nest.width[s] * nest.height[s]
        return True
    for k in range(start, stop):
        rows = 0
        for q in range(ranks):
            if vector[k, q] != 0:
                rows += 1
        if rows == 0:
            h.multicast[0] *= nest.bound[k]
        elif rows > 1:
            return False
    for q in range(ranks):
        hits = 0
        k1 = k2 = start
        for k in range(start, stop):
            if vector[k, q] != 0:
                hits += 1
                k1 = k2
                k2 = k
        if hits == 1:
            for r in range(h.size[0]):
                h.groups[r] *= nest.bound[k2]
        elif hits == 2:
            _pair(
                h,
                other,
                nest.bound[k1],
                nest.bound[k2],
                abs(vector[k1, q]),
                abs(vector[k2, q]),
            )
            if h.size[0] > h.multicast.shape[0]:
                return True
        elif hits > 2:
            return False
    return True


@inner
def place_children(nest: Nest, vector: Ints, s: int, grid: Grid) -> None:
    """Enumerate the offsets of all children of level s, and a key per distinct offset."""
    ranks = vector.shape[1]
    grid.offset[0, :] = 0
    block = np.int64(1)
    for k in range(nest.first[s], nest.middle[s]):
        for x in range(1, nest.bound[k]):
            for i in range(block):
                for q in range(ranks):
                    grid.offset[x * block + i, q] = grid.offset[i, q] + x * vector[k, q]
        block *= nest.bound[k]
    radix = np.int64(1)
    for q in range(ranks):
        reach = np.int64(0)
        for k in range(nest.first[s], nest.middle[s]):
            reach += abs(vector[k, q]) * (nest.bound[k] - 1)
        grid.radix[q] = radix
        radix *= reach + 1
    set_keys(grid, block, grid.radix)


@inner
def set_keys(grid: Grid, count: int, radix: Ints) -> None:
    """Set the keys of ``count`` placed children; those of another grid's ``radix`` compare."""
    for i in range(count):
        key = np.int64(0)
        for q in range(radix.shape[0]):
            key += grid.offset[i, q] * radix[q]
        grid.key[i] = key


@inner
def group_children(
    grid: Grid,
    count: int,
    grid_width: int,
    grid_height: int,
    no_multicast: bool,
    want_hops: bool,
    h: Histogram,
) -> None:
    """Fill ``h`` with the groups of those of ``count`` placed children that are not linked."""
    h.size[0] = 0
    if not (no_multicast or want_hops):
        _count_groups(grid, count, h)
        return
    member = grid.member
    n = 0
    for i in range(count):
        if not grid.linked[i]:
            member[n] = i
            n += 1
    if no_multicast:
        centre = (grid_height - 1) / 2.0
        for p in range(n):
            column, row = member[p] % grid_width, member[p] // grid_width
            hops = column + max(0.0, centre - row) + max(0.0, row - centre)
            _add(h, 1, 1, hops if want_hops else 0.0)
        return
    _sort_by_key(member, n, grid.key)
    start = 0
    while start < n:
        key = grid.key[member[start]]
        stop = start + 1
        while stop < n and grid.key[member[stop]] == key:
            stop += 1
        _add(h, stop - start, 1, _group_hops(grid, start, stop, grid_width, grid_height))
        start = stop


@inner
def _count_groups(grid: Grid, count: int, h: Histogram) -> None:
    """Fill ``h`` with the groups of those of ``count`` placed children that are not linked."""
    mask = np.int64(grid.place_key.shape[0] - 1)
    used = 0
    for i in range(count):
        if grid.linked[i]:
            continue
        key = grid.key[i]
        place = np.int64(np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) & mask
        while grid.place_count[place] > 0 and grid.place_key[place] != key:
            place = (place + 1) & mask
        if grid.place_count[place] == 0:
            grid.place_key[place] = key
            grid.member[used] = place
            used += 1
        grid.place_count[place] += 1
    for j in range(used):
        place = grid.member[j]
        _add(h, grid.place_count[place], 1, 0.0)
        grid.place_count[place] = 0


@inner
def _sift_down(member: Ints, root: int, n: int, key: Ints) -> None:
    """Restore the heap property below ``root``; ties of key are broken by index."""
    while True:
        child = 2 * root + 1
        if child >= n:
            return
        if child + 1 < n and _before(member[child], member[child + 1], key):
            child += 1
        if not _before(member[root], member[child], key):
            return
        member[root], member[child] = member[child], member[root]
        root = child


@inner
def _before(i: int, j: int, key: Ints) -> bool:
    return key[i] < key[j] or (key[i] == key[j] and i < j)


@inner
def _sort_by_key(member: Ints, n: int, key: Ints) -> None:
    """Heap sort of ``member[:n]`` by key, then index: in place, nothing is allocated."""
    for root in range(n // 2 - 1, -1, -1):
        _sift_down(member, root, n, key)
    for last in range(n - 1, 0, -1):
        member[0], member[last] = member[last], member[0]
        _sift_down(member, 0, last, key)


@inner
def _group_hops(grid: Grid, start: int, stop: int, grid_width: int, grid_height: int) -> float:
    """Hops of one multicast: along the bottom row, then up and down every occupied column."""
    centre = (grid_height - 1) / 2.0
    furthest = np.int64(0)
    for column in range(grid_width):
        grid.column_low[column] = -1
    for p in range(start, stop):
        column, row = grid.member[p] % grid_width, grid.member[p] // grid_width
        furthest = max(furthest, column)
        if grid.column_low[column] < 0:
            grid.column_low[column] = row
            grid.column_high[column] = row
        else:
            grid.column_low[column] = min(grid.column_low[column], row)
            grid.column_high[column] = max(grid.column_high[column], row)
    hops = float(furthest)
    for column in range(grid_width):
        if grid.column_low[column] >= 0:
            hops += max(0.0, centre - grid.column_low[column])
            hops += max(0.0, grid.column_high[column] - centre)
    return hops
