"""The jinja2 templates of timeloopfe projects: rendered elsewhere, put together here.

``sandbox`` renders them in a process with limits; here their texts are parsed, and what they
include is put where its marks are.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dse.errors import SpecError, ToolError, unknown_name
from dse.process.limits import Limits
from dse.process.run import communicate
from dse.timeloop.yaml import sandbox
from dse.timeloop.yaml.nodes import Node
from dse.timeloop.yaml.parse import MAX_DEPTH, MAX_NODES, parse, refuse_libconfig

#: Seconds of processor time for all templates of an input; legitimate ones take 0.1.
_CPU_S = 3
_LIMITS = Limits(
    timeout_s=60.0,
    memory_bytes=2**29,
    cpu_s=2 * _CPU_S,  # the template is stopped, and its line told, at half of it
    file_bytes=0,
    # as JSON, a character takes six bytes at worst
    output_bytes=2 * 6 * sandbox.MOST_BYTES,
    processes=0,
)
_MARK = re.compile(sandbox.MARK.format(r"(\d+)") + r"\Z")


def rendered(
    templates: Sequence[tuple[Path, bytes]],
    values: Mapping[str, object],
    roots: Sequence[Path],
    search: Sequence[Path],
    mentioned: set[str],
) -> list[Node]:
    """Return the nodes of templates, with what they include.

    Args:
        templates: paths, and what the files hold.
        values: the variables that the templates may use: plain data.
        roots: folders in which included files may lie.
        search: folders in which they are looked for at last.
        mentioned: gets the variables that templates mention.

    Raises:
        SpecError: one cannot be rendered or parsed, is too much work, or includes what it may not.
    """
    question = {
        "templates": [
            [str(path), data.decode(errors="surrogateescape")] for path, data in templates
        ],
        "values": _plain("template variables", values),
        "roots": [str(folder.resolve()) for folder in roots],
        "search": [str(folder.resolve()) for folder in search],
        "cpu_s": _CPU_S,
    }
    answer = _asked(question, str(templates[0][0]))
    if "error" in answer:
        raise SpecError(answer["error"].encode(errors="backslashreplace").decode())
    mentioned |= set(answer["mentioned"])
    filler = _Filler()
    for entry in answer["included"]:
        filler.include(**entry)
    return [
        filler.node(path, text) for (path, _), text in zip(templates, answer["texts"], strict=True)
    ]


def check_used(values: Iterable[str], mentioned: Collection[str]) -> None:
    """Refuse variables that no template mentions.

    Raises:
        SpecError: naming the first, and the variable that was probably meant.
    """
    for name in values:
        if name not in mentioned:
            known = f": {unknown_name('variable', name, mentioned)}" if mentioned else ""
            raise SpecError(f"-D {name}: no template uses it{known}")


def _asked(question: dict[str, object], first: str) -> dict[str, Any]:
    """Have the sandbox answer."""
    folders = {Path(_place(name)).parent.parent for name in ("jinja2", "markupsafe")}
    script = str(Path(sandbox.__file__).resolve())
    command = [sys.executable, "-I", "-S", "-B", script, *map(str, sorted(folders))]
    try:
        report, printed = communicate(
            command, _LIMITS, None, os.environ, json.dumps(question).encode() + b"\n"
        )
    except ToolError as error:
        raise SpecError(f"{first}: is a template, which cannot be rendered: {error}") from error
    if report.stopped or (report.status or 0) < 0:
        raise SpecError(
            f"{first}: the template takes more than {_CPU_S} s of processor time or "
            f"{(_LIMITS.memory_bytes or 0) >> 20} MB of memory to render"
        )
    try:
        answer: dict[str, Any] = json.loads(printed.partition("\n")[0])
    except ValueError as error:
        why = report.failed or printed.strip().rpartition("\n")[2] or f"status {report.status}"
        raise SpecError(f"{first}: is a template, which cannot be rendered: {why}") from error
    return answer


def _place(module: str) -> str:
    found = find_spec(module)
    if found is None or found.origin is None:
        raise SpecError("this Timeloop project is a jinja2 template: install jinja2 to read it")
    return found.origin


def _plain(name: str, value: object) -> Any:  # noqa: ANN401
    """Return plain data; SpecError for anything else."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(f"{name}.{key}", part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(f"{name}[{index}]", part) for index, part in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise SpecError(
        f"{name}: is a {type(value).__name__}, expected numbers, texts, and lists and maps of them"
    )


