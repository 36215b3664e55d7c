"""Loop orders that can matter: one representative of each stationarity class that none dominates.

The words that a level delivers depend on an order only through the loops that come before (inside)
the first one that moves a tensor's tile, and, where two dimensions share a row of a tensor (the
windows of a convolution), through the loops that move the window before anything else moves
(``docs/timeloop-rules.md``, section 4). Orders that agree in both for every tensor form one
stationarity class: no tensor is stationary for longer under one than under the other. All orders
are enumerated once, and of 720 orders of six loops about a dozen classes are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Loops of one level beyond which their orders are not enumerated.
MOST_LOOPS = 8

#: How long one tensor is stationary under an order: the loops inside the first that moves it (a bit
#: set), and the loops from there to the last that moves the same window row.
_Stationarity = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Relevance:
    """Which dimensions move which tensors.

    Attributes:
        row: ``[tensor][dimension]`` the row of the tensor that the dimension moves, -1: none.
        window: ``[tensor][row]`` number of the window row, -1 where one dimension moves the row.
        head: whether zero moves are free (Timeloop 4cf6d4c).
    """

    row: tuple[tuple[int, ...], ...]
    window: tuple[tuple[int, ...], ...]
    head: bool


@dataclass(frozen=True, eq=False)
class Orders:
    """Representative orders for every set of loops, set of stationary tensors, and moving rows.

    Attributes:
        first: ``(2^D, 2^T, 2^W + 1)`` start of the orders in ``loops``, with an end.
        loops: ``(n, D)`` int8 dimensions innermost first; -1 after the last.
        spare: ``(n,)`` whether the order is better than another of its list only where a later
            move of a window repeats an earlier one, or comes to nothing.
    """

    first: npt.NDArray[np.int64]
    loops: npt.NDArray[np.int8]
    spare: npt.NDArray[np.bool_]


@lru_cache(maxsize=256)
def orders(
    relevance: Relevance,
    listed: tuple[int, ...],
    free: tuple[int, ...],
    suffix: tuple[int, ...],
) -> Orders:
    """Find the representative orders of a level.

    Args:
        relevance: of all dimensions and tensors.
        listed: dimensions whose loops are innermost, in this order.
        free: dimensions whose loops may have any order outside them.
        suffix: dimensions whose loops are outermost, in this order.
    """
    dimensions, tensors = len(relevance.row[0]), len(relevance.row)
    rows = 1 + max((w for per in relevance.window for w in per), default=-1)
    first = np.zeros((1 << dimensions, 1 << tensors, (1 << rows) + 1), np.int64)
    loops: list[tuple[int, ...]] = []
    spare: list[bool] = []
    allowed = sum(1 << d for d in (*listed, *free, *suffix))
    for mask in range(1 << dimensions):
        inner = tuple(d for d in listed if mask >> d & 1)
        outer = [d for d in free if mask >> d & 1]
        last = tuple(d for d in suffix if mask >> d & 1)
        all_ = [] if mask & ~allowed else [inner + p + last for p in permutations(outer)]
        known = _distinct(all_, relevance)
        for stationary in range(1 << tensors):
            for moving in range(1 << rows):
                first[mask, stationary, moving] = len(loops)
                best = _undominated(known, relevance, stationary, moving)
                loops += best
                spare += [
                    not moving and _is_spare(p, best, known, relevance, stationary) for p in best
                ]
            first[mask, stationary, -1] = len(loops)
    table = np.full((max(1, len(loops)), dimensions), -1, np.int8)
    for i, order in enumerate(loops):
        table[i, : len(order)] = order
    return Orders(first, table, np.array(spare or [False]))


class _Class(NamedTuple):
    """What may matter of an order.

    Attributes:
        rest: how long each tensor is stationary.
        runs: by number of a window row, the loops that move it before anything else moves.
    """

    rest: tuple[_Stationarity, ...]
    runs: tuple[tuple[int, tuple[int, ...]], ...]


def _distinct(
    all_: Iterable[tuple[int, ...]], relevance: Relevance
) -> dict[tuple[int, ...], _Class]:
    """Return the first of the orders that are alike in whatever may matter."""
    first: dict[_Class, tuple[int, ...]] = {}
    for order in all_:
        first.setdefault(_class_of(order, relevance), order)
    return {order: seen for seen, order in first.items()}


def _class_of(order: tuple[int, ...], relevance: Relevance) -> _Class:
    """Return the class of an order."""
    return _Class(
        tuple(_stationarity(order, relevance, t) for t in range(len(relevance.row))),
        tuple(
            (number, _run(order, relevance.row[t], q))
            for t, window in enumerate(relevance.window)
            for q, number in enumerate(window)
            if number >= 0
        ),
    )


def _stationarity(order: tuple[int, ...], relevance: Relevance, t: int) -> _Stationarity:
    row, window = relevance.row[t], relevance.window[t]
    inside = 0
    for at, d in enumerate(order):
        if row[d] >= 0:
            return inside, _run(order[at:], row, row[d]) if window[row[d]] >= 0 else ()
        inside |= 1 << d
    return inside, ()


def _run(order: tuple[int, ...], row: tuple[int, ...], moving: int) -> tuple[int, ...]:
    """Loops up to the last that moves this row before another row moves."""
    last = 0
    for at, d in enumerate(order):
        if row[d] == moving:
            last = at + 1
        elif row[d] >= 0:
            break
    return order[:last]


def _undominated(
    known: Mapping[tuple[int, ...], _Class],
    relevance: Relevance,
    stationary: int,
    moving: int,
) -> list[tuple[int, ...]]:
    """Return the orders that no other dominates, of equals the first.

    ``stationary`` are the tensors that some flow has not moved yet, ``moving`` the window rows
    that alone have moved so far in some flow.
    """
    alike: dict[tuple[tuple[int, ...], ...], dict[tuple[_Stationarity, ...], int]] = {}
    orders_of = list(known)
    for number, seen in enumerate(known.values()):
        rest = tuple(own for t, own in enumerate(seen.rest) if stationary >> t & 1)
        runs = tuple(run for row, run in seen.runs if moving >> row & 1)
        alike.setdefault(runs, {}).setdefault(rest, number)
    best = [
        number
        for group in alike.values()
        for rest, number in group.items()
        if len(group) == 1
        or not any(other is not rest and _dominates(other, rest, relevance.head) for other in group)
    ]
    return [orders_of[number] for number in sorted(best)]


def _is_spare(
    order: tuple[int, ...],
    best: list[tuple[int, ...]],
    known: Mapping[tuple[int, ...], _Class],
    relevance: Relevance,
    stationary: int,
) -> bool:
    """Whether another order dominates once only the first loop of each run counts."""
    tensors = [t for t in range(len(relevance.row)) if stationary >> t & 1]
    if all(len(known[order].rest[t][1]) < 2 for t in tensors):
        return False
    short = tuple((known[order].rest[t][0], known[order].rest[t][1][:1]) for t in tensors)
    return any(
        other != order
        and all(len(known[other].rest[t][1]) < 2 for t in tensors)
        and _dominates(tuple(known[other].rest[t] for t in tensors), short, relevance.head)
        for other in best
    )


def _dominates(
    one: tuple[_Stationarity, ...], other: tuple[_Stationarity, ...], head: bool
) -> bool:
    """Whether a class is at least as good for every tensor as another, different one."""
    for (inside, run), (others, others_run) in zip(one, other, strict=True):
        if inside & others != others or (run != others_run and others_run):
            return False
        if not head and (run != others_run or (run and (inside == 0) != (others == 0))):
            return False
    return True
