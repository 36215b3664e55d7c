"""The files that an evaluator's settings name: programs, models."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from dse.disk import open_to_read
from dse.errors import SpecError

S = TypeVar("S")


def with_whole_paths(settings: S) -> S:
    """Return settings that name the same files from any folder."""
    whole = {name: str(path.absolute()) for name, path in _named(settings).items()}
    return replace(settings, **whole) if whole else settings  # type: ignore[type-var]


def named_files(settings: object) -> list[Path]:
    """Return the files that settings name, and those in folders that they name."""
    found: list[Path] = []
    for path in _named(settings).values():
        found += sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    return found


def digests(files: Iterable[Path]) -> tuple[str, ...]:
    """Return what stands for the content of each file.

    Raises:
        SpecError: one cannot be read.
    """
    return tuple(_digest(path) for path in files)


def _named(settings: Any) -> dict[str, Path]:  # noqa: ANN401 - any dataclass
    """Return what is there of the files and folders that settings name, by setting.

    The name of a program without a folder is looked up on PATH, which may differ elsewhere.
    """
    found = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        names = field.metadata.get("contents") or (
            field.metadata.get("program") and os.sep in (value or "")
        )
        if names and value and os.path.exists(value):  # noqa: PTH110 - too long a text is no file
            found[field.name] = Path(value)
    return found


def _digest(path: Path) -> str:
    try:
        digest = hashlib.sha256()
        with open_to_read(path) as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        return digest.hexdigest()
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror or error})") from error
