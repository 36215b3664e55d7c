"""Which factors of a relaxed mapping are free, and how they become whole again.

The free factors are those that the mapspace leaves open, but for one per dimension: its outermost
temporal place takes what the others leave of the bound, so that every product is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.mapspace.outline import Slot
from dse.mapspace.space import Mapspace
from dse.numeric import Floats
from dse.relaxed.points import Points

TEMPORAL, SPATIAL = 0, 1


@dataclass(frozen=True, eq=False)
class Slots:
    """The places of factors in N layers' mapspaces; F free ones over all layers.

    Attributes:
        spaces: the layers' mapspaces.
        layer, kind, level, dimension: ``(F,)`` where each free factor stands; kind 0 is
            temporal, 1 spatial.
        cap: ``(F,)`` the largest value that the mapspace allows; infinite where it does not say.
        rest: ``(F,)`` which of the G rests it takes from.
        rest_layer, rest_kind, rest_level, rest_dimension: ``(G,)`` where the rests stand.
        log_bound: ``(G,)`` logarithm of what the free factors and the rest multiply to, where no
            layer is padded.
        log_fixed: ``(2, N, L, D)`` logarithms of the fixed factors.
    """

    spaces: tuple[Mapspace, ...]
    layer: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    level: npt.NDArray[np.int64]
    dimension: npt.NDArray[np.int64]
    cap: Floats
    rest: npt.NDArray[np.int64]
    rest_layer: npt.NDArray[np.int64]
    rest_kind: npt.NDArray[np.int64]
    rest_level: npt.NDArray[np.int64]
    rest_dimension: npt.NDArray[np.int64]
    log_bound: Floats
    log_fixed: Floats

    @classmethod
    def of(cls, spaces: Sequence[Mapspace]) -> Slots:
        """Collect the places of the layers' mapspaces.

        Raises:
            SpecError: a layer has no mapping at all.
        """
        levels = len(spaces[0].architecture.levels)
        dimensions = max(len(s.problem.dimensions) for s in spaces)
        fixed = np.zeros((2, len(spaces), levels, dimensions))
        free: list[tuple[int, int, int, int, float, int]] = []
        rests: list[tuple[int, int, int, int]] = []
        bounds: list[float] = []
        for n, space in enumerate(spaces):
            if space.infeasible:
                raise SpecError(space.infeasible)
            if space.arrays.least_parallel > 1 or (space.arrays.slot_least > 1).any():
                raise SpecError(
                    "least factors (min_factors) and a least parallelism cannot be held by "
                    "real-valued factors; expected a search without gradients"
                )
            for d, name in enumerate(space.problem.dimensions):
                left = space.problem.bounds[name]
                open_slots = []
                for slot in space.slots[d]:
                    if slot.fixed:
                        fixed[int(slot.spatial), n, slot.level, d] = np.log(slot.fixed)
                        left //= slot.fixed
                    else:
                        open_slots.append(slot)
                if left == 1 or not open_slots:
                    continue
                last = _rest_of(open_slots)
                rests.append((n, int(last.spatial), last.level, d))
                bounds.append(float(np.log(left)))
                free += [
                    (n, int(x.spatial), x.level, d, float(x.cap), len(rests) - 1)
                    for x in open_slots
                    if x is not last
                ]
        columns = np.array(free, np.float64).reshape(-1, 6).T
        layer, kind, level, dimension, rest = columns[[0, 1, 2, 3, 5]].astype(np.int64)
        places = np.array(rests, np.int64).reshape(-1, 4).T
        return cls(
            spaces=tuple(spaces),
            layer=layer,
            kind=kind,
            level=level,
            dimension=dimension,
            cap=columns[4],
            rest=rest,
            rest_layer=places[0],
            rest_kind=places[1],
            rest_level=places[2],
            rest_dimension=places[3],
            log_bound=np.array(bounds),
            log_fixed=fixed,
        )

    def __len__(self) -> int:
        return len(self.layer)

    @cached_property
    def scale(self) -> Floats:
        """What linear steps are measured in, ``(F,)``.

        The middle of a factor's range, by its ratio to the ends: the square root of the most that
        any layer could have at the same level and dimension.
        """
        most = np.minimum(self.cap, np.exp(self.log_bound[self.rest]))
        table = np.ones(self.log_fixed.shape)
        table[self.kind, self.layer, self.level, self.dimension] = most
        largest = table.max(axis=1)
        scale: Floats = np.sqrt(largest[self.kind, self.level, self.dimension])
        return scale

    def read(self, points: Points) -> Floats:
        """Return the logarithms of the free factors of N points, ``(F,)``."""
        table = np.stack([points.temporal, points.spatial])
        return np.log(np.maximum(table[self.kind, self.layer, self.level, self.dimension], 1.0))

    def bounds_of(self, problems: Sequence[Problem]) -> Floats:
        """Return ``log_bound`` where the layers are these problems: their own, or paddings."""
        sizes = np.array([problems[n].sizes[d] for n, d in self._rests()], np.int64)
        logs: Floats = np.log(sizes // self._fixed_at_rests())
        return logs

    def bounds_at(self, points: Points) -> Floats:
        """Return the ``log_bound`` of N points."""
        table = np.log(points.temporal) + np.log(points.spatial)
        sizes = np.array([np.exp(table[n, :, d].sum()) for n, d in self._rests()])
        logs: Floats = np.log(np.round(sizes).astype(np.int64) // self._fixed_at_rests())
        return logs

    def _rests(self) -> list[tuple[int, int]]:
        return list(zip(self.rest_layer.tolist(), self.rest_dimension.tolist(), strict=True))

    def _fixed_at_rests(self) -> npt.NDArray[np.int64]:
        fixed = np.round(np.exp(self.log_fixed.sum(axis=(0, 2)))).astype(np.int64)
        return np.asarray(fixed[self.rest_layer, self.rest_dimension])

    def write(self, log_free: Floats, log_bound: Floats, points: Points) -> tuple[Points, Floats]:
        """Return N points with these free factors, and the logarithms of the rests ``(G,)``."""
        rests = log_bound.copy()
        np.subtract.at(rests, self.rest, log_free)
        table = self.log_fixed.copy()
        table[self.kind, self.layer, self.level, self.dimension] = log_free
        table[self.rest_kind, self.rest_layer, self.rest_level, self.rest_dimension] = rests
        temporal, spatial = np.exp(table)
        return points._replace(temporal=temporal, spatial=spatial), rests

    def gather(self, temporal: Floats, spatial: Floats) -> tuple[Floats, Floats]:
        """Return derivatives by the free factors, ``(F,)``, and by the rests, ``(G,)``.

        Args:
            temporal: ``(N, L, D)`` derivatives by the logarithms of all factors.
            spatial: the same.
        """
        table = np.stack([temporal, spatial])
        free = table[self.kind, self.layer, self.level, self.dimension]
        return free, table[self.rest_kind, self.rest_layer, self.rest_level, self.rest_dimension]

    def rounded(self, log_free: Floats, log_bound: Floats, points: Points) -> Points:
        """Return N points of whole factors near these (DOSA, section 4).

        Spatial factors first, then temporal ones, each from the inside out: the nearest integer,
        or the nearest divisor of what is left of the bound (of two, the larger) where that is
        none, within the place's cap and what the fan-out still allows. The rest takes what is
        left.
        """
        table = np.round(np.exp(self.log_fixed)).astype(np.int64)
        left = np.round(np.exp(log_bound)).astype(np.int64)
        room = self._room()
        order = np.lexsort((self.level, 1 - self.kind))
        for f in order:
            g = self.rest[f]
            n, s, d = self.layer[f], self.level[f], self.dimension[f]
            cap = self.cap[f]
            if self.kind[f] == SPATIAL:
                axis = int(points.along_y[n, s, d])
                cap = min(cap, room[axis, n, s])
            factor = nearest_divisor(int(left[g]), float(np.exp(log_free[f])), cap)
            table[self.kind[f], n, s, d] = factor
            left[g] //= factor
            if self.kind[f] == SPATIAL:
                room[axis, n, s] //= factor
        table[self.rest_kind, self.rest_layer, self.rest_level, self.rest_dimension] = left
        temporal, spatial = table.astype(np.float64)
        return points._replace(temporal=temporal, spatial=spatial)

    def _room(self) -> Floats:
        """Return how many children the largest hardware allows along each axis, ``(2, N, L)``."""
        fixed = np.exp(self.log_fixed[SPATIAL]).prod(axis=2)
        reach = np.array([[space.arrays.fanout_x, space.arrays.fanout_y] for space in self.spaces])
        room: Floats = np.floor(reach.transpose(1, 0, 2) / fixed)
        return room


def nearest_divisor(left: int, wanted: float, cap: float) -> int:
    """Return the integer nearest to ``wanted`` if it divides ``left``, else the nearest divisor."""
    near = max(round(wanted), 1)
    if near <= cap and left % near == 0:
        return near
    divisors = [x for x in _divisors(left) if x <= cap]
    return min(divisors, key=lambda x: (abs(x - wanted), -x))


@lru_cache(maxsize=4096)
def _divisors(number: int) -> tuple[int, ...]:
    small = [x for x in range(1, int(number**0.5) + 1) if number % x == 0]
    return tuple(sorted({*small, *(number // x for x in small)}))


def _rest_of(slots: Sequence[Slot]) -> Slot:
    """Return the outermost temporal place; where there is none, the outermost."""
    temporal = [slot for slot in slots if not slot.spatial]
    return (temporal or list(slots))[-1]
