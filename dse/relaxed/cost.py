"""Energy and cycles of relaxed mappings, and their gradients; compiled.

Sections 7, 9 and 10 of ``docs/timeloop-rules.md`` without rounding. Link transfers and the energy
of networks are left out.
"""

from __future__ import annotations

from typing import NamedTuple

from dse.jit import inner, tiered
from dse.model import rules
from dse.numeric import Floats, Ints
from dse.relaxed import prices as pr
from dse.relaxed.points import Points
from dse.relaxed.reuse import multicast_groups, words_to_child
from dse.relaxed.structure import Structure
from dse.relaxed.work import Work, set_loops, set_tiles, share_box

READS, FILLS, UPDATES = 0, 1, 2
#: What binds the cycles; else the column of the bandwidth.
COMPUTE_BOUND = -1


class CostArrays(NamedTuple):
    """Results for B points; the gradients' batch axis is 0 where none are wanted.

    ``*_temporal``, ``*_spatial`` are derivatives by the logarithms of factors, ``(B, L, D)``.
    """

    energy_pj: Floats  # (B,)
    cycles: Floats  # (B,)
    energy_temporal: Floats
    energy_spatial: Floats
    cycles_temporal: Floats
    cycles_spatial: Floats
    energy_price: Floats  # (B, L + 1, 5) derivatives by READ .. LEAK; [L, MAC] by the MAC's price
    bound_level: Ints  # (B,) level that binds the cycles, -1: the compute
    bound_kind: Ints  # (B,) column of its bandwidth, -1: the compute


@inner
def _forward(w: Work, st: Structure, x: Points, b: int, version: int) -> None:
    """Set the traffic of all tensors at all levels."""
    tensors, levels = w.size.shape
    p = x.problem[b]
    set_loops(w, x, b)
    set_tiles(w, st, p, True)
    w.traffic[:] = 0.0
    for t in range(tensors):
        c, row = st.projection[p, t], st.row[p, t]
        top = -1
        for s in range(levels):
            if x.keep[b, s, t]:
                top = s
        w.top[t] = top
        if top < 0:
            continue
        part = w.size[t, levels - 1]
        for s in range(levels - 1, -1, -1):
            if s < levels - 1:
                part *= w.size[t, s] / w.spatial_size[t, s + 1]
            w.part[t, s] = part
        for s in range(top + 1):
            w.groups[t, s] = multicast_groups(w, c, row, s, 0.0)
            if s == 0:
                w.content[t, 0] = w.groups[t, 0] * w.left[0]
                continue
            w.words[t, s] = words_to_child(w, c, row, t, s, version, 0.0)
            source = w.words[t, s] if x.keep[b, s - 1, t] else w.content[t, s - 1]
            w.content[t, s] = w.groups[t, s] * source
        for s in range(top + 1):
            if x.keep[b, s, t]:
                _count(w, t, s, st.read_write[p, t], version)


@inner
def _count(w: Work, t: int, s: int, read_write: bool, version: int) -> None:
    content, below_top = w.content[t, s], s < w.top[t]
    share = w.words[t, s + 1] if below_top else 0.0
    if read_write:
        w.traffic[t, s, UPDATES] = content
        w.traffic[t, s, READS] = content - w.part[t, s]
        elided = w.part[t, s] if rules.elides(not below_top, version) else 0.0
        w.traffic[t, s, FILLS] = share - elided
    else:
        w.traffic[t, s, READS] = content
        w.traffic[t, s, FILLS] = share


@inner
def _roofline(w: Work, price: Floats) -> tuple[float, int, int]:
    """Return the cycles, and which level and bandwidth bind them.

    As rules.transfer_cycles, but for the gradient it must be known which ratio is largest.
    """
    tensors, levels = w.size.shape
    cycles, level, kind = w.left[0], COMPUTE_BOUND, COMPUTE_BOUND
    for s in range(levels):
        reads = writes = 0.0
        for t in range(tensors):
            reads += w.traffic[t, s, READS]
            writes += w.traffic[t, s, FILLS] + w.traffic[t, s, UPDATES]
        for column in range(pr.READ_BANDWIDTH, pr.SHARED_BANDWIDTH + 1):
            load = reads + writes
            if column == pr.READ_BANDWIDTH:
                load = reads
            elif column == pr.WRITE_BANDWIDTH:
                load = writes
            if load / price[s, column] > cycles:
                cycles, level, kind = load / price[s, column], s, column
    return cycles, level, kind


