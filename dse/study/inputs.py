"""What a study was started with: everything that its course depends on, value by value.

A checkpoint holds it, so that a study is never taken up with other inputs than its own, and so
that the refusal can say what has changed; the journal's first line holds its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dse._version import __version__
from dse.disk import read_file
from dse.errors import SpecError
from dse.files import read_yaml
from dse.plugins import GROUPS, plugin
from dse.study.folder import CONFIG, TEMPLATE, WORKLOAD

#: Settings on which no result depends.
LOCAL = frozenset({"n_jobs", "parallel", "store", "runs", "folder", "report"})
#: Settings that only say what the files copied into the folder were called.
_LABELS = frozenset({"arch", "workload"})
#: Settings that change nothing at this value: studies from before they were there are equal.
_IDLE: dict[str, tuple[object, ...]] = {
    "mapspace.padding": ("off", None),
    "mapspace.free": (False,),
    "mapspace.uneven": (False,),
    "network": ("{}",),
    "accuracy": (None,),
    "optimizer.networks": (None,),
    "optimizer.network_population": (None,),
    "optimizer.network_parents": (0.25,),
    "optimizer.network_mutants": (0.5,),
    "optimizer.network_mutation": (0.1,),
}
#: Packages whose numbers enter a search.
_PACKAGES = ("numpy", "numba", "cmaes")
_VERSIONS = "versions"
_MAX_BYTES = 64 * 1024 * 1024
#: Changes that are told.
_TOLD = 6


@dataclass(frozen=True)
class Inputs:
    """The inputs of a study.

    Attributes:
        sources: by file, or what else it is, the values by their paths in it: plain data.
    """

    sources: Mapping[str, Mapping[str, Any]]

    @cached_property
    def text(self) -> str:
        """All of it as JSON."""
        return json.dumps(self.sources, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """What equal studies have in common: not the names of their files, nor any versions."""
        deciding = {
            source: {k: v for k, v in values.items() if source != CONFIG or k not in _LABELS}
            for source, values in self.sources.items()
            if source != _VERSIONS
        }
        text = json.dumps(deciding, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def parse(cls, text: str) -> Inputs:
        """Return the inputs that :attr:`text` says; ValueError where it says none."""
        sources = json.loads(text)
        if not isinstance(sources, dict) or not all(isinstance(v, dict) for v in sources.values()):
            raise ValueError("expected a mapping of mappings")
        return cls(sources)

    def changes(self, before: Inputs, *, versions: bool = True) -> list[str]:
        """Return what differs from earlier inputs, a line for each value.

        Args:
            before: the earlier ones.
            versions: whether those of the packages count.
        """
        found: list[str] = []
        for source in dict.fromkeys([*before.sources, *self.sources]):
            if source == _VERSIONS and not versions:
                continue
            old, new = before.sources.get(source, {}), self.sources.get(source, {})
            different = [
                f"{source}: {path}: {_shown(old, path)} -> {_shown(new, path)}"
                for path in dict.fromkeys([*old, *new])
                if _shown(old, path) != _shown(new, path)
            ]
            if not different and list(old) != list(new):
                different = [f"{source}: the order of its keys"]
            found += different
        return found


def inputs_of_run(
    folder: Path, settings: Mapping[str, Any], elsewhere: Iterable[Path] = ()
) -> Inputs:
    """Return the inputs of a run.

    Args:
        folder: the run folder, with the template and the workload.
        settings: all of the run's.
        elsewhere: files that prices are read from, and files and folders that settings name.

    Raises:
        SpecError: a file cannot be read.
    """
    plain = {key: value for key, value in settings.items() if key not in LOCAL}
    flat = sorted((k, v) for k, v in _flat(plain) if k not in _IDLE or v not in _IDLE[k])
    return Inputs(
        {
            CONFIG: dict(flat),
            **{name: dict(_flat(read_yaml(folder / name))) for name in (TEMPLATE, WORKLOAD)},
            "tables": {str(file): digest_of(file) for path in elsewhere for file in _files(path)},
            _VERSIONS: _versions(settings),
        }
    )


def refuse_changes(before: Inputs, now: Inputs, *, versions: bool) -> None:
    """Raise SpecError, with what has changed, unless the inputs are the same."""
    changes = now.changes(before, versions=versions)
    if changes:
        told = changes[:_TOLD]
        if len(changes) > len(told):
            told.append(f"and {len(changes) - len(told)} more")
        raise SpecError(
            f"the run was started with other inputs: {'; '.join(told)}; put them back, or start a "
            "new run"
        )


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield all values of nested mappings and lists, with their paths."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and value:
        for number, part in enumerate(value):
            yield from _flat(part, f"{path}[{number}]")
    elif value is None or isinstance(value, (bool, int, float, str)):
        yield path, value
    else:
        yield path, repr(value)  # a date of YAML, or an empty list


def _shown(values: Mapping[str, Any], path: str) -> str:
    if path not in values:
        return "(nothing)"
    text = repr(values[path])
    return text if len(text) <= 60 else f"{text[:40]}... ({_short(text)})"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _files(path: Path) -> list[Path]:
    """Return the files of a folder, or the file itself."""
    return sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]


def digest_of(path: Path) -> str:
    """Return what stands for the content of a file; SpecError where it cannot be read."""
    return hashlib.sha256(read_file(path, _MAX_BYTES)).hexdigest()[:16]


def _versions(settings: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the versions of what a run computes with, the plug-ins' packages among them."""
    deciding = [kind for kind in GROUPS if kind not in LOCAL]
    chosen = [plugin(kind, settings[kind]["name"]).distribution for kind in deciding]
    outside = sorted({name for name in chosen if name not in ("dse-accel", "?")})
    return {"dse": __version__, **{name: _version(name) for name in (*_PACKAGES, *outside)}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
