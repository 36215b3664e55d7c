"""One mapspace on one hardware, with the compiled operators that searches use on it."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name
from dse.mapspace import breeding
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.move_table import KINDS, MoveTable, move_table
from dse.mapspace.sampling import hardware_arrays, sample_valid
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.model.batch import make_plan
from dse.model.block import WIDTH, load_first, new_prices
from dse.model.scratch import block
from dse.numeric import Floats


class Ground:
    """The valid mappings of one problem on one hardware, and the steps between them.

    Every operator returns mappings that fit the hardware. It is used by one thread at a time.

    Args:
        space: the mapspace.
        weights: of the kinds of steps (`dse.mapspace.move_table.KINDS`); absent ones weigh 0.
        max_draws: draws per wanted mapping before a search for one that fits gives up.
    """

    def __init__(self, space: Mapspace, weights: Dict[str, float], max_draws: int) -> None:
        self.space = space
        self.table: MoveTable = move_table(space)
        self._max_draws = max_draws
        rows = np.diff(self.table.first)
        given = np.array([weights.get(kind, 0.0) for kind in KINDS])
        self._weight = np.cumsum(np.where(rows > 0, given, 0.0))
        self._plan = make_plan(space.problem, space.arrays.keep != 0, a.HEAD)
        self._prices = new_prices(len(space.architecture.levels))
        load_first(self._prices, hardware_arrays(space.architecture))
        self._block = a.mapping_arrays(space.empty_batch(WIDTH))
        levels, dimensions = space.arrays.order.shape
        self._shape = (levels, dimensions, *space.problem.projection.shape[:2])

    @property
    def can_step(self) -> bool:
        """Whether there is any step to take."""
        return bool(self._weight[-1] > 0)

    def sample(self, count: int, seed: int) -> MappingBatch:
        """Draw valid mappings uniformly; fewer where they are too rare."""
        return sample_valid(self.space, count, seed, self._max_draws * count).mappings

    def breed(
        self, parents: MappingBatch, value: Floats, rates: Floats, count: int, seed: int
    ) -> MappingBatch:
        """Return up to ``count`` children of a population ``(P,)`` with these values."""
        result = self.space.empty_batch(count)
        lanes = block(*self._shape)[0]
        found, _ = breeding.breed_into(
            self.space.arrays, self.table, self._plan, lanes, self._prices,
            a.mapping_arrays(parents), value, rates, self._weight,
            self._block, a.mapping_arrays(result), _bits(seed), self._max_draws * count,
        )  # fmt: skip
        return result if found == count else result.window(0, found)

    def step(
        self, mappings: MappingBatch, more: float, seed: int, tries: int
    ) -> tuple[MappingBatch, npt.NDArray[np.bool_]]:
        """Return a random neighbour of each mapping, and for which one was found.

        Args:
            mappings: B valid mappings.
            more: probability of each further step.
            seed: of the choices.
            tries: neighbours tried for each.
        """
        result = self.space.empty_batch(len(mappings))
        fits = np.empty(len(mappings), np.bool_)
        breeding.step_into(
            self.space.arrays, self.table, self._plan, block(*self._shape)[0], self._prices,
            a.mapping_arrays(mappings), self._weight, more,
            self._block, a.mapping_arrays(result), fits, _bits(seed), tries,
        )  # fmt: skip
        return result, fits

    def fits(self, mappings: MappingBatch) -> npt.NDArray[np.bool_]:
        """Return which mappings of the space fit the hardware, ``(B,)``."""
        result = self.space.empty_batch(len(mappings))
        fits = np.empty(len(mappings), np.bool_)
        # a step of no kind changes nothing, and is checked like any other
        breeding.step_into(
            self.space.arrays, self.table, self._plan, block(*self._shape)[0], self._prices,
            a.mapping_arrays(mappings), np.zeros(len(KINDS)), 0.0,
            self._block, a.mapping_arrays(result), fits, _bits(0), 1,
        )  # fmt: skip
        return fits

    def neighbours(self, mappings: MappingBatch, index: int, seed: int) -> MappingBatch:
        """Return all neighbours of one mapping of a batch that fit."""
        result = self.space.empty_batch(len(self.table.rows))
        found = breeding.neighbourhood_into(
            self.space.arrays, self.table, self._plan, block(*self._shape)[0], self._prices,
            a.mapping_arrays(mappings), index, self._block, a.mapping_arrays(result),
            _bits(seed),
        )  # fmt: skip
        return result.window(0, found)


def _bits(seed: int) -> Any:  # noqa: ANN401 - compiled code takes it for an integer
    return np.uint64(seed)


class Seeds:
    """Seeds for the compiled operators: the next of a sequence at every call."""

    def __init__(self, seed: int, hardware: int) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(hardware,)))

    def __call__(self) -> int:
        """Return 64 random bits."""
        return int(self._rng.integers(0, 2**64, dtype=np.uint64))

    @property
    def rng(self) -> np.random.Generator:
        """The generator behind, for choices made in Python."""
        return self._rng


def ground_of(
    space_of: MapspaceCache,
    problem: Problem,
    architecture: Architecture,
    weights: Dict[str, float],
    max_draws: int,
) -> Ground | None:
    """Return the ground of a problem on an architecture; None where there is no mapping at all."""
    space = space_of(problem, architecture)
    return None if space.infeasible else Ground(space, weights, max_draws)


def check_weights(weights: Dict[str, float]) -> None:
    """Raise SpecError unless the weights name kinds of steps and are not negative."""
    for kind, weight in weights.items():
        if kind not in KINDS:
            raise SpecError(unknown_name("mapper.steps", kind, KINDS))
        if not weight >= 0:
            raise SpecError(f"mapper.steps.{kind} = {weight}, expected 0 or more")
