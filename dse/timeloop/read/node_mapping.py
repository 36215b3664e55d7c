"""Mappings for timeloopfe's nodes, as the flat architecture needs them.

There, a mapping's directives and the constraints inside the nodes say the same kind of thing and
are joined; a spatial directive names the node that fans out. Timeloop wants one directive per
level and type, and the spatial loops at the level in front of that node.
"""

from __future__ import annotations

import re

from dse.timeloop.yaml.nodes import Entry, Node

_KINDS = {"dataspace": "bypass", "datatype": "bypass"}
_EXACT = re.compile(r"([A-Za-z]+)\s*=?\s*([0-9]+(?:,[0-9]+)?)")
_LISTS = ("keep", "bypass", "no_reuse", "no_link_transfer", "no_temporal_reuse", "no_multicast")
_RULES = (*_LISTS, "permutation", "split")


def flat_mapping(mapping: Entry, targets: list[Node], levels: set[str]) -> Node:
    """Return the mapping with the nodes' constraints joined in.

    Args:
        mapping: the directives.
        targets: the constraints of the flattened architecture.
        levels: names of its components.
    """
    joined: dict[tuple[str, str], dict[str, Node]] = {}
    for target in targets:
        _join(joined, Entry(target), levels, constraint=True)
    for directive in mapping.items("expected a list of directives"):
        _join(joined, directive, levels, constraint=False)
    return Node(
        [Node(content, mapping.node.source, content["target"].line) for content in joined.values()],
        mapping.node.source,
        mapping.node.line,
    )


def _join(
    joined: dict[tuple[str, str], dict[str, Node]],
    directive: Entry,
    levels: set[str],
    *,
    constraint: bool,
) -> None:
    if not directive.is_map:
        raise directive.fail("expected a directive: a map with target and type")
    target = directive.need("target", "a node of the architecture")
    kind_entry = directive.need("type", "temporal, spatial or dataspace")
    kind = _KINDS.get(kind_entry.text(), kind_entry.text())
    name = target.text()
    in_front = f"inter_{name}_spatial"
    if kind == "spatial" and in_front in levels:
        name = in_front
    place = target.node

    def text(value: str) -> Node:
        return Node(value, place.source, place.line)

    content = joined.setdefault((name, kind), {"target": text(name), "type": text(kind)})
    for key, entry in directive.pairs():
        if key in ("target", "type"):
            continue
        if key == "factors":
            factors = dict(_factors(content.get("factors")))
            factors.update(_factors(entry.node, exact=constraint))
            content[key] = text(" ".join(f"{d}={n}" for d, n in factors.items()))
        elif key == "permutation" and entry.is_list:
            content[key] = text("".join(entry.names()))
        elif key in _RULES or not constraint:
            content[key] = entry.node


def _factors(node: Node | None, *, exact: bool = False) -> list[tuple[str, str]]:
    """Return dimension and factor; with ``exact``, upper bounds are passed over."""
    if node is None:
        return []
    words = [str(node.value)]
    if isinstance(node.value, list):
        words = [str(x.value) for x in node.value]
        for item, word in zip(node.value, words, strict=True):
            if word.isdecimal():
                raise Entry(item).fail(
                    "expected a dimension's factor, with a remainder in quotes: 'P=4,2'"
                )
    text = " ".join(words).partition("#")[0]
    if exact:
        text = re.sub(r"[A-Za-z]+\s*<=\s*[0-9]+", " ", text)
    return _EXACT.findall(text)
