"""Classes of sizes: what is found by classes has an axis for every level whose sizes are open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.domain.architecture import HardwareArrays
from dse.mappers.exact.tables import Tables
from dse.model import rules
from dse.numeric import Floats, Ints

#: Columns of the prices of a class.
READ, FILL, UPDATE, LEAK = range(4)


@dataclass(frozen=True, eq=False)
class SizeClasses:
    """The sizes of one level, in growing ranges, some of which are open.

    What is not open is there so that much that is found once serves all choices of open ones.

    Attributes:
        level: whose sizes these are.
        words: ``(P,)`` that tiles may use of the largest size of each.
        price_pj: ``(P, 4)`` the least of each, per vector access: read, fill, update; leakage per
            cycle.
        begin, end: the open ones, the last exclusive.
    """

    level: int
    words: Ints
    price_pj: Floats
    begin: int
    end: int

    @property
    def count(self) -> int:
        """How many are open."""
        return self.end - self.begin

    @property
    def open_pj(self) -> Floats:
        """Prices of the open ones ``(count, 4)``."""
        return self.price_pj[self.begin : self.end]


class ClassAxes:
    """Prices and room of all levels of some hardware, by classes.

    Args:
        t: of the hardware.
        hardware: the same, of one piece.
        classes: of the levels whose sizes are open.
    """

    def __init__(self, t: Tables, hardware: HardwareArrays, classes: Sequence[SizeClasses]) -> None:
        self._t, self._hardware = t, hardware
        self.classes = tuple(classes)
        self._axis = {one.level: axis for axis, one in enumerate(classes)}

    @property
    def shape(self) -> tuple[int, ...]:
        """How many classes each level has."""
        return tuple(len(one.words) for one in self.classes)

    def along(self, level: int, values: Floats) -> Floats:
        """Return values of a level's classes along its axis."""
        place = [1] * len(self.classes)
        place[self._axis[level]] = len(values)
        found: Floats = values.reshape(place)
        return found

    def price(self, s: int, kind: int, *, opened: bool = False) -> Floats:
        """Return the price of a level's accesses in pJ, by all classes, or by open ones."""
        if s in self._axis:
            own = self.classes[self._axis[s]]
            return self.along(s, (own.open_pj if opened else own.price_pj)[:, kind])
        t = self._t
        return np.full_like(self.none(), (t.read_pj, t.fill_pj, t.update_pj)[kind][s])

    def room(self, s: int) -> Floats:
        """Return the words that tiles may use of a level, by classes."""
        if s in self._axis:
            return self.along(s, self.classes[self._axis[s]].words.astype(np.float64))
        size = int(self._hardware.size_words[s, 0])
        buffering = self._hardware.multiple_buffering[s, 0]
        return self.none() + (math.inf if size < 0 else rules.usable_words(size, buffering))

    def none(self) -> Floats:
        """Return zero, which depends on no class."""
        return np.zeros((1,) * len(self.classes))

    def opened(self, values: Floats) -> Floats:
        """Return values by open classes, of those by all."""
        own = zip(values.shape, self.classes, strict=True)
        found: Floats = values[tuple(slice(c.begin, c.end) if n > 1 else slice(n) for n, c in own)]
        return found
