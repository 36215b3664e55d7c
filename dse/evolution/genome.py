"""Mappings as vectors of numbers in [0, 1], after NAAS (Lin, Yang and Han, DAC 2021, section II-B).

The vector holds, in this order,

- *tile ratios*: per dimension of more than one iteration and place that may hold a factor of it
  (all but the last: that takes what is left), how much of what is left goes there;
- *loop orders*: per level with a free order, an importance of every dimension (the most important
  is the outermost loop), or one index into the list of all orders;
- where the space leaves them free, the axis of a dimension (X below one half) and whether a
  tensor is kept (from one half on).

Places are filled from the array outwards: spatial ones first, so that the ratio of a temporal one
is the share of the dimension in the tile of its level. Spaces on several pieces of hardware
share one layout; numbers that mean nothing on one of them are ignored there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import MappingBatch
from dse.errors import SpecError
from dse.mapspace.factorization import Factorizations, factorizations
from dse.mapspace.outline import Slot
from dse.mapspace.space import Mapspace
from dse.numeric import Floats, Ints

ENCODINGS = ("importance", "index")
TILES = ("log", "linear")
#: Ratios are looked up in so many bins.
BINS = 16
#: Where searches start: the array filled, the innermost tiles small, tensors rather kept than
#: bypassed (above all at the outermost level that leaves it open), all else undecided.
_ARRAY, _INNERMOST, _KEPT, _KEPT_INSIDE, _UNDECIDED = 1.0, 0.15, 0.9, 0.7, 0.5

#: A storage level, and whether its spatial loops are meant; Timeloop calls both tiling levels.
_TilingLevel = tuple[int, bool]


class GenomeArrays(NamedTuple):
    """A genome for the decoder: H hardware, L levels, D dimensions, J steps, T tensors.

    A step gives one dimension its factor at one place; the steps of a dimension follow each other
    and walk through the lattice of its factorisations.
    """

    steps: Ints  # (H,) how many there are
    dimension: Ints  # (H, J)
    level: Ints  # (H, J)
    spatial: npt.NDArray[np.bool_]  # (H, J)
    ratio: Ints  # (H, J) number that says the factor, -1: none does
    root: Ints  # (H, J) lattice node that the walk begins at, -1: it goes on
    passed: Ints  # (H, J) edges of a node that one bin of ratios spans at most
    first: Ints  # (V,) first edge of each node
    largest: Floats  # (V,) largest factor, on the scale on which ratios are measured
    near: Ints  # (V, BINS + 1) edge at which each bin of ratios begins
    factor: Floats  # (E,)
    middle: Floats  # (E,) halfway to the next factor of the node, on that scale
    target: Ints  # (E,) node
    order: npt.NDArray[np.int8]  # (H, L, D) innermost first; a stretch of it is free
    free_start: Ints  # (H, L)
    free_count: Ints  # (H, L)
    rank: Ints  # (L, D) number that says a dimension's place in the order, -1: none does
    axis: npt.NDArray[np.int8]  # (H, L, D) 0: X, 1: Y, 2: either
    axis_gene: Ints  # (L, D)
    axis_order: npt.NDArray[np.int8]  # (H, L, D)
    keep: npt.NDArray[np.int8]  # (H, L, T) 0: bypass, 1: keep, 2: either
    keep_gene: Ints  # (L, T)
    by_index: bool  # orders are numbered, not ranked by importance
    orders_vary: npt.NDArray[np.bool_]  # (L,) between hardware
    axes_vary: npt.NDArray[np.bool_]  # (L,) between hardware or vectors
    any_axes_vary: bool
    keeps_vary: bool
    orders: Ints  # (2,) first of the numbers that only orders depend on, and first behind them
    flags: int  # first of the numbers that are flags


@dataclass(frozen=True)
class Coding:
    """How vectors are read.

    Attributes:
        encoding: of loop orders: ``importance`` or ``index``.
        tiles: ``log``: ratios are shares of the logarithm of what is left; ``linear``: of itself.
        order: dimensions, outermost first: where given, orders are fixed to it and not searched.
    """

    encoding: str = "importance"
    tiles: str = "log"
    order: tuple[str, ...] | None = None


class Genome:
    """The layout of vectors for one problem, on one space per piece of hardware.

    Args:
        spaces: H feasible spaces of one problem.
        coding: how vectors are read.

    Attributes:
        arrays: for :func:`dse.evolution.draw.draw_into`.
        free: whether there is anything to search; if not, one number stands there for nothing.
        start: ``(n,)`` where a search starts.
        spatial_used, temporal_used: ``(L, D)`` places that any of the spaces has.
    """

    def __init__(self, spaces: Sequence[Mapspace], coding: Coding) -> None:
        if any(space.arrays.least_parallel > 1 for space in spaces):
            raise SpecError(
                "a least parallelism (min_parallelism, or a constraint of type 'utilization') "
                "cannot be held by vectors that stand for mappings; expected a mapper such as gamma"
            )
        self.spaces = tuple(spaces)
        self.coding = coding
        self._one = spaces[0].empty_batch(1)
        self._names = spaces[0].problem.dimensions
        levels, dimensions = spaces[0].arrays.order.shape
        self._shape = (len(spaces), levels, dimensions)
        self._start: list[float] = []
        self.temporal_used = np.zeros((levels, dimensions), np.bool_)
        self.spatial_used = np.zeros((levels, dimensions), np.bool_)
        self.arrays = GenomeArrays(
            **self._factor_arrays(), **self._order_arrays(), **self._keep_arrays()
        )
        self.start = np.array(self._start)

    def __len__(self) -> int:
        return len(self.start)

    def empty_batch(self, count: int) -> MappingBatch:
        """Return memory for ``count`` mappings on any of the hardware."""
        one = self._one
        axes = count if self.arrays.any_axes_vary else 1
        wide = {
            "spatial_permutation": axes,
            "split": axes,
            "keep": count if self.arrays.keeps_vary else 1,
        }
        fields = {
            name: np.repeat(getattr(one, name), wide.get(name, count), axis=-1)
            for name in ("temporal", "spatial", *wide)
        }
        flags = ("no_temporal_reuse", "no_multicast", "no_link_transfer")
        fields["permutation"] = np.repeat(self.arrays.order[0][:, :, None], count, axis=2)
        return MappingBatch(**fields, **{name: getattr(one, name) for name in flags})

    def _gene(self, start: float) -> int:
        self._start.append(start)
        return len(self._start) - 1

    def _factor_arrays(self) -> dict[str, Any]:
        """Lay out the tile ratios, and join the lattices of all dimensions on all hardware."""
        walks = [
            [
                _walk(space.problem.bounds[d], tuple(slots))
                for d, slots in zip(self._names, space.slots, strict=True)
            ]
            for space in self.spaces
        ]
        genes = self._ratio_genes(walks)
        lattices = _Lattices(self.coding.tiles)
        steps: list[list[tuple[int, ...]]] = []
        for row in walks:
            steps.append([])
            for d, walk in enumerate(row):
                for place in walk.places:
                    used = self.spatial_used if place[1] else self.temporal_used
                    used[place[0], d] = True
                root, passed = lattices.add(walk.lattice)
                if walk.lattice.bound == 1:
                    continue  # all its factors are 1
                for k, place in enumerate(walk.places):
                    gene, start = genes.get((d, place), -1), -1 if k else root
                    steps[-1].append((d, *place, gene, start, passed))
        counts = [len(row) for row in steps]
        table = np.zeros((6, len(steps), max(counts)), np.int64)
        for h, own in enumerate(steps):
            table[:, h, : counts[h]] = np.array(own, np.int64).reshape(-1, 6).T
        dimension, level, spatial, ratio, roots, passes = table
        return {
            "steps": np.array(counts, np.int64),
            **{"dimension": dimension, "level": level, "spatial": spatial.astype(np.bool_)},
            **{"ratio": ratio, "root": roots, "passed": passes},
            **lattices.arrays(),
        }

    def _ratio_genes(self, walks: list[list[_SlotWalk]]) -> dict[tuple[int, _TilingLevel], int]:
        """Number the ratios; the place that is filled last gets none, as nothing is left to say."""
        wanted = {
            (d, place)
            for row in walks
            for d, walk in enumerate(row)
            if walk.lattice.bound > 1
            for place, free in list(zip(walk.places, walk.free, strict=True))[:-1]
            if free
        }
        ordered = sorted(wanted, key=lambda item: (item[0], not item[1][1], item[1][0]))
        innermost = {d: min(place[0] for e, place in ordered if e == d) for d, _ in ordered}
        return {
            (d, place): self._gene(
                _ARRAY if place[1] else _INNERMOST if place[0] == innermost[d] else _UNDECIDED
            )
            for d, place in ordered
        }

    def _order_arrays(self) -> dict[str, Any]:
        """Lay out loop orders, axes and keeps."""
        parts = [space.arrays for space in self.spaces]
        first = len(self._start)
        order = np.stack([x.order for x in parts])
        start = np.stack([x.free_start for x in parts])
        count = np.stack([x.free_count for x in parts])
        if self.coding.order is not None:
            order = self._fixed(order, start, count)
            count = np.zeros_like(count)
        by_index = self.coding.encoding == "index"
        axis = np.stack([x.axis for x in parts])
        empty = [space.empty_batch(1) for space in self.spaces]
        axis_order = np.stack([x.spatial_permutation[:, :, 0] for x in empty])
        axes_vary = _vary(axis) | _vary(axis_order) | (axis == 2).any(axis=(0, 2))
        rank = self._order_genes(order, start, count, by_index)
        return {
            "order": order,
            "free_start": start,
            "free_count": count,
            "rank": rank,
            "orders": np.array([first, len(self._start)]),
            "axis": axis,
            "axis_gene": self._genes_where((axis == 2).any(axis=0)),
            "axis_order": axis_order,
            "by_index": by_index,
            "orders_vary": _vary(order),
            "axes_vary": axes_vary,
            "any_axes_vary": bool(axes_vary.any()),
        }

    def _keep_arrays(self) -> dict[str, Any]:
        """Lay out what is kept where: flags, the last of the vector."""
        keep = np.stack([space.arrays.keep for space in self.spaces])
        self.free = bool(self._start) or bool((keep == 2).any())
        if not self._start:
            self._gene(_UNDECIDED)  # a search wants at least one number
        numbers = len(self._start)
        wanted = (keep == 2).any(axis=0)
        genes = np.full(wanted.shape, -1, np.int64)
        outer = max(np.flatnonzero(wanted.any(axis=1)), default=0)
        for level, tensor in zip(*np.nonzero(wanted), strict=True):
            genes[level, tensor] = self._gene(_KEPT if level == outer else _KEPT_INSIDE)
        return {
            "flags": numbers,
            "keep": keep,
            "keep_gene": genes,
            "keeps_vary": bool((keep == 2).any() or _vary(keep).any()),
        }

    def _order_genes(
        self, order: npt.NDArray[np.int8], start: Ints, count: Ints, by_index: bool
    ) -> Ints:
        """Number the importances ``(L, D)``; an index stands for all dimensions of its level."""
        hardware, levels, dimensions = self._shape
        movable = np.zeros((levels, dimensions), np.bool_)
        for h in range(hardware):
            for s in range(levels):
                if count[h, s] > 1:
                    movable[s, order[h, s, start[h, s] : start[h, s] + count[h, s]]] = True
        if not by_index:
            return self._genes_where(movable)
        genes = np.full((levels, dimensions), -1, np.int64)
        for level in np.flatnonzero(movable.any(axis=1)):
            genes[level] = self._gene(_UNDECIDED)
        return genes

    def _genes_where(self, wanted: npt.NDArray[np.bool_], start: float = _UNDECIDED) -> Ints:
        genes = np.full(wanted.shape, -1, np.int64)
        for place in zip(*np.nonzero(wanted), strict=True):
            genes[place] = self._gene(start)
        return genes

    def _fixed(self, order: npt.NDArray[np.int8], start: Ints, count: Ints) -> npt.NDArray[np.int8]:
        """Sort the free stretches of all orders as the coding says; others stay innermost."""
        wanted = [self._names.index(d) for d in self.coding.order or () if d in self._names]
        place = {d: len(wanted) - i for i, d in enumerate(wanted)}
        order = order.copy()
        hardware, levels, _ = self._shape
        for h in range(hardware):
            for s in range(levels):
                stretch = slice(start[h, s], start[h, s] + count[h, s])
                order[h, s, stretch] = sorted(order[h, s, stretch], key=lambda d: place.get(d, 0))
        return order


def _vary(rows: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Which levels ``(L,)`` differ between hardware, by rows ``(H, L, ..)``."""
    differs: npt.NDArray[np.bool_] = (rows != rows[0]).any(axis=(0, 2))
    return differs


