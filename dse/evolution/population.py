"""Generations of mappings: drawn, read, made to fit, for many searches in one call."""

from __future__ import annotations

from collections.abc import Mapping as Dict

import numpy as np

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evolution.decode import Vectors
from dse.evolution.draw import Generation, Normals, draw_into
from dse.evolution.genome import Coding, Genome
from dse.evolution.strategy import Strategies
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.model.batch import make_plan
from dse.model.block import WIDTH
from dse.model.scratch import block
from dse.numeric import Flags, Floats, Indices


class PopulationSampler:
    """Draws candidates of the searches on several pieces of hardware.

    Args:
        hardware: H pieces of hardware.
        problem: what is mapped.
        spaces: the space on each hardware that is searched, by its number.
        coding: how vectors are read.
        seed: of all randomness.

    Attributes:
        rows: ``(S,)`` the hardware of each search.
    """

    def __init__(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        spaces: Dict[int, Mapspace],
        coding: Coding,
        seed: int,
    ) -> None:
        self.hardware = hardware
        self.rows: Indices = np.fromiter(spaces, np.intp, len(spaces))
        self.genome = Genome(list(spaces.values()), coding)
        kept = (self.genome.arrays.keep != 0).any(axis=0)
        self._plan = make_plan(problem, kept, a.HEAD)
        self._machines = self.rows.astype(np.int32)
        self._seed = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
        self._drawn = 0
        self._fitting = 1.0
        self._scratch = self._vectors()

    def __len__(self) -> int:
        return len(self.rows)

    def draw(
        self, strategies: Strategies, own: Indices, rounds: int, shrink_from: int
    ) -> tuple[Floats, MappingBatch, Flags]:
        """Draw a generation.

        The random numbers behind flags are the same for all searches. So these agree on what is
        kept where as far as they can; the evaluator takes mappings that keep the same together.

        Args:
            strategies: of the searches ``own``.
            own: ``(S,)`` which searches go on.
            rounds: how often at most candidates that do not fit are drawn.
            shrink_from: round from which tiles of what does not fit shrink until it does.

        Returns:
            Vectors ``(S, P, n)``, their mappings (search by search), and which of them fit.
        """
        searches, count, n = len(own), strategies.population, len(self.genome)
        # so many that mostly one round is enough
        first = min(int(np.ceil(count / max(self._fitting, 0.25))), 4 * count)
        if min(rounds, shrink_from) == 1:
            first = count
        batch = self.genome.empty_batch(searches * count)
        to = Generation(
            x=np.empty((searches * count, n)),
            mapping=a.mapping_arrays(batch),
            ok=np.empty(searches * count, np.bool_),
            found=np.empty(searches, np.int64),
            fits=np.empty(searches, np.int64),
            tried=np.empty(searches, np.int64),
            again=np.empty(searches * count, np.int64),
        )
        normals = Normals(*strategies.distribution(), self._seed, self._drawn)
        levels, dimensions, _ = batch.temporal.shape
        tensors, ranks, _ = self._plan.projection.shape
        lanes, prices, _ = block(levels, dimensions, tensors, ranks)
        lanes.temporal_used[:] = self.genome.temporal_used
        lanes.spatial_used[:] = self.genome.spatial_used
        self._drawn += draw_into(
            *(self.genome.arrays, normals, self._scratch, own, self.hardware.arrays),
            *(self._machines[own], self._plan, lanes, prices, to),
            *(first, rounds, shrink_from),
        )
        self._fitting += 0.2 * (float((to.fits / to.tried).sum()) / searches - self._fitting)
        return to.x.reshape(searches, count, n), batch, to.ok.reshape(searches, count)

    def _vectors(self) -> Vectors:
        """Return memory for a block of vectors."""
        n = len(self.genome)
        keep = self.genome.empty_batch(1).keep
        return Vectors(
            x=np.empty((n, WIDTH)),
            ok=np.empty(WIDTH, np.bool_),
            keep=np.repeat(keep, WIDTH if self.genome.arrays.keeps_vary else 1, axis=2),
            row=np.empty(WIDTH, np.int64),
            place=np.empty(WIDTH, np.int64),
            own=np.empty(WIDTH, np.int64),
            machine=np.empty(WIDTH, np.int32),
            seed=np.empty(WIDTH, np.uint64),
            shared=np.empty(WIDTH, np.uint64),
            bits=np.empty(WIDTH, np.uint64),
            node=np.empty(WIDTH, np.int64),
            tiles=np.empty(WIDTH),
            array=np.empty(WIDTH),
            tried=np.empty((2, WIDTH)),
            rank=np.empty(len(self.genome.temporal_used[0]), np.int64),
            z=np.empty(n),
        )
