"""Derived names of a template: arithmetic that the rest of the file calls by a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from dse.domain.expression import Expression
from dse.space.rules import Relation
from dse.space.schema import TemplateSpec

_T = TypeVar("_T")


def without_derived(spec: TemplateSpec) -> TemplateSpec:
    """Return a file's content whose arithmetic mentions variables only.

    ``derived`` itself stays, for whoever asks what the file says.
    """
    definitions: dict[str, Expression] = {}
    for name, expression in spec.derived.items():
        definitions[name] = expression.inlined(definitions)
    return _inlined(spec, definitions) if definitions else spec


def _inlined(value: _T, definitions: Mapping[str, Expression]) -> _T:
    """Return the value with all arithmetic in it inlined."""
    result: Any = value
    if isinstance(value, Expression):
        result = value.inlined(definitions)
    elif isinstance(value, Relation):
        sides = value.left.inlined(definitions), value.right.inlined(definitions)
        result = Relation(value.source, sides[0], value.sign, sides[1])
    elif isinstance(value, BaseModel):
        parts = {
            name: _inlined(getattr(value, name), definitions) for name in value.model_fields_set
        }
        result = value.model_copy(update=parts)
    elif isinstance(value, dict):
        result = {key: _inlined(item, definitions) for key, item in value.items()}
    elif isinstance(value, tuple):
        result = tuple(_inlined(item, definitions) for item in value)
    return result  # type: ignore[no-any-return]
