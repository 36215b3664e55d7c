"""From a mapping to a job: the loops at DRAM become loops over tiles, all inside them one tile.

Within a tile the hardware has its own order, so of the loops inside only the factors count, and the
spatial ones say how many rows and columns of the array a block of weights takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.cycles.hardware import DIMENSIONS, SUM_BYTES, Machine
from dse.cycles.job import C, G, Job, K, N, P, Q, R, Registers, S
from dse.domain.mapping import Mapping
from dse.domain.problem import SHAPES, Problem
from dse.errors import InvalidMapping, SpecError

_SHAPES = ("cnn-layer", "grouped-cnn-layer", "depthwise-cnn-layer")
_REGISTERS, _ACCUMULATOR, _SCRATCHPAD, _DRAM = range(4)
#: Which tensor (weights, inputs, outputs) each level keeps, from the inside.
_KEEP = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]], dtype=np.bool_)
#: Dimensions that move each operand.
_OF_WEIGHTS = (R, S, C, K, G)
_OF_INPUTS = (R, S, P, Q, C, N, G)
_OF_OUTPUTS = (P, Q, K, N, G)
#: Tensors begin at multiples of it.
_ALIGNED = 64

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tiling:
    """How a layer is cut: all that a job needs beside the layer and the machine.

    Attributes:
        tile: ``(8,)`` extents of a tile by :data:`dse.cycles.hardware.DIMENSIONS`; the last tile of
            a dimension has what is left of it.
        order: the loops over tiles, innermost first: each dimension once.
        block_c, block_k: rows and columns of the array that a block of weights takes.
    """

    tile: Sequence[int]
    order: Sequence[int]
    block_c: int
    block_k: int


def lower(
    problem: Problem,
    mapping: Mapping,
    machine: Machine,
    *,
    padding: tuple[int, int] = (0, 0),
    output_bytes: int = 1,
) -> Job:
    """Return the job of a mapping of the Gemmini template.

    Args:
        problem: a convolution, grouped, depthwise or neither; a GEMM is one with P, C and K only.
        mapping: levels registers, accumulator, scratchpad, DRAM; with imperfect factors, too.
        machine: what it runs on.
        padding: columns (along P) and rows (along Q) of zeros on either side of the inputs.
        output_bytes: of a complete output: 4, or 1, cut to the range of a byte.

    Raises:
        SpecError: a problem or a mapping that this hardware has no job for, or a bad argument.
        InvalidMapping: a tile does not fit the array or its buffers.
    """
    return job_of(
        problem, tiling_of(problem, mapping), machine, padding=padding, output_bytes=output_bytes
    )


def tiling_of(problem: Problem, mapping: Mapping) -> Tiling:
    """Return how a mapping cuts a layer; raises SpecError as `lower` does."""
    _check_shape(problem)
    levels = mapping.temporal.shape[0]
    if levels != 4 or not np.array_equal(mapping.keep, _KEEP):
        raise SpecError(
            f"mapping: {levels} levels; cycles are known of mappings on registers (weights), "
            "accumulator (outputs), scratchpad (weights and inputs) and DRAM only, as in the "
            "template 'gemmini'"
        )
    spatial = mapping.spatial.astype(np.int64)
    blocks = {"C": 1, "K": 1}
    for level, d in np.argwhere(spatial != 1).tolist():
        name, factor = problem.dimensions[d], int(spatial[level, d])
        if (level, name) not in ((_SCRATCHPAD, "K"), (_ACCUMULATOR, "C")):
            raise SpecError(
                f"mapping: spatial factor {name} = {factor}, expected K below the scratchpad and C "
                "below the accumulator only"
            )
        blocks[name] = factor
    loops = (mapping.temporal[_SCRATCHPAD] != 1).nonzero()[0].tolist()
    if loops:
        raise SpecError(
            f"mapping: temporal factor {problem.dimensions[loops[0]]} = "
            f"{mapping.temporal[_SCRATCHPAD, loops[0]]} at the scratchpad, expected 1: a tile "
            "there is one that the accumulator holds"
        )
    inside = np.prod(mapping.temporal[:_DRAM].astype(np.int64) * spatial[:_DRAM], axis=0)
    places = [DIMENSIONS.index(name) for name in problem.dimensions]
    tile = [1] * 8
    for place, factor, bound in zip(places, inside.tolist(), problem.bounds.values(), strict=True):
        tile[place] = min(factor, bound)
    order = [places[d] for d in mapping.permutation[_DRAM]]
    order += [d for d in range(8) if d not in order]
    return Tiling(tile, order, blocks["C"], blocks["K"])


def job_of(
    problem: Problem,
    tiling: Tiling,
    machine: Machine,
    *,
    padding: tuple[int, int] = (0, 0),
    output_bytes: int = 1,
) -> Job:
    """Return the job of a tiling; arguments and errors are those of `lower`."""
    _check_shape(problem)
    bounds, tile = [1] * 8, list(tiling.tile)
    for name, bound in problem.bounds.items():
        bounds[DIMENSIONS.index(name)] = bound
    _check_tiling(tiling, bounds)
    if output_bytes not in (1, SUM_BYTES):
        raise SpecError(f"job: output_bytes = {output_bytes!r}, expected 1 or {SUM_BYTES}")
    trips = [-(-b // t) for b, t in zip(bounds, tile, strict=True)]
    edge = [b - (n - 1) * t for b, n, t in zip(bounds, trips, tile, strict=True)]
    blocks_c, last_c = _blocks(tile[C], edge[C], tiling.block_c)
    blocks_k, last_k = _blocks(tile[K], edge[K], tiling.block_k)

    steps = problem.coefficients
    stride_x, stride_y = steps["Wstride"], steps["Hstride"]
    dilation_x, dilation_y = steps["Wdilation"], steps["Hdilation"]
    for name, value in steps.items():
        if value < 1:
            raise SpecError(f"problem: {name} = {value}, expected at least 1")
    inputs_x = _inputs("columns", bounds[P], stride_x, bounds[R], dilation_x, padding[0])
    inputs_y = _inputs("rows", bounds[Q], stride_y, bounds[S], dilation_y, padding[1])

    channels, filters = bounds[C] * bounds[G], bounds[K] * bounds[G]
    outputs = bounds[N] * bounds[Q] * bounds[P] * filters
    at = [0]
    for size in (
        bounds[R] * bounds[S] * bounds[C] * filters,
        bounds[N] * inputs_y * inputs_x * channels,
        SUM_BYTES * outputs,
        output_bytes * outputs,
    ):
        at.append(-(-(at[-1] + size) // _ALIGNED) * _ALIGNED)
    window_x = (tile[P] - 1) * stride_x + (tile[R] - 1) * dilation_x + 1
    window_y = (tile[Q] - 1) * stride_y + (tile[S] - 1) * dilation_y + 1
    weights_size = tile[R] * tile[S] * tile[C] * tile[K] * tile[G]
    inputs_size = tile[N] * min(window_x, inputs_x) * min(window_y, inputs_y) * tile[C] * tile[G]
    sums_size = tile[P] * tile[Q] * tile[N] * tile[G] * blocks_k[0]
    halves = _halves(machine, tiling, trips, (weights_size, inputs_size, sums_size))
    inputs_from = halves[0] * weights_size
    memory, cache = machine.memory, machine.memory.cache
    registers = Registers(
        tile=_array(tile),
        edge_tile=_array(edge),
        trips=_array(trips),
        order=_array(tiling.order),
        block_c=tiling.block_c,
        block_k=tiling.block_k,
        blocks_c=_array(blocks_c),
        last_c=_array(last_c),
        blocks_k=_array(blocks_k),
        last_k=_array(last_k),
        stride_x=stride_x,
        stride_y=stride_y,
        dilation_x=dilation_x,
        dilation_y=dilation_y,
        padding_x=padding[0],
        padding_y=padding[1],
        inputs_x=inputs_x,
        inputs_y=inputs_y,
        weights_at=at[0],
        inputs_at=at[1],
        sums_at=at[2],
        outputs_at=at[3],
        weights_r=bounds[S] * bounds[C] * filters,
        weights_s=bounds[C] * filters,
        weights_c=filters,
        weights_g=bounds[K],
        inputs_n=inputs_y * inputs_x * channels,
        inputs_row=inputs_x * channels,
        inputs_column=channels,
        inputs_g=bounds[C],
        outputs_n=bounds[Q] * bounds[P] * filters,
        outputs_q=bounds[P] * filters,
        outputs_p=filters,
        outputs_g=bounds[K],
        weights_joined=_joined(tile, bounds, K),
        inputs_joined=_joined(tile, bounds, C),
        output_bytes=output_bytes,
        weights_half=np.array([0, (halves[0] - 1) * weights_size], np.int64),
        inputs_half=np.array([inputs_from, inputs_from + (halves[1] - 1) * inputs_size], np.int64),
        sums_half=np.array([0, (halves[2] - 1) * sums_size], np.int64),
        weights_halves=halves[0],
        inputs_halves=halves[1],
        sums_halves=halves[2],
        latency=memory.latency_cycles,
        bytes_per_cycle=memory.bytes_per_cycle,
        in_flight=memory.in_flight,
        burst_bytes=memory.burst_bytes,
        cache_lines=0 if cache is None else cache.lines,
        cache_line_bits=0 if cache is None else cache.line_bytes.bit_length() - 1,
        cache_latency=0 if cache is None else cache.latency_cycles,
    )
    return Job(machine, _array(bounds), registers, at[4])


def _check_shape(problem: Problem) -> None:
    if all(problem.shape != SHAPES[name] for name in _SHAPES):
        raise SpecError(
            f"problem: shape '{problem.shape.name}', but cycles are known of "
            f"{', '.join(_SHAPES)} only (a GEMM is a cnn-layer with P, C and K)"
        )


def _array(values: Sequence[int]) -> _Ints:
    return np.array(values, np.int64)


def _check_tiling(tiling: Tiling, bounds: list[int]) -> None:
    if len(tiling.tile) != 8 or any(
        not 1 <= t <= b for t, b in zip(tiling.tile, bounds, strict=True)
    ):
        raise SpecError(
            f"tiling: tile = {list(tiling.tile)}, expected extents of 1 to {bounds} for "
            f"{', '.join(DIMENSIONS)}"
        )
    if sorted(tiling.order) != list(range(8)):
        raise SpecError(f"tiling: order = {list(tiling.order)}, expected each of 0 to 7 once")
    for name, value in (("block_c", tiling.block_c), ("block_k", tiling.block_k)):
        if value < 1:
            raise SpecError(f"tiling: {name} = {value}, expected at least 1")


def _blocks(whole: int, edge: int, block: int) -> tuple[list[int], list[int]]:
    """Return how many blocks a whole tile and the last tile have, and the sizes of their last."""
    extents = (whole, edge)
    counts = [-(-extent // block) for extent in extents]
    return counts, [e - (n - 1) * block for e, n in zip(extents, counts, strict=True)]


def _inputs(what: str, outputs: int, stride: int, kernel: int, dilation: int, padding: int) -> int:
    window = (outputs - 1) * stride + (kernel - 1) * dilation + 1
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        raise SpecError(f"job: padding of {what} = {padding!r}, expected an integer of at least 0")
    if 2 * padding >= window:
        raise SpecError(
            f"job: padding of {what} = {padding}, expected less than half of the {window} {what} "
            "that the outputs are made from"
        )
    return window - 2 * padding


def _joined(tile: list[int], bounds: list[int], inner: int) -> int:
    """Return how many levels of an operand's box lie in one piece."""
    if tile[inner] != bounds[inner]:
        return 0
    return 2 if tile[G] == bounds[G] else 1


