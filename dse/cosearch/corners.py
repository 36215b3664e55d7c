"""Co-search of any space: boxes of hardware, bounded by their corners.

A node is a box (`dse.cosearch.corner`): its most generous hardware is given to the exact mapper,
layer by layer (`dse.cosearch.layer_bounds`). That makes supports, and the least product over the
polygon above them bounds every design of the box. Children begin with the supports of their parents
and ask for those that decide. Incumbents are the mappings of these searches on the smallest
hardware that holds them, priced by the exact model. Best-first, until nothing is left below the
incumbent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from dse.cosearch.boxes import Box, HardwareBoxes
from dse.cosearch.branches import OpenBranches
from dse.cosearch.branching import Branching
from dse.cosearch.corner import corner_of, widths_of
from dse.cosearch.designs import Designs
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.incumbents import Incumbent, Incumbents
from dse.cosearch.layer_bounds import LayerBounds, OutOfTimeError, Support
from dse.cosearch.lines import Branch, Lines
from dse.cosearch.outlining import Outlined, Outlining
from dse.cosearch.scouts import PacedScout, ScoutFor
from dse.cosearch.sizes import UnsolvableSpace
from dse.domain.architecture import Architecture
from dse.space.search_space import SearchSpace

#: Values closer than this, relatively, count as equal: the exact mapper's rounding.
TOLERANCE = 1e-10
#: Supports that a box is asked for, one by one; of a single piece of hardware all that help.
_MOST_ASKED, _MOST_OF_ONE = 4, 24
#: Supports that a box is asked for where each takes long.
_FEW_ASKED = 1
#: The scout is asked while the bound is below this part of the incumbent; before the first node so
#: often, or until this often in a row it is better by less than that part.
_NEAR, _SCOUTED_FIRST, _SCOUTED_IN_VAIN = 0.95, 8, 2
#: Frames that are not put together: a group's bound is weaker than theirs.
_FEW_FRAMES = 4
#: What part of a box's gap a glance has to close for its layers to be searched to the end.
_PROMISING = 0.2
#: What part of a box's gap the searches of its layers may leave, and bounds on that.
_SHARE, _LEAST_GAP, _MOST_GAP = 0.1, 1e-5, 0.05


class CornerSearch:
    """See the module; the contract is that of `dse.cosearch.search.CoSearch`.

    Args:
        space: what is searched.
        goal: what is minimised.
        threads: layers that are bounded at a time.
        end: of `time.monotonic`, at which it stops; None: it goes on to its end.
        scout: searches designs where bounds take long: goes on for so many samples, and returns the
            best one so far; None: nothing does.

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
        scout: ScoutFor | None = None,
    ) -> None:
        self._space, self._goal = space, goal
        if goal.planes and space.workload.networks:
            raise UnsolvableSpace(
                f"constraint '{goal.planes[0].source}' is on all networks together"
            )
        networks = space.workload.networks or (space.workload,)
        self._bounds = tuple(LayerBounds(space, network, threads, end) for network in networks)
        self._best = Incumbents(space, goal)
        self._designs = Designs(space, self._best, self._bounds, PacedScout(scout))
        #: whether searches take so long that boxes are bounded without, until few frames are left
        self._outlines = False
        self._open_boxes = OpenBranches()
        self._made: tuple[HardwareBoxes, Branching, Outlining] | None = None
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
            "designs": self._designs.tried,
        }

    def run(self) -> Iterator[None]:
        """Search; yields after every node, so that the caller may look, or stop.

        Raises:
            UnsolvableSpace: nothing bounds the space as a whole; not raised later on.
        """
        with suppress(OutOfTimeError):
            yield from self._run()

    @property
    def _hardware(self) -> HardwareBoxes:
        """All hardware, gone through on first use."""
        return self._make()[0]

    @property
    def _branching(self) -> Branching:
        return self._make()[1]

    @property
    def _outlining(self) -> Outlining:
        return self._make()[2]

    def _make(self) -> tuple[HardwareBoxes, Branching, Outlining]:
        if self._made is None:
            hardware = HardwareBoxes(self._space, areas=self._goal.needs_area)
            branching = Branching(hardware, self._bounds)
            outlining = Outlining(hardware, branching, self._bounds, self._goal)
            self._made = hardware, branching, outlining
        return self._made

    def _run(self) -> Iterator[None]:
        own = self._designs.own()
        if own is not None:
            for bounds in self._bounds:
                bounds.draw(own[1])
            self._designs.offer(*own)
            yield
        for box in self._roots():
            self._push_root(box)
        self.bound = max(self.bound, min(self._open_boxes.least, self._best.value))
        yield
        yield from self._begin()
        while (taken := self._open_boxes.take(self._cutoff)) is not None:
            bound, node = taken
            self.nodes += 1
            if self._best.value * _NEAR > bound and self._designs.scout.is_due():
                before = self._best.value
                self._designs.take_scouted()
                if self._outlines or self._best.value < before:
                    self._designs.polish(quick=self._outlines)
            self._visit(node, bound)
            least = self._open_boxes.least
            self.bound = max(self.bound, min(least, self._open, self._best.value))
            yield
        self.bound = max(self.bound, min(self._best.value, self._open))
        self.finished = True

    def _roots(self) -> Iterator[Box]:
        """Yield boxes that hold all hardware; few frames one by one."""
        for box in self._hardware.roots():
            if box.frames > _FEW_FRAMES:
                yield box
            else:
                yield from self._hardware.frames_of(box)

    def _push_root(self, box: Box) -> None:
        """Add a box, with what any mapping costs at least as its bound."""
        tight = self._hardware.within_budget(box)
        corner = None if tight is None else self._corner(tight)
        if tight is None or corner is None:
            return
        if self._is_heavy(corner):
            self._outlines = self._open_boxes.dives = True
            self._designs.scout.take_time()
        node = self._branch(tight)
        for lines, bounds in zip(node.lines, self._bounds, strict=True):
            lines.rise(bounds.floors.least(corner))
        area = self._hardware.least_area(tight) if self._goal.needs_area else 0.0
        self._open_boxes.push(self._least(node, area), node)

    def _begin(self) -> Iterator[None]:
        """Find better incumbents before the first node, while that is quick."""
        in_vain, start = 0, self._best.value
        for _ in range(_SCOUTED_FIRST):
            if self._best.value * _NEAR <= self._open_boxes.least or in_vain == _SCOUTED_IN_VAIN:
                break
            before = self._best.value
            self._designs.take_scouted()
            in_vain = 0 if self._best.value < _NEAR * before else in_vain + 1
            yield
        if self._best.value < start:
            self._designs.polish(quick=self._outlines)
            yield

    def _branch(self, box: Box) -> Branch:
        return Branch(box, tuple(Lines(self._goal) for _ in self._bounds))

    @property
    def _cutoff(self) -> float:
        return self._best.value * (1.0 - TOLERANCE)

    # one node

    def _visit(self, node: Branch, before: float) -> None:
        tight = self._hardware.within_budget(node.box)
        if tight is None:
            return
        node = replace(node, box=tight)
        area = 0.0
        if self._goal.needs_area:
            area = self._hardware.least_area(tight)
            if self._goal.excludes_from(area):
                return
        corner = self._corner(tight)
        if corner is None:
            return
        for lines, bounds in zip(node.lines, self._bounds, strict=True):
            lines.rise(bounds.floors.least(corner))
        if self._is_heavy(corner):
            ratios = [self._designs.ratio(number) for number in range(len(self._bounds))]
            outline = self._outlining.outline(node, ratios, area, self._cutoff)
            if outline is None:
                return
            node, before = outline.node, max(before, outline.value)
            if self._split_outlined(outline, max(self._least(node, area), before), area):
                return
            corner = self._corner(node.box)
            if corner is None:
                return
        fits = True
        if self._least(node, area) < self._cutoff:
            # else the bound of the box that it was part of is all there is
            with suppress(UnsolvableSpace):
                fits = self._ask(node, corner, area, self._most_asked(node.box, corner))
        value = max(self._least(node, area), before)
        if not fits or value >= self._cutoff:
            return
        if not node.box.is_single:
            self._split(node, value)
        elif not self._is_settled(node.box, corner):
            self._open = min(self._open, value)

    def _most_asked(self, box: Box, corner: Architecture) -> int:
        """Return how many supports a box is asked for."""
        if box.is_single:
            return _MOST_OF_ONE
        return _FEW_ASKED if self._is_heavy(corner) else _MOST_ASKED

    def _is_heavy(self, corner: Architecture) -> bool:
        return any(bounds.is_heavy(corner) for bounds in self._bounds)

    def _least(self, node: Branch, area: float) -> float:
        """Return the bound that a box's lines make."""
        goal = self._goal
        return goal.mean([goal.with_area(lines.value, area) for lines in node.lines])

    def _is_settled(self, box: Box, architecture: Architecture) -> bool:
        """Compare all choices on one hardware under limits; whether that was possible."""
        if not self._goal.settles_limits:
            return False
        self._designs.tried += 1
        return self._best.settle_all(self._hardware.values(box), architecture)

    def _corner(self, box: Box) -> Architecture | None:
        """Return the most generous hardware of a box, or its only one; None: there is none."""
        if box.is_single:
            return self._best.build(self._hardware.values(box))
        return corner_of(self._hardware, box)

    def _ask(self, node: Branch, corner: Architecture, area: float, most: int) -> bool:
        """Ask for supports until the box is out, or no other helps; False: nothing fits in it.

        Args:
            node: whose lines they become.
            corner: its most generous hardware.
            area: of the box at least, in um^2; 0 where areas do not matter.
            most: supports to ask for, of each network.
        """
        single, heavy = node.box.is_single, self._is_heavy(corner)
        for number, (lines, bounds) in enumerate(zip(node.lines, self._bounds, strict=True)):
            for _ in range(most):
                ratio = self._designs.ratio(number)
                wanted = lines.wanted(ratio, single=single, extremes=not heavy)
                if wanted is None:
                    break
                quick = (heavy or lines.is_extreme(wanted)) and not single
                for quickly in (True, False) if quick and heavy else (quick,):
                    before = self._least(node, area)
                    support = bounds.support(
                        corner, wanted, self._looseness(node, area), lines.of(wanted),
                        quick=quickly, widths=widths_of(self._hardware, node.box),
                    )  # fmt: skip
                    if support is None:
                        return False
                    lines.take(support)
                    self._try(node, number, support)
                    value = self._least(node, area)
                    if value >= self._cutoff:
                        return True
                    if value - before < _PROMISING * (self._cutoff - before):
                        break  # more of the same takes long
        return True

    def _looseness(self, node: Branch, area: float) -> float:
        """Return the gap that the searches of a box's layers may leave, relative to its own."""
        if node.box.is_single:
            return 0.0
        missing = 1.0 - self._least(node, area) / self._cutoff
        return min(max(_SHARE * missing, _LEAST_GAP), _MOST_GAP)

    # incumbents and children

    def _try(self, node: Branch, number: int, support: Support) -> None:
        """Offer a piece of hardware of a box on which some mappings cost little more.

        Args:
            node: of the box.
            number: of the network whose mappings they are.
            support: that they make; other networks have those that tell most.
        """
        told = [
            support if place == number else lines.telling for place, lines in enumerate(node.lines)
        ]
        frame = self._branching.frame(node.box, told)
        point = self._hardware.smallest(frame, self._branching.need(told))
        if point is None:
            point = frame.high
        values = self._hardware.values(replace(frame, low=point, high=point))
        architecture = self._best.build(values)
        if architecture is None:
            return
        if self._is_heavy(architecture):
            self._designs.improve(values, architecture)
        self._designs.offer(values, architecture)

    def _split_outlined(self, outline: Outlined, value: float, area: float) -> bool:
        """Part a box where no mappings tell where; False: that says nothing new."""
        parts = self._outlining.parts(outline, area, self._cutoff)
        for number, part in enumerate(parts):
            follow = self._open_boxes.plunges and not number
            self._open_boxes.push(value, part, follow=follow)
        return bool(parts)

    def _split(self, node: Branch, value: float) -> None:
        """Part a box where it promises too much."""
        told = [lines.telling for lines in node.lines]
        for part in self._branching.parted(node.box, told):
            all_sizes = node.all_sizes and part.frames < node.box.frames
            self._open_boxes.push(value, node.part(part, all_sizes=all_sizes))
