"""YAML nodes that know their file, line and key path, and turn into values on demand.

Scalars stay text until a reader asks for a number, so that Timeloop's own rules apply to them
(``1e-9`` is a number, ``0x10`` an integer) and not those of YAML 1.1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dse.errors import SpecError

_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUE = {"y", "yes", "true", "on"}
_FALSE = {"n", "no", "false", "off"}
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z", re.ASCII)
#: Numbers beyond this would overflow in sums of energies.
_LARGEST = 1e100
_INFINITE = re.compile(r"([+-]?)\.(inf|Inf|INF)\Z")


@dataclass(slots=True)
class Node:
    """One YAML node: ``value`` is text, a list of nodes, or a dict of nodes by key.

    ``tag`` is one of timeloopfe's, such as ``!Container``, or empty.
    """

    value: str | list[Node] | dict[str, Node]
    source: str
    line: int
    plain: bool = True
    size: int = 1
    tag: str = ""

    @property
    def is_null(self) -> bool:
        """Whether this is an empty or null scalar."""
        return self.plain and isinstance(self.value, str) and self.value in _NULLS


@dataclass(frozen=True, slots=True)
class Entry:
    """A node at a key path. Readers walk entries, so that every error can name its place."""

    node: Node
    path: str = ""
    variables: dict[str, Node] | None = None

    @property
    def where(self) -> str:
        """``file:line: key.path``; without the line where it is not known."""
        line = f":{self.node.line}" if self.node.line else ""
        place = self.node.source + line
        return f"{place}: {self.path}" if self.path else place

    def fail(self, expected: str) -> SpecError:
        """Return the error that this value is not what was expected."""
        return SpecError(f"{self.where} = {self.shown}: {expected}")

    def refuse(self, why: str) -> SpecError:
        """Return the error that this key is there at all."""
        return SpecError(f"{self.where}: {why}")

    @property
    def shown(self) -> str:
        """The value, short enough for a message."""
        value = self.node.value
        if isinstance(value, list):
            return f"a list of {len(value)}"
        if isinstance(value, dict):
            return f"a map of {len(value)}"
        return repr(value if len(value) <= 80 else value[:77] + "...")

    @property
    def is_map(self) -> bool:
        """Whether this is a mapping."""
        return isinstance(self.node.value, dict)

    @property
    def is_list(self) -> bool:
        """Whether this is a sequence."""
        return isinstance(self.node.value, list)

    @property
    def is_scalar(self) -> bool:
        """Whether this is a scalar other than null."""
        return isinstance(self.node.value, str) and not self.node.is_null

    def mapping(self) -> dict[str, Node]:
        """Return the nodes by key; an error when this is no mapping."""
        if isinstance(self.node.value, dict):
            return self.node.value
        raise self.fail("expected a map (key: value)")

    def get(self, *names: str) -> Entry | None:
        """Return the entry of the first name that is there and not null.

        A name with underscores also finds the key with hyphens.
        """
        table = self.mapping()
        for name in names:
            for key in (name, name.replace("_", "-")) if "_" in name else (name,):
                node = table.get(key)
                if node is not None and not node.is_null:
                    return self._child(node, f".{key}" if self.path else key)
        return None

    def without(self, *names: str) -> Entry:
        """Return the mapping without these keys."""
        table = {key: node for key, node in self.mapping().items() if key not in names}
        size = 1 + sum(node.size for node in table.values())
        node = Node(table, self.node.source, self.node.line, size=size, tag=self.node.tag)
        return Entry(node, self.path, self.variables)

    def need(self, name: str, expected: str) -> Entry:
        """Return the entry of a key that must be there."""
        found = self.get(name)
        if found is None:
            raise self.refuse(f"key '{name}' is missing, expected {expected}")
        return found

    def pairs(self) -> Iterator[tuple[str, Entry]]:
        """Iterate over a mapping's keys and entries."""
        for key, node in self.mapping().items():
            yield key, self._child(node, f".{key}" if self.path else key)

    def items(self, expected: str = "expected a list") -> list[Entry]:
        """Return the entries of a sequence."""
        if not isinstance(self.node.value, list):
            raise self.fail(expected)
        return [self._child(node, f"[{i}]") for i, node in enumerate(self.node.value)]

    def text(self, expected: str = "expected a name") -> str:
        """Return a scalar as text; a name under ``variables`` stands for its value."""
        if not self.is_scalar:
            raise self.fail(expected)
        value = str(self.node.value)
        replacement = self._variable(value)
        return value if replacement is None else replacement

    def names(self, expected: str = "expected a list of names") -> list[str]:
        """Return a sequence of scalars as text; null counts as empty."""
        if self.node.is_null:
            return []
        return [item.text(expected) for item in self.items(expected)]

    def integer(self, low: int = 0, high: int = 2**32 - 1) -> int:
        """Return an integer in [low, high]; decimal, ``0x`` hexadecimal or ``0`` octal."""
        expected = f"expected an integer of at least {low}"
        text = self._scalar(expected)
        for candidate in (text, self._variable(text)):
            if candidate is None or len(candidate) > 40 or not _INTEGER.match(candidate):
                continue
            digits = candidate.lstrip("+-")
            base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
            try:
                value = int(candidate, base)
            except ValueError:
                continue
            if value < low:
                raise self.fail(expected)
            if value > high:
                raise self.fail(f"expected an integer of at most {high}")
            return value
        raise self.fail(expected)

    def number(self, low: float = -math.inf, *, above: bool = False) -> float:
        """Return a float of at least ``low`` (``above``: more than ``low``)."""
        expected = "expected a number"
        if low != -math.inf:
            expected += f" {'above' if above else 'of at least'} {low:g}"
        text = self._scalar(expected)
        for candidate in (text, self._variable(text)):
            value = None if candidate is None else _float(candidate)
            if value is None:
                continue
            if value < low or (above and value == low):
                raise self.fail(expected)
            if not abs(value) <= _LARGEST:
                raise self.fail(f"{expected}, at most {_LARGEST:g}")
            return value
        raise self.fail(expected)

    def boolean(self) -> bool:
        """Return true or false in any of YAML's spellings."""
        text = self._scalar("expected true or false")
        for candidate in (text, self._variable(text)):
            if candidate is not None and candidate.lower() in _TRUE | _FALSE:
                return candidate.lower() in _TRUE
        raise self.fail("expected true or false")

    def _child(self, node: Node, step: str) -> Entry:
        return Entry(node, self.path + step, self.variables)

    def _scalar(self, expected: str) -> str:
        if not self.is_scalar:
            raise self.fail(expected)
        return str(self.node.value)

    def _variable(self, name: str) -> str | None:
        node = (self.variables or {}).get(name)
        return node.value if node is not None and isinstance(node.value, str) else None


def plain_entry(value: object, source: str, path: str) -> Entry:
    """Return an entry of what another reader has made of a file: texts, numbers, lists and maps.

    Args:
        value: plain data.
        source: the file's name, for messages.
        path: where in the file it stands.
    """
    return Entry(_plain_node(value, source), path)


def _plain_node(value: object, source: str) -> Node:
    made: str | list[Node] | dict[str, Node]
    if isinstance(value, dict):
        made = {str(key): _plain_node(item, source) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        made = [_plain_node(item, source) for item in value]
    elif isinstance(value, bool):
        made = str(value).lower()
    else:
        made = "" if value is None else str(value)
    return Node(made, source, 0)


def _float(text: str) -> float | None:
    if len(text) <= 400 and _FLOAT.match(text):
        return float(text)
    infinite = _INFINITE.match(text)
    if infinite:
        return -math.inf if infinite[1] == "-" else math.inf
    return None
