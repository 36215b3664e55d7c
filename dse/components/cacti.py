"""SRAM from a table of CACTI 7 runs: exact on its grid, interpolated off it.

The runs are RAM, itrs-lstp cells and periphery, 300 K, access mode "fast", optimised for leakage,
at 22, 32, 40, 45, 65 and 90 nm. Between grid points the logarithm of each quantity is linear in
the logarithms of rows and width: neighbours in width have as many rows, not as many bits, which
CACTI divides more alike. :func:`sram` is CACTI at one of these nodes; :func:`scaled_sram` adds the
rules of Accelergy 0.4's wrapper: any node, narrow words, few rows.
"""

from __future__ import annotations

import csv
import gzip
import math
from bisect import bisect_right
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from dse.errors import SpecError
from dse.numeric import Floats, Ints

#: How far beyond the table's ends it is extrapolated, as a ratio of sizes (or widths).
_REACH_BELOW = 4.0
_REACH_ABOVE = 2.0
_MIN_WIDTH_BITS = 32
_MIN_ROWS = 64
#: Nodes that Accelergy's wrapper runs CACTI at; 40 nm was run for the older wrapper.
_WRAPPER_NODES_NM = (22, 32, 45, 65, 90)


class Sram(NamedTuple):
    """One SRAM: pJ per access of a row, leakage in mW and area in um^2 of all its banks."""

    read_pj: float
    write_pj: float
    leak_mw: float
    area_um2: float


_Quantities = tuple[float, ...]
_Curve = list[tuple[int, _Quantities]]


@cache
def _table(node_nm: int) -> dict[tuple[int, int], dict[int, _Curve]]:
    """Per (ports, banks) and width: ``(bits, values)`` by growing size; of all rows of a node."""
    table: dict[tuple[int, int], dict[int, _Curve]] = {}
    raw = files("dse.components").joinpath("cacti_runs.csv.gz").read_bytes()
    header, *rows = gzip.decompress(raw).decode().splitlines()
    own = f"{node_nm},"
    for row in csv.DictReader([header, *(row for row in rows if row.startswith(own))]):
        key = int(row["ports"]), int(row["banks"])
        width = int(row["width_bits"])
        leak_mw = float(row["leak_per_bank_mw"]) * key[1]
        values = (float(row["read_pj"]), float(row["write_pj"]), leak_mw, float(row["area_um2"]))
        bits = width * int(row["depth_rows"])
        table.setdefault(key, {}).setdefault(width, []).append((bits, values))
    for curves in table.values():
        for curve in curves.values():
            curve.sort()
    return table


