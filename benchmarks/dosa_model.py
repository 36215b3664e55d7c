"""DOSA's own analytical model of Gemmini, vectorised: what its gradient search optimises.

Access counts from products of loop bounds, five rooflines for the latency, one energy per access
and level. It stands beside Timeloop here, to show what an approximation costs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.mapping import MappingBatch
from dse.problem import Problem

Floats = npt.NDArray[np.float64]

R, S, P, Q, C, K, N = range(7)
_WEIGHTS = (R, S, C, K)
_OUTPUTS = (P, Q, K, N)


def analytical_model(
    problem: Problem,
    mappings: MappingBatch,
    permutation: npt.NDArray[np.int8],
    hardware: Floats,
) -> Floats:
    """Return the EDP in J x cycle of each mapping, ``(B,)``.

    Args:
        problem: a convolution, dimensions in the order R S P Q C K N.
        mappings: on Gemmini's four levels, from the inside: registers to DRAM.
        permutation: ``(4, 7, B)`` loop orders, innermost first.
        hardware: ``(3, B)``: pe_dim, scratchpad KB, accumulator KB.
    """
    pe_dim, scratchpad_kb, accumulator_kb = hardware
    temporal = mappings.temporal.astype(np.float64)
    spatial = mappings.spatial.astype(np.float64)
    spatial_c, spatial_k = spatial[1, C], spatial[2, K]
    macs = float(problem.macs)
    tile = (temporal * spatial)[:3].prod(axis=0)  # (7, B): what lies inside the DRAM's loops
    dram_factors = np.take_along_axis(temporal[3], permutation[3].astype(np.int64), axis=0)
    dram_order = permutation[3]
    inner_factors = np.take_along_axis(temporal[1], permutation[1].astype(np.int64), axis=0)
    # loops above the registers: the accumulator's, then DRAM's
    outer_factors = np.concatenate([inner_factors, dram_factors])
    outer_order = np.concatenate([permutation[1], dram_order])

    register_fills = spatial_c * spatial_k * _refills(outer_factors, outer_order, _WEIGHTS)
    weight_fills = tile[list(_WEIGHTS)].prod(axis=0) * _refills(dram_factors, dram_order, _WEIGHTS)
    output_fills = tile[list(_OUTPUTS)].prod(axis=0) * _refills(dram_factors, dram_order, _OUTPUTS)
    input_fills = _input_fills(problem, tile, dram_factors, dram_order)
    outputs = float(problem.tensor_size(2))

    input_reads = macs / spatial_k
    accumulator_updates = macs / spatial_c
    registers = macs + register_fills
    accumulator = 2 * accumulator_updates - outputs + output_fills
    scratchpad = register_fills + weight_fills + input_reads + input_fills
    dram = weight_fills + input_fills + 2 * output_fills - outputs

    cycles = np.maximum.reduce(
        [
            macs / (spatial_c * spatial_k),
            registers / 10_000,
            accumulator / (2 * spatial_k),
            scratchpad / (2 * pe_dim),
            dram / 8,
        ]
    )
    energy_pj = (
        0.5608 * macs
        + 0.48746 * registers
        + (1.94 + 0.1005 * accumulator_kb / pe_dim) * accumulator
        + (0.49 + 0.02513 * scratchpad_kb) * scratchpad
        + 100 * dram
    )
    edp: Floats = cycles * energy_pj / 1e12
    return edp


def _refills(factors: Floats, order: npt.NDArray[np.int8], relevant: tuple[int, ...]) -> Floats:
    """Product of the loops from the innermost relevant one outwards, ``(B,)``."""
    result = np.ones(factors.shape[1])
    met = np.zeros(factors.shape[1], np.bool_)
    for factor, dimension in zip(factors, order, strict=True):
        met |= np.isin(dimension, relevant) & (factor > 1)
        result *= np.where(met, factor, 1.0)
    return result


def _input_fills(
    problem: Problem, tile: Floats, factors: Floats, order: npt.NDArray[np.int8]
) -> Floats:
    """Words of inputs that the scratchpad gets from DRAM, ``(B,)``, halos reused.

    The innermost DRAM loop counts as part of the tile if it runs over R or S. A loop over P or Q
    that is the innermost of all, or P directly outside such an R and Q outside such an S, may
    fetch a first tile and then slices; every other loop from the first relevant one outwards
    fetches the whole tile again.
    """
    batch = factors.shape[1]
    # along P with R, along Q with S: the tile's extent, how far a step of the loop moves it, and
    # the share of the tile that is new after a step
    axes = []
    for filter_, output, stride in ((R, P, "Wstride"), (S, Q, "Hstride")):
        step = tile[output] * problem.coefficients[stride]
        extent = step - problem.coefficients[stride] + tile[filter_]
        axes.append((filter_, output, step, extent, np.minimum(extent, step) / extent))
    words = tile[C] * tile[N] * axes[0][3] * axes[1][3]

    result, met = np.ones(batch), np.zeros(batch, np.bool_)
    innermost = np.ones(batch, np.bool_)
    inner_filter = np.full(batch, -1)  # R or S where that was the innermost loop, just passed
    inner_slices = np.zeros(batch)
    for factor, dimension in zip(factors, order, strict=True):
        loop = factor > 1
        ratio = factor.copy()
        passed = np.full(batch, -1)
        for filter_, output, step, extent, new in axes:
            # the filter loop slides the tile by its own extent of the filter
            slid = np.minimum(extent, tile[filter_]) / extent
            as_tile = loop & innermost & (dimension == filter_)
            ratio = np.where(as_tile, 1 + (factor - 1) * slid, ratio)
            passed = np.where(as_tile, filter_, passed)
            inner_slices = np.where(as_tile, (factor - 1) * slid, inner_slices)
            halo = loop & innermost & (dimension == output)
            ratio = np.where(halo, 1 + (factor - 1) * new, ratio)
            # outside the filter loop only a step as long as that loop's own keeps the halo
            same = loop & (inner_filter == filter_) & (dimension == output)
            same &= step == 2 * tile[filter_]
            once = 1 + inner_slices
            sliced = (once + (factor - 1) * (slid + inner_slices)) / once
            ratio = np.where(same, sliced, ratio)
        met |= loop & (dimension != K)
        result *= np.where(loop & met, ratio, 1.0)
        inner_filter = np.where(loop, passed, inner_filter)
        innermost &= ~loop
    fills: Floats = words * result
    return fills
