"""Reports of one evaluation: Timeloop's stats and map files, a short summary, and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from dse.domain.architecture import StorageLevel
from dse.model.networks import Service, services
from dse.model.stats import LevelStats, TensorStats
from dse.timeloop.evaluate import Evaluation

#: Version of the JSON's layout, raised when a key changes its name or meaning.
_JSON_SCHEMA = "dse.model/1"


def stats_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return everything the model says, ready for JSON.

    Keys: ``schema``, ``timeloop_version``; ``cycles``, ``energy_pj``, ``energy_pj_per_compute``,
    ``edp_joule_cycles``, ``area_um2``, ``utilization`` (a fraction), ``computes``,
    ``compute_energy_pj``; ``levels`` by name, innermost first, each with ``cycles``,
    ``slowdown``, ``area_um2`` and ``leak_energy_pj`` of all its instances, and ``tensors`` by
    name with counts and ``energy_pj`` per instance (without address generation and leakage);
    ``networks`` by ``OUTER <==> INNER`` and tensor, per instance of the outer level.
    """
    stats = evaluation.stats
    return {
        "schema": _JSON_SCHEMA,
        "timeloop_version": evaluation.input.timeloop_version,
        **asdict(stats),
        "energy_pj_per_compute": stats.energy_pj_per_compute,
        "edp_joule_cycles": stats.edp,
    }


def summary_text(evaluation: Evaluation) -> str:
    """Return a table of levels, and networks that cost energy, and the totals."""
    stats = evaluation.stats
    rows = [("level", "cycles", "energy uJ", "pJ/compute", "share")]
    for name, energy_pj in energies_pj(evaluation):
        level = stats.levels.get(name)
        if name in stats.networks and not energy_pj:
            continue
        share = energy_pj / stats.energy_pj if stats.energy_pj else 0.0
        rows.append(
            (
                name,
                f"{level.cycles:,}" if level is not None else "",
                f"{energy_pj / 1e6:,.4f}",
                f"{energy_pj / stats.computes:.4f}",
                f"{share:.1%}",
            )
        )
    total = (f"{stats.cycles:,}", f"{stats.energy_uj:,.4f}", f"{stats.energy_pj_per_compute:.4f}")
    rows.append(("total", *total, ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * sum((*widths, 2 * len(widths) - 2))
    totals = [
        f"cycles       {stats.cycles:,}",
        f"energy       {stats.energy_uj:,.4f} uJ",
        f"EDP          {stats.edp:.6g} J x cycle",
        f"utilization  {stats.utilization:.2%}",
        f"computes     {stats.computes:,}",
        f"area         {stats.area_um2 / 1e6:.6g} mm^2"
        if stats.area_um2
        else "area         not given (no ART)",
    ]
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], "", *totals]) + "\n"


