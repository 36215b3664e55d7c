"""How sensitive a design is: each variable a step smaller and larger, the mappings as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dse.domain.architecture import Architecture
from dse.errors import SpecError
from dse.explain.changes import HardwareOutcome, Remapper, outcomes_on
from dse.explain.layer import ExplainedLayer
from dse.space.search_space import SearchSpace
from dse.space.variable import Variable


@dataclass(frozen=True)
class Neighbour(HardwareOutcome):
    """A design that differs in the value of one variable.

    Attributes:
        variable: which one.
        before, after: its values, as people write them.
    """

    variable: str
    before: str
    after: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        told = {"variable": self.variable, "before": self.before, "after": self.after}
        return {**told, **super().as_dict()}


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
    built: list[tuple[int, tuple[str, str, str], Architecture]] = []
    for variable in space.free:
        value = values[variable.name]
        for other in _around(variable, value):
            told = variable.name, variable.label(value), variable.label(other)
            try:
                architecture = space.architecture({**values, variable.name: other})
            except SpecError as error:
                found.append(Neighbour(*told, reason=str(error)))
                continue
            built.append((len(found) + len(built), told, architecture))
    if built:
        outcomes = outcomes_on(layers, [architecture for *_, architecture in built], remapper)
        for (place, told, _), one in zip(built, outcomes, strict=True):
            found.insert(place, Neighbour(*told, **vars(one)))
    return found


def _around(variable: Variable, value: int) -> list[int]:
    """Return the values next to one; none of choices."""
    if variable.choices:
        return []
    if variable.sampling == "powers_of_two":
        return [n for n in (value // 2, 2 * value) if variable.minimum <= n <= variable.maximum]
    at = variable.index_of(value)
    return [variable.value_at(i) for i in (at - 1, at + 1) if 0 <= i < variable.count]
