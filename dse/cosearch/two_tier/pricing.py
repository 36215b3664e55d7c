"""What the rows of two-tier tables cost in a frame, or in a group of frames at its best."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dse.cosearch.frames import Frame, FrameGroup
from dse.cosearch.layer_table import LayerRows, LayerTable
from dse.cosearch.pool import Pool
from dse.cosearch.sizes import FILL, READ, UPDATE, Size
from dse.cosearch.two_tier import row_kernel, tile_kernel
from dse.cosearch.two_tier.roles import ACCUMULATOR, REGISTERS, SCRATCHPAD
from dse.domain.architecture import Architecture
from dse.model import rules
from dse.numeric import Floats, Ints

_LEVELS = 4
_KINDS = 4
_NO_PAIRS = np.empty((0, 2), np.int64)
#: What a size has to hold, by its level; elsewhere it is one word.
_NEEDING = {ACCUMULATOR: 0, SCRATCHPAD: 1}
_ONE_WORD = 2
#: Words that anything holds.
_ANY = np.iinfo(np.int64).max
#: Rows from which on threads are worth beginning.
_MANY = 5_000


class TablePart(NamedTuple):
    """Classes of mappings of one problem.

    Attributes:
        classes: ``(C, COLUMNS)`` of :mod:`.tile_kernel`.
        shape: of the problem.
    """

    classes: Ints
    shape: row_kernel.LayerShape


class GroupedTable(LayerTable):
    """A table in closed form, whose rows may be priced for groups of frames, with those of others.

    It holds P parts; row n of part p has the number n P + p.
    """

    @property
    @abstractmethod
    def parts(self) -> tuple[TablePart, ...]:
        """What it consists of."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[Size, ...]:
        """The size variables."""

    @property
    def class_count(self) -> int:
        """How many classes of mappings it holds."""
        return sum(len(part.classes) for part in self.parts)

    @cached_property
    def pricer(self) -> RowPricer:
        """What prices the rows of this table alone."""
        return RowPricer([self])

    def rows(self, frame: Frame, index: Ints | None) -> LayerRows:
        """See :meth:`dse.cosearch.layer_table.LayerTable.rows`."""
        return self.pricer.pool(frame, None if index is None else (index,)).rows

    def group_rows(self, group: FrameGroup) -> LayerRows:
        """Return all mappings, see :meth:`RowPricer.group_pool`."""
        return self.pricer.group_pool(group, None).rows


