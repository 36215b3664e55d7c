"""A job: what the sequencer in hardware, and the cycle model, walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.cycles.hardware import Machine

#: Places of :data:`dse.cycles.hardware.DIMENSIONS`.
R, S, P, Q, C, K, N, G = range(8)

_Ints = npt.NDArray[np.int64]


class Registers(NamedTuple):
    """The registers of a job, in the order of ``job_t`` in ``rtl/types_pkg.sv``, which says more.

    Attributes of several numbers are ``(8,)`` by dimension, or ``(2,)``: of whole tiles and of the
    last tile of their dimension, or of two halves of a buffer.
    """

    tile: _Ints
    edge_tile: _Ints
    trips: _Ints
    order: _Ints
    block_c: int
    block_k: int
    blocks_c: _Ints
    last_c: _Ints
    blocks_k: _Ints
    last_k: _Ints
    stride_x: int
    stride_y: int
    dilation_x: int
    dilation_y: int
    padding_x: int
    padding_y: int
    inputs_x: int
    inputs_y: int
    weights_at: int
    inputs_at: int
    sums_at: int
    outputs_at: int
    weights_r: int
    weights_s: int
    weights_c: int
    weights_g: int
    inputs_n: int
    inputs_row: int
    inputs_column: int
    inputs_g: int
    outputs_n: int
    outputs_q: int
    outputs_p: int
    outputs_g: int
    weights_joined: int
    inputs_joined: int
    output_bytes: int
    weights_half: _Ints
    inputs_half: _Ints
    sums_half: _Ints
    weights_halves: int
    inputs_halves: int
    sums_halves: int
    latency: int
    bytes_per_cycle: int
    in_flight: int
    burst_bytes: int
    cache_lines: int
    cache_line_bits: int
    cache_latency: int


@dataclass(frozen=True, eq=False)
class Job:
    """One layer, with its tiling, on one machine.

    Attributes:
        machine: what it runs on.
        bounds: ``(8,)`` sizes of the layer by dimension.
        registers: what the hardware is given.
        memory_bytes: of all tensors; weights begin at 0, then inputs, partial sums, outputs.
    """

    machine: Machine
    bounds: _Ints
    registers: Registers
    memory_bytes: int

    @property
    def macs(self) -> int:
        """Multiplications of the layer."""
        return int(np.prod(self.bounds))

    @property
    def tiles(self) -> int:
        """Tiles that the sequencer walks."""
        return int(np.prod(self.registers.trips))

    def words(self) -> npt.NDArray[np.uint32]:
        """Return the registers by address; the last field of ``job_t`` has address 0."""
        parts = [np.atleast_1d(value) for value in reversed(self.registers)]
        return np.concatenate(parts).astype(np.uint32)
