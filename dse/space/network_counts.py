"""How many networks a space holds, and the least and most MACs among them, exactly.

Neither goes through the networks: there may be 1e19. Numbers of networks multiply over groups of
variables that no condition ties; MACs are a sum of terms of few variables each, whose least value
is found by eliminating one variable after the other (Bertele and Brioschi, 1972).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from dse.domain.expression import Expression
from dse.domain.problem import LARGEST
from dse.errors import SpecError
from dse.numeric import Floats
from dse.space.network_space import LayerRow, NetworkSpace
from dse.space.network_spec import PREFIX

#: Combinations of values that are gone through, or kept in a table.
_MOST = 4_000_000

#: The numbers that each variable may be.
_Numbers = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class SpaceSize:
    """The size of a space of networks.

    Attributes:
        networks: how many there are.
        least_macs, most_macs: of one image; of the networks with the least and the most.
    """

    networks: int
    least_macs: int
    most_macs: int


def size_of(space: NetworkSpace, *, whole: bool = False) -> SpaceSize:
    """Return the size of a space.

    Args:
        space: of networks.
        whole: also of what is fixed; else the networks that are left.

    Raises:
        SpecError: conditions tie, or layers depend on, too many variables at once.
    """
    numbers = {
        v.name.removeprefix(PREFIX): _numbers(space, v.name.removeprefix(PREFIX), whole)
        for v in space.variables
    }
    terms = [_term(space, row, numbers) for row in space.rows]
    least, most = (int(_extreme(terms, pick)) for pick in (np.min, np.max))
    return SpaceSize(_count(space, numbers), least, most)


def _numbers(space: NetworkSpace, name: str, whole: bool) -> tuple[float, ...]:
    """Return the numbers that a variable may be, one where it is fixed."""
    every = space.numbers_of(name)
    if whole or PREFIX + name not in space.fixed:
        return every
    value = space.fixed[PREFIX + name]
    variable = next(v for v in space.variables if v.name == PREFIX + name)
    return (every[value] if variable.choices else float(value),)


def _count(space: NetworkSpace, numbers: _Numbers) -> int:
    """Return the number of networks that differ."""
    conditions: dict[str, list[LayerRow]] = {}
    always: set[str] = set()
    for row in space.rows:
        always |= row.controls
        for name in row.names:
            if row.when is None:
                always.add(name)
            conditions.setdefault(name, []).append(row)
    names = [v.name.removeprefix(PREFIX) for v in space.variables]
    free = [name for name in names if name not in always]
    total = math.prod(len(numbers[name]) for name in names if name in always)
    # what is not always there multiplies the networks under the values that bring it
    for group in _tied(free, conditions):
        controls = sorted({c for name in group for row in conditions[name] for c in row.controls})
        ways = math.prod(len(numbers[name]) for name in controls)
        if ways > _MOST:
            raise SpecError(f"workload '{space.name}': conditions tie {', '.join(controls)}")
        total //= ways
        found = 0
        for values in product(*(numbers[name] for name in controls)):
            given = dict(zip(controls, values, strict=True))
            found += math.prod(
                len(numbers[name])
                for name in group
                if any(row.when is None or row.when.holds(given) for row in conditions[name])
            )
        total *= found
    return total


def _tied(free: list[str], conditions: dict[str, list[LayerRow]]) -> list[list[str]]:
    """Return groups of variables whose conditions mention the same variables."""
    groups: list[tuple[set[str], list[str]]] = []
    for name in free:
        mentions = {c for row in conditions[name] for c in row.controls}
        own = (set(mentions), [name])
        for other in [g for g in groups if g[0] & mentions]:
            groups.remove(other)
            own = (own[0] | other[0], other[1] + own[1])
        groups.append(own)
    return [names for _, names in groups]


@dataclass(frozen=True)
class _MacTable:
    """A table of MACs over some variables: one axis each, in order."""

    scope: tuple[str, ...]
    table: Floats


def _term(space: NetworkSpace, row: LayerRow, numbers: _Numbers) -> _MacTable:
    """Return the MACs of one layer of the file for all numbers that they depend on."""
    scope = (*row.names, *sorted(row.controls))
    axes = [np.array(numbers[name]) for name in scope]
    if math.prod(map(len, axes)) > _MOST:
        raise SpecError(f"{row.place}: depends on too many variables at once: {', '.join(scope)}")
    grid = np.meshgrid(*axes, indexing="ij") if axes else []
    known: dict[str, Any] = {**space.parameters, **dict(zip(scope, grid, strict=True))}
    for name, expression in space.derived.items():
        if expression.names <= known.keys():
            known[name] = expression.array(known)
    macs = _macs(space, row, known)
    if row.when is not None:
        left, right = (side.array(known) for side in (row.when.left, row.when.right))
        macs = np.where(row.when.compare(left, right), macs, 0.0)
    if not (np.all(macs >= 0) and np.all(macs <= float(LARGEST) ** 2)):
        raise SpecError(f"{row.place}: has {np.min(macs):g} MACs for some network")
    return _MacTable(scope, np.broadcast_to(macs, [len(axis) for axis in axes]))


def _macs(space: NetworkSpace, row: LayerRow, known: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the product of the bounds and the count, a number or an array."""
    result: Any = 1.0
    for key in (*space.shape_of(row).dimensions, "count"):
        given = row.content.get(key, 1)
        result = result * (Expression(given).array(known) if isinstance(given, str) else given)
    return result


def _extreme(terms: list[_MacTable], pick: Callable[..., Any]) -> float:
    """Return the least or largest sum of all terms, by eliminating their variables."""
    left = list(terms)
    while True:
        names = sorted({name for term in left for name in term.scope})
        if not names:
            return float(sum(term.table for term in left))
        joined = {name: _scope([term for term in left if name in term.scope]) for name in names}
        sizes = {name: n for term in left for name, n in zip(term.scope, term.table.shape)}  # noqa: B905
        first = min(names, key=lambda n: math.prod(sizes[other] for other in joined[n]))
        scope = joined[first]
        if math.prod(sizes[name] for name in scope) > _MOST:
            raise SpecError(f"layers depend on too many variables at once: {', '.join(scope)}")
        own = [term for term in left if first in term.scope]
        total = sum(_spread(term, scope, sizes) for term in own)
        rest = tuple(name for name in scope if name != first)
        left = [term for term in left if first not in term.scope]
        left.append(_MacTable(rest, pick(total, axis=scope.index(first))))


def _scope(terms: list[_MacTable]) -> tuple[str, ...]:
    return tuple(sorted({name for term in terms for name in term.scope}))


def _spread(term: _MacTable, scope: tuple[str, ...], sizes: dict[str, int]) -> Floats:
    """Return a term's table with an axis for each name of a scope."""
    order = sorted(range(len(term.scope)), key=lambda i: scope.index(term.scope[i]))
    table = term.table.transpose(order)
    shape = [sizes[name] if name in term.scope else 1 for name in scope]
    return table.reshape(shape)
