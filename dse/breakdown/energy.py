"""The energy of a mapping by place and tensor: accesses, addresses, leakage, networks, compute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dse.domain.architecture import Architecture
from dse.model import rules
from dse.model.networks import services
from dse.model.stats import Stats

EnergyKind = Literal["compute", "access", "addresses", "leakage", "network"]


@dataclass(frozen=True)
class EnergyShare:
    """Energy of one kind at one place, over all its instances.

    Attributes:
        place: name of the compute, a storage level or a network.
        kind: what takes it: operations, accesses, generated addresses, leakage (static, whatever
            is accessed), or transfers.
        tensor: whose it is; None of what is no tensor's.
    """

    place: str
    kind: EnergyKind
    tensor: str | None
    energy_pj: float


def energy_parts(architecture: Architecture, stats: Stats) -> Iterator[EnergyShare]:
    """Yield all parts of a mapping's energy, from the inside out, networks last.

    Their sum is the total, up to the rounding of sums. Parts of 0 pJ are there, too, but for
    addresses.

    Args:
        architecture: what the mapping runs on.
        stats: what the model says of it there.
    """
    yield EnergyShare(architecture.compute.name, "compute", None, stats.compute_energy_pj)
    for level in architecture.levels:
        found = stats.levels[level.name]
        for name, tensor in found.tensors.items():
            accesses_pj = tensor.energy_pj * tensor.utilized_instances
            yield EnergyShare(level.name, "access", name, accesses_pj)
            address_pj = rules.address_pj(
                tensor.address_generations,
                level.energy.address_generation_pj,
                tensor.utilized_clusters,
            )
            if address_pj:
                yield EnergyShare(level.name, "addresses", name, address_pj)
        yield EnergyShare(level.name, "leakage", None, found.leak_energy_pj)
    for service in services(architecture):
        of_level = stats.levels[architecture.levels[service.level].name]
        for name, moved in stats.networks[service.name].items():
            used = of_level.tensors[name].network_instances if service.per_instance else 1.0
            yield EnergyShare(service.name, "network", name, moved.total_pj * used)
