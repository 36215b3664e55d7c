"""Which iterations of an imperfect loop nest Timeloop runs, and how often each stands for others.

A loop with a remainder runs its remainder only where every loop of its dimension around it is at
its last iteration, else its end. So what a loop does depends on the *last* flags of dimensions:
a node is a place in the nest with one choice of them. Spatial loops further out stay at their
first element. Section numbers refer to ``docs/timeloop-rules.md``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner
from dse.model import rules
from dse.model.loops import Nest

Ints = npt.NDArray[np.int64]
Factors = npt.NDArray[np.int32]

#: Most iterations that are run of one loop.
RUNS = 4


class LoopCourse(NamedTuple):
    """The iterations that are run of all temporal loops; scratch, reused.

    Place x of the nest lies inside of loop x and outside of loop x - 1. The nodes of place x are
    ``first[x] .. first[x] + nodes[x]``; those further inside have higher numbers.
    """

    end: Ints  # (N,) bound of each loop of the nest
    remainder: Ints  # (N,)
    inside: Ints  # (N + 1,) bits of the dimensions with an imperfect loop inside place x
    first: Ints  # (N + 1,)
    nodes: Ints  # (N + 1,)
    last: Ints  # (M,) bits of the dimensions that are at their last iteration
    runs: Ints  # (M,) how many iterations are run
    at: Ints  # (M, RUNS) which ones
    weight: Ints  # (M, RUNS) how many iterations one stands for, for the loops inside
    scale: Ints  # (M, RUNS) the same for a tile boundary right inside
    child: Ints  # (M, RUNS) node inside the loop
    often: Ints  # (M,) iterations of the loops around for which the node stands in all
    partial: Ints  # (L, D) extents of the tile of each level where all is last
    spatial_partial: Ints  # (L, D) the same up to the level's outermost spatial loop
    largest: Ints  # (L, D) the larger of full and partial extent among those that occur
    spatial_largest: Ints  # (L, D)


def new_course(levels: int, dimensions: int, nodes: int) -> LoopCourse:
    """Allocate a course of at most ``nodes`` nodes."""
    loops = 2 * levels * dimensions + 1
    arrays: list[Ints] = [
        *(np.empty(loops, np.int64) for _ in range(2)),
        *(np.empty(loops + 1, np.int64) for _ in range(3)),
        *(np.empty(nodes, np.int64) for _ in range(2)),
        *(np.empty((nodes, RUNS), np.int64) for _ in range(4)),
        np.empty(nodes, np.int64),
        *(np.empty((levels, dimensions), np.int64) for _ in range(4)),
    ]
    return LoopCourse(*arrays)


@inlined
def set_remainders(c: LoopCourse, nest: Nest, temporal: Factors, spatial: Factors, b: int) -> bool:
    """Note the remainders ``(L, D, B)`` of mapping b's loops; whether none is above its end."""
    levels = nest.middle.shape[0]
    ordinary = True
    c.inside[0] = 0
    for s in range(levels):
        for k in range(nest.first[s], nest.first[s + 1]):
            d = nest.dimension[k]
            c.end[k] = nest.bound[k]
            c.remainder[k] = spatial[s, d, b] if k < nest.middle[s] else temporal[s, d, b]
            ordinary &= c.remainder[k] <= c.end[k]
            imperfect = c.remainder[k] != c.end[k]
            c.inside[k + 1] = c.inside[k] | (np.int64(imperfect) << d)
    return ordinary


@inlined
def _run(c: LoopCourse, node: int, index: int, weight: int, scale: int) -> None:
    i = c.runs[node]
    c.at[node, i] = index
    c.weight[node, i] = weight
    c.scale[node, i] = scale
    c.runs[node] = i + 1


@inlined
def _set_runs(c: LoopCourse, node: int, count: int, run_last: bool, run_second_last: bool) -> None:
    """Choose the iterations of a temporal loop of ``count`` that are run (section 14.3)."""
    c.runs[node] = 0
    _run(c, node, 0, 1, 1)
    if count >= 2 + run_last + run_second_last:
        virtual = count - 1 - run_last - run_second_last
        _run(c, node, 1, virtual, virtual)
    if run_second_last and count >= 3:
        thrown_away = count >= 4
        if thrown_away:
            c.scale[node, 1] += 1
        _run(c, node, count - 2, 1, 0 if thrown_away else 1)
    if run_last and count >= 2:
        thrown_away = not run_second_last and count >= 3
        if thrown_away:
            c.scale[node, 1] += 1
        _run(c, node, count - 1, 1, 0 if thrown_away else 1)


@inlined
def _child(c: LoopCourse, place: int, bits: int) -> int:
    """Return the node of that place and those flags, a new one if need be; -1: no room."""
    start = c.first[place]
    for node in range(start, start + c.nodes[place]):
        if c.last[node] == bits:
            return node
    node = start + c.nodes[place]
    if node >= c.last.shape[0]:
        return -1
    c.last[node] = bits
    c.often[node] = 0
    c.nodes[place] += 1
    return node


