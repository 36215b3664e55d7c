"""Writes the reference of all settings from their dataclasses, as one page of Markdown."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

from dse.learned.kinds import KINDS, kind
from dse.learned.train import TrainSettings
from dse.plugins import GROUPS, plugins
from dse.runner.config import MapspaceConfig, RunConfig

_HEAD = """\
# All settings

Written as `NAME=VALUE` after `python -m dse run` or `map`, or as keywords of `dse.run`. `null` is
none. What `python -m dse run --help` prints for the plug-ins that are chosen stands here for all of
them; those of other distributions: `python -m dse show NAME`.
"""


def write(path: Path) -> None:
    """Write the page, unless it holds the same text already."""
    text = page()
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def page() -> str:
    """Return the page."""
    parts = [_HEAD, "## A run\n", _table("", RunConfig, {*GROUPS, "mapspace"})]
    parts += ["## The mapspace\n", _table("mapspace.", MapspaceConfig)]
    for group in GROUPS:
        for name, item in plugins(group).items():
            if item.distribution == "dse-accel":
                parts += [f"## {group} {name}\n", f"{item.summary}\n"]
                parts.append(_table(f"{group}.", item.settings_type))
    parts += ["## train\n", _table("", TrainSettings)]
    for name in KINDS:
        summary = kind(name).summary
        parts += [f"## train {name}\n", f"{summary[0].upper()}{summary[1:]}.\n"]
        parts.append(_table("", kind(name).settings_type))
    return "\n".join(parts)


def _table(prefix: str, schema: type[Any], skip: set[str] | None = None) -> str:
    rows = ["| setting | type | default | |", "|---|---|---|---|"]
    types = inspect.get_annotations(schema, eval_str=False)
    for item in dataclasses.fields(schema):
        if item.name in (skip or ()):
            continue
        default: object = {}
        if item.default is not dataclasses.MISSING:
            default = item.default
        elif item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        shown = "null" if default is None else str(default)
        of = str(types.get(item.name, item.type)).replace("|", "\\|")
        help_text = str(item.metadata.get("help", "")).replace("|", "\\|")
        told = f"`{shown}`" if shown else ""
        rows.append(f"| `{prefix}{item.name}` | {of} | {told} | {help_text} |")
    return "\n".join([*rows, ""]) if len(rows) > 2 else "It has no settings.\n"
