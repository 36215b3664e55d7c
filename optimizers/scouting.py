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
#: Mappings per layer that NAAS tries on each hardware, and its samples for each of the other's:
#: it takes them many times as fast.
_MAPPINGS, _MORE = 500, 20


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
        self._searches: list[tuple[Optimizer[Any], DesignEvaluator, int]] = [
            (lockstep, self._evaluator({"name": DEFAULT_MAPPER}), 1)
        ]
        if any(variable.choices for variable in space.free_hardware):
            settings = NaasSettings(mappings_per_hardware=_MAPPINGS)
            naas = Naas(space, settings, optimizer_rng(0), _PLANNED * _MORE)
            mapped = self._evaluator(Naas.default_mapper(settings))
            self._searches.append((naas, mapped, _MORE))

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
        for search, price, more in self._searches:
            self._go_on(search, price, samples * more)
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
