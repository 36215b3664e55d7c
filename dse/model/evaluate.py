"""The model's entry points: one mapping in full detail, or a batch in totals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, SpecError
from dse.model import arrays as a
from dse.model.kernel import evaluate_range
from dse.model.stats import LevelStats, NetworkStats, Stats, TensorStats
from dse.model.workspace import new_scratch

#: Children of one level that may be listed where no closed form exists.
_MAX_ELEMENTS = 1 << 25


def evaluate_exact(
    hardware: HardwareBatch,
    problem: Problem,
    mappings: MappingBatch,
    hardware_index: npt.NDArray[np.int32],
    version: int,
    *,
    details: bool = False,
) -> tuple[a.Totals, a.Details]:
    """Run the exact kernel over a batch on this thread.

    Args:
        hardware: H architectures.
        problem: the problem of all B mappings.
        mappings: B mappings.
        hardware_index: ``(B,)`` int32.
        version: a value of :data:`dse.model.arrays.TIMELOOP_VERSIONS`.
        details: also fill the details (else they have a batch axis of 0).
    """
    levels, dimensions, count = mappings.temporal.shape
    tensors = len(problem.tensors)
    p, m = a.problem_arrays(problem), a.mapping_arrays(mappings)
    totals = a.new_totals(count)
    report = a.new_details(levels, tensors, count if details else 0)
    elements, entries, done = 256, 32, 0
    while done < count:
        if elements > _MAX_ELEMENTS:
            raise SpecError(
                f"mapping: more than {_MAX_ELEMENTS:,} children at one level would have to be "
                "listed one by one"
            )
        scratch = new_scratch(levels, dimensions, tensors, p.projection.shape[1], elements, entries)
        done = evaluate_range(
            scratch, p, m, hardware.arrays, hardware_index, done, count, version, totals, report
        )
        elements, entries = elements * 8, entries * 4
    if details:
        over = totals.valid & ~(totals.cycles < a.CYCLES_LIMIT)
        report.verdict[a.V_LEVEL, over] = report.level[a.CYCLES][:, over].argmax(axis=0)
        report.verdict[a.V_EXPANSION, over] = a.TOO_MANY_CYCLES
    a.refuse_overflow(totals)
    return totals, report


def evaluate_one(
    architecture: Architecture,
    problem: Problem,
    mapping: Mapping,
    timeloop_version: str = "4cf6d4c",
) -> Stats:
    """Evaluate one mapping and return everything that Timeloop's stats file says.

    Raises:
        InvalidMapping: the mapping does not fit; the message is Timeloop's own line.
        SpecError: the problem is too large for exact counts, the version is unknown, or this is
            one of the mappings on which Timeloop aborts or whose cycles it cannot count.
    """
    version = a.version_number(timeloop_version)
    totals, details = evaluate_exact(
        HardwareBatch.of(architecture),
        problem,
        MappingBatch.of([mapping]),
        np.zeros(1, np.int32),
        version,
        details=True,
    )
    if details.verdict[a.V_EXPANSION, 0] in (a.NEGATIVE_READS, a.TOO_MANY_CYCLES):
        raise SpecError(rejection(architecture, details.verdict[:, 0]))
    if not totals.valid[0]:
        raise InvalidMapping(rejection(architecture, details.verdict[:, 0]))
    return _stats(architecture, problem, totals, details, version)


def rejection(architecture: Architecture, verdict: npt.NDArray[np.int64]) -> str:
    """Return Timeloop's line for a verdict ``(7,)`` of the kernel."""
    index = int(verdict[a.V_LEVEL])
    arithmetic = index == a.ARITHMETIC
    name = architecture.compute.name if arithmetic else architecture.levels[index].name
    reason = ""
    if verdict[a.V_CAPACITY] == a.TOO_LARGE:
        reason = f"mapped tile size {verdict[a.V_USED]} exceeds buffer capacity {verdict[a.V_SIZE]}"
    elif verdict[a.V_CAPACITY] == a.TOO_SMALL:
        floor = verdict[a.V_SIZE] * architecture.levels[index].min_utilization
        reason = (
            f"mapped tile size {verdict[a.V_USED]} is less than constrained minimum "
            f"utilization {floor:g}"
        )
    demand, bound = verdict[a.V_DEMAND], verdict[a.V_BOUND]
    kind = int(verdict[a.V_EXPANSION])
    if kind == a.KEPT_NOWHERE:
        reason = "one of the tensors is bypassed in all storage levels"
    elif kind == a.NEGATIVE_READS:
        reason = "an output's partition exceeds its accesses (Timeloop aborts on this mapping)"
    elif kind == a.TOO_MANY_CYCLES:
        reason = "its bandwidth makes for 2^64 cycles or more, beyond what Timeloop counts"
    elif kind == a.OVER_INSTANCES and arithmetic:
        reason += f"mapped max Arithmetic instances {demand} exceeds hardware instances {bound}"
    elif kind == a.OVER_INSTANCES:
        reason += f"mapped instances {demand} exceeds available hardware instances {bound}"
    elif kind in (a.OVER_X, a.OVER_Y):
        axis = "X" if kind == a.OVER_X else "Y"
        reason += (
            f"mapped max Arithmetic {axis} expansion {demand} exceeds hardware instances {bound}"
            if arithmetic
            else f"mapped {axis} expansion {demand} exceeds available hardware instances {bound}"
        )
    return f"ERROR: couldn't map level {name}: {reason}"


