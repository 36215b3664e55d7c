"""The exact model of one mapping after the other, every rule included.

The numbers are Timeloop's to the digit: integers are kept exact, and floating-point sums follow
the order in which Timeloop adds. Section numbers refer to ``docs/timeloop-rules.md``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.architecture import HardwareArrays
from dse.model import arrays as a
from dse.model.arrays import Details, MappingArrays, ProblemArrays, Totals
from dse.model.jit import compiled, inner
from dse.model.loops import Nest, build_nest, copy_row, footprint, new_nest
from dse.model.multicast import Histogram, new_grid, new_histogram
from dse.model.traffic import (
    Links,
    Records,
    Tile,
    cell_traffic,
    new_records,
    new_tile,
    set_vectors,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Scratch(NamedTuple):
    """All working memory of the kernel, allocated once per call."""

    nest: Nest
    tile: Tile
    records: Records
    links: Links
    other: Histogram
    stride: Ints  # (D,)
    size: Ints  # (T, L) tile sizes
    spatial_size: Ints  # (T, L) tile sizes up to the outermost spatial loop
    fan: Ints  # (L,) logical fan-out
    share: Floats  # (L,) words the parent level delivers to one instance
    partition: Ints  # (L,)
    content: Floats  # (L,) content accesses
    peer: Floats  # (L,) reads and fills that link transfers cause
    load: Floats  # (L, 2) reads and writes per cycle, summed over tensors
    verdict: Ints  # (7,)
    row: Floats  # (10,) one row of details


def new_scratch(
    levels: int, dimensions: int, tensors: int, ranks: int, elements: int, entries: int
) -> Scratch:
    """Allocate scratch for grids of ``elements`` children and ``entries`` records a level."""
    nest = new_nest(levels, dimensions)
    return Scratch(
        nest,
        new_tile(len(nest.bound), ranks),
        new_records(levels, entries),
        Links(
            new_histogram(entries),
            new_histogram(entries),
            new_grid(elements, ranks),
            np.zeros(1, np.bool_),
        ),
        new_histogram(entries),
        np.empty(dimensions, np.int64),
        np.empty((tensors, levels), np.int64),
        np.empty((tensors, levels), np.int64),
        np.empty(levels, np.int64),
        np.empty(levels),
        np.empty(levels, np.int64),
        np.empty(levels),
        np.empty(levels),
        np.empty((levels, 2)),
        np.empty(7, np.int64),
        np.empty(10),
    )


@inner
def _round(value: float) -> float:
    """Round half away from zero, as C does."""
    return math.floor(value + 0.5) if value >= 0.0 else math.ceil(value - 0.5)


@inner
def _set_sizes(w: Scratch, p: ProblemArrays) -> None:
    """Tile sizes of every tensor at every level (section 3)."""
    for t in range(w.size.shape[0]):
        for s in range(w.size.shape[1]):
            w.size[t, s] = footprint(p.projection[t], w.nest.extent[s])
            w.spatial_size[t, s] = footprint(p.projection[t], w.nest.spatial_extent[s])


@inner
def _expansion(used_x: int, used_y: int, instances: int, mesh_x: int, mesh_y: int, v: Ints) -> bool:
    """Check instances, then X, then Y (section 8); fill the verdict; True when it fits."""
    if used_x * used_y > instances:
        v[a.V_EXPANSION], v[a.V_DEMAND], v[a.V_BOUND] = a.OVER_INSTANCES, used_x * used_y, instances
    elif used_x > mesh_x:
        v[a.V_EXPANSION], v[a.V_DEMAND], v[a.V_BOUND] = a.OVER_X, used_x, mesh_x
    elif used_y > mesh_y:
        v[a.V_EXPANSION], v[a.V_DEMAND], v[a.V_BOUND] = a.OVER_Y, used_y, mesh_y
    else:
        return True
    return False


@inner
def _fits(w: Scratch, hw: HardwareArrays, i: int, keep: npt.NDArray[np.bool_]) -> bool:
    """Timeloop's rejection rules in its order (section 8); ``keep (L, T)``."""
    v = w.verdict
    v[:] = 0
    v[a.V_LEVEL] = a.ARITHMETIC
    levels, tensors = keep.shape
    for t in range(tensors):
        anywhere = False
        for s in range(levels):
            anywhere |= keep[s, t]
        if not anywhere:
            v[a.V_EXPANSION] = a.KEPT_NOWHERE
            return False
    x = y = np.int64(1)
    for s in range(levels):
        x *= w.nest.width[s]
        y *= w.nest.height[s]
    if not _expansion(x, y, hw.mac_instances[i], hw.mac_mesh_x[i], hw.mac_mesh_y[i], v):
        return False
    for s in range(levels):
        v[a.V_LEVEL] = s
        x //= w.nest.width[s]
        y //= w.nest.height[s]
        fits = True
        if hw.size_words[s, i] >= 0:
            used = np.int64(0)
            for t in range(tensors):
                if keep[s, t]:
                    used += w.size[t, s]
            usable = np.int64(math.floor(hw.size_words[s, i] / hw.multiple_buffering[s, i]))
            v[a.V_USED], v[a.V_SIZE] = used, usable
            if used > usable:
                v[a.V_CAPACITY] = a.TOO_LARGE
                fits = False
            elif float(used) < float(usable) * hw.min_utilization[s, i]:
                v[a.V_CAPACITY] = a.TOO_SMALL
                fits = False
        fits &= _expansion(x, y, hw.instances[s, i], hw.mesh_x[s, i], hw.mesh_y[s, i], v)
        if not fits:
            return False
    v[a.V_LEVEL] = a.FITS
    return True


