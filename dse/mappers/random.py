"""Random mapper: the best of n random valid mappings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.architecture import HardwareBatch
from dse.errors import SpecError
from dse.evaluators.base import Metrics
from dse.mappers.base import Mapped, Mapper
from dse.mapping import Mapping
from dse.problem import Problem
from dse.settings import setting


@dataclass(frozen=True)
class RandomMapperSettings:
    """Settings of the random mapper."""

    max_draws: int = setting(
        10_000, "draws per wanted mapping; hardware that takes more counts as mapping nothing"
    )


class RandomMapper(Mapper[RandomMapperSettings]):
    """The best of n random valid mappings; those that do not fit are drawn again."""

    settings_type = RandomMapperSettings

    def map(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
    ) -> Mapped:
        """Draw ``samples`` valid mappings for each hardware and keep the best of each."""
        from dse.mapspace.space import Mapspace  # noqa: PLC0415 - compiled code loads on use

        if self.settings.max_draws < 1:
            raise SpecError(f"max_draws = {self.settings.max_draws}, expected at least 1")
        wanted = np.repeat(np.arange(len(hardware), dtype=np.int32), samples)
        space = Mapspace(problem, hardware.level_names, self.constraints)
        drawn = space.sample_valid(
            hardware, wanted, seed=seed, max_draws=self.settings.max_draws * len(wanted)
        )
        if len(drawn.hardware_index) == 0:
            return _nothing(len(hardware))
        metrics = self.evaluator.evaluate(hardware, problem, drawn.mappings, drawn.hardware_index)
        rank = self.objective.rank(metrics)
        # stable: of equals the first drawn wins, whatever the number of threads
        order = np.lexsort((rank, drawn.hardware_index))
        owners, first = np.unique(drawn.hardware_index[order], return_index=True)
        best = np.full(len(hardware), -1, dtype=np.int64)
        best[owners] = order[first]
        best[owners[~metrics.valid[best[owners]]]] = -1
        mappings = tuple(drawn.mappings[int(b)] if b >= 0 else None for b in best)
        return Mapped(mappings, _take(metrics, best))


def _take(metrics: Metrics, index: npt.NDArray[np.int64]) -> Metrics:
    """Return the metrics at ``index``, not valid where it is negative."""
    found = index >= 0

    def pick(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(found, values[index], np.nan)

    return Metrics(
        valid=found,
        cycles=pick(metrics.cycles),
        energy_pj=pick(metrics.energy_pj),
        utilization=pick(metrics.utilization),
        area_um2=pick(metrics.area_um2),
    )


def _nothing(size: int) -> Mapped:
    nan = np.full(size, np.nan)
    nobody: tuple[Mapping | None, ...] = (None,) * size
    return Mapped(nobody, Metrics(np.zeros(size, np.bool_), nan, nan, nan, nan))