def _stats(
    architecture: Architecture,
    problem: Problem,
    totals: a.Totals,
    details: a.Details,
    version: int,
) -> Stats:
    levels: dict[str, LevelStats] = {}
    networks: dict[str, dict[str, NetworkStats]] = {}
    inner = architecture.compute.name
    for s, level in enumerate(architecture.levels):
        rows = details.tensor[:, s, :, 0]
        nets = details.network[:, s, :, 0]
        levels[level.name] = LevelStats(
            cycles=int(details.level[a.CYCLES, s, 0]),
            slowdown=float(details.level[a.SLOWDOWN, s, 0]),
            area_um2=level.area_um2 * level.instances,
            leak_energy_pj=float(details.level[a.LEAK, s, 0]) if version == a.HEAD else 0.0,
            tensors={
                name: TensorStats(
                    reads=float(rows[a.READS, t]),
                    fills=float(rows[a.FILLS, t]),
                    updates=float(rows[a.UPDATES, t]),
                    utilized_capacity=int(rows[a.CAPACITY, t]),
                    partition_size=int(rows[a.PARTITION, t]),
                    utilized_instances=float(rows[a.INSTANCES, t]),
                    utilized_clusters=float(rows[a.CLUSTERS, t]),
                    energy_pj=float(rows[a.ENERGY, t]),
                    temporal_reductions=float(rows[a.REDUCTIONS, t]),
                    address_generations=float(rows[a.ADDRESSES, t]),
                )
                for t, name in enumerate(problem.tensors)
            },
        )
        networks[f"{level.name} <==> {inner}"] = {
            name: NetworkStats(
                link_transfers=float(nets[a.LINKS, t]),
                spatial_reductions=float(nets[a.SPATIAL_REDUCTIONS, t]),
                energy_pj=float(nets[a.NETWORK_ENERGY, t]),
                link_transfer_energy_pj=float(nets[a.LINK_ENERGY, t]),
            )
            for t, name in enumerate(problem.tensors)
        }
        inner = level.name
    return Stats(
        cycles=int(totals.cycles[0]),
        energy_pj=float(totals.energy_pj[0]),
        area_um2=architecture.area_um2,
        utilization=float(totals.utilization[0]),
        computes=problem.macs,
        compute_energy_pj=problem.macs * architecture.compute.energy_pj,
        levels=levels,
        networks=networks,
    )