@inner
def _share_and_partition(w: Scratch, t: int) -> None:
    """Partition sizes, parent shares and content accesses before bypassing (section 7, 1-2)."""
    r = w.records
    levels = w.fan.shape[0]
    w.partition[levels - 1] = w.size[t, levels - 1]
    for s in range(levels - 2, -1, -1):
        below = w.spatial_size[t, s + 1] if w.fan[s + 1] > 1 else w.size[t, s]
        w.partition[s] = np.int64(
            np.uint64(w.partition[s + 1]) * np.uint64(w.size[t, s]) // np.uint64(below)
        )
    w.share[levels - 1] = 0.0
    for s in range(levels):
        total = 0.0
        shared = 0.0
        for e in range(r.entries[s]):
            total += r.accesses[s, e]
            shared += (r.accesses[s, e] * r.multicast[s, e]) / w.fan[s]
        w.content[s] = total
        if s > 0:
            w.share[s - 1] = shared


@inner
def _bypass(w: Scratch, t: int, keep: npt.NDArray[np.bool_]) -> int:
    """Hand bypassed levels' accesses outwards (section 7, 3-4); return the backing store."""
    r = w.records
    levels = w.fan.shape[0]
    for s in range(levels - 1):
        if keep[s, t]:
            continue
        words = 0.0
        for e in range(r.entries[s + 1]):
            words += r.accesses[s + 1, e] * r.multicast[s + 1, e]
        factor = w.content[s] * w.fan[s + 1] / words
        total = 0.0
        for e in range(r.entries[s + 1]):
            r.accesses[s + 1, e] *= factor
            total += r.accesses[s + 1, e]
        w.content[s + 1] = total
        r.links[s + 1] = 0.0
        w.size[t, s] = 0
        w.partition[s] = 0
        w.content[s] = w.share[s] = 0.0
    top = levels - 1
    while not keep[top, t]:
        r.entries[top] = 0
        r.links[top] = 0.0
        w.size[t, top] = 0
        w.partition[top] = 0
        w.content[top] = w.share[top] = 0.0
        top -= 1
    w.share[top] = 0.0
    return top


@inner
def _network(
    w: Scratch, hw: HardwareArrays, i: int, s: int, read_write: bool, used: int, out: Floats
) -> float:
    """Energy of one tensor on the network below level s (section 10); ``out (4,)``."""
    r = w.records
    wires = 0.0
    routers = 0.0
    ingress = 0.0
    reductions = 0.0
    for e in range(r.entries[s]):
        words = r.accesses[s, e]
        if read_write and not hw.can_reduce[s, i]:
            words = 2.0 * words - w.partition[s]
        ingress += words
        if words > 0.0:
            hops = r.hops[s, e] / words
            routers += math.trunc((1.0 + math.floor(hops)) * words)
            wires += hops * words
        if read_write:
            reductions += math.trunc((r.multicast[s, e] - 1) * words)
    energy = wires * hw.hop_pj[s, i] + routers * hw.router_pj[s, i] + hw.ingress_pj[s, i] * ingress
    link_energy = r.links[s] * (hw.hop_pj[s, i] + 2.0 * hw.router_pj[s, i])
    out[a.LINKS] = r.links[s]
    out[a.SPATIAL_REDUCTIONS] = reductions
    out[a.NETWORK_ENERGY] = energy
    out[a.LINK_ENERGY] = link_energy
    return (energy + link_energy) * used


