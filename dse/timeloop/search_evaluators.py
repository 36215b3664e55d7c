"""What prices the mappings of a search that the native evaluator alone cannot.

Mappers and evaluators are found by name, as their rooms are above this one; these stand around an
evaluator by having its methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, SpecError
from dse.goals.metrics import Metrics
from dse.timeloop.evaluate import evaluated
from dse.timeloop.read.inputs import TimeloopInput

_Which = npt.NDArray[np.integer[Any]]


class _Around:
    """An evaluator around another one, whose attributes and methods are its own."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401
        self._inner = inner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._inner, name)


class SinglyEvaluator(_Around):
    """Prices mappings on an architecture that is modelled one mapping at a time.

    Args:
        inner: the native one; it says which mappings fit.
        architecture: the true one. What the search itself is given is the same without what is
            modelled singly.
    """

    is_quick = False

    def __init__(self, inner: Any, architecture: Architecture) -> None:  # noqa: ANN401
        super().__init__(inner)
        self._architecture = architecture

    def evaluate(
        self,
        hardware: Architecture | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: _Which | None = None,
    ) -> Metrics:
        """Evaluate mappings, all on the one architecture."""
        found: Metrics = self._inner.evaluate(hardware, problem, mappings, hardware_index)
        version = self._inner.timeloop_version
        for b in np.flatnonzero(found.valid).tolist():
            try:
                spec = TimeloopInput(self._architecture, problem, mappings[b], version)
                stats = evaluated(spec, mappings[b]).stats
            except (InvalidMapping, SpecError):  # it does not fit, or is not modelled
                found.valid[b] = False
                for column in (found.cycles, found.energy_pj, found.utilization, found.area_um2):
                    column[b] = np.nan
                continue
            found.cycles[b], found.energy_pj[b] = stats.cycles, stats.energy_pj
            found.utilization[b] = stats.utilization
        return found


class FewLoopsEvaluator(_Around):
    """Rejects mappings with more than so many temporal loops, as timeloop-mapper can be told to.

    Args:
        inner: prices the others.
        most: temporal factors above 1, over all levels.
    """

    def __init__(self, inner: Any, most: int) -> None:  # noqa: ANN401
        super().__init__(inner)
        self._most = most

    def evaluate(
        self,
        hardware: Architecture | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: _Which | None = None,
    ) -> Metrics:
        """Evaluate mappings, all on one architecture."""
        found = Metrics.rejected(len(mappings))
        few = np.flatnonzero((mappings.temporal > 1).sum(axis=(0, 1)) <= self._most)
        if len(few):
            index = None if hardware_index is None else hardware_index[few]
            priced = self._inner.evaluate(hardware, problem, mappings.take(few), index)
            for name, column in vars(priced).items():
                getattr(found, name)[few] = column
        return found


def temporal_loops(mapping: Mapping) -> int:
    """Return how many temporal loops a mapping has; those of one iteration are none."""
    return int((mapping.temporal > 1).sum())
