"""Accelergy without Accelergy: energies and areas of a Timeloop input's components.

Compound components are taken apart into primitive ones as Accelergy 0.4 does it (and of 0.2 and
0.3, what differs in writing only); these are priced by :mod:`dse.components.primitives`.

Beyond Accelergy, which would fail or take a default of its library: ``width`` and ``depth`` of a
buffer may follow from Timeloop's own keys (``block_size``, ``entries``, ``sizeKB``, ...), and
node and clock hold for subcomponents that do not bind them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dse.components.attribute_values import (
    INHERITED,
    MUST_SPECIFY,
    base_name,
    choices_of,
    counted,
    number_of,
    values_of,
)
from dse.components.primitives import PRIMITIVES, Price, price
from dse.components.reference_tables import (
    ActionEnergy,
    AreaPart,
    ComponentTable,
    EnergyPart,
    ReferenceTables,
)
from dse.domain.formula import Value
from dse.errors import SpecError, unknown_name
from dse.timeloop.read.classes import CompoundClass, SubComponent, read_classes
from dse.timeloop.read.component_tree import BUFFER_CLASSES, COMPUTE_CLASSES
from dse.timeloop.read.declared import DeclaredComponent, declared_components
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
_MOST_NESTED = 20
#: Most subcomponents and primitive actions of one component; published ones have some dozens.
_MOST_PARTS = 100_000


@dataclass(frozen=True)
class _Unit:
    """A component or subcomponent; scales are products with those around it.

    Attributes:
        label: its name within the component, ranges worked out; empty for the component itself.
        count: how many the ranges of all its names stand for.
        parts: subcomponents by name without range; None for a primitive.
    """

    kind: str
    label: str
    count: int
    values: Mapping[str, Value]
    energy_scale: float
    area_scale: float
    parts: Mapping[str, _Unit] | None
    price: Price | None


def prices(root: Entry, defaults: Mapping[str, Value] | None = None) -> ReferenceTables:
    """Return the reference tables of an input's architecture, which is in the flat form.

    Args:
        root: the input.
        defaults: ``technology`` and ``global_cycle_seconds`` of components that have none.

    Components that are neither storage, nor compute, nor the wire hardly enter Timeloop's model
    (declared networks do, by attributes of their own): one that has no price is left out, with a
    warning.

    Raises:
        SpecError: an unknown class or action, naming the nearest; a missing attribute; or a
            component beyond the tables.
    """
    architecture = root.get("arch", "architecture")
    if architecture is None:
        raise root.refuse("key 'architecture' is missing, expected the hardware")
    variables = root.get("variables")
    pairs = variables.pairs() if variables is not None and variables.is_map else ()
    around = {**(defaults or {}), **values_of(pairs, {})}
    estimator = _Estimator(read_classes(root), around)
    tables = []
    for component in declared_components(architecture):
        try:
            tables.append(estimator.table(component))
        except SpecError as error:
            if _is_modelled(component):
                raise
            _LOG.warning("%s; it is left out, without a price", error)
    return ReferenceTables(tuple(tables))


def compound_kinds(root: Entry) -> list[str]:
    """Return the compound classes that an input's components are of, for messages.

    None of classes that cannot be read: who does not price by them need not.
    """
    architecture = root.get("arch", "architecture")
    try:
        classes = read_classes(root)
        declared = declared_components(architecture) if architecture is not None else []
    except SpecError:
        return []
    return sorted({component.kind for component in declared} & set(classes))


def _is_modelled(component: DeclaredComponent) -> bool:
    kind = component.entry.get("class")
    text = kind.text() if kind is not None else ""
    name = base_name(component.path).rpartition(".")[2]
    known = (*BUFFER_CLASSES, *COMPUTE_CLASSES)
    return not text or any(c in text for c in known) or name.lower() == "wire"


class _Estimator:
    """Prices components by the compound classes of one input."""

    def __init__(
        self, classes: Mapping[str, CompoundClass], variables: Mapping[str, Value]
    ) -> None:
        self._classes = classes
        self._variables = variables
        self._parts = 0

    def table(self, component: DeclaredComponent) -> ComponentTable:
        """Return what a component costs, naming it in what is raised."""
        self._parts = 0
        try:
            unit = self._component(component)
            actions = self._actions(component, unit)
            areas = tuple(self._areas(unit, base_name(component.path).rpartition(".")[2]))
        except SpecError as error:
            where = f"{component.entry.where}: component '{base_name(component.path)}'"
            raise SpecError(f"{where} of class '{component.kind}': {error}") from error
        return ComponentTable(component.path, component.kind, actions, areas)

    def _count_part(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise SpecError(f"more than {_MOST_PARTS} subcomponents and actions within it")

    def _component(self, component: DeclaredComponent) -> _Unit:
        own = component.entry.get("attributes")
        keys = set((own if own is not None else component.entry).mapping())
        given = component.attributes.items()
        names = dict(self._variables)
        names |= values_of([(k, e) for k, e in given if k not in keys], names)
        values = values_of([(k, e) for k, e in given if k in keys], names)
        for key, value in names.items():
            if key in component.attributes or key in INHERITED:
                values.setdefault(key, value)
        if component.kind not in self._classes:
            values = _with_size(values)
        whole = SubComponent(
            component.entry.need("name", "the component's name"),
            component.kind,
            {},
            component.energy_scale,
            component.area_scale,
        )
        outside = _Unit("", "", 1, {}, 1.0, 1.0, None, None)
        # a component's own range is Timeloop's instances: tables are of one instance
        return self._unit(whole, values, replace(outside, values=values), "", 1, 0)

    def _unit(
        self,
        part: SubComponent,
        values: Mapping[str, Value],
        around: _Unit,
        label: str,
        count: int,
        depth: int,
    ) -> _Unit:
        """Return a component with what it is made of, all the way down."""
        self._count_part()
        if depth > _MOST_NESTED:
            raise part.entry.refuse(f"nested deeper than {_MOST_NESTED}; a class within itself?")
        kind = self._classes.get(part.kind)
        if kind is not None:
            values = _with_defaults(values, kind)
        names = {**around.values, **values}
        unit = _Unit(
            part.kind,
            label,
            count,
            values,
            around.energy_scale * number_of(part.energy_scale, names),
            around.area_scale * number_of(part.area_scale, names),
            None,
            None,
        )
        if kind is None:
            what = f"'{label}' of class '{part.kind}': " if label else ""
            if part.kind not in PRIMITIVES:
                known = [*self._classes, *PRIMITIVES]
                raise SpecError(f"{what}{unknown_name('class', part.kind, known)}")
            try:
                return replace(unit, price=price(part.kind, values))
            except SpecError as error:
                raise SpecError(f"{what}{error}") from error
        parts = {}
        for inner in kind.subcomponents:
            base, inner_label, inner_count = counted(inner.entry, values)
            own = values_of(inner.attributes.items(), values)
            for key in INHERITED:
                if key in values:
                    own.setdefault(key, values[key])
            full = f"{label}.{inner_label}" if label else inner_label
            parts[base] = self._unit(inner, own, unit, full, count * inner_count, depth + 1)
        return replace(unit, parts=parts)

    def _actions(self, component: DeclaredComponent, unit: _Unit) -> tuple[ActionEnergy, ...]:
        kind = self._classes.get(component.kind)
        if kind is None:
            assert unit.price is not None
            listed = PRIMITIVES[component.kind].actions
            names = dict.fromkeys((*listed, *component.required_actions))
            label = base_name(component.path).rpartition(".")[2]
            return tuple(
                ActionEnergy(name, {}, tuple(self._energy(unit, name, {}, 1.0, label, 1)))
                for name in names
            )
        for name in component.required_actions:
            if name not in kind.actions:
                raise SpecError(unknown_name("action", name, kind.actions))
        return tuple(
            ActionEnergy(name, choice, tuple(self._energy(unit, name, choice, 1.0, "", 1)))
            for name, action in kind.actions.items()
            for choice in choices_of(action.arguments, unit.values)
        )

    def _energy(
        self,
        unit: _Unit,
        action: str,
        arguments: Mapping[str, Value],
        scale: float,
        label: str,
        count: int,
    ) -> list[EnergyPart]:
        """Return what an action of a unit takes, by primitive action.

        ``scale`` is that of the actions around this one; ``label`` the unit's name as they have
        it, with ranges that may be narrower, and ``count`` how many these ranges stand for.
        """
        self._count_part()
        if unit.price is not None:
            energy_pj = unit.price.energy_pj(action, arguments)
            counts = scale * count * unit.energy_scale
            return [EnergyPart(label, action, arguments, energy_pj, counts, unit.price.estimator)]
        assert unit.parts is not None
        kind = self._classes[unit.kind]
        if action not in kind.actions:
            message = unknown_name("action", action, kind.actions)
            _LOG.warning(
                "%s: class '%s': %s; it costs nothing", kind.entry.where, kind.name, message
            )
            return []
        names = {**unit.values, **arguments}
        found = []
        for part in kind.actions[action].parts:
            base, inner, several = counted(part.entry, names)
            if base not in unit.parts:
                raise part.entry.refuse(unknown_name("subcomponent", base, unit.parts))
            full = f"{label}.{inner}" if label else inner
            for step in part.actions:
                times = scale * number_of(step.scale, names)
                given = values_of(step.arguments.items(), names)
                found += self._energy(
                    unit.parts[base], step.name, given, times, full, count * several
                )
        return found

    def _areas(self, unit: _Unit, name: str) -> list[AreaPart]:
        if unit.price is not None:
            scale = unit.count * unit.area_scale
            estimator = unit.price.estimator
            return [AreaPart(unit.label or name, unit.price.area_um2, scale, estimator)]
        assert unit.parts is not None
        return [area for part in unit.parts.values() for area in self._areas(part, name)]


def _with_defaults(values: Mapping[str, Value], kind: CompoundClass) -> dict[str, Value]:
    """Return a compound's attributes with its class's defaults, worked out in their order."""
    found = dict(values)
    for key, entry in kind.attributes.items():
        if key in found and found[key] != MUST_SPECIFY:
            continue
        if entry.node.value == MUST_SPECIFY:
            if key in ("global_cycle_seconds", "latency"):
                continue  # the clock has a default
            raise entry.refuse(f"attribute '{key}' of class '{kind.name}' is not given")
        found |= values_of([(key, entry)], found)
    return found


def _with_size(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return a primitive's attributes with width and depth, if Timeloop's keys say them."""
    found = {key.replace("-", "_"): value for key, value in values.items()}

    def number(*names: str) -> float | None:
        for name in names:
            value = found.get(name)
            if isinstance(value, int | float):
                return float(value)
        return None

    word = number("word_bits", "word_width", "datawidth")
    block = number("block_size", "n_words")
    width = number("width", "memory_width", "data_storage_width")
    if width is None and word is not None:
        width = word * (block or 1.0) * (number("cluster_size") or 1.0)
    depth = number("depth", "memory_depth", "data_storage_depth")
    entries, size_kb = number("entries"), number("sizeKB")
    if depth is None and word:
        words = entries if entries is not None else None
        if words is None and size_kb is not None:
            words = size_kb * 8192 / word
        depth = words / (block or 1.0) if words is not None else None
    for key, value in (("width", width), ("depth", depth)):
        if value is not None:
            found.setdefault(key, value)
    return found
