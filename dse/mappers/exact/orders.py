"""Loop orders that can matter: one representative of each stationarity class that none dominates.

The words that a level delivers depend on an order only through the loops that come before (inside)
the first one that moves a tensor's tile, and, where two dimensions share a row of a tensor (the
windows of a convolution), through the loops that move the window before anything else moves
(``docs/timeloop-rules.md``, section 4). Orders that agree in both for every tensor form one
stationarity class: no tensor is stationary for longer under one than under the other. All orders
are enumerated once, and of 720 orders of six loops about a dozen classes are left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

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
        known = {p: _class_of(p, relevance) for p in all_}
        for stationary in range(1 << tensors):
            for moving in range(1 << rows):
                first[mask, stationary, moving] = len(loops)
                best = _undominated(all_, known, relevance, stationary, moving)
                loops += best
                spare += [
                    not moving and _is_spare(p, best, known, relevance, stationary) for p in best
                ]
            first[mask, stationary, -1] = len(loops)
    table = np.full((max(1, len(loops)), dimensions), -1, np.int8)
    for i, order in enumerate(loops):
        table[i, : len(order)] = order
    return Orders(first, table, np.array(spare or [False]))


def _class_of(order: tuple[int, ...], relevance: Relevance) -> tuple[_Stationarity, ...]:
    """Return the stationarity class of an order."""
    return tuple(_stationarity(order, relevance, t) for t in range(len(relevance.row)))


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
    all_: list[tuple[int, ...]],
    known: dict[tuple[int, ...], tuple[_Stationarity, ...]],
    relevance: Relevance,
    stationary: int,
    moving: int,
) -> list[tuple[int, ...]]:
    """Return the orders that no other dominates, of equals the first.

    ``stationary`` are the tensors that some flow has not moved yet, ``moving`` the window rows
    that alone have moved so far in some flow.
    """
    unique: dict[tuple[object, ...], tuple[int, ...]] = {}
    for order in all_:
        seen = known[order]
        rest = tuple(seen[t] for t in range(len(seen)) if stationary >> t & 1)
        runs = tuple(
            _run(order, relevance.row[t], q)
            for t in range(len(seen))
            for q, number in enumerate(relevance.window[t])
            if number >= 0 and moving >> number & 1
        )
        unique.setdefault((rest, runs), order)
    items = list(unique.items())
    return [
        order
        for i, ((rest, runs), order) in enumerate(items)
        if not any(
            j != i and other_runs == runs and _dominates(other, rest, relevance.head)
            for j, ((other, other_runs), _) in enumerate(items)
        )
    ]


def _is_spare(
    order: tuple[int, ...],
    best: list[tuple[int, ...]],
    known: dict[tuple[int, ...], tuple[_Stationarity, ...]],
    relevance: Relevance,
    stationary: int,
) -> bool:
    """Whether another order dominates once only the first loop of each run counts."""
    tensors = [t for t in range(len(relevance.row)) if stationary >> t & 1]
    if all(len(known[order][t][1]) < 2 for t in tensors):
        return False
    short = tuple((known[order][t][0], known[order][t][1][:1]) for t in tensors)
    return any(
        other != order
        and all(len(known[other][t][1]) < 2 for t in tensors)
        and _dominates(tuple(known[other][t] for t in tensors), short, relevance.head)
        for other in best
    )


def _dominates(one: object, other: object, head: bool) -> bool:
    """Whether a class is at least as good for every tensor as another, different one."""
    return all(
        a[0] & b[0] == b[0]
        and (a[1] == b[1] or not b[1])
        and (head or (a[1] == b[1] and (not b[1] or (a[0] == 0) == (b[0] == 0))))
        for a, b in zip(one, other, strict=True)  # type: ignore[call-overload]
    )
