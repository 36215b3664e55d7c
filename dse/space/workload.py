"""Workload files: the unique layers of a network, one line each, with counts.

``shape`` names a built-in problem shape or declares one, ``shapes`` declares more for the layers
to name; a layer gives bounds and coefficients by
name. A dimension that a layer leaves out has the bound 1. ``aliases`` are what else a layer may be
called. ``densities`` says how dense tensors are, of a layer or of all of them, and counts on sparse
designs. ``parameters`` declares numbers that a
user may set, such as a context length; bounds may be arithmetic over them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import yaml
from pydantic import Field, StrictInt, field_validator

from dse.domain.expression import Expression, Number
from dse.domain.problem import SHAPES, DataSpace, Layer, Problem, Shape, Term, Workload
from dse.errors import SpecError, unknown_name
from dse.files import Source, read_yaml, validated
from dse.space.densities import densities_of, network_densities
from dse.space.schema import Name, Strict, VariableName

_RESERVED = ("name", "count", "shape", "weights", "precision", "aliases", "densities")
#: What only people read, of a workload file and of its layers: no number depends on it.
_LABELS = ("name", "description", "source", "aliases")


class DataSpaceSpec(Strict):
    """A tensor: ranks split by commas, each a sum of ``dimension`` or ``dimension*coefficient``."""

    projection: str
    read_write: bool = False


class ShapeSpec(Strict):
    """A problem shape of the file's own."""

    name: Name
    dimensions: tuple[Name, ...]
    coefficients: dict[str, StrictInt] = Field(default_factory=dict)
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


class ParameterSpec(Strict):
    """A number that the user of a workload may set."""

    default: StrictInt = Field(ge=1)
    max: StrictInt = Field(default=2**31, ge=1)
    description: str = ""


class WorkloadSpec(Strict):
    """A whole workload file."""

    name: Name
    description: str = ""
    source: str = ""
    parameters: dict[VariableName, ParameterSpec] = Field(default_factory=dict)
    shape: str | ShapeSpec = "cnn-layer"
    shapes: tuple[ShapeSpec, ...] = ()
    densities: dict[str, Any] = Field(default_factory=dict)
    layers: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=10_000)]

    @field_validator("shape")
    @classmethod
    def _known_shape(cls, shape: str | ShapeSpec) -> str | ShapeSpec:
        if isinstance(shape, str) and shape not in SHAPES:
            raise ValueError(unknown_name("shape", shape, SHAPES))
        return shape


class NetworksSpec(Strict):
    """A file of several networks, each as in a file of its own."""

    networks: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=100)]


def networks_text(networks: Sequence[Source]) -> str:
    """Return the content of a file that holds several networks' files.

    Raises:
        SpecError: one of them cannot be read.
    """
    content = {"networks": [read_yaml(network) for network in networks]}
    text: str = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)
    return text


def without_labels(content: Any) -> Any:  # noqa: ANN401
    """Return a workload file's content without names of layers and what else only people read.

    Files that are equal so are the same workload: every layer has the same numbers.
    """
    if not isinstance(content, dict):
        return content
    plain = {key: value for key, value in content.items() if key not in _LABELS}
    for key in ("layers", "networks"):
        if isinstance(plain.get(key), list):
            plain[key] = [without_labels(part) for part in plain[key]]
    return plain


def read_workload(path: Source, parameters: Mapping[str, object] | None = None) -> Workload:
    """Read a workload file: a network, or several under ``networks``.

    Args:
        path: of the file.
        parameters: values of its parameters, where not the defaults.

    Raises:
        SpecError: the file is missing or wrong; names file, key path, value and expectation.
    """
    return parse_workload(read_yaml(path), str(path), parameters)


def parse_workload(
    content: Any,  # noqa: ANN401
    where: str,
    parameters: Mapping[str, object] | None = None,
) -> Workload:
    """Build a workload from a file's content; ``where`` names it in errors."""
    if isinstance(content, dict) and "networks" in content:
        return _parse_networks(validated(NetworksSpec, content, where), where, parameters or {})
    if isinstance(content, dict) and "variables" in content:
        raise SpecError(f"{where}: a space of networks, as it has 'variables'; expected a network")
    spec = validated(WorkloadSpec, content, where)
    shape, shapes = shapes_of(spec, where)
    values = parameter_values(spec, parameters or {}, where)
    try:
        densities = densities_of(spec.densities)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error
    layers = []
    for index, row in enumerate(spec.layers):
        try:
            layer = layer_of(row, shape, shapes, values)
            problem = network_densities(layer.problem, layer.weights, densities)
            layers.append(replace(layer, problem=problem))
        except SpecError as error:
            label = f" ('{row['name']}')" if "name" in row else ""
            raise SpecError(f"{where}: layers[{index}]{label}: {error}") from error
    try:
        return Workload(spec.name, tuple(layers))
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error


