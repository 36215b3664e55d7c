"""The table of a layer in a two-tier space: built once, hardware-independent, then priced fast."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from copy import copy
from functools import cached_property

import numpy as np

from dse.cosearch.frames import Frame, FrameGroup
from dse.cosearch.layer_table import GroupedTable, LayerRows
from dse.cosearch.sizes import FILL, LEAK, READ, UPDATE, Size
from dse.cosearch.two_tier import row_kernel, tile_kernel
from dse.cosearch.two_tier.roles import (
    ACCUMULATOR,
    MEMORY,
    REGISTERS,
    SCRATCHPAD,
    Roles,
    outer_orders,
)
from dse.domain.mapping import Mapping, MappingBatch
from dse.mapspace.factorization import divisors
from dse.mapspace.space import Mapspace
from dse.model import rules
from dse.numeric import Floats, Ints

#: Classes for which memory is taken at first; more where they do not suffice.
_AT_FIRST = 1 << 15
_LEVELS = 4
_NO_PAIRS = np.empty((0, 2), np.int64)
_NEEDING = {ACCUMULATOR: 0, SCRATCHPAD: 1}


class TwoTierTable(GroupedTable):
    """See :class:`~dse.cosearch.layer_table.GroupedTable`.

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
        self._largest: dict[tuple[int, int], row_kernel.Largest] = {}
        self.classes = self._build(largest_tile)

    @property
    def class_count(self) -> int:
        """See :attr:`dse.cosearch.layer_table.GroupedTable.class_count`."""
        return len(self.classes)

    def restricted(self, kept: Ints) -> TwoTierTable:
        """Return the table with these classes alone, numbered anew."""
        other = copy(self)
        other.classes = self.classes[kept]
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
                following=np.zeros(most, np.int64),
            )
            out = np.zeros((most, tile_kernel.COLUMNS), np.int64)
            count = tile_kernel.build_classes(self._layer, scratch, bucket_of, largest_tile, out)
            if count >= 0:
                found = out[:count]
                kept: Ints = found[found[:, tile_kernel.TILE] >= 0]
                return kept
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

    def rows(self, frame: Frame, index: Ints | None) -> LayerRows:
        """See :meth:`dse.cosearch.layer_table.LayerTable.rows`."""
        machine = _machine_of(frame.alone)
        given, pairs = self._all(index), _NO_PAIRS
        numbers = given
        if self._every_pair(frame):
            numbers, given, pairs = self._with_pairs(given, machine)
        cycles, blocks, need = self.cost(machine, given, pairs, grouped=False)
        columns = frame.columns
        own = [(self._sizes[c.size].level, c.kinds) for c in columns]
        accesses = np.empty((len(given), len(columns)))
        for k, (level, kinds) in enumerate(own):
            accesses[:, k] = _total(blocks, level, kinds)
        architecture = frame.architecture
        base = blocks.reshape(-1, frame.prices.size) @ frame.prices.reshape(-1)
        base += self._shape.macs * architecture.compute.energy_pj
        fits = np.ones(len(given), np.bool_)
        sized = {size.level for size in self._sizes}
        wanted = np.zeros((len(given), len(self._sizes)), np.int64)
        for level, place in _NEEDING.items():
            capacity = architecture.levels[level]
            if level not in sized and capacity.size_words is not None:
                usable = rules.usable_words(capacity.size_words, capacity.multiple_buffering)
                fits &= need[:, place] <= usable
        registers = architecture.levels[REGISTERS]
        if REGISTERS not in sized and registers.size_words is not None:
            usable = rules.usable_words(registers.size_words, registers.multiple_buffering)
            fits &= usable >= 1
        for v, size in enumerate(self._sizes):
            wanted[:, v] = need[:, _NEEDING[size.level]] if size.level in _NEEDING else 1
        rows = LayerRows(numbers, cycles, base, accesses, wanted)
        return rows if fits.all() else rows.take(fits)

    def _every_pair(self, frame: Frame) -> bool:
        """Whether smaller spatial factors may be better: unused instances do not leak."""
        return frame.leaks and rules.leaks(self._shape.version)

    def _with_pairs(self, index: Ints, machine: row_kernel.RowMachine) -> tuple[Ints, Ints, Ints]:
        """Return numbers, classes and factors ``(R, 2)`` of classes with all spatial factors."""
        tiles = self.classes[index][:, [tile_kernel.ROW_DIVISOR, tile_kernel.COLUMN_DIVISOR]]
        wide = len(self._divisors[1])
        numbers, classes, pairs = [], [], []
        for a, rows in enumerate(self._divisors[0]):
            for b, columns in enumerate(self._divisors[1]):
                if rows > machine.most_rows or columns > machine.most_columns:
                    continue
                fits = (self._divisors[0][tiles[:, 0]] % rows == 0) & (
                    self._divisors[1][tiles[:, 1]] % columns == 0
                )
                chosen = index[fits]
                numbers.append(chosen * (len(self._divisors[0]) * wide) + a * wide + b)
                classes.append(chosen)
                pairs.append(np.broadcast_to(np.array([rows, columns]), (len(chosen), 2)))
        return np.concatenate(numbers), np.concatenate(classes), np.concatenate(pairs)

    def _all(self, index: Ints | None) -> Ints:
        return np.arange(len(self.classes), dtype=np.int64) if index is None else index

    def cost(
        self, machine: row_kernel.RowMachine, index: Ints, pairs: Ints, *, grouped: bool
    ) -> tuple[Floats, Floats, Ints]:
        """Return cycles, accesses and needs (:func:`.row_kernel.cost_rows`)."""
        cycles, blocks = np.empty(len(index)), np.empty((len(index), _LEVELS, 4))
        need = np.empty((len(index), 2), np.int64)
        row_kernel.cost_rows(
            self._shape, machine, self._largest_on(machine), grouped, self.classes, index, pairs,
            cycles, blocks, need,
        )  # fmt: skip
        return cycles, blocks, need

    def _largest_on(self, machine: row_kernel.RowMachine) -> row_kernel.Largest:
        most = machine.most_rows, machine.most_columns
        if most not in self._largest:
            parts = zip(self._divisors[:2], most, strict=True)
            self._largest[most] = row_kernel.Largest(*(_largest(*part) for part in parts))
        return self._largest[most]

    def group_rows(self, group: FrameGroup, index: Ints | None) -> LayerRows:
        """See :meth:`dse.cosearch.layer_table.GroupedTable.group_rows`."""
        given = self._all(index)
        machine = _machine_of(group, per_word=True)
        cycles, blocks, need = self.cost(machine, given, _NO_PAIRS, grouped=True)
        blocks[:, :, LEAK] = 0.0
        prices = group.price_per_word
        base = blocks.reshape(-1, prices.size) @ prices.reshape(-1)
        base += self._shape.macs * group.mac_pj
        accesses = np.empty((len(given), len(self._sizes)))
        for v, size in enumerate(self._sizes):
            accesses[:, v] = _total(blocks, size.level, (READ, FILL, UPDATE))
        wanted = np.ones((len(given), len(self._sizes)), np.int64)
        for v, size in enumerate(self._sizes):
            if size.level in _NEEDING:
                wanted[:, v] = need[:, _NEEDING[size.level]]
        return LayerRows(given, cycles, base, accesses, wanted)

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
        machine = _machine_of(frame.alone)
        wide = len(self._divisors[1])
        if self._every_pair(frame):
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


def _largest(divisors: Ints, most: int) -> Ints:
    """Return the largest divisor up to ``most`` of each of all divisors of a number."""
    fits = (divisors[:, None] % divisors == 0) & (divisors <= most)
    found: Ints = np.where(fits, divisors, 1).max(axis=1)
    return found


def _total(blocks: Floats, level: int, kinds: Sequence[int]) -> Floats:
    """Return the accesses ``(R,)`` of a level, of these kinds together."""
    total: Floats = blocks[:, level, kinds[0]].copy()
    for kind in kinds[1:]:
        total += blocks[:, level, kind]
    return total


def _machine_of(group: FrameGroup, *, per_word: bool = False) -> row_kernel.RowMachine:
    """Return what the best of these frames lets mappings do."""
    most = group.most
    return row_kernel.RowMachine(
        block=np.ones(_LEVELS) if per_word else most.block_size,
        read_bandwidth=most.read_bandwidth,
        write_bandwidth=most.write_bandwidth,
        shared_bandwidth=most.shared_bandwidth,
        most_rows=int(most.fanout[ACCUMULATOR]),
        most_columns=int(most.fanout[SCRATCHPAD]),
    )
