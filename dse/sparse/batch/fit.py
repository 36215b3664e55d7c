"""Which mappings' tiles fit by their words alone, in lanes; `dse.sparse.fit` says the rules."""

from __future__ import annotations

import math

import numpy as np

from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.jit import compiled, inlined, inner
from dse.model import arrays as a
from dse.model import batch, rules
from dse.model.arrays import MappingArrays
from dse.model.block import Lanes, Plan, derive, lay_out, load_factors, scan
from dse.model.fit import tile_words
from dse.model.loops import copy_row
from dse.model.scratch import block
from dse.numeric import Flags
from dse.sparse.batch.holds import most_words
from dse.sparse.batch.memory import SparseWork
from dse.sparse.batch.plan import SparsePlan
from dse.sparse.batch.ranks import relate


def fitting(w: SparseWork, plan: SparsePlan, problem: Problem, mappings: MappingBatch) -> Flags:
    """Return which mappings ``(B,)`` have tiles that fit, of words alone."""
    shape = batch.make_plan(problem, mappings.keep[:, :, 0], plan.version)
    shape = shape._replace(simple=plan.tensors.simple)  # a dimension may stand in two rows
    levels, dimensions, _ = mappings.temporal.shape
    lanes, _, _ = block(levels, dimensions, *shape.projection.shape[:2])
    fits = np.zeros(len(mappings), np.bool_)
    _screen(lanes, shape, w, plan, a.mapping_arrays(mappings), fits)
    return fits


@inner
def _held_words(x: Lanes, plan: SparsePlan, keep: Flags, s: int, t: int, b: int, n: int) -> None:
    """Set ``work[1]`` to the words that a level holds of a tensor at most, 0 where it bypasses it.

    ``keep (L, T, 1 or B)``.
    """
    held, tile = x.work[1], x.tile[t, s]
    shared = keep.shape[2] == 1
    if plan.formats.ranks[s, t] == 0:
        copy_row(held, tile)
    else:
        for i in range(x.ok.shape[0]):
            held[i] = most_words(plan, t, tile[i])
    if not shared:
        for i in range(n):
            held[i] = held[i] if keep[s, t, b + i] else 0.0


@inner
def _words_fit(x: Lanes, shape: Plan, plan: SparsePlan, keep: Flags, b: int, n: int) -> None:
    """Set ``ok`` where every tensor is somewhere and all words have room; ``keep (L, T, 1 or B)``.

    Timeloop aborts as it prints a tensor that no level holds a word of.
    """
    levels, tensors = shape.keep.shape
    c, width = plan.buffers, x.ok.shape[0]
    used, held = x.content, x.work[1]
    used[:] = 0.0
    x.ok[:] = True
    for t in range(tensors):
        most = x.work[0]
        most[:] = 0.0
        for s in range(levels):
            if keep.shape[2] == 1 and not keep[s, t, 0]:
                continue
            tile_words(x, shape, t, s)
            _held_words(x, plan, keep, s, t, b, n)
            for i in range(width):
                used[s, i] += held[i]
            for i in range(width):
                most[i] = held[i] if held[i] > most[i] else most[i]
        for i in range(width):
            x.ok[i] &= most[i] > 0.0
    for s in range(levels):
        if math.isinf(c.usable[s]):
            continue
        least, usable = c.least[s], c.usable[s]
        for i in range(width):
            x.ok[i] &= (used[s, i] >= least) & (used[s, i] <= usable)


@inner
def _instances_fit(x: Lanes, plan: SparsePlan) -> None:
    """Clear ``ok`` where there are too many instances of a level along an axis, or of MACs."""
    c, width = plan.buffers, x.ok.shape[0]
    across, down = x.work[0], x.work[1]
    across[:] = 1.0
    down[:] = 1.0
    for s in range(x.width.shape[0] - 1, -1, -1):
        mesh_x, mesh_y = c.mesh_x[s], c.mesh_y[s]
        for i in range(width):
            x.ok[i] &= (across[i] <= mesh_x) & (down[i] <= mesh_y)
        for i in range(width):
            across[i] *= x.width[s, i]
            down[i] *= x.height[s, i]
    instances, mesh_x, mesh_y = c.mac_instances, c.mac_mesh_x, c.mac_mesh_y
    for i in range(width):
        x.ok[i] &= rules.fits_mesh(across[i], down[i], instances, mesh_x, mesh_y)


@inlined
def _compresses(w: SparseWork, plan: SparsePlan, keep: Flags) -> bool:
    """Whether the hardware can compress and decompress what ``keep (L, T)`` asks for."""
    formats = plan.formats
    relate(w, keep)
    for t in range(keep.shape[1]):
        for s in range(keep.shape[0]):
            parent = w.parent[t, s]
            if not keep[s, t] or parent < 0 or not formats.compressed[parent, t]:
                continue
            if not formats.compressed[s, t]:
                if not formats.decompresses[s]:
                    return False
                if plan.tensors.read_write[t] and not formats.compresses[s]:
                    return False
            elif formats.ranks[parent, t] < formats.ranks[s, t]:
                return False
    return True


@compiled
def _screen(
    x: Lanes, shape: Plan, w: SparseWork, plan: SparsePlan, m: MappingArrays, fits: Flags
) -> None:
    """Say which mappings ``(B,)`` have tiles that fit, of words alone."""
    count, width = fits.shape[0], x.ok.shape[0]
    scan(x.temporal_used, m.temporal, 0, count)
    scan(x.spatial_used, m.spatial, 0, count)
    lay_out(x)
    compresses = True
    for b in range(0, count, width):
        n = min(width, count - b)
        load_factors(x.temporal, x.temporal_used, m.temporal, b, n)
        load_factors(x.spatial, x.spatial_used, m.spatial, b, n)
        derive(x, m, b, n)
        _words_fit(x, shape, plan, m.keep, b, n)
        _instances_fit(x, plan)
        for i in range(n):
            if m.keep.shape[2] > 1 or b + i == 0:
                compresses = _compresses(w, plan, m.keep[:, :, b + i])
            fits[b + i] = x.ok[i] and compresses
