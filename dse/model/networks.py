"""Networks that the user declares, in place of those inferred (section 16 of the rules).

They change energies and latencies only. A mesh is what the kernel computes for an inferred network
with other attributes; the other two kinds are priced here, from the access records.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dse.domain.architecture import Architecture, Network
from dse.domain.networks import DeclaredNetwork
from dse.domain.problem import Problem
from dse.model import arrays as a
from dse.model.stats import NetworkStats


@dataclass(frozen=True)
class Service:
    """A network where it is evaluated: below the innermost level that it serves.

    Attributes:
        name: ``OUTER <==> INNER`` of an inferred one.
        level: index of that level.
        network: None for an inferred one.
        updates: whether it carries updates anywhere.
        reduces: whether its reads and updates need no second transfer of partial sums.
    """

    name: str
    level: int
    network: DeclaredNetwork | None
    updates: bool
    reduces: bool

    @property
    def per_instance(self) -> bool:
        """Whether its energy is that of one instance of the level, and not of all of them."""
        return self.network is None or self.network.kind != "ReductionTree"


def services(architecture: Architecture) -> list[Service]:
    """Return all networks, the inferred ones that nothing takes the place of among them.

    Two that start at one level follow each other, the one that carries its reads first.
    """
    declared = {network.name: network for network in architecture.networks}
    levels = architecture.levels
    first: dict[str, int] = {}
    updates: set[str] = set()
    reduces: dict[str, bool] = {}
    for s, level in enumerate(levels):
        inner = levels[s - 1] if s else None
        inferred = f"{level.name} <==> {inner.name if inner else architecture.compute.name}"
        read = level.read_network or inferred
        update = level.update_network or read
        for name in (read, update):
            first.setdefault(name, s)
        # Timeloop asks the level at the end of the way that was connected last
        updates.add(update)
        reduces[update] = level.can_reduce
        if read != update:
            reduces[read] = inner.can_reduce if inner else False
    return [
        Service(name, s, declared.get(name), name in updates, reduces[name] or name not in updates)
        for name, s in first.items()
    ]


def with_inferred(architecture: Architecture, turn: int) -> Architecture:
    """Return the architecture with declared meshes as the networks inferred below its levels.

    Below one level there is one inferred network, but up to two declared ones; ``turn`` says
    whether it is the first or the second one (0 or 1). Latencies are those of all networks.
    """
    declared = {network.name: network for network in architecture.networks}
    widths = architecture.tile_widths_um()
    found = services(architecture)
    levels = []
    for s, level in enumerate(architecture.levels):
        own = level.network
        fill, drain = own.fill_latency_cycles, own.drain_latency_cycles
        if level.read_network is not None:
            fill = declared[level.read_network].fill_latency_cycles
        if level.update_network is not None:
            # Timeloop takes the fill latency of this one, too
            drain = declared[level.update_network].fill_latency_cycles
        network = Network(hop_energy_pj=0.0)
        here = [service for service in found if service.level == s][turn : turn + 1]
        for service in here:
            mesh = service.network
            if mesh is None:
                network = replace(own, reduction_supported=service.reduces)
            elif mesh.kind == "Legacy":
                network = Network(
                    hop_energy_pj=mesh.hop_pj(widths[s]),
                    router_energy_pj=mesh.router_energy_pj,
                    ingress_energy_pj=mesh.ingress_energy_pj,
                    reduction_supported=service.reduces,
                )
        network = replace(network, fill_latency_cycles=fill, drain_latency_cycles=drain)
        levels.append(replace(level, network=network, read_network=None, update_network=None))
    return replace(architecture, levels=tuple(levels), networks=())


def priced(
    service: Service, architecture: Architecture, problem: Problem, details: a.Details
) -> dict[str, NetworkStats]:
    """Return what a network transports and costs, by tensor.

    Args:
        service: the network.
        architecture: that it belongs to.
        problem: whose tensors it transports.
        details: of one mapping on ``with_inferred(...)`` in which it is, with records.
    """
    kind = "Legacy" if service.network is None else service.network.kind
    stats = {}
    for t, tensor in enumerate(problem.tensors):
        row = details.network[:, service.level, t, 0]
        if kind == "Legacy":
            stats[tensor] = NetworkStats(
                link_transfers=float(row[a.LINKS]),
                spatial_reductions=float(row[a.SPATIAL_REDUCTIONS]) if service.updates else 0.0,
                energy_pj=float(row[a.NETWORK_ENERGY]),
                link_transfer_energy_pj=float(row[a.LINK_ENERGY]),
            )
            continue
        assert service.network is not None
        entries = int(details.entries[service.level, t, 0])
        records = details.records[:2, service.level, t, :entries, 0].T.tolist()
        if kind == "SimpleMulticast":
            stats[tensor] = _multicast(service.network, tensor, records)
        else:
            width = architecture.tile_widths_um()[service.level]
            transported = records if problem.read_write[t] else []
            stats[tensor] = _reduction_tree(service.network, width, transported)
    return stats


def _multicast(
    network: DeclaredNetwork, tensor: str, records: list[tuple[float, float]]
) -> NetworkStats:
    """Price the last record: Timeloop overwrites the energy of those before."""
    energy_pj = 0.0
    for multicast, words in records:
        if words > 0.0:
            energy_pj = network.transfer_pj(tensor, int(multicast)) * words
    return NetworkStats(0.0, 0.0, energy_pj, 0.0)


def _reduction_tree(
    network: DeclaredNetwork, tile_width_um: float, records: list[tuple[float, float]]
) -> NetworkStats:
    """Price the wires of a tree with so many leaves as are reduced, and its adders."""
    hops = 0.0
    reductions = 0
    for multicast, words in records:
        reductions = math.trunc(reductions + (multicast - 1) * words)
        if words > 0.0:
            hops += math.floor(math.log2(multicast)) * 0.5 * words
    return NetworkStats(
        link_transfers=0.0,
        spatial_reductions=float(reductions),
        energy_pj=hops * network.hop_pj(tile_width_um),
        link_transfer_energy_pj=0.0,
        reduction_energy_pj=reductions * network.adder_energy_pj,
    )
