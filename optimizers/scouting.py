"""Designs that a proof begins with: searches that go on a few samples at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dse.evaluators.native import NativeEvaluator
from dse.goals.design import Design
from dse.optimizers.lockstep import Lockstep, LockstepSettings
from dse.optimizers.naas import Naas, NaasSettings
from dse.plugins import plugin, typed
from dse.space.search_space import SearchSpace
from dse.study.design_evaluator import DesignEvaluator
from dse.study.optimizer import DEFAULT_MAPPER, Optimizer
from dse.study.study import optimizer_rng

#: Samples that the searches plan with: they decide from how much hardware a lock-step search
#: starts.
_PLANNED = 20_000
#: Mappings per layer that NAAS tries on each hardware.
_MAPPINGS = 500
#: Shares of the samples that are asked for, where there are both: they take much the same time.
_LOCKSTEP, _NAAS = 0.6, 12.0
#: Where NAAS starts, the chip first if there is one: it may stay at the connectivity of its start.
_STARTS = (None, "center")


class Scout:
    """Searches within a proof. Equal calls give equal designs.

    A lock-step search; where connectivity is free NAAS, too: it takes all of a generation's
    connectivities at once.

    Args:
        space: what is searched.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._best: tuple[float, Design | None] = (math.inf, None)
        lockstep = Lockstep(space, LockstepSettings(), optimizer_rng(0), _PLANNED)
        mapped = self._evaluator({"name": DEFAULT_MAPPER})
        #: with what prices its designs, and its share of the samples
        self._searches: list[tuple[Optimizer[Any], DesignEvaluator, float]] = [
            (lockstep, mapped, 1.0)
        ]
        if any(variable.choices for variable in space.free_hardware):
            self._searches = [(lockstep, mapped, _LOCKSTEP)]
            for number, start in enumerate(_STARTS):
                settings = NaasSettings(
                    mappings_per_hardware=_MAPPINGS,
                    start=start,
                )
                naas = Naas(space, settings, optimizer_rng(number), round(_PLANNED * _NAAS))
                evolved = self._evaluator(Naas.default_mapper(settings))
                self._searches.append((naas, evolved, _NAAS))

    def _evaluator(self, mapper: dict[str, Any]) -> DesignEvaluator:
        """Return what maps and prices designs."""
        evaluator = NativeEvaluator(self._space.timeloop_version)
        chosen = plugin("mapper", mapper["name"])
        given = {key: value for key, value in mapper.items() if key != "name"}
        made: Any = chosen.factory(
            evaluator, self._space.template.constraints, self._space.objective,
            typed(chosen.settings_type, given, "mapper"),
        )  # fmt: skip
        return DesignEvaluator(self._space, made, evaluator)

    def __call__(self, samples: int) -> Design | None:
        """Go on for some samples; return the best design seen so far, with its mappings."""
        for search, price, share in self._searches:
            self._go_on(search, price, round(samples * share))
        return self._best[1]

    def _go_on(self, search: Optimizer[Any], price: DesignEvaluator, samples: int) -> None:
        end = search.meter.spent + samples
        while search.meter.spent < end:
            asked = search.ask()
            if not asked:
                break
            # of a search's own, so that generations differ
            seed = np.random.SeedSequence(search.meter.spent)
            priced = price(asked, seed)
            for wanted, (design, metrics) in zip(asked, priced, strict=True):
                mapped = wanted.mappings is not None
                search.meter.charge_design(1 if mapped else wanted.mapping_samples or 1)
                value = self._space.objective(metrics) if metrics.valid else math.inf
                if value < self._best[0]:
                    self._best = value, design
            search.tell([design for design, _ in priced], [m for _, m in priced])
