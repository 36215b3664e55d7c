"""What mappings need of a template's hardware: words of each level, children along X and Y."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.domain.expression import Expression
from dse.space.template import ArchTemplate

#: Values of variables by name: numbers, or equally long arrays.
_Named = Mapping[str, Any]

#: What a resource is of: the words, or the children along an axis, of a level.
WORDS, ALONG_X, ALONG_Y = "words", "x", "y"


@dataclass(frozen=True)
class Resource:
    """One thing that a level has a limited amount of: ``total / per``, rounded down.

    Attributes:
        level: counted from the inside.
        name: the level's name.
        kind: one of ``words``, ``x``, ``y``.
    """

    level: int
    name: str
    kind: str
    total: Expression
    per: Expression

    @property
    def names(self) -> frozenset[str]:
        """The variables that it depends on."""
        return self.total.names | self.per.names

    def amount(self, values: _Named) -> Any:  # noqa: ANN401 - a number or an array
        """Return how much there is, exactly, for whole values."""
        return np.floor(self.total.array(values) / self.per.array(values))

    def relaxed(self, values: _Named) -> Any:  # noqa: ANN401
        """Return how much there is for real values, without rounding."""
        return self.total.relaxed(values) / self.per.relaxed(values)

    def __str__(self) -> str:
        unit = "words" if self.kind == WORDS else f"children along {self.kind.upper()}"
        return f"{unit} of level '{self.name}'"


def resources_of(template: ArchTemplate) -> tuple[Resource, ...]:
    """Return the resources of a template: fan-outs from the inside out, then capacities."""
    storage = list(reversed(template.spec.storage))
    fanouts, words = [], []
    inner: Any = template.spec.compute
    for s, level in enumerate(storage):
        for kind, axis in ((ALONG_X, "mesh_x"), (ALONG_Y, "mesh_y")):
            fanouts.append(
                Resource(s, level.name, kind, getattr(inner, axis), getattr(level, axis))
            )
        if level.size_words is not None:
            words.append(Resource(s, level.name, WORDS, level.size_words, level.multiple_buffering))
        inner = level
    return (*fanouts, *words)
