"""The mapspace of one problem on one architecture under constraints."""

from __future__ import annotations

import math
from copy import copy
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture
from dse.domain.constraints import (
    Constraints,
    LevelConstraint,
    for_problem,
)
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.mapspace.factorization import Factorizations, factorizations
from dse.mapspace.outline import Outline, Slot

_FREE = LevelConstraint()
_UNLIMITED = 1 << 62


class SpaceArrays(NamedTuple):
    """A mapspace for the compiled sampler. D dimensions, L levels, T tensors, at most K slots."""

    slots: npt.NDArray[np.int64]  # (D,) slots of each dimension
    slot_level: npt.NDArray[np.int64]  # (D, K)
    slot_spatial: npt.NDArray[np.bool_]  # (D, K)
    slot_cap: npt.NDArray[np.int64]  # (D, K) largest factor
    slot_least: npt.NDArray[np.int64]  # (D, K) smallest factor
    slot_fixed: npt.NDArray[np.bool_]  # (D, K)
    factorizations: npt.NDArray[np.float64]  # (D,) number of factorisations
    table_start: npt.NDArray[np.int64]  # (D,) start in ``table``, -1: walk the lattice
    table: npt.NDArray[np.int32]
    node_start: npt.NDArray[np.int64]  # (D,) first lattice node
    first: npt.NDArray[np.int64]
    factor: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    before: npt.NDArray[np.float64]
    order: npt.NDArray[np.int8]  # (L, D) loop order; a stretch of it is free
    free_start: npt.NDArray[np.int64]  # (L,)
    free_count: npt.NDArray[np.int64]  # (L,)
    axis: npt.NDArray[np.int8]  # (L, D) 0: X, 1: Y, 2: either
    any_axis_free: bool
    keep: npt.NDArray[np.int8]  # (L, T) 0: bypass, 1: keep, 2: either
    any_keep_free: bool
    fanout_x: npt.NDArray[np.float64]  # (L,)
    fanout_y: npt.NDArray[np.float64]  # (L,)
    least_parallel: float  # least product of all spatial factors; at most 1: any will do


