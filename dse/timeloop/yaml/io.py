"""YAML files of a Timeloop project in, merged into one tree of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dse.errors import SpecError
from dse.timeloop.yaml.nodes import Entry, Node
from dse.timeloop.yaml.parse import MAX_NODES, parse, read_bytes
from dse.timeloop.yaml.render import Renderer, is_template

#: Top-level keys that every file of a project may have: Accelergy's, which the model ignores.
_REPEATABLE = {"components", "compound_components", "globals"}


def load_files(paths: Sequence[str | Path], values: Mapping[str, object] | None = None) -> Entry:
    """Read YAML files and merge them on their top-level keys.

    Args:
        paths: YAML files; those that are jinja2 templates, as timeloopfe reads, are rendered.
        values: the variables that templates may use.

    Raises:
        SpecError: a file is missing, unreadable, no YAML, empty or too large, or two files have
            the same top-level key, with something under it in both, or no template uses one of
            the values.
    """
    if not paths:
        raise SpecError("no input files: expected Timeloop YAML files")
    renderer = Renderer(values)
    texts: list[tuple[str, bytes | Node]] = []
    for path in map(Path, paths):
        data = read_bytes(path)
        texts.append((str(path), renderer.load(path, data) if is_template(path, data) else data))
    merged = _merged(texts)
    renderer.check_used()
    return merged


def load_texts(texts: Sequence[tuple[str, str | bytes]]) -> Entry:
    """Merge YAML texts, given as (name, text), on their top-level keys. See `load_files`."""
    return _merged(texts)


def _merged(texts: Sequence[tuple[str, str | bytes | Node]]) -> Entry:
    merged: dict[str, Node] = {}
    first = None
    budget = MAX_NODES
    for source, text in texts:
        root = text if isinstance(text, Node) else parse(source, text, budget)
        if root is None:
            raise SpecError(f"{source}: the file is empty, expected Timeloop YAML")
        if not isinstance(root.value, dict):
            raise Entry(root).fail("expected a map with keys such as architecture or problem")
        budget -= root.size
        first = first or root
        for key, node in root.value.items():
            # timeloopfe writes empty placeholders, as in "mapping: []"; they give way.
            if key in merged and (not node.value or key in _REPEATABLE):
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
