"""YAML texts in, as nodes; bounded in size, depth and time.

Nothing in a file is executed: tags other than the plain YAML types are refused.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dse.errors import SpecError
from dse.timeloop.yaml.nodes import Node
from dse.timeloop.yaml.sandbox import SUFFIXES as TEMPLATES

_LOG = logging.getLogger(__name__)

#: Suffix of files in libconfig, and of all input files.
LIBCONFIG = ".cfg"
SUFFIXES = (".yaml", ".yml", *TEMPLATES, LIBCONFIG)
#: Deepest nesting accepted; Timeloop's own files stay below 30.
MAX_DEPTH = 100
#: Most nodes accepted over all files of one input, aliases counted as what they expand to.
MAX_NODES = 300_000
#: Largest input accepted, in bytes.
MAX_BYTES = 64 * 2**20

#: Most keys of a file that may be given twice: Timeloop reads the first, without a word.
_MOST_TWICE = 20

_PLAIN_TAGS = {f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null")}
#: Tags of timeloopfe's input form; the nodes keep them.
_NODE_TAGS = {
    "!Component",
    "!Compute",
    "!Container",
    "!Hierarchical",
    "!Network",
    "!Nothing",
    "!Parallel",
    "!Pipelined",
    "!Storage",
    "!nomerge",
}


def read_bytes(path: Path) -> bytes:
    """Return a file's content; SpecError when it is missing, too large or cannot be read."""
    if path.is_dir():
        raise SpecError(f"{path}: is a directory, expected a YAML file")
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


def refuse_libconfig(path: Path) -> None:
    """Raise SpecError for a file to include whose name says that it is no YAML."""
    if path.suffix == LIBCONFIG:
        raise SpecError(f"{path}: is libconfig, which templates cannot include, expected YAML")


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
class _OpenContainer:
    """A container that is being built: the pending key, and the maps to merge at its end."""

    node: Node
    anchor: str | None
    key: Node | None = None
    merges: list[Node] = field(default_factory=list)
    deep_merges: list[Node] = field(default_factory=list)


class _Builder:
    """Builds nodes from parser events, without recursion and within the bounds."""

    def __init__(self, source: str, budget: int) -> None:
        self.source = source
        self.budget = budget
        self.root: Node | None = None
        self._documents = 0
        self._twice = 0
        self._count = 0
        self._stack: list[_OpenContainer] = []
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
            for merged in frame.deep_merges:
                _merge_deep(frame.node, merged)
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
        tag = ""
        if event.tag is not None:
            plain = f"tag:yaml.org,2002:{'map' if is_map else 'seq'}"
            self._check_tag(event, {plain, *_NODE_TAGS})
            tag = "" if event.tag == plain else event.tag
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._spend(event, 1)
        node = Node({} if is_map else [], self.source, event.start_mark.line + 1, tag=tag)
        self._stack.append(_OpenContainer(node, event.anchor))
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

    def _put(self, frame: _OpenContainer, key: Node, node: Node) -> None:
        name, table = key.value, frame.node.value
        assert isinstance(name, str)
        assert isinstance(table, dict)
        if name in ("<<", "<<<") and key.plain:
            sources = node.value if isinstance(node.value, list) else [node]
            for source in sources:
                if not isinstance(source, Node) or not isinstance(source.value, dict):
                    raise SpecError(
                        f"{self.source}:{key.line}: '{name}' expects a map or a list of maps"
                    )
                (frame.merges if name == "<<" else frame.deep_merges).append(source)
        elif name in table:
            # yaml-cpp keeps both, and finds the first
            self._twice += 1
            if self._twice > _MOST_TWICE:
                raise SpecError(
                    f"{self.source}:{key.line}: key '{name[:80]}' is given twice, as "
                    f"{_MOST_TWICE} others are, expected each once"
                )
            _LOG.warning(
                "%s:%d: key '%s' is given twice, the first time in line %d; that one counts, as it "
                "does in Timeloop",
                self.source, key.line, name[:80], table[name].line,
            )  # fmt: skip
        else:
            table[name] = node

    def _check_tag(self, event: Any, accepted: set[str]) -> None:  # noqa: ANN401
        if event.tag in accepted:
            return
        known = " ".join(sorted(tag for tag in accepted if tag.startswith("!")))
        expected = f", expected one of {known}" if known and event.tag.startswith("!") else ""
        raise self._error(event, f"tag '{event.tag[:80]}' is not plain data{expected}")

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


def _merge_deep(node: Node, source: Node) -> None:
    """Merge maps key by key and append lists: timeloopfe's ``<<<``; ``!nomerge`` prevents it."""
    assert isinstance(node.value, dict)
    assert isinstance(source.value, dict)
    for name, value in source.value.items():
        own = node.value.setdefault(name, value)
        if own is value or own.tag == "!nomerge":
            continue
        if isinstance(own.value, dict) and isinstance(value.value, dict):
            # a copy: the map may be anchored and stand elsewhere too
            merged = Node(dict(own.value), own.source, own.line, tag=own.tag)
            _merge_deep(merged, value)
            node.value[name] = merged
        elif isinstance(own.value, list) and isinstance(value.value, list):
            node.value[name] = Node(own.value + value.value, own.source, own.line, tag=own.tag)
