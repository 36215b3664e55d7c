"""Workload files: the unique layers of a network, one line each, with counts.

``shape`` names a built-in problem shape or declares one; a layer gives bounds and coefficients by
name. A dimension that a layer leaves out has the bound 1.
"""

from __future__ import annotations

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StrictInt, field_validator

from dse.errors import SpecError, unknown_name
from dse.files import read_yaml, validated
from dse.problem import SHAPES, DataSpace, Layer, Problem, Shape, Term, Workload
from dse.template_schema import Name, Strict

_RESERVED = ("name", "count", "shape")


class DataSpaceSpec(Strict):
    """A tensor: ranks split by commas, each a sum of ``dimension`` or ``dimension*coefficient``."""

    projection: str
    read_write: bool = False


class ShapeSpec(Strict):
    """A problem shape of the file's own."""

    name: Name
    dimensions: tuple[Name, ...]
    coefficients: dict[str, Annotated[StrictInt, Field(ge=1)]] = Field(default_factory=dict)
    data_spaces: dict[Name, DataSpaceSpec]

    def build(self) -> Shape:
        """Return the shape; raises SpecError when its parts do not fit each other."""
        taken = set(_RESERVED) & {*self.dimensions, *self.coefficients}
        if taken:
            raise SpecError(f"'{min(taken)}' cannot be the name of a dimension or coefficient")
        spaces = tuple(
            DataSpace(name, _projection(spec.projection), spec.read_write)
            for name, spec in self.data_spaces.items()
        )
        return Shape(self.name, self.dimensions, spaces, self.coefficients)


class WorkloadSpec(Strict):
    """A whole workload file."""

    name: Name
    description: str = ""
    source: str = ""
    shape: str | ShapeSpec = "cnn-layer"
    layers: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=10_000)]

    @field_validator("shape")
    @classmethod
    def _known_shape(cls, shape: str | ShapeSpec) -> str | ShapeSpec:
        if isinstance(shape, str) and shape not in SHAPES:
            raise ValueError(unknown_name("shape", shape, SHAPES))
        return shape


def read_workload(path: Path | Traversable) -> Workload:
    """Read a workload file.

    Raises:
        SpecError: the file is missing or wrong; names file, key path, value and expectation.
    """
    return parse_workload(read_yaml(path), str(path))


def parse_workload(content: Any, where: str) -> Workload:  # noqa: ANN401
    """Build a workload from a file's content; ``where`` names it in errors."""
    spec = validated(WorkloadSpec, content, where)
    try:
        shape = SHAPES[spec.shape] if isinstance(spec.shape, str) else spec.shape.build()
    except SpecError as error:
        raise SpecError(f"{where}: shape: {error}") from error
    layers = []
    for index, row in enumerate(spec.layers):
        try:
            layers.append(_layer(row, shape))
        except SpecError as error:
            label = f" ('{row['name']}')" if "name" in row else ""
            raise SpecError(f"{where}: layers[{index}]{label}: {error}") from error
    try:
        return Workload(spec.name, tuple(layers))
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error


def _layer(row: dict[str, Any], default: Shape) -> Layer:
    fields = dict(row)
    name, count, shape_name = (fields.pop(key, None) for key in _RESERVED)
    if not isinstance(name, str) or not name:
        raise SpecError(f"name = {name!r}, expected a text")
    if shape_name is not None and shape_name not in SHAPES:
        raise SpecError(unknown_name("shape", shape_name, SHAPES))
    shape = default if shape_name is None else SHAPES[shape_name]
    bounds = dict.fromkeys(shape.dimensions, 1)
    coefficients: dict[str, int] = {}
    for key, value in fields.items():
        if key in bounds:
            bounds[key] = value
        elif key in shape.coefficients:
            coefficients[key] = value
        else:
            known = {*_RESERVED, *shape.dimensions, *shape.coefficients}
            raise SpecError(unknown_name("key", key, known))
    return Layer(name, Problem(shape, bounds, coefficients), 1 if count is None else count)


def _projection(text: str) -> tuple[tuple[Term, ...], ...]:
    rows = []
    for row in text.split(","):
        terms = []
        for term in row.split("+"):
            dimension, _, coefficient = (part.strip() for part in term.partition("*"))
            if not dimension:
                raise SpecError(f"projection '{text}': empty term")
            terms.append(Term(dimension, coefficient or None))
        rows.append(tuple(terms))
    return tuple(rows)
