"""The open boxes of a search, and which of them comes next."""

from __future__ import annotations

import heapq
import itertools
import math

from dse.cosearch.lines import Branch

#: What part of the incumbent the bound has to reach for the search to go by bounds alone.
_WIDE = 0.9


class OpenBranches:
    """Boxes that are not settled, each with a bound that nothing of it lies below.

    Attributes:
        plunges: whether the box taken last was a plunge.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Branch]] = []
        self._pushed = itertools.count()
        self._taken = 0
        self.plunges = False

    @property
    def least(self) -> float:
        """The least bound; infinite where nothing is open."""
        return self._heap[0][0] if self._heap else math.inf

    def push(self, bound: float, branch: Branch) -> None:
        """Add a box."""
        heapq.heappush(self._heap, (bound, next(self._pushed), branch))

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
        plunges: list[int] = []
        if 0.0 < self.least < _WIDE * cutoff and (math.isinf(cutoff) or self._taken % 2 == 0):
            plunges = [
                i
                for i, (bound, _, branch) in enumerate(self._heap)
                if bound < cutoff and branch.all_sizes
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
