"""Settings that need no Hydra: plain ``SETTING=VALUE`` words, as most are.

Hydra takes a quarter of a second to load and to compose. These words mean the same without it;
what is more than plain, or wrong, is left to Hydra, which says what is wrong.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from dse.errors import SpecError
from dse.plugins import GROUPS
from dse.runner.config import FREE_TEXT, resolve

_WORD = re.compile(r"([a-z_]\w*(?:\.\w+)*)=([\w./-]+)", re.ASCII)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_FRACTION = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
#: Names and paths.
_TEXT = re.compile(r"(\.{0,2}/|[A-Za-z_])[\w./-]*", re.ASCII)
#: What Hydra's grammar has other ideas of, in any case.
_OTHER = ("inf", "nan")
_CONSTANTS = {"true": True, "false": False, "null": None}


def composed(words: Sequence[str]) -> list[dict[str, Any]]:
    """Return the settings of every run that words tell of, by Hydra unless they are plain.

    Raises:
        SpecError: a word is malformed, or names an unknown setting or choice.
    """
    plain = plain_settings(words)
    if plain is not None:
        return [plain]
    from dse.cli.hydra_front import run_with_hydra  # noqa: PLC0415

    found: list[dict[str, Any]] = []
    run_with_hydra(words, found.append)
    return found


def composed_jobs(arguments: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the settings of every job of a sweep, and the settings that have several values.

    Raises:
        SpecError: as :func:`composed`; or another sweeper than Hydra's own is named.
    """
    from dse.cli.hydra_front import jobs_of, named  # noqa: PLC0415

    words = [named(word) for word in arguments]
    return plain_jobs([w for w in words if w not in ("-m", "--multirun")]) or jobs_of(words)


def plain_jobs(words: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]] | None:
    """Return the settings of all runs of a sweep, and those with several values.

    Values are separated by commas, and every combination of them is a run; the last word varies
    first. None: a word is not plain, or not right.
    """
    swept = []
    choices = []
    for word in words:
        key, _, text = word.partition("=")
        values = text.split(",")
        if len(values) > 1:
            if key in FREE_TEXT and key != "objective":
                return None
            swept.append(key)
        choices.append([f"{key}={value}" for value in values])
    jobs = []
    for combination in itertools.product(*choices):
        settings = plain_settings(combination)
        if settings is None:
            return None
        jobs.append(settings)
    return jobs, swept


def plain_settings(words: Sequence[str]) -> dict[str, Any] | None:
    """Return the settings that words give; None where they are not plain, or not right."""
    found: dict[str, Any] = {}
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None or not _add(found, match[1], match[2]):
            return None
    try:
        resolve(found)
    except SpecError:
        return None
    return found


def _add(found: dict[str, Any], key: str, text: str) -> bool:
    """Add a setting; return whether that could be done."""
    known, value = _value(text)
    if not known or (key in FREE_TEXT and not isinstance(value, str)):
        return False
    *path, last = [*key.split("."), "name"] if key in GROUPS else key.split(".")
    if key in GROUPS and not isinstance(value, str):
        return False
    inner: Any = found
    for part in path:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            return False
    if last in inner:
        return False
    inner[last] = value
    return True


def _value(text: str) -> tuple[bool, Any]:
    """Return whether a text is a plain value, and the value."""
    if _WHOLE.fullmatch(text):
        return True, int(text)
    if _FRACTION.fullmatch(text):
        return True, float(text)
    if text.lower() in _CONSTANTS:
        return True, _CONSTANTS[text.lower()]
    return bool(_TEXT.fullmatch(text)) and text.lower() not in _OTHER, text
