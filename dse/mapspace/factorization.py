"""Ordered factorisations of one dimension: counted, ranked, unranked, sampled uniformly.

A dimension of bound n is split over the slots that may hold a factor of it (a temporal or
spatial place at some level). The legal ways are the paths through a lattice: a node is (slot,
what is left of n), an edge takes a factor. Counting the paths from each node gives a bijection
between 0 .. count-1 and the factorisations, hence exact uniform sampling and enumeration.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

#: Up to this many factorisations a dimension is tabulated, not unranked on the fly.
_TABLE_LIMIT = 1 << 16


@lru_cache(maxsize=4096)
def divisors(n: int) -> tuple[int, ...]:
    """Divisors of n, which is below 2^62, in increasing order."""
    root = math.isqrt(n)
    if root < 64:
        small = [d for d in range(1, root + 1) if n % d == 0]
    else:
        small = (np.flatnonzero(n % np.arange(1, root + 1) == 0) + 1).tolist()
    return tuple(sorted({*small, *(n // d for d in small)}))


@dataclass(frozen=True, eq=False)
class Factorizations:
    """All ways to write ``bound`` as an ordered product over K slots.

    Nodes ``0 .. M-1`` form the lattice, node 0 is the start and ``M-1`` the end. Node v owns the
    edges ``first[v] .. first[v + 1]``.

    Attributes:
        bound: the number that is split.
        slots: K.
        count: number of factorisations (0: the constraints admit none).
        first: ``(M + 1,)`` int64.
        factor: ``(E,)`` int32 factor that the edge takes.
        target: ``(E,)`` int32 node where the edge leads.
        before: ``(E,)`` float64 number of factorisations through earlier edges of the node.
        table: ``(count, K)`` int32 when ``count <= TABLE_LIMIT``, else ``(0, K)``.
    """

    bound: int
    slots: int
    count: int
    first: npt.NDArray[np.int64]
    factor: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    before: npt.NDArray[np.float64]
    table: npt.NDArray[np.int32]

    def unrank(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Return factorisations ``(n, K)`` of the given numbers ``(n,)`` in 0 .. count-1."""
        if len(self.table):
            return self.table[index]
        return np.array([self._path(int(i)) for i in index], np.int32).reshape(-1, self.slots)

    def rank(self, factors: Sequence[int]) -> int:
        """Return the number of a factorisation; ValueError when it is not one of these."""
        node, index = 0, 0
        for value in factors:
            edges = range(self.first[node], self.first[node + 1])
            edge = next((e for e in edges if self.factor[e] == value), None)
            if edge is None:
                raise ValueError(f"{tuple(factors)} is not a legal factorisation of {self.bound}")
            index += int(self.before[edge])
            node = int(self.target[edge])
        if node != len(self.first) - 2:
            raise ValueError(f"{tuple(factors)} is not a factorisation of {self.bound}")
        return index

    def _path(self, index: int) -> list[int]:
        node, left, path = 0, index, []
        for _ in range(self.slots):
            low, high = self.first[node], self.first[node + 1]
            edge = low + int(np.searchsorted(self.before[low:high], left, side="right")) - 1
            left -= int(self.before[edge])
            path.append(int(self.factor[edge]))
            node = int(self.target[edge])
        return path


def factorizations(
    bound: int, caps: tuple[int, ...], fixed: tuple[int, ...], least: tuple[int, ...]
) -> Factorizations:
    """Return the factorisations of ``bound`` over ``len(caps)`` slots; equal ones are shared.

    Args:
        bound: the number to split, at least 1.
        caps: largest factor of each slot.
        fixed: factor that a slot must take, 0 where it is free.
        least: smallest factor of each slot.
    """
    # limits between two divisors are one and the same
    parts = (0, *divisors(bound))
    caps = tuple(parts[bisect_right(parts, cap) - 1] for cap in caps)
    return _built(bound, caps, fixed, least)


@lru_cache(maxsize=8192)
def _built(
    bound: int, caps: tuple[int, ...], fixed: tuple[int, ...], least: tuple[int, ...]
) -> Factorizations:
    slots = len(caps)
    limits = tuple(zip(caps, fixed, least, strict=True))
    ways: list[dict[int, int]] = [{} for _ in range(slots + 1)]
    ways[slots] = {1: 1}
    for k in range(slots - 1, -1, -1):
        for left in divisors(bound):
            total = sum(ways[k + 1].get(left // f, 0) for f in _choices(left, *limits[k]))
            if total:
                ways[k][left] = total
    count = ways[0].get(bound, 0)
    reached: list[list[int]] = [[bound] if count else []]
    for k in range(slots):
        nxt = {
            left // f
            for left in reached[k]
            for f in _choices(left, *limits[k])
            if left // f in ways[k + 1]
        }
        reached.append(sorted(nxt))
    number = {
        node: i for i, node in enumerate((k, left) for k in range(slots + 1) for left in reached[k])
    }
    first, factor, target, before = [0], [], [], []
    for k, left in number:
        passed = 0
        for f in _choices(left, *limits[k]) if k < slots else ():
            rest = ways[k + 1].get(left // f, 0)
            if rest:
                factor.append(f)
                target.append(number[k + 1, left // f])
                before.append(float(passed))
                passed += rest
        first.append(len(factor))
    result = Factorizations(
        bound,
        slots,
        count,
        np.array(first, np.int64),
        np.array(factor, np.int32),
        np.array(target, np.int32),
        np.array(before, np.float64),
        np.empty((0, slots), np.int32),
    )
    if 0 < count <= _TABLE_LIMIT:
        object.__setattr__(result, "table", _tabulate(result))
    return result


def _choices(left: int, cap: int, fixed: int, least: int) -> tuple[int, ...]:
    """Factors that a slot may take of what is left."""
    if fixed:
        return (fixed,) if left % fixed == 0 and least <= fixed <= cap else ()
    return tuple(d for d in divisors(left) if least <= d <= cap)


def _tabulate(f: Factorizations) -> npt.NDArray[np.int32]:
    """List all factorisations in rank order, one slot (a vector operation) at a time."""
    index = np.arange(f.count, dtype=np.float64)
    node = np.zeros(f.count, np.int64)
    table = np.empty((f.count, f.slots), np.int32)
    for k in range(f.slots):
        edge = np.empty(f.count, np.int64)
        for v in np.unique(node):
            here = node == v
            low, high = f.first[v], f.first[v + 1]
            edge[here] = low + np.searchsorted(f.before[low:high], index[here], side="right") - 1
        table[:, k] = f.factor[edge]
        index -= f.before[edge]
        node = f.target[edge].astype(np.int64)
    return table
