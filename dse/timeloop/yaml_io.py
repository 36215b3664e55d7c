"""YAML in, as plain nodes that know file, line and key path; bounded in size, depth and time.

Scalars stay text until a reader asks for a number, so that Timeloop's own rules apply to them
(``1e-9`` is a number, ``0x10`` an integer) and not those of YAML 1.1. Nothing in a file is
executed: tags other than the plain YAML types are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dse.errors import SpecError

#: Deepest nesting accepted; Timeloop's own files stay below 30.
MAX_DEPTH = 100
#: Most nodes accepted over all files of one input, aliases counted as what they expand to.
MAX_NODES = 300_000
#: Largest input accepted, in bytes.
MAX_BYTES = 64 * 2**20

_PLAIN_TAGS = {f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null")}
_TIMELOOPFE_TAGS = {"!Component", "!Container", "!Hierarchical", "!Parallel", "!Pipelined"}
_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUE = {"y", "yes", "true", "on"}
_FALSE = {"n", "no", "false", "off"}
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z", re.ASCII)
_INFINITE = re.compile(r"([+-]?)\.(inf|Inf|INF)\Z")


@dataclass(slots=True)
class Node:
    """One YAML node: ``value`` is text, a list of nodes, or a dict of nodes by key."""

    value: str | list[Node] | dict[str, Node]
    source: str
    line: int
    plain: bool = True
    size: int = 1

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
        """``file:line: key.path``."""
        place = f"{self.node.source}:{self.node.line}"
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


def _float(text: str) -> float | None:
    if len(text) <= 400 and _FLOAT.match(text):
        return float(text)
    infinite = _INFINITE.match(text)
    if infinite:
        return -math.inf if infinite[1] == "-" else math.inf
    return None


def load_files(paths: Sequence[str | Path]) -> Entry:
    """Read YAML files and merge them on their top-level keys.

    Raises:
        SpecError: a file is missing, unreadable, no YAML, empty or too large, or two files have
            the same top-level key, with something under it in both.
    """
    if not paths:
        raise SpecError("no input files: expected Timeloop YAML files")
    return load_texts([(str(path), _read(Path(path))) for path in paths])


def load_texts(texts: Sequence[tuple[str, str | bytes]]) -> Entry:
    """Merge YAML texts, given as (name, text), on their top-level keys. See `load_files`."""
    merged: dict[str, Node] = {}
    first = None
    budget = MAX_NODES
    for source, text in texts:
        root = parse(source, text, budget)
        if root is None:
            raise SpecError(f"{source}: the file is empty, expected Timeloop YAML")
        if not isinstance(root.value, dict):
            raise Entry(root).fail("expected a map with keys such as architecture or problem")
        budget -= root.size
        first = first or root
        for key, node in root.value.items():
            # timeloopfe writes empty placeholders, as in "mapping: []"; they give way.
            if key in merged and not node.value:
                continue
            if key in merged and merged[key].value:
                raise SpecError(
                    f"{source}:{node.line}: top-level key '{key}' was given before, in "
                    f"{merged[key].source}:{merged[key].line}; expected it once"
                )
            merged[key] = node
    if first is None:
        raise SpecError("no input: expected Timeloop YAML")
    variables = merged.get("variables")
    table = variables.value if variables is not None else None
    return Entry(
        Node(merged, first.source, first.line), "", table if isinstance(table, dict) else None
    )


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise SpecError(f"{path}: is a directory, expected a YAML file")
    if path.suffix == ".cfg":
        raise SpecError(f"{path}: libconfig files are not supported, expected YAML")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise SpecError(f"{path}: no such file, expected a YAML file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpecError(f"{path}: cannot be read: {reason}") from error
    if len(data) > MAX_BYTES:
        raise SpecError(f"{path}: larger than {MAX_BYTES >> 20} MB, expected a Timeloop file")
    return data


def parse(source: str, text: str | bytes, budget: int = MAX_NODES) -> Node | None:
    """Parse one YAML document; None when there is none.

    Raises:
        SpecError: the text is not UTF-8, not YAML, not plain data, or too large or deep.
    """
    try:
        data = text.encode() if isinstance(text, str) else text
        data.decode()
    except UnicodeError as error:
        raise SpecError(f"{source}: not UTF-8 text ({error}), expected YAML") from error
    if len(data) > MAX_BYTES:
        raise SpecError(f"{source}: larger than {MAX_BYTES >> 20} MB, expected a Timeloop file")
    builder = _Builder(source, budget)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(data, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise SpecError(
            f"{source}{line}: not valid YAML: {error.problem or error.context}"
        ) from error
    except yaml.YAMLError as error:
        raise SpecError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error
    return builder.root


@dataclass(slots=True)
class _Frame:
    """A container that is being built: the pending key, and the maps to merge at its end."""

    node: Node
    anchor: str | None
    key: Node | None = None
    merges: list[Node] = field(default_factory=list)


class _Builder:
    """Builds nodes from parser events, without recursion and within the bounds."""

    def __init__(self, source: str, budget: int) -> None:
        self.source = source
        self.budget = budget
        self.root: Node | None = None
        self._documents = 0
        self._count = 0
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node | None] = {}

    def take(self, event: Any) -> None:  # noqa: ANN401 - yaml's events share no useful base
        """Take the next parser event."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._start(event, kind is yaml.MappingStartEvent)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            frame = self._stack.pop()
            for merged in frame.merges:
                _merge(frame.node, merged)
            if frame.anchor is not None:
                self._anchors[frame.anchor] = frame.node
            if self._stack and (key := self._stack[-1].key) is not None:
                frame.node.line = key.line  # where the reader looks, not where the value begins
            self._add(frame.node)
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                raise self._error(event, "a second document ('---'), expected one per file")

    def _scalar(self, event: Any) -> None:  # noqa: ANN401
        if event.tag is not None:
            self._check_tag(event, _PLAIN_TAGS)
        null = event.tag == "tag:yaml.org,2002:null"
        node = Node(
            "" if null else event.value,
            self.source,
            event.start_mark.line + 1,
            null or event.implicit[0],
        )
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._spend(event, 1)
        self._add(node)

    def _start(self, event: Any, is_map: bool) -> None:  # noqa: ANN401
        if event.tag is not None:
            self._check_tag(event, {f"tag:yaml.org,2002:{'map' if is_map else 'seq'}"})
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._spend(event, 1)
        node = Node({} if is_map else [], self.source, event.start_mark.line + 1)
        self._stack.append(_Frame(node, event.anchor))
        if len(self._stack) > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels")

    def _alias(self, event: Any) -> None:  # noqa: ANN401
        if event.anchor not in self._anchors:
            raise self._error(event, f"alias '*{event.anchor}' has no anchor")
        node = self._anchors[event.anchor]
        if node is None:
            raise self._error(event, f"alias '*{event.anchor}' contains itself")
        self._spend(event, node.size)
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self._stack:
            self.root = None if node.is_null else node
            return
        frame = self._stack[-1]
        frame.node.size += node.size
        container = frame.node.value
        if isinstance(container, list):
            container.append(node)
        elif frame.key is None:
            if not isinstance(node.value, str):
                raise SpecError(
                    f"{self.source}:{node.line}: a key is a list or a map, expected a name"
                )
            frame.key = node
        else:
            self._put(frame, frame.key, node)
            frame.key = None

    def _put(self, frame: _Frame, key: Node, node: Node) -> None:
        name, table = key.value, frame.node.value
        assert isinstance(name, str)
        assert isinstance(table, dict)
        if name == "<<" and key.plain:
            sources = node.value if isinstance(node.value, list) else [node]
            for source in sources:
                if not isinstance(source, Node) or not isinstance(source.value, dict):
                    raise SpecError(
                        f"{self.source}:{key.line}: '<<' expects a map or a list of maps"
                    )
                frame.merges.append(source)
        elif name in table:
            raise SpecError(
                f"{self.source}:{key.line}: key '{name[:80]}' is given twice (first in line "
                f"{table[name].line}), expected it once"
            )
        else:
            table[name] = node

    def _check_tag(self, event: Any, accepted: set[str]) -> None:  # noqa: ANN401
        if event.tag in accepted:
            return
        hint = (
            "; this is timeloopfe's input form, expected the flat form that timeloopfe writes"
            if event.tag in _TIMELOOPFE_TAGS
            else ""
        )
        raise self._error(event, f"tag '{event.tag[:80]}' is not plain data{hint}")

    def _spend(self, event: Any, nodes: int) -> None:  # noqa: ANN401
        self._count += nodes
        if self._count > self.budget:
            raise self._error(
                event,
                f"more than {MAX_NODES} YAML nodes (aliases counted as what they stand for)",
            )

    def _error(self, event: Any, problem: str) -> SpecError:  # noqa: ANN401
        return SpecError(f"{self.source}:{event.start_mark.line + 1}: {problem}")


def _merge(node: Node, source: Node) -> None:
    """Add the keys of ``source`` that ``node`` does not have itself (YAML's ``<<``)."""
    assert isinstance(node.value, dict)
    assert isinstance(source.value, dict)
    for name, value in source.value.items():
        node.value.setdefault(name, value)
