"""The table of a layer that may be padded: those of its sizes, as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dse.cosearch.frames import Frame, FrameGroup
from dse.cosearch.layer_table import GroupedTable, LayerRows
from dse.cosearch.two_tier.table import TwoTierTable
from dse.domain.mapping import Mapping, MappingBatch
from dse.numeric import Ints


class TwoTierUnion(GroupedTable):
    """See :class:`~dse.cosearch.layer_table.GroupedTable`; row n of part p has number n P + p.

    Args:
        parts: P tables, at least one.
    """

    def __init__(self, parts: Sequence[TwoTierTable]) -> None:
        self._parts = tuple(parts)

    @property
    def class_count(self) -> int:
        """See :attr:`dse.cosearch.layer_table.GroupedTable.class_count`."""
        return sum(part.class_count for part in self._parts)

    def rows(self, frame: Frame, index: Ints | None) -> LayerRows:
        """See :meth:`dse.cosearch.layer_table.LayerTable.rows`."""
        return self._joined(index, lambda part, own: part.rows(frame, own))

    def group_rows(self, group: FrameGroup, index: Ints | None) -> LayerRows:
        """See :meth:`dse.cosearch.layer_table.GroupedTable.group_rows`."""
        return self._joined(index, lambda part, own: part.group_rows(group, own))

    def _joined(
        self, index: Ints | None, rows_of: Callable[[TwoTierTable, Ints | None], LayerRows]
    ) -> LayerRows:
        count = len(self._parts)
        found = []
        for p, own in self._numbers(index):
            rows = rows_of(self._parts[p], own)
            found.append(replace(rows, index=rows.index * count + p))
        return LayerRows.concatenate(found)

    def _numbers(self, index: Ints | None) -> list[tuple[int, Ints | None]]:
        """Return the parts of which there are rows, at least one, with their numbers there."""
        if index is None:
            return [(p, None) for p in range(len(self._parts))]
        own, part = np.divmod(index, len(self._parts))
        order = np.argsort(part, kind="stable")
        parts, first = np.unique(part[order], return_index=True)
        if not len(parts):
            return [(0, own)]
        return list(zip(parts.tolist(), np.split(own[order], first[1:]), strict=True))

    def mapping(self, frame: Frame, number: int) -> Mapping:
        """See :meth:`dse.cosearch.layer_table.LayerTable.mapping`."""
        own, p = divmod(number, len(self._parts))
        return self._parts[p].mapping(frame, own)

    def variants(self, frame: Frame, number: int) -> MappingBatch | None:
        """See :meth:`dse.cosearch.layer_table.LayerTable.variants`."""
        own, p = divmod(number, len(self._parts))
        return self._parts[p].variants(frame, own)
