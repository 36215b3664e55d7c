"""All steps that exist in a mapspace, as a table that compiled searches pick rows from.

A row is ``[kind, five numbers]``. Rows do not depend on a mapping: whether a step is possible
from a mapping is found when it is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.mapspace.factorization import divisors
from dse.mapspace.space import Mapspace

#: Kinds of steps, and the five numbers of their rows.
(
    FACTOR,  # dimension, slot, other slot, prime: the prime moves to the other slot
    SPREAD,  # the same, from a temporal to a spatial slot: more of the array is used
    WHOLE,  # dimension, slot, other slot: the whole factor moves, so the loop goes away
    EXCHANGE,  # dimension, slot, other slot, place among the partners, number of partners
    SWAP,  # level, place, other place: two loops change places
    INSERT,  # level, place, other place: a loop moves there, the others close up
    AXIS,  # level, dimension: from X to Y, or back
    KEEP,  # level, tensor: bypassed instead of kept, or the reverse
    REDRAW,  # dimension: all its factors are drawn anew
) = range(9)
KINDS = ("factor", "spread", "whole", "exchange", "swap", "insert", "axis", "keep", "redraw")
_COLUMNS = 6

_MoveRow = tuple[int, ...]


class MoveTable(NamedTuple):
    """The steps of a mapspace, grouped by kind.

    Attributes:
        rows: ``(M, 6)`` int64, growing in kind.
        first: ``(len(KINDS) + 1,)`` the rows of kind k are ``first[k] .. first[k + 1]``.
        partners: ``(N, 3)`` int64: dimension, slot, other slot of what an exchange gives back.
    """

    rows: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    partners: npt.NDArray[np.int64]


def move_table(space: Mapspace) -> MoveTable:
    """Return the table of a mapspace (made once for equal ones)."""
    x = space.arrays
    slots = tuple(
        tuple((slot.level, slot.spatial, slot.cap, slot.fixed) for slot in of) for of in space.slots
    )
    bounds = tuple(space.problem.bounds.values())
    orders = tuple(zip(x.free_start.tolist(), x.free_count.tolist(), strict=True))
    places = (x.axis == 2).nonzero(), (x.keep == 2).nonzero()
    axes, keeps = (tuple(zip(*(part.tolist() for part in p), strict=True)) for p in places)
    return _table(bounds, slots, orders, axes, keeps)


_SlotTuples = tuple[tuple[int, bool, int, int], ...]
_Pairs = tuple[tuple[int, ...], ...]


@lru_cache(maxsize=1024)
def _table(
    bounds: tuple[int, ...],
    slots: tuple[_SlotTuples, ...],
    orders: _Pairs,
    axes: _Pairs,
    keeps: _Pairs,
) -> MoveTable:
    partners: list[_MoveRow] = []
    rows: list[_MoveRow] = []
    for d, bound in enumerate(bounds):
        rows += _factor_rows(d, bound, slots[d])
    rows += _exchange_rows(bounds, slots, partners)
    for s, (start, count) in enumerate(orders):
        for p in range(start, start + count):
            for q in range(start, start + count):
                if p < q:
                    rows.append((SWAP, s, p, q))
                if abs(p - q) > 1:
                    rows.append((INSERT, s, p, q))
    rows += [(AXIS, s, d) for s, d in axes]
    rows += [(KEEP, s, t) for s, t in keeps]
    table = np.zeros((len(rows), _COLUMNS), np.int64)
    for i, row in enumerate(sorted(rows, key=lambda r: r[0])):
        table[i, : len(row)] = row
    first = np.searchsorted(table[:, 0], np.arange(len(KINDS) + 1)).astype(np.int64)
    return MoveTable(table, first, np.array(partners, np.int64).reshape(-1, 3))


def _moves(slots: _SlotTuples) -> Iterator[tuple[int, int]]:
    """Pairs of slots between which factors may move."""
    for k, (_, _, _, fixed) in enumerate(slots):
        for to, (_, _, cap, also_fixed) in enumerate(slots):
            if k != to and not fixed and not also_fixed and cap > 1:
                yield k, to


def _factor_rows(d: int, bound: int, slots: _SlotTuples) -> list[_MoveRow]:
    rows: list[_MoveRow] = []
    for k, to in _moves(slots):
        spreads = slots[to][1] and not slots[k][1]
        for prime in _primes(bound):
            rows.append((FACTOR, d, k, to, prime))
            if spreads:
                rows.append((SPREAD, d, k, to, prime))
        if bound > 1:
            rows.append((WHOLE, d, k, to))
    if bound > 1 and any(True for _ in _moves(slots)):
        rows.append((REDRAW, d))
    return rows


def _exchange_rows(
    bounds: tuple[int, ...], slots: tuple[_SlotTuples, ...], partners: list[_MoveRow]
) -> list[_MoveRow]:
    """Exchanges: a dimension's factor enters a place, another dimension's leaves it for there."""
    moves: dict[tuple[object, object], list[_MoveRow]] = {}
    for d, of in enumerate(slots):
        for k, to in _moves(of) if bounds[d] > 1 else ():
            moves.setdefault((of[k][:2], of[to][:2]), []).append((d, k, to))
    rows: list[_MoveRow] = []
    for (here, there), found in sorted(moves.items(), key=repr):
        back = moves.get((there, here), [])
        if len({row[0] for row in (*found, *back)}) < 2:
            continue
        start = len(partners)
        partners += back
        rows += [(EXCHANGE, *row, start, len(back)) for row in found]
    return rows


def _primes(bound: int) -> list[int]:
    return [p for p in divisors(bound) if p > 1 and len(divisors(p)) == 2]
