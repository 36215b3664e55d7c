"""Random mapper: the best of n random valid mappings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.goals.metrics import Metrics
from dse.mappers.base import Mapped, Mapper
from dse.mappers.search import check_draws
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
        from dse.mapspace.sampling import sample_valid  # noqa: PLC0415 - compiled code

        draws = self.settings.max_draws
        check_draws(draws)
        seeds = np.random.SeedSequence(seed).generate_state(len(hardware), np.uint64)
        best: list[Mapping | None] = []
        metrics = []
        for h, architecture in enumerate(hardware.architectures):
            space = self.space_of(problem, architecture)
            wanted = int(samples[h])
            found = sample_valid(space, wanted, int(seeds[h]), draws * wanted).mappings
            index = np.full(len(found), h, dtype=np.int32)
            priced = self.evaluator.evaluate(hardware, problem, found, index)
            rank = self.rank(priced, problem, architecture)
            # of equals the first drawn wins, whatever the number of threads
            first = int(np.argmin(rank)) if len(found) else -1
            valid = first >= 0 and bool(np.isfinite(rank[first]))
            best.append(found[first] if valid else None)
            metrics.append(_take(priced, first) if valid else _INVALID)
        return Mapped(
            tuple(best), Metrics(*(np.array(column) for column in zip(*metrics, strict=True)))
        )


_INVALID = (False, np.nan, np.nan, np.nan, np.nan)


def _take(metrics: Metrics, index: int) -> tuple[bool, float, float, float, float]:
    """Return the metrics of one mapping, in the order of the fields."""
    return (
        True,
        float(metrics.cycles[index]),
        float(metrics.energy_pj[index]),
        float(metrics.utilization[index]),
        float(metrics.area_um2[index]),
    )
