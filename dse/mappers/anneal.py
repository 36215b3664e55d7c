"""Simulated annealing over the steps of a mapspace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.mappers.search import Course, Search, at_least, check_draws, share
from dse.settings import setting


@dataclass(frozen=True)
class AnnealSettings:
    """Settings of simulated annealing; temperatures are relative losses of the objective."""

    chains: int | None = setting(
        None, "chains that run side by side; null: the budget's square root over 4, 4 to 64"
    )
    warm_up: float = setting(0.1, "share of the budget for random mappings; the best start chains")
    hot: float = setting(0.5, "first temperature: a loss of 50 % is taken with probability 1/e")
    cold: float = setting(0.002, "last temperature")
    more_steps: float = setting(0.3, "probability of each further step of a move")
    steps: dict[str, float] = setting(
        {
            "factor": 3.0,
            "spread": 0.5,
            "whole": 0.5,
            "exchange": 2.0,
            "swap": 1.5,
            "insert": 1.0,
            "axis": 0.5,
            "keep": 1.0,
        },
        "weights of the kinds of steps",
    )
    tries: int = setting(16, "neighbours tried until one fits the hardware")
    max_draws: int = setting(10_000, "draws per random mapping wanted")


class AnnealMapper(Search[AnnealSettings]):
    """Simulated annealing: chains of random steps that accept losses ever more rarely."""

    settings_type = AnnealSettings

    def check(self) -> None:
        """See :meth:`dse.mappers.search.Search.check`."""
        from dse.mappers.ground import check_weights  # noqa: PLC0415 - compiled code

        s = self.settings
        if s.chains is not None:
            at_least("chains", s.chains, 1)
        for name in ("warm_up", "more_steps"):
            share(name, getattr(s, name))
        if not 0 < s.cold <= s.hot:
            raise SpecError(f"mapper.cold = {s.cold}, expected above 0 and at most {s.hot} (hot)")
        at_least("tries", s.tries, 1)
        check_draws(s.max_draws)
        check_weights(s.steps)

    def course(
        self, hardware: HardwareBatch, h: int, problem: Problem, samples: int, seed: int
    ) -> Course:
        """See :meth:`dse.mappers.search.Search.course`."""
        from dse.mappers.ground import Seeds, ground_of  # noqa: PLC0415 - compiled code

        s = self.settings
        architecture = hardware.architectures[h]
        ground = ground_of(self.space_of, problem, architecture, s.steps, s.max_draws)
        if ground is None:
            return
        seeds = Seeds(seed, h)
        chains = s.chains or int(np.clip(np.sqrt(samples) / 4, 4, 64))
        drawn = ground.sample(max(chains, int(s.warm_up * samples)), seeds())
        if not len(drawn):
            return
        value = yield drawn
        order = np.argsort(value, kind="stable")[:chains]
        here, level = drawn.take(order), value[order]
        # an objective may pass through zero, where relative losses have no meaning
        known = value[np.isfinite(value)]
        least = 1e-3 * float(np.std(known) if len(known) else 0.0) + np.finfo(np.float64).tiny
        spent = len(drawn)
        if not ground.can_step:
            return
        while True:
            progress = min(1.0, (spent - len(drawn)) / max(1, samples - len(drawn)))
            temperature = s.hot * (s.cold / s.hot) ** progress
            there, fits = ground.step(here, s.more_steps, seeds(), s.tries)
            there_level = yield there
            spent += len(there)
            loss = np.full(len(level), -np.inf)  # anything is better than a mapping without a value
            has = np.isfinite(level)
            loss[has] = (there_level - level)[has] / np.maximum(np.abs(level), least)[has]
            chance = np.exp(-np.maximum(0.0, loss) / temperature)
            accepted = np.flatnonzero(fits & (seeds.rng.random(len(level)) < chance))
            if accepted.size:
                index = np.arange(len(level))
                index[accepted] += len(level)
                here = MappingBatch.concatenate([here, there]).take(index)
                level[accepted] = there_level[accepted]