class RowPricer:
    """Prices rows of several tables in one call.

    Args:
        tables: of the same size variables, one per layer; several may be the same.
        threads: that price rows at a time, where these are many; results do not depend on it.
    """

    def __init__(self, tables: Sequence[GroupedTable], threads: int = 1) -> None:
        self._sizes = tables[0].sizes
        self._threads = threads
        #: of threads beside the caller's: they stay, as to begin one takes as long as some rows
        self._pool = ThreadPoolExecutor(max(threads - 1, 1))
        self._parts = [part for table in tables for part in table.parts]
        #: parts of each layer's table
        self._counts = np.array([len(table.parts) for table in tables], np.int64)
        self._stack = _stacked(self._parts, threads)
        self._largest: dict[tuple[int, int], row_kernel.Largest] = {}

    def pool(self, frame: Frame, index: tuple[Ints, ...] | None) -> Pool:
        """Return the mappings that fit some hardware of a frame, exactly priced.

        Args:
            frame: the frame.
            index: numbers of those wanted of each table; None: all.
        """
        machine = machine_of(frame.alone)
        numbers = self._numbers(index)
        classes, pairs = numbers, [_NO_PAIRS] * len(numbers)
        if every_pair(frame, self._stack.version):
            spread = [
                with_pairs(part, own, machine)
                for part, own in zip(self._parts, numbers, strict=True)
            ]
            numbers, classes, pairs = (list(column) for column in zip(*spread, strict=True))
        columns = [(self._sizes[c.size].level, c.kinds) for c in frame.columns]
        prices = self._prices(
            columns, frame.prices, frame.architecture.compute.energy_pj, frame.architecture
        )
        return self._priced(machine, prices, numbers, classes, pairs, grouped=False)

    def group_pool(self, group: FrameGroup, index: tuple[Ints, ...] | None) -> Pool:
        """Return mappings priced no higher than in any of these frames; leakage is left out.

        There is one column per size variable, whose price is the least per word.

        Args:
            group: the frames.
            index: numbers of those wanted of each table; None: all.
        """
        columns = [(size.level, (READ, FILL, UPDATE)) for size in self._sizes]
        prices = self._prices(columns, group.price_per_word, group.mac_pj, None)
        numbers = self._numbers(index)
        machine = machine_of(group, per_word=True)
        none = [_NO_PAIRS] * len(numbers)
        return self._priced(machine, prices, numbers, numbers, none, grouped=True)

    def _numbers(self, index: tuple[Ints, ...] | None) -> list[Ints]:
        """Return the numbers of the rows wanted of every part, within it."""
        if index is None:
            return [np.arange(len(part.classes), dtype=np.int64) for part in self._parts]
        found: list[Ints] = []
        for own, count in zip(index, self._counts.tolist(), strict=True):
            if count == 1:
                found.append(own)
            else:
                number, part = np.divmod(own, count)
                found += [number[part == p] for p in range(count)]
        return found

    def _prices(
        self,
        columns: Sequence[tuple[int, Sequence[int]]],
        level: Floats,
        mac_pj: float,
        fixed: Architecture | None,
    ) -> row_kernel.RowPrices:
        """Return the prices of a frame, or of a group.

        Args:
            columns: level and kinds of accesses of each.
            level: ``(L, 4)`` prices of levels of fixed size.
            mac_pj: energy of a MAC.
            fixed: whose levels of fixed size have to hold the tiles; None: nobody's.
        """
        kinds = np.zeros((len(columns), _KINDS), np.bool_)
        for k, (_, own) in enumerate(columns):
            kinds[k, list(own)] = True
        most = np.full(_LEVELS, _ANY, np.int64)
        sized = {size.level for size in self._sizes}
        for s, storage in enumerate(fixed.levels if fixed is not None else ()):
            if s not in sized and storage.size_words is not None:
                most[s] = rules.usable_words(storage.size_words, storage.multiple_buffering)
        held = most[[ACCUMULATOR, SCRATCHPAD]]
        return row_kernel.RowPrices(
            level=np.ascontiguousarray(level, np.float64),
            mac=float(mac_pj),
            column_level=np.array([s for s, _ in columns], np.int64),
            column_kinds=kinds,
            needing=np.array(
                [_NEEDING.get(size.level, _ONE_WORD) for size in self._sizes], np.int64
            ),
            most=held if most[REGISTERS] >= 1 else np.full(2, -1, np.int64),
        )

    def _priced(
        self,
        machine: row_kernel.RowMachine,
        prices: row_kernel.RowPrices,
        numbers: Sequence[Ints],
        classes: Sequence[Ints],
        pairs: Sequence[Ints],
        *,
        grouped: bool,
    ) -> Pool:
        """Return the rows of every layer.

        Args:
            machine: what runs them.
            prices: what accesses cost.
            numbers: of the rows of every part.
            classes: their classes.
            pairs: their spatial factors, see `row_kernel.cost_rows`.
            grouped: see there.
        """
        first = np.cumsum([0, *map(len, classes)]).astype(np.int64)
        count = int(first[-1])
        out = row_kernel.PricedRows(
            np.empty(count),
            np.empty(count),
            np.empty((count, len(prices.column_level))),
            np.empty((count, len(prices.needing)), np.int64),
            np.empty(count, np.bool_),
        )
        joined, factors = np.concatenate(classes), np.concatenate(pairs)
        largest = self._largest_on(machine)

        def cost(low: int, high: int) -> None:
            some = slice(low, high)
            row_kernel.cost_rows(
                self._stack, machine, largest, prices, grouped,
                np.clip(first, low, high) - low, joined[some], factors[some],
                np.empty((_LEVELS, _KINDS)), row_kernel.PricedRows._make(own[some] for own in out),
            )  # fmt: skip

        threads = self._threads if count >= _MANY else 1
        ends = np.linspace(0, count, threads + 1).astype(np.int64).tolist()
        others = [self._pool.submit(cost, *part) for part in pairwise(ends[1:])]
        cost(*ends[:2])
        for other in others:
            other.result()
        rows = LayerRows(self._named(numbers), out.cycles, out.base, out.accesses, out.need)
        found = Pool(first[np.cumsum([0, *self._counts])], rows)
        return found if out.fits.all() else found.take(out.fits)

    def _named(self, numbers: Sequence[Ints]) -> Ints:
        """Return the numbers of all rows in their tables, given those within the parts."""
        if len(numbers) == len(self._counts):
            return np.concatenate(numbers)
        parts = [(p, count) for count in self._counts.tolist() for p in range(count)]
        pairs = zip(numbers, parts, strict=True)
        return np.concatenate([own * count + p for own, (p, count) in pairs])

    def _largest_on(self, machine: row_kernel.RowMachine) -> row_kernel.Largest:
        most = machine.most_rows, machine.most_columns
        if most not in self._largest:
            shapes = [part.shape for part in self._parts]
            self._largest[most] = row_kernel.Largest(
                np.concatenate([_largest(x.row_divisors, most[0]) for x in shapes]),
                np.concatenate([_largest(x.column_divisors, most[1]) for x in shapes]),
            )
        return self._largest[most]


