"""Working memory of the sparse kernel, and the table of what it has worked out before."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dse.jit import compiled, inlined
from dse.model.loops import Nest, new_nest
from dse.numeric import Flags, Floats, Ints, int64
from dse.sparse.batch.plan import SparsePlan
from dse.sparse.hypergeometric import support

#: Numbers of a key, and of what is kept with it.
KEY, VALUES = 6, 4
#: Most places of a table; one that would need more starts anew.
_MOST_PLACES = 1 << 20


class Memo(NamedTuple):
    """A hash table with open addressing."""

    key: Ints  # (C, KEY); the first number of a place that is free is -1
    value: Floats  # (C, VALUES)
    used: Ints  # (1,)


class SparseWork(NamedTuple):
    """Working memory of one mapping at a time: L levels, T tensors, R ranks, D dimensions."""

    nest: Nest
    stride: Ints  # (D,)
    side: Ints  # (Q,)
    tile: Ints  # (T, L) footprints
    parent: Ints  # (T, L) next level outside that keeps the tensor, -1: none
    child: Ints  # (T, L) the same inside
    x: Ints  # (L,) instances along X
    y: Ints  # (L,)
    # ranks
    below: Ints  # (D,)
    loop_first: Ints  # (T, L + 1) first of a tensor's loops at each level
    loop_dimension: Ints  # (T + 1, N) the loops of each tensor, and of one level of one
    loop_bound: Ints  # (T + 1, N)
    loop_words: Ints  # (T + 1, N) footprint of each loop and all inside of it
    taken_length: Ints  # (R,)
    taken_words: Ints  # (R,)
    length: Ints  # (T, L, R) elements of a fiber
    element: Ints  # (T, L, R + 1) words of an element; the last: of the tile
    # what tiles hold
    held: Floats  # (T, L) words
    density: Floats  # (T, L)
    there: Floats  # (T, L)
    units: Floats  # (T, L, R, 2) on average
    most_units: Floats  # (T, L, R, 2)
    blocks: Floats  # (T, L) by what factor more blocks are accessed than if all were full
    likely: Floats  # (K,)
    filled: Floats  # (3,) share of the words of the first two occupancies, and of the largest
    empty_fiber: Floats  # (K,)
    empty_element: Floats  # (K,)
    single: Floats  # (2,)
    key: Ints  # (KEY,)
    row: Floats  # (VALUES,)
    range: Ints  # (5,) tensor and tile that ``likely`` is of, first occupancy, how many, largest
    # savings
    extents: Ints  # (D,) of the target
    condition: Ints  # (D,) of the condition
    scaled: Ints  # (D,)
    together: Floats  # (D,)
    around: Ints  # (N + 1,) dimensions of the loops around
    bounds: Ints  # (N + 1,)
    share: Floats  # (T, L) saved
    how: Ints  # (T, L) -1: nothing
    wrong: Flags  # (1,) whether the answer makes no sense


def new_work(plan: SparsePlan) -> SparseWork:
    """Allocate the memory for a plan."""
    tensors, rows, dimensions = plan.tensors.coefficient.shape
    levels, _, ranks = plan.formats.code.shape
    loops = 2 * levels * dimensions + 1
    spread = plan.tensors.words[plan.tensors.spread]
    room = max([2, *(support(int(words)) for words in spread)])
    cells = (tensors, levels)
    arrays: list[Any] = [
        new_nest(levels, dimensions),
        np.ones(dimensions, np.int64),
        np.ones(rows, np.int64),
        *(np.ones(cells, np.int64) for _ in range(3)),
        *(np.ones(levels, np.int64) for _ in range(2)),
        np.ones(dimensions, np.int64),
        np.zeros((tensors, levels + 1), np.int64),
        *(np.ones((tensors + 1, loops), np.int64) for _ in range(3)),
        *(np.ones(ranks, np.int64) for _ in range(2)),
        np.ones((*cells, ranks), np.int64),
        np.ones((*cells, ranks + 1), np.int64),
        *(np.zeros(cells) for _ in range(3)),
        *(np.zeros((*cells, ranks, 2)) for _ in range(2)),
        np.ones(cells),
        np.zeros(room),
        np.zeros(3),
        *(np.zeros(room) for _ in range(2)),
        np.zeros(2),
        np.zeros(KEY, np.int64),
        np.zeros(VALUES),
        np.full(5, -1, np.int64),
        *(np.ones(dimensions, np.int64) for _ in range(3)),
        np.zeros(dimensions),
        *(np.zeros(loops + 1, np.int64) for _ in range(2)),
        np.zeros(cells),
        np.zeros(cells, np.int64),
        np.zeros(1, np.bool_),
    ]
    return SparseWork(*arrays)


def new_memo(places: int = 4096) -> Memo:
    """Allocate an empty table of a power of 2 of places."""
    return Memo(
        np.full((places, KEY), -1, np.int64), np.zeros((places, VALUES)), np.zeros(1, np.int64)
    )


@inlined
def place_of(memo: Memo, key: Ints) -> int:
    """Return where a key stands, or the free place where it would."""
    mask = int64(memo.key.shape[0] - 1)
    number = np.uint64(0)
    odd = np.uint64(0x9E3779B97F4A7C15)
    for i in range(KEY):  # no product waits for another
        number += np.uint64(key[i]) * odd
        odd *= np.uint64(0xD1342543DE82EF95)
    number = (number ^ (number >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    place = int(np.int64(number >> np.uint64(24)) & mask)
    while memo.key[place, 0] != -1:
        same = True
        for i in range(KEY):
            same &= memo.key[place, i] == key[i]
        if same:
            break
        place = (place + 1) & mask
    return place


@inlined
def is_known(memo: Memo, place: int) -> bool:
    """Whether something stands at a place."""
    return bool(memo.key[place, 0] != -1)


@inlined
def put(memo: Memo, place: int, key: Ints) -> None:
    """Let a key stand at its place."""
    for i in range(KEY):
        memo.key[place, i] = key[i]
    memo.used[0] += 1


@compiled
def _copy(old: Memo, new: Memo) -> None:
    for i in range(old.key.shape[0]):
        if old.key[i, 0] != -1:
            place = place_of(new, old.key[i])
            put(new, place, old.key[i])
            for k in range(VALUES):
                new.value[place, k] = old.value[i, k]


def grown(memo: Memo) -> Memo:
    """Return a table of four times as many places that holds the same, or an empty one."""
    if len(memo.key) >= _MOST_PLACES:
        return new_memo()
    found = new_memo(4 * len(memo.key))
    _copy(memo, found)
    return found
