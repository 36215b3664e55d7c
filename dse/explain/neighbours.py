"""How sensitive a design is: each variable a step smaller and larger, the mappings as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dse.errors import SpecError
from dse.explain.changes import Worth, moved_to, worth
from dse.explain.layer import ExplainedLayer
from dse.space.search_space import SearchSpace


@dataclass(frozen=True)
class Neighbour:
    """A design that differs in the value of one variable.

    Attributes:
        variable: which one.
        before, after: its values, as people write them.
        area_um2: None where there is no such hardware.
        worth: with the mappings as they are; None: some do not fit, or there is no such hardware.
        reason: why not.
    """

    variable: str
    before: str
    after: str
    area_um2: float | None
    worth: Worth | None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found = self.worth
        return {
            "variable": self.variable,
            "before": self.before,
            "after": self.after,
            "area_um2": self.area_um2,
            "cycles": found.cycles if found else None,
            "energy_pj": found.energy_pj if found else None,
            "edp": found.edp if found else None,
            **({"reason": self.reason} if self.reason else {}),
        }


def neighbours(
    space: SearchSpace, values: Mapping[str, int], layers: Sequence[ExplainedLayer]
) -> list[Neighbour]:
    """Return the neighbours of a design in its space.

    Values that are drawn as powers of two have the next power as neighbour. Choices have none:
    they have no order, and mappings hang on them.

    Args:
        space: what was searched.
        values: of all variables.
        layers: the design's.
    """
    found = []
    for variable in space.free:
        if variable.choices:
            continue
        value = values[variable.name]
        if variable.sampling == "powers_of_two":
            around = [n for n in (value // 2, value * 2) if variable.minimum <= n]
            around = [n for n in around if n <= variable.maximum]
        else:
            at = variable.index_of(value)
            around = [variable.value_at(i) for i in (at - 1, at + 1) if 0 <= i < variable.count]
        for other in around:
            told = variable.name, variable.label(value), variable.label(other)
            try:
                architecture = space.architecture({**values, variable.name: other})
            except SpecError as error:
                found.append(Neighbour(*told, None, None, str(error)))
                continue
            moved, reasons = moved_to(layers, architecture)
            whole = [layer for layer in moved if layer is not None]
            total = worth(whole) if len(whole) == len(layers) else None
            reason = f"{len(reasons)} of {len(layers)} layers do not fit" if reasons else ""
            found.append(Neighbour(*told, architecture.area_um2, total, reason))
    return found
