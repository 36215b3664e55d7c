"""How sensitive a design is: each variable a step smaller and larger, the mappings as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dse.domain.architecture import Architecture
from dse.errors import SpecError
from dse.explain.changes import Remapper, Worth, worths_on
from dse.explain.layer import ExplainedLayer
from dse.space.search_space import SearchSpace
from dse.space.variable import Variable


@dataclass(frozen=True)
class Neighbour:
    """A design that differs in the value of one variable.

    Attributes:
        variable: which one.
        before, after: its values, as people write them.
        area_um2: None where there is no such hardware.
        as_mapped: with the mappings as they are; None: some do not fit, or there is no hardware.
        mapped_again: with the better of these and new ones; None: none was asked for, or found.
        reason: why not.
    """

    variable: str
    before: str
    after: str
    area_um2: float | None
    as_mapped: Worth | None
    mapped_again: Worth | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "variable": self.variable,
            "before": self.before,
            "after": self.after,
            "area_um2": self.area_um2,
            "as_mapped": self.as_mapped.as_dict() if self.as_mapped else None,
            "mapped_again": self.mapped_again.as_dict() if self.mapped_again else None,
            **({"reason": self.reason} if self.reason else {}),
        }


def neighbours(
    space: SearchSpace,
    values: Mapping[str, int],
    layers: Sequence[ExplainedLayer],
    remapper: Remapper | None = None,
) -> list[Neighbour]:
    """Return the neighbours of a design in its space.

    Values that are drawn as powers of two have the next power as neighbour. Choices have none:
    they have no order, and mappings hang on them.

    Args:
        space: what was searched.
        values: of all variables.
        layers: the design's.
        remapper: also maps the layers anew.
    """
    found: list[Neighbour] = []
    built: list[tuple[int, Neighbour, Architecture]] = []
    for variable in space.free:
        value = values[variable.name]
        for other in _around(variable, value):
            told = variable.name, variable.label(value), variable.label(other)
            try:
                architecture = space.architecture({**values, variable.name: other})
            except SpecError as error:
                found.append(Neighbour(*told, None, None, None, str(error)))
                continue
            place = len(found) + len(built)
            built.append((place, Neighbour(*told, architecture.area_um2, None), architecture))
    if built:
        worths = worths_on(layers, [architecture for *_, architecture in built], remapper)
        for (place, one, _), (kept, again, reason) in zip(built, worths, strict=True):
            found.insert(place, replace(one, as_mapped=kept, mapped_again=again, reason=reason))
    return found


def _around(variable: Variable, value: int) -> list[int]:
    """Return the values next to one; none of choices."""
    if variable.choices:
        return []
    if variable.sampling == "powers_of_two":
        return [n for n in (value // 2, 2 * value) if variable.minimum <= n <= variable.maximum]
    at = variable.index_of(value)
    return [variable.value_at(i) for i in (at - 1, at + 1) if 0 <= i < variable.count]
