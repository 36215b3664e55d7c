"""Rows of chips for which :mod:`dse.certify.tiers` holds: all tiles, all orders."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dse.certify.evaluation import PlainEvaluation, RangePrices, UnitPrice
from dse.certify.hardware import Capacity, Chip
from dse.certify.layers import TiledLayer
from dse.certify.rows import (
    MOST_ROWS,
    RecheckedRows,
    RowPoints,
    Rows,
    RowSource,
    concatenated,
    joined,
    points_of,
)
from dse.certify.tiers import ACCUMULATOR, REGISTERS, SCRATCHPAD
from dse.certify.verdict import Effort, NotCoveredError
from dse.domain.architecture import Architecture, StorageLevel
from dse.domain.mapping import MappingBatch
from dse.errors import ProofError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
T = TypeVar("T")

#: Timeloop's division may make a whole number of cycles one too large; no more than so much.
_DIVISION = 1e-13
#: Mappings evaluated at a time.
_CHUNK = 65_536


class _Tiles(NamedTuple):
    """Some tiles of a layer, with their factors in space, and words by level."""

    which: Ints
    rows: Ints
    columns: Ints
    words: dict[int, Ints]


class TiledRows(RowSource):
    """Rows of chips of one kind for which :mod:`dse.certify.tiers` holds.

    Args:
        layers: of the network, in every size.
        counts: how many of them, one after the other, are sizes of one layer of the network.
        most: the largest factors in space of every one of them, by the id of a chip.
        capacities: of the hardware.
        timeloop_version: of the model.
        effort: counts mappings.
        leaks: whether instances cost energy while a mapping runs on them: then none of the
            factors is the best for certain.
    """

    def __init__(
        self, layers: Sequence[TiledLayer], counts: Sequence[int],
        most: Mapping[int, list[tuple[int, int]]],
        capacities: Sequence[Capacity], timeloop_version: str, effort: Effort, *, leaks: bool,
    ) -> None:  # fmt: skip
        self._layers, self._most, self._capacities = layers, most, capacities
        self._counts = counts
        self._start = np.cumsum([0, *(len(layer.tiles) for layer in layers)])
        self._evaluation = PlainEvaluation(timeloop_version, effort)
        self._leaks = leaks

    def most(self, chip: Chip) -> list[tuple[int, int]]:
        """Return the largest factors in space, along rows and columns, of every layer."""
        return self._most[id(chip)]

    def rows(self, chips: tuple[Chip, ...], within: Rows | None = None) -> Rows:
        """See :class:`RowSource`; of several chips, leakage is left out."""
        allowed = self._allowed(within)
        leaks = self._leaks and len(chips) == 1
        prices = RangePrices(chips, self._capacities, leaks=leaks)
        units = prices.units()
        most = np.max([self.most(chip) for chip in chips], axis=0)
        made, total = [], 0
        parts_of = zip(self._layers, most.tolist(), allowed, self._start, strict=False)
        for layer, (rows, wide), index, start in parts_of:
            parts = []
            machine = self._machine(chips, prices, layer, rows, wide)
            for tiles in self._tiles(chips, layer, index, rows, wide, every=leaks):
                total += len(tiles.which)
                if total > MOST_ROWS:
                    raise NotCoveredError(f"more than {MOST_ROWS:,} mappings of one chip")
                costs = self._costs(machine, units, layer, tiles)
                words = [tiles.words[c.level] for c in self._capacities]
                parts.append(RecheckedRows(costs, words, start + tiles.which))
            made.append(concatenated(parts))
        return joined(chips, units, [concatenated(sizes) for sizes in self._by_layer(made)])

    def _allowed(self, within: Rows | None) -> list[Ints]:
        """Return the numbers of the tiles of every layer, in every size, to look at."""
        if within is None:
            return [np.arange(len(layer.tiles)) for layer in self._layers]
        has = np.zeros(self._start[-1], np.bool_)
        has[within.origin] = True
        return [np.flatnonzero(part) for part in np.split(has, self._start[1:-1])]

    def _by_layer(self, of_sizes: Sequence[T]) -> list[list[T]]:
        """Return what there is of every size by layer of the network."""
        rest = iter(of_sizes)
        return [list(itertools.islice(rest, count)) for count in self._counts]

    def _tiles(
        self, chips: Sequence[Chip], layer: TiledLayer, index: Ints, rows: int, wide: int, *,
        every: bool,
    ) -> Iterator[_Tiles]:  # fmt: skip
        """Yield those tiles for which some chip has room.

        Their factors in space are the largest, or all where every one may be the best.
        """
        tiers = layer.tiers
        if not every:
            largest = (
                layer.largest(tiers.rows, rows, index), layer.largest(tiers.columns, wide, index)
            )  # fmt: skip
            yield self._with_room(chips, layer, _Tiles(index, *largest, {}))
            return
        for pr, pc in itertools.product(
            layer.factors(tiers.rows, rows), layer.factors(tiers.columns, wide)
        ):
            both = layer.divides(tiers.rows, pr, index) & layer.divides(tiers.columns, pc, index)
            which = index[both]
            count = len(which)
            yield self._with_room(
                chips, layer, _Tiles(which, np.full(count, pr), np.full(count, pc), {})
            )

    def _with_room(self, chips: Sequence[Chip], layer: TiledLayer, tiles: _Tiles) -> _Tiles:
        """Return those for which some chip has room, with the words that they take."""
        tiers, own = layer.tiers, layer.words[tiles.which]
        words = {
            REGISTERS: np.ones(len(own), np.int64),
            ACCUMULATOR: own[:, tiers.output] // tiles.columns,
            SCRATCHPAD: own[:, tiers.stationary] + own[:, tiers.moving],
        }
        sized = {capacity.level: c for c, capacity in enumerate(self._capacities)}
        fits = np.ones(len(own), np.bool_)
        for s, taken in words.items():
            if s in sized:
                room = max(float(chip.sizes[sized[s]].usable_words.max()) for chip in chips)
            else:
                room = max(_usable(chip.architecture.levels[s]) for chip in chips)
            fits &= taken <= room
        return _Tiles(
            tiles.which[fits],
            tiles.rows[fits],
            tiles.columns[fits],
            {s: taken[fits] for s, taken in words.items()},
        )

    def _machine(
        self, chips: Sequence[Chip], prices: RangePrices, layer: TiledLayer, rows: int, wide: int
    ) -> Architecture:
        """Return hardware on which a mapping costs no more than on any of these chips."""
        parts = [chip.architecture for chip in chips]
        mesh = [[1, 1], [1, 1]]  # below the scratchpad, below the accumulators
        mesh[0][layer.tiers.axes[1]] = wide
        mesh[1][layer.tiers.axes[0]] = rows
        columns, pes = mesh[0], [a * b for a, b in zip(*mesh, strict=True)]
        levels = []
        for s, level in enumerate(parts[0].levels):
            x, y = pes if s == REGISTERS else columns if s == ACCUMULATOR else (1, 1)
            both = [p.levels[s] for p in parts]
            levels.append(
                replace(
                    level, mesh_x=x, mesh_y=y, instances=x * y,
                    size_words=None if level.is_dram else 1 << 60,
                    multiple_buffering=1.0,
                    block_size=prices.blocks[s],
                    read_bandwidth=max(b.read_bandwidth for b in both) * (1.0 + _DIVISION),
                    write_bandwidth=max(b.write_bandwidth for b in both) * (1.0 + _DIVISION),
                    shared_bandwidth=max(b.shared_bandwidth for b in both) * (1.0 + _DIVISION),
                    energy=prices.of_level(s),
                )
            )  # fmt: skip
        compute = replace(
            parts[0].compute, mesh_x=pes[0], mesh_y=pes[1], instances=pes[0] * pes[1],
            energy_pj=min(p.compute.energy_pj for p in parts),
        )  # fmt: skip
        return replace(parts[0], levels=tuple(levels), compute=compute)

    def _costs(
        self, machine: Architecture, units: list[UnitPrice], layer: TiledLayer, tiles: _Tiles
    ) -> list[Floats]:
        """Return cycles, base energy, and a part per unit price."""
        parts: list[list[Floats]] = [[np.empty(0)] * (2 + len(units))]
        for batch in _batches(layer, tiles):
            valid, costs = self._evaluation.costs(machine, units, layer.problem, batch)
            if not valid.all():
                raise ProofError("the model rejects a mapping on hardware with room for all")
            parts.append(costs)
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def points(self, chip: Chip, architecture: Architecture, within: Rows) -> RowPoints:
        """See :class:`RowSource`: every order and factor in space of these tiles."""
        parts = zip(self._layers, self.most(chip), self._allowed(within), strict=True)
        found = [
            [
                self._evaluation.plain(architecture, layer.problem, batch)
                # what a chip has no room for at all need not be put to the model
                for tiles in self._tiles((chip,), layer, index, rows, wide, every=True)
                for batch in _batches(layer, tiles)
            ]
            for layer, (rows, wide), index in parts
        ]
        return points_of([list(itertools.chain(*sizes)) for sizes in self._by_layer(found)])


def _batches(layer: TiledLayer, tiles: _Tiles) -> Iterator[MappingBatch]:
    for start in range(0, len(tiles.which), _CHUNK):
        part = slice(start, start + _CHUNK)
        yield layer.mappings(tiles.which[part], tiles.rows[part], tiles.columns[part])


def _usable(level: StorageLevel) -> float:
    """Return the words that tiles may take of a level."""
    return math.inf if level.size_words is None else level.size_words // level.multiple_buffering
