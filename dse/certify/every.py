"""All mappings that an architecture admits, one by one, for spaces of no special form.

Goes by :mod:`dse.certify.places`. Of mappings that differ in nothing but loops of one iteration,
one stands for all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dse.certify.layers import divisors
from dse.certify.places import EITHER, KEEP, Place, Places, X, Y
from dse.certify.verdict import NotCoveredError
from dse.domain.mapping import MappingBatch

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
T = TypeVar("T")

_CHUNK = 16384
#: Tilings of one layer on one chip, those that do not fit among them.
_MOST_TILINGS = 1_000_000_000
#: Ways to split one dimension over its places.
_MOST_SPLITS = 2_000_000


class EveryMapping:
    """The mappings of one problem on one architecture.

    Attributes:
        tilings: number of choices of factors, axes and keeps, before any check.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        problem = places.problem
        self._levels, self._tensors = places.keep.shape
        self._dims = len(problem.dimensions)
        self._splits = [
            _splits(int(n), own) for n, own in zip(problem.sizes, places.places, strict=True)
        ]
        self._either = [
            (p.level, d) for d, own in enumerate(places.places) for p in own if len(p.axes) == 2
        ]
        self._open = [tuple(int(i) for i in x) for x in np.argwhere(places.keep == EITHER)]
        choices = [len(s) for s in self._splits]
        self.tilings = math.prod(choices) << (len(self._either) + len(self._open))

    def batches(self, fit: Callable[[MappingBatch], Flags]) -> Iterator[MappingBatch]:
        """Yield all mappings in batches.

        Args:
            fit: returns which tilings ``(B,)`` fit the hardware, in whatever order loops run.
        """
        if self.tilings > _MOST_TILINGS:
            raise NotCoveredError(f"{self.tilings:.3g} tilings of one layer")
        for start in range(0, self.tilings, _CHUNK):
            number = np.arange(start, min(start + _CHUNK, self.tilings), dtype=np.int64)
            batch = self._decode(number)
            if len(batch):
                fits = fit(batch)
                if fits.any():
                    yield from self._ordered(batch.take(np.flatnonzero(fits)))

    def _decode(self, number: Ints) -> MappingBatch:
        """Return the tilings of these numbers that stay within the fan-outs."""
        count = len(number)
        temporal, spatial = (np.ones((self._levels, self._dims, count), np.int32) for _ in range(2))
        left = number.copy()
        for d, splits in enumerate(self._splits):
            left, digit = np.divmod(left, len(splits))
            for k, place in enumerate(self._places.places[d]):
                factors = spatial if place.axes else temporal
                factors[place.level, d] = splits[digit, k]
        on_y = self._fixed_axes()[:, :, None] & np.ones(count, np.bool_)
        kept = np.ones(count, np.bool_)
        for s, d in self._either:
            on_y[s, d] = left & 1 == 1
            left >>= 1
            kept &= ~(on_y[s, d] & (spatial[s, d] == 1))  # the same as along X
        keep = (self._places.keep == KEEP)[:, :, None] & np.ones(count, np.bool_)
        for s, t in self._open:
            keep[s, t] = left & 1 == 1
            left >>= 1
        kept &= self._within_fanouts(spatial, on_y)
        index = np.flatnonzero(kept)
        return self._batch(
            temporal[..., index], spatial[..., index], on_y[..., index], keep[..., index]
        )

    def _fixed_axes(self) -> Flags:
        """Return ``(L, D)``: which dimensions run along Y in space, and have no choice."""
        on_y = np.zeros((self._levels, self._dims), np.bool_)
        for d, own in enumerate(self._places.places):
            for place in own:
                on_y[place.level, d] |= place.axes == (Y,)
        return on_y

    def _within_fanouts(self, spatial: npt.NDArray[np.int32], on_y: Flags) -> Flags:
        fine = np.ones(spatial.shape[2], np.bool_)
        for s in range(self._levels):
            reach = self._places.architecture.fanout(s)
            for axis in (X, Y):
                own = np.where(on_y[s] == (axis == Y), spatial[s], 1).astype(np.float64)
                fine &= own.prod(axis=0) <= reach[axis]
        return fine

    def _batch(
        self,
        temporal: npt.NDArray[np.int32],
        spatial: npt.NDArray[np.int32],
        on_y: Flags,
        keep: Flags,
    ) -> MappingBatch:
        count = temporal.shape[2]
        spatial_permutation = np.empty((self._levels, self._dims, count), np.int8)
        for s, order in enumerate(self._places.spatial_order):
            # those along X first, each axis in the order of the level
            place = np.array([order.index(d) for d in range(self._dims)])
            spatial_permutation[s] = np.argsort(
                on_y[s] * self._dims + place[:, None], axis=0, kind="stable"
            )
        flags = [d[:, :, None] for d in self._places.directives]
        return MappingBatch(
            temporal=temporal,
            spatial=spatial,
            permutation=np.repeat(self._order([()] * self._levels)[:, :, None], count, axis=2),
            spatial_permutation=spatial_permutation,
            split=(~on_y).sum(axis=1).astype(np.int8),
            keep=keep,
            no_temporal_reuse=flags[0],
            no_multicast=flags[1],
            no_link_transfer=flags[2],
        )

    def _order(self, free: list[tuple[int, ...]]) -> npt.NDArray[np.int8]:
        """Return loop orders ``(L, D)``: listed dimensions, those given, the rest, the suffix."""
        rows = []
        for s, listed in enumerate(self._places.listed):
            last = self._places.suffix[s]
            rest = (d for d in range(self._dims) if d not in last)
            rows.append(list(dict.fromkeys([*listed, *free[s], *rest, *last])))
        return np.array(rows, np.int8)

    def _ordered(self, tiled: MappingBatch) -> Iterator[MappingBatch]:
        """Yield tilings with every order of their loops."""
        free = np.ones((self._levels, self._dims), np.bool_)
        for s, listed in enumerate(self._places.listed):
            free[s, [*listed, *self._places.suffix[s]]] = False
        loops = (tiled.temporal > 1) & free[:, :, None]
        flat = np.packbits(loops.reshape(-1, len(tiled)), axis=0)
        _, group = np.unique(flat, axis=1, return_inverse=True)
        group = group.reshape(-1)
        for g in range(int(group.max()) + 1):
            members = np.flatnonzero(group == g)
            pattern = loops[:, :, members[0]]
            each = [
                list(itertools.permutations(np.flatnonzero(pattern[s]).tolist()))
                for s in range(self._levels)
            ]
            for some in _pieces(itertools.product(*each), max(1, _CHUNK // len(members))):
                orders = np.stack([self._order(list(free)) for free in some], axis=2)
                index = np.repeat(members, orders.shape[2])
                yield _with_orders(tiled.take(index), np.tile(orders, (1, 1, len(members))))


def _with_orders(batch: MappingBatch, orders: npt.NDArray[np.int8]) -> MappingBatch:
    parts = {name: getattr(batch, name) for name in MappingBatch.__dataclass_fields__}
    return MappingBatch(**{**parts, "permutation": orders})


def _pieces(items: Iterator[T], length: int) -> Iterator[list[T]]:
    while piece := list(itertools.islice(items, length)):
        yield piece


def _splits(bound: int, places: tuple[Place, ...]) -> Ints:
    """Return all ways to write a bound as a product over places, ``(N, places)``."""
    found: list[tuple[int, ...]] = []
    if bound >= 1 << 31:
        raise NotCoveredError(f"a dimension of {bound:,}")

    def extend(left: int, chosen: tuple[int, ...]) -> None:
        k = len(chosen)
        if k == len(places):
            if left == 1:
                found.append(chosen)
            if len(found) > _MOST_SPLITS:
                raise NotCoveredError(f"more than {_MOST_SPLITS:,} ways to split {bound}")
            return
        for factor in divisors(left):
            if places[k].takes(factor):
                extend(left // factor, (*chosen, factor))

    extend(bound, ())
    return np.array(found, np.int64).reshape(len(found), len(places))
