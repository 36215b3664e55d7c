"""Steepest descent over all steps of a mapspace, with restarts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.domain.architecture import HardwareBatch
from dse.domain.problem import Problem
from dse.mappers.search import Course, Search, check_draws, share
from dse.mapspace.move_table import KINDS
from dse.settings import setting


@dataclass(frozen=True)
class HillclimbSettings:
    """Settings of hill climbing."""

    starts: float = setting(
        0.05, "share of the budget for random mappings before each climb, the best of which starts"
    )
    max_draws: int = setting(10_000, "draws per random mapping wanted")


class HillclimbMapper(Search[HillclimbSettings]):
    """Hill climbing: the best of all neighbouring mappings, until none is better; then again."""

    settings_type = HillclimbSettings

    def check(self) -> None:
        """See :meth:`dse.mappers.search.Search.check`."""
        share("starts", self.settings.starts)
        check_draws(self.settings.max_draws)

    def course(
        self, hardware: HardwareBatch, h: int, problem: Problem, samples: int, seed: int
    ) -> Course:
        """See :meth:`dse.mappers.search.Search.course`."""
        from dse.mappers.ground import Seeds, ground_of  # noqa: PLC0415 - compiled code

        s = self.settings
        every = dict.fromkeys(KINDS, 1.0)
        ground = ground_of(self.space_of, problem, hardware.architectures[h], every, s.max_draws)
        if ground is None:
            return
        seeds = Seeds(seed, h)
        while True:
            here = ground.sample(max(1, int(s.starts * samples)), seeds())
            if not len(here):
                return
            value = yield here
            at = int(np.argmin(value))
            height = value[at]
            while True:
                around = ground.neighbours(here, at, seeds())
                if not len(around):
                    break
                value = yield around
                best = int(np.argmin(value))
                if not value[best] < height:
                    break
                here, at, height = around, best, value[best]
