"""The run folder: what a run needs to be understood, resumed and checked by Timeloop."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from dse._version import __version__
from dse.disk import read_file, replace_file
from dse.errors import DseError, SpecError
from dse.files import Source, read_yaml

CONFIG = "config.yaml"
TEMPLATE = "template.yaml"
WORKLOAD = "workload.yaml"
RESULT = "result.json"
ENVIRONMENT = "env.json"
BEST = "best"
#: What is there before ``config.yaml`` is: a start that ended so can be begun anew.
_BEFORE = frozenset(
    name + end
    for name in (TEMPLATE, WORKLOAD, ENVIRONMENT, CONFIG)
    for end in ("", ".partial")
    if name + end != CONFIG
)

_MOST_BYTES = 256 * 1024 * 1024
_PACKAGES = ("numpy", "numba", "scipy", "pydantic", "hydra-core", "omegaconf")


def create(wanted: Path | None, runs: Path, label: str) -> Path:
    """Make a new run folder: ``wanted``, or one in ``runs`` named by date, time and label.

    A folder in which a run did not get as far as its ``config.yaml`` counts as empty.

    Raises:
        SpecError: the folder exists and is not empty, or cannot be made.
        DseError: the disk is full.
    """
    try:
        if wanted is not None:
            if wanted.exists() and not (wanted.is_dir() and _is_free(wanted)):
                raise SpecError(f"folder {wanted}: is not empty; resume={wanted} goes on with it")
            wanted.mkdir(parents=True, exist_ok=True)
            return wanted
        stem = f"{datetime.now():%Y%m%d-%H%M%S}_{label}"
        runs.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
            folder = runs / (stem + suffix)
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise SpecError(f"folder {runs / stem}: exists a thousand times")
    except OSError as error:
        kind = DseError if error.errno in (errno.ENOSPC, errno.EDQUOT) else SpecError
        place = wanted or runs
        raise kind(f"folder {place}: cannot be made ({error.strerror or error})") from error


def _is_free(folder: Path) -> bool:
    return all(path.name in _BEFORE for path in folder.iterdir())


def write_inputs(
    folder: Path,
    settings: dict[str, Any],
    template: Source,
    workload: Source,
) -> None:
    """Write what the run is: settings, copies of its input files, and the environment.

    Raises:
        DseError: it cannot be written; then nothing of it is left.
    """
    try:
        _write_inputs(folder, settings, template, workload)
    except DseError:
        for name in _BEFORE:
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise


def _write_inputs(
    folder: Path, settings: dict[str, Any], template: Source, workload: Source
) -> None:
    replace_file(folder / TEMPLATE, template.read_bytes())
    replace_file(folder / WORKLOAD, workload.read_bytes())
    environment = json.dumps(_environment(), indent=2) + "\n"
    replace_file(folder / ENVIRONMENT, environment.encode())
    # last: a folder with a config is a folder that can be resumed
    text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=False)
    replace_file(folder / CONFIG, text.encode())


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a run folder.

    Raises:
        SpecError: it is no run folder, or its config.yaml is broken.
    """
    for name in (CONFIG, TEMPLATE, WORKLOAD):
        if not (folder / name).is_file():
            raise SpecError(f"resume={folder}: there is no {name}, so it is not a run folder")
    path = folder / CONFIG
    settings = read_yaml(path)
    if not isinstance(settings, dict):
        raise SpecError(f"{path}: expected a mapping of settings")
    return settings


def read_result(folder: Path) -> dict[str, Any]:
    """Return the content of ``result.json``.

    Raises:
        SpecError: it is missing, or not one of ours.
    """
    path = folder / RESULT
    try:
        content = json.loads(read_file(path, _MOST_BYTES))
    except SpecError as error:
        raise SpecError(f"{error}; has the run ended?") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not JSON: {error}") from error
    schema = content.get("schema") if isinstance(content, dict) else content
    if not isinstance(content, dict) or schema != "dse.result":
        raise SpecError(f"{path}: schema = {repr(schema)[:60]}, expected 'dse.result'")
    return content


def subfolder(folder: Path, *names: str) -> Path:
    """Make a folder within a run folder.

    Raises:
        SpecError: a link stands in its place: what it leads to is no part of the run folder.
        OSError: it cannot be made.
    """
    for name in names:
        folder /= name
        if folder.is_symlink():
            raise SpecError(f"{folder}: is a link, expected a folder")
        folder.mkdir(exist_ok=True)
    return folder


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Write ``result.json``."""
    text = json.dumps(result, indent=2, allow_nan=False) + "\n"
    replace_file(folder / RESULT, text.encode())


def _environment() -> dict[str, Any]:
    return {
        "dse": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "command": sys.argv,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
