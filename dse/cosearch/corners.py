"""Co-search of any space with few frames: boxes of hardware, bounded by their corners.

A node is a box (`dse.cosearch.corner`): its most generous hardware is given to the exact mapper,
layer by layer (`dse.cosearch.layer_bounds`). That makes supports, and the least product over the
polygon above them bounds every design of the box. Children begin with the supports of their parents
and ask for those that decide. Incumbents are the mappings of these searches on the smallest
hardware that holds them, priced by the exact model. Best-first, until nothing is left below the
incumbent.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from dse.cosearch.corner import Box, are_alike, corner_of
from dse.cosearch.frames import HardwareSpace, UnsolvableSpace
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.hull import DELAY, ENERGY, PRODUCT
from dse.cosearch.incumbents import Incumbent, Incumbents
from dse.cosearch.layer_bounds import LayerBounds, Support
from dse.cosearch.polygon import between, least_corner
from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.model import rules
from dse.model.arrays import version_number
from dse.numeric import Ints
from dse.space.search_space import SearchSpace

#: Values closer than this, relatively, count as equal: the exact mapper's rounding.
TOLERANCE = 1e-10
#: Supports that a box is asked for, one by one; of a single piece of hardware all that help.
_MOST_ASKED, _MOST_OF_ONE = 3, 24
#: Frames that are not put together: a group's bound is weaker than theirs.
_FEW_FRAMES = 4
#: What part of a box's gap the searches of its layers may leave, and bounds on that.
_SHARE, _LEAST_GAP, _MOST_GAP = 0.05, 1e-5, 0.01


class _Told(NamedTuple):
    """A support, and whether it is the box's own or that of a larger one."""

    support: Support
    own: bool


@dataclass(frozen=True)
class _Branch:
    box: Box
    told: tuple[_Told, ...]


