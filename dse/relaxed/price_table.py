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

from dse.components.chain import EnergyChain
from dse.domain.architecture import Architecture
from dse.domain.expression import Expression
from dse.errors import SpecError
from dse.numeric import Floats
from dse.relaxed.interpolate import Corners, PriceTables, interpolate
from dse.relaxed.prices import COLUMNS, LEAK, MAC, READ, PriceList, price_list
from dse.space.template import ArchTemplate
from dse.space.variable import Variable

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
        tables = [self._table(names, rows) for names, rows in self._groups().items()]
        middle = self._price({})
        if middle is not None and not _takes_energy(price_list([middle])[0]):
            raise SpecError(
                f"template '{template.name}': by energy chain '{chain.name}' nothing takes energy, "
                "and 0 has no logarithm to descend; expected a search without gradients"
            )
        self._tables = _joined(tables, len(template.level_names) + 1)
        most = max(len(table.axes) for table in tables)
        self._corners = Corners(np.zeros(most, np.int64), np.zeros(most), np.zeros(most))

    def __call__(self, log_values: Floats) -> tuple[PriceList, Floats]:
        """Return the price lists of H pieces of hardware, and their derivatives.

        Args:
            log_values: ``(H, V)`` logarithms of the variables; beyond their ranges the prices
                are those of the end.

        Returns:
            ``(H, L + 1, 11)``, and ``(H, L + 1, 11, V)`` by the logarithms.
        """
        shape = (len(log_values), *self._tables.in_log.shape)
        prices, slopes = np.empty(shape), np.empty((*shape, len(self._variables)))
        interpolate(self._tables, log_values, self._corners, prices, slopes)
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
        in_log: npt.NDArray[np.bool_] = np.asarray((flat > 0).all(axis=0))
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


def _takes_energy(prices: PriceList) -> bool:
    return bool(prices[:-1, READ : LEAK + 1].any() or prices[-1, MAC])


def _joined(tables: Sequence[_Table], rows: int) -> PriceTables:
    """Lay tables out one behind the other."""
    axes = [axis for table in tables for axis in table.axes]
    strides: list[int] = []
    for table in tables:
        sizes = table.value.shape
        strides += [int(np.prod(sizes[k + 1 :])) for k in range(len(table.axes))]
    in_log = np.zeros((rows, COLUMNS), np.bool_)
    for table in tables:
        in_log[list(table.rows)] = table.in_log
    return PriceTables(
        first_axis=_starts([len(table.axes) for table in tables]),
        variable=np.array([v for v, _ in axes], np.int64),
        first_grid=_starts([len(grid) for _, grid in axes]),
        grid=np.concatenate([np.zeros(0), *(grid for _, grid in axes)]),
        stride=np.array(strides, np.int64),
        first_row=_starts([len(table.rows) for table in tables]),
        row=np.array([row for table in tables for row in table.rows], np.int64),
        first_value=_starts([table.value.size for table in tables]),
        value=np.concatenate([table.value.reshape(-1) for table in tables]),
        in_log=in_log,
    )


def _starts(lengths: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _grid(variable: Variable, most: int) -> list[int]:
    """Return up to ``most`` legal values, evenly spread in their logarithms, with both ends."""
    if variable.count <= most:
        return [variable.value_at(i) for i in range(variable.count)]
    wanted = np.geomspace(max(variable.minimum, _LEAST), variable.maximum, most)
    if variable.values:
        legal = np.array(variable.values, np.float64)
        nearest = np.abs(legal[None, :] - wanted[:, None]).argmin(axis=1)
    else:  # a range may have too many values to be listed
        steps = (wanted - variable.minimum) / variable.step
        nearest = np.clip(np.ceil(steps - 0.5), 0, variable.count - 1).astype(np.int64)
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
