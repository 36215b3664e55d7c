"""From counts to what fits, cycles and energy, in compiled code.

`dse.sparse.fit`, `buffers` and `result` say the rules; words alone are looked at before, in `fit`.
"""

from __future__ import annotations

import math

import numpy as np

from dse.jit import inlined
from dse.model import rules
from dse.model.arrays import CYCLES_LIMIT, Totals
from dse.numeric import Flags, int64
from dse.sparse.batch.holds import blocks_of_tile
from dse.sparse.batch.memory import Memo, SparseWork
from dse.sparse.batch.plan import FILL, GATED, RANDOM, READ, SKIPPED, UPDATE, SparsePlan


@inlined
def holdings_fit(w: SparseWork, plan: SparsePlan, keep: Flags) -> bool:
    """Whether metadata and average instances fit."""
    c, formats = plan.buffers, plan.formats
    for s in range(keep.shape[0]):
        used, bits = 0.0, 0.0
        for t in range(keep.shape[1]):
            there = w.there[t, s] if keep[s, t] else 1.0
            used = max(used, w.x[s] * w.y[s] * there)
            own = 0.0
            for r in range(formats.ranks[s, t] if keep[s, t] else 0):
                most, width = w.most_units[t, s, r], formats.bits[s, t, r]
                own += most[0] * width[0] + most[1] * width[1]
            bits += float(np.ceil(own))
        if used > c.instances[s] or bits > c.room[s]:
            return False
    return True


@inlined
def _partial_blocks(w: SparseWork, memo: Memo, plan: SparsePlan, t: int, s: int) -> float:
    """Return how many more blocks compressed tiles take than if all of them were full."""
    c = plan.buffers
    block, shape, density = c.block[s], w.tile[t, s], w.density[t, s]
    if not plan.formats.compressed[s, t] or block == 1 or not density < 1.0:
        return 1.0
    if c.block_row[s] < 0:  # Timeloop aborts
        w.wrong[0] = True
        return 1.0
    tenths = int64(math.floor(density / 0.1)) - 1 if density >= 0.1 else int64(0)
    if c.full_blocks[c.block_row[s], tenths] <= shape // block:
        return 1.0
    full = shape * density / block
    blocks = blocks_of_tile(w, memo, plan, t, shape, block)
    if full == 0.0:
        return math.inf if blocks else math.nan
    return float(blocks / full)


@inlined
def _use(w: SparseWork, memo: Memo, plan: SparsePlan, t: int, s: int) -> tuple[float, float, float]:
    """Return the energy of a cluster, and the words that are read and written."""
    c = plan.buffers
    ratio = _partial_blocks(w, memo, plan, t, s)
    pj, reads, writes, bits_read, bits_written = 0.0, 0.0, 0.0, 0.0, 0.0
    # accesses are carried out, and saved in one way
    for kind in range(RANDOM, max(w.how[t, s], RANDOM) + 1):
        for access in range(3):
            words, bits = w.data[t, s, kind, access], 0.0
            if words:
                pj += rules.blocks(words, c.block[s]) * ratio * c.data_pj[s, kind, access]
            if c.width[s] > 0:
                bits = w.bits[t, s, kind, access]
                if bits:
                    pj += rules.blocks(bits, c.width[s]) * c.metadata_pj[s, kind, access]
            if kind != SKIPPED:
                if access == READ:
                    reads, bits_read = reads + words, bits_read + bits
                else:
                    writes, bits_written = writes + words, bits_written + bits
    pj += w.decompressed[t, s] * c.decompression_pj[s] + w.compressed[t, s] * c.compression_pj[s]
    reads += float(np.floor(bits_read / c.word_bits[s]))
    writes += float(np.floor(bits_written / c.word_bits[s]))
    return pj, reads, writes


@inlined
def _addresses(w: SparseWork, plan: SparsePlan, t: int, s: int) -> float:
    data = w.data[t, s]
    made = UPDATE if plan.tensors.read_write[t] else READ
    return float(data[RANDOM, made] + data[GATED, made] + data[RANDOM, FILL])


@inlined
def _level(
    w: SparseWork, memo: Memo, plan: SparsePlan, s: int, keep: Flags, iterations: float
) -> tuple[float, float]:
    """Return energy and cycles of a level."""
    c = plan.buffers
    instances = w.x[s] * w.y[s]
    working = float(rules.used_clusters(instances, c.clusters[s]))
    energy, reads, writes, wraps = 0.0, 0.0, 0.0, False
    for t in range(keep.shape[1]):
        if not keep[s, t]:
            continue
        used = instances * w.there[t, s]
        pj, own_reads, own_writes = _use(w, memo, plan, t, s)
        if used > 0.0:
            energy += rules.instance_pj(pj, float(instances), working) * used
        energy += rules.address_pj(_addresses(w, plan, t, s), c.address_pj[s], working)
        share = instances / used if used else math.inf
        if iterations:
            reads += float(np.ceil(own_reads / share)) / iterations
            writes += float(np.ceil(own_writes / share)) / iterations
            wraps |= share < 0.0 and own_reads + own_writes > 0.0
    limits = c.read_bandwidth[s], c.write_bandwidth[s], c.shared_bandwidth[s]
    if wraps:
        if not (math.isinf(limits[0]) and math.isinf(limits[1]) and math.isinf(limits[2])):
            w.wrong[0] = True
        return energy, iterations
    slow = rules.slowdown(reads, writes, limits[0], limits[1], limits[2])
    cycles = rules.slowed(iterations, slow)
    if not cycles < CYCLES_LIMIT:
        w.wrong[0] = True
    return energy, cycles


@inlined
def _most_used(w: SparseWork, s: int, keep: Flags) -> float:
    used = 1.0
    for t in range(keep.shape[1]):
        there = w.there[t, s] if keep[s, t] else 1.0
        used = max(used, w.x[s] * w.y[s] * there)
    return used


@inlined
def total(
    w: SparseWork,
    memo: Memo,
    plan: SparsePlan,
    keep: Flags,
    network_pj: float,
    b: int,
    totals: Totals,
) -> None:
    """Set the totals of mapping ``b``; not valid where the answer makes no sense."""
    c = plan.buffers
    computing = w.x[0] * w.nest.width[0] * w.y[0] * w.nest.height[0]
    random, gated, skipped = w.done[0], w.done[1], w.done[2]
    iterations = float(np.ceil((random + gated) / computing))
    busy, energy = iterations, network_pj
    for s in range(keep.shape[0]):
        pj, cycles = _level(w, memo, plan, s, keep, iterations)
        energy += pj
        busy = max(busy, cycles)
    if rules.leaks(plan.version):
        for s in range(keep.shape[0]):
            if c.leak_pj[s] != 0.0:
                energy += rules.leakage(c.leak_pj[s], busy, _most_used(w, s, keep))
    energy += random * c.compute_pj[0] + skipped * c.compute_pj[2] + gated * c.compute_pj[1]
    cycles = busy + c.latency
    if cycles == 0.0 or not math.isfinite(energy) or w.wrong[0]:
        return
    totals.valid[b] = True
    totals.cycles[b] = cycles
    totals.energy_pj[b] = energy
    totals.utilization[b] = rules.utilization(random + gated, c.mac_instances, cycles)
