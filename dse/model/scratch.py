"""Working memory of the fast path, kept per thread and reused from call to call."""

from __future__ import annotations

import threading

from dse.model.block import WIDTH, Lanes, Prices, new_lanes, new_prices
from dse.model.cells import Odd, new_odd

Block = tuple[Lanes, Prices, Odd]


class _Local(threading.local):
    def __init__(self) -> None:
        self.blocks: dict[tuple[int, int, int, int, int], Block] = {}


_LOCAL = _Local()


def block(levels: int, dimensions: int, tensors: int, ranks: int, width: int = WIDTH) -> Block:
    """Return this thread's memory for blocks of that shape; its contents are undefined.

    No hardware is loaded in it. Valid until the thread asks for the same shape again.
    """
    key = (levels, dimensions, tensors, ranks, width)
    known = _LOCAL.blocks.get(key)
    if known is None:
        known = (
            new_lanes(*key),
            new_prices(levels, width),
            new_odd(levels, dimensions, ranks),
        )
        _LOCAL.blocks[key] = known
    known[1].machine[0] = -1
    return known
