"""Optima that are known: shipped with the package, or certified by the user; found by content.

An entry belongs to the content of template and workload, not to their names: what they are called
or described as does not matter, a changed bound or size does. It belongs to the prices that it was
found with, too. Only what was certified is kept. Two entries of one space and the same prices whose
values differ, or a design below an entry, mean that a proof is wrong: that is an error wherever it
shows, and nothing is written over.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dse.certify.content import key_of, prices_of
from dse.certify.entry import Known, entry_of
from dse.certify.shipped import shipped
from dse.disk import replace_file
from dse.errors import SpecError
from dse.space.search_space import SearchSpace

SCHEMA = "dse.known-optima/2"
_OLD = "dse.known-optima/1"
#: Variable of the environment that names the user's own file.
VARIABLE = "DSE_KNOWN_OPTIMA"
#: Entries by key and prices.
_KnownByPrices = dict[tuple[str, str], Known]


def find(space: SearchSpace) -> Known | None:
    """Return what is known of a search space at today's prices, shipped or by the user.

    Raises:
        SpecError: the user's file is broken, or of an older version; or a shipped certificate is
            not as it was written.
        ProofError: the two contradict each other.
    """
    key = key_of(space)
    if key is None:
        return None
    own = user_file()
    entries = _read(own) if own.is_file() else {}
    found = [entry for entry in entries.values() if entry.key == key]
    if (packed := shipped(key)) is not None:
        found.append(packed)
    if any(entry.prices for entry in found):
        found = _at(prices_of(space), found)
    best = found[0] if found else None
    for entry in found[1:]:
        best = _merged(best, entry) if best else entry
    return best


def _at(prices: str, found: list[Known]) -> list[Known]:
    """Return the entries of these prices, and those by versions that kept none."""
    return [entry for entry in found if entry.prices in ("", prices)]


def of_run(folder: Path) -> Known | None:
    """Return what is known of a run folder's space; None where its inputs are not there.

    Raises:
        SpecError, ProofError: see :func:`find`.
    """
    from dse.runner.run import space_of_run  # noqa: PLC0415 - the runner knows of optimizers

    try:
        space = space_of_run(folder)
    except SpecError:
        return None
    return find(space)


def user_file() -> Path:
    """Return the path of the user's own entries."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "dse" / "known_optima.json"


def remember(entry: Known, path: Path | None = None) -> Path:
    """Write an entry to the user's file, or to another; return the file.

    Raises:
        SpecError: the file is broken, or of an older version.
        ProofError: it holds another optimum of the same space, or the package does.
        dse.errors.DseError: it cannot be written.
    """
    target = path or user_file()
    entries = _read(target) if target.is_file() else {}
    others = [known for known in entries.values() if known.key == entry.key]
    if (packed := shipped(entry.key)) is not None:
        others.append(packed)
    prices = entry.prices
    for known in _at(prices, others) if prices else others:
        entry = _merged(entry, known)
    entries.pop((entry.key, ""), None)  # the new one says at which prices, too
    entries[entry.key, prices] = replace(entry, prices=prices)
    target.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(entries.values(), key=lambda e: (e.arch, e.workload, e.objective, e.key))
    content = {"schema": SCHEMA, "optima": [asdict(e) for e in ordered]}
    replace_file(target, (json.dumps(content, indent=1) + "\n").encode())
    return target


def _merged(one: Known, other: Known) -> Known:
    """Return the lower of two entries of one space, which may differ by rounding only."""
    low, high = sorted((one, other), key=lambda e: e.value)
    high.check(low.value, low.source.text())
    return low


def _read(path: Path) -> _KnownByPrices:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from error
    return _entries(content, str(path))


def _entries(content: Any, where: str) -> _KnownByPrices:  # noqa: ANN401
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema == _OLD:
        raise SpecError(
            f"{where}: schema '{_OLD}' is of an older version, which kept bounds beside optima and "
            "not where they come from; move the file away and certify its runs again"
        )
    if schema != SCHEMA or not isinstance(content.get("optima"), list):
        raise SpecError(f"{where}: expected schema '{SCHEMA}' and a list of optima")
    found: _KnownByPrices = {}
    for number, given in enumerate(content["optima"]):
        entry = entry_of(given, f"{where}: optima.{number}.")
        known = found.get((entry.key, entry.prices))
        found[entry.key, entry.prices] = entry if known is None else _merged(entry, known)
    return found
