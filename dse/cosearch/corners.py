"""Co-search of any space with few frames: boxes of hardware, bounded by their corners.

A node is a box (`dse.cosearch.corner`): its most generous hardware is given to the exact mapper,
layer by layer (`dse.cosearch.layer_bounds`). That makes supports, and the least product over the
polygon above them bounds every design of the box. Children begin with the supports of their parents
and ask for those that decide. Incumbents are the mappings of these searches on the smallest
hardware that holds them, priced by the exact model. Best-first, until nothing is left below the
incumbent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from dse.cosearch.branches import OpenBranches
from dse.cosearch.corner import Box, corner_of, groups_alike, tile_words
from dse.cosearch.frames import HardwareSpace, UnsolvableSpace
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.incumbents import Incumbent, Incumbents
from dse.cosearch.layer_bounds import LayerBounds, OutOfTimeError, Support
from dse.cosearch.lines import Branch, Lines
from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping, MappingBatch
from dse.mappers.exact.proof import layer_front
from dse.mappers.exact.tables import TooLargeError
from dse.model import rules
from dse.model.arrays import version_number
from dse.space.search_space import SearchSpace
from dse.space.variable import Values

#: Values closer than this, relatively, count as equal: the exact mapper's rounding.
TOLERANCE = 1e-10
#: Supports that a box is asked for, one by one; of a single piece of hardware all that help.
_MOST_ASKED, _MOST_OF_ONE = 4, 24
#: Partial mappings of a layer after which its front is given up.
_FRONT_LABELS = 20_000_000
#: Frames that are not put together: a group's bound is weaker than theirs.
_FEW_FRAMES = 4
#: What part of a box's gap the searches of its layers may leave, and bounds on that.
_SHARE, _LEAST_GAP, _MOST_GAP = 0.1, 1e-5, 0.05


class CornerSearch:
    """See the module; the contract is that of `dse.cosearch.search.CoSearch`.

    Args:
        space: what is searched.
        goal: what is minimised.
        threads: layers that are bounded at a time.
        end: of `time.monotonic`, at which it stops; None: it goes on to its end.

    Raises:
        UnsolvableSpace: the space cannot be bounded this way.
    """

    tolerance = TOLERANCE
    sizes_text = ""
    how = "every layer bounded by the exact mapper on the most generous hardware of a box"

    def __init__(
        self,
        space: SearchSpace,
        goal: CoSearchGoal,
        threads: int = 2,
        end: float | None = None,
    ) -> None:
        self._space, self._goal = space, goal
        self._hardware = HardwareSpace(space, areas=goal.needs_area)
        if goal.needs_leakage and not rules.leaks(version_number(space.timeloop_version)):
            raise UnsolvableSpace(
                f"timeloop_version={space.timeloop_version} knows no leakage, by which energy and "
                "cycles are weighed against each other"
            )
        if goal.planes and space.workload.networks:
            raise UnsolvableSpace(
                f"constraint '{goal.planes[0].source}' is on all networks together"
            )
        networks = space.workload.networks or (space.workload,)
        self._bounds = tuple(LayerBounds(space, network, threads, end) for network in networks)
        self._best = Incumbents(space, goal)
        self._designs = 0
        self._open_boxes = OpenBranches()
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
            "searches": sum(bounds.searches for bounds in self._bounds),
            "designs": self._designs,
        }

    def run(self) -> Iterator[None]:
        """Search; yields after every node, so that the caller may look, or stop.

        Raises:
            UnsolvableSpace: nothing bounds the space as a whole; not raised later on.
        """
        with suppress(OutOfTimeError):
            yield from self._run()

    def _run(self) -> Iterator[None]:
        high = tuple(size.variable.count - 1 for size in self._hardware.sizes)
        low = tuple(0 for _ in high)
        yield from self._begin()
        for frames in groups_alike(self._hardware, _FEW_FRAMES):
            self._open_boxes.push(0.0, self._branch(Box(frames, low, high)))
        while (taken := self._open_boxes.take(self._cutoff)) is not None:
            bound, node = taken
            self.nodes += 1
            self._visit(node, bound)
            least = self._open_boxes.least
            self.bound = max(self.bound, min(least, self._open, self._best.value))
            yield
        self.bound = max(self.bound, min(self._best.value, self._open))
        self.finished = True

    def _begin(self) -> Iterator[None]:
        """Find first incumbents on the template's own hardware, where it is of the space."""
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
        for bounds in self._bounds:
            bounds.draw(corner)
        if all(known for bounds in self._bounds for known in bounds.known):
            self._offer(values, corner)
            yield
        with suppress(UnsolvableSpace):
            self._ask(self._branch(box), corner, corner.area_um2, _MOST_ASKED, _MOST_GAP)

    def _branch(self, box: Box) -> Branch:
        return Branch(box, tuple(Lines(self._goal) for _ in self._bounds))

    @property
    def _cutoff(self) -> float:
        return self._best.value * (1.0 - TOLERANCE)

    # one node

    def _visit(self, node: Branch, before: float) -> None:
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
        try:
            most = _MOST_OF_ONE if node.box.is_single else _MOST_ASKED
            fits = self._ask(node, corner, area, most)
        except UnsolvableSpace:
            if not all(node.lines):
                raise
            fits = True  # the bound of the box that it was part of is all there is
        value = max(self._least(node, area), before)
        if not fits or value >= self._cutoff:
            return
        if not node.box.is_single:
            self._split(node, value)
        elif not self._is_settled(node.box, corner):
            self._open = min(self._open, value)

    def _least(self, node: Branch, area: float) -> float:
        """Return the bound that a box's lines make."""
        goal = self._goal
        return goal.mean([goal.with_area(lines.value, area) for lines in node.lines])

    def _is_settled(self, box: Box, architecture: Architecture) -> bool:
        """Compare all choices on one hardware under limits; whether that was possible."""
        if not self._goal.settles_limits:
            return False
        layers = self._space.workload.layers
        constraints = architecture.constraints or self._space.template.constraints
        version = self._space.timeloop_version
        choices = []
        try:
            for layer in layers:
                front = layer_front(
                    layer.problem, architecture, constraints, version, nodes=_FRONT_LABELS
                )
                if front.mappings is None:
                    return True
                m = self._best.evaluate(architecture, layer, front.mappings)
                choices.append((front.mappings, m))
        except TooLargeError:
            return False
        self._designs += 1
        values = self._hardware.values(self._hardware.frame(box.frames[0]), box.low)
        return self._best.offer(values, architecture, choices)

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
        frames = {i: self._hardware.frame(i) for i in box.frames}
        left = {i: self._hardware.budget_bits - f.bits_at(box.low) for i, f in frames.items()}
        able = tuple(i for i in box.frames if left[i] >= 0.0)
        if not able:
            return None
        high = []
        for v, (first, last) in enumerate(zip(box.low, box.high, strict=True)):
            bits = [(frames[i].tables[v].bits, left[i]) for i in able]
            places = [np.searchsorted(own, own[first] + more, side="right") for own, more in bits]
            high.append(min(last, int(max(places)) - 1))
        return Box(able, box.low, tuple(high))

    def _ask(
        self,
        node: Branch,
        corner: Architecture,
        area: float,
        most: int,
        gap: float | None = None,
    ) -> bool:
        """Ask for supports until the box is out, or no other helps; False: nothing fits in it.

        Args:
            node: whose lines they become.
            corner: its most generous hardware.
            area: of the box at least, in um^2; 0 where areas do not matter.
            most: supports to ask for, of each network.
            gap: that a layer's search may leave; None: as much as does not matter to the box.
        """
        for number, (lines, bounds) in enumerate(zip(node.lines, self._bounds, strict=True)):
            for _ in range(most):
                wanted = lines.wanted(self._ratio(number), single=node.box.is_single)
                if wanted is None:
                    break
                loose = self._looseness(node, area) if gap is None else gap
                quick = lines.is_extreme(wanted) and (not node.box.is_single or gap is not None)
                support = bounds.support(corner, wanted, loose, lines.of(wanted), quick=quick)
                if support is None:
                    return False
                lines.take(support)
                self._try(node, number, support)
                if self._least(node, area) >= self._cutoff:
                    return True
        return True

    def _ratio(self, number: int) -> float | None:
        """Return energy over cycles of a network on the incumbent; None where there is none."""
        if self.incumbent is None:
            return None
        metrics = self.incumbent.metrics
        own = metrics.networks[number] if metrics.networks else metrics
        return own.energy_pj / own.cycles

    def _looseness(self, node: Branch, area: float) -> float:
        """Return the gap that the searches of a box's layers may leave, relative to its own."""
        if node.box.is_single:
            return 0.0
        missing = 1.0 - self._least(node, area) / self._cutoff
        return min(max(_SHARE * missing, _LEAST_GAP), _MOST_GAP)

    # incumbents and children

    def _try(self, node: Branch, number: int, support: Support) -> None:
        """Offer the smallest hardware of a box's last frame that holds some mappings.

        Args:
            node: of the box.
            number: of the network whose mappings they are.
            support: that they make; other networks have those that tell most.
        """
        box = node.box
        mappings: list[Mapping] = []
        for place, lines in enumerate(node.lines):
            told = support if place == number else lines.telling
            if told is None:
                return
            mappings += told.mappings
        frame = self._hardware.frame(box.frames[-1])
        point = self._point(box, mappings, box.frames[-1])
        values = None if point is None else self._hardware.values(frame, point)
        architecture = None if values is None else self._best.build(values)
        if values is None or architecture is None:
            return
        self._offer(values, architecture)

    def _offer(self, values: Values, architecture: Architecture) -> None:
        """Offer the best of all known mappings on some hardware."""
        self._designs += 1
        known = [batch for bounds in self._bounds for batch in bounds.known]
        batches = [
            (layer, MappingBatch.of(own))
            for layer, own in zip(self._space.workload, known, strict=True)
        ]
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

    def _split(self, node: Branch, value: float) -> None:
        """Part a box where it promises too much."""
        box = node.box
        if len(box.frames) > 1:
            middle = len(box.frames) // 2
            for frames in (box.frames[:middle], box.frames[middle:]):
                part = replace(box, frames=frames)
                self._open_boxes.push(value, node.part(part, all_sizes=node.all_sizes))
            return
        told = [lines.telling for lines in node.lines]
        mappings = [mapping for one in told if one for mapping in one.mappings]
        point = self._point(box, mappings, box.frames[0]) or box.low
        able = [v for v in range(len(point)) if point[v] > box.low[v]]
        if able:
            v = max(able, key=lambda v: self._rise(box, v, point[v], told))
            cut = point[v]
        else:
            v = max(range(len(point)), key=lambda v: box.high[v] - box.low[v])
            cut = box.low[v] + 1
        below, above = list(box.high), list(box.low)
        below[v], above[v] = cut - 1, cut
        for part in (replace(box, high=tuple(below)), replace(box, low=tuple(above))):
            self._open_boxes.push(value, node.part(part, all_sizes=False))

    def _rise(self, box: Box, v: int, place: int, told: Sequence[Support | None]) -> float:
        """Return what mappings cost more where a size is no smaller than needed, relatively."""
        low = (*box.low[:v], place, *box.low[v + 1 :])
        dearer = corner_of(self._hardware, replace(box, low=low))
        return sum(
            bounds.price(dearer, one.mappings)[0] / one.energy
            for bounds, one in zip(self._bounds, told, strict=True)
            if one
        )
