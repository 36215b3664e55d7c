"""YAML files of a Timeloop project in, merged into one tree of nodes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dse.errors import SpecError
from dse.timeloop.yaml.libconfig import parse_libconfig
from dse.timeloop.yaml.nodes import Entry, Node
from dse.timeloop.yaml.parse import LIBCONFIG, MAX_NODES, SUFFIXES, parse, read_bytes
from dse.timeloop.yaml.render import check_used, rendered
from dse.timeloop.yaml.sandbox import is_template

#: Top-level keys that every file of a project may have: Accelergy's.
_REPEATABLE = {"components", "compound_components", "globals"}


def inputs_of(folder: Path) -> list[Path]:
    """Return the files of a folder whose names say that Timeloop may read them, sorted."""
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)


def holds(path: Path, *keys: str) -> bool:
    """Whether an input file has one of these keys at its top; templates of jinja2 count as text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return False
    return any(re.search(rf"^['\"]?{key}['\"]?\s*[:=]", text, re.MULTILINE) for key in keys)


def load_files(
    paths: Sequence[str | Path],
    values: Mapping[str, object] | None = None,
    include_path: Sequence[str | Path] = (),
    *,
    project: Sequence[str | Path] = (),
    used: set[str] | None = None,
) -> Entry:
    """Read YAML files and merge them on their top-level keys.

    Args:
        paths: YAML files; those that are jinja2 templates, as timeloopfe reads, are rendered.
        values: the variables that templates may use.
        include_path: folders outside of the project (see `project_of`) from which templates may
            include files; such files are looked for there at last.
        project: files that belong to the project as well, though they are not read.
        used: gets the variables that templates mention; without it, all must be among those.

    Raises:
        SpecError: a file is missing, unreadable, no YAML, empty or too large, includes what it may
            not, or two files have the same top-level key, with something under it in both; or no
            template mentions a variable.
    """
    return _merged(_roots(_texts(paths, values, include_path, project, used)))


def load_each(
    paths: Sequence[str | Path],
    values: Mapping[str, object] | None = None,
    include_path: Sequence[str | Path] = (),
    key: str = "problem",
) -> list[Entry]:
    """Read YAML files of which several may have the same key; one merged tree for each of those.

    All other files are part of every tree. See `load_files`.
    """
    roots = _roots(_texts(paths, values, include_path, (), None))
    several = [root for root in roots if (found := root.table.get(key)) and found.value]
    if len(several) < 2:
        return [_merged(roots)]
    return [_merged([r for r in roots if r is one or r not in several]) for one in several]


def _texts(
    paths: Sequence[str | Path],
    values: Mapping[str, object] | None,
    include_path: Sequence[str | Path],
    project: Sequence[str | Path],
    used: set[str] | None,
) -> list[tuple[str, bytes | Node]]:
    """Return the files by name, templates rendered."""
    if not paths:
        raise SpecError("no input files: expected Timeloop YAML files")
    files = [(path, read_bytes(path)) for path in map(Path, paths)]
    templates = [
        (path, data) for path, data in files if path.suffix != LIBCONFIG and is_template(path, data)
    ]
    nodes: dict[Path, Node] = {}
    mentioned: set[str] = set() if used is None else used
    if templates:
        search = [_folder(Path(folder)) for folder in include_path]
        roots = [*project_of([*(path for path, _ in files), *map(Path, project)]), *search]
        done = rendered(templates, values or {}, roots, search, mentioned)
        nodes = {path: node for (path, _), node in zip(templates, done, strict=True)}
    if used is None:
        check_used(values or (), mentioned)
    return [(str(path), nodes.get(path, data)) for path, data in files]


def project_of(paths: Sequence[Path]) -> list[Path]:
    """Return the folders from which the templates among files may include others.

    That is the folder that all of the files lie in; where it is no project's, since it is the file
    system's or holds the user's own folder, the folder of each file.
    """
    folders = {path.resolve().parent for path in paths}
    common = Path(os.path.commonpath(folders))
    too_wide = Path.home().resolve()
    if len(folders) == 1 or not too_wide.is_relative_to(common):
        return [common]
    return sorted(folders)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise SpecError(f"--include-path {path}: is no folder")
    return path


def load_texts(texts: Sequence[tuple[str, str | bytes]]) -> Entry:
    """Merge YAML texts, given as (name, text), on their top-level keys. See `load_files`."""
    return _merged(_roots(texts))


@dataclass(frozen=True, eq=False)
class _Root:
    """A file's top level."""

    node: Node
    table: dict[str, Node]


def _roots(texts: Sequence[tuple[str, str | bytes | Node]]) -> list[_Root]:
    """Parse texts, all within one budget of nodes."""
    roots: list[_Root] = []
    budget = MAX_NODES
    for source, text in texts:
        read = parse_libconfig if source.endswith(LIBCONFIG) else parse
        node = text if isinstance(text, Node) else read(source, text, budget)
        if node is None:
            raise SpecError(f"{source}: the file is empty, expected Timeloop's input")
        if not isinstance(node.value, dict):
            raise Entry(node).fail("expected a map with keys such as architecture or problem")
        budget -= node.size
        if budget < 0:
            raise SpecError(f"{source}: more than {MAX_NODES} YAML nodes in all files together")
        roots.append(_Root(node, node.value))
    return roots


def _merged(roots: Sequence[_Root]) -> Entry:
    if not roots:
        raise SpecError("no input: expected Timeloop YAML")
    merged: dict[str, Node] = {}
    for root in roots:
        for key, node in root.table.items():
            # timeloopfe writes empty placeholders, as in "mapping: []"; they give way.
            if key in merged and not node.value:
                continue
            if key in merged and key in _REPEATABLE:
                merged[key] = _joined(merged[key], node)
                continue
            if key in merged and merged[key].value:
                raise SpecError(
                    f"{root.node.source}:{node.line}: top-level key '{key}' was given before, in "
                    f"{merged[key].source}:{merged[key].line}; expected it once"
                )
            merged[key] = node
    first = roots[0].node
    variables = merged.get("variables")
    table = variables.value if variables is not None else None
    return Entry(
        Node(merged, first.source, first.line), "", table if isinstance(table, dict) else None
    )


def _joined(first: Node, second: Node) -> Node:
    """Return two files' classes of components in one list; of anything else the first."""
    if not first.value:
        return second
    if not isinstance(first.value, dict) or not isinstance(second.value, dict):
        return first
    listed: list[Node] = []
    for table in (first.value, second.value):
        classes = table.get("classes")
        if classes is not None and isinstance(classes.value, list):
            listed += classes.value
    size = first.size + second.size
    together = Node(listed, first.source, first.line, size=size)
    joined = {**second.value, **first.value, "classes": together}
    return Node(joined, first.source, first.line, size=size)