class CornerSearch:
    """See the module; the contract is that of `dse.cosearch.search.CoSearch`.

    Args:
        space: what is searched.
        goal: what is minimised.
        threads: layers that are bounded at a time.

    Raises:
        UnsolvableSpace: the space cannot be bounded this way.
    """

    tolerance = TOLERANCE
    sizes_text = ""
    how = "every layer bounded by the exact mapper on the most generous hardware of a box"

    def __init__(self, space: SearchSpace, goal: CoSearchGoal, threads: int = 2) -> None:
        self._space, self._goal = space, goal
        self._hardware = HardwareSpace(space, areas=goal.needs_area)
        if goal.mode == PRODUCT and not rules.leaks(version_number(space.timeloop_version)):
            raise UnsolvableSpace(
                f"timeloop_version={space.timeloop_version} knows no leakage, by which energy and "
                "cycles are weighed against each other"
            )
        self._bounds = LayerBounds(space, threads)
        self._best = Incumbents(space, goal)
        self._designs = 0
        self._queue: list[tuple[float, int, _Branch]] = []
        self._pushed = itertools.count()
        #: least bound of single hardware that could not be settled
        self._open = math.inf
        self.bound = 0.0
        self.finished = False
        self.nodes = 0

    @property
    def incumbent(self) -> Incumbent | None:
        """The best design so far; None before there is one."""
        return self._best.incumbent

    @property
    def effort(self) -> dict[str, int]:
        """What the proof took."""
        return {
            "nodes": self.nodes,
            "searches": self._bounds.searches,
            "designs": self._designs,
        }

    def run(self) -> Iterator[None]:
        """Search; yields after every node, so that the caller may look, or stop.

        Raises:
            UnsolvableSpace: nothing bounds the space as a whole; not raised later on.
        """
        high = tuple(size.variable.count - 1 for size in self._hardware.sizes)
        low = tuple(0 for _ in high)
        self._begin()
        for frames in self._groups():
            self._push(0.0, _Branch(Box(frames, low, high), ()))
        while self._queue:
            bound, node = self._taken()
            if bound >= self._cutoff:
                break
            self.nodes += 1
            self._visit(node, bound)
            least = self._queue[0][0] if self._queue else math.inf
            self.bound = max(self.bound, min(least, self._open, self._best.value))
            yield
        self._queue.clear()
        self.bound = max(self.bound, min(self._best.value, self._open))
        self.finished = True

    def _begin(self) -> None:
        """Find a first incumbent on the template's own hardware, where it is of the space."""
        own = self._space.template.defaults
        if own is None:
            return
        values = {**own, **self._space.fixed}
        sized = {size.variable.name: size.variable for size in self._hardware.sizes}
        others = {name: value for name, value in values.items() if name not in sized}
        corner = self._best.build(values)
        if corner is None or others not in self._hardware.frames:
            return
        point = tuple(variable.index_of(values[name]) for name, variable in sized.items())
        box = Box((self._hardware.frames.index(others),), point, point)
        told: dict[float, _Told] = {}
        for _ in range(_MOST_ASKED):
            wanted = self._next(told, single=False)
            try:
                support = (
                    None if wanted is None else self._bounds.support(corner, wanted, _MOST_GAP)
                )
            except UnsolvableSpace:
                return
            if wanted is None or support is None:
                return
            told[wanted] = _Told(support, own=True)
            self._try(box, support.mappings)

    def _taken(self) -> tuple[float, _Branch]:
        """Take the node of the least bound; of the fewest frames before there is an incumbent."""
        if self.incumbent is not None or self._queue[0][0] == 0.0:
            bound, _, node = heapq.heappop(self._queue)
            return bound, node

        def promise(i: int) -> tuple[int, float, int]:
            """Of two halves of the frames the later one has more PEs."""
            bound, pushed, node = self._queue[i]
            return len(node.box.frames), bound, -pushed

        bound, _, node = self._queue.pop(min(range(len(self._queue)), key=promise))
        heapq.heapify(self._queue)
        return bound, node

    @property
    def _cutoff(self) -> float:
        return self._best.value * (1.0 - TOLERANCE)

    def _push(self, bound: float, node: _Branch) -> None:
        heapq.heappush(self._queue, (bound, next(self._pushed), node))

    def _groups(self) -> list[tuple[int, ...]]:
        """Return the frames in groups that are alike, by number of PEs; few ones one by one."""
        hardware = self._hardware
        numbers = range(len(hardware.frames))
        if len(numbers) <= _FEW_FRAMES:
            return [(number,) for number in numbers]
        order = sorted(numbers, key=lambda i: hardware.frame(i).architecture.compute.instances)
        groups: list[list[int]] = []
        for number in order:
            for group in groups:
                if are_alike([hardware.frame(group[0]), hardware.frame(number)]):
                    group.append(number)
                    break
            else:
                groups.append([number])
        return [tuple(group) for group in groups]

    # one node

    def _visit(self, node: _Branch, before: float) -> None:
        tight = self._within_budget(node.box)
        if tight is None:
            return
        node = replace(node, box=tight)
        frames = [self._hardware.frame(i) for i in tight.frames]
        area = 0.0
        if self._goal.needs_area:
            area = min(frame.least_area(tight.low, tight.high) for frame in frames)
            if self._goal.excludes_from(area):
                return
        corner = self._corner(tight)
        if corner is None:
            return
        factor = self._goal.factor(area)
        try:
            found = self._bounded(node, corner, factor)
        except UnsolvableSpace:
            if not node.told:
                raise
            # the bound of the box that it was part of is all there is
            self._set_apart(node, before)
            return
        if found is None:
            return
        node, value = found
        value = max(value, before)
        if value >= self._cutoff:
            return
        if node.box.is_single:
            self._open = min(self._open, value)
            return
        self._split(node, value)

    def _corner(self, box: Box) -> Architecture | None:
        """Return the most generous hardware of a box, or its only one; None: there is none."""
        if not box.is_single:
            for frame in (self._hardware.frame(i) for i in box.frames):
                if np.isfinite(frame.least_price(box.low, box.high)).all():
                    return corner_of(self._hardware, box)
            return None  # the chain has no price for any of these sizes
        frame = self._hardware.frame(box.frames[0])
        return self._best.build(self._hardware.values(frame, box.low))

    def _within_budget(self, box: Box) -> Box | None:
        """Return a box without the sizes that no design of it can afford; None: nothing is left."""
        limit = self._hardware.budget_bits
        frames = [self._hardware.frame(i) for i in box.frames]
        able = tuple(
            i for i, f in zip(box.frames, frames, strict=True) if f.bits_at(box.low) <= limit
        )
        if not able:
            return None
        high = list(box.high)
        for v in range(len(high)):
            while high[v] > box.low[v]:
                sizes = (*box.low[:v], high[v], *box.low[v + 1 :])
                if any(self._hardware.frame(i).bits_at(sizes) <= limit for i in able):
                    break
                high[v] -= 1
        return Box(able, box.low, tuple(high))

    def _bounded(
        self, node: _Branch, corner: Architecture, factor: float
    ) -> tuple[_Branch, float] | None:
        """Ask for supports until the box is out, or no other helps; None: nothing fits in it."""
        told = {t.support.multiplier: t for t in node.told}
        most = _MOST_OF_ONE if node.box.is_single else _MOST_ASKED
        for _ in range(most):
            wanted = self._next(told, node.box.is_single)
            if wanted is None:
                break
            wider = told[wanted].support if wanted in told else None
            gap = self._looseness(node, told, factor)
            support = self._bounds.support(corner, wanted, gap, wider)
            if support is None:
                return None
            if wider is not None and wider.least > support.least:
                support = replace(support, least=wider.least)
            told[wanted] = _Told(support, own=True)
            self._try(node.box, support.mappings)
            if self._value(told) * factor >= self._cutoff:
                break
        return replace(node, told=tuple(told.values())), self._value(told) * factor

    def _looseness(self, node: _Branch, told: dict[float, _Told], factor: float) -> float:
        """Return the gap that the searches of a box's layers may leave, relative to its own."""
        if node.box.is_single:
            return 0.0
        missing = 1.0 - self._value(told) * factor / self._cutoff
        return min(max(_SHARE * missing, _LEAST_GAP), _MOST_GAP)

    def _next(self, told: dict[float, _Told], single: bool) -> float | None:
        """Return the multiplier to ask for next; None: no other helps."""
        needed = {PRODUCT: (math.inf, 0.0), ENERGY: (0.0,), DELAY: (math.inf,)}[self._goal.mode]
        for multiplier in needed:
            if multiplier not in told:
                return multiplier
        if self._goal.mode != PRODUCT:
            return None if told[needed[0]].own else needed[0]
        inner = [m for m in told if m not in needed]
        if not inner:
            return self._ratio(told)
        if not any(told[m].own for m in inner):
            # the line through the incumbent, or what is next to it
            ratio = self._ratio(told)
            return min(inner, key=lambda m: abs(math.log(m / ratio)))
        corner = least_corner([t.support for t in told.values()])
        ends = (told[corner.left], told[corner.right])
        for end in ends:
            if not end.own:
                return end.support.multiplier
        return between(ends[0].support, ends[1].support) if single else None

    def _ratio(self, told: dict[float, _Told]) -> float:
        """Return energy over cycles of the incumbent, or of what the box may come to."""
        known = self.incumbent
        if known is not None:
            return known.metrics.energy_pj / known.metrics.cycles
        return told[0.0].support.least / told[math.inf].support.least

    def _value(self, told: dict[float, _Told]) -> float:
        """Return the least value that the supports allow; 0 while they are too few."""
        if self._goal.mode == PRODUCT:
            if not {0.0, math.inf} <= told.keys():
                return 0.0
            return least_corner([t.support for t in told.values()]).value
        at = 0.0 if self._goal.mode == ENERGY else math.inf
        return told[at].support.least if at in told else 0.0

    # incumbents and children

    def _try(self, box: Box, mappings: Sequence[Mapping]) -> None:
        """Offer the smallest hardware of the box's last frame that holds some mappings."""
        frame = self._hardware.frame(box.frames[-1])
        point = self._point(box, mappings, box.frames[-1])
        values = None if point is None else self._hardware.values(frame, point)
        architecture = None if values is None else self._best.build(values)
        if values is None or architecture is None:
            return
        self._designs += 1
        layers = zip(self._space.workload, self._bounds.known, strict=True)
        batches = [(layer, MappingBatch.of(known)) for layer, known in layers]
        self._best.offer(
            values,
            architecture,
            [(b, self._best.evaluate(architecture, layer, b)) for layer, b in batches],
        )

    def _point(self, box: Box, mappings: Sequence[Mapping], number: int) -> tuple[int, ...] | None:
        """Return the smallest sizes in a box that hold mappings; None where none do."""
        frame = self._hardware.frame(number)
        need = np.zeros(len(self._hardware.sizes), np.int64)
        for layer, mapping in zip(self._space.workload, mappings, strict=True):
            words = tile_words(layer.problem, mapping)
            need = np.maximum(need, [int(words[size.level]) for size in self._hardware.sizes])
        point = frame.smallest(need)
        if point is None:
            return None
        inside = tuple(max(a, b) for a, b in zip(point, box.low, strict=True))
        return inside if all(a <= b for a, b in zip(inside, box.high, strict=True)) else None

    def _split(self, node: _Branch, value: float) -> None:
        """Part a box where it promises too much."""
        box = node.box
        if len(box.frames) > 1:
            middle = len(box.frames) // 2
            for frames in (box.frames[:middle], box.frames[middle:]):
                self._push(value, _Branch(replace(box, frames=frames), _inherited(node)))
            return
        inner = [t for t in node.told if t.own and t.support.multiplier not in (0.0, math.inf)]
        told = inner[0] if inner else node.told[-1]
        point = self._point(box, told.support.mappings, box.frames[0]) or box.low
        able = [v for v in range(len(point)) if point[v] > box.low[v]]
        if able:
            v = max(able, key=lambda v: self._rise(box, v, point[v], told.support))
            cut = point[v]
        else:
            v = max(range(len(point)), key=lambda v: box.high[v] - box.low[v])
            cut = box.low[v] + 1
        below, above = list(box.high), list(box.low)
        below[v], above[v] = cut - 1, cut
        for part in (replace(box, high=tuple(below)), replace(box, low=tuple(above))):
            self._push(value, _Branch(part, _inherited(node)))

    def _rise(self, box: Box, v: int, place: int, support: Support) -> float:
        """Return what a support's mappings cost more where a size is no smaller than needed."""
        low = (*box.low[:v], place, *box.low[v + 1 :])
        dearer = corner_of(self._hardware, replace(box, low=low))
        return self._bounds.price(dearer, support.mappings)[0] - support.energy

    def _set_apart(self, node: _Branch, value: float) -> None:
        """Split a box of which nothing new is known; of a single one remember the bound."""
        if node.box.is_single:
            self._open = min(self._open, value)
            return
        self._split(node, value)


def _inherited(node: _Branch) -> tuple[_Told, ...]:
    return tuple(t._replace(own=False) for t in node.told)


def tile_words(problem: Problem, mapping: Mapping) -> Ints:
    """Return the words of the tiles that each level keeps together, ``(L,)``."""
    extent = np.cumprod(mapping.temporal.astype(np.int64) * mapping.spatial, axis=0)
    sides = 1 + np.einsum("tqd,ld->ltq", np.abs(problem.projection), extent - 1)
    words: Ints = (sides.prod(axis=2) * mapping.keep).sum(axis=1)
    return words
