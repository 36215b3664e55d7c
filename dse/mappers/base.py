"""The contract of a mapper: the best mapping of one problem on fixed hardware."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.padding import Padding, mapped_problem
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.evaluators.base import Evaluator
from dse.goals.certificate import Certificate
from dse.goals.metric_names import Scale, operations
from dse.goals.metrics import Metrics
from dse.goals.objective import Objective
from dse.mappers.best import Best
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.padding import alternatives
from dse.mapspace.smallest import smallest
from dse.settings import NoSettings

S = TypeVar("S")
#: Samples that a problem is tried with, at least, where a budget is shared over several.
LEAST_SAMPLES = 16
#: Problems among which the samples of one round are shared.
_ROUNDS = (16, 4, 1)


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

    @classmethod
    def of(cls, best: Sequence[Best], proofs: Sequence[Certificate | None] = ()) -> Mapped:
        """Return the best that H searches have seen, and what they proved of it."""
        rows = zip(*(b.row for b in best), strict=True)
        metrics = Metrics(*(np.array(column) for column in rows))
        return cls(tuple(b.mapping for b in best), metrics, tuple(proofs))


def shared_out(samples: int, count: int) -> npt.NDArray[np.int64]:
    """Return equal shares of the samples, ``(count,)``; SpecError where there are too few."""
    if samples < count:
        raise SpecError(
            f"samples = {samples}, expected at least {count}: one for each order of the tensors "
            "that stand at loops of their own"
        )
    shares = np.full(count, samples // count, np.int64)
    shares[: samples % count] += 1
    return shares


class Mapper(ABC, Generic[S]):
    """Searches mappings of one problem for each of H pieces of hardware at once.

    A mapper holds no random state: equal arguments give equal results. Layers are mapped in
    several threads at once, so ``map`` changes nothing in the mapper.
    """

    #: a dataclass, every field with a default
    settings_type: ClassVar[type[Any]] = NoSettings
    #: whether it searches sparse designs, too: not where it has a model of dense tensors in it
    takes_sparse: ClassVar[bool] = True

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
        #: whose operations count, where problems are padded; None: those of the problem mapped
        self.counted: Problem | None = None

    def _counting(self, problem: Problem) -> Self:
        """Return the mapper for paddings of a problem: operations that padding adds do no work."""
        other = copy(self)
        other.counted = problem
        return other

    def rank(
        self, metrics: Metrics, problem: Problem, architecture: Architecture
    ) -> npt.NDArray[np.float64]:
        """Return the objective of mappings of a problem on an architecture, ``(B,)``."""
        if self.objective.expression is None:
            return self.objective.rank(metrics)
        technology = architecture.technology
        counted = self.counted or problem
        scale = Scale(operations(counted), technology.clock_ns if technology else None)
        if counted.macs != problem.macs:
            metrics = metrics.of_work(counted.macs / problem.macs)
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

    def map_padded(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
        padding: Padding,
    ) -> Mapped:
        """Find mappings of a problem or of its paddings; `mapped_problem` says which one is of.

        Cycles, energy and traffic are those of the padded problem. The utilization is the share of
        the MACs' time that does the problem's own operations: padding is no work.

        Args:
            hardware: H architectures of one structure.
            problem: what to map.
            samples: ``(H,)`` how many mappings may be evaluated on each, over all paddings.
            seed: of all randomness.
            padding: how far dimensions may grow.

        Raises:
            dse.errors.SpecError, dse.errors.ToolError: as :meth:`map`.
        """
        if not padding.on:
            return self.map(hardware, problem, samples, seed)
        choices = [
            alternatives(self.space_of(problem, one), padding, self.objective.mapping_metric)
            for one in hardware.architectures
        ]
        problems = [one.problems for one in choices]
        found = self._counting(problem).map_any(hardware, problems, samples, seed)
        work = [
            1.0 if mapping is None else problem.macs / mapped_problem(problem, mapping).macs
            for mapping in found.mappings
        ]
        proofs = tuple(
            proof and replace(proof, assumed=f"{proof.assumed}; padding={padding.text}: {one.text}")
            for proof, one in zip(found.certificates, choices, strict=False)
        )
        return Mapped(found.mappings, found.metrics.of_work(np.array(work)), proofs)

    def map_best(
        self, hardware: HardwareBatch, problem: Problem, samples: int, seed: int, padding: Padding
    ) -> tuple[int, Mapped]:
        """Find the best mapping on any of several pieces of hardware, which share the samples.

        Args:
            hardware: H architectures of one structure.
            problem: what to map.
            samples: how many mappings may be evaluated on all of them together.
            seed: of all randomness.
            padding: how far dimensions may grow.

        Returns:
            On which one it is, and the mapping; what is proven of it holds for all of them.

        Raises:
            dse.errors.SpecError, dse.errors.ToolError: as :meth:`map`; or there are fewer samples
                than hardware.
        """
        count = len(hardware)
        found = self.map_padded(hardware, problem, shared_out(samples, count), seed, padding)
        values = [
            float(self.rank(found.metrics.window(h, h + 1), problem, architecture)[0])
            for h, architecture in enumerate(hardware.architectures)
        ]
        best = int(np.argmin(values))
        proofs = [proof for proof in found.certificates if proof is not None]
        proven = (Certificate.of_all(proofs),) if len(proofs) == count else ()
        metrics = found.metrics.window(best, best + 1)
        return best, Mapped((found.mappings[best],), metrics, proven)

    def map_any(
        self,
        hardware: HardwareBatch,
        choices: Sequence[Sequence[Problem]],
        samples: npt.NDArray[np.int64],
        seed: int,
    ) -> Mapped:
        """Find the best mapping of any of several problems; the mapping says of which it is.

        A quarter of the samples goes to the first 16 problems in equal parts, a quarter to the four
        that did best, the rest to the best; as few problems as it takes for each to get
        :data:`LEAST_SAMPLES`. Where there are too few samples for two, all go to the first problem.

        Args:
            hardware: H architectures of one structure.
            choices: by hardware, paddings of one problem, the most promising first.
            samples: ``(H,)`` how many mappings may be evaluated on each, over all problems.
            seed: of all randomness.

        Raises:
            dse.errors.SpecError, dse.errors.ToolError: as :meth:`map`.
        """
        if all(len(some) == 1 and some[0] == choices[0][0] for some in choices):
            return self.map(hardware, choices[0][0], samples, seed)
        best = [Best() for _ in choices]
        ranked = [list(some) for some in choices]
        left = [int(n) for n in samples]
        for number, most in enumerate(_ROUNDS):
            shares: dict[Problem, dict[int, int]] = {}
            values: list[dict[Problem, float]] = [{} for _ in choices]
            for h, some in enumerate(ranked):
                budget = left[h] if most == 1 else int(samples[h]) // 4
                tried = max(1, min(len(some), most, budget // LEAST_SAMPLES))
                if tried == 1 < most:
                    continue
                del some[tried:]
                for problem in some:
                    shares.setdefault(problem, {})[h] = budget // tried
                    left[h] -= budget // tried
            for problem, share in shares.items():
                for h, value in self._offered(hardware, problem, share, seed + number, best):
                    values[h][problem] = value
            for some, value_of in zip(ranked, values, strict=True):
                some.sort(key=lambda problem, of=value_of: of.get(problem, 0.0))  # type: ignore[misc]
        return Mapped.of(best)

    def _offered(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: dict[int, int],
        seed: int,
        best: list[Best],
    ) -> list[tuple[int, float]]:
        """Map a problem on some of the hardware; return the value there, and offer it."""
        part = HardwareBatch(tuple(hardware.architectures[h] for h in samples))
        found = self.map(part, problem, np.array(list(samples.values()), np.int64), seed)
        values = []
        for at, h in enumerate(samples):
            one = found.metrics.window(at, at + 1)
            value = self.rank(one, problem, part.architectures[at])
            mapping = found.mappings[at]
            if mapping is not None:
                best[h].offer(MappingBatch.of([mapping]), one, value)
            values.append((h, float(value[0])))
        return values
