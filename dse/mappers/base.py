"""The contract of a mapper: the best mapping of one problem on fixed hardware."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dse.architecture import Architecture, HardwareBatch
from dse.evaluators.base import Evaluator, Metrics
from dse.mapping import Mapping
from dse.mapspace.constraints import Constraints
from dse.mapspace.space import MapspaceCache
from dse.problem import Problem
from dse.settings import NoSettings
from dse.study.metric_names import Scale, operations
from dse.study.objective import Objective

S = TypeVar("S")


@dataclass(frozen=True)
class Certificate:
    """What a mapper can prove of the mapping that it found.

    Attributes:
        value: of the objective, by the mapper's evaluator.
        bound: no mapping of the mapspace has a lower value under the native model; None where
            nothing is known.
        assumed: what the bound holds for.
        nodes: partial mappings that were looked at.
        complete: whether the search came to its end, or a limit stopped it.
    """

    value: float
    bound: float | None
    assumed: str
    nodes: int
    complete: bool

    @property
    def gap(self) -> float | None:
        """How far the value may lie above the optimum, relative to the value; None: unknown."""
        if self.bound is None or not np.isfinite(self.value):
            return None
        return max(0.0, 1.0 - self.bound / self.value) if self.value > 0 else 0.0

    @property
    def optimal(self) -> bool:
        """Whether nothing better exists, up to the last digits of float sums."""
        return self.gap is not None and self.gap <= OPTIMAL_WITHIN

    def found(self, value: float) -> Certificate:
        """Return the certificate once a mapping of that value is known, too."""
        bound = None if self.bound is None else min(self.bound, value)
        return replace(self, value=min(self.value, value), bound=bound)

    def as_dict(self) -> dict[str, Any]:
        """Return the certificate as plain data."""
        return {
            "optimal": self.optimal,
            "gap": self.gap,
            "bound": self.bound if self.bound is not None and np.isfinite(self.bound) else None,
            "assumed": self.assumed,
            "nodes": self.nodes,
            "complete": self.complete,
        }


#: A smaller relative gap is rounding: energies are added in different orders.
OPTIMAL_WITHIN = 1e-11


@dataclass(frozen=True)
class Mapped:
    """The best mappings of one problem on H pieces of hardware.

    Attributes:
        mappings: H mappings; None where no valid one was found.
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
        self, evaluator: Evaluator, constraints: Constraints, objective: Objective, settings: S
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
