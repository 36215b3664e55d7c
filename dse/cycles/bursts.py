"""The memory's timing: when the bursts of a transfer are issued, and when they have left the bus.

A burst is issued in the first cycle that comes after the one before it was issued, in which fewer
than ``in_flight`` bursts are under way. It has the bus ``latency`` cycles later, or when the burst
before it has left it. In long transfers the state repeats, but for a shift in time; from there on
whole periods are skipped, which changes no number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner

_Ints = npt.NDArray[np.int64]

#: Places in the state of the bus; behind them, from :data:`ENDS`, one for each burst under way: the
#: cycle after it has left the bus, the oldest at :data:`OLDEST`.
(
    ISSUED,  # cycle of the last burst's issue
    ENDED,  # cycle after the last burst has left the bus
    OLDEST,
    BUSY,  # cycles of the bus since the transfer began
) = range(4)
ENDS = 4
#: Rows of memory for states to compare with: bursts of a piece, pieces, units.
DEPTH = 3


@inlined
def keep(place: _Ints, values: _Ints) -> None:
    """Copy a row."""
    for i in range(values.shape[0]):
        place[i] = values[i]


@inlined
def burst(bus: _Ints, latency: int, cycles: int) -> None:
    """Issue one burst that has the bus for so many cycles."""
    oldest = bus[OLDEST]
    issued = max(bus[ISSUED] + 1, bus[ENDS + oldest])
    ended = max(issued + latency, bus[ENDED]) + cycles
    bus[ISSUED] = issued
    bus[ENDED] = ended
    bus[ENDS + oldest] = ended
    oldest += 1
    bus[OLDEST] = 0 if oldest == bus.shape[0] - ENDS else oldest
    bus[BUSY] += cycles


@inner
def _repeats(bus: _Ints, seen: _Ints, latency: int) -> bool:
    """Whether what follows takes the same course from both states, but for a shift in time."""
    now, then = bus[ISSUED], seen[ISSUED]
    if max(bus[ENDED] - now, latency + 1) != max(seen[ENDED] - then, latency + 1):
        return False
    count = bus.shape[0] - ENDS
    a, b = bus[OLDEST], seen[OLDEST]
    for _ in range(count):
        if max(bus[ENDS + a] - now, 1) != max(seen[ENDS + b] - then, 1):
            return False
        a = 0 if a + 1 == count else a + 1
        b = 0 if b + 1 == count else b + 1
    return True


@inner
def _skip(bus: _Ints, seen: _Ints, times: int) -> None:
    """Let the time between the two states pass so many times more."""
    shift = times * (bus[ISSUED] - seen[ISSUED])
    busy = times * (bus[BUSY] - seen[BUSY])
    bus[ISSUED] += shift
    bus[ENDED] += shift
    bus[BUSY] += busy
    for i in range(ENDS, bus.shape[0]):
        bus[i] += shift


@inlined
def _leap(
    bus: _Ints, seen: _Ints, latency: int, done: int, count: int, at: int, power: int
) -> tuple[int, int, int]:
    """Skip whole periods of what is done ``count`` times, if the state repeats.

    Args:
        bus: the state.
        seen: an earlier one, or that of now, if the earlier one is to be replaced.
        latency: of the memory.
        done: how often it is done by now.
        count: how often it is to be done.
        at: how often it was done when the state was the earlier one; below 0: nothing is skipped.
        power: after how many times more the earlier one is replaced.

    Returns:
        ``done``, ``at`` and ``power`` from now on.
    """
    if at < 0 or count - done < done - at:
        return done, at, power
    if _repeats(bus, seen, latency):
        times = (count - done) // (done - at)
        _skip(bus, seen, times)
        return done + times * (done - at), np.int64(-1), power
    if done - at == power:
        keep(seen, bus)
        return done, done, 2 * power
    return done, at, power


@inner
def _equal_bursts(
    bus: _Ints, seen: _Ints, latency: int, count: int, cycles: int, skipping: bool
) -> None:
    """Issue so many bursts of equal length."""
    done, at, power = np.int64(0), np.int64(0 if skipping else -1), np.int64(1)
    keep(seen, bus)
    while done < count:
        burst(bus, latency, cycles)
        done, at, power = _leap(bus, seen, latency, done + 1, count, at, power)


@inner
def _pieces(
    bus: _Ints,
    seen: _Ints,
    latency: int,
    width: int,
    largest: int,
    count: int,
    size: int,
    skipping: bool,
) -> None:
    """Issue the bursts of so many pieces of equal size, in bytes."""
    full, rest = size // largest, size % largest
    long, short = largest // width, (rest + width - 1) // width
    if full == 0:
        _equal_bursts(bus, seen[0], latency, count, short, skipping)
        return
    if rest == 0:
        _equal_bursts(bus, seen[0], latency, count * full, long, skipping)
        return
    done, at, power = np.int64(0), np.int64(0 if skipping else -1), np.int64(1)
    keep(seen[1], bus)
    while done < count:
        _equal_bursts(bus, seen[0], latency, full, long, skipping)
        burst(bus, latency, short)
        done, at, power = _leap(bus, seen[1], latency, done + 1, count, at, power)


@inner
def transfer(
    bus: _Ints,
    seen: _Ints,
    granted: int,
    latency: int,
    width: int,
    largest: int,
    units: int,
    pieces: int,
    size: int,
    last_size: int,
    skipping: bool,
) -> None:
    """Issue the bursts of a transfer that was granted in some cycle.

    Args:
        bus: ``(ENDS + in_flight,)`` the state, which moves on.
        seen: ``(DEPTH, ENDS + in_flight)`` memory for earlier states.
        granted: the cycle.
        latency: of the memory, in cycles.
        width: bytes that the bus moves in a cycle.
        largest: bytes of a burst.
        units: so many times there are
        pieces: so many pieces of
        size: bytes each, and then one of
        last_size: bytes.
        skipping: whether periods are skipped.
    """
    bus[ISSUED] = granted
    bus[BUSY] = 0
    if pieces == 0 or size == last_size:
        _pieces(bus, seen, latency, width, largest, units * (pieces + 1), last_size, skipping)
        return
    done, at, power = np.int64(0), np.int64(0 if skipping else -1), np.int64(1)
    keep(seen[2], bus)
    while done < units:
        _pieces(bus, seen, latency, width, largest, pieces, size, skipping)
        _pieces(bus, seen, latency, width, largest, 1, last_size, skipping)
        done, at, power = _leap(bus, seen[2], latency, done + 1, units, at, power)
