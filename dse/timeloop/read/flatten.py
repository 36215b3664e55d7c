"""Flattens timeloopfe's architecture: ``!Component``, ``!Container``, ``!Parallel`` nodes.

The result is what timeloopfe writes for Timeloop: one list of components from the outside in,
each with the mesh that the containers around it add up to. A node with fan-out gets a storage
level without storage in front of it, ``inter_NAME_spatial``, which holds the spatial loops; the
constraints inside the nodes, and those in lists that target them, become
``architecture_constraints``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence

from dse.domain.problem import Problem
from dse.errors import unknown_name
from dse.timeloop.read.component_tree import NETWORK_CLASSES
from dse.timeloop.read.node_mapping import flat_mapping
from dse.timeloop.read.node_rules import (
    INSIDE,
    NodeRules,
    check_known,
    check_rule,
    keep_and_bypass,
    kind_of,
    name_list,
    scalar,
)
from dse.timeloop.read.node_values import plain_number, spec_of, value_of
from dse.timeloop.yaml.nodes import Entry, Node

_LOG = logging.getLogger(__name__)
_BRANCHES = {"!Hierarchical", "!Parallel", "!Pipelined"}
_COMPONENTS = {"!Component", "!Compute", "!Storage", "!Network", ""}
#: What timeloopfe assumes of storage.
_STORAGE_DEFAULTS = {"reduction_supported": "true"}
_DUMMY = {"width": "1", "depth": "1", "datawidth": "1", "technology": "-1", **_STORAGE_DEFAULTS}
_COMPUTE = re.compile(r"mac|compute", re.IGNORECASE)
_BRANCH_KEYS = {"nodes", "version"}
#: Keys of a component that are Accelergy's, beside its class and attributes.
_ACCELERGY = ("subclass", "required_actions", "area_scale", "energy_scale")
_NODE_KEYS = {
    *("name", "class", "attributes", "spatial", "constraints", "enabled"),
    *("sparse_optimizations", "networks", *_ACCELERGY),
}
#: Rules of one kind, in a node itself and in lists that target it.
_Rules = dict[str, list[Entry]]


def flatten(root: Entry, problem: Problem | None) -> Entry:
    """Return the input with its architecture in the flat form; unchanged where it is flat.

    Args:
        root: a whole input.
        problem: its problem, whose data spaces and dimensions the constraints speak of; without
            it the constraints are left out.

    Raises:
        SpecError: a node that is not understood, naming its place.
    """
    key = "arch" if root.get("arch") is not None else "architecture"
    entry = root.get(key)
    if entry is None or not entry.is_map or entry.get("nodes") is None:
        return root
    lists = [key for key in root.mapping() if "constraints" in key]
    flat = _Flattener(problem, root.variables or {}, _attached(root, lists))
    flat.branch(entry, parallel=False)
    flat.check_targets()
    targets = flat.rules.finish() if flat.rules is not None else []
    name = flat.name or "system"
    table = {k: node for k, node in root.mapping().items() if k not in lists}
    table[key] = _map(
        entry,
        version=scalar(entry, "0.4"),
        subtree=_list(
            entry,
            [_map(entry, name=scalar(entry, name), local=_list(entry, flat.components))],
        ),
    )
    mapping = root.get("mapping")
    if mapping is not None and mapping.node.value:
        table["mapping"] = flat_mapping(mapping, targets, flat.levels)
    sparse = [*_sparse_targets(root), *flat.sparse]
    if sparse:
        table["sparse_optimizations"] = _map(entry, targets=_list(entry, sparse))
    if targets:
        table["architecture_constraints"] = _map(entry, targets=_list(entry, targets))
    node = Node(table, root.node.source, root.node.line, size=root.node.size)
    return Entry(node, root.path, root.variables)


def _attached(root: Entry, lists: Sequence[str]) -> dict[str, _Rules]:
    """Return the constraints in lists, by the node that they target and by kind.

    timeloopfe takes any key with "constraints" in it for such a list.
    """
    found: dict[str, _Rules] = {}
    for key in lists:
        entry = root.get(key)
        if entry is None:
            continue
        if entry.is_map:
            check_known(entry, {"version", "targets"})
            entry = entry.get("targets")
        for rule in entry.items("expected a list of constraints") if entry is not None else ():
            kind = kind_of(rule)
            check_rule(rule, kind)
            target = rule.need("target", "a node of the architecture").text()
            found.setdefault(target, {}).setdefault(kind, []).append(rule)
    return found


def _sparse_targets(root: Entry) -> list[Node]:
    """Return the targets of a list of sparse optimizations, which timeloopfe calls otherwise."""
    section = root.get("sparse_optimizations")
    if section is None:
        return []
    check_known(section, {"version", "targets"})
    targets = section.get("targets")
    found = []
    for target in targets.items("expected a list of targets") if targets is not None else ():
        place = target.need("target", "a node of the architecture")
        parts = {k: node for k, node in target.mapping().items() if k != "target"}
        found.append(_map(target, **{**parts, "name": place.node}))
    return found


class _Flattener:
    """Walks the nodes from the outside in."""

    def __init__(
        self,
        problem: Problem | None,
        variables: dict[str, Node],
        attached: dict[str, _Rules],
    ) -> None:
        self.problem = problem
        self.variables = variables
        self.attached = attached
        self.rules = NodeRules(problem, self._integer) if problem is not None else None
        self.name = ""
        self.mesh_x = self.mesh_y = 1
        self.components: list[Node] = []
        self.levels: set[str] = set()
        self.sparse: list[Node] = []
        self.nodes: set[str] = set()
        self.inherited: dict[str, Node] = {}
        self.spec = spec_of(problem, variables) if problem is not None else None
        self.gate: Node | None = None
        self.gate_follows = False

    def check_targets(self) -> None:
        """Refuse constraints in lists that target no node."""
        for target, rules in self.attached.items():
            if target not in self.nodes:
                (first, *_), *_ = rules.values()
                raise first.refuse(unknown_name("target", target, sorted(self.nodes)))

    def branch(self, entry: Entry, *, parallel: bool) -> None:
        """Take the nodes of a branch; those of a parallel one keep what their siblings do not."""
        check_known(entry, _BRANCH_KEYS)
        children = entry.need("nodes", "a list of nodes").items()
        kept = [set(self._kept(child)) for child in children] if parallel else []
        if parallel and self.problem is not None:
            self._check_parallel(entry, kept)
        for index, child in enumerate(children):
            bypassed = [t for t in self._tensors if t not in kept[index]] if parallel else []
            self._node(child, bypassed, parallel=parallel)

    @property
    def _tensors(self) -> Sequence[str]:
        return self.problem.tensors if self.problem is not None else ()

    def _check_parallel(self, entry: Entry, kept: list[set[str]]) -> None:
        for tensor in self._tensors:
            count = sum(tensor in names for names in kept)
            if count != 1:
                raise entry.refuse(
                    f"{count} nodes of this !Parallel keep data space '{tensor}', expected one "
                    "(a !Nothing with the keep constraint stands for none)"
                )

    def _node(self, entry: Entry, bypassed: list[str], *, parallel: bool) -> None:
        tag = entry.node.tag
        if not entry.is_map:
            raise entry.fail("expected a node: a map tagged !Component, !Container, ...")
        enabled = entry.get("enabled")
        if tag not in _BRANCHES:
            check_known(entry, _NODE_KEYS)
        named = entry.get("name")
        if named is not None:
            self.nodes.add(named.text())
        if tag == "!Nothing" or (enabled is not None and not enabled.boolean()):
            return
        if tag in _BRANCHES:
            self.branch(entry, parallel=tag == "!Parallel")
        elif tag == "!Container":
            self._container(entry, parallel=parallel)
        elif tag in _COMPONENTS:
            self._component(entry, bypassed, parallel=parallel)
        else:
            raise entry.refuse(f"tag '{tag}' is not an architecture node")

    def _container(self, entry: Entry, *, parallel: bool) -> None:
        name = entry.need("name", "the container's name").text()
        if parallel:
            raise entry.refuse("a !Container inside !Parallel is not supported")
        if not self.name:
            self.name = f"{name}_top_level"
        attributes = entry.get("attributes")
        if attributes is not None:
            self.inherited.update(self._values(attributes, {}))
        rules = self._rules(entry, name)
        self._fan_out(entry, name, rules)
        for kind in ("temporal", "dataspace"):
            for rule in rules.get(kind, ()):
                _LOG.warning("%s: is ignored, as timeloopfe does: a container has none", rule.where)

    def _rules(self, entry: Entry, name: str) -> _Rules:
        """Return the rules of a node: its own, then those in lists."""
        found: _Rules = {}
        constraints = entry.get("constraints")
        if constraints is not None:
            check_known(constraints, set(INSIDE))
            for kind, rule in constraints.pairs():
                if not rule.node.is_null:
                    check_rule(rule, kind)
                    found[kind] = [rule]
        for kind, rules in self.attached.get(name, {}).items():
            found[kind] = [*found.get(kind, []), *rules]
        return found

    def _component(self, entry: Entry, bypassed: list[str], *, parallel: bool) -> None:
        name = entry.need("name", "the component's name").text()
        sparse = entry.get("sparse_optimizations")
        if sparse is not None and sparse.node.value:
            asked = {key: item.node for key, item in sparse.pairs() if item.node.value}
            self.sparse.append(_map(sparse, **{**asked, "name": scalar(sparse, name)}))
        kind = entry.need("class", "the component's class").text()
        given = entry.get("attributes")
        own = self._values(given, self.inherited) if given is not None else {}
        rules = self._rules(entry, name)
        if self._fan_out(entry, name, rules) and parallel:
            raise entry.refuse("a component with fan-out inside !Parallel is not supported")
        attributes = {**self.inherited, **own}
        if _is_network(entry, kind):
            self._place(entry, name, kind, attributes, ranged=False)
            return
        self._gate(entry, name)
        if self.gate is not None:
            attributes.setdefault("power_gated_at", self.gate)
        if not _COMPUTE.search(kind):
            for key, text in _STORAGE_DEFAULTS.items():
                attributes.setdefault(key, scalar(entry, text))
        more = {key: node for key, node in entry.mapping().items() if key in _ACCELERGY}
        self._place(entry, name, kind, attributes, more)
        if self.rules is not None:
            keeps = rules.get("dataspace", [])
            if bypassed and not keeps and not _COMPUTE.search(kind):
                self.rules.add(entry, name, "bypass", bypass=name_list(entry, bypassed))
            self.rules.dataspace(name, keeps, bypassed)
            self.rules.loops(name, "temporal", rules.get("temporal", []), 1)
            for kind in ("max_overbooked_proportion", "utilization"):
                self.rules.share(name, kind, rules.get(kind, []))

    def _gate(self, entry: Entry, name: str) -> None:
        """Note at which level power is gated: the first that is placed after one with a gate."""
        if self.gate_follows:
            self.gate = scalar(entry, name)
        attributes = entry.get("attributes")
        gating = attributes.get("has_power_gating") if attributes is not None else None
        self.gate_follows = gating is not None and gating.boolean()

    def _fan_out(self, entry: Entry, name: str, rules: _Rules) -> bool:
        """Add a node's mesh, and the level that holds its spatial loops."""
        spatial = entry.get("spatial")
        if spatial is None:
            return False
        check_known(spatial, {"meshX", "meshY"})
        x, y = (self._size(spatial, key) for key in ("meshX", "meshY"))
        if x * y == 1:
            return False
        level = f"inter_{name}_spatial"
        dummy = {key: scalar(spatial, text) for key, text in _DUMMY.items()}
        self._gate(entry, level)
        self._place(entry, level, "dummy_storage", dummy)
        if self.rules is not None and self.problem is not None:
            self.rules.loops(level, "spatial", rules.get("spatial", []), x * y)
            ones = ",".join(f"{d}=1" for d in self.problem.dimensions)
            self.rules.add(spatial, level, "temporal", factors=scalar(spatial, ones))
            self.rules.add(spatial, level, "bypass", bypass=name_list(spatial, self._tensors))
        self.mesh_x, self.mesh_y = self.mesh_x * x, self.mesh_y * y
        return True

    def _place(
        self,
        entry: Entry,
        name: str,
        kind: str,
        attributes: dict[str, Node],
        more: dict[str, Node] | None = None,
        *,
        ranged: bool = True,
    ) -> None:
        meshes = {"meshX": self.mesh_x, "meshY": self.mesh_y}
        placed = {**attributes, **{key: scalar(entry, str(n)) for key, n in meshes.items()}}
        count = self.mesh_x * self.mesh_y
        self.levels.add(name)
        self.components.append(
            _map(
                entry,
                name=scalar(entry, f"{name}[1..{count}]" if ranged else name),
                **{"class": scalar(entry, kind)},
                attributes=Node(placed, entry.node.source, entry.node.line),
                **(more or {}),
            )
        )

    def _kept(self, entry: Entry) -> Iterator[str]:
        """Yield the data spaces that a node or one inside it keeps."""
        constraints = entry.get("constraints")
        rule = constraints.get("dataspace") if constraints is not None else None
        name = entry.get("name")
        attached = self.attached.get(name.text(), {}) if name is not None else {}
        for one in (*([rule] if rule is not None else []), *attached.get("dataspace", [])):
            yield from keep_and_bypass(one, self._tensors)[0]
        nodes = entry.get("nodes")
        for child in nodes.items() if nodes is not None else []:
            yield from self._kept(child)

    def _size(self, entry: Entry, key: str) -> int:
        found = entry.get(key)
        if found is None:
            return 1
        return self._integer(found, 1)

    def _integer(self, entry: Entry, least: int) -> int:
        return Entry(self._value(entry, self.inherited), entry.path).integer(least)

    def _values(self, attributes: Entry, around: dict[str, Node]) -> dict[str, Node]:
        """Return attributes with arithmetic worked out, over those around and before them."""
        values: dict[str, Node] = {}
        for key, entry in attributes.pairs():
            values[key] = self._value(entry, {**around, **values})
        return values

    def _value(self, entry: Entry, around: dict[str, Node]) -> Node:
        node = entry.node
        if isinstance(node.value, str) and plain_number(node.value) is not None:
            return node
        return value_of(node, {**self.variables, **around}, self.spec)


def _is_network(entry: Entry, kind: str) -> bool:
    """Whether a node is a network, whose name gets no range: Timeloop finds it by that."""
    return entry.node.tag == "!Network" or any(known in kind for known in NETWORK_CLASSES)


def _map(place: Entry, **content: Node) -> Node:
    return Node(content, place.node.source, place.node.line)


def _list(place: Entry, items: Sequence[Node]) -> Node:
    return Node(list(items), place.node.source, place.node.line)
