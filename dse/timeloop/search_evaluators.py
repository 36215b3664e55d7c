"""What prices the mappings of a search that the native evaluator alone cannot.

Mappers and evaluators are found by name, as their rooms are above this one; these stand around an
evaluator by having its methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, SpecError
from dse.goals.metrics import Metrics, Violation
from dse.sparse.design import SparseDesign

if TYPE_CHECKING:
    from dse.sparse.batch.evaluate import SparseModel

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
        from dse.model import evaluate_one  # noqa: PLC0415 - compiled code

        found: Metrics = self._inner.evaluate(hardware, problem, mappings, hardware_index)
        version = self._inner.timeloop_version
        for b in np.flatnonzero(found.valid).tolist():
            try:
                stats = evaluate_one(self._architecture, problem, mappings[b], version)
            except (InvalidMapping, SpecError):  # it does not fit, or is not modelled
                found.valid[b] = False
                for column in (found.cycles, found.energy_pj, found.utilization, found.area_um2):
                    column[b] = np.nan
                continue
            found.cycles[b], found.energy_pj[b] = stats.cycles, stats.energy_pj
            found.utilization[b] = stats.utilization
        return found


class SparseEvaluator(_Around):
    """Prices mappings of a sparse design.

    Args:
        inner: the native one.
        architecture: the true one. What the search itself is given may hold more.
        design: what is sparse of it.
    """

    def __init__(self, inner: Any, architecture: Architecture, design: SparseDesign) -> None:  # noqa: ANN401
        super().__init__(inner)
        self._architecture = architecture
        self._design = design
        self._models: dict[Problem, SparseModel] = {}

    @property
    def is_quick(self) -> bool:
        """Whether many are priced at once."""
        return all(model.singly is None for model in self._models.values())

    def evaluate(
        self,
        hardware: Architecture | HardwareBatch,  # noqa: ARG002 - it may hold more
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: _Which | None = None,  # noqa: ARG002
    ) -> Metrics:
        """Evaluate mappings, all on the one architecture."""
        from dse.sparse.batch.evaluate import SparseModel  # noqa: PLC0415 - compiled code

        model = self._models.get(problem)
        if model is None:
            version = self._inner.timeloop_version
            model = SparseModel(self._architecture, problem, self._design, version)
            self._models[problem] = model
        found = model.evaluate(mappings, self._inner.n_jobs)
        return Metrics(
            valid=found.valid,
            cycles=found.cycles,
            energy_pj=found.energy_pj,
            utilization=found.utilization,
            area_um2=np.where(found.valid, self._architecture.area_um2, np.nan),
        )

    def explain(
        self,
        hardware: Architecture,  # noqa: ARG002
        problem: Problem,
        mappings: MappingBatch,
        index: int,
    ) -> Violation | None:
        """Return why mapping ``index`` is rejected, or None when it is valid."""
        from dse.sparse.evaluate import evaluate_sparse  # noqa: PLC0415

        parts = (self._architecture, problem, mappings[index], self._design)
        try:
            evaluate_sparse(*parts, self._inner.timeloop_version)
        except (InvalidMapping, SpecError) as error:
            nan = float("nan")
            return Violation("", "sparse design", nan, nan, "", str(error))
        return None


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
