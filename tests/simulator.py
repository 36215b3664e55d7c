"""A slow, literal simulator of Timeloop's dense rules: the judge of the compiled kernel.

Nothing here is clever, and it shares no code with the kernel (nor the rules in ``dse.model.rules``,
so that an error in one of them cannot pass) but the classes that carry the question and the answer.
Cost grows as 2^(temporal loops) and with the fan-out, so problems must be small. Section numbers
are those of the model's description of the rules.
"""

from __future__ import annotations

import math

from simulator_nest import Cell, Nest

from dse.domain.architecture import Architecture, StorageLevel
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import InvalidMapping
from dse.model.stats import LevelStats, NetworkStats, Stats, TensorStats


class OutsideTimeloopError(Exception):
    """Timeloop itself aborts here: an assertion fails, before it looks whether the mapping fits.

    ``rejection`` is what it would have said of the fit, if that fails too.
    """

    rejection: str | None = None


def round_half_away(x: float) -> int:
    magnitude = math.floor(abs(x))
    if abs(x) - magnitude >= 0.5:
        magnitude += 1
    return -magnitude if x < 0 else magnitude


def tensor_cells(nest: Nest, t: int) -> list[Cell]:
    """Counts of one tensor at every level after bypassing (section 7, steps 1 to 5)."""
    cells = [nest.fill_cell(t, s) for s in range(nest.levels)]
    outermost = nest.levels - 1
    fan = [math.prod(x.bound for x in nest.spatial_loops(s)) for s in range(nest.levels)]
    keep = [bool(nest.mapping.keep[s, t]) for s in range(nest.levels)]

    cells[outermost].part = cells[outermost].size
    for s in reversed(range(outermost)):
        spread = nest.spatial_size(t, s + 1) if fan[s + 1] > 1 else cells[s].size
        cells[s].part = cells[s + 1].part * cells[s].size % 2**64 // spread  # unsigned, 64 bits
    for s in range(outermost):
        for multicast, record in cells[s + 1].sorted_records():
            cells[s].parent_share += (record.accesses * multicast) / fan[s + 1]

    for s in range(outermost):
        if keep[s]:
            continue
        outer = cells[s + 1]
        factor = cells[s].content * fan[s + 1] / outer.deliveries()
        outer.content = 0
        for _, record in outer.sorted_records():
            record.accesses = float(record.accesses) * factor
            outer.content += record.accesses
        outer.link_transfers = 0
        cells[s].wipe_storage()
    for s in reversed(range(nest.levels)):
        if keep[s]:
            cells[s].parent_share = 0.0
            break
        cells[s] = Cell()

    for s in range(1, nest.levels):
        instances = math.prod(x.bound for x in nest.loops if x.spatial and x.level > s - 1)
        cells[s - 1].peer = cells[s].link_transfers / instances
    return cells


def count_accesses(
    cell: Cell, kept: bool, backing: bool, read_write: bool, version: str
) -> tuple[int, int, int, int]:
    """Reads, fills, updates and temporal reductions per instance (section 7, step 6)."""
    if not kept:
        return 0, 0, 0, 0
    incoming = cell.parent_share + cell.peer
    if not read_write:
        return round_half_away(cell.content + cell.peer), math.trunc(incoming), 0, 0
    if cell.content + cell.peer < cell.part:
        raise OutsideTimeloopError("fewer accesses than words in the partition")
    reads = round_half_away(cell.content + cell.peer - cell.part)
    if not backing and version != "dosa":
        incoming -= cell.part
    return reads, round_half_away(incoming), round_half_away(cell.content), reads


def network_stats(cell: Cell, level: StorageLevel, hop_pj: float, read_write: bool) -> NetworkStats:
    """One tensor on the network below one instance of a level (section 10)."""
    wires = routers = ingresses = reductions = 0.0
    for multicast, record in cell.sorted_records():
        accesses = record.accesses
        if read_write and not can_reduce(level):
            accesses = 2 * accesses - cell.part
        ingresses += accesses
        if accesses > 0:
            hops = record.hops / accesses
            routers += math.trunc((1 + math.floor(hops)) * accesses)
            wires += hops * accesses
        if read_write:
            reductions += math.trunc((multicast - 1) * accesses)
    net = level.network
    energy = wires * hop_pj + routers * net.router_energy_pj + net.ingress_energy_pj * ingresses
    link = cell.link_transfers * (hop_pj + 2 * net.router_energy_pj)
    return NetworkStats(cell.link_transfers, reductions, energy, link)