class Mapspace:
    """All mappings of a problem on an architecture that its constraints admit.

    A mapping of the space multiplies out to the problem's bounds, runs only allowed dimensions
    in space, within each level's X and Y fan-out, and obeys fixed factors, limits, permutations and
    keep/bypass. Whether tiles fit their buffers is the model's to say (the samplers ask it).

    Args:
        problem: the problem to map.
        architecture: the hardware.
        constraints: by storage-level name; absent levels are free. None: the architecture's own
            (free where it has none).
        outline: of these constraints, of a problem of the same shape, on the same fan-outs; the
            constraints need not be given then.

    Raises:
        SpecError: a constraint names an unknown level, dimension or tensor.

    Attributes:
        slots: by dimension, the tiling levels that may hold a factor of it, from the inside out.
        factors: by dimension, the factorisations of its bound over its slots.
        infeasible: None, or why the space is empty.
        arrays: the space for compiled code.
        spatial_order: ``(L, D)`` order of the spatial loops below each level: along X, along Y, and
            along either.
        directives: ``no_temporal_reuse``, ``no_multicast`` and ``no_link_transfer``, ``(L, T, 1)``
            each.
    """

    def __init__(
        self,
        problem: Problem,
        architecture: Architecture,
        constraints: Constraints | None = None,
        *,
        outline: Outline | None = None,
    ) -> None:
        if outline is None:
            given = (architecture.constraints if constraints is None else constraints) or {}
            outline = Outline(problem, architecture, for_problem(given, problem))
        self.problem = problem
        self.architecture = architecture
        self.constraints = outline.constraints
        self.infeasible = outline.infeasible
        self.spatial_order = outline.spatial_order
        self.directives = outline.directives
        self._outline = outline
        self.slots = [outline.slots_of(d, problem.bounds[d]) for d in problem.dimensions]
        self.factors = [
            _factorizations(problem.bounds[d], slots)
            for d, slots in zip(problem.dimensions, self.slots, strict=True)
        ]
        empty = [d for d, f in zip(problem.dimensions, self.factors, strict=True) if not f.count]
        if empty and not self.infeasible:
            self.infeasible = (
                f"dimension {empty[0]} = {problem.bounds[empty[0]]} cannot be split over the "
                f"levels under the constraints{self._limits_on(empty[0])}"
            )
        self.arrays = self._arrays()
        self._any_order_free = bool((self.arrays.free_count > 1).any())
        self._split = (outline.axis == 0).sum(axis=1, keepdims=True).astype(np.int8)
        self._kept = (outline.keep != 0)[:, :, None]

    @property
    def size(self) -> int:
        """Number of (factors, permutation, axis, keep) combinations before the fan-out check."""
        a = self.arrays
        orders = math.prod(math.factorial(int(n)) for n in a.free_count)
        return math.prod(f.count for f in self.factors) * orders << int(
            (a.axis == 2).sum() + (a.keep == 2).sum()
        )

    def on(self, architecture: Architecture) -> Mapspace:
        """Return the same space on other hardware with the same levels and fan-outs.

        Everything but the hardware is shared, so this costs next to nothing.
        """
        other = copy(self)
        other.architecture = architecture
        return other

    def outermost(self, level: int) -> int:
        """Return how many dimensions are fixed as the outermost loops of a level."""
        return len(self._outline.levels[level].temporal.suffix)

    def empty_batch(self, count: int) -> MappingBatch:
        """Return ``count`` mappings with all factors 1; what the space fixes is filled in."""
        a = self.arrays
        shape = (*a.order.shape, count)
        axes = count if a.any_axis_free else 1
        reuse, multicast, links = self.directives
        return MappingBatch(
            np.ones(shape, np.int32),
            np.ones(shape, np.int32),
            a.order[:, :, None].repeat(count if self._any_order_free else 1, axis=2),
            self.spatial_order[:, :, None].repeat(axes, axis=2),
            self._split.repeat(axes, axis=1),
            self._kept.repeat(count if a.any_keep_free else 1, axis=2),
            reuse,
            multicast,
            links,
        )

    def most_along(self, level: int) -> tuple[int, int]:
        """Return how many dimensions may run along X and along Y below a level at a time."""
        most = self._outline.levels[level].spatial.most_along
        every = len(self.problem.dimensions)
        return (every if most[0] is None else most[0]), (every if most[1] is None else most[1])

    def _limits_on(self, dimension: str) -> str:
        """Return the constraints on a dimension's factors, after a colon; empty: there are none."""
        told = []
        outline = self._outline
        for name, fanout, own in zip(outline.names, outline.fanouts, outline.levels, strict=True):
            for kind, loops in (("temporal", own.temporal), ("spatial", own.spatial)):
                asked = dimension in loops.factors or dimension in loops.min_factors
                if kind == "spatial" and max(fanout) == 1 and not asked:
                    continue
                barred = loops.dimensions is not None and dimension not in loops.dimensions
                for sign, table in (
                    ("=", {dimension: 1} if barred else {}),
                    ("=", loops.factors),
                    ("<=", loops.max_factors),
                    (">=", loops.min_factors),
                ):
                    if dimension in table:
                        told.append(f"{dimension}{sign}{table[dimension]} {kind} at {name}")
        return f": {', '.join(told)}" if told else ""

    def _arrays(self) -> SpaceArrays:
        problem = self.problem
        dimensions = len(problem.dimensions)
        widest = max((len(slots) for slots in self.slots), default=0)
        slot_level = np.zeros((dimensions, widest), np.int64)
        slot_spatial = np.zeros((dimensions, widest), np.bool_)
        slot_cap = np.ones((dimensions, widest), np.int64)
        slot_least = np.ones((dimensions, widest), np.int64)
        slot_fixed = np.ones((dimensions, widest), np.bool_)
        for d, slots in enumerate(self.slots):
            for k, slot in enumerate(slots):
                slot_level[d, k], slot_spatial[d, k] = slot.level, slot.spatial
                slot_cap[d, k], slot_least[d, k] = slot.cap, slot.least
                slot_fixed[d, k] = slot.fixed > 0
        outline = self._outline
        order, start, count = outline.orders([problem.bounds[d] for d in problem.dimensions])
        return SpaceArrays(
            slots=np.array([len(slots) for slots in self.slots], np.int64),
            slot_level=slot_level,
            slot_spatial=slot_spatial,
            slot_cap=slot_cap,
            slot_least=slot_least,
            slot_fixed=slot_fixed,
            **_joined(tuple(self.factors)),
            order=order,
            free_start=start,
            free_count=count,
            axis=outline.axis,
            any_axis_free=bool((outline.axis == 2).any()),
            keep=outline.keep,
            any_keep_free=bool((outline.keep == 2).any()),
            fanout_x=np.array([x for x, _ in outline.fanouts], np.float64),
            fanout_y=np.array([y for _, y in outline.fanouts], np.float64),
            least_parallel=outline.least_parallel,
        )


@lru_cache(maxsize=4096)
def _factorizations(bound: int, slots: tuple[Slot, ...]) -> Factorizations:
    return factorizations(
        bound,
        tuple(x.cap for x in slots),
        tuple(x.fixed for x in slots),
        tuple(x.least for x in slots),
    )


@lru_cache(maxsize=1024)
def _joined(parts: tuple[Factorizations, ...]) -> dict[str, npt.NDArray[Any]]:
    """Concatenate tables and lattices of all dimensions."""
    table_start, tables, at = [], [], 0
    for f in parts:
        table_start.append(at if len(f.table) else -1)
        tables.append(f.table.reshape(-1))
        at += f.table.size
    nodes = np.cumsum([0, *(len(f.first) - 1 for f in parts)])
    edges = np.cumsum([0, *(len(f.factor) for f in parts)])
    return {
        "factorizations": np.array([f.count for f in parts], np.float64),
        "table_start": np.array(table_start, np.int64),
        "table": np.concatenate(tables),
        "node_start": nodes[:-1].astype(np.int64),
        "first": np.concatenate(
            [*(f.first[:-1] + e for f, e in zip(parts, edges[:-1], strict=True)), edges[-1:]]
        ).astype(np.int64),
        "factor": np.concatenate([f.factor for f in parts]),
        "target": np.concatenate(
            [f.target + n for f, n in zip(parts, nodes[:-1], strict=True)]
        ).astype(np.int32),
        "before": np.concatenate([f.before for f in parts]),
    }
