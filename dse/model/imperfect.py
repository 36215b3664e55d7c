"""The exact model of mappings with imperfect factors, one after the other (section 14)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import compiled, inlined, inner
from dse.model import arrays as a
from dse.model.apart import set_apart
from dse.model.arrays import Details, MappingArrays, ProblemArrays, Totals
from dse.model.course import (
    LoopCourse,
    computes,
    new_course,
    set_course,
    set_extents,
    set_remainders,
    set_replicas,
)
from dse.model.deliveries import Deliveries, new_moves, set_terms, tile_words
from dse.model.kernel import finish, set_fanouts, tensor_energy
from dse.model.loops import build_nest, copy_row, count_iterations
from dse.model.moves import imperfect_traffic
from dse.model.traffic import set_vectors
from dse.model.verdict import fits
from dse.model.workspace import Scratch, new_scratch

Factors = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]


class Remainders(NamedTuple):
    """Of the factors of B mappings, ``temporal (L, D, B)`` and ``spatial (L, D, B)``."""

    temporal: Factors
    spatial: Factors


class CourseMemory(NamedTuple):
    """All working memory of this kernel."""

    scratch: Scratch
    course: LoopCourse
    moves: Deliveries
    apart: Ints  # (L,) bits of the tensors whose tiles share nothing


def new_memory(
    levels: int, projection: Ints, elements: int, entries: int, nodes: int
) -> CourseMemory:
    """Allocate memory for grids of ``elements``, ``entries`` records and ``nodes`` nodes.

    ``projection (T, Q, D)``: of the problem whose mappings are evaluated.
    """
    tensors, ranks, dimensions = projection.shape
    scratch = new_scratch(levels, dimensions, tensors, ranks, elements, entries)
    moves = new_moves(levels, len(scratch.nest.bound), projection, nodes, elements)
    set_terms(moves, projection)
    return CourseMemory(
        scratch, new_course(levels, dimensions, nodes), moves, np.zeros(levels, np.int64)
    )


@inlined
def _traffic(
    memory: CourseMemory,
    p: ProblemArrays,
    m: MappingArrays,
    b: int,
    t: int,
    hw: HardwareArrays,
    i: int,
    version: int,
) -> bool:
    """Fill the records of one tensor at every level; False when scratch was too small."""
    w, c = memory.scratch, memory.course
    levels = w.fan.shape[0]
    bt = b if m.no_temporal_reuse.shape[2] > 1 else 0
    bm = b if m.no_multicast.shape[2] > 1 else 0
    bl = b if m.no_link_transfer.shape[2] > 1 else 0
    loops = w.nest.first[levels]
    set_vectors(w.tile, w.nest, p.projection[t], loops)
    for s in range(levels):
        if not imperfect_traffic(
            w.records,
            memory.moves,
            c,
            w.tile,
            w.nest,
            s,
            t,
            hw.fanout_x[s, i],
            hw.fanout_y[s, i],
            s > 0 and m.no_temporal_reuse[s - 1, t, bt],
            m.no_multicast[s, t, bm],
            m.no_link_transfer[s, t, bl],
            hw.hop_pj[s, i] != 0.0 or hw.router_pj[s, i] != 0.0,
            (memory.apart[s] >> t) & 1 == 1,
            version,
            w.links,
            w.other,
        ):
            return False
    return True


@inner
def _set_sizes(w: Scratch, c: LoopCourse, m: Deliveries) -> None:
    """Largest tile of every tensor at every level (section 14.4).

    Up to the spatial loops of a level only where it has some.
    """
    for t in range(w.size.shape[0]):
        for s in range(w.size.shape[1]):
            w.size[t, s] = tile_words(m, t, c.largest[s])
            if w.nest.middle[s] > w.nest.first[s]:
                w.spatial_size[t, s] = tile_words(m, t, c.spatial_largest[s])


@inner
def _evaluate_one(
    memory: CourseMemory,
    p: ProblemArrays,
    m: MappingArrays,
    remainders: Remainders,
    b: int,
    hw: HardwareArrays,
    i: int,
    version: int,
    totals: Totals,
    details: Details,
    operations: npt.NDArray[np.float64],
) -> bool:
    """Evaluate mapping b on hardware i; False when scratch was too small."""
    w, c = memory.scratch, memory.course
    want = details.verdict.shape[1] > 0
    keep = m.keep[:, :, b if m.keep.shape[2] > 1 else 0]
    build_nest(w.nest, m, b, w.stride)
    iterations = count_iterations(w.nest)
    ordinary = set_remainders(c, w.nest, remainders.temporal, remainders.spatial, b)
    set_extents(c, w.nest)
    _set_sizes(w, c, memory.moves)
    set_fanouts(w)
    used = set_replicas(c, w.nest, version, w.replicas, w.stride)
    totals.valid[b] = fits(w, hw, i, keep)
    if totals.valid[b]:
        if not set_course(c, w.nest, version):
            return False
        operations[b] = computes(c, w.nest, used)
        energy = 0.0
        w.load[:] = 0.0
        set_apart(memory.apart, memory.moves, c, w.nest, m, b, ordinary, version)
        for t in range(keep.shape[1]):
            if not _traffic(memory, p, m, b, t, hw, i, version):
                return False
            energy = tensor_energy(w, p, b, t, keep, hw, i, iterations, version, details, energy)
        wrong = w.verdict[a.V_EXPANSION]
        totals.valid[b] = wrong not in (a.NEGATIVE_READS, a.NEGATIVE_FILLS)
        if totals.valid[b]:
            finish(w, hw, i, b, iterations, operations[b], energy, version, totals, details)
    if want:
        copy_row(details.verdict[:, b], w.verdict)
    return True


@compiled
def evaluate_imperfect_range(
    memory: CourseMemory,
    p: ProblemArrays,
    m: MappingArrays,
    remainders: Remainders,
    hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32],
    start: int,
    stop: int,
    version: int,
    totals: Totals,
    details: Details,
    operations: npt.NDArray[np.float64],
) -> int:
    """Evaluate mappings ``start .. stop``; return the first that needs more scratch, or stop.

    ``operations (B,)`` takes the computes that Timeloop counts.
    """
    for b in range(start, stop):
        if not _evaluate_one(
            memory, p, m, remainders, b, hw, hardware_index[b], version, totals, details, operations
        ):
            return b
    return stop
