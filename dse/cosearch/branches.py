"""The open boxes of a search, and which of them comes next."""

from __future__ import annotations

import heapq
import itertools
import math

from dse.cosearch.lines import Branch

#: What part of the incumbent the bound has to reach for the search to go by bounds alone.
_WIDE = 0.9
#: Boxes from the end of a dive to the next at most.
_MOST_APART = 64


class OpenBranches:
    """Boxes that are not settled, each with a bound that nothing of it lies below.

    Attributes:
        plunges: whether the box taken last was a plunge.
        dives: whether plunges go from the box of the least bound to the part of it that was pushed
            to be followed, and so on; the less they bring the fewer there are.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Branch]] = []
        self._pushed = itertools.count()
        self._taken = 0
        #: number of the box that a dive goes to, and the cutoff when it began
        self._followed: int | None = None
        self._began = math.inf
        #: how many boxes are taken before the next dive, and how many since the last
        self._apart, self._since = 1, 0
        self.plunges = self.dives = False

    @property
    def least(self) -> float:
        """The least bound; infinite where nothing is open."""
        return self._heap[0][0] if self._heap else math.inf

    def push(self, bound: float, branch: Branch, *, follow: bool = False) -> None:
        """Add a box; say whether the next plunge is to go there."""
        number = next(self._pushed)
        heapq.heappush(self._heap, (bound, number, branch))
        if follow:
            self._followed = number

    def take(self, cutoff: float) -> tuple[float, Branch] | None:
        """Take the box of the least bound; every other time, where the gap is wide, a plunge.

        That is one of the fewest frames, all sizes of which are open: it leads to incumbents. As
        long as there is no incumbent, every box is a plunge.

        Args:
            cutoff: what a box must lie below, by the incumbent; infinite where there is none.

        Returns:
            The bound and the box; None where no box lies below the cutoff.
        """
        if self.least >= cutoff:
            return None
        self._taken += 1
        wide = 0.0 < self.least < _WIDE * cutoff
        if self.dives:
            return self._dive(cutoff, wide=wide)
        due = math.isinf(cutoff) or self._taken % 2 == 0
        plunges = [
            i
            for i, (bound, _, branch) in enumerate(self._heap)
            if wide and due and bound < cutoff and branch.all_sizes
        ]
        self.plunges = bool(plunges)
        if not plunges:
            bound, _, branch = heapq.heappop(self._heap)
            return bound, branch

        def promise(i: int) -> tuple[int, float, int]:
            """Of two halves of the frames the later one has more PEs."""
            bound, pushed, branch = self._heap[i]
            return branch.box.frames, bound, -pushed

        bound, _, branch = self._heap.pop(min(plunges, key=promise))
        heapq.heapify(self._heap)
        return bound, branch

    def _dive(self, cutoff: float, *, wide: bool) -> tuple[float, Branch]:
        """Take the next box of a dive, or the one of the least bound, with which one may begin."""
        place = next((i for i, one in enumerate(self._heap) if one[1] == self._followed), None)
        if place is not None and self._heap[place][0] < cutoff:
            bound, _, branch = self._heap.pop(place)
            heapq.heapify(self._heap)
            return bound, branch
        if self.plunges:
            # it has ended: those that brought nothing are rarer
            self._apart = 1 if cutoff < self._began else min(2 * self._apart, _MOST_APART)
            self._since = 0
        self._followed = None
        self._since += 1
        self.plunges = wide and self._since >= self._apart
        self._began = cutoff
        bound, _, branch = heapq.heappop(self._heap)
        return bound, branch
