"""From access records to reads, fills, updates and their energy (sections 7, 9 and 10)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import inlined
from dse.model import arrays as a
from dse.model import rules
from dse.model.workspace import Scratch

Floats = npt.NDArray[np.float64]


@inlined
def share_and_partition(w: Scratch, t: int) -> None:
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
            shared += rules.parent_share(r.accesses[s, e], r.multicast[s, e], w.fan[s])
        w.content[s] = total
        if s > 0:
            w.share[s - 1] = shared


@inlined
def hand_outwards(w: Scratch, t: int, keep: npt.NDArray[np.bool_]) -> int:
    """Hand bypassed levels' accesses outwards (section 7, 3-4); return the backing store."""
    r = w.records
    levels = w.fan.shape[0]
    for s in range(levels - 1):
        if keep[s, t]:
            continue
        words = 0.0
        for e in range(r.entries[s + 1]):
            words += r.accesses[s + 1, e] * r.multicast[s + 1, e]
        factor = rules.handed_outwards(w.content[s], w.fan[s + 1], words)
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


@inlined
def network_energy(
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
            routers = float(math.trunc(routers + (1.0 + math.floor(hops)) * words))
            wires += hops * words
        if read_write:
            reductions = float(math.trunc(reductions + (r.multicast[s, e] - 1) * words))
    energy = wires * hw.hop_pj[s, i] + routers * hw.router_pj[s, i] + hw.ingress_pj[s, i] * ingress
    link_energy = r.links[s] * (hw.hop_pj[s, i] + 2.0 * hw.router_pj[s, i])
    out[a.LINKS] = r.links[s]
    out[a.SPATIAL_REDUCTIONS] = reductions
    out[a.NETWORK_ENERGY] = energy
    out[a.LINK_ENERGY] = link_energy
    return (energy + link_energy) * used


@inlined
def level_energy(
    w: Scratch,
    hw: HardwareArrays,
    i: int,
    s: int,
    t: int,
    kept: bool,
    backing: int,
    read_write: bool,
    iterations: int,
    version: int,
    out: Floats,
) -> float:
    """Counts and energy of one tensor at one level (sections 7.6 and 10); ``out (10,)``.

    Adds the accesses per cycle to ``load`` and returns the energy of all instances.
    """
    used, replicas = float(w.expansion[s]), float(w.replicas[s])
    reads = fills = updates = reductions = 0.0
    content, peer, share, part = w.content[s], w.peer[s], w.share[s], w.partition[s]
    if kept:
        if read_write:
            updates = rules.rounded(content)
            reads = rules.rounded(content + peer - part)
            if content + peer < part:  # Timeloop aborts: an assertion fails
                w.verdict[a.V_LEVEL], w.verdict[a.V_EXPANSION] = s, a.NEGATIVE_READS
            reductions = reads
            elided = part if rules.elides(s == backing, version) else 0
            fills = rules.rounded(share + peer - elided)
            if fills < 0 and w.verdict[a.V_EXPANSION] != a.NEGATIVE_READS:
                w.verdict[a.V_LEVEL], w.verdict[a.V_EXPANSION] = s, a.NEGATIVE_FILLS
        else:
            reads = rules.rounded(content + peer)
            fills = float(rules.cut_off(share + peer))
    bank = hw.bank[s]
    w.load[bank, 0] += rules.words_per_cycle(reads, used, replicas, iterations)
    w.load[bank, 1] += rules.words_per_cycle(fills + updates, used, replicas, iterations)
    block = hw.block_size[s, i]
    available = rules.clusters(hw.instances[s, i], hw.cluster_size[s, i])
    clusters = float(rules.used_clusters(w.expansion[s], available))
    cluster_pj = (
        rules.access_pj(reads, block, hw.read_pj[s, i])
        + rules.access_pj(fills, block, hw.fill_pj[s, i])
        + rules.access_pj(updates, block, hw.update_pj[s, i])
    )
    instance_pj = rules.instance_pj(cluster_pj, used, clusters)
    addresses = rules.addresses(read_write, reads, fills, updates)
    out[a.READS] = reads
    out[a.FILLS] = fills
    out[a.UPDATES] = updates
    out[a.CAPACITY] = w.size[t, s]
    out[a.PARTITION] = part
    out[a.INSTANCES] = replicas
    out[a.CLUSTERS] = clusters
    out[a.ENERGY] = instance_pj
    out[a.REDUCTIONS] = reductions
    out[a.ADDRESSES] = addresses
    address_pj = rules.address_pj(addresses, hw.address_generation_pj[s, i], clusters)
    return instance_pj * replicas + address_pj


@inlined
def slowdown(w: Scratch, hw: HardwareArrays, i: int, s: int) -> float:
    """Bandwidth throttling of one level (section 9)."""
    return rules.slowdown(
        w.load[s, 0],
        w.load[s, 1],
        hw.read_bandwidth[s, i],
        hw.write_bandwidth[s, i],
        hw.shared_bandwidth[s, i],
    )