def _parse_networks(spec: NetworksSpec, where: str, parameters: Mapping[str, object]) -> Workload:
    """Build all networks; each gets those of the parameters that it declares."""
    declared = [set(content.get("parameters") or {}) for content in spec.networks]
    for name in parameters:
        if not any(name in own for own in declared):
            raise SpecError(f"{where}: {unknown_name('parameter', name, set().union(*declared))}")
    networks = [
        parse_workload(
            content,
            f"{where}: networks[{i}]",
            {name: value for name, value in parameters.items() if name in own},
        )
        for i, (content, own) in enumerate(zip(spec.networks, declared, strict=True))
    ]
    try:
        return Workload.of_networks(networks)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error


def parameter_values(spec: WorkloadSpec, given: Mapping[str, object], where: str) -> dict[str, int]:
    """Return the values of a file's parameters; SpecError where one is unknown or out of range."""
    values = {name: parameter.default for name, parameter in spec.parameters.items()}
    for name, value in given.items():
        if name not in values:
            raise SpecError(f"{where}: {unknown_name('parameter', name, values)}")
        most = spec.parameters[name].max
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise SpecError(
                f"{where}: parameter {name} = {value!r}, expected an integer from 1 to {most}"
            )
        values[name] = value
    return values


def shapes_of(spec: WorkloadSpec, where: str) -> tuple[Shape, dict[str, Shape]]:
    """Return the shape of layers that name none, and all that they may name.

    Raises:
        SpecError: a shape of the file's own is wrong.
    """
    try:
        shape = SHAPES[spec.shape] if isinstance(spec.shape, str) else spec.shape.build()
    except SpecError as error:
        raise SpecError(f"{where}: shape: {error}") from error
    return shape, {**SHAPES, **_own_shapes(spec, where)}


def _own_shapes(spec: WorkloadSpec, where: str) -> dict[str, Shape]:
    """Return the shapes that a file declares for its layers to name."""
    found: dict[str, Shape] = {}
    for index, declared in enumerate(spec.shapes):
        if declared.name in SHAPES or declared.name in found:
            raise SpecError(
                f"{where}: shapes[{index}].name = {declared.name!r}: a shape has that name already"
            )
        try:
            found[declared.name] = declared.build()
        except SpecError as error:
            raise SpecError(f"{where}: shapes[{index}]: {error}") from error
    return found


def layer_of(
    row: dict[str, Any],
    default: Shape,
    shapes: Mapping[str, Shape],
    parameters: Mapping[str, Number],
) -> Layer:
    """Return the layer that a line of a file says.

    Args:
        row: the line.
        default: the shape, where it names none.
        shapes: that it may name.
        parameters: what its arithmetic may mention.

    Raises:
        SpecError: a key is unknown, or a number not possible.
    """
    fields = dict(row)
    name, count, shape_name, weights, precision, aliases, densities = (
        fields.pop(key, None) for key in _RESERVED
    )
    if not isinstance(name, str) or not name:
        raise SpecError(f"name = {name!r}, expected a text")
    if shape_name is not None and not isinstance(shape_name, str):
        raise SpecError(f"shape = {shape_name!r}, expected the name of a shape")
    if shape_name is not None and shape_name not in shapes:
        raise SpecError(unknown_name("shape", shape_name, shapes))
    shape = default if shape_name is None else shapes[shape_name]
    bounds = dict.fromkeys(shape.dimensions, 1)
    coefficients: dict[str, int] = {}
    for key, given in fields.items():
        value = _number(key, given, parameters)
        if key in bounds:
            bounds[key] = value
        elif key in shape.coefficients:
            if isinstance(value, bool) or not isinstance(value, int):
                raise SpecError(f"{key} = {value!r}, expected an integer")
            coefficients[key] = value
        else:
            known = {*_RESERVED, *shape.dimensions, *shape.coefficients}
            raise SpecError(unknown_name("key", key, known))
    times = 1 if count is None else _number("count", count, parameters)
    if not isinstance(precision, dict | None):
        raise SpecError(f"precision = {precision!r}, expected bits by tensor")
    if not isinstance(aliases, list | None) or not all(isinstance(x, str) for x in aliases or ()):
        raise SpecError(f"aliases = {aliases!r}, expected a list of texts")
    return Layer(
        name,
        Problem(shape, bounds, coefficients, densities_of(densities)),
        times,
        "own" if weights is None else weights,
        tuple((precision or {}).items()),
        tuple(aliases or ()),
    )


def _number(key: str, given: Any, parameters: Mapping[str, Number]) -> Any:  # noqa: ANN401
    """Return a number as it stands, or the value of arithmetic over the parameters."""
    if not isinstance(given, str):
        return given
    try:
        expression = Expression(given)
        # a number in quotes is a slip, and refused as such
        return expression.integer(parameters) if expression.names else given
    except SpecError as error:
        raise SpecError(f"{key}: {error}") from error


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
