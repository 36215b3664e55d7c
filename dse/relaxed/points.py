"""Relaxed mappings: real-valued factors, in the order in which the twin reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.mapspace.space import Mapspace
from dse.numeric import Floats
from dse.state.codec import State
from dse.state.entries import CheckedEntries

_SAVED = ("temporal", "spatial", "order", "along_y", "keep")


class Points(NamedTuple):
    """B relaxed mappings, each of one problem out of a list; **batch first**.

    D, T are the largest numbers of dimensions and tensors of the problems; what a problem has
    not is padded: factors of 1, tensors kept nowhere.

    Attributes:
        temporal, spatial: ``(B, L, D)`` factors, real numbers; those below 1 count as 1.
        order: ``(B, L, D)`` int8, temporal loop order, innermost first.
        along_y: ``(B, L, D)`` whether the dimension's spatial loop runs along Y.
        keep: ``(B, L, T)`` whether the level keeps the tensor.
        problem: ``(B,)`` int64, which problem each one maps.
    """

    temporal: Floats
    spatial: Floats
    order: npt.NDArray[np.int8]
    along_y: npt.NDArray[np.bool_]
    keep: npt.NDArray[np.bool_]
    problem: npt.NDArray[np.int64]

    def state_dict(self) -> dict[str, State]:
        """Return the points as plain data; the problems are those of the layers, in order."""
        return {name: getattr(self, name) for name in _SAVED}

    @classmethod
    def of_state(cls, entries: CheckedEntries, like: Points) -> Points:
        """Return points that :meth:`state_dict` gave, of the shapes and problems of others.

        Raises:
            SpecError: they are not that.
        """
        found = {
            name: entries.array(name, getattr(like, name).dtype, getattr(like, name).shape)
            for name in _SAVED
        }
        if (np.sort(found["order"], axis=2) != np.sort(like.order, axis=2)).any():
            entries.refuse("order", found["order"], "orders of all dimensions")
        return like._replace(**found)

    def take(self, index: npt.NDArray[np.intp]) -> Points:
        """Return the points at ``index`` as a copy."""
        return Points(
            self.temporal[index],
            self.spatial[index],
            self.order[index],
            self.along_y[index],
            self.keep[index],
            self.problem[index],
        )

    @classmethod
    def of(
        cls, mappings: Sequence[Mapping], problem: Sequence[int], problems: Sequence[Problem]
    ) -> Points:
        """Relax mappings.

        Args:
            mappings: B mappings, all on the same levels.
            problem: for each, the index of its problem.
            problems: all problems; they say how much padding is needed.
        """
        count, levels = len(mappings), mappings[0].temporal.shape[0]
        dimensions = max(len(p.dimensions) for p in problems)
        tensors = max(len(p.tensors) for p in problems)
        shape = (count, levels, dimensions)
        made = cls(
            np.ones(shape),
            np.ones(shape),
            np.tile(np.arange(dimensions, dtype=np.int8), (count, levels, 1)),
            np.zeros(shape, np.bool_),
            np.zeros((count, levels, tensors), np.bool_),
            np.array(problem, np.int64),
        )
        for b, m in enumerate(mappings):
            used, kept = m.temporal.shape[1], m.keep.shape[1]
            made.temporal[b, :, :used] = m.temporal
            made.spatial[b, :, :used] = m.spatial
            made.order[b, :, :used] = m.permutation
            made.keep[b, :, :kept] = m.keep
            for s in range(levels):
                made.along_y[b, s, m.spatial_permutation[s, m.split[s] :]] = True
        return made

    def mapping(self, b: int, space: Mapspace) -> Mapping:
        """Return point ``b``, whose factors are whole, as a mapping of its mapspace.

        Directives (multicast and the like) are the space's.
        """
        made = space.empty_batch(1)[0]
        dimensions, tensors = len(space.problem.dimensions), len(space.problem.tensors)
        made.temporal[...] = self.temporal[b, :, :dimensions]
        made.spatial[...] = self.spatial[b, :, :dimensions]
        made.permutation[...] = self.order[b, :, :dimensions]
        made.keep[...] = self.keep[b, :, :tensors]
        for s, base in enumerate(made.spatial_permutation):
            on_y = self.along_y[b, s, base]
            base[:] = np.concatenate([base[~on_y], base[on_y]])
            made.split[s] = (~on_y).sum()
        return made
