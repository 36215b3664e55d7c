"""What the constraints of an architecture let mappings do, read for the second time.

Written from what :mod:`dse.domain.constraints` says, not from :mod:`dse.mapspace`, which the
searches go by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.certify.verdict import NotCoveredError
from dse.domain.architecture import Architecture
from dse.domain.constraints import LevelConstraint, LoopConstraint, for_problem
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem

Flags = npt.NDArray[np.bool_]

#: What a level does with a tensor.
BYPASS, KEEP, EITHER = range(3)
X, Y = 0, 1
DIRECTIVES = ("no_temporal_reuse", "no_multicast", "no_link_transfer")
_UNLIMITED = 1 << 62
_FREE = LevelConstraint()


@dataclass(frozen=True)
class Place:
    """Where a factor of a dimension may stand.

    Attributes:
        level: counted from the inside.
        axes: along which it runs in space; empty: in time.
        most: the largest factor.
        fixed: the only factor; 0: there are others.
        least: the smallest factor.
    """

    level: int
    axes: tuple[int, ...]
    most: int
    fixed: int
    least: int

    def takes(self, factor: int) -> bool:
        """Whether a factor may stand here."""
        return self.least <= factor <= self.most and self.fixed in (0, factor)


class Places:
    """The mappings of a problem that an architecture admits.

    Attributes:
        places: of each dimension, from the inside out.
        listed: of each level, the dimensions whose loops are innermost, in this order; those of
            all others run outside of them in any order.
        suffix: of each level, the dimensions whose loops are outermost, in this order.
        spatial_order: of each level, all dimensions as loops in space stand, innermost first.
        keep: ``(L, T)`` BYPASS, KEEP or EITHER.
        directives: ``no_temporal_reuse``, ``no_multicast``, ``no_link_transfer``, ``(L, T)`` each.
    """

    def __init__(self, problem: Problem, architecture: Architecture) -> None:
        self.problem, self.architecture = problem, architecture
        given = for_problem(architecture.constraints or {}, problem)
        self._levels = [given.get(level.name, _FREE) for level in architecture.levels]
        if any(level.min_parallelism > 0 for level in self._levels):
            raise NotCoveredError("the constraints ask for a least parallelism")
        if self._levels[-1].bypass and self._levels[-1].onchip == "whole":
            raise NotCoveredError(
                f"{self._levels[-1].bypass[0]} bypasses {architecture.levels[-1].name}, and is to "
                "be held on chip as a whole"
            )
        names = list(problem.dimensions)
        self.places = tuple(tuple(self._places_of(name)) for name in names)
        self.listed = tuple(
            tuple(names.index(d) for d in level.temporal.permutation or ())
            for level in self._levels
        )
        self.suffix = tuple(
            tuple(names.index(d) for d in level.temporal.suffix) for level in self._levels
        )
        self.spatial_order = tuple(self._in_space(level.spatial) for level in self._levels)
        self.keep = self._keeps()
        self.directives = tuple(
            np.array(
                [[t in getattr(level, key) for t in problem.tensors] for level in self._levels],
                np.bool_,
            )
            for key in DIRECTIVES
        )

    def _in_space(self, loops: LoopConstraint) -> tuple[int, ...]:
        names = self.problem.dimensions
        first, last = loops.permutation or (), loops.suffix
        middle = (name for name in names if name not in first and name not in last)
        return tuple(names.index(name) for name in (*first, *middle, *last))

    def _places_of(self, name: str) -> list[Place]:
        found = []
        for s, level in enumerate(self._levels):
            fanout = self.architecture.fanout(s)
            spatial = level.spatial
            axes = tuple(
                axis
                for axis, listed in ((X, spatial.x), (Y, spatial.y))
                if fanout[axis] > 1 and (listed is None or name in listed)
            )
            reach = max((fanout[axis] for axis in axes), default=1)
            if axes or name in spatial.factors or name in spatial.min_factors:
                found += self._place(name, s, axes or (X,), reach, spatial)
            found += self._place(name, s, (), _UNLIMITED, level.temporal)
        return found

    def _place(
        self, name: str, s: int, axes: tuple[int, ...], reach: int, loops: LoopConstraint
    ) -> list[Place]:
        most = min(reach, loops.max_factors.get(name, _UNLIMITED))
        least = loops.min_factors.get(name, 1)
        if name in loops.factors:
            fixed = loops.factors[name] or self.problem.bounds[name]
            return [Place(s, axes, most, fixed, least)]
        if loops.dimensions is not None and name not in loops.dimensions:
            most = 1
        return [Place(s, axes, most, 0, least)] if most > 1 or least > 1 else []

    def _keeps(self) -> npt.NDArray[np.int8]:
        tensors = self.problem.tensors
        keep = np.full((len(self._levels), len(tensors)), EITHER, np.int8)
        keep[-1] = KEEP
        for s, level in enumerate(self._levels):
            for t, name in enumerate(tensors):
                if name in level.keep:
                    keep[s, t] = KEEP
                if name in level.bypass:
                    keep[s, t] = BYPASS
        return keep

    def why_not(self, mapping: Mapping) -> str | None:
        """Return what the constraints have against a mapping; None: nothing.

        Whether it fits the buffers is the model's to say.
        """
        problem, levels = self.problem, self.architecture.levels
        for d, name in enumerate(problem.dimensions):
            product = int(mapping.temporal[:, d].astype(object).prod())
            product *= int(mapping.spatial[:, d].astype(object).prod())
            if product != problem.bounds[name]:
                return f"factors of {name} multiply to {product}, not {problem.bounds[name]}"
            found = self._misplaced(mapping, d)
            if found is not None:
                return found
        for s, level in enumerate(levels):
            found = self._crowded(mapping, s) or self._disordered(mapping, s)
            if found is not None:
                return f"level '{level.name}': {found}"
        spread = np.array([max(self.architecture.fanout(s)) > 1 for s in range(len(levels))])
        for key, wanted in zip(DIRECTIVES, self.directives, strict=True):
            # without a fan-out there is nothing that two of them could change
            matters = spread[:, None] | (key == "no_temporal_reuse")
            if ((getattr(mapping, key) != wanted) & matters).any():
                return f"{key} differs from the template's"
        wrong = (self.keep != EITHER) & (mapping.keep != (self.keep == KEEP))
        if wrong.any():
            s, t = (int(i[0]) for i in np.nonzero(wrong))
            return (
                f"level '{levels[s].name}' does not {('bypass', 'keep')[self.keep[s, t]]} "
                + (problem.tensors[t])
            )
        return None

    def _misplaced(self, mapping: Mapping, d: int) -> str | None:
        """Return which factor of a dimension may not stand where it does."""
        name = self.problem.dimensions[d]
        for s, level in enumerate(self.architecture.levels):
            for kind, factor in (
                ("temporal", mapping.temporal[s, d]),
                ("spatial", mapping.spatial[s, d]),
            ):
                spatial = kind == "spatial"
                place = next(
                    (p for p in self.places[d] if p.level == s and bool(p.axes) == spatial), None
                )
                where = f"level '{level.name}': {kind} factor {name}={factor}"
                if place is None:
                    if factor != 1:
                        return f"{where} is not allowed"
                    continue
                if not place.takes(int(factor)):
                    limits = f"at least {place.least}" if place.least > 1 else ""
                    limits += f"{' and ' if limits else ''}at most {place.most}"
                    return f"{where}, expected {place.fixed or limits}"
                if spatial and factor > 1 and _axis(mapping, s, d) not in place.axes:
                    return f"{where} runs along the wrong axis"
        return None

    def _crowded(self, mapping: Mapping, s: int) -> str | None:
        """Return along which axis a level fans out too far."""
        reach = self.architecture.fanout(s)
        used = [1, 1]
        for d in range(len(self.problem.dimensions)):
            used[_axis(mapping, s, d)] *= int(mapping.spatial[s, d])
        for axis in (X, Y):
            if used[axis] > reach[axis]:
                return f"fans out to {used[axis]} along {'XY'[axis]}, there are {reach[axis]}"
        return None

    def _disordered(self, mapping: Mapping, s: int) -> str | None:
        """Return whether loops stand in an order that the level does not admit."""
        listed = self.listed[s]
        loops = [int(d) for d in mapping.permutation[s] if mapping.temporal[s, d] > 1]
        inner = [d for d in listed if d in loops]
        if loops[: len(inner)] != inner:
            return "its loops stand in another order than its permutation says"
        outer = [d for d in self.suffix[s] if d in loops]
        if outer and loops[-len(outer) :] != outer:
            return "its outermost loops are others than the suffix of its permutation"
        order = self.spatial_order[s]
        spatial = [int(d) for d in mapping.spatial_permutation[s] if mapping.spatial[s, d] > 1]
        for axis in (X, Y):
            own = [d for d in spatial if _axis(mapping, s, d) == axis]
            # a dimension that may run along either axis has no place of its own in the order
            bound = [d for d in own if not self._either(s, d)]
            if bound != [d for d in order if d in bound]:
                return "its loops in space stand in another order than its permutation says"
        return None

    def _either(self, s: int, d: int) -> bool:
        return any(p.level == s and len(p.axes) == 2 for p in self.places[d])


def _axis(mapping: Mapping, s: int, d: int) -> int:
    """Return the axis along which a dimension runs in space below a level."""
    place = int(np.flatnonzero(mapping.spatial_permutation[s] == d)[0])
    return X if place < mapping.split[s] else Y
