"""Architecture templates: storage tree, design variables and mapspace constraints in one YAML file.

Numbers of the tree may be arithmetic over the variables; filling in values gives an
:class:`~dse.domain.architecture.Architecture`. Levels stand outermost first, as
in Timeloop's files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from dse.domain.architecture import AccessEnergy, Architecture, Compute, Network, StorageLevel
from dse.domain.constraints import Constraints
from dse.domain.expression import Expression, Number
from dse.domain.problem import Layer
from dse.domain.technology import Technology
from dse.errors import SpecError, unknown_name
from dse.files import Source, read_yaml, validated
from dse.space.derived import without_derived
from dse.space.given import given
from dse.space.rules import Relation, Resolver
from dse.space.schema import BudgetSpec, ComputeSpec, ConstraintSpec, LevelSpec, TemplateSpec
from dse.space.sparse_section import SparseSection
from dse.space.variable import Values, Variable

#: Random designs tried until one is within the budget and the requirements.
_MAX_DRAWS = 20_000


@dataclass(frozen=True)
class ArchTemplate:
    """A template read from a file.

    Attributes:
        variables: the design variables.
        constraints: the mapspace's constraints by level name. Where they depend on variables,
            these are those of the first values; a built architecture brings its own.
        energy: name of the energy chain that prices it by default.
        max_area_um2: designs with a larger area are infeasible; None = no limit.
        is_free: whether its constraints on loops were lifted; see `dse.space.mapspace_choice`.
    """

    name: str
    description: str
    variables: tuple[Variable, ...]
    energy: str
    constraints: Constraints
    max_area_um2: float | None
    _spec: TemplateSpec
    _where: str
    _sparse: SparseSection | None = None
    is_free: bool = False

    @classmethod
    def read(cls, path: Source) -> ArchTemplate:
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
            variables=_variables(spec, where),
            energy=spec.energy,
            constraints={},
            max_area_um2=spec.budget.area_um2 if spec.budget else None,
            _spec=spec,
            _where=where,
        )
        template._check_names()
        plain = without_derived(spec)
        template = replace(template, _spec=plain, _sparse=SparseSection.of(plain, where))
        if template.defaults is not None:
            template.build(template.defaults)
        # a tree that cannot be built at its largest values is a mistake in the file; within
        # the budget and the requirements it need not be
        template.tree({v.name: v.maximum for v in template.variables})
        first = {v.name: v.minimum for v in template.variables}
        return replace(template, constraints=template._constraints(first))

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

    @property
    def defaults(self) -> Values | None:
        """The real design's values of all variables; None where the file does not give them."""
        given = {v.name: v.default for v in self.variables if v.default is not None}
        return given if len(given) == len(self.variables) else None

    @property
    def requirements(self) -> tuple[Relation, ...]:
        """What every design must satisfy, by the file."""
        return self._spec.require

    @property
    def is_sparse(self) -> bool:
        """Whether its designs leave out words that are 0."""
        return self._sparse is not None

    def check_sparse(self, layer: Layer) -> None:
        """Refuse a layer without the tensors that a sparse design speaks of; see `SparseDesign.of`.

        Raises:
            SpecError: naming the template, the layer, and what it lacks.
        """
        if self._sparse is None:
            return
        design = self._sparse.design({v.name: v.maximum for v in self.variables})
        try:
            design.of(layer.problem)
        except SpecError as error:
            raise SpecError(f"template '{self.name}', layer '{layer.name}': {error}") from error

    @property
    def has_clock(self) -> bool:
        """Whether the file gives the period of the clock."""
        return self._spec.technology is not None

    @property
    def spec(self) -> TemplateSpec:
        """The file's content, checked; its numbers are arithmetic over the variables alone."""
        return self._spec

    def within(self, bounds: Mapping[str, float]) -> ArchTemplate:
        """Return the template with a budget that is no larger than these bounds.

        Args:
            bounds: by key of the file's ``budget``.
        """
        if not bounds:
            return self
        budget = self._spec.budget or BudgetSpec()
        least = {}
        for name, bound in bounds.items():
            whole = math.floor(bound) if name != "noc_words_per_cycle" else bound
            given = getattr(budget, name)
            least[name] = whole if given is None else min(whole, given)
        spec = self._spec.model_copy(update={"budget": budget.model_copy(update=least)})
        return replace(self, _spec=spec)

    def reconstrained(self, constraints: Mapping[str, ConstraintSpec]) -> ArchTemplate:
        """Return the template with other constraints of these levels."""
        storage = tuple(
            level.model_copy(update={"constraints": constraints[level.name]})
            if level.name in constraints
            else level
            for level in self._spec.storage
        )
        changed = replace(self, _spec=self._spec.model_copy(update={"storage": storage}))
        first = {v.name: v.minimum for v in self.variables}
        return replace(changed, constraints=changed._constraints(first))

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
            SpecError: a value is missing, the resulting tree is not possible, a requirement is
                not met, or the budget is exceeded; the message says by how much.
        """
        architecture = self.tree(values)
        try:
            for relation in self._spec.require:
                relation.check(values)
            self._check_budget(architecture)
        except SpecError as error:
            raise self._with_values(values, error) from error
        return architecture

    def admits(self, values: Mapping[str, int]) -> bool:
        """Whether :meth:`build` makes an architecture of these values of all variables."""
        try:
            self.build(values)
        except SpecError:
            return False
        return True

    def sample(self, rng: np.random.Generator, fixed: Mapping[str, int] | None = None) -> Values:
        """Draw random values of all variables that meet the requirements and the budget.

        Args:
            rng: of all randomness.
            fixed: variables that are not drawn.

        Raises:
            SpecError: no draw of many was feasible; carries the reason of the last.
        """
        given = fixed or {}
        bound = bool(self._spec.require) or self._spec.budget is not None
        for left in range(_MAX_DRAWS, 0, -1):
            values = {
                v.name: given[v.name] if v.name in given else v.sample(rng) for v in self.variables
            }
            if not bound:
                break
            try:
                self.build(values)
            except SpecError as error:
                if left == 1:
                    raise SpecError(
                        f"{_MAX_DRAWS} random designs, none feasible; the last: {error}"
                    ) from error
            else:
                break
        return values

    def tree(self, values: Mapping[str, int]) -> Architecture:
        """Return the architecture as :meth:`build`, whatever budget and requirements say."""
        try:
            return Architecture(
                self.name,
                tuple(self._level(level, values) for level in reversed(self._spec.storage)),
                self._compute(values),
                self._technology(values),
                self._constraints(values),
                sparse=self._sparse.design(values) if self._sparse else None,
            )
        except SpecError as error:
            raise self._with_values(values, error) from error

    def _with_values(self, values: Mapping[str, int], error: SpecError) -> SpecError:
        labels = {v.name: v.label(values[v.name]) for v in self.variables if v.name in values}
        given = ", ".join(f"{k}={v}" for k, v in labels.items())
        return SpecError(f"{self._where}: with {given or 'no variables'}: {error}")

    def _constraints(self, values: Mapping[str, int]) -> Constraints:
        chosen = {
            v.name: v.meanings[values[v.name]]
            for v in self.variables
            if v.choices and v.name in values
        }
        resolve = Resolver(values, chosen)
        found = {}
        for level in self._spec.storage:
            try:
                found[level.name] = level.constraints.build(resolve)
            except SpecError as error:
                raise SpecError(f"{level.name}.constraints: {error}") from error
        return found

    @property
    def clock_ns(self) -> float | None:
        """The period of the clock; None where none is given, or it depends on variables."""
        spec = self._spec.technology
        return None if spec is None or spec.clock_ns.names else float(spec.clock_ns.value({}))

    def _technology(self, values: Mapping[str, Number]) -> Technology | None:
        spec = self._spec.technology
        if spec is None:
            return None
        node_nm, clock_ns = spec.node_nm.value(values), spec.clock_ns.value(values)
        return Technology(float(node_nm), float(clock_ns), spec.dram)

    def _check_budget(self, architecture: Architecture) -> None:
        """Raise SpecError when the hardware takes more than the budget allows."""
        budget = self._spec.budget
        if budget is None:
            return
        on_chip = [level for level in architecture.levels if not level.is_dram]
        size_bytes = sum((x.size_words or 0) * x.word_bits * x.instances for x in on_chip) / 8
        if architecture.sparse is not None:
            pairs = zip(architecture.levels, architecture.sparse.levels, strict=True)
            bits = sum(own.metadata.bits * x.instances for x, own in pairs if not x.is_dram)
            size_bytes += bits / 8
        outermost = on_chip[-1] if on_chip else None
        words = min(outermost.read_bandwidth, outermost.shared_bandwidth) if outermost else 0.0
        for used, limit, unit in (
            (architecture.compute.instances, budget.pes, "PEs"),
            (size_bytes, budget.on_chip_bytes, "bytes on chip"),
            (words, budget.noc_words_per_cycle, "words per cycle from the outermost buffer"),
        ):
            if limit is not None and used > limit:
                raise SpecError(f"{used:g} {unit}, over the budget of {limit:g}")

    def _level(self, spec: LevelSpec, values: Mapping[str, Number]) -> StorageLevel:
        own = given(StorageLevel, spec, values)
        return StorageLevel(
            name=spec.name,
            kind=spec.class_,
            instances=own["mesh_x"] * own["mesh_y"],
            energy=AccessEnergy(**given(AccessEnergy, spec, values)),
            network=Network(**given(Network, spec, values)),
            **own,
        )

    def _compute(self, values: Mapping[str, Number]) -> Compute:
        spec = self._spec.compute
        own = given(Compute, spec, values)
        instances = own["mesh_x"] * own["mesh_y"]
        return Compute(name=spec.name, kind=spec.class_, instances=instances, **own)

    def _check_names(self) -> None:
        """Refuse expressions over variables that the template does not declare."""
        known = {v.name for v in self.variables}
        for path, names, source in chain(self._derivations(known), self.mentions()):
            for name in sorted(names - known):
                raise SpecError(
                    f"{self._where}: {path} = '{source}': {unknown_name('variable', name, known)}"
                )
        choices = {v.name: v.choices for v in self.variables}
        for relation in self._spec.require:
            lists = {choices[name] for name in relation.names if choices.get(name)}
            if len(lists) > 1:
                raise SpecError(
                    f"{self._where}: require '{relation.source}': compares variables with "
                    "different choices"
                )

    def _derivations(self, known: set[str]) -> Iterator[tuple[str, frozenset[str], object]]:
        """Yield each derived name's mentions, then make it known to those that follow."""
        for name, expression in self._spec.derived.items():
            if name in known:
                raise SpecError(f"{self._where}: derived.{name}: a variable has that name")
            yield f"derived.{name}", expression.names, expression.source
            known.add(name)

    def mentions(self) -> Iterator[tuple[str, frozenset[str], object]]:
        """Yield key path, variables and text of every expression of the file."""
        specs: tuple[LevelSpec | ComputeSpec, ...] = (*self._spec.storage, self._spec.compute)
        for level in specs:
            for key, value in level:
                if isinstance(value, Expression):
                    yield f"{level.name}.{key}", value.names, value.source
        for spec in self._spec.storage:
            for kind in ("temporal", "spatial"):
                loops = getattr(spec.constraints, kind)
                for key in ("factors", "max_factors", "min_factors"):
                    for name, value in getattr(loops, key).items():
                        path = f"{spec.name}.constraints.{kind}.{key}.{name}"
                        yield path, value.names, value.source
        if self._spec.technology is not None:
            for key in ("node_nm", "clock_ns"):
                value = getattr(self._spec.technology, key)
                yield f"technology.{key}", value.names, value.source
        for relation in self._spec.require:
            yield "require", relation.names, relation.source


def _variables(spec: TemplateSpec, where: str) -> tuple[Variable, ...]:
    found = []
    for name, variable in spec.variables.items():
        try:
            found.append(Variable.of(name, variable))
        except SpecError as error:
            raise SpecError(f"{where}: variables.{name}.{error}") from error
    return tuple(found)


__all__ = ["ArchTemplate", "Values", "Variable"]
