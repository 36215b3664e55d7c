"""Timeloop's files as a tree that Python code reads and changes: keys are attributes, too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from dse.errors import SpecError, unknown_name
from dse.timeloop.yaml.nodes import Node

#: Where in the files a part of the tree stood: its file, its line, its tag.
_Origin = tuple[str, int, str]
_NEW: _Origin = ("specification", 0, "")
_DECIMAL = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]+)?", re.ASCII)


class Map(dict[str, Any]):
    """A map of a file; ``tree.key`` is ``tree["key"]``, of keys that there are.

    Some begin empty where they are missing: those in ``_absent``, and the parts of timeloopfe's
    nodes.
    """

    #: What makes a part that is missing.
    _absent: ClassVar[Mapping[str, Callable[[], Any]]] = {}

    def __init__(self, content: dict[str, Any] | None = None, place: _Origin = _NEW) -> None:
        super().__init__(content or {})
        object.__setattr__(self, "_origin", place)

    def __getattr__(self, key: str) -> Any:  # noqa: ANN401 - whatever the file holds
        if key in self:
            return self[key]
        if key.startswith("_"):
            raise AttributeError(key)
        if key in self._makers():
            return self[key]
        raise AttributeError(f"{place_of(self)}: {unknown_name('key', key, self)}")

    def __missing__(self, key: str) -> Any:  # noqa: ANN401 - a map or a list
        made = self._makers().get(key)
        if made is None:
            raise KeyError(key)
        self[key] = made()
        return self[key]

    def _makers(self) -> Mapping[str, Callable[[], Any]]:
        tag = getattr(self, "_origin", _NEW)[2]
        return _OF_NODES if tag in _NODES else self._absent

    def __setattr__(self, key: str, value: object) -> None:
        self[key] = value

    def find(self, name: str) -> Any:  # noqa: ANN401
        """Return the first map below (or this one) whose ``name`` is that, ranges left aside.

        Raises:
            SpecError: there is none; the message lists the names there are.
        """
        known = []
        for one in _maps(self):
            own = str(one.get("name", "")).partition("[")[0]
            if own == name:
                return one
            known += [own] if own else []
        raise SpecError(f"{place_of(self)}: {unknown_name('name', name, known)}")


class _NodeConstraints(Map):
    """The constraints of a node of timeloopfe's."""

    _absent: ClassVar = dict.fromkeys(("temporal", "spatial", "dataspace"), Map)


_NODES = ("!Component", "!Container")
_OF_NODES: Mapping[str, Callable[[], Any]] = {
    "attributes": Map,
    "constraints": _NodeConstraints,
    "spatial": lambda: Map({"meshX": 1, "meshY": 1}),
}


class List(list[Any]):
    """A list of a file."""

    def __init__(self, content: list[Any] | None = None, place: _Origin = _NEW) -> None:
        super().__init__(content or [])
        self._origin = place

    find = Map.find


def _maps(tree: object) -> Iterator[Map]:
    if isinstance(tree, Map):
        yield tree
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for child in children:
        yield from _maps(child)


def place_of(tree: object) -> str:
    """Return ``file:line`` of a part of the tree."""
    source, line, _ = getattr(tree, "_origin", _NEW)
    return f"{source}:{line}"


def tree_of(node: Node) -> Any:  # noqa: ANN401
    """Return a node as a tree: maps, lists, and scalars of the types that YAML gives them."""
    place = (node.source, node.line, node.tag)
    if isinstance(node.value, dict):
        content = {key: tree_of(child) for key, child in node.value.items()}
        if node.tag in _NODES and isinstance(content.get("constraints"), Map):
            found = content["constraints"]
            content["constraints"] = _NodeConstraints(found, found._origin)
        return Map(content, place)
    if isinstance(node.value, list):
        return List([tree_of(child) for child in node.value], place)
    return _scalar(node)


class _Text(str):
    """A scalar of a file that is text; it remembers how it was written."""

    __slots__ = ("node",)
    node: Node


def _scalar(node: Node) -> Any:  # noqa: ANN401
    text = str(node.value)
    if node.is_null:
        return None
    if node.plain:
        if _DECIMAL.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    found = _Text(text)
    found.node = node
    return found


def node_of(tree: object, place: _Origin = _NEW, path: str = "") -> Node:
    """Return a tree as a node, for the readers of Timeloop's files.

    Raises:
        SpecError: something in it is no plain data.
    """
    place = getattr(tree, "_origin", place)
    source, line, tag = place
    if isinstance(tree, dict):
        made = {str(k): node_of(v, (source, line, ""), f"{path}.{k}") for k, v in tree.items()}
        return Node(made, source, line, size=1 + sum(n.size for n in made.values()), tag=tag)
    if isinstance(tree, (list, tuple)):
        items = [node_of(v, (source, line, ""), f"{path}[{i}]") for i, v in enumerate(tree)]
        return Node(items, source, line, size=1 + sum(n.size for n in items), tag=tag)
    if isinstance(tree, _Text):
        return tree.node
    if tree is None:
        return Node("", source, line)
    if isinstance(tree, bool):
        return Node("true" if tree else "false", source, line)
    number = tree.item() if hasattr(tree, "item") else tree  # numpy's scalars
    if isinstance(number, (int, float)):
        return Node(repr(number), source, line)
    if isinstance(number, str):
        return Node(number, source, line, plain=bool(number))
    raise SpecError(
        f"{source}: {path.lstrip('.')} = {tree!r}: expected maps, lists, numbers and text"
    )
