"""The hardware that jobs run on: array, buffers, and the memory's timing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dse.domain.architecture import Architecture
from dse.domain.constraints import LoopConstraint
from dse.errors import SpecError

#: The layer's dimensions, in the order of all arrays; C and K count within one of G groups.
DIMENSIONS = ("R", "S", "P", "Q", "C", "K", "N", "G")
#: Bytes of a partial sum.
SUM_BYTES = 4
#: Largest of each kind that the RTL is built for.
MOST_PES, MOST_BUS_BYTES, MOST_IN_FLIGHT, MOST_BURST_BYTES = 128, 64, 64, 256
MOST_CACHE_LINES = 2**16
_MOST_LATENCY = 2**20
_MOST_BUFFER_BYTES = 2**28
_MOST_LINE_BYTES = 2**12


@dataclass(frozen=True)
class Cache:
    """A last-level cache between accelerator and memory, direct-mapped, empty when a job begins.

    Attributes:
        kilobytes: what it holds.
        latency_cycles: from a burst's request to its first byte on the bus, if its lines are there.
        line_bytes: of a line.

    Raises:
        SpecError: a value is out of range; the message names it.
    """

    kilobytes: int
    latency_cycles: int = 20
    line_bytes: int = 64

    def __post_init__(self) -> None:
        _check("cache", "latency_cycles", self.latency_cycles, 1, _MOST_LATENCY)
        _check_power("cache", "line_bytes", self.line_bytes, 4, _MOST_LINE_BYTES)
        least = max(1, self.line_bytes // 1024)
        most = self.line_bytes * MOST_CACHE_LINES // 1024
        _check_power("cache", "kilobytes", self.kilobytes, least, most)

    @property
    def lines(self) -> int:
        """Lines that it holds."""
        return self.kilobytes * 1024 // self.line_bytes


@dataclass(frozen=True)
class Memory:
    """Timing of the memory, in cycles of the accelerator.

    Attributes:
        latency_cycles: from a burst's request to its first byte on the bus.
        bytes_per_cycle: what the bus moves; reads and writes share it.
        in_flight: bursts that may be under way at a time.
        burst_bytes: the largest burst; a cache's line has room for it.
        cache: before the memory, with a latency that is not above its; None: there is none.

    Raises:
        SpecError: a value is out of range; the message names it.
    """

    latency_cycles: int = 100
    bytes_per_cycle: int = 8
    in_flight: int = 16
    burst_bytes: int = 64
    cache: Cache | None = None

    def __post_init__(self) -> None:
        _check("memory", "latency_cycles", self.latency_cycles, 1, _MOST_LATENCY)
        _check_power("memory", "bytes_per_cycle", self.bytes_per_cycle, 4, MOST_BUS_BYTES)
        _check("memory", "in_flight", self.in_flight, 1, MOST_IN_FLIGHT)
        _check_power(
            "memory", "burst_bytes", self.burst_bytes, self.bytes_per_cycle, MOST_BURST_BYTES
        )
        if self.cache is None:
            return
        if self.cache.latency_cycles > self.latency_cycles:
            raise SpecError(
                f"cache: latency_cycles = {self.cache.latency_cycles}, expected at most the "
                f"memory's {self.latency_cycles}"
            )
        if self.cache.line_bytes < self.burst_bytes:
            raise SpecError(
                f"cache: line_bytes = {self.cache.line_bytes}, expected at least the largest "
                f"burst's {self.burst_bytes}"
            )


@dataclass(frozen=True)
class Machine:
    """One piece of hardware.

    Attributes:
        pe_dim: rows and columns of the array.
        scratchpad_bytes: for weights and inputs, one byte each.
        accumulator_bytes: for partial sums of four bytes, all columns together.
        memory: its timing.

    Raises:
        SpecError: a value is out of range; the message names it.
    """

    pe_dim: int
    scratchpad_bytes: int
    accumulator_bytes: int
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        _check_power("machine", "pe_dim", self.pe_dim, 2, MOST_PES)
        _check("machine", "scratchpad_bytes", self.scratchpad_bytes, 1, _MOST_BUFFER_BYTES)
        least = SUM_BYTES * self.pe_dim
        _check("machine", "accumulator_bytes", self.accumulator_bytes, least, _MOST_BUFFER_BYTES)

    @property
    def accumulator_rows(self) -> int:
        """Partial sums that each column holds."""
        return self.accumulator_bytes // (SUM_BYTES * self.pe_dim)

    @classmethod
    def of(cls, architecture: Architecture, memory: Memory | None = None) -> Machine:
        """Return the machine that an architecture with the roles of the Gemmini template is.

        Raises:
            SpecError: the architecture lacks these roles, or a size is out of range.
        """
        levels = architecture.levels
        where = f"architecture '{architecture.name}'"
        if len(levels) != 4 or not levels[3].is_dram or any(x.is_dram for x in levels[:3]):
            raise SpecError(
                f"{where}: has levels {', '.join(x.name for x in reversed(levels))}; cycles are "
                "known of DRAM, scratchpad, accumulator and registers only, as in the template "
                "'gemmini'"
            )
        registers, accumulator, scratchpad, _ = levels
        side = math.isqrt(architecture.compute.instances)
        meshes = {
            registers.name: (registers.instances, side * side),
            accumulator.name: (accumulator.instances, side),
            scratchpad.name: (scratchpad.instances, 1),
            architecture.compute.name: (architecture.compute.instances, side * side),
        }
        for name, (found, expected) in meshes.items():
            if found != expected:
                raise SpecError(
                    f"{where}: {found} of '{name}', expected {expected}: a square array with one "
                    "weight per PE, one accumulator per column and one scratchpad"
                )
        if registers.size_words != 1 or (scratchpad.word_bits, accumulator.word_bits) != (8, 32):
            raise SpecError(
                f"{where}: expected one weight per PE, 8 bits in '{scratchpad.name}' and 32 in "
                f"'{accumulator.name}', found {registers.size_words}, {scratchpad.word_bits} and "
                f"{accumulator.word_bits}"
            )
        _check_loops(architecture, scratchpad.name)
        return cls(
            pe_dim=side,
            scratchpad_bytes=scratchpad.size_words or 0,
            accumulator_bytes=(accumulator.size_words or 0) * SUM_BYTES * side,
            memory=memory or Memory(),
        )


def _check_loops(architecture: Architecture, scratchpad: str) -> None:
    """Refuse temporal loops at the scratchpad: a tile there is one that the accumulator holds."""
    level = (architecture.constraints or {}).get(scratchpad)
    if architecture.constraints is None:
        return  # what a mapping does is seen when it is lowered
    loops = LoopConstraint() if level is None else level.temporal
    free = [
        d
        for d in (DIMENSIONS if loops.dimensions is None else loops.dimensions)
        if loops.factors.get(d) != 1 and loops.max_factors.get(d, 2) > 1
    ]
    if free:
        raise SpecError(
            f"architecture '{architecture.name}': level '{scratchpad}' may have temporal loops "
            f"over {', '.join(free)}, expected none, as in the template 'gemmini'"
        )


def _check(where: str, name: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SpecError(f"{where}: {name} = {value!r}, expected an integer of {least} to {most}")


def _check_power(where: str, name: str, value: int, least: int, most: int) -> None:
    _check(where, name, value, least, most)
    if value & (value - 1):
        raise SpecError(f"{where}: {name} = {value}, expected a power of two")
