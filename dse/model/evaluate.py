"""The model's entry points: one mapping in full detail, or a batch in totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, SpecError
from dse.model import arrays as a
from dse.model import rules
from dse.model.imperfect import Remainders, evaluate_imperfect_range, new_memory
from dse.model.kernel import evaluate_range
from dse.model.networks import Service, priced, services, with_inferred
from dse.model.singly import (
    check_distribution,
    is_modelled_singly,
    roomy,
    with_scales_and_gates,
    without,
)
from dse.model.stats import LevelStats, NetworkStats, Stats, TensorStats
from dse.model.workspace import new_scratch

#: Children of one level that may be listed where no closed form exists.
_MAX_ELEMENTS = 1 << 25


def check_dense(hardware: HardwareBatch) -> None:
    """Refuse sparse designs: this model would count words that they leave out.

    Raises:
        SpecError: the hardware is sparse.
    """
    _check_dense(hardware.architectures[0])


def _check_dense(architecture: Architecture) -> None:
    if architecture.sparse is not None:
        raise SpecError(
            f"architecture '{architecture.name}': sparse_optimizations are not supported here, "
            "expected a design of dense tensors"
        )


def evaluate_exact(
    hardware: HardwareBatch,
    problem: Problem,
    mappings: MappingBatch,
    hardware_index: npt.NDArray[np.int32],
    version: int,
    *,
    details: bool = False,
    records: int = 0,
) -> tuple[a.Totals, a.Details]:
    """Run the exact kernel over a batch on this thread.

    Args:
        hardware: H architectures.
        problem: the problem of all B mappings.
        mappings: B mappings.
        hardware_index: ``(B,)`` int32.
        version: a value of :data:`dse.model.arrays.TIMELOOP_VERSIONS`.
        details: also fill the details (else they have a batch axis of 0).
        records: so many access records with them.
    """
    check_dense(hardware)
    levels, dimensions, count = mappings.temporal.shape
    tensors = len(problem.tensors)
    p, m = a.problem_arrays(problem), a.mapping_arrays(mappings)
    totals = a.new_totals(count)
    report = a.new_details(levels, tensors, count if details else 0, records)
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
    _refuse_overflow(totals, report)
    return totals, report


def _refuse_overflow(totals: a.Totals, report: a.Details) -> None:
    """Reject mappings of too many cycles, and say so in the details where there are any."""
    if report.verdict.shape[1]:
        over = totals.valid & ~(totals.cycles < a.CYCLES_LIMIT)
        report.verdict[a.V_LEVEL, over] = report.level[a.CYCLES][:, over].argmax(axis=0)
        report.verdict[a.V_EXPANSION, over] = a.TOO_MANY_CYCLES
    a.refuse_overflow(totals)


def evaluate_imperfect(
    hardware: HardwareBatch,
    problem: Problem,
    mappings: MappingBatch,
    remainders: Remainders,
    hardware_index: npt.NDArray[np.int32],
    version: int,
    *,
    details: bool = False,
    records: int = 0,
) -> tuple[a.Totals, a.Details, npt.NDArray[np.float64]]:
    """Run the kernel of imperfect factors over a batch on this thread.

    Args:
        hardware: H architectures.
        problem: the problem of all B mappings.
        mappings: B mappings; factors are the loops' ends.
        remainders: of their factors.
        hardware_index: ``(B,)`` int32.
        version: a value of :data:`dse.model.arrays.TIMELOOP_VERSIONS`.
        details: also fill the details (else they have a batch axis of 0).
        records: so many access records with them.

    Returns:
        Totals, details, and the operations that Timeloop counts, ``(B,)``.

    Raises:
        SpecError: counts could leave the 62 bits in which they are exact.
    """
    levels, _, count = mappings.temporal.shape
    tensors = len(problem.tensors)
    p, m = a.problem_arrays(problem), a.mapping_arrays(mappings)
    ends = mappings.temporal.astype(float) * mappings.spatial
    iterations = ends.prod(axis=(0, 1)).max(initial=0.0)
    if iterations / problem.macs * a.magnitude(problem) >= 2.0**62:
        raise SpecError("mapping: factors too large, word counts could exceed 2^62")
    totals = a.new_totals(count)
    report = a.new_details(levels, tensors, count if details else 0, records)
    operations = np.full(count, np.nan)
    elements, entries, nodes, done = 256, 32, 512, 0
    while done < count:
        if elements > _MAX_ELEMENTS:
            raise SpecError("mapping: too many imperfect factors and children to follow them all")
        memory = new_memory(levels, p.projection, elements, entries, nodes)
        done = evaluate_imperfect_range(
            *(memory, p, m, remainders, hardware.arrays, hardware_index, done, count, version),
            *(totals, report, operations),
        )
        elements, entries, nodes = elements * 8, entries * 4, nodes * 4
    _refuse_overflow(totals, report)
    return totals, report, operations


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
    _check_dense(architecture)
    if any(is_modelled_singly(level) for level in architecture.levels):
        if any(level.distributes for level in architecture.levels):
            hardware = replace(roomy(architecture), networks=())
            everywhere = replace(mapping, keep=np.ones_like(mapping.keep))
            run = SingleRun.of(hardware, problem, everywhere, version, records=1)
            check_distribution(architecture, problem, run.details)
        stats = evaluate_one(without(architecture), problem, mapping, timeloop_version)
        return with_scales_and_gates(architecture, mapping, stats)
    if not mapping.is_perfect:
        _check_outermost(problem, mapping, version)
    if not architecture.networks:
        return _stats(architecture, problem, SingleRun.of(architecture, problem, mapping, version))
    found, turns = _networks_in_turns(architecture)
    records = 64
    while True:
        runs = [SingleRun.of(turn, problem, mapping, version, records) for turn in turns]
        records = int(runs[0].details.entries.max())
        if records <= runs[0].details.records.shape[3]:
            return _with_networks(architecture, problem, found, runs)


@dataclass(frozen=True)
class SingleRun:
    """What the kernel says of one mapping."""

    totals: a.Totals
    details: a.Details
    computes: int
    version: int

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        problem: Problem,
        mapping: Mapping,
        version: int,
        records: int = 0,
    ) -> SingleRun:
        """Run it; raises as `evaluate_one` does."""
        hardware, first = _batch_of_one(architecture), np.zeros(1, np.int32)
        ends = MappingBatch.of([replace(mapping, temporal_remainder=None, spatial_remainder=None)])
        if mapping.is_perfect:
            totals, details = evaluate_exact(
                *(hardware, problem, ends, first, version), details=True, records=records
            )
            computes = problem.macs
        else:
            remainders = Remainders(*(x[:, :, None] for x in mapping.remainders))
            totals, details, operations = evaluate_imperfect(
                *(hardware, problem, ends, remainders, first, version),
                details=True,
                records=records,
            )
            computes = int(np.nan_to_num(operations[0]))
        numberless = (a.NEGATIVE_READS, a.TOO_MANY_CYCLES, a.NEGATIVE_FILLS)
        if details.verdict[a.V_EXPANSION, 0] in numberless:
            raise SpecError(rejection(architecture, details.verdict[:, 0]))
        if not totals.valid[0]:
            raise InvalidMapping(rejection(architecture, details.verdict[:, 0]))
        return cls(totals, details, computes, version)


# what follows is kept for searches that ask of one architecture, one mapping at a time
@lru_cache(maxsize=64)
def _batch_of_one(architecture: Architecture) -> HardwareBatch:
    return HardwareBatch.of(architecture)


@lru_cache(maxsize=16)
def _networks_in_turns(
    architecture: Architecture,
) -> tuple[tuple[Service, ...], tuple[Architecture, ...]]:
    """Return all networks, and the architectures on which the kernel has each of them in turn.

    Below a level, the inferred network of one architecture stands for one of those that start
    there; that of the last architecture for none.
    """
    found = services(architecture)
    most = max(Counter(service.level for service in found).values())
    turns = (with_inferred(architecture, turn) for turn in range(most + 1))
    return tuple(found), tuple(turns)


def _with_networks(
    architecture: Architecture,
    problem: Problem,
    found: Sequence[Service],
    runs: Sequence[SingleRun],
) -> Stats:
    """Return the answer of the last run, which has no networks, with those of the others."""
    stats = _stats(architecture, problem, runs[-1])
    networks: dict[str, dict[str, NetworkStats]] = {}
    energy_pj = stats.energy_pj
    turns: dict[int, int] = {}
    for service in found:
        turn = turns.get(service.level, 0)
        turns[service.level] = turn + 1
        by_tensor = priced(service, architecture, problem, runs[turn].details)
        networks[service.name] = by_tensor
        level = stats.levels[architecture.levels[service.level].name]
        for tensor, moved in by_tensor.items():
            instances = level.tensors[tensor].utilized_instances if service.per_instance else 1.0
            energy_pj += moved.total_pj * instances
    idle = NetworkStats(0.0, 0.0, 0.0, 0.0)
    for network in architecture.networks:
        networks.setdefault(network.name, dict.fromkeys(problem.tensors, idle))
    return replace(stats, energy_pj=energy_pj, networks=networks)


def _check_outermost(problem: Problem, mapping: Mapping, version: int) -> None:
    """Refuse spatial loops with a remainder but no loop around, on which 4cf6d4c exits.

    Raises:
        SpecError: with Timeloop's line.
    """
    if not rules.averages_instances(version):
        return
    ends, (_, remainders) = mapping.temporal, mapping.remainders
    dimensions = ends.shape[1]
    for s, d in np.argwhere((remainders != mapping.spatial) & (mapping.spatial > 1)):
        around = ends[s:, d].max() > 1 or mapping.spatial[s + 1 :, d].max(initial=1) > 1
        # a level without temporal loops counts as one over the last dimension
        trivial = d == dimensions - 1 and (ends[s:] == 1).all(axis=1).any()
        if not around and not trivial:
            name = problem.dimensions[d]
            raise SpecError(
                f"mapping: spatial factor {name}={mapping.spatial[s, d]},{remainders[s, d]} has no "
                f"loop of {name} around it\nOutermost loop of dimension {d} was imperfectly "
                "factorized. Need more loop levels to factorize this loop..."
            )


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
    elif kind == a.NEGATIVE_FILLS:
        reason = "an output's partition exceeds its fills (Timeloop's count wraps around to 2^64)"
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


def _stats(architecture: Architecture, problem: Problem, run: SingleRun) -> Stats:
    totals, details, computes = run.totals, run.details, run.computes
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
            leak_energy_pj=float(details.level[a.LEAK, s, 0]) if run.version == a.HEAD else 0.0,
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
        computes=computes,
        compute_energy_pj=computes * architecture.compute.energy_pj,
        levels=levels,
        networks=networks,
    )