def energies_pj(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    """Yield (name, pJ) of the compute, the storage levels and the networks; the sum is the total.

    A storage level's energy includes its address generation and leakage.
    """
    stats, architecture = evaluation.stats, evaluation.input.architecture
    yield architecture.compute.name, stats.compute_energy_pj
    for level in architecture.levels:
        found = stats.levels[level.name]
        tensors = found.tensors.values()
        accesses = sum(t.energy_pj * t.utilized_instances + _addresses(t, level) for t in tensors)
        yield level.name, accesses + found.leak_energy_pj
    for service in services(architecture):
        total = 0.0
        for tensor, network in stats.networks[service.name].items():
            found = stats.levels[architecture.levels[service.level].name]
            instances = found.tensors[tensor].utilized_instances if service.per_instance else 1.0
            total += network.total_pj * instances
        yield service.name, total


def _addresses(tensor: TensorStats, level: StorageLevel) -> float:
    per_cluster = tensor.address_generations * level.energy.address_generation_pj
    return per_cluster * tensor.utilized_clusters


def stats_text(evaluation: Evaluation) -> str:
    """Return the text of ``timeloop-model.stats.txt``, in Timeloop's layout."""
    stats, architecture = evaluation.stats, evaluation.input.architecture
    lines = ["Buffer and Arithmetic Levels", "-" * 28, *_compute_lines(evaluation)]
    for number, level in enumerate(architecture.levels, start=1):
        lines += [f"Level {number}", "-------", f"=== {level.name} ===", ""]
        lines += ["    SPECS", "    -----"]
        found = stats.levels[level.name]
        leak = ("Leakage energy (total)", f"{found.leak_energy_pj:.2f} pJ")
        lines += _rows([*_level_specs(level), leak], 8, 32)
        lines += ["", "    STATS", "    -----"]
        lines += _rows(
            [("Cycles", found.cycles), ("Bandwidth throttling", f"{found.slowdown:.2f}")], 4, 21
        )
        lines += _tensor_lines(found, level, stats.cycles)
        lines.append("")
    lines += ["Networks", "--------"]
    for number, service in enumerate(services(architecture)):
        lines += [f"Network {number}", "---------", service.name, "", "    STATS", "    -----"]
        lines += _network_lines(evaluation, service)
        lines.append("")
    return "\n".join([*lines, "", *_summary_lines(evaluation)]) + "\n"


def _compute_lines(evaluation: Evaluation) -> list[str]:
    stats, compute = evaluation.stats, evaluation.input.architecture.compute
    busy = evaluation.mapping.spatial.prod(dtype=int)
    specs = [
        ("Word bits", compute.word_bits),
        ("Instances", f"{compute.instances} ({compute.mesh_x}*{compute.mesh_y})"),
        ("Compute energy", f"{compute.energy_pj:.2f} pJ"),
    ]
    found = [
        ("Utilized instances", busy),
        ("Computes (total)", stats.computes),
        ("Cycles", evaluation.mapping.temporal.prod(dtype=int)),
        ("Energy (total)", f"{stats.compute_energy_pj:.2f} pJ"),
        ("Area (total)", f"{compute.area_um2 * compute.instances:.2f} um^2"),
    ]
    return [
        *("Level 0", "-------", f"=== {compute.name} ===", "", "    SPECS", "    -----"),
        *_rows(specs, 4, 22),
        *("", "    STATS", "    -----"),
        *_rows(found, 4, 24),
        "",
    ]


def _level_specs(level: StorageLevel) -> list[tuple[str, object]]:
    unlimited = "-"
    effective: object = unlimited
    if level.size_words is not None:
        effective = math.floor(level.size_words / level.multiple_buffering)

    def bandwidth(value: float) -> str:
        return unlimited if math.isinf(value) else f"{value:.2f}"

    return [
        ("Technology", "DRAM" if level.is_dram else "SRAM"),
        ("Size", unlimited if level.size_words is None else level.size_words),
        ("Word bits", level.word_bits),
        ("Block size", level.block_size),
        ("Cluster size", level.cluster_size),
        ("Instances", f"{level.instances} ({level.mesh_x}*{level.mesh_y})"),
        ("Shared bandwidth", bandwidth(level.shared_bandwidth)),
        ("Read bandwidth", bandwidth(level.read_bandwidth)),
        ("Write bandwidth", bandwidth(level.write_bandwidth)),
        ("Multiple buffering", f"{level.multiple_buffering:.2f}"),
        ("Effective size", effective),
        ("Min utilization", f"{level.min_utilization:.2f}"),
        ("Read energy", f"{level.energy.read_pj:.2f} pJ"),
        ("Fill energy", f"{level.energy.fill_pj:.2f} pJ"),
        ("Update energy", f"{level.energy.update_pj:.2f} pJ"),
        ("Area", f"{level.area_um2:.2f} um^2"),
    ]


def _tensor_lines(found: LevelStats, level: StorageLevel, cycles: int) -> list[str]:
    lines = []
    for name, tensor in found.tensors.items():
        accesses = tensor.reads + tensor.fills + tensor.updates
        if not accesses and not tensor.utilized_capacity:
            continue  # bypassed; Timeloop leaves it out, too
        per_access = tensor.energy_pj / accesses if accesses else 0.0
        lines.append(f"    {name}:")
        lines += _rows(
            [
                ("Partition size", tensor.partition_size),
                ("Utilized capacity", tensor.utilized_capacity),
                ("Utilized instances (max)", _count(tensor.utilized_instances)),
                ("Utilized clusters (max)", _count(tensor.utilized_clusters)),
                ("Scalar reads (per-instance)", _count(tensor.reads)),
                ("Scalar fills (per-instance)", _count(tensor.fills)),
                ("Scalar updates (per-instance)", _count(tensor.updates)),
                ("Temporal reductions (per-instance)", _count(tensor.temporal_reductions)),
                ("Address generations (per-cluster)", _count(tensor.address_generations)),
                ("Energy (per-scalar-access)", f"{per_access:.2f} pJ"),
                ("Energy (per-instance)", f"{tensor.energy_pj:.2f} pJ"),
                ("Energy (total)", f"{tensor.energy_pj * tensor.utilized_instances:.2f} pJ"),
                ("Address Generation Energy (total)", f"{_addresses(tensor, level):.2f} pJ"),
                ("Shared Bandwidth (per-instance)", f"{accesses / cycles:.2f} words/cycle"),
                ("Read Bandwidth (per-instance)", f"{tensor.reads / cycles:.2f} words/cycle"),
                (
                    "Write Bandwidth (per-instance)",
                    f"{(tensor.fills + tensor.updates) / cycles:.2f} words/cycle",
                ),
            ],
            8,
            41,
        )
    return lines


def _network_lines(evaluation: Evaluation, service: Service) -> list[str]:
    lines = []
    level = evaluation.input.architecture.levels[service.level]
    for tensor, network in evaluation.stats.networks[service.name].items():
        found = evaluation.stats.levels[level.name].tensors[tensor]
        instances = found.utilized_instances if service.per_instance else 1.0
        lines.append(f"    {tensor}:")
        lines += _rows(
            [
                ("Link transfers", _count(network.link_transfers)),
                ("Spatial reductions", _count(network.spatial_reductions)),
                ("Energy (per-instance)", f"{network.energy_pj:.2f} pJ"),
                ("Energy (total)", f"{network.energy_pj * instances:.2f} pJ"),
                (
                    "Link transfer energy (per-instance)",
                    f"{network.link_transfer_energy_pj:.2f} pJ",
                ),
                (
                    "Link transfer energy (total)",
                    f"{network.link_transfer_energy_pj * instances:.2f} pJ",
                ),
            ],
            8,
            40,
        )
        if network.reduction_energy_pj:
            total = f"{network.reduction_energy_pj * instances:.2f} pJ"
            lines += _rows([("Spatial reduction energy (total)", total)], 8, 40)
    return lines


def _summary_lines(evaluation: Evaluation) -> list[str]:
    stats = evaluation.stats
    utilization = f"{stats.utilization:.2f}"
    if evaluation.input.timeloop_version == "4cf6d4c":
        utilization = f"{stats.utilization * 100:.2f}%"
    parts = list(energies_pj(evaluation))
    width = max(len(name) for name, _ in parts) + 1
    per_compute = [*parts, ("Total", stats.energy_pj)]
    return [
        "Summary Stats",
        "-------------",
        f"Utilization: {utilization}",
        f"Cycles: {stats.cycles}",
        f"Energy: {stats.energy_uj:.2f} uJ",
        f"EDP(J*cycle): {stats.edp:.2e}",
        f"Area: {stats.area_um2 / 1e6:.2f} mm^2",
        "",
        f"Computes = {stats.computes}",
        "fJ/Compute",
        *(f"    {name:{width}}= {pj * 1000 / stats.computes:.2f}" for name, pj in per_compute),
    ]


def map_text(evaluation: Evaluation) -> str:
    """Return the loop nest as ``timeloop-model.map.txt`` shows it, outermost loop first."""
    stats, problem = evaluation.stats, evaluation.input.problem
    mapping = evaluation.mapping
    lines: list[str] = []
    depth = 0
    for s in reversed(range(len(stats.levels))):
        name = evaluation.input.architecture.levels[s].name
        tensors = stats.levels[name].tensors
        kept = [
            f"{t}:{tensors[t].utilized_capacity} ({tensors[t].utilized_capacity}) "
            for i, t in enumerate(problem.tensors)
            if mapping.keep[s, i]
        ]
        header = f"{name} [ {''.join(kept)}] "
        lines.append(header)
        loops = list(_loops(evaluation, s))
        if not loops and s > 0:
            continue  # levels without loops share the next level's rule
        lines.append("-" * (len(header) - 1))
        for text in loops:
            lines.append(f"| {'  ' * depth}{text}")
            depth += 1
        if s > 0:
            lines.append("")
    lines.append(f"| {'  ' * depth}<< Compute >>")
    return "\n".join(lines) + "\n"


def _loops(evaluation: Evaluation, s: int) -> Iterator[str]:
    """Yield the loops of one level, outermost first, those of one iteration left out."""
    mapping, dimensions = evaluation.mapping, evaluation.input.problem.dimensions
    temporal, spatial = mapping.remainders

    def loop(d: int, end: int, remainder: int) -> str:
        bound = f"{end}" if end == remainder else f"{end},{remainder}"
        return f"for {dimensions[d]} in [0:{bound})"

    for d in mapping.permutation[s][::-1]:
        if mapping.temporal[s, d] > 1:
            yield loop(d, mapping.temporal[s, d], temporal[s, d])
    order = mapping.spatial_permutation[s]
    for place in reversed(range(len(order))):
        d = order[place]
        if mapping.spatial[s, d] > 1:
            axis = "X" if place < mapping.split[s] else "Y"
            yield f"{loop(d, mapping.spatial[s, d], spatial[s, d])} (Spatial-{axis})"


def _rows(pairs: list[tuple[str, Any]], indent: int, width: int) -> list[str]:
    return [f"{' ' * indent}{name:{width}}: {value}" for name, value in pairs]


def _count(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.2f}"
