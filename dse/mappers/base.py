"""The contract of a mapper: the best mapping of one problem on fixed hardware."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator
from dse.goals.certificate import Certificate
from dse.goals.metric_names import Scale, operations
from dse.goals.metrics import Metrics
from dse.goals.objective import Objective
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.smallest import smallest
from dse.settings import NoSettings

S = TypeVar("S")


@dataclass(frozen=True)
class Mapped:
    """The best mappings of one problem on H pieces of hardware.

    Attributes:
        mappings: H mappings; None where no valid one was found that has a finite rank.
        metrics: ``(H,)`` their metrics; not valid where there is none.
        certificates: H proofs, of mappers that give any.
    """

    mappings: tuple[Mapping | None, ...]
    metrics: Metrics
    certificates: tuple[Certificate | None, ...] = ()


class Mapper(ABC, Generic[S]):
    """Searches mappings of one problem for each of H pieces of hardware at once.

    A mapper holds no random state: equal arguments give equal results. Layers are mapped in
    several threads at once, so ``map`` changes nothing in the mapper.
    """

    #: a dataclass, every field with a default
    settings_type: ClassVar[type[Any]] = NoSettings

    def __init__(
        self,
        evaluator: Evaluator[Any],
        constraints: Constraints,
        objective: Objective,
        settings: S,
    ) -> None:
        self.evaluator = evaluator
        self.constraints = constraints
        self.space_of = MapspaceCache(constraints)
        self.objective = objective
        self.settings = settings

    def rank(
        self, metrics: Metrics, problem: Problem, architecture: Architecture
    ) -> npt.NDArray[np.float64]:
        """Return the objective of mappings of a problem on an architecture, ``(B,)``."""
        if self.objective.expression is None:
            return self.objective.rank(metrics)
        technology = architecture.technology
        scale = Scale(operations(problem), technology.clock_ns if technology else None)
        return self.objective.rank(metrics, scale)

    def why_unmapped(self, problem: Problem, architecture: Architecture) -> str:
        """Say what keeps a problem from an architecture on which no valid mapping was found."""
        space = self.space_of(problem, architecture)
        mapping = smallest(space)
        if mapping is None:
            detail = space.infeasible or "the fan-outs and fixed factors leave none"
            return f"no mapping: {detail}"
        batch = MappingBatch.of([mapping])
        violation = self.evaluator.explain(architecture, problem, batch, 0)
        if violation is not None:
            told = violation.message.removeprefix("ERROR: ")
            return f"even with the smallest tiles, {told}"
        metrics = self.evaluator.evaluate(architecture, problem, batch)
        if not np.isfinite(self.rank(metrics, problem, architecture)[0]):
            return self.objective.without_value
        least = int(space.arrays.least_parallel)
        if least > 1:
            macs = architecture.compute.instances
            return f"no valid mapping found that uses {least} of {macs} MACs, as constraints ask"
        return "no valid mapping found, though there are some: let the mapper draw more"

    @abstractmethod
    def map(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
    ) -> Mapped:
        """Find mappings.

        Args:
            hardware: H architectures of one structure.
            problem: what to map.
            samples: ``(H,)`` how many mappings may be evaluated on each.
            seed: of all randomness.

        Raises:
            dse.errors.SpecError: the constraints leave no mapping at all.
            dse.errors.ToolError: the evaluator's tool failed.
        """
