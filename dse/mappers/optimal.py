"""Optimal mapper: the best mapping there is under the native model, with proof or a gap."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.mapping import MappingBatch
from dse.domain.padding import Padding, mapped_problem
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator
from dse.goals.certificate import Certificate, gap_of
from dse.goals.objective import Objective
from dse.mappers.base import Mapped, Mapper, shared_out
from dse.mappers.best import Best
from dse.mappers.gamma import GammaMapper, GammaSettings
from dse.mappers.hillclimb import HillclimbMapper, HillclimbSettings
from dse.mappers.search import at_least
from dse.settings import setting

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class OptimalMapperSettings:
    """Settings of the optimal mapper."""

    gap: float = setting(0.0, "proof to look for: 0.01 stops within 1 % of the optimum")
    time: float | None = setting(
        None, "seconds after which the proof is given up; results then depend on the machine"
    )
    nodes: int = setting(
        200_000_000, "partial mappings after which the proof is given up, the same on any machine"
    )
    patterns: int = setting(
        4096, "ways to keep and bypass tensors; where there are more, nothing is proven"
    )
    threads: int = setting(2, "workers of the proof; the result does not depend on it")
    seeding: int = setting(
        8000, "samples, of the budget, for the heuristics that the proof starts from"
    )


class OptimalMapper(Mapper[OptimalMapperSettings]):
    """Exact search over partial mappings, started from what the heuristics find.

    Samples are mappings that the evaluator prices: heuristics take up to ``seeding`` of them, the
    rest confirms what the search found, and goes to the heuristics again where the search does not
    come to its end. The search itself prices nothing: it knows the rules of the native model, and
    its proof is for that model.
    """

    settings_type = OptimalMapperSettings
    takes_sparse = False

    def __init__(
        self,
        evaluator: Evaluator[Any],
        constraints: Constraints,
        objective: Objective,
        settings: OptimalMapperSettings,
    ) -> None:
        """See :class:`dse.mappers.base.Mapper`.

        Raises:
            SpecError: the evaluator computes another model than the one that the proof is for.
        """
        super().__init__(evaluator, constraints, objective, settings)
        evaluator.require_timeloop("mapper=optimal")

    def map(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
    ) -> Mapped:
        """See :meth:`dse.mappers.base.Mapper.map`."""
        return self.map_any(hardware, [(problem,)] * len(hardware), samples, seed)

    def map_any(
        self,
        hardware: HardwareBatch,
        choices: Sequence[Sequence[Problem]],
        samples: npt.NDArray[np.int64],
        seed: int,
    ) -> Mapped:
        """See :meth:`dse.mappers.base.Mapper.map_any`: the proof is over all of the problems.

        The heuristics share their samples over the problems as they do by themselves. Each problem
        is then searched for what undercuts the best mapping of those before.
        """
        self._check()
        best = [Best() for _ in range(len(hardware))]
        spent = self._seed(hardware, choices, samples, seed, best)
        certificates: list[Certificate | None] = []
        for h in range(len(hardware)):
            if samples[h] <= 0:
                certificates.append(None)
                continue
            left = int(samples[h]) - int(spent[h])
            search = _ExactSearch(self, hardware, h, best[h], left, len(choices[h]))
            certificate = Certificate.of_all([search.prove(problem) for problem in choices[h]])
            if not certificate.complete and search.samples > 0:
                rest = np.where(np.arange(len(hardware)) == h, search.samples, 0).astype(np.int64)
                self._heuristics(hardware, choices, rest, seed + 1, best)
                certificate = certificate.found(best[h].value)
            certificates.append(certificate)
        return Mapped.of(best, certificates)

    def map_best(
        self, hardware: HardwareBatch, problem: Problem, samples: int, seed: int, padding: Padding
    ) -> tuple[int, Mapped]:
        """See :meth:`dse.mappers.base.Mapper.map_best`: the proof is over all of the hardware.

        Each is searched for what undercuts the best mapping on those before it; the limits of the
        proof are for all of them together.
        """
        count = len(hardware)
        if count == 1 or padding.on:
            return super().map_best(hardware, problem, samples, seed, padding)
        self._check()
        choices = [(problem,)] * count
        best = [Best() for _ in range(count)]
        spent = self._seed(hardware, choices, shared_out(samples, count), seed, best)
        order = sorted(range(count), key=lambda h: best[h].value)
        known = replace(best[order[0]])
        search = _ExactSearch(self, hardware, 0, known, samples - int(spent.sum()), count)
        proofs = []
        for h in order:
            search.h, before = h, known.value
            proofs.append(search.prove(problem))
            if known.value < before:
                best[h] = replace(known)
        certificate = Certificate.of_all(proofs)
        if not certificate.complete and search.samples >= count:
            rest = shared_out(search.samples, count)
            self._heuristics(hardware, choices, rest, seed + 1, best)
        found = min(range(count), key=lambda h: best[h].value)
        return found, Mapped.of([best[found]], [certificate.found(best[found].value)])

    def _check(self) -> None:
        """Raise SpecError where a setting is out of range."""
        s = self.settings
        at_least("gap", s.gap, 0.0)
        at_least("nodes", s.nodes, 1)
        at_least("patterns", s.patterns, 1)
        at_least("threads", s.threads, 1)
        at_least("seeding", s.seeding, 0)
        if s.time is not None:
            at_least("time", s.time, 0.0)

    def _seed(
        self,
        hardware: HardwareBatch,
        choices: Sequence[Sequence[Problem]],
        samples: npt.NDArray[np.int64],
        seed: int,
        best: list[Best],
    ) -> npt.NDArray[np.int64]:
        """Let the heuristics find a start; return the samples that they may take."""
        # a third of the samples is left to confirm what the search finds
        budget = np.minimum(self.settings.seeding, samples - np.maximum(1, samples // 3))
        budget = np.maximum(0, budget).astype(np.int64)
        self._heuristics(hardware, choices, budget, seed, best)
        return budget

    def _heuristics(
        self,
        hardware: HardwareBatch,
        choices: Sequence[Sequence[Problem]],
        budget: npt.NDArray[np.int64],
        seed: int,
        best: list[Best],
    ) -> None:
        """Spend a budget on heuristics, half of it on each."""
        shares = (budget - budget // 2, budget // 2)
        makers: tuple[Any, ...] = (
            HillclimbMapper(self.evaluator, self.constraints, self.objective, HillclimbSettings()),
            GammaMapper(self.evaluator, self.constraints, self.objective, GammaSettings()),
        )
        for mapper, share in zip(makers, shares, strict=True):
            if not share.any():
                continue
            mapper.counted = self.counted
            found = mapper.map_any(hardware, choices, share, seed)
            for h, mapping in enumerate(found.mappings):
                if mapping is not None:
                    one = found.metrics.window(h, h + 1)
                    problem = mapped_problem(choices[h][0], mapping)
                    value = self.rank(one, problem, hardware.architectures[h])
                    best[h].offer(MappingBatch.of([mapping]), one, value)


@dataclass(eq=False)
class _ExactSearch:
    """The exact search on one piece of hardware, over one problem after the other.

    Attributes:
        mapper: whose settings it obeys.
        hardware, h: where.
        best: the best mapping known, of any of the problems.
        samples: what is left of the budget.
        problems: how many there are to search.
        nodes: partial mappings that were looked at.
        finished: problems that were searched.
    """

    mapper: OptimalMapper
    hardware: HardwareBatch
    h: int
    best: Best
    samples: int
    problems: int
    nodes: int = 0
    finished: int = 0

    def __post_init__(self) -> None:
        from dse.jit import working_time  # noqa: PLC0415 - loads numba

        self._clock = working_time
        self._began = working_time()

    def prove(self, problem: Problem) -> Certificate:
        """Search what undercuts the best mapping; return what is proven of it for a problem."""
        from dse.mappers.exact.proof import prove  # noqa: PLC0415 - compiled code

        s = self.mapper.settings
        architecture = self.hardware.architectures[self.h]

        def confirm(mappings: MappingBatch) -> float:
            """Price what the search found; return the best value known."""
            self.samples -= len(mappings)
            index = np.full(len(mappings), self.h, np.int32)
            metrics = self.mapper.evaluator.evaluate(self.hardware, problem, mappings, index)
            self.best.offer(mappings, metrics, self.mapper.rank(metrics, problem, architecture))
            return self.best.value

        def late() -> bool:
            return s.time is not None and self._clock() - self._began > s.time

        certificate = prove(
            self.mapper.space_of(problem, architecture), architecture,
            self.mapper.objective.mapping_metric or "front",
            self.mapper.evaluator.timeloop_version,
            gap=s.gap, threads=s.threads, best=self.best.value, samples=self.samples,
            confirm=confirm, nodes=s.nodes - self.nodes, late=late, tell=self._stage,
            patterns=s.patterns,
        )  # fmt: skip
        self.nodes += certificate.nodes
        self.finished += 1
        if self.problems > 1 and certificate.bound is not None:
            self._tell(self.finished / self.problems, certificate.bound)
        return certificate

    def _stage(self, done: float, bound: float) -> None:
        """Report a stage; of many problems, each is told once, when it is finished."""
        if self.problems == 1:
            self._tell(done, bound)

    def _tell(self, done: float, bound: float) -> None:
        gap = gap_of(bound, self.best.value) if np.isfinite(self.best.value) else 1.0
        spent = self._clock() - self._began
        _LOG.info(
            "optimal: best %.6g, bound %.6g, gap %.3g %%, %.0f %% of the %s in %.1f s, "
            "about %.1f s to go",
            self.best.value, bound, 100 * gap, 100 * done,
            "stages" if self.problems == 1 else "problems", spent, spent * (1 - done) / done,
        )  # fmt: skip
