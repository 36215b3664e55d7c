"""Boxes bounded without a search: what the layers that cost most come to at least in their parts.

Where layers have many ways to keep and bypass tensors each search takes seconds, and says little
of much hardware at once; what spatial factors, prices and words of the tensors leave to do is known
in a fraction of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dse.cosearch.boxes import Box, HardwareBoxes
from dse.cosearch.branching import Branching
from dse.cosearch.corner import corner_of
from dse.cosearch.layer_bounds import LayerBounds
from dse.cosearch.lines import Branch
from dse.domain.architecture import Architecture
from dse.space.variable import Values

#: A box, and what nothing of it lies below.
Bounded = tuple[float, Branch]


class Outlining:
    """Bounds boxes, and parts them where that raises the bound most.

    Args:
        hardware: the boxes' hardware.
        branching: says how a box may be parted.
        bounds: of each network's layers.
        needed: multipliers whose lines the objective needs.
        least: the bound that a box's lines make.
    """

    def __init__(
        self,
        hardware: HardwareBoxes,
        branching: Branching,
        bounds: Sequence[LayerBounds],
        needed: Sequence[float],
        least: Callable[[Branch], float],
    ) -> None:
        self._hardware, self._branching, self._bounds = hardware, branching, bounds
        self._needed, self._least = needed, least

    def raise_lines(
        self, node: Branch, corner: Architecture, ratios: Sequence[float | None]
    ) -> None:
        """Add what all layers come to at least on a box's corner to its lines.

        Args:
            node: the box.
            corner: its most generous hardware.
            ratios: energy over cycles of each network, in pJ a cycle, near which lines are wanted;
                None: unknown.
        """
        for lines, bounds, ratio in zip(node.lines, self._bounds, ratios, strict=True):
            lines.rise(bounds.outline(corner, self._needed, ratio))

    def parts(
        self, node: Branch, value: float, likely: Values | None, *, frames_only: bool
    ) -> list[Bounded]:
        """Return the parts of a box, whose lines have been raised, with their bounds.

        Args:
            node: the box.
            value: its bound; that of a part is no less.
            likely: the hardware of the best design so far; None: there is none.
            frames_only: whether sizes are left as they are, while there are several frames.
        """
        frame = None if likely is None else self._hardware.frame_of(likely)
        best: list[Bounded] | None = None
        for parts in self._branching.coarse(node.box, frame):
            if frames_only and parts[0].frames == node.box.frames > 1:
                continue
            tight = [self._hardware.within_budget(part) for part in parts]
            found = [self._bounded(node, part, value) for part in tight if part is not None]
            if best is None or _promise(found) > _promise(best):
                best = found
        if best is None:
            raise AssertionError("a box of one frame and one size has no parts")
        return best

    def _bounded(self, node: Branch, box: Box, value: float) -> Bounded:
        part = node.part(box, all_sizes=node.all_sizes and box.frames < node.box.frames)
        corner = corner_of(self._hardware, box)
        for lines, bounds in zip(part.lines, self._bounds, strict=True):
            lines.rise(bounds.outline_part(corner))
        return max(value, self._least(part)), part


def _promise(parts: Sequence[Bounded]) -> tuple[float, float]:
    """Return the least bound of some parts, then the largest; of none: infinite."""
    bounds = [bound for bound, _ in parts]
    return min(bounds, default=math.inf), max(bounds, default=math.inf)
