"""Boxes bounded without a search: what their layers come to at least, for each choice of sizes.

Where layers have many ways to keep and bypass tensors each search takes seconds, and says little
of much hardware at once; what spatial factors, prices and words of the tensors leave to do is known
in a fraction of that. All layers run on one piece of hardware, so their sums are taken for each
choice of sizes by itself; what else the hardware of a box differs in, its corner stands for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.cosearch.boxes import Box, HardwareBoxes
from dse.cosearch.branching import Branching
from dse.cosearch.corner import corner_of
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.hull import DELAY, PRODUCT
from dse.cosearch.layer_bounds import LayerBounds
from dse.cosearch.lines import Branch
from dse.cosearch.polygon import least_products
from dse.cosearch.size_ranges import SizeRanges, ranges_of
from dse.domain.architecture import Architecture
from dse.mappers.exact.sized_floors import GridValues
from dse.numeric import Floats

#: Octaves of the energy over cycles of the best design, around which lines are wanted.
_OCTAVES = (-2.0, -1.0, -0.4, 0.0, 0.4, 1.0, 2.0)
#: Layers that are looked at on a part of a box: those that cost most.
_MOST_LOOKED_AT = 3

#: Geometric means differ by less than this, relatively, in another order.
_ROUNDING = 1e-12
#: How often what is as promising as the whole is parted at once.
_MOST_STEPS = 8
#: What a part's bound rises by counts between these.
_LEAST_RISE, _MOST_RISE = 1e-4, 1.0
#: Choices of sizes that differ by more than this part of the gap, and by more than that,
#: relatively, are parted before they are searched.
_WIDE, _ALIKE = 0.5, 0.03


@dataclass(frozen=True, eq=False)
class Outlined:
    """A box, and what is known of it without a search.

    Attributes:
        node: with the sizes that may hold something better than is known.
        value: nothing of it lies below.
        values: the same by choice of sizes; infinite where these are not wanted.
        place: the choice of sizes that comes to least.
        ranges: of the box's sizes.
        multipliers: of cycles, by network.
        least: by network ``(layers, multipliers)`` what the layers come to there.
    """

    node: Branch
    value: float
    values: Floats
    place: tuple[int, ...]
    ranges: SizeRanges
    multipliers: tuple[tuple[float, ...], ...]
    least: tuple[Floats, ...]

    @property
    def most(self) -> float:
        """What the wanted choice of sizes that costs most comes to."""
        return float(self.values[np.isfinite(self.values)].max())

    @property
    def spread(self) -> float:
        """By how much that is more than the least, relatively."""
        return _more(self.most, self.value)


def _more(value: float, than: float) -> float:
    """Return by how much a value is more than another, relatively; more than nothing: infinite."""
    if than > 0.0:
        return value / than - 1.0
    return math.inf if value > than else 0.0


def _promise(rises: Sequence[float]) -> float:
    """Return what it is worth to part a box whose parts rise so much, relatively."""
    bounded = [min(max(rise, _LEAST_RISE), _MOST_RISE) for rise in rises]
    return math.prod(bounded) ** (1.0 / len(bounded))


class Outlining:
    """Bounds boxes, and parts them where that raises the bound most.

    Args:
        hardware: the boxes' hardware.
        branching: says how a box may be parted.
        bounds: of each network's layers.
        goal: what is minimised.
    """

    def __init__(
        self,
        hardware: HardwareBoxes,
        branching: Branching,
        bounds: Sequence[LayerBounds],
        goal: CoSearchGoal,
    ) -> None:
        self._hardware, self._branching = hardware, branching
        self._bounds, self._goal = bounds, goal

    def outline(
        self, node: Branch, ratios: Sequence[float | None], area: float, cutoff: float
    ) -> Outlined | None:
        """Return what is known of a box, whose lines are raised; None: nothing better is in it.

        Args:
            node: the box.
            ratios: energy over cycles of each network, in pJ a cycle, near which lines are wanted;
                None: unknown.
            area: of the box at least, in um^2; 0 where areas do not matter.
            cutoff: what is worth looking for lies below.
        """
        ranges = ranges_of(self._hardware, node.box)
        if not ranges.able.any():
            return None
        corner = corner_of(self._hardware, node.box)
        multipliers = tuple(self._multipliers(corner, *own) for own in enumerate(ratios))
        found = [
            bounds.floors.sized(corner, ranges.classes, own, range(len(bounds.layers)))
            for bounds, own in zip(self._bounds, multipliers, strict=True)
        ]
        sums = [own.sum(axis=0) for own in found]
        values = self._values(multipliers, sums, area)
        values = np.where(ranges.able, values, math.inf)
        wanted = values < cutoff
        if not wanted.any():
            return None
        for lines, own, total in zip(node.lines, multipliers, sums, strict=True):
            least = (float(line[wanted].min()) for line in total)
            lines.rise(dict(zip(own, least, strict=True)))
        number = int(np.argmin(values))
        place = tuple(int(i) for i in np.unravel_index(number, values.shape))
        return Outlined(
            Branch(ranges.within(node.box, wanted), node.lines, node.all_sizes),
            float(values.min()),
            np.where(wanted, values, math.inf),
            place,
            ranges,
            multipliers,
            tuple(own.reshape(*own.shape[:2], -1)[:, :, number] for own in found),
        )

    def _multipliers(
        self, corner: Architecture, number: int, ratio: float | None
    ) -> tuple[float, ...]:
        """Return the multipliers whose lines are wanted of a network."""
        if ratio is None:
            floors = self._bounds[number].floors.least(corner)
            ratio = floors[0.0] / max(floors[math.inf], 1.0)
        near = [ratio * 2.0**octave for octave in _OCTAVES] if ratio > 0.0 else []
        return tuple(dict.fromkeys((0.0, math.inf, *self._goal.needed, *near)))

    def _values(
        self, multipliers: Sequence[Sequence[float]], sums: Sequence[Floats], area: float
    ) -> Floats:
        """Return what the objective comes to at least, for each choice of sizes."""
        goal = self._goal
        found = []
        for own, total in zip(multipliers, sums, strict=True):
            lines = dict(zip(own, total, strict=True))
            if goal.mode == PRODUCT:
                value = least_products(lines)
            else:
                value = lines[math.inf if goal.mode == DELAY else goal.leak_pj]
            known = np.isfinite(value)
            value = goal.scale * np.where(known, value, 0.0) * (area if goal.times_area else 1.0)
            found.append(np.where(known, value + goal.area_weight * area, math.inf))
        if len(found) == 1:
            return found[0]
        mean = np.exp(np.mean(np.log(np.maximum(found, 1e-300)), axis=0))
        return np.asarray(mean * (1.0 - _ROUNDING))

    def parts(self, outline: Outlined, area: float, cutoff: float) -> list[Branch]:
        """Return the parts of a box for which what is known rises most, the most promising first.

        None where all its hardware is much alike, as far as is known.

        Args:
            outline: of the box.
            area: of the box at least, in um^2; 0 where areas do not matter.
            cutoff: what is worth looking for lies below.
        """
        known = self._by_grid(outline) if outline.node.box.frames > 1 else []
        boxes: list[Box] = []
        left: Box | None = outline.node.box
        for _ in range(_MOST_STEPS):
            if left is None:
                break
            parts = self._parted(outline, left, known, area)
            if not parts:
                break
            # what is as promising as the whole is parted once more, without a look at it
            (rise, first), *others = parts
            boxes[:0] = [box for _, box in others]
            left = first if rise < _LEAST_RISE else None
            if left is None:
                boxes.insert(0, first)
        if left is not None and boxes:
            boxes.insert(0, left)
        if not boxes and outline.spread > max(_WIDE * _more(cutoff, outline.value), _ALIKE):
            boxes = self._parts_of_sizes(outline)
        node = outline.node
        return [node.part(box, all_sizes=node.all_sizes) for box in boxes]

    def _parted(
        self, outline: Outlined, box: Box, known: Sequence[dict[int, GridValues]], area: float
    ) -> list[tuple[float, Box]]:
        """Return the parts of a box by what it differs in that tells most, and what each rises.

        The one that rises least first; none where nothing tells.
        """
        best, found = _LEAST_RISE, list[tuple[float, Box]]()
        for parts in self._branching.coarse(box):
            tight = [self._hardware.within_budget(part) for part in parts]
            rises = [
                math.inf if one is None else self._rise(outline, one, known, area) for one in tight
            ]
            promise = _promise(rises)
            if promise > best * (1.0 + _ROUNDING):
                order = sorted(range(len(tight)), key=lambda i: rises[i])
                best = promise
                found = [(rises[i], one) for i in order if (one := tight[i]) is not None]
        return found

    def _parts_of_sizes(self, outline: Outlined) -> list[Box]:
        """Return a box in two by one of its sizes, so that as many choices as possible cost more.

        The part with the least choice comes first.
        """
        best, boxes = 0.0, list[Box]()
        values, box = outline.values, outline.node.box
        for v, first in enumerate(outline.ranges.first):
            least = np.moveaxis(values, v, 0).reshape(len(first), -1).min(axis=1)
            for cut in range(1, len(first)):
                low, middle, high = box.low[v], int(first[cut]), box.high[v]
                if not low < middle <= high:
                    continue
                halves = box.with_range(v, low, middle - 1), box.with_range(v, middle, high)
                below, above = float(least[:cut].min()), float(least[cut:].min())
                sides = sorted([(below, 0, cut), (above, 1, len(first) - cut)])
                others, place, count = sides[1]
                gain = (min(others, outline.most) - outline.value) * count / len(first)
                if gain > best:
                    best, boxes = gain, [halves[1 - place], halves[place]]
        return boxes

    def _by_grid(self, outline: Outlined) -> list[dict[int, GridValues]]:
        """Return what the layers of each network that cost most come to, by spatial factors."""
        corner = corner_of(self._hardware, outline.node.box)
        classes = outline.ranges.at(outline.place)
        found = []
        for bounds, own, least in zip(
            self._bounds, outline.multipliers, outline.least, strict=True
        ):
            cost = least[:, :2] / np.maximum(least[:, :2].sum(axis=0), 1.0)
            numbers = np.argsort(-cost.sum(axis=1), kind="stable")[:_MOST_LOOKED_AT].tolist()
            found.append(bounds.floors.by_grid(corner, classes, own, numbers))
        return found

    def _rise(
        self, outline: Outlined, box: Box, known: Sequence[dict[int, GridValues]], area: float
    ) -> float:
        """Return by how much more the least choice of sizes comes to in a part, relatively.

        As far as the spatial factors tell that it allows the layers that cost most.
        """
        corner = corner_of(self._hardware, box)
        sums = []
        for bounds, values, least in zip(self._bounds, known, outline.least, strict=True):
            layers = least.copy()
            for number, here in bounds.floors.among(corner, values).items():
                count = bounds.layers[number].count
                layers[number] = np.maximum(layers[number], count * here)
            sums.append(layers.sum(axis=0))
        return _more(float(self._values(outline.multipliers, sums, area)), outline.value)
