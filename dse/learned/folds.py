"""How rows are split: folds for the members of an ensemble, and what is held out of everything."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dse.errors import SpecError
from dse.learned.rows import RowTable
from dse.numeric import Flags, Floats, Ints

#: Whether single rows are drawn, or layers with all their rows.
HeldOutUnit = Literal["rows", "layers"]
UNITS: tuple[HeldOutUnit, ...] = ("rows", "layers")


def check_unit(key: str, given: str) -> None:
    """Refuse what is no :data:`HeldOutUnit`; SpecError."""
    if given not in UNITS:
        raise SpecError(f"{key} = {given}: expected one of {', '.join(UNITS)}")


def folds(table: RowTable, count: int, unit: str, rng: np.random.Generator) -> Ints:
    """Return the number of each row's fold, ``(N,)``; folds are of nearly equal size.

    Raises:
        SpecError: there are fewer rows, or layers, than folds.
    """
    members = np.unique(table.layer) if unit == "layers" else np.arange(len(table))
    if len(members) < count:
        raise SpecError(f"{len(members)} {unit}: expected {count} at least, one for each fold")
    of_member = np.empty(len(members), np.int64)
    of_member[rng.permutation(len(members))] = np.arange(len(members)) % count
    if unit == "rows":
        return of_member
    return of_member[np.searchsorted(members, table.layer)]


def held_out(table: RowTable, share: float, unit: str, rng: np.random.Generator) -> Flags:
    """Return which rows are held out, ``(N,)``: about that share of rows, or of layers.

    Raises:
        SpecError: there are fewer than two rows, or layers.
    """
    members = np.unique(table.layer) if unit == "layers" else np.arange(len(table))
    if len(members) < 2:
        raise SpecError(f"{len(members)} {unit}: expected two at least, one of them held out")
    count = min(max(1, round(share * len(members))), len(members) - 1)
    chosen = members[rng.permutation(len(members))[:count]]
    marked: Flags = np.isin(table.layer if unit == "layers" else np.arange(len(table)), chosen)
    return marked


#: The interval that holds this share of the unseen rows is made to do so.
_SHARE, _QUANTILE = 0.9, 1.6448536269514722


def honest_factor(z: Floats) -> float:
    """Return what to multiply deviations by, given residuals of unseen rows in units of them.

    A quantile, not the mean square: that would be one outlier's.
    """
    return float(np.quantile(np.abs(z), _SHARE)) / _QUANTILE
