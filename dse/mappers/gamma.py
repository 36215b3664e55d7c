"""Genetic mapper with operators that know loop nests, after GAMMA (Kao and Krishna, ICCAD 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.mappers.search import Course, Search, at_least, check_draws, share
from dse.numeric import Floats
from dse.settings import setting

#: Weights of the kinds of steps (see ``dse.mapspace.move_table``).
STEPS = {
    "factor": 3.0,
    "spread": 1.0,
    "whole": 1.0,
    "exchange": 2.0,
    "swap": 1.5,
    "insert": 1.5,
    "axis": 0.5,
    "keep": 1.0,
    "redraw": 1.0,
}
#: Populations follow the square root of the budget, between these.
_SMALLEST, _LARGEST = 16, 512
#: Random numbers set aside for one tournament.
_LARGEST_TOURNAMENT = 8


@dataclass(frozen=True)
class GammaSettings:
    """Settings of the genetic mapper."""

    population: int | None = setting(
        None, "mappings per generation; null: the square root of the budget, 16 to 512"
    )
    warm_up: float = setting(0.1, "share of the budget for the random mappings it starts from")
    tournament: int = setting(3, "members that compete to become a parent")
    crossover: float = setting(0.5, "probability that a child has two parents")
    more_steps: float = setting(0.4, "probability of each further mutation of a child")
    max_age: int = setting(30, "generations after which a member leaves, but for the best; 0: none")
    patience: int = setting(
        15, "generations without a better mapping, after which it starts again; 0: never"
    )
    steps: dict[str, float] = setting(
        STEPS,
        "weights of the kinds of mutation: factors between slots, growth of the parallel part "
        "(spread), loss of loops (whole), exchanges between dimensions, loop order, axes, ...",
    )
    max_draws: int = setting(10_000, "tries per wanted mapping; rarer ones count as not there")


@dataclass
class _Population:
    """Members, best first."""

    members: MappingBatch
    value: Floats
    age: npt.NDArray[np.int64]


class GammaMapper(Search[GammaSettings]):
    """A genetic algorithm on tiles, orders and parallel dimensions.

    Children take each dimension's factors, and each level's loop order, axes and kept tensors,
    from either parent; mutations move factors between levels and into the array, drop, exchange
    and reorder loops. Parents and children compete for the next generation; of equal values one
    stays; members age out; without progress the search starts afresh, and remembers its best.
    """

    settings_type = GammaSettings

    def check(self) -> None:
        """See :meth:`dse.mappers.search.Search.check`."""
        from dse.mappers.ground import check_weights  # noqa: PLC0415 - compiled code

        s = self.settings
        if s.population is not None:
            at_least("population", s.population, 2)
        for name in ("warm_up", "crossover", "more_steps"):
            share(name, getattr(s, name))
        at_least("tournament", s.tournament, 1)
        if s.tournament > _LARGEST_TOURNAMENT:
            raise SpecError(
                f"mapper.tournament = {s.tournament}, expected at most {_LARGEST_TOURNAMENT}"
            )
        at_least("max_age", s.max_age, 0)
        at_least("patience", s.patience, 0)
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
        size = s.population or int(np.clip(np.sqrt(samples), _SMALLEST, _LARGEST))
        rates = np.array([s.crossover, s.more_steps, s.tournament], np.float64)
        first = max(size, int(s.warm_up * samples))
        while True:
            drawn = ground.sample(first, seeds())
            if not len(drawn):
                return
            value = yield drawn
            population = _survivors(
                _Population(drawn, value, np.zeros(len(drawn), np.int64)), size, 0
            )
            stalled = 0
            while not s.patience or stalled < s.patience:
                children = ground.breed(population.members, population.value, rates, size, seeds())
                if not len(children):
                    break
                value = yield children
                before = population.value[0]
                joint = _Population(
                    MappingBatch.concatenate([population.members, children]),
                    np.concatenate([population.value, value]),
                    np.concatenate([population.age + 1, np.zeros(len(value), np.int64)]),
                )
                population = _survivors(joint, size, s.max_age)
                stalled = 0 if population.value[0] < before else stalled + 1
            first = size


def _survivors(all_: _Population, size: int, max_age: int) -> _Population:
    """Keep the best; of equal values the youngest comes first, and the others come last."""
    value = all_.value
    order = np.lexsort((all_.age, value))
    ranked = value[order]
    again = np.zeros(len(order), np.bool_)
    again[1:] = ranked[1:] == ranked[:-1]
    if max_age:
        old = all_.age[order] > max_age
        old[0] = False
        again |= old
    order = np.concatenate([order[~again], order[again]])[:size]
    order = order[np.argsort(value[order], kind="stable")]
    return _Population(all_.members.take(order), value[order], all_.age[order])
