"""The exact model of one mapping after the other, every rule included.

The numbers are Timeloop's to the digit: integers are kept exact, and floating-point sums follow
the order in which Timeloop adds. Section numbers refer to ``docs/timeloop-rules.md``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import inlined, tiered
from dse.model import arrays as a
from dse.model import rules
from dse.model.arrays import Details, MappingArrays, ProblemArrays, Totals
from dse.model.counts import (
    hand_outwards,
    level_energy,
    network_energy,
    share_and_partition,
    slowdown,
)
from dse.model.loops import build_nest, copy_row, count_iterations
from dse.model.traffic import cell_traffic, set_vectors
from dse.model.verdict import fits, set_sizes
from dse.model.workspace import Scratch


@inlined
def set_fanouts(w: Scratch) -> int:
    """Set the logical fan-outs and expansions of all levels; return that of the MACs."""
    used = np.int64(1)
    for s in range(w.fan.shape[0] - 1, -1, -1):
        w.expansion[s] = used
        w.fan[s] = w.nest.width[s] * w.nest.height[s]
        used *= w.fan[s]
    return used


@inlined
def tensor_energy(
    w: Scratch,
    p: ProblemArrays,
    b: int,
    t: int,
    keep: npt.NDArray[np.bool_],
    hw: HardwareArrays,
    i: int,
    iterations: int,
    version: int,
    details: Details,
    energy: float,
) -> float:
    """From the records of one tensor to its counts at every level (sections 7 and 10).

    Returns ``energy`` and that of all its accesses.
    """
    levels, out = keep.shape[0], w.row
    want = details.verdict.shape[1] > 0
    share_and_partition(w, t)
    backing = hand_outwards(w, t, keep)
    w.peer[levels - 1] = 0.0
    for s in range(levels - 1, 0, -1):
        w.peer[s - 1] = w.records.links[s] / w.replicas[s - 1]
    for s in range(levels - 1, -1, -1):
        if want or keep[s, t]:
            energy += level_energy(
                w, hw, i, s, t, keep[s, t], backing, p.read_write[t], iterations, version, out
            )
        if want:
            copy_row(details.tensor[:, s, t, b], out)
        priced = hw.hop_pj[s, i] != 0.0 or hw.router_pj[s, i] != 0.0 or hw.ingress_pj[s, i] != 0.0
        if want or priced:
            energy += network_energy(w, hw, i, s, p.read_write[t], w.replicas[s], out[:4])
        if want:
            copy_row(details.network[:, s, t, b], out)
        room = details.records.shape[3]
        if room > 0:
            details.entries[s, t, b] = w.records.entries[s]
            for e in range(min(room, w.records.entries[s])):
                details.records[0, s, t, e, b] = w.records.multicast[s, e]
                details.records[1, s, t, e, b] = w.records.accesses[s, e]
                details.records[2, s, t, e, b] = w.records.scatter[s, e]
                details.records[3, s, t, e, b] = w.records.hops[s, e]
    return energy


@inlined
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
    """Traffic, counts and energy of all tensors.

    The verdict becomes MORE_SCRATCH when scratch was too small, NEGATIVE_READS where Timeloop
    aborts, NEGATIVE_FILLS where its count wraps around.
    """
    levels, tensors = keep.shape
    nest, tile, r = w.nest, w.tile, w.records
    energy = 0.0
    w.load[:] = 0.0
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
                        side += rules.stretch(p.projection[t, q, d], nest.extent[s - 1, d])
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
                w.verdict[a.V_EXPANSION] = a.MORE_SCRATCH
                return 0.0
        energy = tensor_energy(w, p, b, t, keep, hw, i, iterations, version, details, energy)
    return energy


@inlined
def finish(
    w: Scratch,
    hw: HardwareArrays,
    i: int,
    b: int,
    iterations: int,
    computes: float,
    energy: float,
    version: int,
    totals: Totals,
    details: Details,
) -> None:
    """From accesses to cycles, and from the storage's energy to the total (sections 9, 10)."""
    want = details.verdict.shape[1] > 0
    levels = w.fan.shape[0]
    cycles = float(iterations)
    latency = np.int64(0)
    for s in range(levels):
        slow = slowdown(w, hw, i, s)
        level_cycles = rules.slowed(iterations, slow)
        cycles = max(cycles, level_cycles)
        latency += hw.latency_cycles[s, i]
        if want:
            details.level[a.CYCLES, s, b] = level_cycles
            details.level[a.SLOWDOWN, s, b] = slow
    if rules.leaks(version):
        for s in range(levels - 1, -1, -1):
            leak = rules.leakage(hw.leak_pj[s, i], cycles, w.replicas[s])
            energy += leak
            if want:
                details.level[a.LEAK, s, b] = leak
    cycles += latency
    totals.cycles[b] = cycles
    totals.energy_pj[b] = energy + computes * hw.mac_pj[i]
    totals.utilization[b] = rules.utilization(computes, hw.mac_instances[i], cycles)


@inlined
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
    want = details.verdict.shape[1] > 0
    keep = m.keep[:, :, b if m.keep.shape[2] > 1 else 0]
    build_nest(w.nest, m, b, w.stride)
    iterations = count_iterations(w.nest)
    set_sizes(w, p)
    macs = iterations * set_fanouts(w)
    copy_row(w.replicas, w.expansion)
    totals.valid[b] = fits(w, hw, i, keep)
    if want:
        copy_row(details.verdict[:, b], w.verdict)
    if not totals.valid[b]:
        return True
    energy = _storage_energy(w, p, m, b, keep, hw, i, iterations, version, details)
    if w.verdict[a.V_EXPANSION] == a.MORE_SCRATCH:
        return False
    wrong = w.verdict[a.V_EXPANSION]
    if wrong in (a.NEGATIVE_READS, a.NEGATIVE_FILLS):
        totals.valid[b] = False
        if want:
            copy_row(details.verdict[:, b], w.verdict)
        return True
    finish(w, hw, i, b, iterations, macs, energy, version, totals, details)
    return True


@tiered
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
