"""The run folder: what a run needs to be understood, resumed and checked by Timeloop."""

from __future__ import annotations

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
from dse.errors import SpecError
from dse.files import Source, read_yaml
from dse.study.journal import replace_file

CONFIG = "config.yaml"
TEMPLATE = "template.yaml"
WORKLOAD = "workload.yaml"
RESULT = "result.json"
BEST = "best"

_PACKAGES = ("numpy", "numba", "scipy", "pydantic", "hydra-core", "omegaconf")


def create(wanted: Path | None, runs: Path, label: str) -> Path:
    """Make a new run folder: ``wanted``, or one in ``runs`` named by date, time and label.

    Raises:
        SpecError: the folder exists and is not empty, or cannot be made.
    """
    try:
        if wanted is not None:
            if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
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
        place = wanted or runs
        raise SpecError(f"folder {place}: cannot be made ({error.strerror or error})") from error


def write_inputs(
    folder: Path,
    settings: dict[str, Any],
    template: Source,
    workload: Source,
) -> None:
    """Write what the run is: settings, copies of its input files, and the environment."""
    replace_file(folder / TEMPLATE, template.read_bytes())
    replace_file(folder / WORKLOAD, workload.read_bytes())
    environment = json.dumps(_environment(), indent=2) + "\n"
    replace_file(folder / "env.json", environment.encode())
    # last: a folder with a config is a folder that can be resumed
    text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=False)
    replace_file(folder / CONFIG, text.encode())


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a run folder.

    Raises:
        SpecError: it is no run folder, or its config.yaml is broken.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise SpecError(f"resume={folder}: there is no {CONFIG}, so it is not a run folder")
    settings = read_yaml(path)
    if not isinstance(settings, dict):
        raise SpecError(f"{path}: expected a mapping of settings")
    return settings


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
