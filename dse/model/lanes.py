"""The fast path of the model: blocks of mappings abreast, where the rules have a closed form.

Counts are exact in float64: the driver admits only problems that stay below 2^48. This path and
the exact kernel add in the same order and give equal bits; lanes that need enumeration are handed
back to it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import inner, tiered
from dse.model import rules
from dse.model.arrays import MappingArrays, Totals
from dse.model.block import (
    FEW,
    Lanes,
    Plan,
    Prices,
    derive,
    lay_out,
    load_factors,
    load_hardware,
    scan,
)
from dse.model.cells import Odd
from dse.model.delivery import tensor_traffic
from dse.model.fit import check, tile_words
from dse.model.loops import copy_row
from dse.model.orders import load_orders
from dse.model.picked import Picked, leave_out, pick, set_keep, set_keeps

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@inner
def partitions(x: Lanes, plan: Plan, t: int) -> None:
    """Partition sizes of a simple tensor: its size over the relevant spatial factors."""
    levels = plan.keep.shape[0]
    tile_words(x, plan, t, levels - 1)
    copy_row(x.partition[levels - 1], x.tile[t, levels - 1])
    for s in range(levels - 2, -1, -1):
        here = x.partition[s]
        copy_row(here, x.partition[s + 1])
        for d in range(x.spatial.shape[1]):
            if plan.relevant[t, d] and x.spatial_used[s + 1, d]:
                spatial = x.spatial[s + 1, d]
                for i in range(x.ok.shape[0]):
                    here[i] /= spatial[i]


@inner
def level_counts(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Settle the counts of tensor t at a level that keeps it (section 7.6).

    From here on ``content`` holds the reads (of outputs: the updates), ``share`` the fills and
    ``partition`` the reads of outputs.
    """
    content, fills, part = x.content[s], x.share[s], x.partition[s]
    if s == plan.backing[t]:
        fills[:] = 0.0
    elif not plan.read_write[t]:
        for i in range(x.ok.shape[0]):
            fills[i] = rules.cut_off(fills[i])
    elif rules.elides(False, plan.version):
        for i in range(x.ok.shape[0]):
            fills[i] -= part[i]
        for i in range(x.ok.shape[0]):
            if fills[i] < 0.0:
                x.odd[i] = True
    if plan.read_write[t]:
        least = x.work[1]
        for i in range(x.ok.shape[0]):
            least[i] = content[i] - part[i]
        for i in range(x.ok.shape[0]):
            part[i] = rules.rounded_up_half(least[i])
            content[i] = rules.rounded_up_half(content[i])
        for i in range(x.ok.shape[0]):
            if least[i] < 0.0:
                x.odd[i] = True


@inner
def _add_access(pj: Floats, words: Floats, price: Floats, block: Floats, blocked: bool) -> None:
    """Add the energy of ``words`` accesses, rounded up to whole blocks."""
    if blocked:
        for i in range(pj.shape[0]):
            pj[i] += rules.access_pj(words[i], block[i], price[i])
    else:
        for i in range(pj.shape[0]):
            pj[i] += words[i] * price[i]


@inner
def _tensor_energy(x: Lanes, plan: Plan, c: Prices, t: int) -> None:
    """Counts, loads and energy of tensor t (sections 7.6, 9, 10), outermost level first."""
    top = plan.backing[t]
    if plan.read_write[t]:
        partitions(x, plan, t)
    energy, iterations, pj = x.energy, x.iterations[0], x.work[0]
    for s in range(top, -1, -1):
        if not plan.keep[s, t]:
            continue
        leave_out(x, plan, t, s)
        level_counts(x, plan, t, s)
        content, fills, part, used = x.content[s], x.share[s], x.partition[s], x.used[s]
        block, blocked = c.block[s], c.blocked[s]
        reads = part if plan.read_write[t] else content
        if c.limited[s]:
            load_r, load_w = x.load[c.bank[s], 0], x.load[c.bank[s], 1]
            if plan.read_write[t]:
                for i in range(x.ok.shape[0]):
                    load_w[i] += (fills[i] + content[i]) / iterations[i]
            elif s < top:
                for i in range(x.ok.shape[0]):
                    load_w[i] += fills[i] / iterations[i]
            for i in range(x.ok.shape[0]):
                load_r[i] += reads[i] / iterations[i]
        pj[:] = 0.0
        _add_access(pj, reads, c.read_pj[s], block, blocked)
        if s < top:
            _add_access(pj, fills, c.fill_pj[s], block, blocked)
        if plan.read_write[t]:
            _add_access(pj, content, c.update_pj[s], block, blocked)
        clusters = c.clusters[s]
        if c.clustered[s]:
            for i in range(x.ok.shape[0]):
                working = rules.used_clusters(used[i], clusters[i])
                pj[i] = rules.instance_pj(pj[i], used[i], working)
        if c.addressed[s]:
            address_pj = c.address_pj[s]
            for i in range(x.ok.shape[0]):
                working = rules.used_clusters(used[i], clusters[i])
                addresses = rules.address_pj(content[i] + fills[i], address_pj[i], working)
                energy[i] += pj[i] * used[i] + addresses
        else:
            for i in range(x.ok.shape[0]):
                energy[i] += pj[i] * used[i]


