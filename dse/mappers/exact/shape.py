"""The shape of a mapspace as the exact search sees it: dimensions, tiles, slots, hardware."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.mappers.exact.orders import MOST_LOOPS
from dse.mappers.exact.tables import MOST_TILES, TooLargeError
from dse.mapspace.factorization import divisors
from dse.mapspace.outline import Slot
from dse.mapspace.space import Mapspace
from dse.numeric import Flags, Floats

T = TypeVar("T")


class MapspaceShape:
    """One keep/bypass pattern of a mapspace on one hardware.

    Args:
        space: the mapspace.
        architecture: hardware; only its meshes and level names must be the space's.
        keep: ``(L, T)``.
        shared: what all patterns of the mapspace on the hardware share, filled on use.

    Attributes:
        active: indices of the D dimensions with a bound above 1; all that follows counts those.
        bounds: their bounds.
        divisors: of each bound, ascending; a tile is one divisor for every dimension.
        digits: how many divisors each has.
        extent: ``(D, tiles)`` extents of every tile; the last dimension runs fastest.

    Raises:
        TooLargeError: the space is beyond what can be laid out, or asks for a least parallelism.
    """

    def __init__(
        self,
        space: Mapspace,
        architecture: Architecture,
        keep: Flags,
        shared: dict[Hashable, Any] | None = None,
    ) -> None:
        self._shared = {} if shared is None else shared
        self.space = space
        self.keep = keep
        self.levels = len(architecture.levels)
        self.hardware = self.once("hardware", lambda: HardwareBatch.of(architecture).arrays)
        if space.arrays.least_parallel > 1:
            raise TooLargeError("the constraints ask for a least parallelism")
        names, bounds = space.problem.dimensions, space.problem.bounds
        self.active = [d for d, name in enumerate(names) if bounds[name] > 1]
        self.bounds = [bounds[names[d]] for d in self.active]
        if len(self.active) > MOST_LOOPS:
            raise TooLargeError(f"{len(self.active)} dimensions above 1, at most {MOST_LOOPS}")
        self.divisors = [divisors(n) for n in self.bounds]
        self.digits = [len(x) for x in self.divisors]
        tiles = math.prod(self.digits)
        if tiles > MOST_TILES:
            raise TooLargeError(f"{tiles} tile shapes, at most {MOST_TILES}")
        self.extent = self.once("extent", lambda: self._extents(tiles))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what does not depend on the pattern, made on first use."""
        if key not in self._shared:
            self._shared[key] = make()
        found: T = self._shared[key]
        return found

    def _extents(self, tiles: int) -> Floats:
        grid = np.indices(self.digits).reshape(len(self.digits), tiles)
        return np.array(
            [np.array(x, np.float64)[grid[d]] for d, x in enumerate(self.divisors)]
        ).reshape(len(self.digits), tiles)

    def slot(self, d: int, level: int, *, spatial: bool) -> Slot | None:
        """Return the place that an active dimension has at a level; None where it has none."""
        slots = self.space.slots[self.active[d]]
        return next((x for x in slots if x.level == level and x.spatial == spatial), None)
