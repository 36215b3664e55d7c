"""Writes ``timeloop-model.stats.txt``, byte for byte as each version of Timeloop does.

As in Timeloop, 4cf6d4c leaves out what neither moves a word nor costs energy; 3.0.3 leaves out
nothing. Energies count as built-in ones where they equal these, else as those of an ERT.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from dse.domain.architecture import StorageLevel
from dse.model.networks import Service, services
from dse.model.stats import NetworkStats, TensorStats
from dse.timeloop.evaluate import Evaluation
from dse.timeloop.write.figures import ReportFigures, mean_hops, per_access_pj
from dse.timeloop.write.report import energies_pj, loops

_ReportRows = list[tuple[str, object]]


def stats_text(evaluation: Evaluation, *, everything: bool = False) -> str:
    """Return the file's text.

    Args:
        evaluation: what it is of.
        everything: idle parts, too, which 4cf6d4c shows with
            ``TIMELOOP_HIDE_INCONSEQUENTIAL_STATS=0`` in its environment.
    """
    figures = ReportFigures(evaluation)
    head = evaluation.input.timeloop_version == "4cf6d4c"
    energies = dict(energies_pj(evaluation))
    shown = {name for name, energy in energies.items() if everything or not head or energy}
    lines = ["Buffer and Arithmetic Levels", "-" * 28, *_compute_lines(evaluation)]
    for s, level in enumerate(evaluation.input.architecture.levels):
        if level.name in shown or figures.accesses(s):
            lines += [f"Level {s + 1}", "-------", *_level_lines(figures, s, head=head), ""]
    lines += ["Networks", "--------"]
    named = sorted(services(evaluation.input.architecture), key=lambda x: x.name)
    listed = [service for service in named if service.name in shown]
    for number, service in enumerate(listed):
        lines += [f"Network {number}", "---------", *_network_lines(figures, service), ""]
    lines += ["", *_intensity_lines(figures), "", ""]
    lines += _summary_lines(figures, [x.name for x in named], shown, head=head)
    return "\n".join(lines) + "\n\n"


def _compute_lines(evaluation: Evaluation) -> list[str]:
    stats, compute = evaluation.stats, evaluation.input.architecture.compute
    busy = math.prod(evaluation.mapping.spatial.ravel().tolist())
    specs: _ReportRows = [
        ("Word bits", compute.word_bits),
        ("Instances", f"{compute.instances} ({compute.mesh_x}*{compute.mesh_y})"),
        ("Compute energy", f"{compute.energy_pj:.2f} pJ"),
    ]
    found: _ReportRows = [
        ("Utilized instances", busy),
        ("Computes (total)", stats.computes),
        ("Cycles", math.prod(evaluation.mapping.temporal.ravel().tolist())),
        ("Energy (total)", f"{stats.compute_energy_pj:.2f} pJ"),
        ("Area (total)", f"{compute.area_um2 * compute.instances:.2f} um^2"),
    ]
    return [
        *("Level 0", "-------", f"=== {compute.name} ===", ""),
        *_section("SPECS", _rows(specs, 4, 22)),
        *_section("STATS", _rows(found, 4, 24)),
    ]


def _level_lines(figures: ReportFigures, s: int, *, head: bool) -> list[str]:
    evaluation = figures.evaluation
    level = evaluation.input.architecture.levels[s]
    found = evaluation.stats.levels[level.name]
    lines = [f"=== {level.name} ===", ""]
    lines += _section("SPECS", _rows(_specs(figures, s, head=head), 8, 32 if head else 28))
    if not head:
        nest = [f"    {'  ' * depth}{loop}" for depth, loop in enumerate(loops(evaluation, s), 1)]
        lines += _section("MAPPING", ["    Loop nest:", *nest])
    moved: _ReportRows = [
        ("Cycles", found.cycles),
        ("Bandwidth throttling", f"{found.slowdown:.2f}"),
    ]
    lines += ["    STATS", "    -----", *_rows(moved, 4, 21)]
    for t, (name, tensor) in enumerate(found.tensors.items()):
        if evaluation.mapping.keep[s, t]:
            rows = _tensor_rows(figures, s, t, tensor, head=head)
            lines += [f"    {name}:", *_rows(rows, 8, 41)]
    return lines


def _specs(figures: ReportFigures, s: int, *, head: bool) -> _ReportRows:
    evaluation = figures.evaluation
    level = evaluation.input.architecture.levels[s]
    price_pj, source = figures.vector_access(s)
    sharing, in_use = figures.power_gates(s)
    unlimited = "-"
    effective: object = unlimited
    if level.size_words is not None:
        effective = math.floor(level.size_words / level.multiple_buffering)

    def bandwidth(value: float) -> str:
        return unlimited if math.isinf(value) else f"{value:.2f}"

    leak: _ReportRows = [
        ("Per-instance-cycle leakage", f"{level.energy.leak_pj:.2f} pJ"),
        ("Instances sharing power gating", f"{sharing:.2f}"),
        ("Non-power-gated utilization", f"{in_use * 100:.2f}%"),
        (
            "Leakage energy (total)",
            f"{evaluation.stats.levels[level.name].leak_energy_pj:.2f} pJ",
        ),
    ]
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
        ("Vector access energy", f"{price_pj:.2f} pJ"),
        ("Vector access energy source", source),
        *(leak if head else []),
        ("Area", f"{level.area_um2:.2f} um^2"),
    ]


def _tensor_rows(
    figures: ReportFigures, s: int, t: int, tensor: TensorStats, *, head: bool
) -> _ReportRows:
    level = figures.evaluation.input.architecture.levels[s]
    instances, bandwidth = tensor.utilized_instances, figures.bandwidth(s, t)
    address_pj = tensor.address_generations * level.energy.address_generation_pj
    writes: _ReportRows = [
        ("Scalar fills (per-instance)", int(tensor.fills)),
        ("Scalar updates (per-instance)", int(tensor.updates)),
    ]
    rows: _ReportRows = [
        ("Partition size", tensor.partition_size),
        ("Utilized capacity", tensor.utilized_capacity),
        ("Utilized instances (max)", int(instances)),
        ("Utilized clusters (max)", int(tensor.utilized_clusters)),
        ("Scalar reads (per-instance)", int(tensor.reads)),
        *(writes if head else writes[::-1]),
        ("Temporal reductions (per-instance)", int(tensor.temporal_reductions)),
        ("Address generations (per-cluster)", int(tensor.address_generations)),
        ("Energy (per-scalar-access)", f"{number(per_access_pj(tensor), '.2f')} pJ"),
        *_twice("Energy", "instance", tensor.energy_pj, instances),
        # adding is free in Timeloop's built-in energies
        *_twice("Temporal Reduction Energy", "instance", 0.0, instances),
        *_twice("Address Generation Energy", "cluster", address_pj, tensor.utilized_clusters),
        *(
            [("Bandwidth Consumption Scale", f"{figures.bandwidth_scale(s, t):.2f}")]
            if head
            else []
        ),
    ]
    for kind, words in (
        ("Shared", bandwidth.shared),
        ("Read", bandwidth.read),
        ("Write", bandwidth.write),
    ):
        rows += _twice(f"{kind} Bandwidth", "instance", words, instances, "words/cycle")
    return rows


def _twice(what: str, of: str, value: float, times: float, unit: str = "pJ") -> _ReportRows:
    return [
        (f"{what} (per-{of})", f"{value:.2f} {unit}"),
        (f"{what} (total)", f"{value * times:.2f} {unit}"),
    ]


def _network_lines(figures: ReportFigures, service: Service) -> list[str]:
    evaluation = figures.evaluation
    level = evaluation.input.architecture.levels[service.level]
    lines = [service.name, ""]
    if service.network is None:
        lines += _section("SPECS", _rows(_network_specs(level), 8, 16))
    lines += ["    STATS", "    -----"]
    for t, (name, network) in enumerate(evaluation.stats.networks[service.name].items()):
        found = evaluation.stats.levels[level.name].tensors[name]
        instances = found.utilized_instances if service.per_instance else 1.0
        rows = [] if service.network else _entered_rows(figures, service.level, t)
        rows += _moved_rows(figures, service, t, network)
        rows += _twice("Energy", "instance", network.energy_pj, instances)
        rows += _twice(
            "Link transfer energy", "instance", network.link_transfer_energy_pj, instances
        )
        reduction_pj = network.reduction_energy_pj
        rows += _twice("Spatial Reduction Energy", "instance", reduction_pj, instances)
        lines.append(f"    {name}:")
        for row in rows:
            lines += [row[0]] if row[1] is None else _rows([row], 8, 40)
    return lines


def _network_specs(level: StorageLevel) -> _ReportRows:
    network = level.network

    def price(value: float) -> str:
        return f"{value:.2f}" if value else "-"

    return [
        ("Type", "Legacy"),
        ("Legacy sub-type", "M_N" if level.distributes else ""),
        ("ConnectionType", 3),
        ("Word bits", network.word_bits or level.word_bits),
        ("Router energy", f"{price(network.router_energy_pj)} pJ"),
        ("Wire energy", f"{price(network.wire_energy_pj)} pJ/b/mm"),
        ("Ingress energy", f"{price(network.ingress_energy_pj)} pJ"),
        ("Fill latency", network.fill_latency_cycles),
        ("Drain latency", network.drain_latency_cycles),
    ]


def _entered_rows(figures: ReportFigures, s: int, t: int) -> _ReportRows:
    entered = figures.ingresses[s][t]
    words = math.fsum(x.words for x in entered)
    return [
        ("Fanout", math.prod(figures.evaluation.mapping.spatial[s].tolist())),
        ("Multicast factor", max((x.multicast for x in entered), default=0)),
        ("Ingresses", f"{words:.2f}"),
        *(
            (f"{' ' * 12}@multicast {x.multicast} @scatter {x.scatter}: {x.words:.2f}", None)
            for x in entered
        ),
    ]


def _moved_rows(
    figures: ReportFigures, service: Service, t: int, network: NetworkStats
) -> _ReportRows:
    rows: _ReportRows = [
        ("Link transfers", int(network.link_transfers)),
        ("Spatial reductions", int(network.spatial_reductions)),
    ]
    if service.network is None:
        hop_pj = figures.evaluation.input.architecture.hop_energies_pj()[service.level]
        hops = mean_hops(figures.ingresses[service.level][t])
        rows.append(("Average number of hops", f"{hops:.2f}"))
        rows.append(("Energy (per-hop)", f"{hop_pj * 1000:.2f} fJ"))
    return rows


def _intensity_lines(figures: ReportFigures) -> Iterator[str]:
    spec = figures.evaluation.input
    multiplications, additions = figures.operations
    total = multiplications + additions
    traffic = sum(figures.outermost_words(t) for t in range(len(spec.problem.tensors)))
    levels = spec.architecture.levels
    yield from ("Operational Intensity Stats", "-" * 27)
    rows: _ReportRows = [
        ("Total elementwise ops", multiplications),
        ("Total reduction ops", additions),
        ("Total ops", total),
        ("Total memory accesses required", traffic),
        ("Optimal Op per Byte", _per_byte(total, levels[-1].word_bits, traffic)),
    ]
    yield from _rows(rows, 4, 40)
    yield ""
    for s, level in enumerate(levels):
        yield f"=== {level.name} ==="
        if accesses := figures.accesses(s):
            rows = [
                ("Total scalar accesses", accesses),
                ("Op per Byte", _per_byte(total, level.word_bits, accesses)),
            ]
            yield from _rows(rows, 4, 40)


def _per_byte(operations: int, word_bits: int, words: int) -> str:
    size = word_bits * words // 8  # whole bytes, and 32-bit numbers, as Timeloop's
    with np.errstate(divide="ignore"):
        return f"{np.float32(operations) / np.float32(size):.2f}"


def _summary_lines(
    figures: ReportFigures, networks: list[str], shown: set[str], *, head: bool
) -> list[str]:
    evaluation = figures.evaluation
    stats, energies = evaluation.stats, dict(energies_pj(evaluation))
    utilization = f"{stats.utilization * 100:.2f}%" if head else f"{stats.utilization:.2f}"
    operations = np.float32(sum(figures.operations)) / np.float32(stats.cycles)
    delay_energy = float(np.float32(stats.cycles)) * stats.energy_pj / 1e12
    order = [*(name for name in energies if name not in networks), *networks]
    width = max(map(len, order)) + 1
    listed = [
        *((name, energies[name]) for name in order if name in shown),
        ("Total", stats.energy_pj),
    ]
    return [
        "Summary Stats",
        "-------------",
        f"GFLOPs (@1GHz): {operations:.2f}",
        f"Utilization: {utilization}",
        f"Cycles: {stats.cycles}",
        f"Energy: {stats.energy_uj:.2f} uJ",
        f"EDP(J*cycle): {delay_energy:.2e}",
        "Area: 0.00 mm^2",  # Timeloop clears it before it prints
        "",
        f"Computes = {stats.computes}",
        "fJ/Compute",
        *(f"    {name:{width}}= {pj * 1000 / stats.computes:.2f}" for name, pj in listed),
    ]


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"    {title}", f"    {'-' * len(title)}", *lines, ""]


def _rows(pairs: _ReportRows, indent: int, width: int) -> list[str]:
    return [f"{' ' * indent}{name:{width}}: {value}" for name, value in pairs]


def number(value: float, form: str) -> str:
    """Return a number as C++ prints it: not a number has a sign, as the division leaves it."""
    return "-nan" if math.isnan(value) else f"{value:{form}}"
