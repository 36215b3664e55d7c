"""Finds what an architecture declares for Accelergy: each component with all its attributes.

Accelergy reads more of the tree than Timeloop does: attributes of a sub-tree hold for everything
in it, ``subclass`` goes before ``class``, and components that are neither storage nor compute
(wires, routers) have prices, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dse.timeloop.yaml.nodes import Entry


@dataclass(frozen=True)
class DeclaredComponent:
    """A component as Accelergy sees it.

    Attributes:
        entry: the component, for messages.
        path: its name with those of the sub-trees around it, ranges included.
        kind: its subclass, or its class.
        attributes: its own, then those of the sub-trees around it.
        required_actions: actions that its energy table must have.
    """

    entry: Entry
    path: str
    kind: str
    attributes: Mapping[str, Entry]
    required_actions: tuple[str, ...]
    energy_scale: Entry | None
    area_scale: Entry | None


def declared_components(architecture: Entry) -> list[DeclaredComponent]:
    """Return the components of an architecture, from the outside in.

    Those of the first, flat format have no class: they are DRAM where their ``technology`` says so,
    SRAM (Timeloop's default) or integer MACs.

    Raises:
        SpecError: a component without a name, or a list that is none.
    """
    if architecture.get("subtree") is None and architecture.get("storage") is not None:
        return _flat(architecture)
    return list(_walk(architecture, "", {}))


def _flat(architecture: Entry) -> list[DeclaredComponent]:
    storage = architecture.need("storage", "a list of storage levels, innermost first").items()
    found = []
    for item in reversed(storage):
        technology = item.get("technology")
        is_dram = technology is not None and technology.text() == "DRAM"
        found.append(_without_class(item, "DRAM" if is_dram else "SRAM"))
    arithmetic = architecture.get("arithmetic")
    if arithmetic is not None and arithmetic.get("name") is not None:
        found.append(_without_class(arithmetic, "intmac"))
    return found


def _without_class(item: Entry, kind: str) -> DeclaredComponent:
    """Return a component of the flat format; a technology that names no node is its kind."""
    attributes = dict(item.pairs())
    technology = attributes.get("technology")
    if technology is not None and not any(c.isdigit() for c in str(technology.node.value)):
        del attributes["technology"]
    given = item.get("class")
    kind = given.text() if given is not None else kind
    name = item.need("name", "the component's name").text()
    return DeclaredComponent(item, name, kind, attributes, (), None, None)


def _walk(node: Entry, prefix: str, around: Mapping[str, Entry]) -> Iterator[DeclaredComponent]:
    given = node.get("attributes")
    inherited = {**around, **(dict(given.pairs()) if given is not None else {})}
    local = node.get("local")
    for item in local.items("expected a list of components") if local is not None else []:
        yield _component(item, prefix, inherited)
    subtree = node.get("subtree")
    for branch in subtree.items("expected a list of sub-trees") if subtree is not None else []:
        name = branch.get("name")
        step = f"{name.text()}." if name is not None else ""
        yield from _walk(branch, prefix + step, inherited)


def _component(item: Entry, prefix: str, inherited: Mapping[str, Entry]) -> DeclaredComponent:
    given = item.get("attributes")
    own = dict(given.pairs()) if given is not None else {}
    required = item.get("required_actions")
    kind = item.get("subclass", "class")
    return DeclaredComponent(
        item,
        prefix + item.need("name", "the component's name").text(),
        kind.text() if kind is not None else "",
        {**own, **{key: entry for key, entry in inherited.items() if key not in own}},
        tuple(required.names()) if required is not None else (),
        item.get("energy_scale"),
        item.get("area_scale", "area_share"),
    )
