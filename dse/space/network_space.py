"""Spaces of networks: a workload that is itself a design variable.

A file holds layers as a workload file does; their numbers may be arithmetic over ``variables`` and
the names in ``derived``, and a layer with ``when`` is there only where that comparison holds. One
value for every variable is a network. Layers that do the same are one layer with a count, called
as the first of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dse.domain.expression import Expression, Number
from dse.domain.problem import Layer, Problem, Shape, Workload
from dse.errors import SpecError, unknown_name
from dse.files import Source, read_yaml, validated
from dse.space.network_spec import (
    PREFIX,
    NetworkSpaceSpec,
    is_network_space,
    number_list,
    variable_of,
)
from dse.space.rules import Relation
from dse.space.variable import Values, Variable
from dse.space.workload import layer_of, parameter_values, parse_workload, shapes_of

#: Layers kept by the numbers that they depend on, and networks by theirs.
_KEPT_LAYERS, _KEPT_NETWORKS = 100_000, 2_000
#: Keys of a layer that hold no arithmetic.
_NO_ARITHMETIC = frozenset({"name", "shape", "weights", "precision", "aliases", "when"})


@dataclass(frozen=True)
class LayerRow:
    """One layer of the file.

    Attributes:
        place: of the row, for errors.
        content: the keys of the layer.
        when: the comparison under which it is there; None: always.
        names: the variables that its numbers depend on, without those of ``when``.
    """

    place: str
    content: dict[str, Any]
    when: Relation | None
    names: tuple[str, ...]

    @property
    def controls(self) -> frozenset[str]:
        """What the comparison mentions."""
        return self.when.names if self.when else frozenset()


class NetworkSpace:
    """Networks of one family.

    Values of variables are whole numbers, as of all design variables: of a variable whose numbers
    are fractions, the place in its list. :meth:`numbers` gives the numbers.

    Attributes:
        name: of the space.
        variables: they are called ``network.NAME``; all have a default.
        rows: the layers of the file.
        derived: arithmetic by name, over variables, parameters and the names before.
        parameters: values of the file's parameters.

    Raises:
        SpecError: from the constructor: a parameter, a name in arithmetic, or the network of the
            defaults is wrong.
    """

    def __init__(
        self,
        spec: NetworkSpaceSpec,
        where: str,
        parameters: Mapping[str, object] | None = None,
        fixed: Mapping[str, object] | None = None,
    ) -> None:
        self.name, self.description, self._where = spec.name, spec.description, where
        self.parameters = parameter_values(spec, parameters or {}, where)
        self._numbers = {PREFIX + name: v.numbers for name, v in spec.variables.items()}
        self.variables = tuple(variable_of(name, v) for name, v in spec.variables.items())
        self.derived: dict[str, Expression] = dict(spec.derived)
        self.fixed: Values = self._fixed(fixed or {})
        self._default_shape, self._shapes = shapes_of(spec, where)
        self._scopes = self._derived_scopes()
        self.rows = tuple(
            self._row(f"{where}: layers[{index}]", content)
            for index, content in enumerate(spec.layers)
        )
        self._layers: dict[tuple[int, tuple[int, ...]], Layer] = {}
        self._networks: dict[tuple[int, ...], Workload] = {}
        self._check_use()
        self.default = self.build(self.defaults)

    @property
    def free(self) -> tuple[Variable, ...]:
        """The variables that are not fixed."""
        return tuple(v for v in self.variables if v.name not in self.fixed)

    @property
    def defaults(self) -> Values:
        """The values of the fixed network that results are compared with."""
        own = {v.name: v.default if v.default is not None else v.minimum for v in self.variables}
        return self.canonical({**own, **self.fixed})

    def numbers(self, values: Mapping[str, int]) -> dict[str, float]:
        """Return the numbers that values stand for, by the names of the file."""
        return {
            v.name.removeprefix(PREFIX): (
                self._numbers[v.name][values[v.name]] if v.choices else float(values[v.name])
            )
            for v in self.variables
        }

    def numbers_of(self, name: str) -> tuple[float, ...]:
        """Return all numbers that a variable may be, by the name of the file."""
        return self._numbers[PREFIX + name]

    def check(self, values: Mapping[str, object]) -> Values:
        """Return checked values of all variables, in the file's order.

        Raises:
            SpecError: one is missing, unknown, out of range, or not as it is fixed.
        """
        known = {v.name for v in self.variables}
        for name in values:
            if name not in known:
                raise SpecError(f"workload '{self.name}': {unknown_name('variable', name, known)}")
        found = {}
        for variable in self.variables:
            if variable.name not in values:
                raise SpecError(f"variable {variable.name} has no value")
            found[variable.name] = value = variable.check(values[variable.name])
            if self.fixed.get(variable.name, value) != value:
                told = f"it is fixed at {self.fixed[variable.name]}"
                raise SpecError(f"variable {variable.name} = {value}: {told}")
        return found

    def of_numbers(self, given: Mapping[str, object]) -> Values:
        """Return the values that numbers stand for; what is not given has its default.

        Raises:
            SpecError: a name or a number is none of the file's.
        """
        own = {v.name: v.default if v.default is not None else v.minimum for v in self.variables}
        return self.canonical({**own, **self.fixed, **self._fixed(given)})

    def sample(self, rng: np.random.Generator) -> Values:
        """Draw a network, every value of every variable equally likely."""
        return self.canonical(
            {v.name: self.fixed.get(v.name, v.sample(rng)) for v in self.variables}
        )

    def canonical(self, values: Mapping[str, int]) -> Values:
        """Return values in which variables that change nothing have their defaults.

        Equal networks have equal values so.
        """
        key = tuple(values[name] for name in self._controls)
        idle = self._idle.get(key)
        if idle is None:
            idle = self._idle[key] = self._idle_under(values)
        return {
            v.name: (
                self.fixed.get(v.name, v.default or 0) if v.name in idle else values[v.name]
            )
            for v in self.variables
        }  # fmt: skip

    def active(self, values: Mapping[str, int], name: str) -> bool:
        """Whether a variable, by the file's name, changes anything in a network."""
        self.canonical(values)
        return PREFIX + name not in self._idle[tuple(values[n] for n in self._controls)]

    def build(self, values: Mapping[str, int]) -> Workload:
        """Return the network of these values.

        Raises:
            SpecError: a number of a layer is no integer, or not possible; the message names it.
        """
        key = tuple(values[v.name] for v in self.variables)
        known = self._networks.get(key)
        if known is None:
            if len(self._networks) >= _KEPT_NETWORKS:
                self._networks.clear()
            known = self._networks[key] = Workload(self.name, self._merged(values))
        return known

    def every_layer(self) -> Iterator[Layer]:
        """Yield all layers of the file under the defaults, also those that are not there then."""
        environment = self.environment(self.defaults)
        for row in self.rows:
            yield self._layer(row, environment)

    def shape_of(self, row: LayerRow) -> Shape:
        """Return the shape of a layer of the file."""
        named = row.content.get("shape")
        return self._default_shape if named is None else self._shapes[named]

    def _merged(self, values: Mapping[str, int]) -> tuple[Layer, ...]:
        found: dict[tuple[Problem, str, Any], Layer] = {}
        for layer in self._present(values):
            key = (layer.problem, layer.weights, layer.precision)
            same = found.get(key)
            found[key] = replace(same, count=same.count + layer.count) if same else layer
        return tuple(found.values())

    def _present(self, values: Mapping[str, int]) -> Iterator[Layer]:
        environment: dict[str, Number] | None = None
        for index, row in enumerate(self.rows):
            controls = sorted(row.controls)
            needed = tuple(values[PREFIX + name] for name in (*row.names, *controls))
            layer = self._layers.get((index, needed))
            if layer is None:
                if environment is None:
                    environment = self.environment(values)
                if row.when is not None and not row.when.holds(environment):
                    continue
                if len(self._layers) >= _KEPT_LAYERS:
                    self._layers.clear()
                layer = self._layers[index, needed] = self._layer(row, environment)
            yield layer

    def _layer(self, row: LayerRow, environment: Mapping[str, Number]) -> Layer:
        try:
            return layer_of(row.content, self._default_shape, self._shapes, environment)
        except SpecError as error:
            given = ", ".join(
                f"{name}={environment[name]:g}" for name in (*row.names, *sorted(row.controls))
            )
            raise SpecError(f"{row.place}: with {given or 'no variables'}: {error}") from error

    def environment(self, values: Mapping[str, int]) -> dict[str, Number]:
        """Return what arithmetic of the file may mention: parameters, variables, derived names."""
        found: dict[str, Number] = {**self.parameters, **self.numbers(values)}
        for name, expression in self.derived.items():
            try:
                found[name] = expression.value(found)
            except SpecError as error:
                raise SpecError(f"{self._where}: derived.{name}: {error}") from error
        return found

    # what depends on what

    def _derived_scopes(self) -> dict[str, frozenset[str]]:
        """Return the variables that each name in arithmetic depends on."""
        own = {name.removeprefix(PREFIX) for name in self._numbers}
        scopes = {name: frozenset({name}) for name in own}
        scopes |= {name: frozenset() for name in self.parameters}
        for name, expression in self.derived.items():
            place = f"{self._where}: derived.{name}"
            scopes[name] = self._scope(expression.names, scopes, place)
        return scopes

    def _scope(
        self, names: frozenset[str], scopes: Mapping[str, frozenset[str]], place: str
    ) -> frozenset[str]:
        for name in sorted(names):
            if name not in scopes:
                raise SpecError(f"{place}: {unknown_name('name', name, scopes)}")
        return frozenset().union(*(scopes[name] for name in names))

    def _row(self, place: str, content: dict[str, Any]) -> LayerRow:
        if "name" in content:
            place += f" ('{content['name']}')"
        found: set[str] = set()
        for key, given in content.items():
            if isinstance(given, str) and key not in _NO_ARITHMETIC:
                try:
                    names = Expression(given).names
                except SpecError as error:
                    raise SpecError(f"{place}: {key}: {error}") from error
                found |= self._scope(names, self._scopes, f"{place}: {key}")
        when = None
        if "when" in content:
            try:
                when = Relation.parse(str(content["when"]))
            except SpecError as error:
                raise SpecError(f"{place}: when: {error}") from error
            for name in sorted(when.names):
                if PREFIX + name not in self._numbers:
                    told = unknown_name("variable", name, [n[len(PREFIX) :] for n in self._numbers])
                    raise SpecError(f"{place}: when: {told}")
        plain = {key: value for key, value in content.items() if key != "when"}
        controls = when.names if when else frozenset()
        return LayerRow(place, plain, when, tuple(sorted(found - controls)))

    @cached_property
    def _controls(self) -> tuple[str, ...]:
        """The variables that conditions mention."""
        return tuple(sorted({PREFIX + name for row in self.rows for name in row.controls}))

    @cached_property
    def _idle(self) -> dict[tuple[int, ...], frozenset[str]]:
        return {}

    def _idle_under(self, values: Mapping[str, int]) -> frozenset[str]:
        numbers = self.numbers(values)
        used: set[str] = set()
        for row in self.rows:
            used |= row.controls
            if row.when is None or row.when.holds(numbers):
                used |= set(row.names)
        return frozenset(name for name in self._numbers if name.removeprefix(PREFIX) not in used)

    def _check_use(self) -> None:
        used = set().union(*(row.controls | set(row.names) for row in self.rows))
        for name in self._numbers:
            if name.removeprefix(PREFIX) not in used:
                plain = name.removeprefix(PREFIX)
                raise SpecError(f"{self._where}: variables.{plain}: no layer depends on it")

    def _fixed(self, given: Mapping[str, object]) -> Values:
        """Return the values of variables by name; a name also stands for all ``NAME_...``."""
        exact = {name for name in given if PREFIX + name in self._numbers}
        found: Values = {}
        for name in sorted(given, key=lambda name: name in exact):
            begins = PREFIX + name if name in exact else f"{PREFIX}{name}_"
            chosen = [
                v
                for v in self.variables
                if v.name == begins or (name not in exact and v.name.startswith(begins))
            ]
            if not chosen:
                plain = [v.name.removeprefix(PREFIX) for v in self.variables]
                told = unknown_name("variable", name, plain)
                raise SpecError(f"network.{name}: {told} of workload '{self.name}'")
            found |= {v.name: self._value(v, given[name]) for v in chosen}
        return found

    def _value(self, variable: Variable, number: object) -> int:
        numbers = self._numbers[variable.name]
        whole = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not whole or number not in numbers:
            told = repr(number)
            raise SpecError(f"{variable.name} = {told}: expected {number_list(numbers)}")
        place = numbers.index(float(number))
        return place if variable.choices else int(numbers[place])


def read_networks(
    path: Source,
    parameters: Mapping[str, object] | None = None,
    fixed: Mapping[str, object] | None = None,
) -> Workload | NetworkSpace:
    """Read a workload file: a workload, or a space of networks.

    Args:
        path: of the file.
        parameters: values of its parameters, where not the defaults.
        fixed: numbers of variables of the space that are not searched; a name also stands for all
            variables that begin with it and an underscore.

    Raises:
        SpecError: the file is missing or wrong, or ``fixed`` is given of what is no space; names
            file, key path, value and expectation.
    """
    content = read_yaml(path)
    if is_network_space(content):
        spec = validated(NetworkSpaceSpec, content, str(path))
        return NetworkSpace(spec, str(path), parameters, fixed)
    workload = parse_workload(content, str(path), parameters)
    if fixed:
        raise SpecError(f"network.{min(fixed)}: workload '{workload.name}' is no space of networks")
    return workload
