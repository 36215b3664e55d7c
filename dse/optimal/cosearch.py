"""Exact co-search: hardware and mappings of a whole workload, by branch and bound over hardware.

A node is a group of frames (:mod:`dse.optimal.frames`), or a box of sizes in one frame. It is bound
from below by what its largest sizes let in at the prices of its smallest: then every layer is a set
of points, and the best choice of one per layer is known exactly (:mod:`dse.optimal.hull`). Rows that
cannot be part of anything below the incumbent are dropped, for all nodes below too, so that nodes
get cheaper as they get smaller. Incumbents are settled by the exact model.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dse.architecture import Architecture
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.mapping import Mapping, MappingBatch
from dse.mapspace.space import MapspaceCache
from dse.model.arrays import version_number
from dse.optimal.enumerated import EnumeratedTable
from dse.optimal.frames import Frame, HardwareSpace, TooLarge, least
from dse.optimal.goal import Goal
from dse.optimal.hull import (
    DELAY,
    Joint,
    Points,
    Supports,
    find_supports,
    joint_minimum,
    mark_useful,
    new_supports,
    polygon_minimum,
)
from dse.optimal.layer_table import LayerTable
from dse.optimal.pool import Pool
from dse.optimal.two_tier import ACCUMULATOR, SCRATCHPAD, roles
from dse.optimal.two_tier_table import TwoTierTable
from dse.study.design import Design, DesignMetrics, LayerMetrics
from dse.study.space import SearchSpace
from dse.variable import Values

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Bounds are sums of many floats: what lies so close to the incumbent counts as equal.
TOLERANCE = 1e-12
#: Multipliers of cycles around the incumbent's energy per cycle, for the supports.
_SPREAD = np.array(
    [1 / 256, 1 / 32, 1 / 8, 1 / 3, 0.6, 0.8, 0.9, 0.96, 0.99, 1.0]
    + [1.01, 1.04, 1.1, 1.25, 1.6, 3.0, 8.0, 32.0, 256.0]
)
#: Sizes around an incumbent that are tried.
_RATIOS = (0.25, 0.5, 0.7, 0.85, 0.93, 0.97, 0.99, 1.01, 1.03, 1.07, 1.15, 1.4, 2.0, 4.0)
#: Rows of all layers whose mappings are all compared by the model, on one hardware.
_CLOSE = 3000
#: Rows of all layers up to which the best choice is computed exactly, not only bound.
_FEW = 60_000


@dataclass(frozen=True)
class Incumbent:
    """The best design found so far, by the exact model."""

    design: Design
    metrics: DesignMetrics
    value: float


@dataclass(frozen=True)
class Node:
    """A group of frames (``low`` is None), or the box ``low .. high`` of sizes in one frame.

    ``pool`` holds the rows of a box that may matter, ``index`` those of a group (None: all).
    """

    frames: tuple[int, ...]
    low: tuple[int, ...] | None = None
    high: tuple[int, ...] = ()
    pool: Pool | None = None
    index: tuple[Ints, ...] | None = None


#: A node's bound, the rows that are left, their points, and a choice of one per layer.
Narrowed = tuple[float, Pool, Points, Joint]


@dataclass
class Effort:
    """What a proof took."""

    nodes: int = 0
    classes: int = 0
    designs: int = 0


class CoSearch:
    """See the module.

    Args:
        space: what is searched.
        goal: what is minimised.
        timeloop_version: the model's.
        limit: mappings of a layer on one hardware up to which spaces without a closed form are
            enumerated.

    Attributes:
        incumbent: the best design so far; None before there is one.
        bound: no design is better than this.
        finished: whether the bound has met the incumbent, or nothing is feasible.

    Raises:
        TooLarge: the space cannot be solved this way.
    """

    def __init__(
        self, space: SearchSpace, goal: Goal, timeloop_version: str, limit: int
    ) -> None:
        self.space = space
        self.goal = goal
        self.hardware = HardwareSpace(space, areas=goal.needs_area)
        self._version = version_number(timeloop_version)
        self._evaluator = NativeEvaluator(timeloop_version)
        self._weight = np.array([layer.count for layer in space.workload], np.float64)
        self.incumbent: Incumbent | None = None
        self.bound = 0.0
        self.finished = False
        self.effort = Effort()
        self._tried: set[tuple[int, ...]] = set()
        self._limit = limit
        self._queue: list[tuple[float, int, Node]] = []
        self._pushed = 0
        self.closed_form = False
        self.tables: list[LayerTable] = []
        if self.hardware.frames:
            self._make_tables()

    # -- tables ------------------------------------------------------------------------------

    def _make_tables(self) -> None:
        """Build one table per distinct problem."""
        made: dict[object, LayerTable] = {}
        two_tier = self._two_tier()
        for layer in self.space.workload:
            problem = layer.problem
            if problem not in made:
                if two_tier is not None:
                    made[problem] = two_tier(problem)
                else:
                    made[problem] = EnumeratedTable(
                        problem, self.hardware, self._version, self._limit
                    )
            self.tables.append(made[problem])
        self.closed_form = two_tier is not None
        self.effort.classes = sum(
            len(t.classes) for t in made.values() if isinstance(t, TwoTierTable)
        )

    def _two_tier(self) -> Callable[..., LayerTable] | None:
        """Return what builds closed-form tables; None where a layer has none in some frame."""
        frames = [self.hardware.frame(i) for i in range(len(self.hardware.frames))]
        widest = max(frames, key=lambda f: f.architecture.compute.instances)
        if len(widest.architecture.levels) != 4 or not _alike(frames):
            return None
        space_of = MapspaceCache(self.space.template.constraints)
        own = {size.level: v for v, size in enumerate(self.hardware.sizes)}
        if SCRATCHPAD in own:
            largest = max(int(f.tables[own[SCRATCHPAD]].usable_words[-1]) for f in frames)
        else:
            largest = max(f.architecture.levels[SCRATCHPAD].size_words or 0 for f in frames)
        found = {}
        for layer in self.space.workload:
            mapspace = space_of(layer.problem, widest.architecture)
            role = roles(mapspace)
            if role is None:
                return None
            found[layer.problem] = (mapspace, role)
        return lambda problem: TwoTierTable(
            *found[problem], self.hardware.sizes, self._version, largest
        )

    # -- search ------------------------------------------------------------------------------

    def run(self) -> Iterator[None]:
        """Search; yields after every node, so that the caller may look, or stop."""
        if not self.tables:
            self.finished, self.bound = True, math.inf
            return
        frames = tuple(self._ordered_frames())
        if self.closed_form and len(frames) > 1:
            self._push(0.0, Node(frames))
        else:
            for frame in frames:
                self._push(0.0, self._box(frame))
        while self._queue:
            bound, _, node = heapq.heappop(self._queue)
            self.bound = max(self.bound, min(bound, self._value))
            if bound >= self._cut:
                break
            self.effort.nodes += 1
            if node.low is None:
                self._visit_group(node)
            else:
                self._visit_box(node)
            yield
        self._queue.clear()
        self.bound = self._value
        self.finished = True

    @property
    def _value(self) -> float:
        return self.incumbent.value if self.incumbent else math.inf

    @property
    def _cut(self) -> float:
        """Bounds from here on cannot improve the incumbent."""
        exact = self.goal.mode == DELAY and not self.goal.times_area
        return self._value if exact else self._value * (1.0 - TOLERANCE)

    def _ordered_frames(self) -> list[int]:
        """Frames by number of PEs: those of a group are much alike."""
        count = range(len(self.hardware.frames))
        frames = [self.hardware.frame(i) for i in count]
        return sorted(count, key=lambda i: frames[i].architecture.compute.instances)

    def _push(self, bound: float, node: Node) -> None:
        heapq.heappush(self._queue, (bound, self._pushed, node))
        self._pushed += 1

    def _box(self, frame: int, index: tuple[Ints, ...] | None = None) -> Node:
        sizes = self.hardware.sizes
        high = tuple(size.variable.count - 1 for size in sizes)
        return Node((frame,), tuple(0 for _ in sizes), high, None, index)

    def _rows(self, frame: Frame, index: tuple[Ints, ...] | None) -> Pool:
        """Return the rows of a frame; their needs are places of sizes, not words."""
        parts = []
        for n, table in enumerate(self.tables):
            rows = table.rows(frame, None if index is None else index[n])
            need = np.empty_like(rows.need)
            for v, sizes in enumerate(frame.tables):
                need[:, v] = np.searchsorted(sizes.usable_words, rows.need[:, v])
            parts.append(replace(rows, need=need))
        pool = Pool.of(parts)
        return pool.ordered(pool.order())

    def _visit_group(self, node: Node) -> None:
        frames = [self.hardware.frame(i) for i in node.frames]
        parts = []
        for n, table in enumerate(self.tables):
            assert isinstance(table, TwoTierTable)
            parts.append(table.group_rows(frames, None if node.index is None else node.index[n]))
        usable = np.array(
            [max(f.tables[v].usable_words[-1] for f in frames) for v in range(len(self.sizes))],
            np.int64,
        )
        price = np.array([self._group_price(frames, v) for v in range(len(self.sizes))])
        pool = Pool.of(parts)
        energy = pool.energy(price, usable)
        area = min(self._area(f, None, None) for f in frames)
        if self.goal.excludes_from(area):
            return
        found = self._narrow(pool, energy, area)
        if found is not None and self.incumbent is None:
            self._try_group(node, found, self._try)
            found = self._narrow(pool, energy, area)
        if found is None:
            return
        bound, pool = found[:2]
        self._try_group(node, found, self._settle)
        if bound >= self._cut:
            return
        index = _indices_of(pool)
        middle = len(node.frames) // 2
        for part in (node.frames[:middle], node.frames[middle:]):
            child = self._box(part[0], index) if len(part) == 1 else Node(part, index=index)
            self._push(bound, child)

    def _group_price(self, frames: Sequence[Frame], v: int) -> float:
        """Least price per word of a size variable's level over frames and sizes."""
        level = self.sizes[v].level
        return min(
            float(np.nanmin(f.tables[v].price_pj[:, :3])) / f.architecture.levels[level].block_size
            for f in frames
        )

    @property
    def sizes(self) -> tuple[object, ...]:
        """The size variables."""
        return self.hardware.sizes

    def _try_group(
        self, node: Node, found: Narrowed, attempt: Callable[[int, tuple[int, ...], Pool], object]
    ) -> None:
        """Settle a design of the group's last frame, the one with the most PEs."""
        frame = self.hardware.frame(node.frames[-1])
        _, pool, _, joint = found
        need = pool.rows.need[joint.points].max(axis=0, initial=0)
        point = self._indices(frame, need)
        if point is not None:
            attempt(node.frames[-1], point, self._rows(frame, _indices_of(pool)))

    def _narrow(self, pool: Pool, energy: Floats, area: float) -> Narrowed | None:
        """Bound a node, and drop rows that cannot be in anything better than the incumbent.

        Returns the bound, the rows that are left, their points, and a choice of one per layer:
        the best where that was computed; None where the node holds nothing better.
        """
        factor = self.goal.factor(area)
        points = pool.points(self._weight, energy)
        supports = new_supports(len(self._weight), self._multipliers(points))
        find_supports(points, supports)
        if math.isinf(supports.total[0]):
            return None  # some layer has no mapping here
        bound = polygon_minimum(supports, self.goal.mode) * factor
        cut = self._cut
        if bound >= cut:
            return None
        if math.isfinite(cut) and factor > 0:
            useful = np.empty(len(pool), np.bool_)
            mark_useful(points, supports, self.goal.mode, cut / factor, useful)
            pool, energy = pool.take(useful), energy[useful]
            if (np.diff(pool.first) == 0).any():
                return None
            points = pool.points(self._weight, energy)
        if len(pool) > _FEW:
            return bound, pool, points, self._rough(points)
        order = pool.order()
        pool, energy = pool.ordered(order), energy[order]
        points = pool.points(self._weight, energy)
        joint = joint_minimum(points, self.goal.mode)
        assert joint is not None
        bound = max(bound, joint.value * factor)
        return None if bound >= cut else (bound, pool, points, joint)

    def _multipliers(self, points: Points) -> Floats:
        if self.incumbent is not None:
            ratio = self.incumbent.metrics.energy_pj / self.incumbent.metrics.cycles
        else:
            known = points.energy[np.isfinite(points.energy)]
            ratio = float(known.mean() / points.cycles.mean()) if len(known) else 1.0
        return np.concatenate([[0.0], ratio * _SPREAD])

    def _rough(self, points: Points) -> Joint:
        """Return the best of the choices that the supports stand for."""
        supports = new_supports(len(self._weight), self._multipliers(points))
        find_supports(points, supports)
        best: Joint | None = None
        for k in range(supports.best.shape[1]):
            chosen = supports.best[:, k]
            x = float(self._weight @ points.energy[chosen])
            y = float(self._weight @ points.cycles[chosen])
            value = (x * y, x, y)[self.goal.mode]
            if best is None or value < best.value:
                best = Joint(value, x, y, chosen.copy())
        assert best is not None
        return best

    def _visit_box(self, node: Node) -> None:
        number = node.frames[0]
        frame = self.hardware.frame(number)
        low, high = node.low or (), node.high
        area = self._area(frame, low, high)
        if self.goal.excludes_from(area) or self._bits(frame, low) > self.hardware.budget_bits:
            return
        price = frame.least_price(low, high)
        if not np.isfinite(price).all():
            return  # the chain has no price for any of these sizes
        pool = self._rows(frame, node.index) if node.pool is None else node.pool
        found = self._narrow(pool, _least_energy(frame, pool, low, high), area)
        if found is None:
            return
        bound, pool, points, joint = found
        wanted = pool.rows.need[joint.points].max(axis=0, initial=0)
        point = tuple(max(int(a), b) for a, b in zip(wanted, low, strict=True))
        self._settle(number, point, pool)
        if bound >= self._cut:
            return
        if low == high:
            return  # settled by the model
        self._split(replace(node, pool=pool, index=None), bound, point, points, joint)

    def _split(
        self, node: Node, bound: float, point: tuple[int, ...], points: Points, joint: Joint
    ) -> None:
        """Split a box where the price of what the choice needs rises most, else in the middle."""
        low, high = node.low or (), node.high
        frame = self.hardware.frame(node.frames[0])
        pool = node.pool
        assert pool is not None
        rise = [0.0] * len(low)
        weighted = self._weight @ pool.rows.accesses[joint.points]
        step = np.nan_to_num(frame.price_at(point) - frame.price_at(low)) * weighted
        for column, more in zip(frame.columns, step, strict=True):
            rise[column.size] += float(more)
        able = [v for v in range(len(low)) if point[v] > low[v]]
        if able:
            v = max(able, key=lambda i: rise[i])
            cut = point[v]
        else:
            # the choice fits the smallest hardware, and is yet no better by the model, or that
            # hardware is not possible: set it apart
            v = max(range(len(low)), key=lambda i: high[i] - low[i])
            cut = low[v] + 1
        below, above = list(high), list(low)
        below[v], above[v] = cut - 1, cut
        self._push(bound, replace(node, high=tuple(below)))
        self._push(bound, replace(node, low=tuple(above)))

    # -- hardware ----------------------------------------------------------------------------

    def _indices(self, frame: Frame, need: npt.NDArray[np.generic]) -> tuple[int, ...] | None:
        """Return the smallest sizes that hold so many words; None where none does."""
        found = []
        for v, table in enumerate(frame.tables):
            index = int(np.searchsorted(table.usable_words, need[v]))
            if index == len(table.usable_words):
                return None
            found.append(index)
        return tuple(found)

    def _area(
        self, frame: Frame, low: tuple[int, ...] | None, high: tuple[int, ...] | None
    ) -> float:
        if not self.goal.needs_area:
            return 0.0
        total = frame.fixed_area_um2
        for v, table in enumerate(frame.tables):
            first = low[v] if low is not None else 0
            last = high[v] if high is not None else len(table.area_um2) - 1
            total += float(least(table.area_um2, first, last))
        # the template's sum adds up in another order
        return total * (1.0 - 1e-14)

    def _bits(self, frame: Frame, low: tuple[int, ...]) -> float:
        own = sum(float(t.bits[i]) for t, i in zip(frame.tables, low, strict=True))
        return frame.fixed_bits + own

    def _possible(self, frame: Frame, point: tuple[int, ...]) -> bool:
        return self._build(self._values(frame, point)) is not None

    def _values(self, frame: Frame, point: tuple[int, ...]) -> Values:
        chosen = {
            size.variable.name: size.variable.value_at(i)
            for size, i in zip(self.hardware.sizes, point, strict=True)
        }
        known = {**frame.values, **chosen}
        return {v.name: known[v.name] for v in self.space.template.variables}

    def _build(self, values: Values) -> Architecture | None:
        """Return the priced hardware; None where there is none, or it is too large."""
        try:
            architecture = self.space.architecture(values)
        except SpecError:
            return None
        return architecture if self.goal.admits(architecture.area_um2) else None

    def _settle(self, number: int, point: tuple[int, ...], pool: Pool) -> None:
        """Find the best choice on one hardware, and take it when the exact model says better.

        When it is, hardware around it is tried with the same rows: a good incumbent early on
        spares nodes.
        """
        if self._try(number, point, pool):
            while (better := self._step(number, point, pool)) is not None:
                point = better
                self._try(number, point, pool)

    def _step(
        self, number: int, point: tuple[int, ...], pool: Pool
    ) -> tuple[int, ...] | None:
        """Return the best of the sizes around a point where it beats the incumbent."""
        frame = self.hardware.frame(number)
        best, value = None, self._value * (1.0 - 1e-9)
        for v, table in enumerate(frame.tables):
            for ratio in _RATIOS:
                index = round((point[v] + 1) * ratio) - 1
                index = max(min(index, len(table.bits) - 1), 0)
                if index == point[v]:
                    continue
                moved = (*point[:v], index, *point[v + 1 :])
                found = self._predict(frame, moved, pool)
                if found is not None and found[0] < value:
                    value = found[0]
                    need = pool.rows.need[found[1].points].max(axis=0, initial=0)
                    best = tuple(int(i) for i in need)
        return best

    def _predict(
        self, frame: Frame, point: tuple[int, ...], pool: Pool
    ) -> tuple[float, Joint] | None:
        """Return the least value on one hardware, and the choice."""
        price = frame.price_at(point)
        if not np.isfinite(price).all():
            return None
        energy = pool.energy(price, np.array(point, np.int64))
        joint = joint_minimum(pool.points(self._weight, energy), self.goal.mode)
        if joint is None:
            return None
        return joint.value * self.goal.factor(self._area(frame, point, point)), joint

    def _try(self, number: int, point: tuple[int, ...], pool: Pool) -> bool:
        """Settle one hardware by the exact model; return whether it is the new incumbent."""
        key = (number, *point)
        if key in self._tried:
            return False
        frame = self.hardware.frame(number)
        found = self._predict(frame, point, pool)
        if found is None or found[0] >= self._cut:
            self._tried.add(key)
            return False
        values = self._values(frame, point)
        architecture = self._build(values)
        if architecture is None:
            self._tried.add(key)
            return False
        self.effort.designs += 1
        before = self._value
        self._offer(values, architecture, frame, [[r] for r in found[1].points], pool)
        # rows may stand for mappings that the model prices a little higher: with those in question
        # all of their mappings are compared
        energy = pool.energy(frame.price_at(point), np.array(point, np.int64))
        points = pool.points(self._weight, energy)
        supports = new_supports(len(self._weight), self._multipliers(points))
        find_supports(points, supports)
        useful = np.empty(len(pool), np.bool_)
        factor = self.goal.factor(self._area(frame, point, point)) or 1.0
        count = mark_useful(points, supports, self.goal.mode, self._cut / factor, useful)
        if count and found[0] < self._cut and count <= _CLOSE:
            rows = np.flatnonzero(useful)
            layer = np.searchsorted(pool.first, rows, side="right") - 1
            choices = [rows[layer == n].tolist() for n in range(len(self.tables))]
            if all(choices):
                self._offer(values, architecture, frame, choices, pool)
        if count <= _CLOSE:
            self._tried.add(key)
        return self._value < before

    def _offer(
        self,
        values: Values,
        architecture: Architecture,
        frame: Frame,
        choices: Sequence[Sequence[int]],
        pool: Pool,
    ) -> None:
        """Take the best of these rows' mappings, by the exact model, when it is better."""
        parts: list[MappingBatch] = []
        points = []
        for n, layer in enumerate(self.space.workload):
            numbers = [int(pool.rows.index[r]) for r in choices[n]]
            every = [m for i in numbers for m in self.tables[n].mappings(frame, i)]
            batch = MappingBatch.of(every)
            m = self._evaluator.evaluate(architecture, layer.problem, batch)
            kept = np.flatnonzero(m.valid)
            kept = kept[np.lexsort((m.energy_pj[kept], m.cycles[kept]))]
            parts.append(batch.take(kept))
            points.append((m.energy_pj[kept], m.cycles[kept]))
        first = np.cumsum([0, *(len(e) for e, _ in points)]).astype(np.int64)
        energy, cycles = (np.concatenate(column) for column in zip(*points, strict=True))
        joint = joint_minimum(Points(first, self._weight, energy, cycles), self.goal.mode)
        if joint is None:
            return
        mappings = tuple(
            part[int(r - start)]
            for part, r, start in zip(parts, joint.points, first, strict=False)
        )
        metrics = self._metrics(architecture, mappings)
        value = self.goal.objective(metrics)
        if value < self._value:
            self.incumbent = Incumbent(Design(values, mappings), metrics, value)

    def _metrics(self, architecture: Architecture, mappings: tuple[Mapping, ...]) -> DesignMetrics:
        layers = []
        for layer, mapping in zip(self.space.workload, mappings, strict=True):
            m = self._evaluator.evaluate(architecture, layer.problem, MappingBatch.of([mapping]))
            assert m.valid[0], (layer, mapping)
            layers.append(
                LayerMetrics(
                    layer.name,
                    layer.count,
                    float(m.cycles[0]),
                    float(m.energy_pj[0]),
                    float(m.utilization[0]),
                )
            )
        return DesignMetrics.of(
            tuple(layers),
            self.space.workload.macs,
            architecture.compute.instances,
            architecture.area_um2,
        )


