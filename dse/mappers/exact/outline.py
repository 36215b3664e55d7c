"""What a layer comes to at least on some hardware, without a search: for all weights at once."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.mappers.exact.bounds import ENERGY_ONLY, ROUNDING, Goal
from dse.mappers.exact.layout import Layout
from dse.mappers.exact.proof import MOST_PATTERNS, patterns_of
from dse.mappers.exact.search import least_points
from dse.mappers.exact.tables import TooLargeError
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.numeric import Flags, Floats, Ints


class Outline:
    """Points of cycles and energy, one of which no mapping of a layer is better than in either.

    Args:
        space: the mappings.
        architecture: the hardware; it may be fictitious.
        version: of Timeloop.
        widths: of the hardware that this one stands for; see `dse.mappers.exact.proof.prove`.

    Raises:
        TooLargeError: there are too many ways to keep and bypass tensors, tiles, grids or cycles.
    """

    def __init__(
        self, space: Mapspace, architecture: Architecture, version: str, widths: Ints | None
    ) -> None:
        shared: dict[Hashable, Any] = {}
        number = a.version_number(version)
        goal = Goal(ENERGY_ONLY, math.inf, np.zeros(0), np.zeros(0), math.inf)
        #: cycles and energy of the points of each pattern
        self._points: dict[bytes, tuple[Floats, Floats]] = {}
        if space.infeasible:
            return
        if not a.cycles_are_exact(HardwareBatch.of(architecture), space.problem):
            raise TooLargeError("at these bandwidths, cycles could exceed what Timeloop counts")
        for keep in patterns_of(space, MOST_PATTERNS):
            layout = Layout(space, architecture, keep, number, widths=widths, shared=shared)
            self._points[keep.tobytes()] = _best(*least_points(layout, goal))

    def least(self, multiplier: float) -> float:
        """Return what ``energy + multiplier * cycles`` is no less than.

        Args:
            multiplier: of cycles, in pJ a cycle; infinite: cycles alone.
        """
        some = [_least(points, multiplier) for points in self._points.values()]
        return min(some, default=math.inf)

    def least_of(self, keep: Flags, multiplier: float) -> float:
        """Return the same of one way to keep and bypass tensors, ``(L, T)``."""
        return _least(self._points[keep.tobytes()], multiplier)


def _best(cycles: Floats, energy: Floats) -> tuple[Floats, Floats]:
    """Return the points that no other is as good as."""
    order = np.lexsort((energy, cycles))
    cycles, energy = cycles[order], energy[order]
    before = np.minimum.accumulate(np.concatenate([[math.inf], energy[:-1]]))
    kept = (energy < before) & np.isfinite(cycles)
    return cycles[kept], energy[kept]


def _least(points: tuple[Floats, Floats], multiplier: float) -> float:
    cycles, energy = points
    value = cycles if math.isinf(multiplier) else energy + multiplier * cycles
    return float(value.min(initial=math.inf)) * (1.0 - ROUNDING)
