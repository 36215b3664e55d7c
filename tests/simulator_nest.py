"""Sections 2 to 6 of Timeloop's dense rules, literally: the loop nest and who needs which words.

The temporal loops are really counted through, the state machine really keeps its memory, every
spatial element is really listed, and every grid neighbour is really asked whether it holds the
wanted data. See :mod:`simulator`.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem

Vector = tuple[int, ...]
Elements = list[int]


@dataclass(frozen=True)
class Loop:
    """One loop of the nest; ``stride`` is the product of the inner bounds of its dimension."""

    level: int
    dimension: int
    bound: int
    stride: int
    spatial: bool
    on_x: bool = False


@dataclass(frozen=True)
class Delta:
    """The words that one child must receive at one step: a box, less what it still holds.

    ``place`` is where the box begins, ``held`` where the overlapping box of the step before
    began relative to it (None: nothing is reused).
    """

    place: Vector
    held: Vector | None
    words: int

    def shift_from(self, before: Delta | None) -> Vector | None:
        """Return the translation that turns ``before`` into this point set, if there is one."""
        if before is None or before.words == 0 or self.words == 0 or before.held != self.held:
            return None
        return minus(self.place, before.place)


@dataclass
class Record:
    """Accesses at the parent that serve ``multicast`` children each; hops are summed."""

    accesses: float = 0
    hops: float = 0.0


@dataclass
class Cell:
    """One tensor at one level while the counts are worked out."""

    size: int = 0
    part: int = 0
    records: dict[tuple[int, int], Record] = field(default_factory=dict)
    content: float = 0
    link_transfers: int = 0
    parent_share: float = 0.0
    peer: float = 0.0

    def wipe_storage(self) -> None:
        self.size = self.part = 0
        self.content = 0
        self.parent_share = 0.0

    def sorted_records(self) -> list[tuple[int, Record]]:
        return [(m, self.records[m, c]) for m, c in sorted(self.records)]

    def deliveries(self) -> float:
        total: float = 0
        for multicast, record in self.sorted_records():
            total += record.accesses * multicast
        return total


def plus(a: Vector, b: Vector) -> Vector:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def minus(a: Vector, b: Vector) -> Vector:
    return tuple(x - y for x, y in zip(a, b, strict=True))


def times(k: int, a: Vector) -> Vector:
    return tuple(k * x for x in a)


class Nest:
    """The loop nest of one mapping and the geometry that follows from it (sections 2 to 6)."""

    def __init__(
        self, architecture: Architecture, problem: Problem, mapping: Mapping, version: str
    ) -> None:
        self.architecture = architecture
        self.mapping = mapping
        self.head = version == "4cf6d4c"
        self.levels = len(architecture.levels)
        self.rows = [
            [
                {
                    problem.dimensions.index(x.dimension): (
                        1 if x.coefficient is None else problem.coefficients[x.coefficient]
                    )
                    for x in row
                }
                for row in space.projection
            ]
            for space in problem.shape.data_spaces
        ]
        self.loops = self._list_loops(len(problem.dimensions))

    def _list_loops(self, dimensions: int) -> list[Loop]:
        """All loops of bound above 1 from the innermost outwards."""
        loops: list[Loop] = []
        inside = [1] * dimensions
        for s in range(self.levels):
            for place in range(dimensions):
                d = int(self.mapping.spatial_permutation[s, place])
                n = int(self.mapping.spatial[s, d])
                if n > 1:
                    on_x = place < int(self.mapping.split[s])
                    loops.append(Loop(s, d, n, inside[d], spatial=True, on_x=on_x))
                    inside[d] *= n
            for place in range(dimensions):
                d = int(self.mapping.permutation[s, place])
                n = int(self.mapping.temporal[s, d])
                if n > 1:
                    loops.append(Loop(s, d, n, inside[d], spatial=False))
                    inside[d] *= n
        return loops

    def spatial_loops(self, s: int) -> list[Loop]:
        """Spatial loops of level ``s``, innermost first (all X loops lie inside the Y loops)."""
        return [x for x in self.loops if x.level == s and x.spatial]

    def temporal_loops_from(self, s: int) -> list[Loop]:
        """Temporal loops of level ``s`` and of all levels outside it, innermost first."""
        return [x for x in self.loops if x.level >= s and not x.spatial]

    def move(self, t: int, loop: Loop) -> Vector:
        """How far one step of the loop moves the coordinates of tensor ``t``."""
        return tuple(row.get(loop.dimension, 0) * loop.stride for row in self.rows[t])

    def box(self, t: int, loops: list[Loop]) -> Vector:
        """Sides of the box that the loops span in tensor ``t``."""
        extent: Counter[int] = Counter()
        for loop in loops:
            extent[loop.dimension] = max(extent[loop.dimension], 1) * loop.bound
        return tuple(
            1 + sum(c * (extent[d] - 1) for d, c in row.items() if d in extent)
            for row in self.rows[t]
        )

    def tile(self, t: int, s: int) -> Vector:
        """Sides of the tile of level ``s``; level -1 is a MAC, which holds one word."""
        return self.box(t, [x for x in self.loops if x.level <= s])

    def size(self, t: int, s: int) -> int:
        return math.prod(self.tile(t, s))

    def spatial_size(self, t: int, s: int) -> int:
        """Words spanned by the children of one instance of level ``s`` at one step."""
        inner = [x for x in self.loops if x.level < s]
        return math.prod(self.box(t, inner + self.spatial_loops(s)))

    def steps(self, t: int, s: int) -> list[tuple[int, Delta]]:
        """Count through the temporal loops above the child of level ``s``: (weight, delta)s.

        Each loop runs iterations 0 and 1 only; iteration 1 stands for all but the first.
        """
        loops = self.temporal_loops_from(s)
        sides = self.tile(t, s - 1)
        whole = math.prod(sides)
        always_reload = s == 0 or bool(self.mapping.no_temporal_reuse[s - 1, t])
        steps: list[tuple[int, Delta]] = []
        place: Vector | None = None
        last_move: Vector | None = None
        for digits in itertools.product((0, 1), repeat=len(loops)):
            bits = digits[::-1]  # the innermost loop is the fastest digit
            weight = 1
            here: Vector = (0,) * len(sides)
            for bit, loop in zip(bits, loops, strict=True):
                if bit:
                    weight *= loop.bound - 1
                    here = plus(here, self.move(t, loop))
            reuse = False
            if place is not None and not always_reload:
                tau = minus(here, place)
                if self.head and not any(tau):
                    reuse = True
                elif last_move is None:
                    last_move, reuse = tau, True
                elif tau == last_move:
                    reuse = True
                else:
                    last_move = None
            steps.append((weight, self._delta(sides, whole, here, place if reuse else None)))
            place = here
        return steps

    @staticmethod
    def _delta(sides: Vector, whole: int, here: Vector, held: Vector | None) -> Delta:
        if held is None:
            return Delta(here, None, whole)
        overlap = 1
        for side, now, before in zip(sides, here, held, strict=True):
            overlap *= len(set(range(now, now + side)) & set(range(before, before + side)))
        if overlap == 0:
            return Delta(here, None, whole)
        return Delta(here, minus(held, here), whole - overlap)

    def events(self, t: int, s: int) -> dict[tuple[int, Vector | None], int]:
        """Total weight of the steps that deliver something, by (words, translation)."""
        totals: dict[tuple[int, Vector | None], int] = defaultdict(int)
        before: Delta | None = None
        for weight, delta in self.steps(t, s):
            if delta.words > 0:
                totals[delta.words, delta.shift_from(before)] += weight
            before = delta
        return totals

    def fill_cell(self, t: int, s: int) -> Cell:
        """Distribute every event over the children: records, content accesses, link transfers."""
        cell = Cell(size=self.size(t, s))
        grid = Grid(self, t, s)
        shared = not self.mapping.no_multicast[s, t]
        links = len(grid.offsets) > 1 and not self.mapping.no_link_transfer[s, t]
        everyone = list(range(len(grid.offsets)))
        for (words, shift), weight in self.events(t, s).items():
            groups = grid.groups(everyone, shared)
            if links and shift is not None:
                rest = [i for i in everyone if not grid.is_linked(i, shift)]
                rest_groups = grid.groups(rest, shared)
                if len(rest_groups) < len(groups):
                    groups = rest_groups
                    cell.link_transfers += (len(everyone) - len(rest)) * words * weight
            histogram = Counter(len(group) for group in groups)
            for multicast, scatter in histogram.items():
                record = cell.records.setdefault((multicast, scatter), Record())
                accesses = words * weight * scatter
                hops = sum(grid.hops(g) for g in groups if len(g) == multicast)
                record.accesses += accesses
                record.hops += hops * accesses / scatter
        cell.content = sum(record.accesses for record in cell.records.values())
        return cell


class Grid:
    """The children of one level, where they sit, and how tensor ``t`` is displaced in each."""

    def __init__(self, nest: Nest, t: int, s: int) -> None:
        loops = nest.spatial_loops(s)
        logical_x = math.prod(x.bound for x in loops if x.on_x)
        logical_y = math.prod(x.bound for x in loops if not x.on_x)
        fanout_x, fanout_y = nest.architecture.fanout(s)
        self.width = max(fanout_x, logical_x)
        self.height = max(fanout_y, logical_y)
        self.offsets: list[Vector] = []
        for digits in itertools.product(*(range(x.bound) for x in reversed(loops))):
            offset: Vector = (0,) * len(nest.rows[t])
            for index, loop in zip(digits[::-1], loops, strict=True):
                offset = plus(offset, times(index, nest.move(t, loop)))
            self.offsets.append(offset)

    def position(self, i: int) -> tuple[int, int]:
        return i % self.width, i // self.width

    def neighbours(self, i: int) -> Elements:
        h, v = self.position(i)
        places = [(h - 1, v), (h + 1, v), (h, v - 1), (h, v + 1)]
        inside = [(a, b) for a, b in places if 0 <= a < self.width and 0 <= b < self.height]
        return [b * self.width + a for a, b in inside if b * self.width + a < len(self.offsets)]

    def is_linked(self, i: int, shift: Vector) -> bool:
        """Whether a neighbour held, one step ago, exactly what element ``i`` now needs."""
        return any(minus(self.offsets[q], self.offsets[i]) == shift for q in self.neighbours(i))

    def groups(self, members: Elements, shared: bool) -> list[Elements]:
        """Elements that one transfer serves: those with equal offsets, if sharing is allowed."""
        if not shared:
            return [[i] for i in members]
        by_offset: dict[Vector, Elements] = defaultdict(list)
        for i in members:
            by_offset[self.offsets[i]].append(i)
        return list(by_offset.values())

    def hops(self, group: Elements) -> float:
        """Wire segments of one transfer: along the row, then up and down in every column."""
        if len(self.offsets) == 1:
            return 0.0
        places = [self.position(i) for i in group]
        centre = (self.height - 1) / 2
        total: float = max(h for h, _ in places)
        for column in sorted({h for h, _ in places}):
            rows = [v for h, v in places if h == column]
            total += max(0.0, centre - min(rows)) + max(0.0, max(rows) - centre)
        return total
