"""The inner loop of DOSA's Bayesian baseline: random mappings, of which a process picks ten.

Of n samples most are random mappings that a Gaussian process is made from; the rest, ten, are the
best of 1,000 further ones by its lower confidence bound. The best of those ten is the result: the
others are forgotten. `dse.bayes.published` says what keeps the process from learning anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.bayes.published import FixedProcess, picked, raw_features
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator
from dse.extras import require
from dse.goals.objective import Objective
from dse.mappers.base import Mapped, Mapper
from dse.mappers.best import Best
from dse.mappers.search import at_least, check_draws
from dse.numeric import Floats
from dse.settings import setting


@dataclass(frozen=True)
class PublishedMapperSettings:
    """Settings of the inner loop of DOSA's Bayesian baseline; the defaults are its own."""

    trials: int = setting(10, "samples that the process picks, at most half; the others train it")
    candidates: int = setting(1000, "random mappings that it picks from")
    beta: float = setting(1.0, "deviations below the mean that count")
    keep_training: bool = setting(
        False, "the mappings that train the process may be the result, too"
    )
    max_draws: int = setting(
        10_000, "draws per wanted mapping; hardware that takes more counts as mapping nothing"
    )


class PublishedMapper(Mapper[PublishedMapperSettings]):
    """DOSA's Bayesian baseline, for comparison: a process of random mappings picks ten."""

    settings_type = PublishedMapperSettings
    takes_sparse = False

    def __init__(
        self,
        evaluator: Evaluator[Any],
        constraints: Constraints,
        objective: Objective,
        settings: PublishedMapperSettings,
    ) -> None:
        """See :class:`dse.mappers.base.Mapper`.

        Raises:
            dse.errors.ToolError: scikit-learn is not installed.
        """
        super().__init__(evaluator, constraints, objective, settings)
        require("mapper=bo_dosa", "learned", "sklearn")

    def map(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
    ) -> Mapped:
        """See :meth:`dse.mappers.base.Mapper.map`."""
        s = self.settings
        for name, least in (("trials", 1), ("candidates", 1), ("beta", 0.0)):
            at_least(name, getattr(s, name), least)
        check_draws(s.max_draws)
        seeds = np.random.SeedSequence(seed).generate_state(len(hardware), np.uint64)
        best = [Best() for _ in range(len(hardware))]
        for h, wanted in enumerate(int(n) for n in samples):
            if wanted > 0:
                self._search(hardware, h, problem, wanted, int(seeds[h]), best[h])
        return Mapped.of(best)

    def _search(
        self, hardware: HardwareBatch, h: int, problem: Problem, wanted: int, seed: int, best: Best
    ) -> None:
        from dse.mapspace.sampling import sample_valid  # noqa: PLC0415 - compiled code

        s = self.settings
        architecture = hardware.architectures[h]
        trials = max(1, min(s.trials, wanted // 2))
        training = wanted - trials
        drawn = training + max(s.candidates, trials)
        space = self.space_of(problem, architecture)
        found = sample_valid(space, drawn, seed, s.max_draws * drawn).mappings
        known, fresh = found.window(0, min(training, len(found))), None
        if len(found) > training:
            fresh = found.window(training, len(found))
        value = self._tried(hardware, h, problem, known, best if s.keep_training else Best())
        if fresh is None:
            return
        chosen = self._picked(known, value, fresh, trials)
        self._tried(hardware, h, problem, fresh.take(chosen), best)

    def _picked(
        self, known: MappingBatch, value: Floats, fresh: MappingBatch, count: int
    ) -> npt.NDArray[np.int64]:
        finite = np.isfinite(value)
        if not finite.any():
            return np.arange(min(count, len(fresh)))
        process = FixedProcess(raw_features(known)[finite], value[finite])
        return picked(process.bound(raw_features(fresh), self.settings.beta), count, twice=False)

    def _tried(
        self, hardware: HardwareBatch, h: int, problem: Problem, mappings: MappingBatch, best: Best
    ) -> Floats:
        """Price mappings, and offer them; return their values."""
        if not len(mappings):
            return np.empty(0)
        architecture: Architecture = hardware.architectures[h]
        index = np.full(len(mappings), h, np.int32)
        metrics = self.evaluator.evaluate(hardware, problem, mappings, index)
        value = self.rank(metrics, problem, architecture)
        best.offer(mappings, metrics, value)
        return value