@dataclass(frozen=True)
class _SlotWalk:
    """One dimension on one hardware: its places in the order of filling, which of them are free."""

    places: tuple[_TilingLevel, ...]
    free: tuple[bool, ...]
    lattice: Factorizations


@lru_cache(maxsize=4096)
def _walk(bound: int, given: tuple[Slot, ...]) -> _SlotWalk:
    slots = sorted(given, key=lambda slot: (not slot.spatial, slot.level))
    lattice = factorizations(
        bound,
        tuple(slot.cap for slot in slots),
        tuple(slot.fixed for slot in slots),
        tuple(slot.least for slot in slots),
    )
    return _SlotWalk(
        tuple((slot.level, slot.spatial) for slot in slots),
        tuple(not slot.fixed for slot in slots),
        lattice,
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """A lattice of V nodes and E edges, its edges measured for the ratios.

    Attributes:
        largest: ``(V,)`` size of the last edge of each node.
        near: ``(V, BINS + 1)`` edge at which each bin of ratios begins.
        middle: ``(E,)`` halfway to the next edge of the node; infinite for its last one.
        passed: edges that a bin spans at most.
    """

    largest: Floats
    near: Ints
    middle: Floats
    passed: int


@lru_cache(maxsize=4096)
def _measured(lattice: Factorizations, log: bool) -> _Measured:
    factor = lattice.factor.astype(np.float64)
    size: Floats = np.log(factor) if log else factor - 1.0
    nodes, edges = len(lattice.first) - 1, np.arange(BINS + 2) / BINS
    near, passed = np.zeros((nodes, BINS + 1), np.int64), 0
    if not len(size):  # one node, where nothing is left to say
        return _Measured(np.zeros(nodes), near, size, passed)
    first, last = lattice.first[:-1], lattice.first[1:] - 1
    middle = np.append(0.5 * (size[1:] + size[:-1]), np.inf)
    middle[last] = np.inf
    largest: Floats = size[last]
    for node in range(nodes - 1):
        own = middle[first[node] : last[node]]
        # a bin's edges may be off by a rounding
        low = np.searchsorted(own, edges * (largest[node] * (1.0 - 1e-12)), side="left")
        high = np.searchsorted(own, edges * (largest[node] * (1.0 + 1e-12)), side="right")
        near[node] = first[node] + low[:-1]
        passed = max(passed, int((high[1:] - low[:-1]).max()))
    return _Measured(largest, near, middle, passed)


class _Lattices:
    """Lattices of factorisations, each held once."""

    def __init__(self, tiles: str) -> None:
        self._log = tiles == "log"
        self._roots: dict[int, int] = {}
        self._parts: list[tuple[Factorizations, _Measured]] = []
        self._nodes = 0

    def add(self, lattice: Factorizations) -> tuple[int, int]:
        """Return the number of the lattice's first node, and how many edges a bin spans."""
        measured = _measured(lattice, self._log)
        known = self._roots.get(id(lattice))
        if known is None:
            known = self._roots[id(lattice)] = self._nodes
            self._parts.append((lattice, measured))
            self._nodes += len(measured.largest)
        return known, measured.passed

    def arrays(self) -> dict[str, Any]:
        """Return nodes and edges of all lattices."""
        edges = np.cumsum([0, *(len(x.factor) for x, _ in self._parts)])[:-1].tolist()
        nodes = np.cumsum([0, *(len(m.largest) for _, m in self._parts)])[:-1].tolist()
        parts = list(zip(self._parts, edges, nodes, strict=True))
        return {
            "first": np.concatenate([x.first[:-1] + e for (x, _), e, _ in parts]),
            "largest": np.concatenate([m.largest for _, m in self._parts]),
            "near": np.concatenate([m.near + e for (_, m), e, _ in parts]),
            "factor": np.concatenate([x.factor for x, _ in self._parts]).astype(np.float64),
            "middle": np.concatenate([m.middle for _, m in self._parts]),
            "target": np.concatenate([x.target + v for (x, _), _, v in parts]).astype(np.int64),
        }
