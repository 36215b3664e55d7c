"""The values of scalars in timeloopfe's input: arithmetic over variables and attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dse.domain.formula import Datum, worked_out
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.timeloop.yaml.nodes import Entry, Node


def with_values(root: Entry) -> Entry:
    """Return an input with its variables worked out, and with them its problem's instance.

    That is timeloopfe's: an input whose architecture has no nodes is returned as it is. Variables
    may be a list of maps, of which the first that has a name counts.
    """
    given = root.mapping().get("variables")
    architecture = root.get("arch", "architecture")
    if architecture is None or not architecture.is_map or architecture.get("nodes") is None:
        return root
    if given is None or not isinstance(given.value, (dict, list)):
        return root
    variables = evaluated(_joined(given))
    table = root.mapping()
    problem = root.get("problem")
    instance = problem.get("instance") if problem is not None and problem.is_map else None
    if problem is not None and instance is not None and instance.is_map:
        bounds = {key: value_of(entry.node, variables) for key, entry in instance.pairs()}
        content = {**problem.mapping(), "instance": _like(instance.node, bounds)}
        table = {**table, "problem": _like(problem.node, content)}
    node = _like(root.node, {**table, "variables": _like(given, variables)})
    return Entry(node, root.path, variables)


def _like(node: Node, content: dict[str, Node]) -> Node:
    return Node(content, node.source, node.line, size=node.size, tag=node.tag)


def _joined(node: Node) -> dict[str, Node]:
    if isinstance(node.value, dict):
        return node.value
    found: dict[str, Node] = {}
    for item in node.value if isinstance(node.value, list) else []:
        for name, value in _joined(item).items():
            found.setdefault(name, value)
    return found


def evaluated(variables: dict[str, Node]) -> dict[str, Node]:
    """Return the variables with arithmetic worked out, each over those before it."""
    found: dict[str, Node] = {}
    for name, node in variables.items():
        found[name] = value_of(node, found)
    return found


def value_of(node: Node, around: dict[str, Node], spec: dict[str, Datum] | None = None) -> Node:
    """Return a scalar's value over the names around; itself where it has none.

    That is a word, such as a technology, or arithmetic beyond ours; readers judge it. ``spec`` is
    what arithmetic knows of the input by that name.
    """
    if not isinstance(node.value, str) or not node.plain or node.is_null:
        return node
    try:
        names = {name: known for name, n in around.items() if (known := _known(n)) != ()}
        value = worked_out(node.value, {"spec": spec, **names} if spec else names)
    except SpecError:
        return node
    if isinstance(value, (tuple, Mapping)) or (isinstance(value, float) and math.isnan(value)):
        return node
    if isinstance(value, str):
        return Node(value, node.source, node.line, plain=False)
    if isinstance(value, bool):
        return Node(str(value).lower(), node.source, node.line)
    whole = abs(value) < float("inf") and value == int(value)
    return Node(str(int(value)) if whole else repr(value), node.source, node.line)


def spec_of(problem: Problem, variables: dict[str, Node]) -> dict[str, Datum]:
    """Return what arithmetic may ask of the whole input, by timeloopfe's names."""
    shape = {"dimensions": problem.dimensions, "data_spaces": problem.tensors}
    instance = {**problem.bounds, **problem.coefficients}
    known = {name: _known(node) for name, node in variables.items()}
    return {"problem": {"instance": instance, "shape": shape}, "variables": known}


def _known(node: Node) -> Datum:
    """Return what a node stands for in arithmetic; an empty tuple: nothing."""
    if isinstance(node.value, list):
        return tuple(_known(item) for item in node.value)
    if not isinstance(node.value, str) or node.is_null:
        return ()
    if node.plain and node.value in ("True", "true", "False", "false"):
        return node.value.lower() == "true"
    number = plain_number(node.value) if node.plain else None
    return node.value if number is None else number


def plain_number(text: object) -> int | float | None:
    """Return the number that a text is; None: it is none, or not finite."""
    try:
        return int(str(text))
    except ValueError:
        pass
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