def _least_energy(
    frame: Frame, pool: Pool, low: tuple[int, ...], high: tuple[int, ...]
) -> Floats:
    """Return the least energy of each row in a box.

    Where a row is chosen, every size is at least what it needs, so its own accesses cost no less
    than there.
    """
    energy = pool.rows.base_pj.copy()
    for k, column in enumerate(frame.columns):
        v = column.size
        part = column.price_pj[low[v] : high[v] + 1]
        # the least price of all sizes from each one up
        upward = np.fmin.accumulate(part[::-1])[::-1]
        place = np.clip(pool.rows.need[:, v] - low[v], 0, len(upward) - 1)
        energy += pool.rows.accesses[:, k] * upward[place]
    for v, most in enumerate(high):
        energy[pool.rows.need[:, v] > most] = np.inf
    return energy


def _indices_of(pool: Pool) -> tuple[Ints, ...]:
    return tuple(pool.index(n) for n in range(len(pool.first) - 1))


def _alike(frames: Sequence[Frame]) -> bool:
    """Whether mappings of all frames obey the same constraints on the same axes."""
    first = frames[0].architecture
    axes = [[x > 1 for x in first.fanout(s)] for s in range(len(first.levels))]
    for frame in frames[1:]:
        other = frame.architecture
        if other.constraints != first.constraints:
            return False
        if [[x > 1 for x in other.fanout(s)] for s in range(len(first.levels))] != axes:
            return False
    return True


__all__ = ["ACCUMULATOR", "CoSearch", "Supports", "TooLarge"]
