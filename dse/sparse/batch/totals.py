"""From counts to what fits, cycles and energy, in compiled code.

`dse.sparse.fit`, `buffers` and `result` say the rules; words alone are looked at before, in `fit`.
"""

from __future__ import annotations

import math

import numpy as np

from dse.jit import inlined, inner
from dse.model import rules
from dse.model.arrays import CYCLES_LIMIT, Totals
from dse.numeric import Flags, Floats, int64
from dse.sparse.batch.holds import blocks_of_tile
from dse.sparse.batch.lanes import SparseLanes
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
    """Return by what factor compressed tiles take more blocks than if all were full."""
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
def set_blocks(w: SparseWork, memo: Memo, plan: SparsePlan, keep: Flags) -> None:
    """Set by what factor blocks are more than if all of them were full."""
    for t in range(keep.shape[1]):
        for s in range(keep.shape[0]):
            if keep[s, t] and plan.formats.compressed[s, t]:
                w.blocks[t, s] = _partial_blocks(w, memo, plan, t, s)


@inner
def _set_use(x: SparseLanes, plan: SparsePlan, t: int, s: int, n: int) -> None:
    """Set the energy of a cluster, and the words and bits that are read and written."""
    c, block, width = plan.buffers, plan.buffers.block[s], plan.buffers.width[s]
    pj, reads, bits_read, writes, bits_written = x.use[0], x.use[1], x.use[2], x.use[3], x.use[4]
    x.use[:] = 0.0
    partial = plan.formats.compressed[s, t] and block > 1
    more = x.blocks[t, s]
    # accesses are carried out, and saved in one way; fills are never saved
    for k in range(1 if x.how[t, s] < 0 else 2):
        kind = RANDOM if k == 0 else x.how[t, s]
        for access in range(3):
            if k > 0 and access == FILL:
                continue
            words, bits = x.data[t, s, kind, access], x.bits[t, s, kind, access]
            price, metadata_price = c.data_pj[s, kind, access], c.metadata_pj[s, kind, access]
            if partial:
                for i in range(n):
                    full = rules.blocks(words[i], block)
                    pj[i] += full * more[i] * price if words[i] != 0.0 else 0.0
            else:
                for i in range(n):
                    pj[i] += rules.access_pj(words[i], block, price)
            if width > 0:
                for i in range(n):
                    pj[i] += rules.access_pj(bits[i], width, metadata_price)
            if kind == SKIPPED:
                continue
            own_words = reads if access == READ else writes
            own_bits = bits_read if access == READ else bits_written
            for i in range(n):
                own_words[i] += words[i]
            if width > 0:
                for i in range(n):
                    own_bits[i] += bits[i]
    unpacking, packing = c.decompression_pj[s], c.compression_pj[s]
    unpacked, packed, word_bits = x.decompressed[t, s], x.compressed[t, s], c.word_bits[s]
    for i in range(n):
        pj[i] += unpacked[i] * unpacking + packed[i] * packing
        reads[i] += np.floor(bits_read[i] / word_bits)
        writes[i] += np.floor(bits_written[i] / word_bits)


@inner
def _add_energy(x: SparseLanes, plan: SparsePlan, t: int, s: int, n: int) -> None:
    """Add the energy of a tensor at a level to ``work[0]``; its `use` is set."""
    c, instances, there, pj = plan.buffers, x.instances[s], x.there[t, s], x.use[0]
    made = UPDATE if plan.tensors.read_write[t] else READ
    random, filled = x.data[t, s, RANDOM, made], x.data[t, s, RANDOM, FILL]
    gated, gates = x.data[t, s, GATED, made], x.how[t, s] == GATED
    clusters, address_pj, level_pj = float(c.clusters[s]), c.address_pj[s], x.work[0]
    for i in range(n):
        working = rules.used_clusters(instances[i], clusters)
        used = instances[i] * there[i]
        own = rules.instance_pj(pj[i], instances[i], working) * used if used > 0.0 else 0.0
        addresses = random[i] + (gated[i] if gates else 0.0) + filled[i]
        level_pj[i] += own
        level_pj[i] += rules.address_pj(addresses, address_pj, working)


