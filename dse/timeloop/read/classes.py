"""Reads Accelergy's compound components: classes of which components are made.

``compound_components`` (or ``components``, timeloopfe's word) of version 0.2, 0.3 or 0.4. What
depends on a component's attributes, such as ``storage[1..width*depth]``, stays as it is written
and is worked out for each component.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dse.timeloop.yaml.nodes import Entry

_VERSIONS = ("0.2", "0.3", "0.4")
#: What multiplies an action's energy, under its names since version 0.2.
_ACTION_SCALES = ("energy_scale", "repeat", "action_share")
_AREA_SCALES = ("area_scale", "area_share")


@dataclass(frozen=True)
class SubAction:
    """What an action of a compound does to one of its subcomponents."""

    name: str
    arguments: Mapping[str, Entry]
    scale: Entry | None


@dataclass(frozen=True)
class ActionParts:
    """The subcomponent that an action uses, ``entry`` being its name, with what it does there."""

    entry: Entry
    actions: tuple[SubAction, ...]


@dataclass(frozen=True)
class CompoundAction:
    """An action of a compound; ``arguments`` are ranges, as in ``0..n_banks``."""

    name: str
    arguments: Mapping[str, Entry]
    parts: tuple[ActionParts, ...]


@dataclass(frozen=True)
class SubComponent:
    """A part of a compound; ``entry`` is its name, which may have a range."""

    entry: Entry
    kind: str
    attributes: Mapping[str, Entry]
    energy_scale: Entry | None
    area_scale: Entry | None


@dataclass(frozen=True)
class CompoundClass:
    """A class of compound components.

    Attributes:
        attributes: with their defaults, in order; ``must_specify`` for those without.
    """

    name: str
    entry: Entry
    attributes: Mapping[str, Entry]
    subcomponents: tuple[SubComponent, ...]
    actions: Mapping[str, CompoundAction]


def read_classes(root: Entry) -> dict[str, CompoundClass]:
    """Return the compound classes of an input by name; of two of one name the later.

    Raises:
        SpecError: naming file, key and value.
    """
    classes: dict[str, CompoundClass] = {}
    for key in ("compound_components", "components"):
        content = root.get(key)
        if content is None or not content.node.value:
            continue
        version = content.get("version")
        if version is not None and version.text() not in _VERSIONS:
            raise version.fail("expected version 0.2, 0.3 or 0.4")
        for entry in content.need("classes", "a list of classes").items("expected a list"):
            read = _read_class(entry)
            classes[read.name] = read
    return classes


def _read_class(entry: Entry) -> CompoundClass:
    actions = [_read_action(a) for a in _items(entry, "actions")]
    return CompoundClass(
        entry.need("name", "the name of the class").text(),
        entry,
        _entries(entry.get("attributes")),
        tuple(_read_subcomponent(s) for s in _items(entry, "subcomponents")),
        {action.name: action for action in actions},
    )


def _read_subcomponent(entry: Entry) -> SubComponent:
    attributes = _entries(entry.get("attributes"))
    return SubComponent(
        entry.need("name", "the subcomponent's name"),
        entry.need("class", "the subcomponent's class").text(),
        attributes,
        entry.get("energy_scale") or attributes.get("energy_scale"),
        entry.get(*_AREA_SCALES) or _first(attributes, _AREA_SCALES),
    )


def _read_action(entry: Entry) -> CompoundAction:
    parts = []
    for part in _items(entry, "subcomponents"):
        used = part.need("name", "the subcomponent's name")
        parts.append(ActionParts(used, tuple(_read_sub_action(a) for a in _items(part, "actions"))))
    name = entry.need("name", "the action's name").text()
    return CompoundAction(name, _entries(entry.get("arguments")), tuple(parts))


def _read_sub_action(entry: Entry) -> SubAction:
    return SubAction(
        entry.need("name", "the action's name").text(),
        _entries(entry.get("arguments")),
        entry.get(*_ACTION_SCALES),
    )


def _items(entry: Entry, key: str) -> list[Entry]:
    found = entry.get(key)
    return found.items(f"expected a list of {key}") if found is not None else []


def _entries(entry: Entry | None) -> dict[str, Entry]:
    return dict(entry.pairs()) if entry is not None else {}


def _first(entries: Mapping[str, Entry], keys: tuple[str, ...]) -> Entry | None:
    return next((entries[key] for key in keys if key in entries), None)
