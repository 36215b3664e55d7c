"""Spaces with one on-chip tile: which they are, and how their tiles and loop orders run.

In such a space (a weight-stationary systolic array with a scratchpad is one) all temporal loops
run either at the outermost level, in any order, or inside the tile that the chip works on, in an
order that the hardware fixes; between the two there is none, and one dimension at most runs in
space below each of two levels. Then, with W the stationary tensor, O the output and I the other:

- traffic of the outermost level depends on the on-chip tile and the order of the outer loops only;
- the spatial factors follow from the tile: the largest divisors of its two spatial dimensions that
  fit the fan-outs. Larger ones lower the iterations, the accesses of I and O in inverse proportion,
  the tile of O, and never raise the rereads of W; nothing depends on them otherwise;
- of the outer orders only the stationarity class matters: how they begin. A simple tensor saves the
  leading run of loops that it does not depend on. A sliding window saves that run, the halo of the
  first loop that moves it, and what the next loop of the same row brings back
  (``docs/timeloop-rules.md``, section 4); every later loop reloads the tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.problem import Problem
from dse.mapspace.space import Mapspace
from dse.model.batch import has_closed_form
from dse.numeric import Ints

#: Levels from the inside out: W's registers, O's accumulators, the scratchpad of W and I, memory.
REGISTERS, ACCUMULATOR, SCRATCHPAD, MEMORY = range(4)


@dataclass(frozen=True)
class Roles:
    """Who is who in a two-tier space.

    Attributes:
        stationary, moving, output: tensors W, I and O.
        rows, columns: dimensions that run in space below the accumulator (reduced there) and
            below the scratchpad (each with outputs of its own).
    """

    stationary: int
    moving: int
    output: int
    rows: int
    columns: int


def roles(space: Mapspace) -> Roles | None:
    """Return the roles in a two-tier space; None where it is not one."""
    found = _tensors(space)
    if found is None or _asks_for_more(space):
        return None
    stationary, moving, output = found
    relevant = np.asarray((space.problem.projection > 0).any(axis=1))
    own, of_output, of_moving = relevant[stationary], relevant[output], relevant[moving]
    spatial = _spatial(space)
    if spatial is None:
        return None
    rows, columns = spatial
    fine = (
        own[rows] and of_moving[rows] and not of_output[rows]
        and own[columns] and of_output[columns] and not of_moving[columns]
        and _loops_fit(space, own)
        and plain_hardware(space.architecture)
        and _closed(space)
    )  # fmt: skip
    return Roles(stationary, moving, output, rows, columns) if fine else None


def _tensors(space: Mapspace) -> tuple[int, int, int] | None:
    """Return tensors W, I and O where each level keeps what it should."""
    keep, outputs = space.arrays.keep, np.flatnonzero(space.problem.read_write)
    if keep.shape != (4, 3) or len(outputs) != 1 or (keep == 2).any():
        return None
    output = int(outputs[0])
    held = np.flatnonzero(keep[REGISTERS])
    if len(held) != 1 or held[0] == output:
        return None
    stationary = int(held[0])
    moving = 3 - output - stationary
    wanted = np.zeros((4, 3), np.int8)
    wanted[REGISTERS, stationary] = wanted[ACCUMULATOR, output] = 1
    wanted[SCRATCHPAD, [stationary, moving]] = wanted[MEMORY] = 1
    return (stationary, moving, output) if np.array_equal(keep, wanted) else None


def _asks_for_more(space: Mapspace) -> bool:
    """Whether constraints speak of least factors, outermost loops or a least parallelism."""
    return any(
        c.min_parallelism > 0
        or any(loops.min_factors or loops.suffix for loops in (c.temporal, c.spatial))
        for c in space.constraints.values()
    )


def _spatial(space: Mapspace) -> tuple[int, int] | None:
    """Return the dimensions below accumulator and scratchpad where there is one each."""
    found: dict[int, list[int]] = {}
    names = [level.name for level in space.architecture.levels]
    for d, slots in enumerate(space.slots):
        for slot in slots:
            if slot.spatial:
                own = space.constraints.get(names[slot.level])
                # on other hardware a limit may bind that does not here
                if own is not None and space.problem.dimensions[d] in own.spatial.max_factors:
                    return None
                reach = max(space.architecture.fanout(slot.level))
                if slot.fixed or slot.cap != reach or space.arrays.axis[slot.level, d] == 2:
                    return None
                found.setdefault(slot.level, []).append(d)
    rows, columns = found.pop(ACCUMULATOR, []), found.pop(SCRATCHPAD, [])
    return None if found or len(rows) != 1 or len(columns) != 1 else (rows[0], columns[0])


def _loops_fit(space: Mapspace, own: npt.NDArray[np.bool_]) -> bool:
    """Whether temporal loops stand where they should, in orders that they should have."""
    a = space.arrays
    if a.free_start[MEMORY] != 0 or a.free_count[ACCUMULATOR] > 1:
        return False
    order = [int(d) for d in a.order[ACCUMULATOR]]
    places = {d: order.index(d) for d in range(len(own))}
    for d, slots in enumerate(space.slots):
        bound = space.problem.bounds[space.problem.dimensions[d]]
        levels = {slot.level for slot in slots if not slot.spatial and slot.cap >= bound}
        limited = any(s.fixed or (s.cap < bound and not s.spatial) for s in slots)
        if limited or SCRATCHPAD in levels or (REGISTERS in levels and own[d]):
            return False
        if bound > 1 and not {ACCUMULATOR, MEMORY} <= levels:
            return False
    last = max((places[d] for d in range(len(own)) if not own[d]), default=-1)
    return all(places[d] > last for d in range(len(own)) if own[d] and _has_loop(space, d))


def _has_loop(space: Mapspace, d: int) -> bool:
    return space.problem.bounds[space.problem.dimensions[d]] > 1


def plain_hardware(architecture: Architecture) -> bool:
    """Whether the hardware has none of what the closed form leaves out."""
    levels = architecture.levels
    return (
        all(x.cluster_size == 1 and not x.energy.address_generation_pj for x in levels)
        and all(x.latency_cycles == 0 for x in levels)
        and levels[REGISTERS].block_size == levels[ACCUMULATOR].block_size == 1
        and levels[SCRATCHPAD].instances == levels[MEMORY].instances == 1
        and architecture.compute.instances == levels[REGISTERS].instances
        and levels[MEMORY].size_words is None
    )


def _closed(space: Mapspace) -> bool:
    hardware = HardwareBatch.of(space.architecture)
    # of three loops along one row, more than the second could bring something back
    if ((space.problem.projection > 0).sum(axis=2) > 2).any():
        return False
    return has_closed_form(hardware, space.problem, space.empty_batch(1)) and not any(
        level.min_utilization for level in space.architecture.levels
    )


def outer_orders(problem: Problem, r: Roles, active: int) -> Ints:
    """Return the orders of the outer loops that can be best, ``(N, A)``, innermost first.

    Args:
        problem: with dimensions 0 .. D-1.
        r: its roles.
        active: bit d set: dimension d has an outer loop; A bits are.
    """
    hit = problem.projection > 0
    return _outer_orders(hit.tobytes(), hit.shape, r, active)


@lru_cache(maxsize=4096)
def _outer_orders(hit: bytes, shape: tuple[int, ...], r: Roles, active: int) -> Ints:
    """See :func:`outer_orders`: which dimensions stand in which ranks of the tensors is enough."""
    projected = np.frombuffer(hit, np.bool_).reshape(shape)
    relevant = np.asarray(projected.any(axis=1))
    rows = projected[r.moving]  # (Q, D)
    dims = [d for d in range(relevant.shape[1]) if active >> d & 1]
    found: dict[tuple[int, ...], None] = {}

    def partners(d: int) -> list[int]:
        """Loops that move the window along the same row as d."""
        row = rows[:, d]
        return [e for e in dims if e != d and (rows[:, e] & row).any()]

    def add(*parts: list[int]) -> None:
        order = dict.fromkeys(chain(*parts, dims))
        found[tuple(order)] = None

    for x in dims:
        runs = [[d for d in dims if not relevant[t, d]] for t in range(3) if not relevant[t, x]]
        for run in runs or [[]]:
            firsts = [y for y in dims if relevant[r.moving, y]]
            if relevant[r.moving, x]:
                add([x], run, partners(x))
                add([x], partners(x), run)
            else:
                for y in firsts:
                    add([x], run, [y], partners(y))
                add([x], run)
    return np.array(list(found) or [()], np.int64).reshape(len(found) or 1, len(dims))