@inner
def _seed_cycles(w: Work, price: Floats, level: int, kind: int) -> None:
    """Set the derivatives of the cycles by the traffic."""
    w.cycles_seed[:] = 0.0
    w.scalar_seed[1] = 0.0
    if level < 0:
        w.scalar_seed[1] = w.left[0]
        return
    slope = 1.0 / price[level, kind]
    for t in range(w.top.shape[0]):
        if w.top[t] >= 0:
            if kind != pr.WRITE_BANDWIDTH:
                w.cycles_seed[t, level, READS] = slope
            if kind != pr.READ_BANDWIDTH:
                w.cycles_seed[t, level, FILLS] = slope
                w.cycles_seed[t, level, UPDATES] = slope


@inner
def _energy(
    w: Work, st: Structure, p: int, price: Floats, cycles: float, version: int, by_price: Floats
) -> float:
    """Return the energy in pJ; set its derivatives by traffic, instances and prices.

    ``cycles_seed`` must be set: leakage depends on the cycles.
    """
    tensors, levels = w.size.shape
    macs = w.left[0] * w.used[0] * w.fanout[0]
    energy = macs * price[levels, pr.MAC]
    by_price[:] = 0.0
    by_price[levels, pr.MAC] = macs
    w.energy_seed[:] = 0.0
    leak = 0.0
    for s in range(levels):
        clusters = rules.used_clusters(w.used[s], price[s, pr.CLUSTERS])
        here = 0.0
        for t in range(tensors):
            r, f, u = w.traffic[t, s, READS], w.traffic[t, s, FILLS], w.traffic[t, s, UPDATES]
            written = st.read_write[p, t]
            addresses = rules.addresses(written, r, f, u)
            here += r * price[s, pr.READ] + f * price[s, pr.FILL] + u * price[s, pr.UPDATE]
            here += addresses * price[s, pr.ADDRESS]
            by_price[s, pr.READ] += clusters * r
            by_price[s, pr.FILL] += clusters * f
            by_price[s, pr.UPDATE] += clusters * u
            by_price[s, pr.ADDRESS] += clusters * addresses
            seed = w.energy_seed[t, s]
            address = price[s, pr.ADDRESS]
            seed[READS] = clusters * (price[s, pr.READ] + (0.0 if written else address))
            seed[FILLS] = clusters * (price[s, pr.FILL] + address)
            seed[UPDATES] = clusters * (price[s, pr.UPDATE] + (address if written else 0.0))
        energy += clusters * here
        w.used_share[s] = clusters * here if w.used[s] <= price[s, pr.CLUSTERS] else 0.0
        if rules.leaks(version):
            leaked = cycles * w.used[s]
            by_price[s, pr.LEAK] = leaked
            energy += price[s, pr.LEAK] * leaked
            w.used_share[s] += price[s, pr.LEAK] * leaked
            leak += price[s, pr.LEAK] * w.used[s]
    w.scalar_seed[0] = macs * price[levels, pr.MAC]
    w.used_share[0] += w.scalar_seed[0]
    if leak != 0.0:
        w.scalar_seed[0] += leak * w.scalar_seed[1]
        for t in range(tensors):
            for s in range(levels):
                for k in range(3):
                    w.energy_seed[t, s, k] += leak * w.cycles_seed[t, s, k]
    return float(energy)


@inner
def _backward_tensor(
    w: Work, st: Structure, x: Points, b: int, t: int, seed: Floats, version: int
) -> float:
    """Pass the derivatives of one tensor's traffic on; return the share of the iterations."""
    levels = w.size.shape[1]
    p, top = x.problem[b], w.top[t]
    c, row, read_write = st.projection[p, t], st.row[p, t], st.read_write[p, t]
    w.size_share[:] = 0.0
    w.spatial_size_share[:] = 0.0
    w.content_share[:] = 0.0
    iterations = 0.0
    for s in range(top, -1, -1):
        if x.keep[b, s, t]:
            reads, fills, updates = seed[s, READS], seed[s, FILLS], seed[s, UPDATES]
            w.content_share[s] += w.content[t, s] * (reads + (updates if read_write else 0.0))
            if s < top and fills != 0.0:
                words_to_child(w, c, row, t, s + 1, version, fills)
            if read_write:
                elided = reads + (fills if rules.elides(s == top, version) else 0.0)
                share = -w.part[t, s] * elided
                w.size_share[levels - 1] += share
                for u in range(s, levels - 1):
                    w.size_share[u] += share
                    w.spatial_size_share[u + 1] -= share
        share = w.content_share[s]
        if share == 0.0:
            continue
        multicast_groups(w, c, row, s, share)
        if s == 0:
            iterations = share
        elif x.keep[b, s - 1, t]:
            words_to_child(w, c, row, t, s, version, share / w.words[t, s])
        else:
            w.content_share[s - 1] += share
    for s in range(levels):
        if w.size_share[s] != 0.0:
            share_box(c, w.extent[s], w.edge[t, s], w.size_share[s], w.extent_share[s])
        if w.spatial_size_share[s] != 0.0:
            share_box(
                c,
                w.spatial_extent[s],
                w.spatial_edge[t, s],
                w.spatial_size_share[s],
                w.spatial_extent_share[s],
            )
    return iterations


