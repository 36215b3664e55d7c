"""The lines that bound a box: what it was told, what that comes to, and what to ask for next."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from dse.cosearch.hull import DELAY, ENERGY, PRODUCT
from dse.cosearch.layer_bounds import Support
from dse.cosearch.polygon import between, least_corner

#: The multipliers that a bound cannot do without, in the order in which they are asked for.
_NEEDED = {PRODUCT: (math.inf, 0.0), ENERGY: (0.0,), DELAY: (math.inf,)}


class _Told(NamedTuple):
    """A support, and whether it is the box's own or that of a larger one."""

    support: Support
    own: bool


class Lines:
    """The supports of a box, its own and those of the box that it is part of.

    Args:
        mode: what is minimised, of :mod:`dse.cosearch.hull`.
        inherited: supports of a larger box.
    """

    def __init__(self, mode: int, inherited: Iterable[Support] = ()) -> None:
        self._mode = mode
        self._lines = {s.multiplier: _Told(s, own=False) for s in inherited}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def handed_on(self) -> Lines:
        """Return what a part of the box begins with."""
        return Lines(self._mode, self._supports)

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
        """The least value that the lines allow; 0 while they are too few."""
        needed = _NEEDED[self._mode]
        if any(multiplier not in self._lines for multiplier in needed):
            return 0.0
        if self._mode == PRODUCT:
            return least_corner(self._supports).value
        return self._lines[needed[0]].support.least

    @property
    def telling(self) -> Support:
        """A support of the box itself, between the extremes where there is one."""
        own = [line.support for line in self._lines.values() if line.own]
        inner = [s for s in own if s.multiplier not in (0.0, math.inf)]
        return [*inner, *reversed(own), *self._supports][0]

    @property
    def _supports(self) -> list[Support]:
        return [line.support for line in self._lines.values()]

    def wanted(self, ratio: float | None, *, single: bool) -> float | None:
        """Return the multiplier to ask for next; None: no other helps.

        Args:
            ratio: energy over cycles of the incumbent; None where there is none.
            single: whether the box is one piece of hardware, of which new lines are asked for until
                a choice of mappings comes to the bound.
        """
        needed = _NEEDED[self._mode]
        for multiplier in needed:
            if multiplier not in self._lines:
                return multiplier
        if self._mode != PRODUCT:
            return None if self._lines[needed[0]].own else needed[0]
        if ratio is None:
            ratio = self._lines[0.0].support.least / self._lines[math.inf].support.least
        inner = [multiplier for multiplier in self._lines if multiplier not in needed]
        if not inner:
            return ratio
        if not any(self._lines[multiplier].own for multiplier in inner):
            # the line through the incumbent, or what is next to it
            return min(inner, key=lambda multiplier: abs(math.log(multiplier / ratio)))
        corner = least_corner(self._supports)
        ends = (self._lines[corner.left], self._lines[corner.right])
        for end in ends:
            if not end.own:
                return end.support.multiplier
        return between(ends[0].support, ends[1].support) if single else None
