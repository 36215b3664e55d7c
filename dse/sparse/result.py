"""From what the sparse analysis finds to energy and cycles."""

from __future__ import annotations

import math
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.density import Density
from dse.domain.sparse import SparseDesign
from dse.errors import SpecError
from dse.model import arrays as a
from dse.model import rules
from dse.model.networks import services
from dse.model.stats import LevelStats, Stats, TensorStats
from dse.sparse.buffers import WordDemand, demand, level_use, metadata_bits
from dse.sparse.computes import ComputeCounts
from dse.sparse.counts import TensorCounts
from dse.sparse.fit import check_capacity, check_compute, check_instances, reject
from dse.sparse.numbers import Senseless, ceiled, no_number
from dse.sparse.occupancy import Held, Units
from dse.sparse.spatial import Instances
from dse.sparse.stats import RankCounts, SparseComputes, SparseStats, SparseTensorStats
from dse.sparse.tiles import TensorTiles


@dataclass(frozen=True)
class Analysis:
    """What the sparse analysis finds, by tensor and level."""

    held: Table[tuple[str, int], Held]
    counts: Table[str, TensorCounts]
    instances: Instances
    computes: ComputeCounts


def check_fit(
    architecture: Architecture,
    design: SparseDesign,
    tensors: Sequence[TensorTiles],
    holds: Table[tuple[str, int], Held],
    instances: Instances,
) -> None:
    """Refuse a mapping that does not fit the hardware.

    Raises:
        InvalidMapping: with Timeloop's line.
    """
    compute = architecture.compute
    reject(compute.name, check_compute(compute, instances.compute_x, instances.compute_y))
    for s in range(len(architecture.levels)):
        _check_level(architecture, design, tensors, holds, instances, s)


def _check_level(
    architecture: Architecture,
    design: SparseDesign,
    tensors: Sequence[TensorTiles],
    holds: Table[tuple[str, int], Held],
    instances: Instances,
    s: int,
) -> None:
    level, used = architecture.levels[s], [instances.tensors[tensor.name] for tensor in tensors]
    words = sum(holds[tensor.name, s].most_words for tensor in tensors)
    bits = sum(
        metadata_bits(tensor.formats[s], holds[tensor.name, s].most_metadata.tolist())
        for tensor in tensors
    )
    reason = check_capacity(level, design.levels[s].metadata, words, bits)
    reason += check_instances(
        level,
        [own.averages[s + 1] for own in used],
        max(own.x[s + 1] for own in used),
        max(own.y[s + 1] for own in used),
    )
    reject(level.name, reason)


def sparse_stats(
    architecture: Architecture,
    design: SparseDesign,
    tensors: Sequence[TensorTiles],
    dense: Stats,
    found: Analysis,
    timeloop_version: str,
) -> SparseStats:
    """Return the answer.

    Args:
        architecture: the hardware.
        design: what is sparse.
        tensors: all of the mapping.
        dense: of the same mapping without limits.
        found: by the analysis.
        timeloop_version: whose rules.

    Raises:
        InvalidMapping: the mapping does not fit.
        SpecError: Timeloop aborts, or there is no answer.
    """
    compute, instances = architecture.compute, found.instances
    reject(compute.name, check_compute(compute, instances.compute_x, instances.compute_y))
    computes = _computes(instances, found.computes)
    levels: dict[str, LevelStats] = {}
    for s, level in enumerate(architecture.levels):
        _check_level(architecture, design, tensors, found.held, instances, s)
        rows = _Level(architecture, design, dense, found, timeloop_version, s)
        levels[level.name] = rows.stats(tensors, computes.cycles)
    _check_printable(tensors, found.held)
    busy = max(computes.cycles, *(level.cycles for level in levels.values()))
    if rules.leaks(a.version_number(timeloop_version)):
        levels = _leaking(architecture, levels, busy)
    latency = dense.cycles - max(level.cycles for level in dense.levels.values())
    cycles = busy + latency
    if not cycles:
        raise Senseless("sparse: Timeloop's answer is no number: nothing takes any time")
    energies = design.compute_energies_pj
    compute_pj = (
        computes.random * energies["random"]
        + computes.skipped * energies["skipped"]
        + computes.gated * energies["gated"]
    )
    total = compute_pj + _storage_pj(architecture, levels) + _networks_pj(architecture, dense)
    if not math.isfinite(total):
        raise no_number()
    return SparseStats(
        cycles=cycles,
        energy_pj=total,
        area_um2=architecture.area_um2,
        utilization=(computes.random + computes.gated) / compute.instances / cycles,
        computes=dense.computes,
        compute_energy_pj=compute_pj,
        levels=levels,
        networks=dense.networks,
        sparse_computes=computes,
    )


