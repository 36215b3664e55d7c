"""Flattens timeloopfe's architecture: ``!Component``, ``!Container``, ``!Parallel`` nodes.

The result is what timeloopfe writes for Timeloop: one list of components from the outside in,
each with the mesh that the containers around it add up to. A node with fan-out gets a storage
level without storage in front of it, ``inter_NAME_spatial``, which holds the spatial loops; the
constraints inside the nodes become ``architecture_constraints``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dse.domain.expression import Expression, Number
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.timeloop.read.node_mapping import flat_mapping
from dse.timeloop.yaml.nodes import Entry, Node

_LOG = logging.getLogger(__name__)
_BRANCHES = {"!Hierarchical", "!Parallel", "!Pipelined"}
_COMPONENTS = {"!Component", "!Compute", "!Storage", "!Network", ""}
#: What timeloopfe assumes of storage.
_STORAGE_DEFAULTS = {"reduction_supported": "true"}
_DUMMY = {"width": "1", "depth": "1", "datawidth": "1", "technology": "-1", **_STORAGE_DEFAULTS}
_COMPUTE = re.compile(r"mac|compute", re.IGNORECASE)
_FACTOR = re.compile(r"([A-Za-z]+)\s*(<=|>=|=|<|>)?\s*([0-9]+)")
#: Constraints that need a search of their own; without them, a search sees more mappings.
_LEFT_OUT = ("maximize_dims", "maximize_dims_capacity", "rmw_first_update", "no_coalesce")


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
    if any(root.get(k) is not None for k in ("architecture_constraints", "arch_constraints")):
        raise entry.refuse("'nodes' hold their constraints; expected no others beside them")
    flat = _Flattener(problem, root.variables or {})
    flat.branch(entry, parallel=False)
    name = flat.name or "system"
    table = dict(root.mapping())
    table[key] = _map(
        entry,
        version=_text(entry, "0.4"),
        subtree=_list(
            entry,
            [_map(entry, name=_text(entry, name), local=_list(entry, flat.components))],
        ),
    )
    mapping = root.get("mapping")
    if mapping is not None and mapping.node.value:
        table["mapping"] = flat_mapping(mapping, flat.targets, flat.levels)
    if flat.targets:
        table["architecture_constraints"] = _map(entry, targets=_list(entry, flat.targets))
    node = Node(table, root.node.source, root.node.line, size=root.node.size)
    return Entry(node, root.path, root.variables)


@dataclass
class _Flattener:
    """Walks the nodes from the outside in."""

    problem: Problem | None
    variables: dict[str, Node]
    name: str = ""
    mesh_x: int = 1
    mesh_y: int = 1
    components: list[Node] = field(default_factory=list)
    levels: set[str] = field(default_factory=set)
    targets: list[Node] = field(default_factory=list)
    inherited: dict[str, Node] = field(default_factory=dict)

    def branch(self, entry: Entry, *, parallel: bool) -> None:
        """Take the nodes of a branch; those of a parallel one keep what their siblings do not."""
        children = entry.need("nodes", "a list of nodes").items()
        kept = [set(_kept(child, self._tensors)) for child in children] if parallel else []
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
        self._fan_out(entry, name)
        constraints = entry.get("constraints")
        for kind in ("temporal", "dataspace"):
            if constraints is not None and constraints.get(kind) is not None:
                raise constraints.refuse(f"a container has no '{kind}' constraints")

    def _component(self, entry: Entry, bypassed: list[str], *, parallel: bool) -> None:
        name = entry.need("name", "the component's name").text()
        sparse = entry.get("sparse_optimizations")
        if sparse is not None and sparse.node.value:
            raise sparse.refuse("not supported: the model is of dense problems")
        kind = entry.need("class", "the component's class").text()
        given = entry.get("attributes")
        own = self._values(given, self.inherited) if given is not None else {}
        if self._fan_out(entry, name) and parallel:
            raise entry.refuse("a component with fan-out inside !Parallel is not supported")
        attributes = {**self.inherited, **own}
        if not _COMPUTE.search(kind):
            for key, text in _STORAGE_DEFAULTS.items():
                attributes.setdefault(key, _text(entry, text))
        self._place(entry, name, kind, attributes)
        constraints = entry.get("constraints")
        if constraints is not None:
            self._constrain(name, constraints, bypassed)

    def _fan_out(self, entry: Entry, name: str) -> bool:
        """Add a node's mesh, and the level that holds its spatial loops."""
        spatial = entry.get("spatial")
        if spatial is None:
            return False
        x, y = (self._size(spatial, key) for key in ("meshX", "meshY"))
        if x * y == 1:
            return False
        level = f"inter_{name}_spatial"
        dummy = {key: _text(spatial, text) for key, text in _DUMMY.items()}
        self._place(entry, level, "dummy_storage", dummy)
        if self.problem is not None:
            constraints = entry.get("constraints")
            loops = constraints.get("spatial") if constraints is not None else None
            if loops is not None:
                self._loops(level, "spatial", loops)
            ones = ",".join(f"{d}=1" for d in self.problem.dimensions)
            self._target(spatial, level, "temporal", factors=_text(spatial, ones))
            self._target(spatial, level, "bypass", bypass=_names(spatial, self._tensors))
        self.mesh_x, self.mesh_y = self.mesh_x * x, self.mesh_y * y
        return True

    def _place(self, entry: Entry, name: str, kind: str, attributes: dict[str, Node]) -> None:
        meshes = {"meshX": self.mesh_x, "meshY": self.mesh_y}
        placed = {**attributes, **{key: _text(entry, str(n)) for key, n in meshes.items()}}
        count = self.mesh_x * self.mesh_y
        self.levels.add(name)
        self.components.append(
            _map(
                entry,
                name=_text(entry, f"{name}[1..{count}]"),
                **{"class": _text(entry, kind)},
                attributes=Node(placed, entry.node.source, entry.node.line),
            )
        )

    def _constrain(self, name: str, constraints: Entry, bypassed: list[str]) -> None:
        if self.problem is None:
            return
        for kind, rule in constraints.pairs():
            if rule.node.is_null:
                continue
            if kind == "dataspace":
                keep, bypass = _keep_and_bypass(rule, self._tensors)
                bypass += [t for t in bypassed if t not in bypass]
                self._target(
                    rule, name, "bypass", keep=_names(rule, keep), bypass=_names(rule, bypass)
                )
            elif kind == "temporal":
                self._loops(name, kind, rule)
            elif kind != "spatial":
                raise rule.refuse("expected spatial, temporal or dataspace")

    def _loops(self, level: str, kind: str, rule: Entry) -> None:
        """Add the constraints on a level's temporal or spatial loops."""
        assert self.problem is not None
        made: dict[str, Node] = {}
        factors = dict(self._factors(rule))
        if factors:
            made["factors"] = _text(rule, ",".join(f"{d}{v}" for d, v in factors.items()))
        permutation = rule.get("permutation")
        if permutation is not None:
            letters = permutation.names() if permutation.is_list else list(permutation.text())
            made["permutation"] = _text(permutation, "".join(x for x in letters if x.isalpha()))
        split = rule.get("split")
        if split is not None:
            if split.text().isdecimal():
                made["split"] = split.node
            else:
                _LOG.warning("%s = %s: is left out, expected a number", split.where, split.shown)
        for key in ("no_reuse", "no_link_transfer", "no_temporal_reuse", "no_multicast"):
            names = rule.get(key)
            if names is not None:
                made[key] = names.node
        for key in _LEFT_OUT:
            entry = rule.get(key)
            if entry is not None:
                _LOG.warning("%s: is left out, so that a search sees more mappings", entry.where)
        if made:
            self._target(rule, level, kind, **made)

    def _factors(self, rule: Entry) -> Iterator[tuple[str, str]]:
        """Yield dimension and relation (``=4``, ``<=4``) of all a constraint's factors."""
        assert self.problem is not None
        listed: set[str] = set()
        for key in ("factors", "factors_only"):
            entry = rule.get(key)
            if entry is None:
                continue
            text = " ".join(entry.names()) if entry.is_list else entry.text()
            for name, relation, number in _FACTOR.findall(text):
                if name not in self.problem.dimensions:
                    known = ", ".join(self.problem.dimensions)
                    raise entry.fail(f"unknown dimension '{name}', expected one of {known}")
                listed.add(name)
                if relation in (">", ">="):
                    raise entry.fail("lower bounds of factors are not supported")
                least = {"<": f"<={int(number) - 1}"}.get(relation)
                yield name, least or f"{relation or '='}{number}"
        only = rule.get("factors_only")
        if only is None and "factors_only" in rule.mapping():
            only = rule
        for d in self._forbidden(rule, all_others=only is not None):
            if d not in listed:
                yield d, "=1"

    def _forbidden(self, rule: Entry, *, all_others: bool) -> Iterator[str]:
        """Yield the dimensions that may not be iterated over at all."""
        assert self.problem is not None
        shape = self.problem.shape
        uses = {
            space.name: {term.dimension for row in space.projection for term in row}
            for space in shape.data_spaces
        }
        not_over, over = (
            rule.get("no_iteration_over_dataspaces"),
            rule.get("must_iterate_over_dataspaces"),
        )
        barred = set().union(*(uses.get(t, set()) for t in not_over.names())) if not_over else set()
        wanted = set().union(*(uses.get(t, set()) for t in over.names())) if over else None
        for d in shape.dimensions:
            if all_others or d in barred or (wanted is not None and d not in wanted):
                yield d

    def _target(self, place: Entry, level: str, kind: str, **content: Node) -> None:
        rule = {"target": _text(place, level), "type": _text(place, kind), **content}
        self.targets.append(Node(rule, place.node.source, place.node.line))

    def _size(self, entry: Entry, key: str) -> int:
        found = entry.get(key)
        if found is None:
            return 1
        return Entry(self._value(found, self.inherited), found.path).integer(1)

    def _values(self, attributes: Entry, around: dict[str, Node]) -> dict[str, Node]:
        """Return attributes with arithmetic worked out, over those around and before them."""
        values: dict[str, Node] = {}
        for key, entry in attributes.pairs():
            values[key] = self._value(entry, {**around, **values})
        return values

    def _value(self, entry: Entry, around: dict[str, Node]) -> Node:
        node = entry.node
        if not isinstance(node.value, str) or not node.plain or node.is_null:
            return node
        if _plain_number(node.value) is not None:
            return node
        numbers: dict[str, Number] = {}
        for name, other in {**self.variables, **around}.items():
            number = _plain_number(other.value) if isinstance(other.value, str) else None
            if number is not None:
                numbers[name] = number
        try:
            value = Expression(node.value).value(numbers)
        except SpecError:
            # a word, such as a technology, or arithmetic of Accelergy's; readers judge it
            return node
        text = str(int(value)) if value == int(value) else repr(value)
        return Node(text, node.source, node.line)


