"""The lines that bound a box: what it was told, what that comes to, and what to ask for next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from dse.cosearch.boxes import Box
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.hull import PRODUCT
from dse.cosearch.layer_bounds import Support, between
from dse.cosearch.polygon import Corner, least_corner

#: Factor between the multipliers of neighbouring lines of a box.
_BESIDE = 2.0


class _Told(NamedTuple):
    """A support, and whether it is the box's own or that of a larger one."""

    support: Support
    own: bool


class Lines:
    """The supports of a box, its own and those of the box that it is part of.

    Args:
        goal: what is minimised.
        inherited: supports of a larger box.
        floors: by multiplier, what any mappings come to, whatever the supports say.
    """

    def __init__(
        self,
        goal: CoSearchGoal,
        inherited: Iterable[Support] = (),
        floors: Mapping[float, float] | None = None,
    ) -> None:
        self._goal = goal
        self._lines = {s.multiplier: _Told(s, own=False) for s in inherited}
        self._floors = dict(floors or {})

    def handed_on(self) -> Lines:
        """Return what a part of the box begins with."""
        return Lines(self._goal, self._supports, self._floors)

    def rise(self, floors: Mapping[float, float]) -> None:
        """Take what any mappings on the box come to."""
        for multiplier, least in floors.items():
            self._floors[multiplier] = max(least, self._floors.get(multiplier, 0.0))

    def of(self, multiplier: float) -> Support | None:
        """Return the support of a multiplier, where it is known."""
        line = self._lines.get(multiplier)
        return None if line is None else line.support

    def take(self, support: Support) -> None:
        """Take a support of the box itself; where a larger box's says more, that stands."""
        before = self.of(support.multiplier)
        if before is not None and before.least > support.least:
            support = replace(support, least=before.least)
        self._lines[support.multiplier] = _Told(support, own=True)

    @property
    def value(self) -> float:
        """The least that mappings may come to; 0 while the lines are too few."""
        return self._corner.value

    @property
    def telling(self) -> Support | None:
        """A support of the box itself, between the extremes where there is one; None: no line."""
        own = [line.support for line in self._lines.values() if line.own]
        inner = [s for s in own if s.multiplier not in (0.0, math.inf)]
        return next(iter([*inner, *reversed(own), *self._supports]), None)

    @property
    def _corner(self) -> Corner:
        least = {m: line.support.least for m, line in self._lines.items()}
        for multiplier, floor in self._floors.items():
            least[multiplier] = max(floor, least.get(multiplier, 0.0))
        return least_corner(least, self._goal)

    @property
    def _supports(self) -> list[Support]:
        return [line.support for line in self._lines.values()]

    def wanted(self, ratio: float | None, *, single: bool, extremes: bool = True) -> float | None:
        """Return the multiplier to ask for next; None: no other helps.

        Args:
            ratio: energy over cycles of the incumbent; None where there is none.
            single: whether the box is one piece of hardware, of which new lines are asked for until
                a choice of mappings comes to the bound.
            extremes: whether lines that only end the ones that say what a product is worth are
                asked for before those; else last.
        """
        goal = self._goal
        missing = [m for m in goal.needed if m not in self._lines]
        for multiplier in missing:
            if extremes or not self.is_extreme(multiplier):
                return multiplier
        if goal.mode == PRODUCT:
            if ratio is None:
                ratio = self._least_of(0.0) / max(self._least_of(math.inf), 1.0)
            if not ratio > 0.0:
                return next(iter(missing), None)
            inner = [multiplier for multiplier in self._lines if multiplier not in goal.needed]
            if not inner:
                return ratio
            if not any(self._lines[multiplier].own for multiplier in inner):
                # the line through the incumbent, or what is next to it
                return min(inner, key=lambda multiplier: abs(math.log(multiplier / ratio)))
        if goal.mode != PRODUCT and not goal.planes:
            (only,) = goal.needed
            return None if self._lines[only].own else only
        corner = self._corner
        inherited = [
            end
            for end in (corner.left, corner.right)
            if end in self._lines and not self._lines[end].own
        ]
        if goal.mode == PRODUCT and not goal.planes and not single:
            # the extremes take the longest and say least: those of larger boxes are enough
            inherited = [end for end in inherited if not self.is_extreme(end)]
        # they are forgiven, too: lines between cut their corners off
        inner = [end for end in inherited if not self.is_extreme(end)]
        if inner:
            return inner[0]
        if single:
            # where no search was asked yet, floors are all there is
            for end in (corner.left, corner.right):
                if end not in self._lines and not self.is_extreme(end):
                    return end
        known = corner.left in self._lines and corner.right in self._lines
        if known and (single or goal.planes):
            found = self._between(corner)
        else:
            found = self._beside(corner)
        if found is None and single:
            found = next(iter(missing), None)
        return found if found is not None else next(iter(inherited), None)

    def _least_of(self, multiplier: float) -> float:
        line = self.of(multiplier)
        return max(self._floors.get(multiplier, 0.0), 0.0 if line is None else line.least)

    def is_extreme(self, multiplier: float) -> bool:
        """Whether a line only ends the ones that say what a product is worth."""
        return self._goal.mode == PRODUCT and multiplier in self._goal.needed

    def _beside(self, corner: Corner) -> float | None:
        """Return a multiplier near the inner line that meets an extreme at a corner."""
        if self.is_extreme(corner.left) == self.is_extreme(corner.right):
            return None
        wanted = corner.right / _BESIDE if self.is_extreme(corner.left) else corner.left * _BESIDE
        return None if wanted in self._lines else wanted

    def _between(self, corner: Corner) -> float | None:
        """Return the multiplier that tells more of what lies around a corner; None: none does."""
        known = sorted(self._lines)
        left, right = (self._lines[m].support for m in (corner.left, corner.right))
        if left is right:
            # a limit cuts the line: go on at the side of it that its own point is not on
            place = known.index(corner.left)
            if left.cycles > corner.cycles:
                right = self._lines[known[min(place + 1, len(known) - 1)]].support
            else:
                left = self._lines[known[max(place - 1, 0)]].support
        return between(left, right)


@dataclass(frozen=True)
class Branch:
    """A box, the lines of each network, and whether it has all sizes of its frames."""

    box: Box
    lines: tuple[Lines, ...]
    all_sizes: bool = True

    def part(self, box: Box, *, all_sizes: bool) -> Branch:
        """Return a part of the box, which begins with its lines."""
        return Branch(box, tuple(own.handed_on() for own in self.lines), all_sizes)