def _computes(instances: Instances, counts: ComputeCounts) -> SparseComputes:
    average = int(instances.compute_average)
    if not average:
        raise Senseless(
            "sparse: Timeloop's answer is no number: less than one instance computes on average, "
            "which it takes for none"
        )
    return SparseComputes(
        counts.random,
        counts.gated,
        counts.skipped,
        ceiled((counts.random + counts.gated) / average),
        instances.compute_x * instances.compute_y,
        average,
    )


@dataclass(frozen=True)
class _Level:
    """One storage level."""

    architecture: Architecture
    design: SparseDesign
    dense: Stats
    found: Analysis
    timeloop_version: str
    s: int

    def stats(self, tensors: Sequence[TensorTiles], iterations: int) -> LevelStats:
        """Return the level's statistics but for what it leaks."""
        level = self.architecture.levels[self.s]
        found: dict[str, TensorStats] = {}
        reads, writes, wraps = 0.0, 0.0, False
        scales = dict(level.bandwidth_scales)
        for tensor in tensors:
            stats, wanted = self._tensor(tensor)
            scale = scales.get(tensor.name, 1.0)
            own = [
                _per_iteration(words, stats, iterations) for words in (wanted.reads, wanted.writes)
            ]
            found[tensor.name] = replace(stats, demand=(own[0], own[1]))
            wraps |= min(own) < 0.0
            reads, writes = reads + own[0] * scale, writes + own[1] * scale
        limits = (level.read_bandwidth, level.write_bandwidth, level.shared_bandwidth)
        if wraps:  # which matters where there is a limit
            if not all(math.isinf(limit) for limit in limits):
                raise Senseless(
                    f"level '{level.name}': Timeloop's answer makes no sense: words a cycle wrap "
                    "around to 2^64"
                )
            reads = writes = 0.0
        with np.errstate(divide="ignore"):
            slow = float(rules.slowdown(np.float64(reads), np.float64(writes), *limits))
        cycles = rules.slowed(iterations, slow)
        if not cycles < a.CYCLES_LIMIT:
            raise Senseless(
                f"level '{level.name}': its bandwidth makes for 2^64 cycles or more, beyond what "
                "Timeloop counts"
            )
        return LevelStats(int(cycles), slow, level.area_um2 * level.instances, 0.0, found)

    def _tensor(self, tensor: TensorTiles) -> tuple[SparseTensorStats, WordDemand]:
        """Return a tensor's statistics, and the words that it moves."""
        s, name = self.s, tensor.name
        level, sparse = self.architecture.levels[s], self.design.levels[s]
        used, own = self.found.instances.tensors[name], self.found.held[name, s]
        counts = self.found.counts[name].levels[s]
        before = self.dense.levels[level.name].tensors[name]
        use = level_use(level, sparse.metadata, tensor, s, own, counts)
        instances, average = used.x[s + 1] * used.y[s + 1], used.averages[s + 1]
        available = rules.clusters(level.instances, level.cluster_size)
        clusters = float(rules.used_clusters(instances, available))
        wanted = demand(use, counts, level.word_bits)
        cluster_pj = use.cluster_pj(sparse.energies_pj)
        data, metadata = counts.data, counts.metadata
        most = own.most_metadata.tolist()
        stored = tensor.formats[s]
        made = "update" if tensor.read_write else "read"
        stats = SparseTensorStats(
            reads=before.reads,
            fills=before.fills,
            updates=before.updates,
            utilized_capacity=own.most_words,
            partition_size=before.partition_size,
            utilized_instances=average,
            utilized_clusters=clusters,
            energy_pj=rules.instance_pj(cluster_pj, instances, clusters) if average > 0 else 0.0,
            temporal_reductions=float(counts.reductions),
            address_generations=float(
                data["random", made] + data["gated", made] + data["random", "fill"]
            ),
            distribution=self.design.densities.get(name, Density()).name(self.timeloop_version),
            storage_format="none" if stored is None else stored.name,
            tile_shape=tensor.shape(s),
            expected_density=own.density if tensor.kept[s] else 0.0,
            expected_occupancy=own.words,
            max_metadata=tuple((math.ceil(unit), math.ceil(payload)) for unit, payload in most),
            metadata_bits=metadata_bits(stored, most),
            max_instances=instances,
            dense_instances=before.utilized_instances,
            random_reads=data["random", "read"],
            random_fills=data["random", "fill"],
            random_updates=data["random", "update"],
            gated_reads=data["gated", "read"],
            gated_updates=data["gated", "update"],
            skipped_reads=data["skipped", "read"],
            skipped_updates=data["skipped", "update"],
            random_metadata_reads=_ranks(metadata["random", "read"]),
            random_metadata_fills=_ranks(metadata["random", "fill"]),
            random_metadata_updates=_ranks(metadata["random", "update"]),
            gated_metadata_reads=_ranks(metadata["gated", "read"]),
            gated_metadata_updates=_ranks(metadata["gated", "update"]),
            skipped_metadata_reads=_ranks(metadata["skipped", "read"]),
            skipped_metadata_updates=_ranks(metadata["skipped", "update"]),
            decompressions=counts.decompressed,
            compressions=counts.compressed,
            metadata_bandwidth=wanted.metadata_shares,
        )
        return stats, wanted


