"""What a level or the MACs of a template's file give, as attributes of hardware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dse.domain.attribute import declared
from dse.domain.expression import Expression, Number
from dse.errors import SpecError
from dse.space.schema import ComputeSpec, LevelSpec


def given(
    part: type, spec: LevelSpec | ComputeSpec, values: Mapping[str, Number]
) -> dict[str, Any]:
    """Return the attributes of a part of the hardware that a file gives, by name.

    Raises:
        SpecError: arithmetic has no value, or one that is not whole where it must be.
    """
    found = {}
    for item in declared(part):
        value = None if item.template is None else getattr(spec, item.template)
        if isinstance(value, Expression):
            try:
                whole = item.kind is int
                value = value.integer(values) if whole else float(value.value(values))
            except SpecError as error:
                raise SpecError(f"{spec.name}.{item.template}: {error}") from error
        if value is not None:
            found[item.name] = value
    return found
