"""The exact search of one layer on one hardware: all stages, bounds, and the way back.

From the inside out, every level's spatial and temporal loops extend all labels; of labels with
equal tiles those that others beat are dropped, and so are those that cannot become better than
what is known. What is left at the end is the optimum. Where a limit stops the search, the least
bound of the labels that were left is a bound of the optimum.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import MappingBatch
from dse.mappers.exact.bounds import DELAY, EDP, ENERGY_ONLY, FRONT, Goal
from dse.mappers.exact.labels import (
    FIRST,
    GRID_LEVEL,
    WINDOW,
    Labels,
    new_draft,
    new_labels,
    parts_at,
    windows_at,
)
from dse.mappers.exact.layout import Layout
from dse.mappers.exact.stages import TRIED, bound_start, spatial_into, temporal_into
from dse.mappers.exact.tables import Stage, Tables
from dse.numeric import Floats, Ints

KINDS = {"edp": EDP, "energy": ENERGY_ONLY, "delay": DELAY, "front": FRONT}
#: Fewest tiles per task, most tasks if they have more, and labels that a task makes room for.
_CHUNK, _CHUNKS, _ROOM = 64, 64, 4096
#: Tasks where there is no pool: each takes some 50 us to call, and nobody waits for it.
_CHUNKS_ALONE = 4
#: Labels that are not given to other threads: where there are several, and where one is all.
_FEW, _FEW_ALONE = 64, 4_000
#: Seconds after which a stage that brings nothing asks whether to give up.
_POLL = 0.1


@dataclass(frozen=True)
class Found:
    """What the labels at the end stand for: points and the mappings that lead there.

    Attributes:
        cycles, energy: ``(n,)`` by the search's own sums.
        loose: ``(n,)`` whether they are bounds only.
        bound: no mapping of the space lies below (of the objective); of a narrowed search: -inf.
        dropped: nor do those of the labels that bounds dropped.
        complete: whether the search came to its end, and was never narrowed.
        tried: extensions of labels that were looked at.
        at: labels at the end of each stage.
    """

    cycles: Floats
    energy: Floats
    loose: npt.NDArray[np.bool_]
    bound: float
    dropped: float
    complete: bool
    tried: int
    stages: list[Labels] = field(repr=False)
    layout: Layout = field(repr=False)

    def mappings(self, index: Ints) -> MappingBatch:
        """Return the mappings of some points."""
        batch = self.layout.shape.space.empty_batch(len(index))
        for column, i in enumerate(index):
            _write(self.layout, self.stages, int(i), batch, column)
        return batch


#: Says whether to give up.
_Stop = Callable[[], bool]
#: What a task brings: labels, the least bound dropped, counts.
_Part = tuple[list[Labels], float, Ints]
#: Is told how many stages are done, and the bound so far.
OnStage = Callable[[int, float], None]


def search(
    layout: Layout,
    goal: Goal,
    threads: int,
    nodes: int,
    stop: _Stop,
    progress: OnStage,
    beam: int | None = None,
) -> Found:
    """Run all stages.

    Args:
        layout: the space.
        goal: what is wanted.
        threads: workers; the result does not depend on it.
        nodes: extensions of labels that may be tried; with more it ends.
        stop: says whether to give up.
        progress: is told how many stages are done, and the bound so far.
        beam: labels to go on with after each stage, those of the least bounds; None: all. With a
            beam the points are real, but the bound is none.
    """
    t = layout.tables
    labels = _start(layout, goal)
    stages = [labels]
    least = math.inf
    tried = 0
    all_ = True
    scratch = _ThreadRoom(t)
    few = _FEW if threads > 1 else _FEW_ALONE
    with ThreadPoolExecutor(threads) as pool:
        for number, stage in enumerate(layout.stages):
            own = None if len(labels.tile) <= few else pool
            after, dropped, more, whole = _run(
                t, goal, stage, labels, scratch, own, nodes - tried, stop
            )
            tried += more
            if not whole:
                bound = min(least, _least(goal, labels)) if all_ else -math.inf
                none = np.zeros(0)
                return Found(none, none, none > 0, bound, least, False, tried, stages, layout)
            least = min(least, dropped)
            labels = after if beam is None else _narrow(goal, after, beam)
            all_ &= len(labels.tile) == len(after.tile)
            stages.append(labels)
            progress(number + 1, min(least, _least(goal, labels)))
    cycles, energy = labels.bound[:, 1], labels.bound[:, 0]
    bound = min(least, _least(goal, labels)) if all_ else -math.inf
    return Found(cycles, energy, labels.loose, bound, least, all_, tried, stages, layout)


def _start(layout: Layout, goal: Goal) -> Labels:
    t = layout.tables
    labels = new_labels(1, t)
    flows = len(t.low)
    mac = t.low < 0
    labels.value[0, FIRST : FIRST + flows] = mac
    parts = slice(parts_at(t, 0), parts_at(t, flows))
    labels.value[0, parts] = 1.0
    labels.moved[0] = int((mac << np.arange(flows)).sum())
    labels.alive[0] = True
    labels.value[0, windows_at(t) + GRID_LEVEL :: WINDOW] = -1.0  # on no grid
    if 0 in layout.spatial_levels:
        labels.value[0, parts] = 0.0  # neighbours among the MACs may leave nothing to read
    bound_start(t, goal, layout.root, labels, new_draft(t))
    labels.value[0, parts] = 1.0
    return labels


def _bounds(goal: Goal, labels: Labels) -> Floats:
    energy, cycles = labels.bound[:, 0], labels.bound[:, 1]
    if goal.kind in (EDP, FRONT):
        return np.asarray(energy * cycles)
    return energy if goal.kind == ENERGY_ONLY else cycles


def _least(goal: Goal, labels: Labels) -> float:
    return float(_bounds(goal, labels).min(initial=math.inf))


def _narrow(goal: Goal, labels: Labels, beam: int) -> Labels:
    """Keep the labels of the least bounds, in the order of their tiles."""
    if len(labels.tile) <= beam:
        return labels
    best = np.sort(np.argsort(_bounds(goal, labels), kind="stable")[:beam])
    return _each_array(labels, lambda x: x[best])


class _ThreadRoom(threading.local):
    """A thread's draft, and its room for the labels of a chunk."""

    def __init__(self, t: Tables) -> None:
        self.draft = new_draft(t)
        self.room = new_labels(_ROOM, t)

    def grow(self, t: Tables) -> None:
        """Make room for the labels of a tile that has more of them."""
        self.room = new_labels(4 * len(self.room.tile), t)