def _per_iteration(words: int, stats: SparseTensorStats, iterations: int) -> float:
    """Return the words that one instance moves in an iteration, idle ones among them.

    Less than 0 where Timeloop takes tiles to be empty with a probability of more than 1.
    """
    used = stats.utilized_instances
    share = stats.max_instances / used if used else math.inf
    return math.ceil(words / share) / iterations if iterations else 0.0


def _check_printable(tensors: Sequence[TensorTiles], holds: Table[tuple[str, int], Held]) -> None:
    """Refuse a tensor of which no level keeps a word, on which Timeloop aborts as it prints."""
    for tensor in tensors:
        if not any(holds[tensor.name, s].most_words for s in range(len(tensor.kept))):
            raise SpecError(
                f"densities: '{tensor.name}' has no word that is not 0, expected one (Timeloop "
                "aborts)\nAssertion `utilized_capacity > 0' failed"
            )


def _leaking(
    architecture: Architecture, levels: Table[str, LevelStats], cycles: int
) -> dict[str, LevelStats]:
    """Return the levels with what they leak."""
    found = {}
    for level in architecture.levels:
        used = _most_used(levels[level.name])
        if level.power_gated_at is not None:
            gate = architecture.level(level.power_gated_at)
            sharing = level.instances / gate.instances
            if sharing > 1:
                used = sharing * _most_used(levels[gate.name])
        leak = rules.leakage(level.energy.leak_pj, float(cycles), used)
        found[level.name] = replace(levels[level.name], leak_energy_pj=leak)
    return found


def _storage_pj(architecture: Architecture, levels: Table[str, LevelStats]) -> float:
    total = 0.0
    for level in architecture.levels:
        own = levels[level.name]
        for tensor in own.tensors.values():
            total += tensor.energy_pj * tensor.utilized_instances
            total += rules.address_pj(
                tensor.address_generations,
                level.energy.address_generation_pj,
                tensor.utilized_clusters,
            )
        total += own.leak_energy_pj
    return total


def _networks_pj(architecture: Architecture, dense: Stats) -> float:
    """Return the energy of networks, which carry dense tensors."""
    total = 0.0
    for service in services(architecture):
        level = dense.levels[architecture.levels[service.level].name]
        for name, moved in dense.networks[service.name].items():
            used = level.tensors[name].network_instances if service.per_instance else 1.0
            total += moved.total_pj * used
    return total


def _most_used(level: LevelStats) -> float:
    return max(1.0, *(tensor.utilized_instances for tensor in level.tensors.values()))


def _ranks(units: Units) -> RankCounts:
    return tuple((rank[0], rank[1]) for rank in units)
