"""Exact co-search: hardware and mappings of a whole workload, by branch and bound over hardware.

A node is a group of frames (:mod:`dse.cosearch.frames`), or a box of sizes in one frame. It is
bound from below by what its largest sizes let in at the prices of its smallest: then every layer is
a set of points, and the best choice of one per layer is known exactly (:mod:`dse.cosearch.hull`).
Rows that cannot be part of anything below the incumbent are dropped, for all nodes below too, so
that nodes get cheaper as they get smaller. Incumbents are settled by the exact model.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from dse.cosearch.frames import FrameGroup, HardwareSpace
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.incumbents import Incumbent
from dse.cosearch.joint import Joint, JointChoices
from dse.cosearch.pool import Pool
from dse.cosearch.rehearsal import rehearse
from dse.cosearch.settle import TOLERANCE, Settler
from dse.cosearch.sizes import UnsolvableSpace
from dse.cosearch.tables import LayerTables, group_limits, least_energy
from dse.errors import ProofError
from dse.goals.design import DesignMetrics
from dse.model.arrays import version_number
from dse.numeric import Floats, Ints
from dse.space.search_space import SearchSpace

#: Rows of all layers up to which the best choice is computed exactly, not only bound.
_FEW = 60_000
#: Frames of the smallest group of which a design is tried.
_TRIED = 8


@dataclass(frozen=True)
class _SearchNode:
    """A group of frames (``low`` is None), or the box ``low .. high`` of sizes in one frame.

    ``pool`` holds the rows that may matter: of a box; of a group, as they are in ``outer``, which
    the group is a part of. ``index`` holds their numbers where a box has no pool yet. None: all.
    """

    frames: tuple[int, ...]
    low: tuple[int, ...] | None = None
    high: tuple[int, ...] = ()
    pool: Pool | None = None
    index: tuple[Ints, ...] | None = None
    outer: FrameGroup | None = None


@dataclass(frozen=True)
class _Narrowed:
    """A node's bound, the rows that are left, and a choice of one per layer."""

    bound: float
    pool: Pool
    joint: Joint


