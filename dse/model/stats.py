"""What the model says of one mapping, level by level and tensor by tensor.

All counts are per instance, as in Timeloop's stats file, unless a field says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorStats:
    """One tensor at one storage level, per instance.

    Counts are words; ``energy_pj`` excludes address generation and leakage.
    """

    reads: float
    fills: float
    updates: float
    utilized_capacity: int
    partition_size: int
    utilized_instances: float
    utilized_clusters: float
    energy_pj: float
    temporal_reductions: float
    address_generations: float

    @property
    def tile_words(self) -> int:
        """Words of a tile, those that take no room among them."""
        return self.utilized_capacity

    @property
    def network_instances(self) -> float:
        """Instances whose networks carry its words."""
        return self.utilized_instances


@dataclass(frozen=True)
class LevelStats:
    """One storage level; ``area_um2`` is of all instances, ``leak_energy_pj`` of the level."""

    cycles: int
    slowdown: float
    area_um2: float
    leak_energy_pj: float
    tensors: dict[str, TensorStats]


@dataclass(frozen=True)
class NetworkStats:
    """One tensor on the network below one instance of a level.

    Declared networks of the kind ``ReductionTree`` alone have a ``reduction_energy_pj``.
    """

    link_transfers: float
    spatial_reductions: float
    energy_pj: float
    link_transfer_energy_pj: float
    reduction_energy_pj: float = 0.0

    @property
    def total_pj(self) -> float:
        """All of it."""
        return self.energy_pj + self.link_transfer_energy_pj + self.reduction_energy_pj


@dataclass(frozen=True)
class Stats:
    """The answer of the model for one architecture, problem and mapping.

    ``utilization`` is a fraction. ``networks`` is keyed ``<outer> <==> <inner>``, declared ones by
    their names, then by tensor. ``computes`` are those that Timeloop counts, which for imperfect
    factors may be others than the problem's.
    """

    cycles: int
    energy_pj: float
    area_um2: float
    utilization: float
    computes: int
    compute_energy_pj: float
    levels: dict[str, LevelStats]
    networks: dict[str, dict[str, NetworkStats]]

    @property
    def energy_uj(self) -> float:
        """Total energy in microjoule."""
        return self.energy_pj / 1e6

    @property
    def energy_pj_per_compute(self) -> float:
        """Total energy per scalar operation."""
        return self.energy_pj / self.computes

    @property
    def edp(self) -> float:
        """Energy-delay product in joule x cycle."""
        return self.energy_pj * self.cycles / 1e12