@inner
def set_course(c: LoopCourse, nest: Nest, version: int) -> bool:
    """Fill the nodes from the outermost place to the tiles of the MACs; False: no room."""
    levels = nest.middle.shape[0]
    loops = nest.first[levels]
    anywhere = c.inside[loops] != 0
    c.first[loops] = 0
    c.nodes[loops] = 1
    c.last[0] = c.inside[loops]
    c.often[0] = 1
    for s in range(levels - 1, -1, -1):
        innermost = nest.middle[0] if s == 0 else nest.first[s]
        for k in range(nest.first[s + 1] - 1, innermost - 1, -1):
            d = nest.dimension[k]
            start, stop = c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]
            c.first[k] = stop
            c.nodes[k] = 0
            for node in range(start, stop):
                bits = c.last[node]
                last = (bits >> d) & 1 == 1
                count = c.remainder[k] if last else c.end[k]
                if k < nest.middle[s]:
                    c.runs[node] = 0
                    _run(c, node, 0, 1, 1)
                else:
                    deeper = (c.inside[k] >> d) & 1 == 1
                    run_last = rules.runs_last(version, anywhere, deeper and last)
                    own = c.remainder[k] != c.end[k]
                    run_second_last = rules.runs_second_last(version, run_last, own)
                    _set_runs(c, node, count, run_last, run_second_last)
                child, inner_bits = np.int64(-1), np.int64(-1)
                for i in range(c.runs[node]):
                    goes_on = np.int64(last and c.at[node, i] < count - 1)
                    at = bits & c.inside[k] & ~(goes_on << d)
                    if i == 0 or at != inner_bits:
                        inner_bits = at
                        child = _child(c, k, inner_bits)
                        if child < 0:
                            return False
                    c.child[node, i] = child
                    c.often[child] += c.often[node] * c.weight[node, i]
    return True


@inlined
def set_ends(c: LoopCourse, nest: Nest, s: int, bits: int) -> None:
    """Give level s the spatial loops that exist where the dimensions in ``bits`` are last."""
    nest.width[s] = 1
    nest.height[s] = 1
    for k in range(nest.first[s], nest.middle[s]):
        last = (bits >> nest.dimension[k]) & 1 == 1
        n = c.remainder[k] if last else c.end[k]
        nest.bound[k] = n
        if k < nest.middle_x[s]:
            nest.width[s] *= n
        else:
            nest.height[s] *= n


@inlined
def restore_ends(c: LoopCourse, nest: Nest, s: int) -> None:
    """Give level s all its spatial loops again."""
    set_ends(c, nest, s, 0)


@inner
def set_extents(c: LoopCourse, nest: Nest) -> None:
    """Fill the extents of partial and of largest tiles (section 14.2)."""
    levels, dimensions = nest.extent.shape
    for s in range(levels):
        partial, spatial = c.partial[s], c.spatial_partial[s]
        for d in range(dimensions):
            partial[d] = c.partial[s - 1, d] if s > 0 else 1
        for k in range(nest.first[s], nest.middle[s]):
            partial[nest.dimension[k]] += nest.stride[k] * (c.remainder[k] - 1)
        for d in range(dimensions):
            spatial[d] = partial[d]
        for k in range(nest.middle[s], nest.first[s + 1]):
            partial[nest.dimension[k]] += nest.stride[k] * (c.remainder[k] - 1)
    always_last = np.int64(-1)  # bits of dimensions
    never_last = np.int64(0)
    for s in range(levels - 1, -1, -1):
        for d in range(dimensions):
            c.largest[s, d] = _larger(
                c.partial[s, d], nest.extent[s, d], always_last >> d, never_last >> d
            )
        for k in range(nest.middle[s], nest.first[s + 1]):
            if c.remainder[k] != 1:
                always_last &= ~(np.int64(1) << nest.dimension[k])
        for d in range(dimensions):
            c.spatial_largest[s, d] = _larger(
                c.spatial_partial[s, d],
                nest.spatial_extent[s, d],
                always_last >> d,
                never_last >> d,
            )
        for k in range(nest.first[s], nest.middle[s]):
            if c.remainder[k] > 1:
                always_last &= ~(np.int64(1) << nest.dimension[k])
                never_last |= np.int64(1) << nest.dimension[k]


@inlined
def _larger(partial: int, full: int, always_last: int, never_last: int) -> int:
    """Return the larger extent among those that occur; the lowest bits say which do not."""
    if always_last & 1:
        return partial
    if never_last & 1:
        return full
    return max(partial, full)


@inner
def set_replicas(c: LoopCourse, nest: Nest, version: int, replicas: Ints, size: Ints) -> float:
    """Set how many instances of each level work, ``replicas (L,)`` (section 14.6).

    ``size (D,)`` is scratch. Returns the innermost level's number before it is cut off.
    """
    size[:] = 1
    used = innermost = 1.0
    for s in range(nest.middle.shape[0] - 1, -1, -1):
        replicas[s] = np.int64(used)
        innermost = used
        for k in range(nest.first[s + 1] - 1, nest.first[s] - 1, -1):
            d = nest.dimension[k]
            count = c.remainder[k] + c.end[k] * (size[d] - 1)
            if k < nest.middle[s]:
                if rules.averages_instances(version) and c.remainder[k] != c.end[k]:
                    used = used * float(count) / float(size[d])
                else:
                    used *= float(c.end[k])
            size[d] = count
    return innermost


@inner
def computes(c: LoopCourse, nest: Nest, used: float) -> float:
    """Return the operations that Timeloop counts, at ``used`` instances (section 14.6)."""
    place = nest.middle[0]
    elements = np.int64(1)
    total = 0.0
    for node in range(c.first[place], c.first[place] + c.nodes[place]):
        count = np.int64(1)
        for k in range(nest.first[0], place):
            last = (c.last[node] >> nest.dimension[k]) & 1 == 1
            count *= c.remainder[k] if last else c.end[k]
        elements = max(elements, count)
        total += float(count) * float(c.often[node])
    for k in range(nest.first[0], place):
        used *= float(c.end[k])
    return np.floor(total / float(elements) * np.floor(used))
