"""Designs that a proof begins with: a lock-step search that goes on a few samples at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dse.evaluators.native import NativeEvaluator
from dse.goals.design import Design
from dse.optimizers.lockstep import Lockstep, LockstepSettings
from dse.plugins import plugin
from dse.space.search_space import SearchSpace
from dse.study.design_evaluator import DesignEvaluator
from dse.study.optimizer import DEFAULT_MAPPER
from dse.study.study import optimizer_rng

#: Samples that the search plans with: they decide from how much hardware it starts.
_PLANNED = 20_000


class Scout:
    """A lock-step search within a proof. Equal calls give equal designs.

    Args:
        space: what is searched.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._search = Lockstep(space, LockstepSettings(), optimizer_rng(0), _PLANNED)
        evaluator = NativeEvaluator(space.timeloop_version)
        chosen = plugin("mapper", DEFAULT_MAPPER)
        mapper: Any = chosen.factory(
            evaluator, space.template.constraints, space.objective, chosen.settings_type()
        )
        self._price = DesignEvaluator(space, mapper, evaluator)
        self._best: tuple[float, Design | None] = (math.inf, None)

    def __call__(self, samples: int) -> Design | None:
        """Go on for some samples; return the best design seen so far, with its mappings."""
        end = self._search.meter.spent + samples
        while self._search.meter.spent < end:
            asked = self._search.ask()
            if not asked:
                break
            priced = self._price(asked, np.random.SeedSequence(0))
            for wanted, (design, metrics) in zip(asked, priced, strict=True):
                mapped = wanted.mappings is not None
                self._search.meter.charge_design(1 if mapped else wanted.mapping_samples or 1)
                value = self._space.objective(metrics) if metrics.valid else math.inf
                if value < self._best[0]:
                    self._best = value, design
            self._search.tell([design for design, _ in priced], [m for _, m in priced])
        return self._best[1]
