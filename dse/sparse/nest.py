"""The complete loop nest, with the loops of one iteration, which decide where tiles are cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping

LoopAxis = Literal["", "X", "Y"]
Extents = tuple[int, ...]


@dataclass(frozen=True)
class NestLoop:
    """One loop; ``axis`` is empty for one in time."""

    dimension: int
    bound: int
    axis: LoopAxis


@dataclass(frozen=True)
class CompleteNest:
    """All loops of a mapping.

    Attributes:
        loops: of each level from the inside, each from the inside: those in space where the level
            has a fan-out, along X first, then those in time.
        extents: for each loop how far every dimension goes in it and all loops inside of it.
    """

    loops: tuple[tuple[NestLoop, ...], ...]
    extents: tuple[tuple[Extents, ...], ...]

    @property
    def scalar(self) -> Extents:
        """The extents of a single iteration."""
        return (1,) * len(self.extents[0][0])

    def inside(self, s: int, k: int) -> Extents:
        """Return the extents of all loops inside of loop ``k`` of level ``s``."""
        if k:
            return self.extents[s][k - 1]
        return self.extents[s - 1][-1] if s else self.scalar

    def tile(self, s: int) -> Extents:
        """Return the extents of a tile of level ``s``."""
        return self.extents[s][-1]


def complete_nest(architecture: Architecture, mapping: Mapping) -> CompleteNest:
    """Return the nest of a mapping with perfect factors."""
    reached = np.ones(mapping.temporal.shape[1], np.int64)
    loops, extents = [], []
    for s in range(len(architecture.levels)):
        own: list[NestLoop] = []
        x, y = architecture.fanout(s)
        if x * y > 1 or (mapping.spatial[s] > 1).any():
            split = int(mapping.split[s])
            own += [
                NestLoop(d, int(mapping.spatial[s, d]), "X" if place < split else "Y")
                for place, d in enumerate(mapping.spatial_permutation[s].tolist())
            ]
        own += [
            NestLoop(d, int(mapping.temporal[s, d]), "") for d in mapping.permutation[s].tolist()
        ]
        far = []
        for loop in own:
            reached[loop.dimension] *= loop.bound
            far.append(tuple(reached.tolist()))
        loops.append(tuple(own))
        extents.append(tuple(far))
    return CompleteNest(tuple(loops), tuple(extents))
