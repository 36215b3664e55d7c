"""The mappings of all layers that are still in question, and their points at given prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.cosearch.hull import LayerPoints, price_rows
from dse.cosearch.joint import JointChoices
from dse.cosearch.layer_table import LayerRows
from dse.numeric import Floats, Ints


@dataclass(frozen=True)
class Pool:
    """:class:`~dse.cosearch.layer_table.LayerRows` of N layers, one after the other.

    Attributes:
        first: ``(N + 1,)`` where those of each layer start.
        rows: all of them.
        is_ordered: whether they are known to stand as points have to (`order`).
    """

    first: Ints
    rows: LayerRows
    is_ordered: bool = False

    @classmethod
    def of(cls, parts: Sequence[LayerRows]) -> Pool:
        """Join the rows of all layers."""
        counts = [len(part) for part in parts]
        return cls(np.cumsum([0, *counts]).astype(np.int64), LayerRows.concatenate(parts))

    def order(self) -> npt.NDArray[np.intp]:
        """Return the rows in the order in which points have to stand: by cycles in each layer."""
        layer = np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))
        return np.lexsort((self.rows.cycles, layer))

    def ordered(self, order: npt.NDArray[np.intp]) -> Pool:
        """Return the pool in another order of rows, which keeps layers together."""
        return Pool(self.first, self.rows.take(order), is_ordered=True)

    def in_order(self) -> Pool:
        """Return the pool with its rows in order."""
        return self if self.is_ordered else self.ordered(self.order())

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: npt.NDArray[np.bool_]) -> Pool:
        """Return the rows where ``which`` is set."""
        if which.all():
            return self
        kept = np.concatenate([[0], np.cumsum(which)])
        return Pool(kept[self.first].astype(np.int64), self.rows.take(which), self.is_ordered)

    def energy(self, price: Floats, size: Ints) -> Floats:
        """Return energies at prices ``(K,)``; infinite where sizes ``(V,)`` are too small."""
        energy = np.empty(len(self))
        rows = self.rows
        price_rows(rows.base_pj, rows.accesses, rows.need, price, size, energy)
        return energy

    def points(self, choices: JointChoices, energy: Floats) -> list[LayerPoints]:
        """Return the points of each network with these energies."""
        return choices.points(self.first, energy, self.rows.cycles)

    @property
    def indices(self) -> tuple[Ints, ...]:
        """The numbers of every layer's rows in its table."""
        ends = zip(self.first[:-1], self.first[1:], strict=True)
        return tuple(self.rows.index[start:stop] for start, stop in ends)

    def numbers_of(self, chosen: Ints) -> tuple[Ints, ...]:
        """Return the numbers in their tables of one row of each layer."""
        return tuple(self.rows.index[r : r + 1] for r in chosen)

    def need(self, chosen: Ints) -> Ints:
        """Return ``(V,)`` what the rows of a choice need together."""
        need: Ints = self.rows.need[chosen].max(axis=0, initial=0)
        return need