def scaled_sram(width_bits: int, depth_rows: int, ports: int, banks: int, node_nm: float) -> Sram:
    """Return the SRAM at any node, as Accelergy 0.4 prices it.

    Words narrower than 32 bits and fewer than 64 rows per bank are a share of the smallest SRAM
    that CACTI knows; banks are rounded up to a power of two, but only those asked for leak; between
    the nodes of the runs every quantity is linear in nm; beyond them it is scaled.

    Args:
        width_bits: of a row, the unit of access.
        depth_rows: rows over all banks.
        ports: read/write ports.
        banks: of which one is accessed at a time.
        node_nm: technology node.

    Raises:
        SpecError: the table does not reach that far.
    """
    if min(width_bits, depth_rows, ports, banks) < 1 or not node_nm > 0:
        raise SpecError(
            f"SRAM of {depth_rows} rows x {width_bits} bits, {ports} ports, {banks} banks at "
            f"{node_nm:g} nm: expected positive numbers"
        )
    width = max(-(-width_bits // 8) * 8, _MIN_WIDTH_BITS)
    depth = max(depth_rows, _MIN_ROWS * banks)
    made_banks = 1 << (banks - 1).bit_length()
    lower, upper, share = _nodes(node_nm)
    low = sram(width, depth, ports, made_banks, lower)
    high = sram(width, depth, ports, made_banks, upper)
    read_pj, write_pj, leak_mw, area_um2 = (
        a + (b - a) * share for a, b in zip(low, high, strict=True)
    )
    part_width, part_depth = width_bits / width, depth_rows / depth
    dynamic = (0.7 * part_width + 0.3) * part_depth**0.78
    static = part_width * part_depth
    energy_scale, leak_scale, area_scale = _beyond(node_nm)
    return Sram(
        read_pj * dynamic * energy_scale,
        write_pj * dynamic * energy_scale,
        leak_mw * static * leak_scale * banks / made_banks,
        area_um2 * static * area_scale,
    )


def _nodes(node_nm: float) -> tuple[int, int, float]:
    """Return the nodes around ``node_nm`` and how far between them it lies, 0 to 1."""
    nodes = _WRAPPER_NODES_NM
    inside = min(max(node_nm, nodes[0]), nodes[-1])
    upper = min(bisect_right(nodes, inside), len(nodes) - 1)
    low, high = nodes[upper - 1], nodes[upper]
    share = (inside - low) / (high - low)
    if share == 0:
        return low, low, 0.0
    return (high, high, 0.0) if share == 1 else (low, high, share)


def _beyond(node_nm: float) -> tuple[float, float, float]:
    """Return factors of energy, leakage and area outside the nodes of the runs."""
    first, last = _WRAPPER_NODES_NM[0], _WRAPPER_NODES_NM[-1]
    if node_nm < first:
        root = math.sqrt(node_nm / first)
        return root, 0.79 * root, node_nm / first
    if node_nm > last:
        return ((node_nm / last) ** 2,) * 3
    return 1.0, 1.0, 1.0


def sram(
    width_bits: int, depth_rows: int, ports: int = 1, banks: int = 1, node_nm: int = 40
) -> Sram:
    """Return what CACTI says of that many rows over all banks, at a node of the table.

    A row below 32 bits counts as 32 bits of as many bits in total, and fewer than 64 rows count
    as 64: CACTI knows nothing smaller.

    Raises:
        SpecError: the table has no such node, ports, banks, width or size.
    """
    curves = _table(node_nm).get((ports, banks))
    if curves is None:
        known = ", ".join(f"{p}/{b}" for p, b in sorted(_table(node_nm)))
        raise SpecError(
            f"SRAM with {ports} ports / {banks} banks at {node_nm} nm: the table has "
            f"{known or 'no such node'}"
        )
    width = max(width_bits, _MIN_WIDTH_BITS)
    bits = max(width_bits * depth_rows, width * _MIN_ROWS)
    widths = sorted(curves)
    if width > _REACH_ABOVE * widths[-1]:
        raise SpecError(f"SRAM of {width_bits} bits per row: the table ends at {widths[-1]} bits")
    if width in curves:
        _check_reach(curves[width], bits)
        return Sram(*_along(curves[width], bits))
    left, right = _bracket(widths, width)
    for neighbour in (left, right):
        _check_reach(curves[neighbour], bits)
    share = math.log(width / left) / math.log(right / left)
    low, high = (_along(curves[w], bits * w / width) for w in (left, right))
    return Sram(*_blend(low, high, share))


def area_runs(ports: int, banks: int, node_nm: int) -> dict[int, list[tuple[int, float]]]:
    """Return the runs as they stand in the table: by bits of a row, total bits and area in um^2.

    Sizes grow; empty where the table has no such node, ports or banks. For those who interpolate
    by themselves, to check what is done here.
    """
    curves = _table(node_nm).get((ports, banks), {})
    return {
        width: [(bits, values[-1]) for bits, values in curve] for width, curve in curves.items()
    }


def areas_um2(width_bits: int, depth_rows: Ints, ports: int, banks: int, node_nm: int) -> Floats:
    """Return the areas of :func:`sram` at many depths, ``(V,)``; NaN where it raises.

    They differ from its own by rounding.
    """
    curves = _table(node_nm).get((ports, banks), {})
    width = max(width_bits, _MIN_WIDTH_BITS)
    bits = np.maximum(width_bits * depth_rows.astype(np.float64), width * _MIN_ROWS)
    if not curves or width > _REACH_ABOVE * max(curves):
        return np.full(len(bits), np.nan)
    if width in curves:
        return _areas_along(curves[width], bits, bits)
    left, right = _bracket(sorted(curves), width)
    share = math.log(width / left) / math.log(right / left)
    low, high = (_areas_along(curves[w], bits * w / width, bits) for w in (left, right))
    return np.asarray(low * (high / low) ** share)


def _areas_along(curve: _Curve, bits: Floats, checked: Floats) -> Floats:
    """Interpolate one width's areas at these sizes; NaN where the others are beyond its reach."""
    sizes = np.array([size for size, _ in curve], np.float64)
    areas = np.array([values[-1] for _, values in curve])
    upper = np.clip(np.searchsorted(sizes, bits, side="right"), 1, len(sizes) - 1)
    low, high = upper - 1, upper
    share = np.log(bits / sizes[low]) / np.log(sizes[high] / sizes[low])
    inside = (sizes[0] / _REACH_BELOW <= checked) & (checked <= sizes[-1] * _REACH_ABOVE)
    return np.where(inside, areas[low] * (areas[high] / areas[low]) ** share, np.nan)


def _check_reach(curve: _Curve, bits: int) -> None:
    """Raise SpecError when that size is too far beyond a width's curve."""
    sizes = [size for size, _ in curve]
    if not sizes[0] / _REACH_BELOW <= bits <= sizes[-1] * _REACH_ABOVE:
        raise SpecError(
            f"SRAM of {bits / 8192:g} KB: at this width the table reaches from "
            f"{sizes[0] / 8192:g} to {sizes[-1] / 8192:g} KB"
        )


def _along(curve: _Curve, bits: float) -> _Quantities:
    """Interpolate one width's curve at that size."""
    by_size = dict(curve)
    if bits in by_size:
        return by_size[int(bits)]
    sizes = [size for size, _ in curve]
    low, high = _bracket(sizes, bits)
    share = math.log(bits / low) / math.log(high / low)
    return _blend(by_size[low], by_size[high], share)


def _bracket(grid: list[int], x: float) -> tuple[int, int]:
    """Return the neighbours of ``x``, or the two grid points at the end beyond which it lies."""
    upper = min(max(bisect_right(grid, x), 1), len(grid) - 1)
    return grid[upper - 1], grid[upper]


def _blend(low: _Quantities, high: _Quantities, share: float) -> _Quantities:
    return tuple(a * (b / a) ** share for a, b in zip(low, high, strict=True))
