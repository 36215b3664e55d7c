"""Architecture templates: storage tree, design variables and mapspace constraints in one YAML file.

Numbers of the tree may be arithmetic over the variables; filling in values gives an
:class:`~dse.architecture.Architecture`. Levels stand outermost first, as in Timeloop's files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

import numpy as np

from dse.architecture import Architecture, Compute, Network, StorageLevel
from dse.errors import SpecError, unknown_name
from dse.expression import Expression, Number
from dse.files import read_yaml, validated
from dse.mapspace.constraints import Constraints
from dse.template_schema import ComputeSpec, LevelSpec, TemplateSpec

Values = dict[str, int]


@dataclass(frozen=True)
class Variable:
    """One integer design variable.

    Attributes:
        minimum, maximum, step: the values ``minimum, minimum + step, ... <= maximum``.
        sampling: ``uniform`` over those, or ``powers_of_two`` between the bounds: how random
            hardware is drawn. Every step is a legal value under both.
        unit: for people.
    """

    name: str
    minimum: int
    maximum: int
    step: int = 1
    sampling: str = "uniform"
    unit: str = ""
    description: str = ""

    def sample(self, rng: np.random.Generator) -> int:
        """Draw one value."""
        if self.sampling == "powers_of_two":
            low = (self.minimum - 1).bit_length()
            high = self.maximum.bit_length() - 1
            exponent = int(rng.integers(low, high + 1))
            return int(2**exponent)
        steps = (self.maximum - self.minimum) // self.step
        return self.minimum + self.step * int(rng.integers(0, steps + 1))

    def check(self, value: object) -> int:
        """Return the value as an integer of this variable's range.

        Raises:
            SpecError: it is no integer, out of range, or off the steps.
        """
        expected = f"expected an integer from {self.minimum} to {self.maximum}"
        if self.step > 1:
            expected += f" in steps of {self.step}"
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole:
            raise SpecError(f"variable {self.name} = {value!r}: {expected}")
        number = int(cast(int, value))
        on_grid = (number - self.minimum) % self.step == 0
        if not (self.minimum <= number <= self.maximum and on_grid):
            raise SpecError(f"variable {self.name} = {number}: {expected}")
        return number


@dataclass(frozen=True)
class ArchTemplate:
    """A template read from a file.

    Attributes:
        variables: the design variables.
        constraints: the mapspace's constraints by level name.
        energy: name of the energy chain that prices it by default.
        max_area_um2: designs with a larger area are infeasible; None = no limit.
    """

    name: str
    description: str
    variables: tuple[Variable, ...]
    energy: str
    constraints: Constraints
    max_area_um2: float | None
    _spec: TemplateSpec
    _where: str

    @classmethod
    def read(cls, path: Path | Traversable) -> ArchTemplate:
        """Read a template.

        Raises:
            SpecError: the file is missing or wrong; names file, key path, value, expectation.
        """
        return cls.parse(read_yaml(path), str(path))

    @classmethod
    def parse(cls, content: Any, where: str) -> ArchTemplate:  # noqa: ANN401
        """Build a template from a file's content; ``where`` names it in errors."""
        spec = validated(TemplateSpec, content, where)
        template = cls(
            name=spec.name,
            description=spec.description,
            variables=tuple(
                Variable(name, v.min, v.max, v.step, v.sampling, v.unit, v.description)
                for name, v in spec.variables.items()
            ),
            energy=spec.energy,
            constraints={level.name: level.constraints.build() for level in spec.storage},
            max_area_um2=spec.budget.area_um2 if spec.budget else None,
            _spec=spec,
            _where=where,
        )
        template._check_names()
        # a tree that cannot be built at its largest values is a mistake in the file
        template.build({v.name: v.maximum for v in template.variables})
        return template

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the storage levels from the inside out, as in ``Architecture.levels``."""
        return tuple(level.name for level in reversed(self._spec.storage))

    def variable(self, name: str) -> Variable:
        """Return the variable of that name.

        Raises:
            SpecError: there is none; the message lists the choices.
        """
        for variable in self.variables:
            if variable.name == name:
                return variable
        known = [variable.name for variable in self.variables]
        raise SpecError(f"template '{self.name}': {unknown_name('variable', name, known)}")

    def check(self, values: Mapping[str, object]) -> Values:
        """Return checked values of the named variables, in the template's order.

        Raises:
            SpecError: an unknown variable, or a value outside its range.
        """
        for name in values:
            self.variable(name)
        return {v.name: v.check(values[v.name]) for v in self.variables if v.name in values}

    def build(self, values: Mapping[str, int]) -> Architecture:
        """Return the architecture, without prices, for these values of all variables.

        Raises:
            SpecError: a value is missing or the resulting tree is not possible.
        """
        try:
            return Architecture(
                self.name,
                tuple(self._level(level, values) for level in reversed(self._spec.storage)),
                self._compute(values),
            )
        except SpecError as error:
            given = ", ".join(f"{k}={v}" for k, v in values.items())
            raise SpecError(f"{self._where}: with {given or 'no variables'}: {error}") from error

    def _level(self, spec: LevelSpec, values: Mapping[str, Number]) -> StorageLevel:
        def integer(key: str) -> int:
            return int(_evaluate(spec, key, values, whole=True))

        def number(key: str) -> float:
            value = getattr(spec, key)
            return math.inf if value is None else float(_evaluate(spec, key, values))

        mesh_x, mesh_y = integer("mesh_x"), integer("mesh_y")
        return StorageLevel(
            name=spec.name,
            kind=spec.class_,
            word_bits=integer("word_bits"),
            size_words=None if spec.size_words is None else integer("size_words"),
            mesh_x=mesh_x,
            mesh_y=mesh_y,
            instances=mesh_x * mesh_y,
            block_size=integer("block_size"),
            cluster_size=integer("cluster_size"),
            multiple_buffering=number("multiple_buffering"),
            min_utilization=number("min_utilization"),
            read_bandwidth=number("read_bandwidth"),
            write_bandwidth=number("write_bandwidth"),
            shared_bandwidth=number("shared_bandwidth"),
            network=Network(word_bits=spec.network_word_bits),
            ports=integer("ports"),
            banks=integer("banks"),
        )

    def _compute(self, values: Mapping[str, Number]) -> Compute:
        spec = self._spec.compute
        mesh_x = _evaluate(spec, "mesh_x", values, whole=True)
        mesh_y = _evaluate(spec, "mesh_y", values, whole=True)
        return Compute(
            name=spec.name,
            kind=spec.class_,
            word_bits=_evaluate(spec, "word_bits", values, whole=True),
            mesh_x=mesh_x,
            mesh_y=mesh_y,
            instances=mesh_x * mesh_y,
        )

    def _check_names(self) -> None:
        """Refuse expressions over variables that the template does not declare."""
        known = {v.name for v in self.variables}
        specs: tuple[LevelSpec | ComputeSpec, ...] = (*self._spec.storage, self._spec.compute)
        for level in specs:
            for key, value in level:
                if isinstance(value, Expression):
                    for name in sorted(value.names - known):
                        raise SpecError(
                            f"{self._where}: {level.name}.{key} = '{value.source}': "
                            f"{unknown_name('variable', name, known)}"
                        )


def _evaluate(
    spec: Any,  # noqa: ANN401
    key: str,
    values: Mapping[str, Number],
    *,
    whole: bool = False,
) -> Any:  # noqa: ANN401 - an int where ``whole``
    expression: Expression = getattr(spec, key)
    try:
        return expression.integer(values) if whole else expression.value(values)
    except SpecError as error:
        raise SpecError(f"{spec.name}.{key}: {error}") from error
