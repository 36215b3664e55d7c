"""What each way to keep and bypass tensors comes to at least, without a search.

Flows that start at a level choose their tile each for itself, and are what its words and the loops
outside make of them; what the MACs read and update depends on the spatial factors alone, and so do
the cycles. All of that is shared by many patterns, so no pattern is laid out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.mappers.exact.floors import MacFlows, different
from dse.mappers.exact.grids import Grids
from dse.mappers.exact.layout import flows_of, tables_of
from dse.mappers.exact.reach import first_loads, start_energy
from dse.mappers.exact.shape import MapspaceShape
from dse.mappers.exact.tables import Tables, TooLargeError
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.numeric import Flags, Floats

#: Sums of floats differ by less than this, relatively, in another order.
_ROUNDING = 1e-12


class PatternFloors:
    """For every pattern points of cycles and energy, one of which no mapping beats in either.

    Args:
        space: the mappings.
        architecture: the hardware; it may be fictitious.
        version: a value of :data:`dse.model.arrays.TIMELOOP_VERSIONS`.
        patterns: keep/bypass patterns ``(L, T)`` of the mapspace.

    Raises:
        TooLargeError: there are too many tiles, grids or cycles.
    """

    def __init__(
        self,
        space: Mapspace,
        architecture: Architecture,
        version: int,
        patterns: list[Flags],
    ) -> None:
        if not a.cycles_are_exact(HardwareBatch.of(architecture), space.problem):
            raise TooLargeError("at these bandwidths, cycles could exceed what Timeloop counts")
        self._points: dict[bytes, tuple[Floats, Floats]] = {}
        if space.infeasible or not patterns:
            return
        shared: dict[Hashable, Any] = {}
        shape = MapspaceShape(space, architecture, patterns[0], shared)
        grids: Grids = shape.once("grids", lambda: Grids(shape))
        self._spatial = list(grids.vectors)
        t = tables_of(shape, grids, version, 0.0, only_cycles=False, widths=None)[1]
        macs = MacFlows(t, grids, different(grids, t.row, t.window), shape)
        for keep in patterns:
            own = MapspaceShape(space, architecture, keep, shared)
            self._points[keep.tobytes()] = self._found(own, _with_flows(t, own), macs)

    def _found(self, shape: MapspaceShape, t: Tables, macs: MacFlows) -> tuple[Floats, Floats]:
        """Return the points of a pattern."""
        energy = 0.0
        loads = np.zeros((len(t.bank), 2))
        for k in range(shape.levels):
            if not (t.low == k).any():
                continue
            last = not any(u > k for u in self._spatial)
            energy += start_energy(shape, t, k, last=last)
            loads += first_loads(shape, t, k, last=last)
        cycles, spent = macs.least(t, loads)
        return _best(cycles + t.latency, spent + energy)

    def least_of(self, keep: Flags, multiplier: float) -> float:
        """Return what ``energy + multiplier * cycles`` of a pattern ``(L, T)`` is no less than.

        Args:
            keep: the pattern.
            multiplier: of cycles, in pJ a cycle; infinite: cycles alone.
        """
        return _least(self._points[keep.tobytes()], multiplier)

    def least_product_of(self, keep: Flags) -> float:
        """Return what energy times cycles of a pattern is no less than."""
        cycles, energy = self._points[keep.tobytes()]
        return float((cycles * energy).min(initial=math.inf)) * (1.0 - _ROUNDING)


def _with_flows(t: Tables, shape: MapspaceShape) -> Tables:
    """Return the tables with the flows of another pattern: only those that name its flows."""
    flows = flows_of(shape.keep)
    tensor, low, high = np.array(flows, np.int64).reshape(-1, 3).T.copy()
    return t._replace(tensor=tensor, low=low, high=high, kept=np.ascontiguousarray(shape.keep))


def _best(cycles: Floats, energy: Floats) -> tuple[Floats, Floats]:
    """Return the points that no other is as good as."""
    # most are beaten by the best of the fastest
    likely = energy <= energy[cycles == cycles.min()].min()
    cycles, energy = cycles[likely], energy[likely]
    order = np.lexsort((energy, cycles))
    cycles, energy = cycles[order], energy[order]
    before = np.minimum.accumulate(np.concatenate([[math.inf], energy[:-1]]))
    kept = (energy < before) & np.isfinite(cycles)
    return cycles[kept], energy[kept]


def _least(points: tuple[Floats, Floats], multiplier: float) -> float:
    cycles, energy = points
    value = cycles if math.isinf(multiplier) else energy + multiplier * cycles
    return float(value.min(initial=math.inf)) * (1.0 - _ROUNDING)
