"""The Bayesian baseline that DOSA (MICRO 2023) compares with, as its artifact has it.

Two loops. The outer one evaluates 100 pieces of random hardware, makes a Gaussian process of their
objectives, and evaluates the ten that it picks from a grid of configurations; the inner one is
`dse.mappers.bo_dosa`. For comparison only: `optimizer=bo` is Bayesian optimisation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.bayes.published import FixedProcess, picked
from dse.errors import SpecError
from dse.extras import require
from dse.goals.design import Design, DesignMetrics
from dse.settings import setting
from dse.space.search_space import SearchSpace
from dse.space.variable import Values, Variable
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.state.in_space import take_values
from dse.study.optimizer import Optimizer

#: Configurations that the outer process ranks at most: the artifact's number.
_MOST = 1 << 20
#: Hardware per batch.
_BATCH = 10


@dataclass(frozen=True)
class PublishedSettings:
    """Settings of DOSA's Bayesian baseline; the defaults are the artifact's."""

    training: int = setting(100, "random hardware that the process is made from")
    trials: int = setting(10, "hardware that it picks then")
    beta: float = setting(1.0, "deviations below the mean that count")
    as_published: bool = setting(
        True,
        "pick hardware as the artifact does, which sorts the order of the predictions once more: "
        "the hardware it gets is not what the process predicts to be best; false: that is",
    )
    grid: dict[str, list[int]] = setting(
        {
            "pe_dim": [2, 128, 2],
            "scratchpad_kb": [8, 1024, 8],
            "accumulator_kb": [8, 1024, 8],
        },
        "of variables by name, the values looked at: first, last, step; others: all of them",
    )
    mappings_per_hardware: int | None = setting(
        None, "mappings per layer on each hardware; null: the artifact's 100 and 10, or fewer"
    )


class PublishedBayesian(Optimizer[PublishedSettings]):
    """DOSA's Bayesian baseline, for comparison: 100 random designs, ten picked by a process."""

    settings_type = PublishedSettings
    takes_sparse = False
    default_samples = 110 * 110

    @classmethod
    def default_mapper(cls, settings: PublishedSettings) -> dict[str, Any]:  # noqa: ARG003
        """Return the baseline's inner loop."""
        return {"name": "bo_dosa"}

    def __init__(
        self,
        space: SearchSpace,
        settings: PublishedSettings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        """See :class:`dse.study.optimizer.Optimizer`.

        Raises:
            SpecError: a setting is out of range, or the baseline knows no such space.
            dse.errors.ToolError: scikit-learn is not installed.
        """
        super().__init__(space, settings, rng, samples)
        _check(settings)
        require("optimizer=bo_dosa", "learned", "sklearn")
        self._columns = _columns(space, settings.grid)
        hardware = settings.training + settings.trials
        wanted = settings.mappings_per_hardware
        self.mappings_per_hardware = wanted or min(max(samples // hardware, 1), 110)
        # a budget that is too small is shared between both parts as the artifact's is
        share = samples // self.mappings_per_hardware * settings.training // hardware
        self._training = max(1, min(settings.training, share))
        # the objectives of the random hardware, infinite where not valid, in the order of asking
        self._known: list[tuple[Values, float]] = []
        self._picked = False

    def ask(self) -> list[Design]:
        """Return random hardware, then what the process picks, then nothing."""
        missing = self._training - len(self._known)
        if missing > 0:
            found = [self._values(self._drawn()) for _ in range(min(missing, _BATCH))]
        elif self._picked:
            return []
        else:
            found, self._picked = self._picks(), True
        return [Design(values, mapping_samples=self.mappings_per_hardware) for values in found]

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Take the results of random hardware."""
        if self._picked:
            return
        for design, worth in zip(designs, metrics, strict=True):
            self._known.append((design.values, self.space.objective(worth)))

    def state_dict(self) -> dict[str, State]:
        """Return the random hardware, and whether the process has picked."""
        known: list[State] = [{"values": v, "value": value} for v, value in self._known]
        return {"known": known, "picked": self._picked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        with CheckedEntries(state, "optimizer") as entries:
            self._known = [self._read(one) for one in entries.each("known")]
            self._picked = entries.flag("picked")

    def _read(self, entries: CheckedEntries) -> tuple[Values, float]:
        with entries:
            return take_values(entries, "values", self.space), entries.number("value")

    def _drawn(self) -> list[int]:
        return [column[int(self.rng.integers(len(column)))] for column in self._columns]

    def _values(self, row: Sequence[int]) -> Values:
        names = [v.name for v in self.space.template.variables]
        return dict(zip(names, (int(x) for x in row), strict=True))

    def _picks(self) -> list[Values]:
        """Return the hardware that the process picks from the grid."""
        s = self.settings
        valid = [(list(v.values()), value) for v, value in self._known if math.isfinite(value)]
        if not valid:
            return [self._values(self._drawn()) for _ in range(s.trials)]
        rows, values = (np.array(part, np.float64) for part in zip(*valid, strict=True))
        process = FixedProcess(rows, values)
        axes = np.meshgrid(*self._columns, indexing="ij")
        grid = np.stack([axis.ravel() for axis in axes], axis=1)
        bound = process.bound(grid.astype(np.float64), s.beta)
        return [self._values(grid[i]) for i in picked(bound, s.trials, twice=s.as_published)]


def _columns(space: SearchSpace, grid: dict[str, list[int]]) -> list[list[int]]:
    """Return the values that each variable of the template takes."""
    tied = space.template.requirements
    if tied:
        raise SpecError(
            f"optimizer=bo_dosa: template '{space.template.name}' requires {tied[0].source}, "
            "expected a template without requirements: the baseline draws variables one by one"
        )
    columns = [
        [space.fixed[v.name]] if v.name in space.fixed else _values_of(v, grid.get(v.name))
        for v in space.template.variables
    ]
    named = [v.name for v, c in zip(space.template.variables, columns, strict=True) if v.choices]
    moving = [name for name in named if name not in space.fixed]
    if moving:
        raise SpecError(
            f"optimizer=bo_dosa: variable {moving[0]} is a choice, expected numbers: the "
            "baseline's process knows distances only; fix it (variables.NAME=VALUE)"
        )
    number = math.prod(len(column) for column in columns)
    if number > _MOST:
        raise SpecError(
            f"optimizer=bo_dosa: {number:,} configurations, expected at most {_MOST:,}: give "
            "fewer values in optimizer.grid"
        )
    return columns


def _values_of(variable: Variable, given: list[int] | None) -> list[int]:
    if given is None:
        # more than the whole grid may hold need not be listed to be refused
        return [variable.value_at(i) for i in range(min(variable.count, _MOST + 1))]
    first, last, step = given
    values = range(max(first, variable.minimum), min(last, variable.maximum) + 1)
    found = [x for x in values if (x - first) % step == 0 and _legal(variable, x)]
    if not found:
        raise SpecError(
            f"optimizer.grid.{variable.name} = {given}: holds no legal value of the variable"
        )
    return found


def _legal(variable: Variable, value: int) -> bool:
    if variable.values:
        return value in variable.values
    return (value - variable.minimum) % variable.step == 0


def _check(s: PublishedSettings) -> None:
    for name in ("training", "trials", "mappings_per_hardware"):
        value = getattr(s, name)
        if value is not None and value < 1:
            raise SpecError(f"optimizer.{name} = {value}, expected at least 1")
    if not 0 <= s.beta < math.inf:
        raise SpecError(f"optimizer.beta = {s.beta}, expected 0 or more")
    for name, given in s.grid.items():
        if len(given) != 3 or given[2] < 1 or given[1] < given[0]:
            raise SpecError(
                f"optimizer.grid.{name} = {given}, expected first, last and a step of at least 1"
            )
