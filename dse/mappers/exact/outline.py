"""What a layer comes to at least on some hardware, without a search: for all weights at once."""

from __future__ import annotations

import math

import numpy as np

from dse.domain.architecture import Architecture
from dse.mappers.exact.bounds import ENERGY_ONLY, ROUNDING, Goal
from dse.mappers.exact.layout import Layout
from dse.mappers.exact.proof import MOST_PATTERNS, patterns_of
from dse.mappers.exact.search import least_points
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.numeric import Floats, Ints


class Outline:
    """Points of cycles and energy, one of which no mapping of a layer is better than in either.

    Args:
        space: the mappings.
        architecture: the hardware; it may be fictitious.
        version: of Timeloop.
        widths: of the hardware that this one stands for; see `dse.mappers.exact.proof.prove`.

    Raises:
        TooLargeError: there are too many ways to keep and bypass tensors, tiles, or grids.
    """

    def __init__(
        self, space: Mapspace, architecture: Architecture, version: str, widths: Ints | None
    ) -> None:
        shared: dict = {}
        goal = Goal(ENERGY_ONLY, math.inf, np.zeros(0), np.zeros(0), math.inf)
        self._cycles = self._energy = np.zeros(0)
        for keep in patterns_of(space, MOST_PATTERNS):
            number = a.version_number(version)
            layout = Layout(space, architecture, keep, number, widths=widths, shared=shared)
            self._add(*least_points(layout, goal))

    def _add(self, cycles: Floats, energy: Floats) -> None:
        """Add points; those go that another is no worse than."""
        cycles = np.concatenate([self._cycles, cycles])
        energy = np.concatenate([self._energy, energy])
        order = np.lexsort((energy, cycles))
        cycles, energy = cycles[order], energy[order]
        before = np.minimum.accumulate(np.concatenate([[math.inf], energy[:-1]]))
        kept = (energy < before) & np.isfinite(cycles)
        self._cycles, self._energy = cycles[kept], energy[kept]

    def least(self, multiplier: float) -> float:
        """Return what ``energy + multiplier * cycles`` is no less than; infinite: cycles alone."""
        if math.isinf(multiplier):
            value = self._cycles
        else:
            value = self._energy + multiplier * self._cycles
        return float(value.min(initial=math.inf)) * (1.0 - ROUNDING)
