"""What any of some hardware lets mappings do: the union of its constraints.

Where dimensions that run in space are a design variable, mappings of one hardware are none of
another's. The union admits those of each: every dimension that may run along an axis on some
hardware may, as far as it may on any, and loops have an order only where all hardware agrees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dse.domain.constraints import LevelConstraint, LoopConstraint, SpatialConstraint
from dse.space.rules import Names, Resolver
from dse.space.schema import LevelSpec, SpatialSpec, TemporalSpec

#: The least and the most that arithmetic comes to on some hardware.
Range = tuple[float, float]


@dataclass(frozen=True)
class Choice:
    """What a level's variables with choices stand for, by name, in one of several ways."""

    meanings: Mapping[str, Names]

    def names(self, listed: Names | None) -> Names | None:
        """Return the dimensions that a list names."""
        return Resolver({}, self.meanings).names(listed)

    def dimensions(self, name: str) -> Names:
        """Return the dimensions that a name stands for."""
        return self.meanings.get(name, (name,))


def union_of(
    spec: LevelSpec,
    choices: Sequence[Choice],
    ranges: Mapping[str, Range],
    less_parallel: float,
) -> LevelConstraint:
    """Return what any of some hardware lets mappings do at a level.

    Args:
        spec: of the level.
        choices: all that its variables with choices stand for together.
        ranges: of the constraints' arithmetic, by ``KIND.TABLE.NAME``.
        less_parallel: the fewest MACs of this hardware over the MACs of the corner.
    """
    own = spec.constraints
    temporal = _loops(own.temporal, "temporal", choices, ranges)
    spatial = _loops(own.spatial, "spatial", choices, ranges)
    axes: dict[str, Any] = {
        axis: _joined(c.names(getattr(own.spatial, axis)) for c in choices) for axis in "xy"
    }
    most = tuple(_most_along(own.spatial, axis, choices) for axis in "xy")
    return LevelConstraint(
        keep=own.keep,
        bypass=own.bypass,
        temporal=LoopConstraint(**temporal),
        spatial=SpatialConstraint(**spatial, **axes, most_along=(most[0], most[1])),
        no_temporal_reuse=own.no_temporal_reuse,
        no_multicast=own.no_multicast,
        no_link_transfer=own.no_link_transfer,
        min_parallelism=own.min_parallelism * less_parallel,
        onchip=own.onchip,
    )


def _most_along(spec: SpatialSpec, axis: str, choices: Sequence[Choice]) -> int | None:
    """Return how many dimensions may run along an axis at a time; None: as many as there are."""
    listed = [c.names(getattr(spec, axis)) for c in choices]
    known = [len(names) for names in listed if names is not None]
    return max(known) if len(known) == len(listed) else None


def _joined(lists: Iterable[Names | None]) -> Names | None:
    """Return all names of lists, each once; None: one of them is all there are."""
    some = list(lists)
    if any(names is None for names in some):
        return None
    return tuple(dict.fromkeys(name for names in some for name in names or ()))


def _same(lists: Iterable[Names | None]) -> Names | None:
    """Return the list that all are; None where they differ."""
    some = list(dict.fromkeys(lists))
    return some[0] if len(some) == 1 else None


def _loops(
    spec: TemporalSpec, kind: str, choices: Sequence[Choice], ranges: Mapping[str, Range]
) -> dict[str, Any]:
    """Return the arguments of a loop constraint that admits what any choice admits."""

    def table(name: str, high: bool) -> list[dict[str, float]]:
        tables = []
        for choice in choices:
            found: dict[str, float] = {}
            for key in getattr(spec, name):
                value = ranges[f"{kind}.{name}.{key}"][int(high)]
                for dimension in choice.dimensions(key):
                    found[dimension] = found.get(dimension, 1.0) * value
            tables.append(found)
        return tables

    dimensions = [choice.names(spec.dimensions) for choice in choices]
    low, high = table("factors", high=False), table("factors", high=True)
    fixed = {d: int(n) for d, n in low[0].items() if all(one.get(d) == n for one in (*low, *high))}
    loose = {d for one in low for d in one if d not in fixed}
    allowed = _joined(dimensions)
    if allowed is not None:
        # a factor that is fixed, is so whether or not the dimension is allowed
        allowed = tuple(dict.fromkeys((*allowed, *sorted(loose))))
    return {
        "dimensions": allowed,
        "factors": fixed,
        "max_factors": _most(table("max_factors", high=True), dimensions, low),
        "min_factors": _least(table("min_factors", high=False)),
        "permutation": _same(choice.names(spec.permutation) for choice in choices),
        "suffix": _same(choice.names(spec.suffix) for choice in choices) or (),
    }


def _most(
    tables: Sequence[Mapping[str, float]],
    dimensions: Sequence[Names | None],
    factors: Sequence[Mapping[str, float]],
) -> dict[str, int]:
    """Return the largest limit of each dimension; none where some choice leaves it unlimited."""
    found = {}
    for d in dict.fromkeys(name for one in tables for name in one):
        most = 1.0
        for own, allowed, fixed in zip(tables, dimensions, factors, strict=True):
            barred = allowed is not None and d not in allowed and d not in fixed
            most = max(most, own.get(d, 1.0 if barred else float("inf")))
        if most < 2**62:
            found[d] = int(most)
    return found


def _least(tables: Sequence[Mapping[str, float]]) -> dict[str, int]:
    """Return the smallest limit of each dimension that every choice has one of."""
    shared = [d for d in tables[0] if all(d in one for one in tables)]
    return {d: int(min(one[d] for one in tables)) for d in shared}