def _run(
    t: Tables,
    goal: Goal,
    stage: Stage,
    labels: Labels,
    scratch: _ThreadRoom,
    pool: ThreadPoolExecutor | None,
    nodes: int,
    stop: _Stop,
) -> tuple[Labels, float, int, bool]:
    """Run one stage; return its labels, the least bound dropped, tries, and whether it ended.

    Without a pool it asks whether to stop between its parts only.
    """
    if not len(labels.tile):
        return labels, math.inf, 0, not stop()
    start = np.searchsorted(labels.tile, np.arange(len(stage.fits) + 1)).astype(np.int64)
    tiles = np.flatnonzero(stage.fits).astype(np.int64)
    work = spatial_into if stage.spatial else temporal_into
    halt = np.zeros(1, np.int64)
    size = max(_CHUNK, -(-len(tiles) // (_CHUNKS if pool else _CHUNKS_ALONE)))

    def chunk(begin: int) -> _Part:
        least = np.full(1, math.inf)
        tally, added = np.zeros((2, 2), np.int64)
        parts: list[Labels] = []
        at, end = begin, min(begin + size, len(tiles))
        while 0 <= at < end:
            draft, out = scratch.draft, scratch.room
            count, after = work(
                t, goal, stage, labels, start, draft, out, 0, tiles, at, end, least, added, halt,
                nodes - tally[TRIED],
            )  # fmt: skip
            tally += added
            if after == at:
                scratch.grow(t)
            at = after
            if count:
                parts.append(_cut(out, count))
        return parts, float(least[0]), tally

    all_: list[Labels] = []
    least = math.inf
    tasks = range(0, len(tiles), size)
    tried = done = 0
    results = _each(chunk, tasks, pool, stop, halt) if pool else map(chunk, tasks)
    for parts, dropped, tally in results:
        all_ += parts
        least = min(least, dropped)
        tried += int(tally[TRIED])
        done += 1
        if tried > nodes or stop():
            return labels, least, tried, False
    return _join(all_, t), least, tried, done == len(tasks)


def _each(
    work: Callable[[int], _Part],
    tasks: range,
    pool: ThreadPoolExecutor,
    late: _Stop,
    halt: Ints,
) -> Iterator[_Part]:
    """Yield the results of tasks in their order; stop all when it is late or nobody asks."""
    running = [pool.submit(work, task) for task in tasks]
    try:
        for future in running:
            while not wait([future], _POLL).done:
                if late():
                    return
            yield future.result()
    finally:
        halt[0] = 1
        for future in running:
            future.cancel()
        wait(running)


def _each_array(labels: Labels, change: Callable[[Any], Any]) -> Labels:
    return Labels(*map(change, labels))


def _cut(labels: Labels, count: int) -> Labels:
    return _each_array(labels, lambda x: x[:count].copy())


def _join(parts: list[Labels], t: Tables) -> Labels:
    if not parts:
        return new_labels(0, t)
    joined: list[Any] = [np.concatenate(x) for x in zip(*parts, strict=True)]
    return Labels(*joined)


def _write(
    layout: Layout, stages: list[Labels], index: int, batch: MappingBatch, column: int
) -> None:
    """Write the mapping of a label of the last stage."""
    active = layout.shape.active
    t = layout.tables
    grid = int(stages[-1].grid[index])
    for number in range(len(stages) - 1, 0, -1):
        stage, labels = layout.stages[number - 1], stages[number]
        before = stages[number - 1]
        parent = int(labels.parent[index])
        if not stage.spatial:
            high = _extents(t, int(labels.tile[index]))
            low = _extents(t, int(before.tile[parent]))
            batch.temporal[stage.level, active, column] = high // low
            loops = [active[d] for d in stage.loops[labels.order[index]] if d >= 0]
            if layout.shape.space.arrays.free_count[stage.level] > 1:
                _order(layout, stage.level, loops, batch, column)
        index = parent
    for s in range(layout.shape.levels):
        batch.spatial[s, active, column] = t.factor[grid, s]
        if layout.shape.space.arrays.any_axis_free:
            _axes(layout, s, grid, batch, column)
    if layout.shape.space.arrays.any_keep_free:
        batch.keep[:, :, column] = layout.shape.keep


def _extents(t: Tables, tile: int) -> Ints:
    digit = (tile // t.stride) % t.digit
    result: Ints = t.divisor[np.arange(len(digit)), digit]
    return result


def _order(layout: Layout, s: int, loops: list[int], batch: MappingBatch, column: int) -> None:
    """Fill the free stretch of a level's order: its loops, then the dimensions without."""
    arrays = layout.shape.space.arrays
    start, count = int(arrays.free_start[s]), int(arrays.free_count[s])
    free = arrays.order[s, start : start + count].tolist()
    chosen = [d for d in loops if d in free]
    batch.permutation[s, start : start + count, column] = [
        *chosen,
        *(d for d in free if d not in chosen),
    ]


def _axes(layout: Layout, s: int, grid: int, batch: MappingBatch, column: int) -> None:
    """Put the dimensions of level s on their axes, X before Y."""
    base = layout.shape.space.spatial_order[s].tolist()
    axis = layout.shape.space.arrays.axis[s]
    on_y = {d: axis[d] == 1 for d in base}
    for i, d in enumerate(layout.shape.active):
        on_y[d] = bool(layout.tables.on_y[grid, s, i])
    along_x = [d for d in base if not on_y[d]]
    batch.spatial_permutation[s, :, column] = along_x + [d for d in base if on_y[d]]
    batch.split[s, column] = len(along_x)
