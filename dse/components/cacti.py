"""SRAM at 40 nm from a table of CACTI 7 runs: exact on its grid, interpolated off it.

The runs are RAM, itrs-lstp cells and periphery, 300 K, access mode "fast", optimised for leakage,
called at 40 nm directly. Between grid points the logarithm of each quantity is linear in the
logarithms of size and width; on random off-grid points that is within 3 % on average.
"""

from __future__ import annotations

import csv
import gzip
import math
from bisect import bisect_right
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from dse.errors import SpecError

#: How far beyond the table's ends it is extrapolated, as a ratio of sizes (or widths).
_REACH_BELOW = 4.0
_REACH_ABOVE = 2.0
_MIN_WIDTH_BITS = 32
_MIN_ROWS = 64


class Sram(NamedTuple):
    """One SRAM: pJ per access of a row, leakage in mW and area in um^2 of all its banks."""

    read_pj: float
    write_pj: float
    leak_mw: float
    area_um2: float


_Values = tuple[float, ...]
_Curve = list[tuple[int, _Values]]


@cache
def _table() -> dict[tuple[int, int], dict[int, _Curve]]:
    """Per (ports, banks) and width: ``(bits, values)`` by growing size."""
    table: dict[tuple[int, int], dict[int, _Curve]] = {}
    raw = files("dse.components").joinpath("cacti_40nm.csv.gz").read_bytes()
    for row in csv.DictReader(gzip.decompress(raw).decode().splitlines()):
        ports, banks, width = int(row["ports"]), int(row["banks"]), int(row["width_bits"])
        leak_mw = float(row["leak_per_bank_mw"]) * banks
        values = (float(row["read_pj"]), float(row["write_pj"]), leak_mw, float(row["area_um2"]))
        bits = width * int(row["depth_rows"])
        curve = table.setdefault((ports, banks), {}).setdefault(width, [])
        curve.append((bits, values))
    for curves in table.values():
        for curve in curves.values():
            curve.sort()
    return table


def sram(width_bits: int, depth_rows: int, ports: int = 1, banks: int = 1) -> Sram:
    """Return the SRAM of that many rows over all banks.

    A row below 32 bits counts as 32 bits of as many bits in total, and fewer than 64 rows count
    as 64: CACTI knows nothing smaller.

    Raises:
        SpecError: the table has no such ports, banks, width or size.
    """
    curves = _table().get((ports, banks))
    if curves is None:
        known = ", ".join(f"{p}/{b}" for p, b in sorted(_table()))
        raise SpecError(f"SRAM with {ports} ports / {banks} banks: the table has {known}")
    width = max(width_bits, _MIN_WIDTH_BITS)
    bits = max(width_bits * depth_rows, width * _MIN_ROWS)
    widths = sorted(curves)
    if width > _REACH_ABOVE * widths[-1]:
        raise SpecError(f"SRAM of {width_bits} bits per row: the table ends at {widths[-1]} bits")
    if width in curves:
        return Sram(*_along(curves[width], bits))
    left, right = _bracket(widths, width)
    share = math.log(width / left) / math.log(right / left)
    return Sram(*_blend(_along(curves[left], bits), _along(curves[right], bits), share))


def _along(curve: _Curve, bits: int) -> _Values:
    """Interpolate one width's curve at that size."""
    by_size = dict(curve)
    if bits in by_size:
        return by_size[bits]
    sizes = [size for size, _ in curve]
    if not sizes[0] / _REACH_BELOW <= bits <= sizes[-1] * _REACH_ABOVE:
        raise SpecError(
            f"SRAM of {bits / 8192:g} KB: at this width the table reaches from "
            f"{sizes[0] / 8192:g} to {sizes[-1] / 8192:g} KB"
        )
    low, high = _bracket(sizes, bits)
    share = math.log(bits / low) / math.log(high / low)
    return _blend(by_size[low], by_size[high], share)


def _bracket(grid: list[int], x: int) -> tuple[int, int]:
    """Return the neighbours of ``x``, or the two grid points at the end beyond which it lies."""
    upper = min(max(bisect_right(grid, x), 1), len(grid) - 1)
    return grid[upper - 1], grid[upper]


def _blend(low: _Values, high: _Values, share: float) -> _Values:
    return tuple(a * (b / a) ** share for a, b in zip(low, high, strict=True))
