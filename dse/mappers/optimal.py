"""Optimal mapper: the best mapping there is under the native model, with proof or a gap."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator
from dse.goals.certificate import Certificate
from dse.goals.metrics import Metrics
from dse.goals.objective import Objective
from dse.mappers.base import Mapped, Mapper
from dse.mappers.gamma import GammaMapper, GammaSettings
from dse.mappers.hillclimb import HillclimbMapper, HillclimbSettings
from dse.mappers.search import Best, at_least
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
        s = self.settings
        at_least("gap", s.gap, 0.0)
        at_least("nodes", s.nodes, 1)
        at_least("patterns", s.patterns, 1)
        at_least("threads", s.threads, 1)
        at_least("seeding", s.seeding, 0)
        if s.time is not None:
            at_least("time", s.time, 0.0)
        best = [Best() for _ in range(len(hardware))]
        spent = self._seed(hardware, problem, samples, seed, best)
        certificates: list[Certificate | None] = []
        for h in range(len(hardware)):
            if samples[h] <= 0:
                certificates.append(None)
                continue
            left = int(samples[h]) - int(spent[h])
            certificate, left = self._prove(hardware, h, problem, best[h], left)
            if not certificate.complete and left > 0:
                rest = np.where(np.arange(len(hardware)) == h, left, 0).astype(np.int64)
                self._heuristics(hardware, problem, rest, seed + 1, best)
                certificate = certificate.found(best[h].value)
            certificates.append(certificate)
        rows = zip(*(b.row for b in best), strict=True)
        return Mapped(
            tuple(b.mapping for b in best),
            Metrics(*(np.array(column) for column in rows)),
            tuple(certificates),
        )

    def _seed(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
        best: list[Best],
    ) -> npt.NDArray[np.int64]:
        """Let the heuristics find a start; return the samples that they may take."""
        # a third of the samples is left to confirm what the search finds
        budget = np.minimum(self.settings.seeding, samples - np.maximum(1, samples // 3))
        budget = np.maximum(0, budget).astype(np.int64)
        self._heuristics(hardware, problem, budget, seed, best)
        return budget

    def _heuristics(
        self,
        hardware: HardwareBatch,
        problem: Problem,
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
            found = mapper.map(hardware, problem, share, seed)
            for h, mapping in enumerate(found.mappings):
                if mapping is not None:
                    one = Metrics(*(x[h : h + 1] for x in _columns(found.metrics)))
                    value = self.rank(one, problem, hardware.architectures[h])
                    best[h].offer(MappingBatch.of([mapping]), one, value)

    def _prove(
        self, hardware: HardwareBatch, h: int, problem: Problem, best: Best, samples: int
    ) -> tuple[Certificate, int]:
        """Return the proof and the samples that it left."""
        from dse.mappers.exact.proof import prove  # noqa: PLC0415 - compiled code

        s = self.settings
        architecture = hardware.architectures[h]
        began = time.monotonic()

        left = [samples]

        def confirm(mappings: MappingBatch) -> float:
            """Price what the search found; return the best value known."""
            left[0] -= len(mappings)
            index = np.full(len(mappings), h, np.int32)
            metrics = self.evaluator.evaluate(hardware, problem, mappings, index)
            best.offer(mappings, metrics, self.rank(metrics, problem, architecture))
            return best.value

        def late(tried: int) -> bool:
            return tried > s.nodes or (s.time is not None and time.monotonic() - began > s.time)

        def tell(done: float, bound: float) -> None:
            gap = 1.0 - bound / best.value if np.isfinite(best.value) else 1.0
            spent = time.monotonic() - began
            _LOG.info(
                "optimal: best %.6g, bound %.6g, gap %.3g %%, %.0f %% of the stages in %.1f s, "
                "about %.1f s to go",
                best.value, bound, 100 * gap, 100 * done, spent, spent * (1 - done) / done,
            )  # fmt: skip

        space = self.space_of(problem, architecture)
        certificate = prove(
            space, architecture, self.objective.mapping_metric or "front",
            self.evaluator.timeloop_version,
            gap=s.gap, threads=s.threads, best=best.value, samples=samples,
            confirm=confirm, late=late, tell=tell, patterns=s.patterns,
        )  # fmt: skip
        return certificate, left[0]


def _columns(metrics: Metrics) -> tuple[npt.NDArray[Any], ...]:
    return (
        metrics.valid,
        metrics.cycles,
        metrics.energy_pj,
        metrics.utilization,
        metrics.area_um2,
    )