@inner
def _blocks(count: float, block: int) -> float:
    return math.ceil(count / block)


@inner
def _level_tensor(
    w: Scratch,
    hw: HardwareArrays,
    i: int,
    s: int,
    t: int,
    kept: bool,
    backing: int,
    read_write: bool,
    used: int,
    iterations: int,
    version: int,
    out: Floats,
) -> float:
    """Counts and energy of one tensor at one level (sections 7.6 and 10); ``out (10,)``.

    Adds the accesses per cycle to ``load`` and returns the energy of all instances.
    """
    reads = fills = updates = reductions = 0.0
    content, peer, share, part = w.content[s], w.peer[s], w.share[s], w.partition[s]
    if kept:
        if read_write:
            updates = _round(content)
            reads = _round(content + peer - part)
            if content + peer < part:  # Timeloop aborts: an assertion fails
                w.verdict[a.V_LEVEL], w.verdict[a.V_EXPANSION] = s, a.NEGATIVE_READS
            reductions = reads
            elided = 0 if s == backing or version == a.DOSA else part
            fills = _round(share + peer - elided)
        else:
            reads = _round(content + peer)
            fills = float(math.trunc(share + peer))
    w.load[s, 0] += reads / iterations
    w.load[s, 1] += (fills + updates) / iterations
    block = hw.block_size[s, i]
    clusters = min(used, hw.instances[s, i] // hw.cluster_size[s, i])
    cluster_pj = (
        _blocks(reads, block) * hw.read_pj[s, i]
        + _blocks(fills, block) * hw.fill_pj[s, i]
        + _blocks(updates, block) * hw.update_pj[s, i]
    )
    instance_pj = cluster_pj / (float(used) / float(clusters))
    addresses = (updates if read_write else reads) + fills
    out[a.READS] = reads
    out[a.FILLS] = fills
    out[a.UPDATES] = updates
    out[a.CAPACITY] = w.size[t, s]
    out[a.PARTITION] = part
    out[a.INSTANCES] = used
    out[a.CLUSTERS] = clusters
    out[a.ENERGY] = instance_pj
    out[a.REDUCTIONS] = reductions
    out[a.ADDRESSES] = addresses
    return instance_pj * used + addresses * hw.address_generation_pj[s, i] * clusters


@inner
def _slowdown(w: Scratch, hw: HardwareArrays, i: int, s: int) -> float:
    """Bandwidth throttling of one level (section 9)."""
    reads, writes = w.load[s, 0], w.load[s, 1]
    slow = 1.0
    if hw.read_bandwidth[s, i] < reads:
        slow = min(slow, hw.read_bandwidth[s, i] / reads)
    if hw.write_bandwidth[s, i] < writes:
        slow = min(slow, hw.write_bandwidth[s, i] / writes)
    if hw.shared_bandwidth[s, i] < writes + reads:
        slow = min(slow, hw.shared_bandwidth[s, i] / (writes + reads))
    return slow


@inner
def _storage_energy(
    w: Scratch,
    p: ProblemArrays,
    m: MappingArrays,
    b: int,
    keep: npt.NDArray[np.bool_],
    hw: HardwareArrays,
    i: int,
    iterations: int,
    version: int,
    details: Details,
) -> float:
    """Traffic, counts and energy of all tensors; NaN when scratch was too small."""
    levels, tensors = keep.shape
    nest, tile, r, out = w.nest, w.tile, w.records, w.row
    energy = 0.0
    w.load[:] = 0.0
    want = details.verdict.shape[1] > 0
    bt = b if m.no_temporal_reuse.shape[2] > 1 else 0
    bm = b if m.no_multicast.shape[2] > 1 else 0
    bl = b if m.no_link_transfer.shape[2] > 1 else 0
    for t in range(tensors):
        set_vectors(tile, nest, p.projection[t], nest.first[levels])
        for s in range(levels):
            if s > 0:
                for q in range(tile.edge.shape[0]):
                    side = np.int64(1)
                    for d in range(p.projection.shape[2]):
                        side += abs(p.projection[t, q, d]) * (nest.extent[s - 1, d] - 1)
                    tile.edge[q] = side
            if not cell_traffic(
                r,
                tile,
                nest,
                s,
                hw.fanout_x[s, i],
                hw.fanout_y[s, i],
                s > 0 and m.no_temporal_reuse[s - 1, t, bt],
                m.no_multicast[s, t, bm],
                m.no_link_transfer[s, t, bl],
                hw.hop_pj[s, i] != 0.0 or hw.router_pj[s, i] != 0.0,
                version,
                w.links,
                w.other,
            ):
                return math.nan
        _share_and_partition(w, t)
        backing = _bypass(w, t, keep)
        used = np.int64(1)
        w.peer[levels - 1] = 0.0
        for s in range(levels - 1, 0, -1):
            used *= w.fan[s]
            w.peer[s - 1] = r.links[s] / used
        used = np.int64(1)
        for s in range(levels - 1, -1, -1):
            energy += _level_tensor(
                w,
                hw,
                i,
                s,
                t,
                keep[s, t],
                backing,
                p.read_write[t],
                used,
                iterations,
                version,
                out,
            )
            if want:
                copy_row(details.tensor[:, s, t, b], out)
            energy += _network(w, hw, i, s, p.read_write[t], used, out[:4])
            if want:
                copy_row(details.network[:, s, t, b], out)
            used *= w.fan[s]
    return energy


@inner
def _evaluate_one(
    w: Scratch,
    p: ProblemArrays,
    m: MappingArrays,
    b: int,
    hw: HardwareArrays,
    i: int,
    version: int,
    totals: Totals,
    details: Details,
) -> bool:
    """Evaluate mapping b on hardware i; False when scratch was too small."""
    levels = m.temporal.shape[0]
    want = details.verdict.shape[1] > 0
    keep = m.keep[:, :, b if m.keep.shape[2] > 1 else 0]
    iterations = build_nest(w.nest, m, b, w.stride)
    _set_sizes(w, p)
    totals.valid[b] = _fits(w, hw, i, keep)
    if want:
        copy_row(details.verdict[:, b], w.verdict)
    if not totals.valid[b]:
        return True
    macs = np.int64(iterations)
    for s in range(levels):
        w.fan[s] = w.nest.width[s] * w.nest.height[s]
        macs *= w.fan[s]
    energy = _storage_energy(w, p, m, b, keep, hw, i, iterations, version, details)
    if math.isnan(energy):
        return False
    if w.verdict[a.V_EXPANSION] == a.NEGATIVE_READS:
        totals.valid[b] = False
        if want:
            copy_row(details.verdict[:, b], w.verdict)
        return True
    cycles = float(iterations)
    latency = np.int64(0)
    for s in range(levels):
        slow = _slowdown(w, hw, i, s)
        level_cycles = math.ceil(iterations / slow)
        cycles = max(cycles, level_cycles)
        latency += hw.latency_cycles[s, i]
        if want:
            details.level[a.CYCLES, s, b] = level_cycles
            details.level[a.SLOWDOWN, s, b] = slow
    if version == a.HEAD:
        used = np.int64(1)
        for s in range(levels - 1, -1, -1):
            leak = hw.leak_pj[s, i] * cycles * used
            energy += leak
            if want:
                details.level[a.LEAK, s, b] = leak
            used *= w.fan[s]
    cycles += latency
    totals.cycles[b] = cycles
    totals.energy_pj[b] = energy + macs * hw.mac_pj[i]
    totals.utilization[b] = (macs / hw.mac_instances[i]) / cycles
    return True


@compiled
def evaluate_range(
    w: Scratch,
    p: ProblemArrays,
    m: MappingArrays,
    hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32],
    start: int,
    stop: int,
    version: int,
    totals: Totals,
    details: Details,
) -> int:
    """Evaluate mappings ``start .. stop``; return the first that needs more scratch, or stop."""
    for b in range(start, stop):
        if not _evaluate_one(w, p, m, b, hw, hardware_index[b], version, totals, details):
            return b
    return stop
