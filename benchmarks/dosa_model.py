"""DOSA's own analytical model of Gemmini, vectorised: what its gradient search optimises.

Access counts from products of loop bounds, five rooflines for the latency, one energy per access
and level (Hong et al., MICRO 2023, and the public artifact, ucb-bar/dosa). It stands beside
Timeloop here, to show what an approximation costs, so the artifact's special cases are kept: what
counts is the place of a loop in the order, be its bound 1 or not, and registers hold P and Q only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.numeric import Floats

Orders = npt.NDArray[np.int8]

R, S, P, Q, C, K, N = range(7)
REGISTERS, ACCUMULATOR, SCRATCHPAD, DRAM = range(4)
_WEIGHTS = (R, S, C, K)
_INPUTS = (R, S, P, Q, C, N)
_OUTPUTS = (P, Q, K, N)

# words per cycle
_REGISTER_BANDWIDTH = 10_000.0
_DRAM_BANDWIDTH = 8.0
# pJ per access
_MAC_PJ = 0.5608
_REGISTER_PJ = 0.48746172
_DRAM_PJ = 100.0


def analytical_model(
    problem: Problem, mappings: MappingBatch, permutation: Orders, hardware: Floats
) -> Floats:
    """Return the EDP in J x cycle of each mapping, ``(B,)``.

    Args:
        problem: a convolution, dimensions in the order R S P Q C K N.
        mappings: on Gemmini's four levels, from the inside: registers to DRAM.
        permutation: ``(4, 7, B)`` loop orders, innermost first.
        hardware: ``(3, B)``: pe_dim, scratchpad KB, accumulator KB.
    """
    counts = access_counts(problem, mappings, permutation)
    edp: Floats = latency(counts, mappings, hardware) * energy_pj(counts, hardware) / 1e12
    return edp


def access_counts(problem: Problem, mappings: MappingBatch, permutation: Orders) -> Floats:
    """Return the accesses in words, ``(5, B)``: MACs, registers to DRAM; at least 1 each.

    Args:
        problem: a convolution, dimensions in the order R S P Q C K N.
        mappings: on Gemmini's four levels, from the inside: registers to DRAM.
        permutation: ``(4, 7, B)`` loop orders, innermost first.
    """
    temporal = mappings.temporal.astype(np.float64)
    spatial = mappings.spatial.astype(np.float64)
    # the loops of each level in their order; those of the registers first
    factors = np.take_along_axis(temporal, permutation.astype(np.int64), axis=1)
    tiles = temporal.copy()  # a tile's extent along each dimension, by level: (4, 7, B)
    tiles[REGISTERS, [R, S, C, K, N]] = 1
    tiles = tiles.cumprod(axis=0)
    spread = spatial.copy()  # spatial loops from the accumulator outwards, (4, 7, B)
    spread[REGISTERS] = 1
    spread = spread.cumprod(axis=0)

    def refills(level: int, relevant: Sequence[int]) -> Floats:
        return _refills(*_outside(level, factors, permutation), relevant)

    every_lane = spread[DRAM].prod(axis=0)
    register_fills = every_lane * refills(REGISTERS, _WEIGHTS)
    output_fills = (
        (tiles * spread)[ACCUMULATOR, _OUTPUTS].prod(axis=0)
        * (every_lane / spread[ACCUMULATOR].prod(axis=0))
        * refills(ACCUMULATOR, _OUTPUTS)
    )
    weight_fills = (tiles * spread)[SCRATCHPAD, _WEIGHTS].prod(axis=0)
    weight_fills = weight_fills * refills(SCRATCHPAD, _WEIGHTS)
    input_channels = (tiles * spread)[SCRATCHPAD, (C, N)].prod(axis=0)
    input_fills = input_channels * _input_window_fills(
        problem, temporal[:DRAM].prod(axis=0), factors[DRAM], permutation[DRAM]
    )

    macs = register_fills * _weight_reuse(*_outside(-1, factors, permutation))
    input_reads = macs / spatial[SCRATCHPAD, K]
    updates = macs / spatial[ACCUMULATOR, C]
    outputs = float(problem.tensor_size(2))
    counts = np.stack(
        [
            macs,
            macs + register_fills,
            # the first update of an output reads nothing
            2 * updates - outputs + output_fills,
            register_fills + weight_fills + input_reads + input_fills,
            weight_fills + input_fills + 2 * output_fills - outputs,
        ]
    )
    at_least_one: Floats = np.maximum(counts, 1.0)
    return at_least_one


def latency(counts: Floats, mappings: MappingBatch, hardware: Floats) -> Floats:
    """Return the cycles, ``(B,)``: the largest of the five rooflines.

    Args:
        counts: ``(5, B)`` words, as from ``access_counts``.
        mappings: those that were counted.
        hardware: ``(3, B)``: pe_dim, scratchpad KB, accumulator KB.
    """
    rows = mappings.spatial[ACCUMULATOR, C].astype(np.float64)
    columns = mappings.spatial[SCRATCHPAD, K].astype(np.float64)
    macs, registers, accumulator, scratchpad, dram = counts
    rooflines = [
        macs / (rows * columns),
        registers / _REGISTER_BANDWIDTH,
        accumulator / (2 * columns),
        scratchpad / (2 * hardware[0]),
        dram / _DRAM_BANDWIDTH,
    ]
    cycles: Floats = np.maximum.reduce(rooflines)
    return cycles


def energy_pj(counts: Floats, hardware: Floats) -> Floats:
    """Return the energy in pJ, ``(B,)``.

    Args:
        counts: ``(5, B)`` words, as from ``access_counts``.
        hardware: ``(3, B)``: pe_dim, scratchpad KB, accumulator KB.
    """
    pe_dim, scratchpad_kb, accumulator_kb = hardware
    macs, registers, accumulator, scratchpad, dram = counts
    energy: Floats = (
        _MAC_PJ * macs
        + _REGISTER_PJ * registers
        + (1.94 + 0.1005 * accumulator_kb / pe_dim) * accumulator
        + (0.49 + 0.02513 * scratchpad_kb) * scratchpad
        + _DRAM_PJ * dram
    )
    return energy


def _outside(level: int, factors: Floats, order: Orders) -> tuple[Floats, Orders]:
    """Return the loops outside a level, innermost first: ``(4, 7, B)`` to ``(n, B)``."""
    batch = factors.shape[-1]
    return factors[level + 1 :].reshape(-1, batch), order[level + 1 :].reshape(-1, batch)


def _refills(factors: Floats, order: Orders, relevant: Sequence[int]) -> Floats:
    """Product of the loops from the innermost relevant one outwards, ``(B,)``."""
    result = np.ones(factors.shape[1])
    met = np.zeros(factors.shape[1], np.bool_)
    for factor, dimension in zip(factors, order, strict=True):
        met |= np.isin(dimension, relevant) & (factor > 1)
        result *= np.where(met, factor, 1.0)
    return result


def _weight_reuse(factors: Floats, order: Orders) -> Floats:
    """MACs per weight that a register gets, ``(B,)``: the P and Q loops inside all others."""
    result = np.ones(factors.shape[1])
    inside = np.ones(factors.shape[1], np.bool_)
    for factor, dimension in zip(factors, order, strict=True):
        inside &= np.isin(dimension, (P, Q)) | (factor == 1)
        result *= np.where(inside, factor, 1.0)
    return result


def _input_window_fills(problem: Problem, tile: Floats, factors: Floats, order: Orders) -> Floats:
    """Words per input channel and image that the scratchpad gets from DRAM, ``(B,)``.

    DRAM's innermost loop has a role of its own. Over R or S it belongs to the tile. Over P or Q it
    fetches one whole tile, then what each further tile adds; so does the loop after it where
    that goes over P after R, or over Q after S. Every loop further out that is relevant, or has a
    relevant one inside, fetches all that again.

    Args:
        problem: the convolution.
        tile: ``(7, B)`` product of the temporal factors inside DRAM.
        factors: ``(7, B)`` DRAM's loop bounds, innermost first.
        order: ``(7, B)`` their dimensions.
    """
    stride = {P: problem.coefficients["Wstride"], Q: problem.coefficients["Hstride"]}
    over_filter = (order[0] == R) | (order[0] == S)
    slides = ((order[0] == R) & (order[1] == P)) | ((order[0] == S) & (order[1] == Q))
    # each output axis with the filter's: the window, and what a step along the axis adds to it
    window, added = {}, {}
    for output, filter_ in ((P, R), (Q, S)):
        extent = tile[filter_] * np.where(order[0] == filter_, factors[0], 1.0)
        reach = (tile[output] - 1) * stride[output]
        window[output] = reach + extent
        added[output] = reach + _new_columns(tile[output], extent, stride[output], slides)

    step_factor = np.where(slides, factors[1], factors[0])
    step_axis = np.where(slides, order[1], order[0])
    steps = step_factor - 1
    fills: Floats = window[P] * window[Q]
    fills = fills + np.where(step_axis == P, steps * added[P] * window[Q], 0.0)
    fills = fills + np.where(step_axis == Q, steps * window[P] * added[Q], 0.0)

    # the loops that are accounted for above; the stepping one decides whether they are relevant
    handled = np.zeros(order.shape, np.bool_)
    handled[0] = over_filter | (order[0] == P) | (order[0] == Q)
    handled[1] = slides
    met = (step_factor > 1) & np.isin(step_axis, (R, S, P, Q))
    for factor, dimension, done in zip(factors, order, handled, strict=True):
        met |= ~done & np.isin(dimension, _INPUTS) & (factor > 1)
        fills = fills * np.where(met & ~done, factor, 1.0)
    return fills


def _new_columns(
    outputs: Floats, extent: Floats, stride: int, slides: npt.NDArray[np.bool_]
) -> Floats:
    """Return what stands for the filter's extent in a window of only new inputs, ``(B,)``.

    Args:
        outputs: ``(B,)`` outputs of the tile along the axis.
        extent: ``(B,)`` of the filter in the tile.
        stride: of the convolution along the axis.
        slides: ``(B,)`` whether a filter loop lies inside the step.
    """
    columns: Floats = np.where(outputs <= extent, extent - 1, np.maximum(extent, stride))
    columns = np.where(outputs <= 1, extent, columns)
    columns = np.where(slides, columns, float(stride))  # a stride beyond the extent is not seen
    # a filter of extent 1 has no halo: the whole window is new
    return np.where(extent > 1, columns, 1.0)
