"""Which run folders were started here: only their settings may name programs to run.

A folder may come from a stranger, and a setting that names a program is that program's start. So a
run whose settings name one leaves their signature in its folder, made with a key that only this
user has. It says nothing about where the folder lies: moved or copied, it is still trusted; with
other settings, it is not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import json
import logging
import os
import secrets
import shutil
from pathlib import Path

from dse.accuracy.choice import is_function
from dse.disk import read_file, replace_file
from dse.errors import SpecError
from dse.goals.python_objective import is_code, module_file
from dse.plugins import GROUPS
from dse.runner.config import ResolvedConfig
from dse.study import folder as run_folder
from dse.study.inputs import LOCAL

_LOG = logging.getLogger(__name__)
SIGNATURE = "config.signature"
_KEY_BYTES = 32


def programs(config: ResolvedConfig) -> dict[str, str]:
    """Return the programs that settings name, by dotted setting; Python code is one."""
    return code(config) | {
        f"{kind}.{field.name}": str(value)
        for kind in GROUPS
        for field in dataclasses.fields(config.settings[kind])
        if field.metadata.get("program")
        and (value := getattr(config.settings[kind], field.name)) is not None
    }


def code(config: ResolvedConfig) -> dict[str, str]:
    """Return the settings that name code to load."""
    objective, accuracy = config.run.objective, config.run.accuracy
    return {
        **({"objective": objective} if is_code(objective) else {}),
        **({"accuracy": accuracy} if accuracy and is_function(accuracy) else {}),
    }


def sign(folder: Path, config: ResolvedConfig) -> None:
    """Leave a signature in a folder that was started here, if its settings name programs."""
    named = programs(config)
    if not named:
        return
    try:
        key = _key()
    except OSError as error:
        _LOG.warning(
            "%s: cannot be written (%s), so to resume %s will need --trust",
            *(error.filename, error.strerror, folder),
        )
        return
    replace_file(folder / SIGNATURE, _signature(key, folder, named).encode())


def check(folder: Path, config: ResolvedConfig, *, only_code: bool = False) -> None:
    """Raise SpecError where settings name programs, and the folder was not started here.

    With ``only_code``, where they name code: for those who run no program, but ask for its values.
    """
    if only_code and not code(config):
        return
    named = programs(config)
    if not named:
        return
    try:
        written, key = read_file(folder / SIGNATURE, 1024), read_file(_key_file(), 1024)
    except SpecError:
        written = key = b""
    if not key or not hmac.compare_digest(written, _signature(key, folder, named).encode()):
        shown = ", ".join(f"{setting} = {program}" for setting, program in named.items())
        raise SpecError(
            f"{folder / run_folder.CONFIG}: names a program to run ({shown}), but the run was not "
            "started here, or the file was changed since; --trust runs it"
        )


def _signature(key: bytes, folder: Path, named: dict[str, str]) -> str:
    """Return the signature of a folder's settings, and of what the programs' names stand for."""
    settings = run_folder.read_settings(folder)
    plain = {name: value for name, value in settings.items() if name not in LOCAL}
    # relative names, and those on PATH, are others elsewhere
    found = {
        name: module_file(program) if is_code(program) else shutil.which(program) or program
        for name, program in named.items()
    }
    places = {
        # an address is the same from any folder
        name: place if name.startswith("parallel.") else os.path.abspath(place)  # noqa: PTH100
        for name, place in found.items()
    }
    signed = json.dumps([plain, places], sort_keys=True, default=str)
    return hmac.new(key, signed.encode(), hashlib.sha256).hexdigest() + "\n"


def _key() -> bytes:
    """Return this user's key, made where there is none; OSError where it cannot be."""
    path = _key_file()
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f"key.{os.getpid()}")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        with contextlib.suppress(FileExistsError):  # another run was first
            path.hardlink_to(new)
        new.unlink()
    return path.read_bytes()


def _key_file() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "dse" / "key"
