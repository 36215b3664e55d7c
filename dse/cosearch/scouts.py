"""When a proof asks its scout for designs: where the gap is wide, and while that brings some."""

from __future__ import annotations

from collections.abc import Callable

from dse.goals.design import Design

#: Samples of the scout at a time.
_SCOUTED = 500
#: Nodes from one call to the next, where the last one brought nothing better.
_APART = 2

ScoutFor = Callable[[int], Design | None]


class PacedScout:
    """Asks a scout at every node, at every other one while it brings nothing better.

    Args:
        scout: searches designs: goes on for so many samples, and returns the best one so far; None:
            nothing does.
    """

    def __init__(self, scout: ScoutFor | None) -> None:
        self._scout = scout
        self._apart, self._passed = 1, 0

    def is_due(self) -> bool:
        """Count a node; return whether the scout is to be asked."""
        self._passed += 1
        return self._scout is not None and self._passed >= self._apart

    def ask(self) -> Design | None:
        """Return the best design so far; None: there is none."""
        self._passed = 0
        return None if self._scout is None else self._scout(_SCOUTED)

    def tell(self, *, is_better: bool) -> None:
        """Tell whether what it returned was better than what was known."""
        self._apart = 1 if is_better else _APART
