"""The cycles of Gemmini on FireSim, as the DOSA authors recorded them: for comparison only.

`lower` does what their bare-metal program did with a mapping; `cycles` says how long Gemmini takes
for that. Gemmini is another machine than ours (``rtl/``): its program loads both operands of every
tile, whether they changed or not, and its memory is a cache that takes one request for every row.
So this is a model of its own, close but not exact; ``docs/firesim.md`` says how close, and where
its rules are from.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dse.cycles.gemmini import C, K, N, P, Program, Q, R, S, Timing
from dse.cycles.gemmini_tiles import COSTS, fill_requests
from dse.cycles.gemmini_walk import walk
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.numeric import Floats

#: Fitted by ``python benchmarks/rtl.py --fit`` on recorded training rows (811: those of fewer than
#: 6,000 tiles that DOSA's authors did not hold out), but for three: the processor's cycles a tile
#: were read off training rows, and FireSim's last-level cache was built with 4 MB.
TIMING = Timing(
    latency=19.1,
    beat=1.316,
    store=4.832,
    level2_line=10.33,
    memory_line=20.98,
    array=3.927,
    matmul_tile=125.0,
    convolution_tile=250.0,
    start=697.2,
    level2_kb=459.2,
    last_level_kb=4096.0,
)
#: Sides of the arrays that programs were recorded on, and the largest that the model knows.
MOST_SIDE = 64
_NAMES = ("N", "Q", "P", "K", "S", "R", "C")
#: The program's own order of loops, innermost first; what a mapping does not order follows in it.
_DEFAULT_ORDER = (C, R, S, K, P, Q, N)
#: Where in a line the programs' arrays began, in bytes: no source says it, training rows show it.
#: Matrices are aligned to 16 bytes, other arrays to 8, and every binary has its own places.
_OFFSET, _MATMUL_OFFSET = 8, {16: 16}
_TEMPORAL_L1, _TEMPORAL_L0 = 1, 0


def lower(problem: Problem, mappings: MappingBatch, index: int) -> Program:
    """Return the program of a mapping on Gemmini, as DOSA's scripts wrote it.

    Only the order of the DRAM loops and the tiles inside them come from the mapping. The array is
    the smallest, with a side that is a power of two, that its spatial factors fit.

    Args:
        problem: of shape ``cnn-layer``; a convolution's windows are square, and its output is
            taken to be, with P pixels a side.
        mappings: four levels as in the template ``gemmini``, registers first.
        index: which of them.

    Raises:
        SpecError: the problem is of another shape, or the array is larger than any recorded.
    """
    if problem.shape.name != "cnn-layer":
        raise SpecError(
            f"problem of shape '{problem.shape.name}': DOSA's program knows 'cnn-layer' only"
        )
    names = list(problem.shape.dimensions)
    places = [names.index(name) for name in _NAMES]
    bounds = {name: problem.bounds[name] for name in _NAMES}
    temporal = mappings.temporal[:, places, index].astype(np.int64)
    spatial = mappings.spatial[:, places, index].astype(np.int64)
    widest = int(spatial.max())
    side = 1 << max(1, (widest - 1).bit_length())
    if side > MOST_SIDE:
        raise SpecError(
            f"mapping: spatial factor {widest}, expected at most {MOST_SIDE}, the side of the "
            "largest array recorded"
        )
    # the scripts read the accumulator's loops, the spatial factors, and P and Q of the registers
    tile = temporal[_TEMPORAL_L1] * spatial.prod(axis=0)
    tile[[P, Q]] *= temporal[_TEMPORAL_L0][[P, Q]]
    outer = [places.index(int(d)) for d in mappings.permutation[3, :, _single(mappings, index)]]
    ordered = [d for d in outer if temporal[3, d] > 1]
    order = np.array([*ordered, *(d for d in _DEFAULT_ORDER if d not in ordered)], np.int64)
    if bounds["Q"] == bounds["R"] == bounds["S"] == 1:
        return _matmul(bounds, tile, order, side)
    return _convolution(bounds, problem.coefficients["Wstride"], tile, order, side)


def _single(mappings: MappingBatch, index: int) -> int:
    """Return the place of a mapping among orders, of which a batch may have one for all."""
    return index if mappings.permutation.shape[2] > 1 else 0


def _matmul(bounds: dict[str, int], tile: np.ndarray, order: np.ndarray, side: int) -> Program:
    """Tiles are counted in blocks of 16, whatever the array's side, and taken in its blocks."""
    limit, step = np.ones(7, np.int64), np.ones(7, np.int64)
    for d, name in ((P, "P"), (K, "K"), (C, "C")):
        limit[d] = -(-bounds[name] // side)
        step[d] = max(1, int(tile[d]) // 16)
    rows, columns, inner = bounds["P"], bounds["K"], bounds["C"]
    offset = _MATMUL_OFFSET.get(side, 0)
    return Program(True, side, 1, rows, offset, rows, columns, inner, limit, step, order)


def _convolution(
    bounds: dict[str, int], stride: int, tile: np.ndarray, order: np.ndarray, side: int
) -> Program:
    """Input and output are square, the window has R pixels a side, padding is half of it."""
    window = bounds["R"]
    in_size = bounds["P"] * stride
    out_size = (in_size - window + window // 2 * 2) // stride + 1
    limit = np.empty(7, np.int64)
    limit[[N, Q, P, K, S, R, C]] = (
        *(bounds["N"], out_size, out_size, bounds["K"]),
        *(window, window, bounds["C"]),
    )
    rows, columns, inner = out_size, bounds["K"], bounds["C"]
    return Program(False, side, stride, in_size, _OFFSET, rows, columns, inner, limit, tile, order)


def cycles(program: Program, timing: Timing = TIMING) -> float:
    """Return the cycles of a program, from its first instruction to the last output in memory."""
    return float(
        walk(
            program,
            timing,
            _requests(program.columns),
            _requests(program.inner),
            np.zeros((4, 8), np.int64),
            np.zeros((3, 8, 3)),
            np.zeros(COSTS),
        )
    )


@lru_cache(maxsize=256)
def _requests(stride: int) -> Floats:
    table = np.zeros((65, 64, 2))
    fill_requests(stride, table)
    return table
