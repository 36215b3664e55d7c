"""What the mapspaces of problems of one shape share: all that does not depend on sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture
from dse.domain.constraints import Constraints, LevelConstraint, LoopConstraint, held_on_chip
from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name

_FREE = LevelConstraint()
_UNLIMITED = 1 << 62
#: A fixed factor: all of the dimension.
_ALL = -1
_DIRECTIVES = ("no_temporal_reuse", "no_multicast", "no_link_transfer")

#: Loop order per level ``(L, D)``; where its free stretch begins and how long it is, ``(L,)`` each.
LoopOrders = tuple[npt.NDArray[np.int8], npt.NDArray[np.int64], npt.NDArray[np.int64]]


class Slot(NamedTuple):
    """A tiling level (a level, in time or in space) that may hold a factor of a dimension."""

    level: int
    spatial: bool
    cap: int
    fixed: int
    least: int


class Outline:
    """What constraints leave of the levels and fan-outs of an architecture, whatever the sizes.

    Args:
        problem: any of its shape.
        architecture: any with these levels and fan-outs.
        constraints: by storage-level name, in the words of the problem.

    Raises:
        SpecError: a constraint names an unknown level, dimension or tensor.

    Attributes:
        constraints: with what they imply made explicit.
        infeasible: None, or why they leave no mapping of any size.
        axis: ``(L, D)`` 0: X, 1: Y, 2: either.
        keep: ``(L, T)`` 0: bypass, 1: keep, 2: either.
        spatial_order: see :class:`dse.mapspace.space.Mapspace`.
        directives: see there.
        least_parallel: least product of all spatial factors; at most 1: any will do.
    """

    def __init__(
        self, problem: Problem, architecture: Architecture, constraints: Constraints
    ) -> None:
        self.names = [level.name for level in architecture.levels]
        for name, level in constraints.items():
            if name not in self.names:
                raise SpecError("constraints: " + unknown_name("storage level", name, self.names))
            _check_names(problem, name, level)
        self.constraints, self.infeasible = held_on_chip(constraints, problem, self.names)
        self.levels = [self.constraints.get(name, _FREE) for name in self.names]
        self.fanouts = [architecture.fanout(s) for s in range(len(self.names))]
        self._dimensions, self._tensors = problem.dimensions, tuple(problem.tensors)
        self.axis = self._axis()
        self.keep = self._keeps()
        self.spatial_order = self._spatial_orders()
        self.directives = [self._directive(key) for key in _DIRECTIVES]
        self.least_parallel = self._least_parallel()
        self._slots: dict[str, tuple[Slot, ...]] = {}
        self._orders: dict[tuple[bool, ...], LoopOrders] = {}

    def slots_of(self, dimension: str, bound: int) -> tuple[Slot, ...]:
        """Return the places that may hold a factor of a dimension, from the inside out."""
        known = self._slots.get(dimension)
        if known is None:
            known = self._slots[dimension] = tuple(self._places(dimension))
        if any(slot.fixed == _ALL for slot in known):
            return tuple(
                slot._replace(fixed=bound) if slot.fixed == _ALL else slot for slot in known
            )
        return known

    def orders(self, bounds: Sequence[int]) -> LoopOrders:
        """Return the loop orders of a problem of these bounds: they depend on which are above 1."""
        loops = tuple(bound > 1 for bound in bounds)
        known = self._orders.get(loops)
        if known is None:
            known = self._orders[loops] = self._orders_of(loops)
        return known

    def _places(self, dimension: str) -> list[Slot]:
        """Places that may hold a factor of the dimension, whatever its size."""
        slots = []
        for s, level in enumerate(self.levels):
            axes = self._axes(s, dimension)
            reach = max((self.fanouts[s][axis] for axis in axes), default=1)
            asked = dimension in level.spatial.factors or dimension in level.spatial.min_factors
            if reach > 1 or asked:
                slots += self._slot(dimension, s, level.spatial, True, reach)
            slots += self._slot(dimension, s, level.temporal, False, _UNLIMITED)
        return slots

    def _slot(
        self, dimension: str, s: int, loops: LoopConstraint, spatial: bool, reach: int
    ) -> list[Slot]:
        cap = min(reach, loops.max_factors.get(dimension, _UNLIMITED))
        least = loops.min_factors.get(dimension, 1)
        if dimension in loops.factors:
            fixed = loops.factors[dimension] or _ALL
            return [Slot(s, spatial, cap, fixed, least)]
        if loops.dimensions is not None and dimension not in loops.dimensions:
            cap = 1
        return [Slot(s, spatial, cap, 0, least)] if cap > 1 or least > 1 else []

    def _axes(self, s: int, dimension: str) -> tuple[int, ...]:
        """Axes (0: X, 1: Y) along which the dimension may run below level s."""
        spatial = self.levels[s].spatial
        axes = []
        for axis, listed in ((0, spatial.x), (1, spatial.y)):
            if self.fanouts[s][axis] > 1 and (listed is None or dimension in listed):
                axes.append(axis)
        return tuple(axes)

    def _axis(self) -> npt.NDArray[np.int8]:
        axis = np.ones((len(self.levels), len(self._dimensions)), np.int8)
        for s in range(len(self.levels)):
            for d, name in enumerate(self._dimensions):
                axes = self._axes(s, name)
                axis[s, d] = 2 if len(axes) == 2 else (axes[0] if axes else 1)
        return axis

    def _least_parallel(self) -> float:
        """Least product of all spatial factors that makes up the share of the MACs asked for."""
        share = max((level.min_parallelism for level in self.levels), default=0.0)
        macs = math.prod(x * y for x, y in self.fanouts)
        # 0.1 of 30 MACs are 3, though 0.1 * 30 is a little more
        return float(math.ceil(share * macs * (1 - 1e-12)))

    def _orders_of(self, loops: tuple[bool, ...]) -> LoopOrders:
        """Loop order per level: listed dimensions, free ones, those without a slot, the suffix."""
        names = self._dimensions
        order = np.empty((len(self.levels), len(names)), np.int8)
        slots = [self.slots_of(name, 1) for name in names]
        start = np.zeros(len(self.levels), np.int64)
        count = np.zeros(len(self.levels), np.int64)
        for s, level in enumerate(self.levels):
            listed = [names.index(d) for d in level.temporal.permutation or ()]
            suffix = [names.index(d) for d in level.temporal.suffix]
            movable = [
                d
                for d in range(len(names))
                if d not in listed
                and d not in suffix
                and any(x.level == s and not x.spatial for x in slots[d])
                and loops[d]
            ]
            placed = {*listed, *movable, *suffix}
            rest = [d for d in range(len(names)) if d not in placed]
            order[s] = [*listed, *movable, *rest, *suffix]
            start[s], count[s] = len(listed), len(movable)
        return order, start, count

    def _spatial_orders(self) -> npt.NDArray[np.int8]:
        """Spatial loop order per level: X before Y, listed dimensions first, the suffix last."""
        names = self._dimensions
        order = np.empty((len(self.levels), len(names)), np.int8)
        for s, level in enumerate(self.levels):
            listed = [names.index(d) for d in level.spatial.permutation or ()]
            suffix = [names.index(d) for d in level.spatial.suffix]
            free = [d for d in range(len(names)) if d not in listed and d not in suffix]
            base = [*listed, *free, *suffix]
            order[s] = sorted(base, key=lambda d, s=s: self.axis[s, d])  # type: ignore[misc]
        return order

    def _keeps(self) -> npt.NDArray[np.int8]:
        keep = np.full((len(self.levels), len(self._tensors)), 2, np.int8)
        for s, level in enumerate(self.levels):
            for t, name in enumerate(self._tensors):
                if name in level.keep or s == len(self.levels) - 1:
                    keep[s, t] = 1
                if name in level.bypass:
                    keep[s, t] = 0
        return keep

    def _directive(self, key: str) -> npt.NDArray[np.bool_]:
        return np.array(
            [[t in getattr(level, key) for t in self._tensors] for level in self.levels],
            np.bool_,
        )[:, :, None]


def _check_names(problem: Problem, level: str, c: LevelConstraint) -> None:
    where = f"constraints of {level}: "
    for key in ("keep", "bypass", *_DIRECTIVES):
        for name in getattr(c, key):
            if name not in problem.tensors:
                raise SpecError(where + unknown_name("data space", name, problem.tensors))
    for loops in (c.temporal, c.spatial):
        for name in (
            *(loops.dimensions or ()),
            *loops.factors,
            *loops.max_factors,
            *loops.min_factors,
            *(loops.permutation or ()),
            *loops.suffix,
        ):
            if name not in problem.dimensions:
                raise SpecError(where + unknown_name("dimension", name, problem.dimensions))
    for name in (*(c.spatial.x or ()), *(c.spatial.y or ())):
        if name not in problem.dimensions:
            raise SpecError(where + unknown_name("dimension", name, problem.dimensions))
