"""The list of all settings with types, defaults and help, for ``run --help`` and ``show``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from dse.cli.columns import two_columns, wrapped
from dse.plugins import GROUPS, plugin, plugins
from dse.runner.config import DEFAULT_PLUGINS, MapspaceConfig, RunConfig


def settings_help(arguments: Sequence[str], skip: Sequence[str] = ()) -> str:
    """Return the settings of a run with the plug-ins that ``arguments`` choose.

    ``skip`` names settings, and kinds of plug-ins, that play no part.
    """
    chosen = dict(DEFAULT_PLUGINS)
    for argument in arguments:
        kind, equals, name = argument.partition("=")
        if kind in GROUPS and equals:
            chosen[kind] = name
    lines = ["", "settings:"]
    lines += setting_rows("", RunConfig, skip={*GROUPS, "mapspace", *skip})
    lines += setting_rows("mapspace.", MapspaceConfig)
    for kind in (kind for kind in GROUPS if kind not in skip):
        item = plugin(kind, chosen[kind])
        choices = " ".join(plugins(kind))
        lines += ["", *wrapped(f"{kind}={item.name}  (choices: {choices})")]
        lines += wrapped(item.summary, "  ")
        lines += setting_rows(f"{kind}.", item.settings_type)
    return "\n".join(lines) + "\n"


def plugin_help(kind: str, name: str) -> str:
    """Return what a plug-in is and its settings."""
    item = plugin(kind, name)
    rows = setting_rows(f"{kind}.", item.settings_type)
    head = [f"{kind} {name} (from {item.distribution})", *wrapped(item.summary, "  ")]
    return "\n".join([*head, *(["settings:", *rows] if rows else ["no settings"])]) + "\n"


def setting_rows(prefix: str, schema: type[Any], skip: set[str] | None = None) -> list[str]:
    """Return a line for each field of a dataclass of settings but those to skip."""
    rows = []
    for item in dataclasses.fields(schema):
        if item.name in (skip or ()):
            continue
        if item.default is not dataclasses.MISSING:
            default = "null" if item.default is None else str(item.default)
        else:
            default = "{}"
        rows.append((f"{prefix}{item.name}={default}", item.metadata.get("help", "")))
    return two_columns(rows, "  ")
