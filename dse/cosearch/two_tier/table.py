"""The table of a layer in a two-tier space: built once, hardware-independent, then priced fast."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from copy import copy
from functools import cached_property

import numpy as np

from dse.cosearch.frames import Frame
from dse.cosearch.sizes import Size
from dse.cosearch.two_tier import row_kernel, tile_kernel
from dse.cosearch.two_tier.pricing import GroupedTable, TablePart, every_pair, machine_of
from dse.cosearch.two_tier.roles import ACCUMULATOR, MEMORY, SCRATCHPAD, Roles, outer_orders
from dse.domain.mapping import Mapping, MappingBatch
from dse.mapspace.factorization import divisors
from dse.mapspace.space import Mapspace
from dse.numeric import Ints

#: Classes that there is room for at first, which costs nothing until it is used; more where they do
#: not suffice.
_AT_FIRST = 1 << 17


class TwoTierTable(GroupedTable):
    """See :class:`~dse.cosearch.two_tier.pricing.GroupedTable`.

    Args:
        space: the layer's mapspace on hardware of the largest fan-outs.
        r: its roles.
        sizes: the size variables.
        version: of Timeloop, as the kernels number it.
        largest_tile: words that the largest scratchpad holds.
    """

    def __init__(
        self, space: Mapspace, r: Roles, sizes: Sequence[Size], version: int, largest_tile: int
    ) -> None:
        self._space = space
        self._roles = r
        self._sizes = tuple(sizes)
        self._problem = problem = space.problem
        others = [d for d in range(len(problem.dimensions)) if d not in (r.rows, r.columns)]
        self._dimensions = [r.rows, r.columns, *others]
        bounds = problem.sizes[self._dimensions]
        self._divisors = [np.array(divisors(int(b)), np.int64) for b in bounds]
        self._tensors = [r.stationary, r.moving, r.output]
        projection = np.ascontiguousarray(problem.projection[self._tensors][:, :, self._dimensions])
        self._layer = self._layer_arrays(projection, bounds, version)
        order = [self._tensors.index(t) for t in range(3)]
        self._shape = row_kernel.LayerShape(
            problem.macs,
            problem.tensor_size(r.output),
            self._divisors[0],
            self._divisors[1],
            order.index(0) < order.index(1),
            order.index(2),
            version,
        )
        self.classes = self._build(largest_tile)

    @property
    def parts(self) -> tuple[TablePart, ...]:
        """See :attr:`dse.cosearch.two_tier.pricing.GroupedTable.parts`."""
        return (TablePart(self.classes, self._shape),)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """See :attr:`dse.cosearch.two_tier.pricing.GroupedTable.sizes`."""
        return self._sizes

    def restricted(self, kept: Ints) -> TwoTierTable:
        """Return the table with these classes alone, numbered anew."""
        other = copy(self)
        other.classes = self.classes[kept]
        vars(other).pop("pricer", None)  # it prices all of them
        return other

    def _layer_arrays(
        self, projection: Ints, bounds: Ints, version: int
    ) -> tile_kernel.LayerArrays:
        hit = projection > 0
        window = hit[1]
        orders = [self._orders(active) for active in range(1 << len(bounds))]
        lists = [list(order) for group in orders for order in group]
        return tile_kernel.LayerArrays(
            first=np.cumsum([0, *(len(d) for d in self._divisors)]).astype(np.int64),
            divisor=np.concatenate(self._divisors),
            bound=bounds.astype(np.int64),
            relevant=np.ascontiguousarray(hit.any(axis=1)),
            projection=projection,
            row=np.where(window.any(axis=0), window.argmax(axis=0), -1).astype(np.int64),
            order_first=np.cumsum([0, *(len(group) for group in orders)]).astype(np.int64),
            order_start=np.cumsum([0, *(len(order) for order in lists)]).astype(np.int64),
            order=np.array([d for order in lists for d in order] or [0], np.int64),
            version=version,
        )

    def _orders(self, active: int) -> list[tuple[int, ...]]:
        """Return the orders of a set of outer loops, in the builder's numbers of dimensions."""
        if any(active >> i & 1 and len(d) < 2 for i, d in enumerate(self._divisors)):
            return []
        own = sum(1 << self._dimensions[i] for i in range(len(self._divisors)) if active >> i & 1)
        place = {d: i for i, d in enumerate(self._dimensions)}
        found = outer_orders(self._problem, self._roles, own)
        return [tuple(place[int(d)] for d in order) for order in found]

    def _build(self, largest_tile: int) -> Ints:
        dims = len(self._divisors)
        orders = int(np.diff(self._layer.order_first).max())
        buckets, bucket_of = self._buckets()
        most = _AT_FIRST
        while True:
            scratch = tile_kernel.TileScratch(
                pick=np.zeros(dims, np.int64),
                tile=np.zeros(dims, np.int64),
                outer=np.zeros(dims, np.int64),
                edge=np.zeros(self._layer.projection.shape[1], np.int64),
                found=np.zeros((orders, 3), np.int64),
                alive=np.zeros(orders, np.bool_),
                head=np.zeros(buckets, np.int64),
                following=np.empty(most, np.int64),
            )
            out = np.empty((most, tile_kernel.COLUMNS), np.int64)
            count = tile_kernel.build_classes(self._layer, scratch, bucket_of, largest_tile, out)
            if count >= 0:
                return out[:count]
            most *= 4

    @cached_property
    def _inner_tiles(self) -> Ints:
        """``(I, D - 2)`` tiles of all dimensions but the spatial ones, the first fastest."""
        lists = [d.tolist() for d in reversed(self._divisors[2:])]
        tiles = [tile[::-1] for tile in itertools.product(*lists)]
        return np.array(tiles, np.int64).reshape(len(tiles), len(lists))

    def _buckets(self) -> tuple[int, Ints]:
        """Number the inner tiles by reuse of W and by whether they move it."""
        own = self._layer.relevant[0, 2:]
        reuse = self._inner_tiles[:, ~own].prod(axis=1)
        plain = (self._inner_tiles[:, own] == 1).all(axis=1)
        _, bucket = np.unique(reuse * 2 + plain, return_inverse=True)
        bucket = bucket.reshape(-1).astype(np.int64)
        return int(bucket.max()) + 1, bucket

    def mapping(self, frame: Frame, number: int) -> Mapping:
        """See :meth:`dse.cosearch.layer_table.LayerTable.mapping`."""
        row, pairs = self._pairs(frame, number)
        return self._mappings(frame, row, pairs[:1])[0]

    def variants(self, frame: Frame, number: int) -> MappingBatch | None:
        """See :meth:`dse.cosearch.layer_table.LayerTable.variants`.

        They have smaller spatial factors: Timeloop's rounding may spare them a cycle.
        """
        row, pairs = self._pairs(frame, number)
        return self._mappings(frame, row, pairs[1:]) if len(pairs) > 1 else None

    def _pairs(self, frame: Frame, number: int) -> tuple[Ints, Ints]:
        """Return a row's class, and its spatial factors ``(P, 2)``, the largest first."""
        machine = machine_of(frame.alone)
        wide = len(self._divisors[1])
        if every_pair(frame, self._shape.version):
            number, rest = divmod(number, len(self._divisors[0]) * wide)
            a, b = divmod(rest, wide)
            pair = int(self._divisors[0][a]), int(self._divisors[1][b])
            return self.classes[number], np.array([pair], np.int64)
        row = self.classes[number]
        choices = []
        for tile, own, most in zip(
            self._tile(row)[:2],
            self._divisors[:2],
            (machine.most_rows, machine.most_columns),
            strict=True,
        ):
            choices.append(own[(tile % own == 0) & (own <= most)][::-1])
        return row, np.array(list(itertools.product(*choices)), np.int64)

    def _mappings(self, frame: Frame, row: Ints, pairs: Ints) -> MappingBatch:
        """Return the mappings of a class with these spatial factors ``(P, 2)``."""
        tile = self._tile(row)
        batch = self._space.on(frame.architecture).empty_batch(len(pairs))
        for i, d in enumerate(self._dimensions):
            spatial = pairs[:, i] if i < pairs.shape[1] else 1
            if i < pairs.shape[1]:
                batch.spatial[(ACCUMULATOR, SCRATCHPAD)[i], d] = spatial
            batch.temporal[ACCUMULATOR, d] = tile[i] // spatial
            batch.temporal[MEMORY, d] = self._layer.bound[i] // tile[i]
        number = int(row[tile_kernel.ORDER])
        start, stop = self._layer.order_start[number : number + 2]
        order = [self._dimensions[int(i)] for i in self._layer.order[start:stop]]
        rest = [d for d in batch.permutation[MEMORY, :, 0].tolist() if d not in order]
        batch.permutation[MEMORY] = np.array([*order, *rest])[:, None]
        return batch

    def _tile(self, row: Ints) -> Ints:
        """Return the on-chip extent of every dimension, in the builder's order."""
        first = self._divisors[0][row[tile_kernel.ROW_DIVISOR]]
        second = self._divisors[1][row[tile_kernel.COLUMN_DIVISOR]]
        inner = self._inner_tiles[row[tile_kernel.TILE]]
        return np.array([first, second, *inner], np.int64)
