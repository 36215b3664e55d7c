"""The mappings of all layers that are still in question, and their points at given prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.optimal.hull import Points
from dse.optimal.layer_table import Rows

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """Rows of N layers (see :class:`~dse.optimal.layer_table.Rows`), one layer after the other.

    Those of a layer stand by growing cycles.
    """

    first: Ints  # (N + 1,)
    rows: Rows

    @classmethod
    def of(cls, parts: Sequence[Rows]) -> Pool:
        """Join the rows of all layers."""
        joined = Rows(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in Rows.__dataclass_fields__
            )
        )
        counts = [len(part) for part in parts]
        layer = np.repeat(np.arange(len(parts)), counts)
        order = np.lexsort((joined.cycles, layer))
        return cls(np.cumsum([0, *counts]).astype(np.int64), joined.take(order))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: npt.NDArray[np.bool_]) -> Pool:
        """Return the rows where ``which`` is set."""
        if which.all():
            return self
        kept = np.concatenate([[0], np.cumsum(which)])
        return Pool(kept[self.first].astype(np.int64), self.rows.take(which))

    def fitting(self, usable: Ints) -> Pool:
        """Return the rows whose tiles fit sizes ``(V,)``."""
        return self.take((self.rows.need <= usable).all(axis=1))

    def points(self, weight: Floats, price: Floats) -> Points:
        """Return the points at prices ``(K,)`` of the columns."""
        energy = self.rows.base_pj + self.rows.accesses @ price
        return Points(self.first, weight, energy, self.rows.cycles)

    def index(self, layer: int) -> Ints:
        """Return the numbers of a layer's rows in its table."""
        return self.rows.index[self.first[layer] : self.first[layer + 1]]