@inner
def _backward(
    w: Work, st: Structure, x: Points, b: int, seeds: Floats, iterations: float,
    with_used: bool, version: int, temporal: Floats, spatial: Floats,
) -> None:  # fmt: skip
    """Set the derivatives by the logarithms of one point's factors, ``(L, D)`` each."""
    levels, dimensions = w.temporal.shape
    w.extent_share[:] = 0.0
    w.spatial_extent_share[:] = 0.0
    w.spatial_share[:] = 0.0
    w.bound_share[:] = 0.0
    for t in range(w.top.shape[0]):
        wanted = False
        for s in range(levels):
            for k in range(3):
                wanted |= seeds[t, s, k] != 0.0
        if wanted and w.top[t] >= 0:
            iterations += _backward_tensor(w, st, x, b, t, seeds[t], version)
    collect(w, x, b, temporal, spatial)
    for k in range(w.loops[0]):
        temporal[w.level[k], w.dimension[k]] += w.bound_share[k]
    used = 0.0
    for s in range(levels):
        for d in range(dimensions):
            if x.temporal[b, s, d] >= 1.0:
                temporal[s, d] += iterations
            if x.spatial[b, s, d] >= 1.0:
                spatial[s, d] += used
        if with_used:
            used += w.used_share[s]
    if with_used:
        # the innermost level's own fan-out counts in the MACs only
        macs = w.used_share[levels]
        for d in range(dimensions):
            if x.spatial[b, 0, d] >= 1.0:
                spatial[0, d] += macs


@inner
def collect(w: Work, x: Points, b: int, temporal: Floats, spatial: Floats) -> None:
    """Set the derivatives by the logarithms of factors from the shares of the extents."""
    levels, dimensions = w.temporal.shape
    for d in range(dimensions):
        outside = 0.0
        for s in range(levels - 1, -1, -1):
            outside += w.extent_share[s, d]
            temporal[s, d] = outside if x.temporal[b, s, d] >= 1.0 else 0.0
            outside += w.spatial_extent_share[s, d]
            spatial[s, d] = outside + w.spatial_share[s, d] if x.spatial[b, s, d] >= 1.0 else 0.0


@tiered
def evaluate_points(
    w: Work, st: Structure, x: Points, prices: Floats, hardware: Ints,
    start: int, stop: int, version: int, out: CostArrays, by_price: Floats,
) -> None:  # fmt: skip
    """Evaluate points ``start .. stop``; ``by_price (L + 1, 5)`` is scratch."""
    levels = w.size.shape[1]
    for b in range(start, stop):
        price = prices[hardware[b]]
        _forward(w, st, x, b, version)
        cycles, level, kind = _roofline(w, price)
        _seed_cycles(w, price, level, kind)
        out.energy_pj[b] = _energy(w, st, x.problem[b], price, cycles, version, by_price)
        out.cycles[b] = cycles + price[levels, pr.LATENCY]
        out.bound_level[b] = level
        out.bound_kind[b] = kind
        if out.energy_temporal.shape[0] == 0:
            continue
        for s in range(levels + 1):
            for k in range(5):
                out.energy_price[b, s, k] = by_price[s, k]
        w.used_share[levels] = by_price[levels, pr.MAC] * price[levels, pr.MAC]
        _backward(
            w, st, x, b, w.energy_seed, w.scalar_seed[0], True, version,
            out.energy_temporal[b], out.energy_spatial[b],
        )  # fmt: skip
        _backward(
            w, st, x, b, w.cycles_seed, w.scalar_seed[1], False, version,
            out.cycles_temporal[b], out.cycles_spatial[b],
        )  # fmt: skip
