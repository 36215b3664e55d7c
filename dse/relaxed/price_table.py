"""Price lists of real-valued hardware, with derivatives: interpolated between legal values.

Any energy chain that follows sizes can be differentiated so. Levels that depend on the same
variables are priced on a grid of their legal values; between its points the logarithm of every
price is linear in the logarithm of each variable (the price itself where it is somewhere 0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.architecture import Architecture
from dse.components.chain import EnergyChain
from dse.errors import SpecError
from dse.expression import Expression
from dse.relaxed.prices import COLUMNS, PriceList, price_list
from dse.template import ArchTemplate
from dse.variable import Variable

Floats = npt.NDArray[np.float64]

#: Grid points of a table at most, over all its variables.
_MOST_POINTS = 1100
#: Stands for a bandwidth without a limit.
_UNLIMITED = 1e30
#: Stands for a value of 0, which has no logarithm.
_LEAST = 1e-9


@dataclass(frozen=True)
class _Table:
    """Rows of price lists on a grid.

    Attributes:
        rows: which rows of the price list.
        axes: for each variable, its place among all and the logarithms of its grid values.
        value: ``(G1, .., Gk, R, C)`` prices, or their logarithms.
        in_log: ``(R, C)`` which prices are kept as logarithms.
    """

    rows: tuple[int, ...]
    axes: tuple[tuple[int, Floats], ...]
    value: Floats
    in_log: npt.NDArray[np.bool_]


class PriceTable:
    """Price lists as a function of the logarithms of variables.

    Args:
        template: the template.
        chain: prices its architectures.
        variables: V variables that vary.
        base: values of all the others.

    Raises:
        SpecError: the chain prices none of the hardware.
    """

    def __init__(
        self,
        template: ArchTemplate,
        chain: EnergyChain,
        variables: Sequence[Variable],
        base: Mapping[str, int],
    ) -> None:
        self._template = template
        self._chain = chain
        self._variables = tuple(variables)
        self._middle = {v.name: v.value_at(v.count // 2) for v in variables} | {
            name: value for name, value in base.items() if name not in {v.name for v in variables}
        }
        self._tables = [self._table(names, rows) for names, rows in self._groups().items()]
        self._levels = len(template.level_names)

    def __call__(self, log_values: Floats) -> tuple[PriceList, Floats]:
        """Return the price lists of H pieces of hardware, and their derivatives.

        Args:
            log_values: ``(H, V)`` logarithms of the variables; beyond their ranges the prices
                are those of the end.

        Returns:
            ``(H, L + 1, 11)``, and ``(H, L + 1, 11, V)`` by the logarithms.
        """
        shape = (len(log_values), self._levels + 1, COLUMNS)
        prices, slopes = np.empty(shape), np.zeros((*shape, len(self._variables)))
        for table in self._tables:
            value, parts = _interpolated(table, log_values)
            value = np.where(table.in_log, np.exp(np.where(table.in_log, value, 0.0)), value)
            rows = list(table.rows)
            prices[:, rows] = value
            for (v, _), part in zip(table.axes, parts, strict=True):
                slopes[..., v][:, rows] = np.where(table.in_log, part * value, part)
        return prices, slopes

    def _groups(self) -> dict[tuple[str, ...], tuple[int, ...]]:
        """Return the rows of the price list by the variables that they depend on."""
        spec = self._template.spec
        shared = _names(spec.technology) if spec.technology is not None else set()
        rows = [*reversed(spec.storage), spec.compute]
        known = [v.name for v in self._variables]
        groups: dict[tuple[str, ...], tuple[int, ...]] = {}
        for number, row in enumerate(rows):
            mentioned = _names(row) | shared
            key = tuple(name for name in known if name in mentioned)
            groups[key] = (*groups.get(key, ()), number)
        return groups

    def _table(self, names: tuple[str, ...], rows: tuple[int, ...]) -> _Table:
        place = {v.name: i for i, v in enumerate(self._variables)}
        chosen = [self._variables[place[name]] for name in names]
        most = int(_MOST_POINTS ** (1 / len(chosen))) if chosen else 1
        grids = [_grid(v, most) for v in chosen]
        found: list[Floats | None] = []
        for point in product(*grids):
            priced = self._price(dict(zip(names, point, strict=True)))
            found.append(None if priced is None else _finite(price_list([priced])[0][list(rows)]))
        if all(row is None for row in found):
            raise SpecError(
                f"template '{self._template.name}': energy chain '{self._chain.name}' prices no "
                "hardware of it"
            )
        value = _filled(found).reshape(*(len(g) for g in grids), len(rows), COLUMNS)
        flat = value.reshape(-1, len(rows), COLUMNS)
        in_log = (flat > 0).all(axis=0)
        axes = tuple(
            (place[v.name], np.log(np.maximum(g, _LEAST)))
            for v, g in zip(chosen, grids, strict=True)
        )
        kept = np.where(in_log, np.log(np.where(in_log, value, 1.0)), value)
        return _Table(rows, axes, kept, in_log)

    def _price(self, values: Mapping[str, int]) -> Architecture | None:
        """Return priced hardware, whatever the budget says; None where there is no price."""
        try:
            return self._chain.price(self._template.tree({**self._middle, **values}))
        except SpecError:
            return None


def _interpolated(table: _Table, log_values: Floats) -> tuple[Floats, list[Floats]]:
    """Interpolate multilinearly: ``(H, R, C)``, and the derivative by each axis."""
    lows, shares, widths = [], [], []
    for v, grid in table.axes:
        x = np.clip(log_values[:, v], grid[0], grid[-1])
        low = np.clip(np.searchsorted(grid, x, side="right") - 1, 0, max(len(grid) - 2, 0))
        width = grid[np.minimum(low + 1, len(grid) - 1)] - grid[low]
        lows.append(low)
        widths.append(np.where(width > 0, width, 1.0))
        shares.append((x - grid[low]) / widths[-1])
    count = len(log_values)
    total: Any = 0.0
    parts: list[Any] = [0.0] * len(table.axes)
    for corner in product((0, 1), repeat=len(table.axes)):
        where = tuple(
            np.minimum(low + up, len(grid) - 1)
            for low, up, (_, grid) in zip(lows, corner, table.axes, strict=True)
        )
        at = (
            table.value[where]
            if where
            else np.broadcast_to(table.value, (count, *table.value.shape))
        )
        sides = [share if up else 1.0 - share for share, up in zip(shares, corner, strict=True)]
        total = total + _times(sides, count) * at
        for axis, up in enumerate(corner):
            others = [side for k, side in enumerate(sides) if k != axis]
            sign = (1.0 if up else -1.0) / widths[axis]
            parts[axis] = parts[axis] + _times([*others, sign], count) * at
    for axis, (v, grid) in enumerate(table.axes):
        outside = (log_values[:, v] < grid[0]) | (log_values[:, v] > grid[-1])
        parts[axis] = np.where(outside[:, None, None], 0.0, parts[axis])
    return total, parts


def _times(factors: Sequence[Floats], count: int) -> Floats:
    result = np.ones(count)
    for factor in factors:
        result = result * factor
    return result[:, None, None]


def _grid(variable: Variable, most: int) -> list[int]:
    """Return up to ``most`` legal values, evenly spread in their logarithms; both ends are there."""
    if variable.count <= most:
        return [variable.value_at(i) for i in range(variable.count)]
    legal = np.array([variable.value_at(i) for i in range(variable.count)], np.float64)
    wanted = np.geomspace(max(legal[0], _LEAST), legal[-1], most)
    nearest = np.abs(legal[None, :] - wanted[:, None]).argmin(axis=1)
    return [variable.value_at(int(i)) for i in np.unique(nearest)]


def _filled(found: Sequence[Floats | None]) -> Floats:
    """Stack rows; where there is none, the nearest one in the list stands in."""
    there = np.array([i for i, row in enumerate(found) if row is not None])
    rows = []
    for i, row in enumerate(found):
        near = row if row is not None else found[int(there[np.abs(there - i).argmin()])]
        rows.append(near)
    return np.array(rows)


def _finite(rows: Floats) -> Floats:
    return np.where(np.isfinite(rows), rows, _UNLIMITED)


def _names(part: Any) -> set[str]:  # noqa: ANN401 - a part of a template's file
    """Return the variables that a level, the compute or the technology mentions."""
    return {name for expression in _expressions(part) for name in expression.names}


def _expressions(part: Any) -> Iterator[Expression]:  # noqa: ANN401
    for _, value in part:
        if isinstance(value, Expression):
            yield value
