"""Random search: random hardware, random valid mappings on it. The baseline of DOSA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.errors import SpecError
from dse.goals.design import Design, DesignMetrics
from dse.settings import setting
from dse.space.search_space import SearchSpace
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.study.optimizer import Optimizer

#: Hardware points per ``ask``, so that the evaluator gets batches worth its while.
_BATCH = 8
#: Wanted mappings per ``ask`` at most, to bound memory.
_BATCH_MAPPINGS = 20_000


@dataclass(frozen=True)
class RandomSearchSettings:
    """Settings of random search."""

    mappings_per_hardware: int | None = setting(
        None,
        "random valid mappings per layer on each hardware; null: a tenth of the budget, at most "
        "1000 (DOSA's baseline is 10 x 1000)",
    )


class RandomSearch(Optimizer[RandomSearchSettings]):
    """Random hardware x random valid mappings per layer, the best of each layer kept."""

    settings_type = RandomSearchSettings
    takes_networks = True

    def __init__(
        self,
        space: SearchSpace,
        settings: RandomSearchSettings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        super().__init__(space, settings, rng, samples)
        wanted = settings.mappings_per_hardware
        if wanted is not None and wanted < 1:
            raise SpecError(f"optimizer.mappings_per_hardware = {wanted}, expected at least 1")
        self.mappings_per_hardware = wanted or min(max(samples // 10, 1), 1000)

    def ask(self) -> list[Design]:
        """Return a batch of random hardware."""
        number = max(1, min(_BATCH, _BATCH_MAPPINGS // self.mappings_per_hardware))
        return [
            Design(self.space.sample_values(self.rng), mapping_samples=self.mappings_per_hardware)
            for _ in range(number)
        ]

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Learn nothing."""

    def state_dict(self) -> dict[str, State]:
        """Return nothing: all that goes on is the generator, which the study keeps."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        CheckedEntries(state, "optimizer").close()