def _kept(entry: Entry, tensors: Sequence[str]) -> Iterator[str]:
    """Yield the data spaces that a node or one inside it keeps."""
    constraints = entry.get("constraints")
    rule = constraints.get("dataspace") if constraints is not None else None
    if rule is not None:
        yield from _keep_and_bypass(rule, tensors)[0]
    nodes = entry.get("nodes")
    for child in nodes.items() if nodes is not None else []:
        yield from _kept(child, tensors)


def _keep_and_bypass(rule: Entry, tensors: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the data spaces that a level must keep and must bypass."""
    lists: dict[str, list[str] | None] = {}
    for key in ("keep", "bypass", "keep_only", "bypass_only"):
        entry = rule.get(key)
        names = entry.names() if entry is not None else ([] if key in rule.mapping() else None)
        lists[key] = list(tensors) if names and "*" in names else names
        for name in lists[key] or ():
            if tensors and name not in tensors:
                assert entry is not None
                raise entry.fail(f"unknown data space '{name}', expected {', '.join(tensors)}")
    keep, bypass = lists["keep"] or [], lists["bypass"] or []
    only, not_only = lists["keep_only"], lists["bypass_only"]
    if only is not None:
        keep, bypass = keep + only, bypass + [t for t in tensors if t not in only]
    if not_only is not None:
        keep, bypass = keep + [t for t in tensors if t not in not_only], bypass + not_only
    return keep, bypass


def _plain_number(text: object) -> Number | None:
    try:
        return int(str(text))
    except ValueError:
        pass
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _map(place: Entry, **content: Node) -> Node:
    return Node(content, place.node.source, place.node.line)


def _list(place: Entry, items: Sequence[Node]) -> Node:
    return Node(list(items), place.node.source, place.node.line)


def _text(place: Entry, text: str) -> Node:
    return Node(text, place.node.source, place.node.line)


def _names(place: Entry, names: Sequence[str]) -> Node:
    return _list(place, [_text(place, name) for name in names])
