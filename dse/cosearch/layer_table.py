"""Tables of a layer's mappings, which serve all hardware of a space: the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from dse.cosearch.frames import Frame
from dse.domain.mapping import Mapping, MappingBatch
from dse.numeric import Floats, Ints


@dataclass(frozen=True)
class LayerRows:
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

    @classmethod
    def concatenate(cls, parts: Sequence[LayerRows]) -> LayerRows:
        """Return the rows of all parts, one after the other."""
        columns = ([getattr(part, f.name) for part in parts] for f in fields(cls))
        return cls(*(np.concatenate(column) for column in columns))

    def __len__(self) -> int:
        return len(self.index)

    def leaking(self, leak_pj: float, need: Ints) -> LayerRows:
        """Return the rows with other needs, and more energy for every cycle."""
        base = self.base_pj + leak_pj * self.cycles if leak_pj else self.base_pj
        return replace(self, base_pj=base, need=need)

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> LayerRows:
        """Return the rows where ``which`` is set, or those with these numbers."""
        # by numbers, which is quicker than by flags for every column
        rows = np.flatnonzero(which) if which.dtype == np.bool_ else which
        return LayerRows(*(getattr(self, f.name).take(rows, axis=0) for f in fields(self)))


class LayerTable(ABC):
    """The mappings of one layer that may be needed on any hardware of a space."""

    @abstractmethod
    def rows(self, frame: Frame, index: Ints | None) -> LayerRows:
        """Return the mappings that fit some hardware of a frame, exactly priced.

        Args:
            frame: the frame.
            index: numbers of those wanted; None: all.
        """

    @abstractmethod
    def mapping(self, frame: Frame, number: int) -> Mapping:
        """Return the mapping of a row in a frame."""

    def variants(self, frame: Frame, number: int) -> MappingBatch | None:  # noqa: ARG002 - for subclasses
        """Return what else a row stands for, where its own mapping takes more than the row says.

        None of them costs less than the row says. They need not fit where the row does. None: there
        are none.
        """
        return None