def _halves(
    machine: Machine, tiling: Tiling, trips: list[int], sizes: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Return for weights, inputs and sums whether there is room for two tiles, or for one.

    Two of both operands, else of the inputs, else of the weights; what is loaded once needs one.
    """
    weights, inputs, sums = sizes
    rows = machine.accumulator_rows
    for what, found, room in (
        ("rows of the array (C)", tiling.block_c, machine.pe_dim),
        ("columns of the array (K)", tiling.block_k, machine.pe_dim),
        ("bytes of weights and inputs", weights + inputs, machine.scratchpad_bytes),
        ("partial sums in a column", sums, rows),
    ):
        if found > room:
            raise InvalidMapping(f"a tile needs {found} {what}, but there are {room}")
    many_weights = 1 + any(trips[d] > 1 for d in _OF_WEIGHTS)
    many_inputs = 1 + any(trips[d] > 1 for d in _OF_INPUTS)
    choices = ((many_weights, many_inputs), (1, many_inputs), (many_weights, 1), (1, 1))
    for_weights, for_inputs = next(
        (w, i) for w, i in choices if w * weights + i * inputs <= machine.scratchpad_bytes
    )
    many_sums = 1 + any(trips[d] > 1 for d in _OF_OUTPUTS)
    return for_weights, for_inputs, many_sums if many_sums * sums <= rows else 1
