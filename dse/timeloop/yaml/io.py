"""YAML files of a Timeloop project in, merged into one tree of nodes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dse.errors import SpecError
from dse.timeloop.yaml.nodes import Entry, Node
from dse.timeloop.yaml.parse import MAX_NODES, parse, read_bytes
from dse.timeloop.yaml.render import rendered
from dse.timeloop.yaml.sandbox import is_template

#: Top-level keys that every file of a project may have: Accelergy's, which the model ignores.
_REPEATABLE = {"components", "compound_components", "globals"}


def load_files(
    paths: Sequence[str | Path],
    values: Mapping[str, object] | None = None,
    include_path: Sequence[str | Path] = (),
) -> Entry:
    """Read YAML files and merge them on their top-level keys.

    Args:
        paths: YAML files; those that are jinja2 templates, as timeloopfe reads, are rendered.
        values: the variables that templates may use.
        include_path: folders outside of the project (see `project_of`) from which templates may
            include files; such files are looked for there at last.

    Raises:
        SpecError: a file is missing, unreadable, no YAML, empty or too large, includes what it may
            not, or two files have the same top-level key, with something under it in both.
    """
    if not paths:
        raise SpecError("no input files: expected Timeloop YAML files")
    files = [(path, read_bytes(path)) for path in map(Path, paths)]
    templates = [(path, data) for path, data in files if is_template(path, data)]
    nodes = {}
    if templates:
        search = [_folder(Path(folder)) for folder in include_path]
        roots = [*project_of([path for path, _ in files]), *search]
        done = rendered(templates, values or {}, roots, search)
        nodes = {path: node for (path, _), node in zip(templates, done, strict=True)}
    return _merged([(str(path), nodes.get(path, data)) for path, data in files])


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
        if budget < 0:
            raise SpecError(f"{source}: more than {MAX_NODES} YAML nodes in all files together")
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