class CoSearch:
    """See the module.

    Args:
        space: what is searched.
        goal: what is minimised.
        limit: mappings of a layer on one hardware up to which spaces without a closed form are
            enumerated.
        threads: layers whose mappings are priced at a time; results do not depend on it.

    Attributes:
        bound: no design is better than this.
        finished: whether the space was gone through: the bound is final.
        nodes: that were visited.

    Raises:
        UnsolvableSpace: the space cannot be solved this way.
    """

    def __init__(
        self, space: SearchSpace, goal: CoSearchGoal, limit: int, threads: int = 1
    ) -> None:
        if goal.planes and space.workload.networks:
            raise UnsolvableSpace(
                f"constraint '{goal.planes[0].source}' is on all networks together"
            )
        self.goal = goal
        self._choices = JointChoices(space.workload, goal.of_rows)
        self.hardware = HardwareSpace(space, areas=goal.needs_area)
        self._version, self._limit = version_number(space.timeloop_version), limit
        self._threads = threads
        if self.hardware.frames:
            rehearse(self.hardware, self._version, self._choices)
        self.tables = (
            LayerTables.of(self.hardware, self._version, limit, goal.leak_pj, threads)
            if self.hardware.frames
            else LayerTables(())
        )
        self._settler = Settler(space, goal, self.hardware, self.tables)
        self.bound = 0.0
        self.finished = False
        self.nodes = 0
        self._queue: list[tuple[float, int, _SearchNode]] = []
        self._pushed = 0
        #: the last frame of the last group that was tried, and its rows
        self._tried: tuple[int, Pool] | None = None
        #: least bound of single hardware whose mappings are too many to compare one by one
        self._open = math.inf

    @property
    def incumbent(self) -> Incumbent | None:
        """The best design so far; None before there is one."""
        return self._settler.incumbent

    @property
    def tolerance(self) -> float:
        """Values closer than this, relatively, count as equal."""
        return TOLERANCE

    @property
    def how(self) -> str:
        """How the mapspace is gone through, for the certificate."""
        if self.tables.closed_form:
            return "classes of mappings in closed form"
        return "every mapping enumerated"

    @property
    def effort(self) -> dict[str, int]:
        """What the proof took."""
        designs = self._settler.designs
        return {"nodes": self.nodes, "classes": self.tables.classes, "designs": designs}

    @property
    def sizes_text(self) -> str:
        """Which paddings the proof is over; empty: none, only the layers' own sizes."""
        return ""

    def run(self) -> Iterator[None]:
        """Search; yields after every node, so that the caller may look, or stop."""
        self._tried = None  # of other tables, where there is more than one search
        frames = self._ordered_frames()
        if self.tables.closed_form and len(frames) > 1:
            self._push(0.0, _SearchNode(tuple(frames)))
        else:
            for frame in frames:
                self._push(0.0, self._box(frame))
        while self._queue:
            bound, _, node = heapq.heappop(self._queue)
            self.bound = max(self.bound, min(bound, self._open, self._settler.value))
            if bound >= self._settler.cutoff:
                break
            self.nodes += 1
            if node.low is None:
                self._visit_group(node)
            else:
                self._visit_box(node, node.low)
            yield
        self._queue.clear()
        self.bound = min(self._settler.value, self._open)
        self.finished = True

    def _ordered_frames(self) -> list[int]:
        """Frames by number of PEs: those of a group are much alike."""
        count = range(len(self.hardware.frames))
        pes = [self.hardware.frame(i).architecture.compute.instances for i in count]
        return sorted(count, key=lambda i: pes[i])

    def _push(self, bound: float, node: _SearchNode) -> None:
        heapq.heappush(self._queue, (bound, self._pushed, node))
        self._pushed += 1

    def _box(self, frame: int, index: tuple[Ints, ...] | None = None) -> _SearchNode:
        low, high = self._range()
        return _SearchNode((frame,), low, high, None, index)

    def _range(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the smallest and the largest sizes."""
        high = tuple(size.variable.count - 1 for size in self.hardware.sizes)
        return tuple(0 for _ in high), high

    def _visit_group(self, node: _SearchNode) -> None:
        frames = [self.hardware.frame(i) for i in node.frames]
        area = min(f.least_area() for f in frames) if self.goal.needs_area else 0.0
        if self.goal.excludes_from(area):
            return
        price, most = group_limits(self.hardware, frames)
        if np.isinf(price).any():
            return  # the chain has no price for any of these sizes
        group = FrameGroup(tuple(frames))
        alike = node.outer is not None and group.is_like(node.outer)
        pool = node.pool
        if pool is None or not alike:
            pool = self.tables.group_pool(group, None if pool is None else pool.indices)
        energy = pool.energy(price, most)
        found = self._narrow(pool, energy, area)
        # rows of a part like the whole were tried on its last frame; single frames come soon
        if self.incumbent is None or not (alike or len(frames) < _TRIED):
            found = self._tried_group(
                node.frames[-1], found, lambda: self._narrow(pool, energy, area)
            )
        if found is None or found.bound >= self._settler.cutoff:
            return
        middle = len(node.frames) // 2
        for part in (node.frames[:middle], node.frames[middle:]):
            if len(part) == 1:
                self._push(found.bound, self._box(part[0], found.pool.indices))
            else:
                self._push(found.bound, _SearchNode(part, pool=found.pool, outer=group))

    def _tried_group(
        self, number: int, found: _Narrowed | None, again: Callable[[], _Narrowed | None]
    ) -> _Narrowed | None:
        """Settle a design of a group's last frame, the one with the most PEs, with its rows.

        Args:
            number: of the frame.
            found: what is left of the group.
            again: narrows the group once more.

        Returns:
            What is left below the incumbent.
        """
        # any incumbent will do at first, to drop most of the rows
        for whole in (False, True) if self.incumbent is None else (True,):
            if found is None:
                break
            before = self._settler.value
            self._try(number, found, whole=whole)
            if self._settler.value < before:
                found = again()
        return found

    def _try(self, number: int, found: _Narrowed, *, whole: bool) -> None:
        """Settle a design of a frame with all rows that are left, or with those of the best choice.

        Where the frame is too small for this choice, it is tried at its largest.
        """
        frame = self.hardware.frame(number)
        point = frame.smallest(found.pool.need(found.joint.points))
        low, high = self._range()
        if not whole:
            if point is not None:
                alone = found.pool.numbers_of(found.joint.points)
                pool = self.tables.pool(frame, alone).in_order()
                self._settler.explore(number, point, pool, None)
            return
        pool = self.tables.pool(frame, found.pool.indices).in_order()
        self._tried = number, pool
        self._settler.explore(number, high if point is None else point, pool, (low, high))

    def _narrow(self, pool: Pool, energy: Floats, area: float) -> _Narrowed | None:
        """Bound a node, and drop rows that cannot be in anything better than the incumbent.

        None: the node holds nothing better.
        """
        choices = self._choices
        points = pool.points(choices, energy)
        supports = choices.supports(points, self._known)
        bound, cutoff = choices.bound(supports, area), self._settler.cutoff
        if math.isinf(bound) or bound >= cutoff:
            return None  # some layer has no mapping here, or nothing is better
        if math.isfinite(cutoff):
            useful = choices.useful(points, supports, area, cutoff)
            pool, energy = pool.take(useful), energy[useful]
            if (np.diff(pool.first) == 0).any():
                return None
        if len(pool) > _FEW:
            points = pool.points(choices, energy)
            supports = choices.supports(points, self._known)
            return _Narrowed(bound, pool, choices.rough(points, supports, area))
        if not pool.is_ordered:
            order = pool.order()
            pool, energy = pool.ordered(order), energy[order]
        joint = choices.best(pool.points(choices, energy), area)
        if joint is None:
            raise ProofError("rows of every layer, but no choice of one per layer")
        bound = max(bound, joint.bound)
        return None if bound >= cutoff else _Narrowed(bound, pool, joint)

    @property
    def _known(self) -> DesignMetrics | None:
        return self.incumbent.metrics if self.incumbent else None

    def _visit_box(self, node: _SearchNode, low: tuple[int, ...]) -> None:
        number, high = node.frames[0], node.high
        frame = self.hardware.frame(number)
        area = frame.least_area(low, high) if self.goal.needs_area else 0.0
        if self.goal.excludes_from(area) or frame.bits_at(low) > self.hardware.budget_bits:
            return
        if not np.isfinite(frame.least_price(low, high)).all():
            return  # the chain has no price for any of these sizes
        pool = node.pool
        if pool is None and self._tried is not None and self._tried[0] == number:
            pool = self._tried[1]
        elif pool is None:
            pool = self.tables.pool(frame, node.index)
        if len(pool) > _FEW:
            pool = pool.in_order()  # so many may be left
        found = self._narrow(pool, least_energy(frame, pool, low, high), area)
        if found is None:
            return
        need = found.pool.need(found.joint.points)
        point = tuple(max(int(a), b) for a, b in zip(need, low, strict=True))
        self._settler.explore(number, point, found.pool, (low, high))
        if found.bound >= self._settler.cutoff:
            return
        if low == high:
            if not self._settler.is_settled(number, low):
                self._open = min(self._open, found.bound)
            return
        self._split(replace(node, pool=found.pool, index=None), low, point, found)

    def _split(
        self, node: _SearchNode, low: tuple[int, ...], point: tuple[int, ...], found: _Narrowed
    ) -> None:
        """Split a box where the price of what the choice needs rises most."""
        frame, high = self.hardware.frame(node.frames[0]), node.high
        able = [v for v in range(len(low)) if point[v] > low[v]]
        if able:
            rise = [0.0] * len(low)
            accesses = self._choices.weight @ found.pool.rows.accesses[found.joint.points]
            step = np.nan_to_num(frame.price_at(point) - frame.price_at(low)) * accesses
            for column, more in zip(frame.columns, step, strict=True):
                rise[column.size] += float(more)
            v = max(able, key=lambda i: rise[i])
            cut = point[v]
        else:
            # the choice fits the smallest hardware, which is yet no better by the model, or not
            # possible: set it apart
            v = max(range(len(low)), key=lambda i: high[i] - low[i])
            cut = low[v] + 1
        below, above = list(high), list(low)
        below[v], above[v] = cut - 1, cut
        self._push(found.bound, replace(node, high=tuple(below)))
        self._push(found.bound, replace(node, low=tuple(above)))


__all__ = ["TOLERANCE", "CoSearch", "Incumbent", "UnsolvableSpace"]
