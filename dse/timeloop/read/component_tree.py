"""Finds the components in Timeloop's ``architecture`` and how many there are of each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dse.timeloop.yaml.nodes import Entry

#: A component whose class contains one of these is storage ...
BUFFER_CLASSES = ("DRAM", "SRAM", "regfile", "smartbuffer", "storage")
#: ... and one of these, compute.
COMPUTE_CLASSES = ("mac", "intmac", "fpmac", "compute")
#: ... and these, networks that levels name.
NETWORK_CLASSES = ("XY_NoC", "Legacy", "ReductionTree", "SimpleMulticast")
_RANGE = re.compile(r"\[([0-9]+)\.\.([0-9]+)\]")
_UINT64 = 2**63 - 1


@dataclass(frozen=True)
class Component:
    """A component of the tree and how many of it its ranges declare (None: not declared).

    ``read`` are its attributes as a version of Timeloop reads them; None: as they are written.
    """

    entry: Entry
    count: int | None
    read: Entry | None = None

    @property
    def attributes(self) -> Entry:
        """The attributes, which the flat format puts beside the name."""
        return self.read or self.entry.get("attributes") or self.entry

    @property
    def name(self) -> str:
        """The name without its range."""
        return strip_range(self.entry.need("name", "the component's name").text())

    @property
    def kind(self) -> str:
        """The class, empty when there is none."""
        entry = self.entry.get("class")
        return entry.text() if entry is not None else ""


def find_components(entry: Entry) -> tuple[list[Component], Component, list[Component]]:
    """Return the storage components from the inside out, the compute component, and networks."""
    if not entry.is_map:
        raise entry.fail("expected a map with version and subtree")
    if entry.get("nodes") is not None:
        raise entry.refuse(
            "'nodes' is timeloopfe's input form; expected the flat form that timeloopfe writes"
        )
    version = entry.get("version")
    if entry.get("storage") is not None and entry.get("subtree") is None:
        return _flat_components(entry)
    if version is None:
        raise entry.refuse("key 'version' is missing, expected 0.2, 0.3 or 0.4")
    if version.text() not in ("0.2", "0.3", "0.4"):
        raise version.fail("expected version 0.2, 0.3 or 0.4")
    return _tree_components(entry)


def _flat_components(entry: Entry) -> tuple[list[Component], Component, list[Component]]:
    storage = entry.need("storage", "a list of storage levels, innermost first").items()
    arithmetic = entry.need("arithmetic", "the compute level")
    if not storage:
        raise entry.refuse("'storage' is empty, expected at least one level")
    return [Component(s, None) for s in storage], Component(arithmetic, None), []


def _tree_components(entry: Entry) -> tuple[list[Component], Component, list[Component]]:
    storage: list[Component] = []
    networks: list[Component] = []
    compute: list[Component] = []
    count = 1
    node = entry
    while (subtree := node.get("subtree")) is not None:
        branches = subtree.items("expected a list of one sub-tree")
        if len(branches) != 1:
            raise subtree.fail("expected exactly one sub-tree (Timeloop models one chain)")
        node = branches[0]
        name = node.get("name")
        count *= _range_size(name)
        local = node.get("local")
        for item in local.items("expected a list of components") if local is not None else []:
            item_name = item.get("name")
            component = Component(item, count * _range_size(item_name))
            kind = component.kind
            if any(c in kind for c in BUFFER_CLASSES):
                storage.append(component)
            elif any(c in kind for c in COMPUTE_CLASSES):
                compute.append(component)
            elif any(c in kind for c in NETWORK_CLASSES):
                networks.append(component)
    if not storage:
        raise entry.refuse(
            "no storage level found; expected components whose class contains one of "
            + ", ".join(BUFFER_CLASSES)
        )
    if not compute:
        raise entry.refuse(
            "no compute found; expected a component whose class contains one of "
            + ", ".join(COMPUTE_CLASSES)
        )
    if len(compute) > 1:
        raise compute[1].entry.refuse("a second compute component, expected one")
    return storage[::-1], compute[0], networks


def _range_size(name: Entry | None) -> int:
    """Return how many instances a name's range ``[a..b]`` declares."""
    if name is None:
        return 1
    text = name.text()
    begin, end, dots = text.find("["), text.find("]"), text.find("..")
    if -1 in (begin, end, dots):
        return 1
    match = _RANGE.search(text)
    if match is None or len(match[1]) > 18 or len(match[2]) > 18:
        raise name.fail("expected a range as in PE[0..15]")
    size = int(match[2]) - int(match[1]) + 1
    if size < 1:
        raise name.fail("expected a range that does not run backwards")
    return size


def strip_range(name: str) -> str:
    """Return a component's name without its range."""
    return name.partition("[")[0]


def mesh(attributes: Entry, count: int | None) -> tuple[int, int, int]:
    """Return instances, mesh X and mesh Y, the missing ones inferred."""
    declared = attributes.get("instances")
    instances = declared.integer(1, _UINT64) if declared is not None else count
    x_entry, y_entry = attributes.get("meshX"), attributes.get("meshY")
    x = x_entry.integer(1, _UINT64) if x_entry is not None else None
    y = y_entry.integer(1, _UINT64) if y_entry is not None else None
    if instances is None:
        raise attributes.refuse("key 'instances' is missing, expected how many there are")
    shown = f"{instances} instances"
    if x is None and y is None:
        return instances, instances, 1
    if x is not None and y is not None:
        if x * y != instances:
            raise attributes.refuse(f"meshX {x} x meshY {y} is {x * y}, expected {shown}")
        return instances, x, y
    given = x if x is not None else y
    assert given is not None
    if instances % given:
        axis = "meshX" if x is not None else "meshY"
        raise attributes.refuse(f"{axis} {given} does not divide {shown}")
    other = instances // given
    return (instances, given, other) if x is not None else (instances, other, given)
