"""Access records: what a level sends its children, by multicast factor and scatter (section 5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inner
from dse.model.multicast import Histogram

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Records(NamedTuple):
    """Access records of one tensor at every level, sorted by (multicast, scatter); scratch."""

    entries: Ints  # (L,) how many are in use
    multicast: Ints  # (L, R)
    scatter: Ints  # (L, R)
    accesses: Floats  # (L, R)
    hops: Floats  # (L, R)
    links: Floats  # (L,) link transfers


def new_records(levels: int, entries: int) -> Records:
    """Allocate records of at most ``entries`` per level."""
    return Records(
        np.zeros(levels, np.int64),
        np.empty((levels, entries), np.int64),
        np.empty((levels, entries), np.int64),
        np.empty((levels, entries)),
        np.empty((levels, entries)),
        np.zeros(levels),
    )


@inner
def record(r: Records, s: int, multicast: int, scatter: int, accesses: float, hops: float) -> None:
    """Add to the record of (multicast, scatter) at level s, keeping the records sorted."""
    count = r.entries[s]
    place = 0
    while place < min(count, r.multicast.shape[1]):
        m, c = r.multicast[s, place], r.scatter[s, place]
        if m == multicast and c == scatter:
            r.accesses[s, place] += accesses
            r.hops[s, place] += hops
            return
        if m > multicast or (m == multicast and c > scatter):
            break
        place += 1
    r.entries[s] = count + 1
    if count >= r.multicast.shape[1]:
        return  # beyond the capacity: the caller sees it and allocates more
    for i in range(count, place, -1):
        r.multicast[s, i] = r.multicast[s, i - 1]
        r.scatter[s, i] = r.scatter[s, i - 1]
        r.accesses[s, i] = r.accesses[s, i - 1]
        r.hops[s, i] = r.hops[s, i - 1]
    r.multicast[s, place] = multicast
    r.scatter[s, place] = scatter
    r.accesses[s, place] = accesses
    r.hops[s, place] = hops


@inner
def record_histogram(r: Records, s: int, h: Histogram, words: int) -> None:
    """Record ``words`` delivered to every group of the histogram."""
    for i in range(h.size[0]):
        accesses = float(h.groups[i]) * float(words)
        record(
            r,
            s,
            h.multicast[i],
            h.groups[i],
            accesses,
            h.hops[i] * accesses / float(h.groups[i]),
        )
