"""When a proof asks its scout for designs: where the gap is wide, and while that brings some."""

from __future__ import annotations

from collections.abc import Callable

from dse.goals.design import Design

#: Samples of the scout at a time, and where each box takes long.
_SCOUTED, _SCOUTED_MORE = 500, 2000
#: Nodes from one call to the next at most, where the last ones brought nothing better; and where
#: each box takes long: twice as many each time.
_APART, _FAR_APART = 2, 32

ScoutFor = Callable[[int], Design | None]


class PacedScout:
    """Asks a scout at every node, the less often the longer it brings nothing better.

    Args:
        scout: searches designs: goes on for so many samples, and returns the best one so far; None:
            nothing does.
    """

    def __init__(self, scout: ScoutFor | None) -> None:
        self._scout = scout
        self._apart, self._passed = 1, 0
        self._samples, self._most = _SCOUTED, _APART

    def take_time(self) -> None:
        """Ask for more at a time from now on, and less often: boxes take long, too."""
        self._samples, self._most = _SCOUTED_MORE, _FAR_APART

    def is_due(self) -> bool:
        """Count a node; return whether the scout is to be asked."""
        self._passed += 1
        return self._scout is not None and self._passed >= self._apart

    def ask(self) -> Design | None:
        """Return the best design so far; None: there is none."""
        self._passed = 0
        return None if self._scout is None else self._scout(self._samples)

    def tell(self, *, is_better: bool, is_new: bool) -> None:
        """Tell about what it returned.

        Args:
            is_better: than what was known.
            is_new: hardware that it had not returned before; counts where boxes take long.
        """
        went_on = is_better or (is_new and self._most == _FAR_APART)
        self._apart = max(self._apart // 2, 1) if went_on else min(2 * self._apart, self._most)