@inner
def _add_load(x: SparseLanes, t: int, s: int, n: int) -> None:
    """Add the words that an instance reads and writes an iteration to ``work[1:3]``."""
    instances, there, own_reads, own_writes = x.instances[s], x.there[t, s], x.use[1], x.use[3]
    reads, writes = x.work[1], x.work[2]
    for i in range(n):
        used, iterations = instances[i] * there[i], x.iterations[i]
        share = instances[i] / used if used != 0.0 else math.inf
        counts = iterations != 0.0
        reads[i] += np.ceil(own_reads[i] / share) / iterations if counts else 0.0
        writes[i] += np.ceil(own_writes[i] / share) / iterations if counts else 0.0
        x.wraps[i] |= counts & (share < 0.0) & (own_reads[i] + own_writes[i] > 0.0)


@inner
def _add_level(x: SparseLanes, plan: SparsePlan, s: int, n: int) -> None:
    """Add a level's energy; `busy` becomes its cycles where these are more."""
    c = plan.buffers
    level_pj, reads, writes = x.work[0], x.work[1], x.work[2]
    x.work[:] = 0.0
    x.wraps[:] = False
    shared, read, write = c.shared_bandwidth[s], c.read_bandwidth[s], c.write_bandwidth[s]
    limited = not (math.isinf(read) and math.isinf(write) and math.isinf(shared))
    for t in range(x.keep.shape[1]):
        if x.keep[s, t]:
            _set_use(x, plan, t, s, n)
            _add_energy(x, plan, t, s, n)
            if limited:
                _add_load(x, t, s, n)
    for i in range(n):
        x.energy_pj[i] += level_pj[i]
    if not limited:
        return
    for i in range(n):
        slow = rules.slowdown(reads[i], writes[i], read, write, shared)
        cycles = rules.slowed(x.iterations[i], slow)
        x.ok[i] &= (cycles < CYCLES_LIMIT) & (not x.wraps[i])
        x.busy[i] = max(x.busy[i], cycles)


@inner
def _add_leakage(x: SparseLanes, plan: SparsePlan, s: int, n: int) -> None:
    """Add what the instances of a level leak that are used most."""
    most, instances, leak_pj = x.work[0], x.instances[s], plan.buffers.leak_pj[s]
    most[:] = 1.0
    for t in range(x.keep.shape[1]):
        there = x.there[t, s]
        for i in range(n):
            used = instances[i] * (there[i] if x.keep[s, t] else 1.0)
            most[i] = max(most[i], used)
    for i in range(n):
        x.energy_pj[i] += rules.leakage(leak_pj, x.busy[i], most[i])


@inner
def set_totals(
    x: SparseLanes, plan: SparsePlan, network_pj: Floats, n: int, totals: Totals
) -> None:
    """Set the totals of the first n lanes; not valid where the answer makes no sense.

    Args:
        x: the block; the counts are set.
        plan: the design.
        network_pj: ``(B,)`` of all mappings.
        n: lanes.
        totals: ``(B,)`` of all mappings.
    """
    c, levels = plan.buffers, x.keep.shape[0]
    random, gated, skipped = x.done[RANDOM], x.done[GATED], x.done[SKIPPED]
    for i in range(n):
        x.iterations[i] = np.ceil((random[i] + gated[i]) / x.computing[i])
        x.ok[i] &= x.iterations[i] < CYCLES_LIMIT
        x.busy[i] = x.iterations[i]
        x.energy_pj[i] = network_pj[x.place[i]]
    for s in range(levels):
        _add_level(x, plan, s, n)
    if rules.leaks(plan.version):
        for s in range(levels):
            if c.leak_pj[s] != 0.0:
                _add_leakage(x, plan, s, n)
    spent = c.compute_pj[RANDOM], c.compute_pj[GATED], c.compute_pj[SKIPPED]
    for i in range(n):
        b, cycles = x.place[i], x.busy[i] + c.latency
        pj = x.energy_pj[i]
        pj += random[i] * spent[0] + skipped[i] * spent[2] + gated[i] * spent[1]
        if not x.ok[i] or cycles == 0.0 or not math.isfinite(pj):
            continue
        totals.valid[b] = True
        totals.cycles[b] = cycles
        totals.energy_pj[b] = pj
        totals.utilization[b] = rules.utilization(random[i] + gated[i], c.mac_instances, cycles)