def can_reduce(level: StorageLevel) -> bool:
    supported = level.network.reduction_supported
    return level.kind.upper() != "DRAM" if supported is None else supported


def hop_energies(architecture: Architecture) -> list[float]:
    """Energy of one hop below each level: given, or wire energy times the tile's width."""
    result = []
    below_area, below_instances = architecture.compute.area_um2, architecture.compute.instances
    for level in architecture.levels:
        net = level.network
        width_um = math.sqrt(below_area) if net.tile_width_um is None else net.tile_width_um
        bits = level.word_bits if net.word_bits is None else net.word_bits
        energy = 0.0
        if net.hop_energy_pj is not None:
            energy = net.hop_energy_pj
        elif net.wire_energy_pj != 0:
            energy = bits * (width_um / 1000) * net.wire_energy_pj
        result.append(energy)
        below_area = level.area_um2 + below_area * (below_instances // level.instances)
        below_instances = level.instances
    return result


def check_fit(nest: Nest, cells: list[list[Cell]]) -> None:
    """Reject as Timeloop does: arithmetic first, then the levels from the inside (section 8)."""
    architecture = nest.architecture
    x, y = expansion(nest, -1)
    mac = architecture.compute
    mapped = "mapped max Arithmetic"
    if x * y > mac.instances:
        reject(mac.name, f"{mapped} instances {x * y} exceeds hardware instances {mac.instances}")
    if x > mac.mesh_x:
        reject(mac.name, f"{mapped} X expansion {x} exceeds hardware instances {mac.mesh_x}")
    if y > mac.mesh_y:
        reject(mac.name, f"{mapped} Y expansion {y} exceeds hardware instances {mac.mesh_y}")
    for s, level in enumerate(architecture.levels):
        reason = capacity_failure(level, sum(row[s].size for row in cells))
        x, y = expansion(nest, s)
        available = "exceeds available hardware instances"
        if x * y > level.instances:
            reason += f"mapped instances {x * y} {available} {level.instances}"
        elif x > level.mesh_x:
            reason += f"mapped X expansion {x} {available} {level.mesh_x}"
        elif y > level.mesh_y:
            reason += f"mapped Y expansion {y} {available} {level.mesh_y}"
        if reason:
            reject(level.name, reason)


def capacity_failure(level: StorageLevel, used: int) -> str:
    if level.size_words is None:
        return ""
    usable = math.floor(level.size_words / level.multiple_buffering)
    if used > usable:
        return f"mapped tile size {used} exceeds buffer capacity {usable}"
    least = usable * level.min_utilization
    if used < least:
        return f"mapped tile size {used} is less than constrained minimum utilization {least:g}"
    return ""


def reject(level: str, reason: str) -> None:
    raise InvalidMapping(f"ERROR: couldn't map level {level}: {reason}")


def expansion(nest: Nest, s: int) -> tuple[int, int]:
    """Used instances of level ``s`` along X and Y; level -1 is the MACs."""
    outside = [x for x in nest.loops if x.spatial and x.level > s]
    return (
        math.prod(x.bound for x in outside if x.on_x),
        math.prod(x.bound for x in outside if not x.on_x),
    )


def level_slowdown(level: StorageLevel, counts: list[tuple[int, int, int]], steps: int) -> float:
    """How far the bandwidths slow the level down; ``counts`` are (reads, fills, updates)."""
    reads = writes = 0.0
    for r, f, u in counts:
        reads += r / steps
        writes += (f + u) / steps
    slow = 1.0
    if level.read_bandwidth < reads:
        slow = min(slow, level.read_bandwidth / reads)
    if level.write_bandwidth < writes:
        slow = min(slow, level.write_bandwidth / writes)
    if level.shared_bandwidth < writes + reads:
        slow = min(slow, level.shared_bandwidth / (writes + reads))
    return slow


def simulate(
    architecture: Architecture,
    problem: Problem,
    mapping: Mapping,
    timeloop_version: str = "4cf6d4c",
) -> Stats:
    """Say what timeloop-model says.

    Raises:
        InvalidMapping: with Timeloop's own line.
        OutsideTimeloopError: Timeloop aborts on this input.
    """
    mac = architecture.compute
    if not mapping.keep.any(axis=0).all():
        reject(mac.name, "one of the tensors is bypassed in all storage levels")
    nest = Nest(architecture, problem, mapping, timeloop_version)
    tensors = range(len(problem.tensors))
    cells = [tensor_cells(nest, t) for t in tensors]
    writes = [space.read_write for space in problem.shape.data_spaces]
    steps = math.prod(x.bound for x in nest.loops if not x.spatial)
    mac_x, mac_y = expansion(nest, -1)
    computes = steps * mac_x * mac_y
    backing = [max(s for s in range(nest.levels) if mapping.keep[s, t]) for t in tensors]
    try:
        counts = [
            [
                count_accesses(
                    cells[t][s],
                    bool(mapping.keep[s, t]),
                    s == backing[t],
                    writes[t],
                    timeloop_version,
                )
                for t in tensors
            ]
            for s in range(nest.levels)
        ]
    except OutsideTimeloopError as abort:
        try:
            check_fit(nest, cells)
        except InvalidMapping as misfit:
            abort.rejection = str(misfit)
        raise
    check_fit(nest, cells)
    slowdowns = [
        level_slowdown(level, [(r, f, u) for r, f, u, _ in counts[s]], steps)
        for s, level in enumerate(architecture.levels)
    ]
    level_cycles = [math.ceil(steps / slow) for slow in slowdowns]
    busy = max(steps, *level_cycles)
    latency = sum(
        x.network.fill_latency_cycles + x.network.drain_latency_cycles for x in architecture.levels
    )
    cycles = busy + latency

    energy = compute_energy = computes * mac.energy_pj
    levels: dict[str, LevelStats] = {}
    networks: dict[str, dict[str, NetworkStats]] = {}
    below = mac.name
    for s, level in enumerate(architecture.levels):
        x, y = expansion(nest, s)
        rep = x * y
        clusters = min(rep, level.instances / level.cluster_size)
        entries: dict[str, TensorStats] = {}
        wires: dict[str, NetworkStats] = {}
        for t, name in enumerate(problem.tensors):
            reads, fills, updates, reductions = counts[s][t]
            pj = (
                math.ceil(reads / level.block_size) * level.energy.read_pj
                + math.ceil(fills / level.block_size) * level.energy.fill_pj
                + math.ceil(updates / level.block_size) * level.energy.update_pj
            ) / (rep / clusters)
            addresses = fills + (updates if writes[t] else reads)
            entries[name] = TensorStats(
                reads=reads,
                fills=fills,
                updates=updates,
                utilized_capacity=cells[t][s].size,
                partition_size=cells[t][s].part,
                utilized_instances=rep,
                utilized_clusters=clusters,
                energy_pj=pj,
                temporal_reductions=reductions,
                address_generations=addresses,
            )
            wires[name] = network_stats(
                cells[t][s], level, hop_energies(architecture)[s], writes[t]
            )
            energy += pj * rep
            energy += addresses * level.energy.address_generation_pj * clusters
            energy += (wires[name].energy_pj + wires[name].link_transfer_energy_pj) * rep
        leak = level.energy.leak_pj * busy * max(1, rep) if nest.head else 0.0
        energy += leak
        levels[level.name] = LevelStats(
            cycles=level_cycles[s],
            slowdown=slowdowns[s],
            area_um2=level.area_um2 * level.instances,
            leak_energy_pj=leak,
            tensors=entries,
        )
        networks[f"{level.name} <==> {below}"] = wires
        below = level.name
    return Stats(
        cycles=cycles,
        energy_pj=energy,
        area_um2=sum(x.area_um2 for x in levels.values()) + mac.area_um2 * mac.instances,
        utilization=(computes / mac.instances) / cycles,
        computes=computes,
        compute_energy_pj=compute_energy,
        levels=levels,
        networks=networks,
    )