@inner
def _finish(
    x: Lanes, plan: Plan, c: Prices, macs: float, order: Ints, b: int, n: int, totals: Totals
) -> None:
    """Cycles, leakage, compute energy, utilisation (sections 9 and 10)."""
    levels = plan.keep.shape[0]
    cycles, iterations = x.cycles, x.iterations[0]
    copy_row(cycles, iterations)
    for s in range(levels):
        if not c.limited[s]:
            continue
        reads, writes = x.load[s, 0], x.load[s, 1]
        read_bw, write_bw, shared_bw = (
            c.read_bandwidth[s],
            c.write_bandwidth[s],
            c.shared_bandwidth[s],
        )
        for i in range(x.ok.shape[0]):
            slow = rules.slowdown(reads[i], writes[i], read_bw[i], write_bw[i], shared_bw[i])
            cycles[i] = max(cycles[i], rules.slowed(iterations[i], slow))
    if rules.leaks(plan.version) and c.leaking[0]:
        for s in range(levels - 1, -1, -1):
            leak_pj, used = c.leak_pj[s], x.used[s]
            for i in range(x.ok.shape[0]):
                x.energy[i] += rules.leakage(leak_pj[i], cycles[i], used[i])
    for i in range(n):
        if x.ok[i]:
            to = order[b + i] if order.shape[0] else b + i
            cycles[i] += c.latency[i]
            totals.cycles[to] = cycles[i]
            totals.energy_pj[to] = x.energy[i] + macs * c.mac_pj[i]
            totals.utilization[to] = rules.utilization(macs, c.mac_instances[i], cycles[i])


@inner
def _evaluate_block(
    x: Lanes, plan: Plan, c: Prices, odd: Odd, m: MappingArrays, hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32], macs: float, order: Ints, at: int, b: int, n: int,
    totals: Totals, again: Flags,
) -> None:  # fmt: skip
    """Evaluate the mappings whose factors are loaded; mark in ``again`` those left over.

    In ``m`` and ``hardware_index`` they stand from ``at`` on. Their places in the batch are
    ``order[b : b + n]``, or those from ``b`` on where there is no order.
    """
    load_hardware(c, hw, hardware_index, at, n)
    derive(x, m, at, n)
    check(x, plan, c, plan.lane_keep)
    any_ok = False
    for i in range(n):
        any_ok |= x.ok[i]
        totals.valid[order[b + i] if order.shape[0] else b + i] = x.ok[i]
        x.odd[i] = x.ok[i] and x.width[0, i] * x.height[0, i] > 1.0
    if not any_ok:
        return
    load_orders(x, m, at, n)
    x.energy[:] = 0.0
    x.load[:] = 0.0
    for t in range(plan.keep.shape[1]):
        tensor_traffic(x, plan, m, hw, hardware_index, t, at, n, odd)
        _tensor_energy(x, plan, c, t)
    _finish(x, plan, c, macs, order, b, n, totals)
    for i in range(n):
        if x.odd[i] and x.ok[i]:
            again[order[b + i] if order.shape[0] else b + i] = True


@tiered
def evaluate_groups(
    wide: Lanes, narrow: Lanes, plan: Plan, wide_plan: Plan, narrow_plan: Plan,
    wide_prices: Prices, narrow_prices: Prices, odd: Odd, m: MappingArrays, hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32], macs: float, edges: Ints, k: Picked, totals: Totals,
    again: Flags,
) -> None:  # fmt: skip
    """Evaluate groups of mappings; group g is ``edges[g] .. edges[g + 1]`` of those picked.

    Mappings that are left to the exact kernel are marked in ``again (B,)``. Where all mappings keep
    the same, ``plan`` says what; else it is set for each group, and ``wide_plan`` and
    ``narrow_plan``, by lanes, for each block of mixed ones.
    """
    picks = k.order.shape[0] > 0
    if picks:
        scan(k.temporal_used, m.temporal, 0, m.temporal.shape[2])
        scan(k.spatial_used, m.spatial, 0, m.spatial.shape[2])
    for g in range(edges.shape[0] - 1):
        start, stop = edges[g], edges[g + 1]
        few = stop - start <= FEW
        x, c = (narrow, narrow_prices) if few else (wide, wide_prices)
        mixed = picks and start >= k.mixed
        own = plan if not mixed else (narrow_plan if few else wide_plan)
        if picks and not mixed:
            set_keep(plan, m.keep, k.order[start])
        elif not picks:
            scan(x.temporal_used, m.temporal, start, stop)
            scan(x.spatial_used, m.spatial, start, stop)
            lay_out(x)
        width = x.ok.shape[0]
        for b in range(start, stop, width):
            n = min(width, stop - b)
            if picks:
                pick(x, k, m, hardware_index, k.order[b : b + n])
                lay_out(x)
                if mixed:
                    set_keeps(own, m.keep, k.order[b : b + n])
            else:
                load_factors(x.temporal, x.temporal_used, m.temporal, b, n)
                load_factors(x.spatial, x.spatial_used, m.spatial, b, n)
            _evaluate_block(
                x, own, c, odd, k.m if picks else m, hw, k.hardware if picks else hardware_index,
                macs, k.order, 0 if picks else b, b, n, totals, again,
            )  # fmt: skip
