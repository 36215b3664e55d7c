"""Multilinear interpolation of price tables and relaxed inference of hardware; compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inner, tiered
from dse.numeric import Floats, Ints


class PriceTables(NamedTuple):
    """Price tables, one behind the other.

    Attributes:
        first_axis: ``(N + 1,)`` each table's first axis.
        variable: ``(A,)`` the variable along an axis.
        first_grid: ``(A + 1,)`` an axis' first grid value in ``grid``.
        grid: logarithms of the variables' grid values.
        stride: ``(A,)`` distance in ``value`` of neighbours along an axis.
        first_row: ``(N + 1,)`` each table's first row in ``row``.
        row: which rows of the price list a table has.
        first_value: ``(N + 1,)`` each table's first number in ``value``.
        value: prices, or their logarithms; the columns of a row lie together.
        in_log: ``(R, C)`` which prices are kept as logarithms.
    """

    first_axis: Ints
    variable: Ints
    first_grid: Ints
    grid: Floats
    stride: Ints
    first_row: Ints
    row: Ints
    first_value: Ints
    value: Floats
    in_log: npt.NDArray[np.bool_]


class Corners(NamedTuple):
    """Scratch: where a point lies on each axis of a table."""

    low: Ints
    share: Floats
    slope: Floats  # derivative of the share by the logarithm; 0 beyond the ends


@tiered
def interpolate(
    tables: PriceTables, log_values: Floats, corners: Corners, prices: Floats, slopes: Floats
) -> None:
    """Fill ``prices (H, R, C)`` and ``slopes (H, R, C, V)`` for ``log_values (H, V)``."""
    prices[:] = 0.0
    slopes[:] = 0.0
    for h in range(log_values.shape[0]):
        for n in range(tables.first_axis.shape[0] - 1):
            _locate(tables, n, log_values[h], corners)
            _blend(tables, n, corners, prices[h], slopes[h])
        _raise(tables, prices[h], slopes[h])


@inner
def _locate(tables: PriceTables, n: int, x: Floats, corners: Corners) -> None:
    """Set the cell of table n that holds the point, and where in it the point lies."""
    first = tables.first_axis[n]
    for axis in range(first, tables.first_axis[n + 1]):
        start, stop = tables.first_grid[axis], tables.first_grid[axis + 1]
        at = x[tables.variable[axis]]
        low = np.int64(0)
        high = stop - start - 1
        while high - low > 1:
            middle = (low + high) // 2
            if tables.grid[start + middle] <= at:
                low = middle
            else:
                high = middle
        k = axis - first
        corners.low[k] = low
        corners.share[k] = 0.0
        corners.slope[k] = 0.0
        if high > low:
            width = tables.grid[start + high] - tables.grid[start + low]
            share = (at - tables.grid[start + low]) / width
            corners.share[k] = min(max(share, 0.0), 1.0)
            corners.slope[k] = 1.0 / width if 0.0 <= share <= 1.0 else 0.0


@inner
def _blend(tables: PriceTables, n: int, corners: Corners, prices: Floats, slopes: Floats) -> None:
    """Add what the corners of the cell say, each with its weight."""
    first, axes = tables.first_axis[n], tables.first_axis[n + 1] - tables.first_axis[n]
    columns = prices.shape[1]
    for corner in range(1 << axes):
        place = tables.first_value[n]
        weight = 1.0
        for k in range(axes):
            up = (corner >> k) & 1
            place += (corners.low[k] + up) * tables.stride[first + k]
            weight *= corners.share[k] if up else 1.0 - corners.share[k]
            if up and corners.share[k] == 0.0 and corners.slope[k] == 0.0:
                place -= tables.stride[first + k]
        for i in range(tables.first_row[n], tables.first_row[n + 1]):
            r = tables.row[i]
            for c in range(columns):
                prices[r, c] += weight * tables.value[place + c]
            place += columns
        for k in range(axes):
            by = corners.slope[k] if (corner >> k) & 1 else -corners.slope[k]
            for j in range(axes):
                if j != k:
                    by *= corners.share[j] if (corner >> j) & 1 else 1.0 - corners.share[j]
            if by != 0.0:
                _tilt(tables, n, corners, corner, by, tables.variable[first + k], slopes)


@inner
def _raise(tables: PriceTables, prices: Floats, slopes: Floats) -> None:
    """Make prices of those that are kept as logarithms."""
    for r in range(prices.shape[0]):
        for c in range(prices.shape[1]):
            if tables.in_log[r, c]:
                prices[r, c] = math.exp(prices[r, c])  # NumPy's is another one, interpreted
                for v in range(slopes.shape[2]):
                    slopes[r, c, v] *= prices[r, c]


@inner
def _tilt(
    tables: PriceTables, n: int, corners: Corners, corner: int, by: float, v: int, slopes: Floats
) -> None:
    """Add one corner's part of the derivative by variable v."""
    first = tables.first_axis[n]
    place = tables.first_value[n]
    for k in range(tables.first_axis[n + 1] - first):
        place += (corners.low[k] + ((corner >> k) & 1)) * tables.stride[first + k]
    for i in range(tables.first_row[n], tables.first_row[n + 1]):
        r = tables.row[i]
        for c in range(slopes.shape[1]):
            slopes[r, c, v] += by * tables.value[place + c]
        place += slopes.shape[1]


class Monomials(NamedTuple):
    """Resources as products of powers of variables.

    Attributes:
        constant: ``(J,)`` logarithms of the constants.
        power: ``(J, V)``.
        lead: ``(J,)`` the variable that grows for a resource, -1: none does.
        order: the leading variables, each after those that its resources depend on.
        low, high: ``(V,)`` logarithms of the variables' ends.
    """

    constant: Floats
    power: Floats
    lead: Ints
    order: Ints
    low: Floats
    high: Floats


@tiered
def infer(m: Monomials, log_needs: Floats, x: Floats, slopes: Floats, excess: Floats) -> None:
    """Fill the smallest hardware ``x (H, V)``, ``slopes (H, V, J)`` and ``excess (H, J)``."""
    slopes[:] = 0.0
    for h in range(log_needs.shape[0]):
        for v in range(x.shape[1]):
            x[h, v] = m.low[v]
        for j in range(log_needs.shape[1]):
            excess[h, j] = max(log_needs[h, j] - m.constant[j], 0.0)
        for v in m.order:
            _grow(m, v, log_needs[h], x[h], slopes[h], excess[h])


@inner
def _grow(
    m: Monomials, v: int, log_needs: Floats, x: Floats, slopes: Floats, excess: Floats
) -> None:
    """Make a variable as large as the resources need that it leads."""
    best = m.low[v]
    chosen = -1
    for j in range(log_needs.shape[0]):
        if m.lead[j] != v:
            continue
        wanted = log_needs[j] - m.constant[j]
        for u in range(x.shape[0]):
            if u != v:
                wanted -= m.power[j, u] * x[u]
        wanted /= m.power[j, v]
        excess[j] = max(wanted - m.high[v], 0.0) * m.power[j, v]
        if wanted > best:
            best, chosen = wanted, j
    x[v] = best
    if chosen < 0:
        return
    own = m.power[chosen, v]
    for j in range(log_needs.shape[0]):
        total = 1.0 if j == chosen else 0.0
        for u in range(x.shape[0]):
            if u != v:
                total -= m.power[chosen, u] * slopes[u, j]
        slopes[v, j] = total / own
