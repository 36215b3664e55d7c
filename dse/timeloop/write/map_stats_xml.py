"""Writes ``map+stats.xml``: the architecture, what the model says of each part, and the mapping.

It is Timeloop's dump of its data structures, tag by tag. The root is always closed, which
timeloop-model of 4cf6d4c forgets. Of ports, banks and densities, which change nothing that is
modelled, the file states Timeloop's defaults.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from dse.domain.architecture import StorageLevel
from dse.domain.problem import Problem
from dse.model.stats import NetworkStats, TensorStats
from dse.timeloop.evaluate import Evaluation
from dse.timeloop.write.archive import Archive
from dse.timeloop.write.figures import ReportFigures, mean_hops, nest, per_access_pj

#: 4cf6d4c has as many places for data spaces, whatever the problem.
_PLACES = 5
_MASK_BITS = 32
_PORTS = _BANKS = 2
_KINDS = ("", "X", "Y")  # in time, or along an axis
_WORDS, _COUNTS, _FLAGS, _TEXT = "Attribute<u64>", "Per<u64>", "Per<bool>", "Attribute<string>"
_REAL, _REALS = "Attribute<double>", "Per<double>"
#: Of sparse designs; nothing of it here.
_FORMATS = tuple(
    f"{kind}_format_{what}"
    for what in ("reads", "fills", "updates")
    for kind in ("random", "gated", "skipped")
)


def map_stats_xml(evaluation: Evaluation) -> str:
    """Return the file's text, of an architecture without declared networks."""
    return _Writer(evaluation).text()


