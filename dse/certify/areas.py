"""Areas of buffers by the chain ``dosa``, for the recheck.

Interpolated once more from CACTI's runs, for many sizes at a time: the logarithm of an area is
linear in those of the size and of the width. The chain is asked at some sizes to compare
(:mod:`dse.certify.prices`).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from dse.components import aladdin, cacti
from dse.domain.architecture import StorageLevel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: The node of these prices, and what a buffer of fewer bits counts.
_NODE_NM = 40
_FEW_BITS, _FEW_UM2 = 512, 1.0
#: CACTI knows no narrower row and no fewer rows.
_LEAST_WIDTH, _LEAST_ROWS = 32, 64
#: How far its runs reach beyond their ends: sizes down and up, widths up.
_DOWN, _UP = 4.0, 2.0


def areas_by_dosa(words: Ints, level: StorageLevel) -> Floats:
    """Return the areas of one instance of a buffer, ``(V,)`` in um^2.

    Args:
        words: sizes, ``(V,)``.
        level: of which all but the size counts.

    Returns:
        Infinite where CACTI's runs do not reach.
    """
    width = max(level.word_bits * level.block_size, _LEAST_WIDTH)
    rows = np.ceil(words / level.block_size)
    bits = np.maximum(level.word_bits * level.block_size * rows, width * _LEAST_ROWS)
    found = _of_width(width, bits, level.ports, level.banks)
    found[words * level.word_bits < _FEW_BITS] = _FEW_UM2
    found[words <= 1] = aladdin.register(level.word_bits).area_um2
    return found


def _of_width(width: int, bits: Floats, ports: int, banks: int) -> Floats:
    widths = _widths(ports, banks)
    if not widths or width > _UP * widths[-1]:
        return np.full(len(bits), math.inf)
    if width in widths:
        return np.exp(_log_area(width, bits, bits, ports, banks))
    at = min(max(sum(w < width for w in widths), 1), len(widths) - 1)
    one, other = widths[at - 1], widths[at]
    share = math.log(width / one) / math.log(other / one)
    # as many rows, not as many bits
    low, high = (_log_area(w, bits * w / width, bits, ports, banks) for w in (one, other))
    with np.errstate(invalid="ignore"):
        blended = low + (high - low) * share
    return np.exp(np.where(np.isinf(low) | np.isinf(high), math.inf, blended))


@cache
def _widths(ports: int, banks: int) -> tuple[int, ...]:
    return tuple(sorted(cacti.area_runs(ports, banks, _NODE_NM)))


@cache
def _run(width: int, ports: int, banks: int) -> tuple[Floats, Floats]:
    """Return the sizes in bits and the areas of one width."""
    sizes, areas = np.array(cacti.area_runs(ports, banks, _NODE_NM)[width], np.float64).T
    return sizes, areas


def _log_area(width: int, bits: Floats, asked: Floats, ports: int, banks: int) -> Floats:
    """Return logarithms of areas of one width; infinite where what is asked for is beyond it."""
    sizes, areas = _run(width, ports, banks)
    beyond = (asked < sizes[0] / _DOWN) | (asked > sizes[-1] * _UP)
    x, grid, logs = np.log(bits), np.log(sizes), np.log(areas)
    at = np.clip(np.searchsorted(grid, x, side="right"), 1, len(grid) - 1) - 1
    slope = np.diff(logs) / np.diff(grid)
    return np.where(beyond, math.inf, logs[at] + slope[at] * (x - grid[at]))
