"""A first mapping for given hardware, made without evaluating any: full array, full buffers.

It stands where DOSA has CoSA (Huang et al., ISCA 2021), with the same aims in the same order: as
many loops in space as the fan-outs take, then tiles as large as the buffers hold. Tiles grow by the
prime factor that saves most traffic for the room it takes, from the inside out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import Mapping
from dse.mapspace.outline import Slot
from dse.mapspace.smallest import smallest
from dse.mapspace.space import Mapspace
from dse.numeric import Floats


def first_mapping(space: Mapspace) -> Mapping | None:
    """Return a mapping that fits the space's hardware; None where none was found.

    Tensors that the space leaves free to be kept or bypassed are kept where they fit.
    """
    mapping = smallest(space)
    if mapping is None:
        return None
    mapping.keep[space.arrays.keep == 2] = True
    packer = _Packer(space, mapping)
    if not packer.fits():
        mapping.keep[space.arrays.keep == 2] = False
        if not packer.fits():
            return None
    packer.take_back_space()
    packer.fill_array()
    packer.fill_buffers()
    return mapping


class _Packer:
    """Grows the factors of one mapping at the cost of each dimension's outermost place."""

    def __init__(self, space: Mapspace, mapping: Mapping) -> None:
        self.mapping = mapping
        self.slots = space.slots
        self.projection = space.problem.projection.astype(np.float64)
        self._rows = self.projection.reshape(-1, self.projection.shape[2]).T
        self.relevant: npt.NDArray[np.bool_] = np.asarray((self.projection > 0).any(axis=1))
        levels = space.architecture.levels
        self.capacity = np.array(
            [
                math.inf
                if x.size_words is None
                else math.floor(x.size_words / x.multiple_buffering)
                for x in levels
            ]
        )
        self.bounded = np.isfinite(self.capacity)
        a = space.arrays
        self.fanout = np.array([a.fanout_x, a.fanout_y])
        self.along_y = np.zeros(mapping.spatial.shape, np.bool_)
        for s, order in enumerate(mapping.spatial_permutation):
            self.along_y[s, order[mapping.split[s] :]] = True

    def fits(self) -> bool:
        """Whether the tiles fit."""
        return bool((self._words(self._extents()) <= self.capacity).all())

    def take_back_space(self) -> None:
        """Let no free factor run in space yet, where it can run in time instead."""
        for d, slots in enumerate(self.slots):
            last = self._last(slots)
            if last is None or last.spatial:
                continue
            for slot in slots:
                if slot.spatial and not slot.fixed:
                    self._move(d, last, slot, self.mapping.spatial[slot.level, d], back=True)

    def fill_array(self) -> None:
        """Run as many loops in space as the fan-outs take, level by level from the inside."""
        for s in range(len(self.capacity)):
            for axis in (0, 1):
                self._fill_axis(s, axis)

    def _fill_axis(self, s: int, axis: int) -> None:
        while True:
            used = np.where(self.along_y[s] == bool(axis), self.mapping.spatial[s], 1).prod()
            best, found = 1.0, None
            for d, slots in enumerate(self.slots):
                last = self._last(slots)
                for slot in slots:
                    mine = slot.spatial and slot.level == s and not slot.fixed
                    if not mine or last is None or slot is last or self.along_y[s, d] != axis:
                        continue
                    now = int(self.mapping.spatial[s, d])
                    room = min(self.fanout[axis, s] / used, slot.cap / now)
                    factor = self._largest(d, slot, last, room)
                    if factor > best:
                        best, found = factor, (d, last, slot)
            if found is None:
                return
            self._move(*found, int(best))

    def _largest(self, d: int, slot: Slot, last: Slot, room: float) -> int:
        """Return the largest factor up to ``room`` that the slot can take and that fits."""
        left = self._factor(d, last)
        for factor in range(int(min(room, left)), 1, -1):
            if left % factor == 0:
                self._move(d, last, slot, factor)
                fits = self.fits()
                self._move(d, last, slot, factor, back=True)
                if fits:
                    return factor
        return 1

    def fill_buffers(self) -> None:
        """Grow the tiles of each level in turn, by the prime that saves most for its room."""
        for s in range(len(self.capacity)):
            own = [
                (d, self._last(slots), slot)
                for d, slots in enumerate(self.slots)
                for slot in slots
                if not slot.spatial and slot.level == s and not slot.fixed
            ]
            while steps := [
                (d, last, slot, prime)
                for d, last, slot in own
                if last is not None and slot is not last
                for prime in _primes(self._factor(d, last))
                if self._factor(d, slot) * prime <= slot.cap
            ]:
                worth = self._worth(s, [d for d, *_ in steps], [step[-1] for step in steps])
                best = int(worth.argmax())
                if not worth[best] > 0.0:
                    break
                self._move(*steps[best])

    def _worth(self, s: int, dimensions: Sequence[int], primes: Sequence[int]) -> Floats:
        """Return the traffic saved at level s per share of its room; 0 where it does not fit.

        Args:
            s: the level.
            dimensions: ``(C,)`` of which one tile each grows there.
            primes: ``(C,)`` by which they grow.
        """
        extents, by = self._extents(), np.array(primes)
        sizes = self._sizes(extents)
        grown = np.repeat(extents[None], len(primes), axis=0)
        grown[np.arange(len(primes)), s:, dimensions] *= by[:, None]
        grown[:, -1] = extents[-1]
        more = self._words(grown)
        rounds = (extents[-1] / extents[s]).prod()
        saved = np.zeros(len(primes))
        share = 1.0 - 1.0 / by
        for t, relevant in enumerate(self.relevant):
            if self.mapping.keep[s, t]:
                # as if every loop outside fetched the tile again
                saved += np.where(relevant[dimensions], 0.0, sizes[s, t] * rounds * share)
        words = self._kept(sizes)
        taken = (more - words)[:, self.bounded] / self.capacity[self.bounded]
        worth = (saved + 1e-6) / (taken.clip(0.0).max(axis=1, initial=0.0) + 1e-9)
        return np.where((more > self.capacity).any(axis=1), 0.0, worth)

    def _extents(self) -> Floats:
        m = self.mapping
        extents: Floats = (m.temporal.astype(np.float64) * m.spatial).cumprod(axis=0)
        return extents

    def _sizes(self, extents: Floats) -> Floats:
        """Return the words of tiles ``(.., L, T)`` of extents ``(.., L, D)``."""
        sides = 1.0 + (extents - 1.0) @ self._rows  # whole numbers, exact in any order
        sizes: Floats = sides.reshape(*sides.shape[:-1], *self.projection.shape[:2]).prod(axis=-1)
        return sizes

    def _words(self, extents: Floats) -> Floats:
        return self._kept(self._sizes(extents))

    def _kept(self, sizes: Floats) -> Floats:
        words: Floats = (sizes * self.mapping.keep).sum(axis=-1)
        return words

    @staticmethod
    def _last(slots: Sequence[Slot]) -> Slot | None:
        free = [slot for slot in slots if not slot.fixed]
        temporal = [slot for slot in free if not slot.spatial]
        return (temporal or free)[-1] if free else None

    def _factor(self, d: int, slot: Slot) -> int:
        table = self.mapping.spatial if slot.spatial else self.mapping.temporal
        return int(table[slot.level, d])

    def _move(self, d: int, last: Slot, slot: Slot, factor: int, *, back: bool = False) -> None:
        """Move a factor from a dimension's outermost place to another, or back."""
        source, target = (slot, last) if back else (last, slot)
        for place, up in ((source, False), (target, True)):
            table = self.mapping.spatial if place.spatial else self.mapping.temporal
            now = int(table[place.level, d])
            table[place.level, d] = now * factor if up else now // factor


@lru_cache(maxsize=4096)
def _primes(number: int) -> tuple[int, ...]:
    """Return the distinct prime factors."""
    found: list[int] = []
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            found.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    return (*found, number) if number > 1 else tuple(found)
