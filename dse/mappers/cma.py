"""CMA-ES mapper: the inner half of NAAS (Lin, Yang and Han, DAC 2021), one search per hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name
from dse.evolution.genome import ENCODINGS, TILES, Coding
from dse.evolution.strategy import COVARIANCES, Strategies
from dse.goals.metrics import Metrics
from dse.mappers.base import Mapped, Mapper
from dse.mappers.best import Best
from dse.mappers.search import at_least, check_draws
from dse.numeric import Floats, Indices
from dse.settings import setting

if TYPE_CHECKING:
    from dse.evolution.population import PopulationSampler


_LEGALITIES = ("resample", "repair")
#: A search that has become narrower than this begins again: no factor or order changes any more.
_NARROW = 0.01


@dataclass(frozen=True)
class CmaSettings:
    """Settings of the CMA-ES mapper."""

    encoding: str = setting(
        "importance", "of loop orders: importance (the larger, the further outside) or index"
    )
    search: str = setting(
        "mapping", "mapping: tiles and orders; tiles: orders are those of 'order'"
    )
    order: str = setting(
        "K C P Q R S", "loop order of all levels, outermost first, where search=tiles"
    )
    population: int | None = setting(
        None, "mappings per generation; null: by the budget and the numbers searched"
    )
    sigma: float = setting(0.2, "first step size, of numbers in 0 to 1")
    covariance: str = setting("diagonal", "full or diagonal; diagonal learns faster")
    tiles: str = setting("log", "tile ratios are shares of the logarithm (log) or linear")
    legality: str = setting(
        "resample",
        "of mappings that do not fit: resample (draw again) or repair (tiles shrink until they do)",
    )
    max_draws: int = setting(
        10, "per wanted mapping, until it fits; in the last one resample repairs, too"
    )
    patience: int = setting(
        10, "generations without a better mapping, after which it starts again; 0: never"
    )


class CmaMapper(Mapper[CmaSettings]):
    """CMA-ES over tile ratios and loop orders by importance, after NAAS.

    The searches on all hardware advance together: one update, one decoding and one evaluation per
    generation. A sample is a mapping that fits; others are repaired or drawn again, uncounted.
    """

    settings_type = CmaSettings

    def map(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
    ) -> Mapped:
        """See :meth:`dse.mappers.base.Mapper.map`."""
        from dse.evolution.population import PopulationSampler  # noqa: PLC0415 - compiled code

        self.check()
        best = [Best() for _ in range(len(hardware))]
        spaces = {
            h: space
            for h, architecture in enumerate(hardware.architectures)
            if samples[h] > 0 and not (space := self.space_of(problem, architecture)).infeasible
        }
        if spaces:
            population = PopulationSampler(hardware, problem, spaces, self._coding(), seed)
            self._search(population, problem, samples, best)
        return Mapped.of(best)

    def check(self) -> None:
        """Raise SpecError where a setting is out of range."""
        s = self.settings
        for name, choices in (
            ("encoding", ENCODINGS),
            ("search", ("mapping", "tiles")),
            ("covariance", COVARIANCES),
            ("tiles", TILES),
            ("legality", _LEGALITIES),
        ):
            if getattr(s, name) not in choices:
                raise SpecError(unknown_name(f"mapper.{name}", getattr(s, name), choices))
        if s.population is not None:
            at_least("population", s.population, 4)
        if not 0 < s.sigma <= 10:
            raise SpecError(f"mapper.sigma = {s.sigma}, expected above 0 and at most 10")
        check_draws(s.max_draws)
        at_least("patience", s.patience, 0)

    def _coding(self) -> Coding:
        s = self.settings
        order = tuple(s.order.split()) if s.search == "tiles" else None
        return Coding(s.encoding, s.tiles, order)

    def _search(
        self,
        population: PopulationSampler,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        best: list[Best],
    ) -> None:
        """Let all searches run to the end of their budgets."""
        s = self.settings
        shrink_from = 1 if s.legality == "repair" else s.max_draws
        own = np.arange(len(population))
        left = samples[population.rows].copy()
        size = s.population or _population(len(population.genome), int(left.max()))
        start = np.tile(population.genome.start, (len(own), 1))
        strategies = Strategies(start, s.sigma, size, s.covariance)
        stalled = np.zeros(len(own), np.int64)
        while own.size:
            x, mappings, ok = population.draw(strategies, own, s.max_draws, shrink_from)
            ok &= np.cumsum(ok, axis=1) <= left[own][:, None]
            value, better = self._evaluate(population, problem, mappings, own, ok, best)
            strategies.update(x, value)
            left[own] -= ok.sum(axis=1)
            stalled[own] = np.where(better, 0, stalled[own] + 1)
            if not population.genome.free:
                return
            goes_on = (left[own] > 0) & ok.any(axis=1)
            if not goes_on.all():
                own = own[goes_on]
                strategies.keep(np.flatnonzero(goes_on))
            self._restart(strategies, stalled, own)

    def _restart(
        self, strategies: Strategies, stalled: npt.NDArray[np.int64], own: Indices
    ) -> None:
        if not own.size:
            return
        over = strategies.spread < _NARROW
        if self.settings.patience:
            over |= stalled[own] >= self.settings.patience
        stalled[own[over]] = 0
        strategies.restart(np.flatnonzero(over))

    def _evaluate(
        self,
        population: PopulationSampler,
        problem: Problem,
        mappings: MappingBatch,
        own: Indices,
        ok: npt.NDArray[np.bool_],
        best: list[Best],
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return values ``(S, P)``, infinite where not ``ok``, and which searches got better."""
        value = np.full(ok.shape, np.inf)
        better = np.zeros(len(own), np.bool_)
        index = np.flatnonzero(ok)
        if not index.size:
            return value, better
        chosen = mappings if index.size == ok.size else mappings.take(index)
        machine = population.rows[own[index // ok.shape[1]]]
        metrics = self.evaluator.evaluate(
            population.hardware, problem, chosen, machine.astype(np.int32)
        )
        value[ok] = self._values(metrics, population, problem, machine)
        first = value.argmin(axis=1)
        place = np.searchsorted(index, first + ok.shape[1] * np.arange(len(own))).tolist()
        least = value[np.arange(len(own)), first].tolist()
        for i, row in enumerate(population.rows[own].tolist()):
            holder = best[row]
            if least[i] < holder.value:
                holder.value = least[i]
                holder.mapping = chosen[place[i]]
                holder.row = metrics.row(place[i])
                better[i] = True
        return value, better

    def _values(
        self, metrics: Metrics, population: PopulationSampler, problem: Problem, machine: Indices
    ) -> Floats:
        """Return the objective of each mapping; expressions may need to know the hardware."""
        architectures = population.hardware.architectures
        if self.objective.expression is None:
            return self.objective.rank(metrics)
        value = np.empty(len(metrics))
        for h in np.unique(machine):
            value[machine == h] = self.rank(metrics, problem, architectures[h])[machine == h]
        return value


def _population(n: int, samples: int) -> int:
    """Return CMA-ES's default for n numbers, more where the budget allows 15 generations."""
    least = 4 + int(3 * np.log(max(n, 1)))
    return int(np.clip(samples // 15, least, 8 * least))
