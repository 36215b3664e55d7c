"""Tables of a layer's mappings, which serve all hardware of a space: the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.mapping import Mapping
from dse.optimal.frames import FILL, LEAK, READ, UPDATE, Frame

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: A price that depends on a size: the size variable, and the kinds of accesses that it prices.
Column = tuple[int, tuple[int, ...]]
_ACCESS = (READ, FILL, UPDATE)


@dataclass(frozen=True)
class Rows:
    """Mappings of one layer in a frame, or in a group of frames at its best.

    The energy of mapping r is ``base_pj[r]`` plus ``accesses[r]`` times the columns' prices.

    Attributes:
        index: ``(R,)`` their numbers in the table.
        cycles: ``(R,)``.
        base_pj: ``(R,)`` energy that depends on no size.
        accesses: ``(R, K)`` vector accesses (or cycles of leakage) by column.
        need: ``(R, V)`` words that the tiles take in the level of each size variable.
    """

    index: Ints
    cycles: Floats
    base_pj: Floats
    accesses: Floats
    need: Ints

    def __len__(self) -> int:
        return len(self.index)

    def take(self, which: npt.NDArray[np.bool_]) -> Rows:
        """Return the rows where ``which`` is set."""
        return Rows(
            self.index[which],
            self.cycles[which],
            self.base_pj[which],
            self.accesses[which],
            self.need[which],
        )


def columns_of(frame: Frame) -> tuple[Column, ...]:
    """Return the prices of a frame that depend on sizes; kinds that cost the same share one."""
    found: list[Column] = []
    for v, table in enumerate(frame.tables):
        kinds: dict[bytes, list[int]] = {}
        for kind in _ACCESS:
            kinds.setdefault(table.price_pj[:, kind].tobytes(), []).append(kind)
        found += [(v, tuple(group)) for group in kinds.values()]
        if np.nan_to_num(table.price_pj[:, LEAK]).any():
            found.append((v, (LEAK,)))
    return tuple(found)


def column_prices(frame: Frame, columns: tuple[Column, ...]) -> tuple[Floats, ...]:
    """Return ``(V,)`` prices of every column by value of its size variable."""
    return tuple(frame.tables[v].price_pj[:, kinds[0]] for v, kinds in columns)


class LayerTable(ABC):
    """The mappings of one layer that may be needed on any hardware of a space."""

    @abstractmethod
    def rows(self, frame: Frame, index: Ints | None) -> Rows:
        """Return the mappings that fit some hardware of a frame, exactly priced.

        Args:
            frame: the frame.
            index: numbers of those wanted; None: all.
        """

    @abstractmethod
    def mapping(self, frame: Frame, number: int) -> Mapping:
        """Return a mapping by its number, as it runs in a frame."""