def _stacked(parts: Sequence[TablePart], threads: int) -> row_kernel.Stack:
    """Return parts one after the other; those of the same classes share them."""
    different = {id(part.classes): part.classes for part in parts}
    starts = np.cumsum([0, *map(len, different.values())]).tolist()
    start_of = dict(zip(different, starts, strict=False))
    classes = np.empty((starts[-1], tile_kernel.COLUMNS), np.int64)

    def copy(start: int, own: Ints) -> None:
        classes[start : start + len(own)] = own

    if len(classes) < _MANY:
        threads = 1
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(copy, starts[:-1], different.values()))
    shapes = [part.shape for part in parts]
    rows, columns = ([getattr(x, f"{kind}_divisors") for x in shapes] for kind in ("row", "column"))
    return row_kernel.Stack(
        classes=classes,
        first_class=np.array([start_of[id(part.classes)] for part in parts], np.int64),
        macs=np.array([x.macs for x in shapes], np.int64),
        outputs=np.array([x.outputs for x in shapes], np.int64),
        row_divisors=np.concatenate(rows),
        first_row=np.cumsum([0, *map(len, rows)]).astype(np.int64),
        column_divisors=np.concatenate(columns),
        first_column=np.cumsum([0, *map(len, columns)]).astype(np.int64),
        stationary_first=np.array([x.stationary_first for x in shapes], np.bool_),
        output_place=np.array([x.output_place for x in shapes], np.int64),
        version=shapes[0].version,
    )


def _largest(divisors: Ints, most: int) -> Ints:
    """Return the largest divisor up to ``most`` of each of all divisors of a number."""
    fits = (divisors[:, None] % divisors == 0) & (divisors <= most)
    found: Ints = np.where(fits, divisors, 1).max(axis=1)
    return found


def every_pair(frame: Frame, version: int) -> bool:
    """Whether smaller spatial factors may be better: unused instances do not leak."""
    return frame.leaks and rules.leaks(version)


def with_pairs(
    part: TablePart, index: Ints, machine: row_kernel.RowMachine
) -> tuple[Ints, Ints, Ints]:
    """Return numbers, classes and factors ``(R, 2)`` of classes with all spatial factors."""
    tiles = part.classes[index][:, [tile_kernel.ROW_DIVISOR, tile_kernel.COLUMN_DIVISOR]]
    high, wide = part.shape.row_divisors, part.shape.column_divisors
    numbers, classes, pairs = [], [], []
    for a, rows in enumerate(high):
        for b, columns in enumerate(wide):
            if rows > machine.most_rows or columns > machine.most_columns:
                continue
            fits = (high[tiles[:, 0]] % rows == 0) & (wide[tiles[:, 1]] % columns == 0)
            chosen = index[fits]
            numbers.append(chosen * (len(high) * len(wide)) + a * len(wide) + b)
            classes.append(chosen)
            pairs.append(np.broadcast_to(np.array([rows, columns]), (len(chosen), 2)))
    return np.concatenate(numbers), np.concatenate(classes), np.concatenate(pairs)


def machine_of(group: FrameGroup, *, per_word: bool = False) -> row_kernel.RowMachine:
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
