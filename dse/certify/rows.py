"""Mappings of all layers on a range of chips, with what they cost at least, for the recheck."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.certify.evaluation import UnitPrice
from dse.certify.hardware import Chip
from dse.domain.architecture import Architecture

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: Mappings that are kept of all layers.
MOST_ROWS = 40_000_000


class SizedAccesses(NamedTuple):
    """What a row pays by the value of a capacity: ``parts (R,)`` times ``price (V,)``."""

    capacity: int
    parts: Floats
    price: Floats


@dataclass(frozen=True)
class Rows:
    """Mappings of all layers, one layer after the other; no mapping that is left out is better.

    Attributes:
        chips: for each of which a row costs at least what stands here.
        first: ``(N + 1,)`` where each layer's rows start.
        cycles, base_pj: ``(R,)``; energy that depends on no capacity.
        columns: energy that does.
        rank: ``(V,)`` by capacity: the places of its values, from the smallest to the largest.
        need: ``(R,)`` by capacity: the least rank that holds the row's tiles.
        origin: ``(R,)`` the number of the row's tile among those of all layers, in every size; of
            sources that do not tell tiles apart, 0.
    """

    chips: tuple[Chip, ...]
    first: Ints
    cycles: Floats
    base_pj: Floats
    columns: tuple[SizedAccesses, ...]
    rank: tuple[Ints, ...]
    need: tuple[Ints, ...]
    origin: Ints

    def only(self, kept: Flags) -> Rows:
        """Return some of the rows, given by flags ``(R,)``."""
        before = np.concatenate([[0], np.cumsum(kept)])
        return replace(
            self,
            first=before[self.first].astype(np.int64),
            cycles=self.cycles[kept],
            base_pj=self.base_pj[kept],
            columns=tuple(c._replace(parts=c.parts[kept]) for c in self.columns),
            need=tuple(n[kept] for n in self.need),
            origin=self.origin[kept],
        )

    def energy(self, low: Sequence[int], high: Sequence[int]) -> Floats:
        """Return the least energy ``(R,)`` within a box of capacities; infinite: nothing fits."""
        energy = self.base_pj.copy()
        for column in self.columns:
            c = column.capacity
            inside = slice(low[c], high[c] + 1)
            rank = self.rank[c]
            least = np.full(len(rank), math.inf)
            least[rank[inside]] = column.price[inside]
            # of all that are large enough
            least = np.minimum.accumulate(least[::-1])[::-1]
            price = least[self.need[c]]
            none = np.isinf(price)
            if none.any():
                energy[none] = math.inf
                price[none] = 0.0
            energy += column.parts * price
        return energy


class RowPoints(NamedTuple):
    """What the mappings of all layers cost on one piece of hardware, by the model."""

    first: Ints
    energy: Floats
    cycles: Floats


class RowSource(ABC):
    """Where rows come from."""

    @abstractmethod
    def rows(self, chips: tuple[Chip, ...], within: Rows | None = None) -> Rows:
        """Return the rows of some chips; a layer without any has no mapping on them.

        Args:
            chips: which.
            within: rows of these chips and others; tiles of which it has none may be left out.
        """

    @abstractmethod
    def points(self, chip: Chip, architecture: Architecture, within: Rows) -> RowPoints:
        """Return the mappings of every layer on a design of a chip, at their true cost.

        Those of tiles of which ``within`` has no rows may be left out.
        """


class RecheckedRows(NamedTuple):
    """Rows of one layer.

    Attributes:
        costs: cycles, base energy and a part per unit price, ``(R,)`` each.
        words: by capacity, ``(R,)`` each.
        origin: ``(R,)`` as of all rows.
    """

    costs: list[Floats]
    words: list[Ints]
    origin: Ints


def concatenated(parts: Sequence[RecheckedRows]) -> RecheckedRows:
    """Return the rows of all parts."""
    costs, words = (
        [np.concatenate(x) for x in zip(*p, strict=True)]
        for p in ([part.costs for part in parts], [part.words for part in parts])
    )
    return RecheckedRows(costs, words, np.concatenate([part.origin for part in parts]))


def joined(
    chips: tuple[Chip, ...], units: Sequence[UnitPrice], layers: Sequence[RecheckedRows]
) -> Rows:
    """Join the layers' rows."""
    costs, words, origin = concatenated(layers)
    cycles, base, *parts = costs
    rank, need = [], []
    for c, taken in enumerate(words):
        usable = np.max([chip.sizes[c].usable_words for chip in chips], axis=0)
        order = np.argsort(usable, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        rank.append(place)
        need.append(np.searchsorted(usable[order], taken))
    return Rows(
        chips,
        np.cumsum([0, *(len(layer.costs[0]) for layer in layers)]).astype(np.int64),
        cycles,
        base,
        tuple(
            SizedAccesses(unit.capacity, part, unit.price)
            for unit, part in zip(units, parts, strict=True)
        ),
        tuple(rank),
        tuple(need),
        origin,
    )


def points_of(layers: Sequence[Sequence[tuple[Floats, Floats]]]) -> RowPoints:
    """Return the points of layers, given as energies and cycles in parts."""
    none = [np.empty(0)]
    energy = [np.concatenate([*none, *(e for e, _ in parts)]) for parts in layers]
    cycles = [np.concatenate([*none, *(t for _, t in parts)]) for parts in layers]
    first = np.cumsum([0, *(len(e) for e in energy)]).astype(np.int64)
    return RowPoints(first, np.concatenate(energy), np.concatenate(cycles))
