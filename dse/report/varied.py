"""What the settings of runs have in common, and what tells them apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dse.disk import read_file
from dse.errors import SpecError
from dse.files import parse_yaml
from dse.plugins import GROUPS
from dse.space.workload import without_labels
from dse.study.folder import TEMPLATE, WORKLOAD, read_settings
from dse.study.inputs import LOCAL

SEED = "seed"
#: Settings that make no other search of a run.
_SAME = frozenset({*LOCAL, SEED, "record", "include_path"})
#: What tells runs apart is looked for here first.
_FIRST = ("workload", "objective", "arch", *GROUPS)
#: Settings that runs from before they were there do not have, with what that was.
_BEFORE = {"mapspace.free": False, "mapspace.uneven": False}
_MAX_BYTES = 64 * 1024 * 1024

Flat = Mapping[str, Any]


def settings_of(folder: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run by dotted key, with digests of its template and workload.

    Args:
        folder: of the run.
        result: the content of its ``result.json``, which holds the most of them, too.
    """
    try:
        plain = read_settings(folder)
    except SpecError:
        kept = ("arch", "workload", "variables", "seed", "energy", "timeloop_version", *GROUPS)
        plain = {key: result[key] for key in (*kept, "mapspace", "samples") if key in result}
        goal = result.get("objective")
        plain["objective"] = goal.get("name") if isinstance(goal, Mapping) else goal
    flat = {**_BEFORE, **dict(_flat(plain))}
    for kind in GROUPS:
        if f"{kind}.name" in flat:
            flat[kind] = flat.pop(f"{kind}.name")
    for name, content in ((TEMPLATE, _bytes), (WORKLOAD, _layers)):
        try:
            flat[name] = hashlib.sha256(content(folder / name)).hexdigest()[:8]
        except SpecError:
            continue
    return flat


def _bytes(path: Path) -> bytes:
    return read_file(path, _MAX_BYTES)


def _layers(path: Path) -> bytes:
    """Return what a workload file says but for names: what layers are called makes no other run."""
    content = parse_yaml(_bytes(path), str(path))
    return json.dumps(without_labels(content), default=repr).encode()


def _flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


def identity(settings: Flat) -> Hashable:
    """Return what runs that differ in their seed only have in common."""
    return frozenset((k, repr(v)) for k, v in settings.items() if _tells(k))


def _tells(key: str) -> bool:
    """Whether a setting, or one of a group, makes another search of a run."""
    return key.partition(".")[0] not in _SAME


def differing(settings: Sequence[Flat]) -> list[str]:
    """Return all settings that are not the same everywhere, the weightiest first."""
    keys = sorted({key for one in settings for key in one if _tells(key)}, key=_rank)
    return [key for key in keys if len({repr(one.get(key)) for one in settings}) > 1]


def varied(settings: Sequence[Flat]) -> list[str]:
    """Return the settings that tell searches apart: none that the ones before it imply."""
    found: list[str] = []
    parts = {0: list(settings)}
    for key in differing(settings):
        finer: dict[Hashable, list[Flat]] = {}
        for number, part in parts.items():
            for one in part:
                finer.setdefault((number, repr(one.get(key))), []).append(one)
        if len(finer) > len(parts):
            found.append(key)
            parts = dict(enumerate(finer.values()))
    return found


def _rank(key: str) -> tuple[int, str]:
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST), key)


def shown(key: str, value: object) -> str:
    """Return a value as people know it: of a file, its name."""
    if value is None:
        return "-"
    text = str(value)
    return Path(text).stem if key in ("arch", "workload") and "/" in text else text
