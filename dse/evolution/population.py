"""Generations of mappings: drawn, read, made to fit, for many searches in one call."""

from __future__ import annotations

from collections.abc import Mapping as Dict

import numpy as np

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evolution.decode import build_into
from dse.evolution.genome import Coding, Genome
from dse.evolution.strategy import Strategies
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.model.batch import make_plan
from dse.model.block import FEW, NARROW, WIDTH
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
        self._rng = np.random.default_rng(seed)
        self._fitting = 1.0

    def __len__(self) -> int:
        return len(self.rows)

    def draw(
        self, strategies: Strategies, own: Indices, repair: bool, rounds: int
    ) -> tuple[Floats, MappingBatch, Flags]:
        """Draw a generation.

        Args:
            strategies: of the searches ``own``.
            own: ``(S,)`` which searches go on.
            repair: whether tiles that do not fit shrink; else they do in the last round only.
            rounds: how often at most candidates that do not fit are drawn.

        Returns:
            Vectors ``(S, P, n)``, their mappings (search by search), and which of them fit.
        """
        searches, count, n = len(own), strategies.population, len(self.genome)
        # so many that mostly one round is enough
        drawn = min(int(np.ceil(count / max(self._fitting, 0.25))), 4 * count)
        x = strategies.sample(self._normal(searches, drawn))
        mappings, ok = self._read(x.reshape(-1, n), np.repeat(own, drawn), repair or rounds == 1)
        if not repair:
            self._fitting += 0.2 * (ok.mean() - self._fitting)
        if drawn > count:
            first = np.argsort(~ok.reshape(searches, drawn), axis=1, kind="stable")[:, :count]
            x = np.take_along_axis(x, first[:, :, None], axis=1)
            chosen = (first + drawn * np.arange(searches)[:, None]).reshape(-1)
            mappings, ok = mappings.take(chosen), ok[chosen]
        flat, machines = x.reshape(-1, n), np.repeat(own, count)
        for round_ in range(2, rounds + 1):
            again = np.flatnonzero(~ok)
            if not again.size:
                break
            z = self._normal(1, again.size)[0][:, None]
            redrawn = strategies.sample(z, again // count)[:, 0]
            redone, fits = self._read(redrawn, machines[again], repair or round_ == rounds)
            flat[again] = redrawn
            _replace(mappings, again[fits], redone, np.flatnonzero(fits))
            ok[again] = fits
        return x, mappings, ok.reshape(searches, count)

    def _normal(self, searches: int, count: int) -> Floats:
        """Draw ``(S, P, n)`` standard normals, those of flags the same for all searches.

        So searches agree on what is kept where as far as they can; the evaluator takes mappings
        that keep the same together.
        """
        z = self._rng.standard_normal((searches, count, len(self.genome)))
        numbers = len(self.genome) - self.genome.flags
        z[:, :, numbers:] = z[:1, :, numbers:]
        return z

    def _read(self, x: Floats, own: Indices, repair: bool) -> tuple[MappingBatch, Flags]:
        g = self.genome
        batch = g.empty_batch(len(x))
        ok = np.empty(len(x), np.bool_)
        levels, dimensions, _ = batch.temporal.shape
        width = WIDTH if len(x) > FEW else NARROW
        tensors, ranks, _ = self._plan.projection.shape
        lanes, prices, _ = block(levels, dimensions, tensors, ranks, width=width)
        lanes.temporal_used[:], lanes.spatial_used[:] = g.temporal_used, g.spatial_used
        keep = np.zeros((levels, tensors, width if g.arrays.keeps_vary else 1), np.bool_)
        build_into(
            g.arrays, x, own.astype(np.int32), self.hardware.arrays,
            self.rows[own].astype(np.int32), self._plan, lanes, prices, keep,
            np.empty((3, width)), np.empty(dimensions), a.mapping_arrays(batch), ok, repair,
        )  # fmt: skip
        return batch, ok


def _replace(to: MappingBatch, at: Indices, source: MappingBatch, index: Indices) -> None:
    """Write some mappings of a batch over some of another."""
    for name in ("temporal", "spatial", "permutation", "spatial_permutation", "split", "keep"):
        array, new = getattr(to, name), getattr(source, name)
        if array.shape[-1] == len(to):
            array[..., at] = new[..., index] if new.shape[-1] > 1 or len(source) == 1 else new
