"""The table of a layer that may be padded: those of its sizes, as one."""

from __future__ import annotations

from collections.abc import Sequence

from dse.cosearch.frames import Frame
from dse.cosearch.sizes import Size
from dse.cosearch.two_tier.pricing import GroupedTable, TablePart
from dse.cosearch.two_tier.table import TwoTierTable
from dse.domain.mapping import Mapping, MappingBatch


class TwoTierUnion(GroupedTable):
    """See :class:`~dse.cosearch.two_tier.pricing.GroupedTable`.

    Args:
        tables: one of each size, at least one.
    """

    def __init__(self, tables: Sequence[TwoTierTable]) -> None:
        self._tables = tuple(tables)

    @property
    def parts(self) -> tuple[TablePart, ...]:
        """See :attr:`dse.cosearch.two_tier.pricing.GroupedTable.parts`."""
        return tuple(part for table in self._tables for part in table.parts)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """See :attr:`dse.cosearch.two_tier.pricing.GroupedTable.sizes`."""
        return self._tables[0].sizes

    def mapping(self, frame: Frame, number: int) -> Mapping:
        """See :meth:`dse.cosearch.layer_table.LayerTable.mapping`."""
        own, p = divmod(number, len(self._tables))
        return self._tables[p].mapping(frame, own)

    def variants(self, frame: Frame, number: int) -> MappingBatch | None:
        """See :meth:`dse.cosearch.layer_table.LayerTable.variants`."""
        own, p = divmod(number, len(self._tables))
        return self._tables[p].variants(frame, own)