class _Writer:
    """One file in the making."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._spec = evaluation.input
        self._figures = ReportFigures(evaluation)
        self._head = self._spec.timeloop_version == "4cf6d4c"
        self._archive = Archive()

    def text(self) -> str:
        archive = self._archive
        levels = self._spec.architecture.levels
        with archive.inside("engine", "Engine"), archive.inside("topology_", "Topology"):
            with archive.inside("levels_", "vector<Level>"):
                archive.count(len(levels) + 1, 1)
                with archive.inside("item", "shared_ptr<Level>", 1):
                    self._compute()
                for s in range(len(levels)):
                    with archive.inside("item", "shared_ptr<Level>", 1):
                        self._level(s)
            with archive.inside("networks_", "map<Network>"):
                archive.count(len(levels))
                inner = [self._spec.architecture.compute.name, *(x.name for x in levels)]
                names = {f"{x.name} <==> {inner[s]}": s for s, x in enumerate(levels)}
                for name in sorted(names):
                    self._network(name, names[name])
        self._mapping()
        with archive.pointed("a", "Application"), archive.inside("workload_", "Workload"):
            self._workload(self._spec.problem)
        return archive.text()

    # ------------------------------------------------------------------------------- levels

    def _compute(self) -> None:
        archive, stats = self._archive, self._evaluation.stats
        compute, mapping = self._spec.architecture.compute, self._evaluation.mapping
        busy = math.prod(mapping.spatial.ravel().tolist())
        with archive.pointed("px", "ArithmeticUnits", "model::ArithmeticUnits"):
            archive.empty("Level", "Level")
            with archive.inside("specs_", "ArithmeticUnits::Specs"):
                self._named(compute.name)
                archive.attribute("instances", _WORDS, compute.instances)
                archive.attribute("meshX", _WORDS, compute.mesh_x)
                archive.attribute("meshY", _WORDS, compute.mesh_y)
                archive.attribute("word_bits", _WORDS, compute.word_bits)
            archive.value("energy_", float(stats.compute_energy_pj))
            archive.value("area_", float(compute.area_um2))
            archive.value("cycles_", math.prod(mapping.temporal.ravel().tolist()))
            archive.value("utilized_instances_", busy)
            archive.value("avg_utilized_instances_", busy)
            archive.value("algorithmic_computes_", stats.computes)
            archive.value("random_computes_", stats.computes)
            archive.value("gated_computes_", 0)
            archive.value("skipped_computes_", 0)

    def _named(self, name: str) -> None:
        with self._archive.inside("LevelSpecs", "LevelSpecs"):
            self._archive.value("level_name", name)

    def _level(self, s: int) -> None:
        archive, level = self._archive, self._spec.architecture.levels[s]
        with archive.pointed("px", "BufferLevel", "model::BufferLevel"):
            archive.empty("Level", "Level")
            self._nest(s)
            with archive.inside("specs_", "BufferLevel::Specs"):
                self._named(level.name)
                self._level_specs(s, level)
            with archive.inside("stats_", "BufferLevel::Stats"):
                self._level_stats(s, level)

    def _nest(self, s: int) -> None:
        archive, loops = self._archive, nest(self._evaluation.mapping, s)
        with archive.inside("subnest_", "vector<Loop>"):
            archive.count(len(loops))
            for loop in loops:
                with archive.inside("item", "Loop"):
                    archive.value("dimension", loop.dimension)
                    archive.value("start", 0)
                    archive.value("end", loop.end)
                    archive.value("stride", 1)
                    archive.value("spacetime_dimension", _KINDS.index(loop.axis))

    def _level_specs(self, s: int, level: StorageLevel) -> None:
        archive = self._archive
        words = level.size_words
        if words is None:
            tensors = self._evaluation.stats.levels[level.name].tensors.values()
            words = sum(x.utilized_capacity for x in tensors)
        bits = (max(words // level.block_size, 1) - 1).bit_length()
        archive.attribute("name", _TEXT, level.name)
        archive.attribute("technology", "Attribute<Technology>", int(level.is_dram))
        for tag, number in {
            "size": level.size_words,
            "word_bits": level.word_bits,
            "addr_gen_bits": bits,
            "block_size": level.block_size,
            "cluster_size": level.cluster_size,
            "instances": level.instances,
            "meshX": level.mesh_x,
            "meshY": level.mesh_y,
        }.items():
            archive.attribute(tag, _WORDS, number)
        for kind in ("shared", "read", "write"):
            limit = float(getattr(level, f"{kind}_bandwidth"))
            limited = None if math.isinf(limit) else limit
            archive.attribute(f"{kind}_bandwidth", _REAL, limited)
        if self._head:
            count = len(self._spec.problem.tensors)
            scales = [self._figures.bandwidth_scale(s, t) for t in range(count)]
            self._reals("bandwidth_consumption_scale", scales)
        archive.attribute("multiple_buffering", _REAL, float(level.multiple_buffering))
        archive.attribute("min_utilization", _REAL, float(level.min_utilization))
        archive.attribute("num_ports", _WORDS, _PORTS)
        archive.attribute("num_banks", _WORDS, _BANKS)
        for kind in ("read", "fill", "drain", "update"):
            archive.attribute(f"{kind}_network_name", _TEXT, None)
        if self._head:
            archive.attribute("power_gated_at_name", _TEXT, level.power_gated_at or level.name)

    def _level_stats(self, s: int, level: StorageLevel) -> None:
        found = self._evaluation.stats.levels[level.name]
        tensors = list(found.tensors.values())
        self._per(_FLAGS, "keep", self._evaluation.mapping.keep[s].tolist())
        self._integers(tensors, "partition_size", "utilized_capacity")
        self._reals("utilized_instances", [x.utilized_instances for x in tensors])
        self._integers(tensors, "utilized_clusters", "reads", "updates", "fills")
        for kind in ("reads", "fills", "updates"):
            for lost in ("gated", "skipped"):
                self._per(_COUNTS, f"{lost}_{kind}", [0] * len(tensors))
            self._per(_COUNTS, f"random_{kind}", [int(getattr(x, kind)) for x in tensors])
        for tag in _FORMATS:
            self._formats(tag, len(tensors))
        for tag in ("decompression_counts", "compression_counts"):
            self._per(_COUNTS, tag, [0] * len(tensors))
        self._integers(tensors, "address_generations", "temporal_reductions")
        bandwidths = [self._figures.bandwidth(s, t) for t in range(len(tensors))]
        for kind in ("shared", "read", "write"):
            self._reals(f"{kind}_bandwidth", [getattr(x, kind) for x in bandwidths])
        per_access = [per_access_pj(x) for x in tensors]
        address_pj = level.energy.address_generation_pj
        self._reals("energy_per_algorithmic_access", per_access)
        self._reals("energy_per_access", per_access)
        self._reals("energy", [x.energy_pj for x in tensors])
        self._reals("temporal_reduction_energy", [0.0] * len(tensors))
        self._reals("addr_gen_energy", [x.address_generations * address_pj for x in tensors])
        self._archive.value("cycles", found.cycles)
        self._archive.value("slowdown", float(found.slowdown))
        for kind in ("shared", "read", "write"):
            self._reals(f"format_{kind}_bandwidth_ratio", [0.0] * len(tensors))

    def _formats(self, tag: str, tensors: int) -> None:
        archive = self._archive
        with archive.inside(tag, "Per<Formats>"), archive.inside("PerDataSpace"):
            for _ in range(self._places(tensors)):
                with archive.inside("item", "Formats"):
                    archive.count(0)

    # ----------------------------------------------------------------------------- networks

    def _network(self, name: str, s: int) -> None:
        archive, level = self._archive, self._spec.architecture.levels[s]
        with archive.inside("item", "pair<Network>"):
            archive.value("first", name)
            with (
                archive.inside("second", "shared_ptr<Network>", 1),
                archive.pointed("px", "LegacyNetwork", "model::LegacyNetwork"),
            ):
                archive.empty("Network", "Network")
                with archive.inside("specs_", "LegacyNetwork::Specs"):
                    with archive.inside("NetworkSpecs", "NetworkSpecs"):
                        archive.value("name", name)
                    self._network_specs(s, level)
                with archive.inside("stats_", "LegacyNetwork::Stats"):
                    self._network_stats(s, self._evaluation.stats.networks[name])

    def _network_specs(self, s: int, level: StorageLevel) -> None:
        archive, network = self._archive, level.network
        width = network.tile_width_um
        if width is None:
            width = self._spec.architecture.tile_widths_um()[s]
        archive.attribute("word_bits", _WORDS, network.word_bits or level.word_bits)
        archive.attribute("router_energy", _REAL, network.router_energy_pj or None)
        archive.attribute("wire_energy", _REAL, network.wire_energy_pj or None)
        archive.attribute("tile_width", _REAL, float(width))
        archive.attribute("energy_per_hop", _REAL, network.hop_energy_pj)
        archive.attribute("ingress_energy", _REAL, network.ingress_energy_pj or None)
        archive.attribute("fill_latency", _WORDS, network.fill_latency_cycles)
        archive.attribute("drain_latency", _WORDS, network.drain_latency_cycles)

    def _network_stats(self, s: int, tensors: dict[str, NetworkStats]) -> None:
        found = list(tensors.values())
        entered = self._figures.ingresses[s]
        none = [0] * len(found)
        children = math.prod(self._evaluation.mapping.spatial[s].tolist())
        hop_pj = self._spec.architecture.hop_energies_pj()[s]
        self._per(_COUNTS, "fanout", [children] * len(found))
        widest = [max((x.multicast for x in rows), default=0) for rows in entered]
        self._per(_COUNTS, "multicast_factor", widest)
        self._per(_COUNTS, "distributed_multicast_factor", none)
        self._per(_FLAGS, "distributed_multicast", none)
        self._per(_COUNTS, "link_transfers", [int(x.link_transfers) for x in found])
        self._per(_COUNTS, "spatial_reductions", [int(x.spatial_reductions) for x in found])
        self._reals("link_transfer_energy", [x.link_transfer_energy_pj for x in found])
        self._reals("num_hops", [mean_hops(rows) for rows in entered])
        self._reals("energy_per_hop", [hop_pj] * len(found))
        self._reals("energy", [x.energy_pj for x in found])
        self._reals("spatial_reduction_energy", [0.0] * len(found))

    # -------------------------------------------------------------------- mapping, workload

    def _mapping(self) -> None:
        archive, keep = self._archive, self._evaluation.mapping.keep
        inner = "dataspace_bypass_nest_" if self._head else "datatype_bypass_nest"
        with archive.inside("mapping", "Mapping"), archive.inside(inner):
            for t in range(keep.shape[1]):
                bits = sum(1 << s for s in range(keep.shape[0]) if keep[s, t])
                with archive.inside("item", "bitset"):
                    archive.value("bits", f"{bits:0{_MASK_BITS}b}")

    def _workload(self, problem: Problem) -> None:
        archive = self._archive
        for tag, values in {
            "factorized_bounds_": list(problem.bounds.values()),
            "coefficients_": list(problem.coefficients.values()),
        }.items():
            with archive.inside(tag, "map<int>"):
                archive.count(len(values))
                for place, value in enumerate(values):
                    with archive.inside("item", "pair<int>"):
                        archive.value("first", place)
                        archive.value("second", value)
        with archive.inside("densities_", "map<Density>"):
            archive.count(len(problem.tensors))
            for t in range(len(problem.tensors)):
                with archive.inside("item", "pair<Density>"):
                    archive.value("first", t)
                    self._density()

    def _density(self) -> None:
        archive = self._archive
        with (
            archive.inside("second", "shared_ptr<Density>", 1),
            archive.pointed("px", "FixedStructured", "problem::FixedStructuredDistribution"),
        ):
            archive.empty("DensityDistribution", "DensityDistribution")
            with archive.inside("specs_", "FixedStructured::Specs"):
                with archive.inside("DensityDistributionSpecs", "DensityDistributionSpecs"):
                    archive.value("type", "UNSET")
                archive.value("type", "fixed_structured" if self._head else "fixed-structured")
                archive.value("fixed_density", 1.0)

    # ------------------------------------------------------------------- of all data spaces

    def _places(self, tensors: int) -> int:
        return max(tensors, _PLACES) if self._head else tensors

    def _per(self, kind: str, tag: str, values: Iterable[int]) -> None:
        row = [int(value) for value in values]
        row += [0] * (self._places(len(row)) - len(row))
        self._archive.items(tag, kind, "PerDataSpace", row)

    def _integers(self, tensors: list[TensorStats], *tags: str) -> None:
        for tag in tags:
            self._per(_COUNTS, tag, [int(getattr(x, tag)) for x in tensors])

    def _reals(self, tag: str, values: Iterable[float]) -> None:
        row = [float(value) for value in values]
        row += [0.0] * (self._places(len(row)) - len(row))
        self._archive.items(tag, _REALS, "PerDataSpace", row)
