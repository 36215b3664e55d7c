"""Compiled parts of the encoding: one mapping after the other, so that no split of a batch shows.

All write into rows ``start .. stop`` of ``out (B, F)``, at columns that the caller names; a column
has an axis for each of level, dimension and tensor that the feature has.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import compiled, inlined
from dse.model.arrays import MappingArrays
from dse.numeric import Floats

ColumnPlaces = npt.NDArray[np.int64]


class MappingColumns(NamedTuple):
    """Columns of the block ``mapping``: ``(L, D)``, ``(L,)`` and ``(L, T)``."""

    temporal: ColumnPlaces
    spatial: ColumnPlaces
    inside: ColumnPlaces
    fanout_x: ColumnPlaces
    fanout_y: ColumnPlaces
    keep: ColumnPlaces


class RawColumns(NamedTuple):
    """Columns of the loops in the block ``raw``: ``(L, D)`` each."""

    spatial: ColumnPlaces
    temporal: ColumnPlaces
    place: ColumnPlaces


class NativeColumns(NamedTuple):
    """Columns of the words moved, in the block ``native``: ``(L, T)`` and ``(L,)``."""

    tile: ColumnPlaces
    fills: ColumnPlaces
    reads: ColumnPlaces
    used: ColumnPlaces
    busy: ColumnPlaces
    iterations: int


@inlined
def _one(array: npt.NDArray[np.generic], b: int) -> int:
    """Return the place of mapping b in an array that may have one entry for all."""
    return b if array.shape[-1] > 1 else 0


@compiled
def write_mapping(m: MappingArrays, at: MappingColumns, start: int, stop: int, out: Floats) -> None:
    """Write factors, orders, fan-outs and what is kept."""
    levels, dimensions, _ = m.temporal.shape
    for b in range(start, stop):
        order, across = _one(m.permutation, b), _one(m.spatial_permutation, b)
        split, keep = _one(m.split, b), _one(m.keep, b)
        for s in range(levels):
            inside, x, y = 0.0, 0.0, 0.0
            for k in range(dimensions):
                d = m.permutation[s, k, order]
                factor = m.temporal[s, d, b]
                if factor > 1:
                    log = np.log2(float(factor))
                    out[b, at.temporal[s, d]] = log
                    out[b, at.inside[s, d]] = inside
                    inside += log
                e = m.spatial_permutation[s, k, across]
                if m.spatial[s, e, b] > 1:
                    log = np.log2(float(m.spatial[s, e, b]))
                    out[b, at.spatial[s, e]] = log
                    if k < m.split[s, split]:
                        x += log
                    else:
                        y += log
            out[b, at.fanout_x[s]] = x
            out[b, at.fanout_y[s]] = y
            for t in range(m.keep.shape[1]):
                out[b, at.keep[s, t]] = 1.0 if m.keep[s, t, keep] else 0.0


@compiled
def write_raw(m: MappingArrays, at: RawColumns, start: int, stop: int, out: Floats) -> None:
    """Write factors as they are, and the places of loops."""
    levels, dimensions, _ = m.temporal.shape
    for b in range(start, stop):
        order = _one(m.permutation, b)
        for s in range(levels):
            place = 0.0
            for k in range(dimensions):
                d = m.permutation[s, k, order]
                out[b, at.temporal[s, d]] = m.temporal[s, d, b]
                out[b, at.spatial[s, d]] = m.spatial[s, d, b]
                if m.temporal[s, d, b] > 1:
                    place += 1.0
                    out[b, at.place[s, d]] = place


@inlined
def _tile(projection: npt.NDArray[np.int64], t: int, extent: Floats) -> float:
    """Return the words of a tensor's tile, of the extents of its dimensions."""
    words = 1.0
    for q in range(projection.shape[1]):
        side = 1.0
        for d in range(projection.shape[2]):
            side += abs(projection[t, q, d]) * (extent[d] - 1.0)
        words *= side
    return words


@inlined
def _refills(
    m: MappingArrays, moves: npt.NDArray[np.bool_], t: int, level: int, b: int, order: int
) -> float:
    """Return how often a tile is loaded: from the innermost loop outside that moves it on."""
    loads, moved = 1.0, False
    for s in range(level + 1, m.temporal.shape[0]):
        for k in range(m.temporal.shape[1]):
            d = m.permutation[s, k, order]
            factor = m.temporal[s, d, b]
            if factor > 1:
                moved = moved or moves[t, d]
                if moved:
                    loads *= factor
    return loads


@compiled
def write_native(
    m: MappingArrays,
    projection: npt.NDArray[np.int64],
    moves: npt.NDArray[np.bool_],
    hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32],
    at: NativeColumns,
    extent: Floats,
    start: int,
    stop: int,
    out: Floats,
) -> None:
    """Write tiles and words moved, in closed form.

    ``moves (T, D)`` says whether a dimension moves a tensor; ``extent (L + 1, D)`` is memory for
    the extents inside each level, and of all.
    """
    levels, dimensions, _ = m.temporal.shape
    for b in range(start, stop):
        order, kept, h = _one(m.permutation, b), _one(m.keep, b), hardware_index[b]
        iterations = 1.0
        for d in range(dimensions):
            extent[0, d] = 1.0
            for s in range(levels):
                extent[s + 1, d] = extent[s, d] * m.temporal[s, d, b] * m.spatial[s, d, b]
                iterations *= m.temporal[s, d, b]
        out[b, at.iterations] = np.log2(iterations)
        for s in range(levels):
            used, into, onward = 0.0, 0.0, 0.0
            for t in range(m.keep.shape[1]):
                if not m.keep[s, t, kept]:
                    continue
                tile = _tile(projection, t, extent[s + 1])
                fills = tile * _refills(m, moves, t, s, b, order)
                child = s - 1
                while child >= 0 and not m.keep[child, t, kept]:
                    child -= 1
                reads = _tile(projection, t, extent[child + 1])
                reads *= _refills(m, moves, t, child, b, order)
                for inner in range(child + 1, s + 1):
                    for d in range(dimensions):
                        if moves[t, d]:
                            reads *= m.spatial[inner, d, b]
                out[b, at.tile[s, t]] = np.log2(1.0 + tile)
                out[b, at.fills[s, t]] = np.log2(1.0 + fills)
                out[b, at.reads[s, t]] = np.log2(1.0 + reads)
                used += tile
                into += fills
                onward += reads
            busy = max(onward / hw.read_bandwidth[s, h], into / hw.write_bandwidth[s, h])
            busy = max(busy, (into + onward) / hw.shared_bandwidth[s, h])
            out[b, at.used[s]] = np.log2(1.0 + used)
            out[b, at.busy[s]] = np.log2(1.0 + busy)
