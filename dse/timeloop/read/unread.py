"""Keys that a reader does not know: misspelt ones are refused, others are named in a warning."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection

from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)


def meant_by(key: str, known: Collection[str]) -> str | None:
    """Return the known key that a misspelt one stands for; None where none is near."""
    plain = {_bare(name): name for name in sorted(known)}
    meant = plain.get(_bare(key))
    if meant is not None:
        return meant
    near = difflib.get_close_matches(key.replace("-", "_"), sorted(known), n=1, cutoff=0.8)
    return near[0] if near else None


def check_keys(entry: Entry, key: str, known: Collection[str]) -> None:
    """Refuse a key that looks like a known one; warn of any other that is not known.

    Raises:
        SpecError: naming the key and the one that was probably meant.
    """
    if key.replace("-", "_") in known:
        return
    meant = meant_by(key, known)
    if meant is not None:
        raise entry.refuse(f"unknown key '{key[:80]}'; did you mean '{meant}'?")
    _LOG.warning("%s: is ignored, expected one of %s", entry.where, ", ".join(sorted(known)))


def _bare(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