class _Filler:
    """Parses texts, and puts included nodes where their marks are."""

    def __init__(self) -> None:
        self._included: list[Node] = []
        # by id: nodes, kept so that no other gets the id, what they have grown by, and their depth
        self._filled: dict[int, tuple[Node, int, int]] = {}

    def include(
        self, parts: Sequence[tuple[str, str]], key: str, name: str, source: str, form: str
    ) -> None:
        """Take the next entry of what is included; marks in it are of entries before it.

        Args:
            parts: paths and texts.
            key: dotted path of what is wanted of each; empty: all of it.
            name: what the template calls it.
            source: the template.
            form: ``one`` part, or all ``joined`` to one list or map, or ``listed``.
        """
        nodes = [
            _at(self.node(Path(path), text), key, name if form == "one" else path)
            for path, text in parts
        ]
        if form == "listed":
            made = Node(nodes, source, 1, size=1 + sum(node.size for node in nodes))
        else:
            made = _joined(nodes, source) if form == "joined" else nodes[0]
        if form != "one":
            self._filled[id(made)] = made, 0, 1 + max(map(self._depth, nodes), default=0)
        self._included.append(made)

    def node(self, path: Path, text: str) -> Node:
        """Return the nodes of a text."""
        refuse_libconfig(path)
        root = parse(str(path), text.encode(errors="surrogateescape"), MAX_NODES)
        if root is None:
            raise SpecError(f"{path}: the file is empty, expected Timeloop YAML")
        root, _, depth = self._fill(root)
        if root.size > MAX_NODES or depth > MAX_DEPTH:
            raise SpecError(
                f"{path}: more than {MAX_NODES} YAML nodes, or deeper than {MAX_DEPTH} levels, "
                "with all that it includes"
            )
        return root

    def _fill(self, node: Node) -> tuple[Node, int, int]:
        """Return the node with all marks replaced, by how much it has grown, and its depth."""
        value = node.value
        if isinstance(value, str):
            # a text that only looks like a mark may have any number
            number = int(mark[1]) if (mark := _MARK.match(value)) else len(self._included)
            if number >= len(self._included):
                return node, 0, 1
            there = self._included[number]
            return there, there.size - node.size, self._depth(there)
        if id(node) not in self._filled:  # else it is aliased
            growth, depth = 0, 0
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                value[key], more, below = self._fill(item)  # type: ignore[index]
                growth, depth = growth + more, max(depth, below)
            node.size += growth
            self._filled[id(node)] = node, growth, depth + 1
        return self._filled[id(node)]

    def _depth(self, node: Node) -> int:
        return self._filled[id(node)][2] if id(node) in self._filled else 1


def _at(node: Node, key: str, source: str) -> Node:
    """Return what lies under a dotted key."""
    for step in key.split(".") if key else []:
        if isinstance(node.value, dict) and step in node.value:
            node = node.value[step]
        elif isinstance(node.value, list) and step.isdecimal() and int(step) < len(node.value):
            node = node.value[int(step)]
        else:
            raise SpecError(f"{source}: has no key '{key}', which an include names")
    return node


def _joined(parts: list[Node], source: str) -> Node:
    """Join lists to one list, or maps to one map."""
    size = 1 + sum(part.size for part in parts)
    if parts and all(isinstance(part.value, dict) for part in parts):
        merged: dict[str, Node] = {}
        for part in parts:
            assert isinstance(part.value, dict)
            merged.update(part.value)
        return Node(merged, source, 1, size=size)
    items: list[Node] = []
    for part in parts:
        items += part.value if isinstance(part.value, list) else [part]
    return Node(items, source, 1, size=size)
