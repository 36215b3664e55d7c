"""The state of loader, executor and storer: times, and what waits to be stored.

All times are numbers of cycles in which something happens or is seen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_Ints = npt.NDArray[np.int64]

#: Tiles that a queue holds.
QUEUE = 4
#: Long before cycle 0.
NEVER = -(2**50)

#: Places in the state: times.
(
    SEQUENCED,  # when the last tile came from the sequencer
    LOADER_IDLE,  # from when on the loader can take a tile
    LOADED,  # when the last tile was seen to be loaded
    ARRIVED,  # when the last byte of the last load had arrived
    EXECUTED,  # last cycle of the last tile in the executor
    STORER_IDLE,  # from when on the storer can take a tile
) = range(6)
LOAD_POPS = 6  # when the last four tiles left each queue, the latest first
EXECUTE_POPS = LOAD_POPS + QUEUE
STORE_POPS = EXECUTE_POPS + QUEUE
WEIGHTS_FREE = STORE_POPS + QUEUE  # when the latest tile's half, and that before it, were free
INPUTS_FREE = WEIGHTS_FREE + 2
SUMS_FREE = INPUTS_FREE + 2
PUSHED = SUMS_FREE + 2  # of visits that wait to be stored, the oldest first: when queued
DRAINED = PUSHED + QUEUE  # and when their sums were in the accumulator
TIMES = DRAINED + QUEUE
WAITING = TIMES  # how many they are
UNITS = WAITING + 1  # and their transfers: units, pieces, size, last size
PIECES, SIZES, LAST_SIZES = UNITS + QUEUE, UNITS + 2 * QUEUE, UNITS + 3 * QUEUE
STATE = UNITS + 4 * QUEUE

#: Where the cycles have gone; they add up to the whole.
(
    COMPUTE,  # rows of inputs go through the array
    FILL,  # weights go to the array and no inputs through it; one cycle to take the tile
    DRAIN,  # the last sums come out of the array
    BANDWIDTH,  # the executor waits, as long as the data waited for have the bus
    LATENCY,  # and as long as the memory's latency on top
    OVERLAP,  # the rest of its waiting: for room, for other transfers, for the loader
) = range(6)
PARTS = 6


def new_state() -> _Ints:
    """Return the state before the first tile, ``(STATE,)``."""
    state = np.full(STATE, NEVER, np.int64)
    state[WAITING:] = 0
    state[[SEQUENCED, EXECUTED]] = -1
    state[LOADER_IDLE] = 0
    return state
