"""The arrays that the compiled model reads and writes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError

#: ``timeloop_version`` to the number that the kernels switch on.
TIMELOOP_VERSIONS: dict[str, int] = {"4cf6d4c": 0, "3.0.3": 1, "dosa": 2}
HEAD, V303, DOSA = 0, 1, 2

#: Rows of ``Details.tensor``.
(
    READS,
    FILLS,
    UPDATES,
    CAPACITY,
    PARTITION,
    INSTANCES,
    CLUSTERS,
    ENERGY,
    REDUCTIONS,
    ADDRESSES,
) = range(10)
#: Rows of ``Details.level``.
CYCLES, SLOWDOWN, LEAK = range(3)
#: Rows of ``Details.network``.
LINKS, SPATIAL_REDUCTIONS, NETWORK_ENERGY, LINK_ENERGY = range(4)
#: Rows of ``Details.verdict``: the failing level (``ARITHMETIC`` for the MACs, ``FITS`` for none),
#: then the failed capacity check with demand and bound, then the failed expansion check with its.
V_LEVEL, V_CAPACITY, V_USED, V_SIZE, V_EXPANSION, V_DEMAND, V_BOUND = range(7)
FITS, ARITHMETIC = -2, -1
TOO_LARGE, TOO_SMALL = 1, 2
OVER_INSTANCES, OVER_X, OVER_Y, KEPT_NOWHERE, NEGATIVE_READS = 1, 2, 3, 4, 5
#: In place of a verdict: a scratch array was too small.
MORE_SCRATCH = 6
#: As NEGATIVE_READS: a mapping on which Timeloop gives no number.
TOO_MANY_CYCLES = 7
#: The same: Timeloop's unsigned count of an output's fills wraps around.
NEGATIVE_FILLS = 8

#: Timeloop's own count of cycles, of 64 bits without sign, holds what is below this.
CYCLES_LIMIT = 2.0**64


def version_number(timeloop_version: str) -> int:
    """Return the kernel's number of a Timeloop version.

    Raises:
        SpecError: the version is unknown.
    """
    try:
        return TIMELOOP_VERSIONS[timeloop_version]
    except KeyError:
        raise SpecError(
            f"timeloop_version = {timeloop_version!r}, expected one of "
            f"{', '.join(TIMELOOP_VERSIONS)}"
        ) from None


class ProblemArrays(NamedTuple):
    """A problem for the kernels: ``projection (T, Q, D)``, ``read_write (T,)``."""

    projection: npt.NDArray[np.int64]
    read_write: npt.NDArray[np.bool_]


class MappingArrays(NamedTuple):
    """The arrays of a :class:`~dse.domain.mapping.MappingBatch`, same names and shapes."""

    temporal: npt.NDArray[np.int32]
    spatial: npt.NDArray[np.int32]
    permutation: npt.NDArray[np.int8]
    spatial_permutation: npt.NDArray[np.int8]
    split: npt.NDArray[np.int8]
    keep: npt.NDArray[np.bool_]
    no_temporal_reuse: npt.NDArray[np.bool_]
    no_multicast: npt.NDArray[np.bool_]
    no_link_transfer: npt.NDArray[np.bool_]


class Totals(NamedTuple):
    """Per mapping, ``(B,)``: what a search needs."""

    valid: npt.NDArray[np.bool_]
    cycles: npt.NDArray[np.float64]
    energy_pj: npt.NDArray[np.float64]
    utilization: npt.NDArray[np.float64]


class Details(NamedTuple):
    """Everything about each mapping; rows are named by this module's constants.

    ``tensor (10, L, T, B)``, ``level (3, L, B)``, ``network (4, L, T, B)``, ``verdict (7, B)``.
    Where R > 0 also the access records, ``entries (L, T, B)`` of them: multicast factor, accesses,
    scatter factor and hops, ``records (4, L, T, R, B)``; if there are more than R, those beyond are
    missing.
    """

    tensor: npt.NDArray[np.float64]
    level: npt.NDArray[np.float64]
    network: npt.NDArray[np.float64]
    verdict: npt.NDArray[np.int64]
    entries: npt.NDArray[np.int64]
    records: npt.NDArray[np.float64]


def problem_arrays(problem: Problem) -> ProblemArrays:
    """Return the problem's arrays.

    Raises:
        SpecError: counts could leave the 62 bits in which they are exact.
    """
    if magnitude(problem) >= 2.0**62:
        raise SpecError("problem: too large, word counts could exceed 2^62")
    return ProblemArrays(problem.projection, problem.read_write)


def magnitude(problem: Problem) -> float:
    """Upper bound on any word count: MACs times the coefficient sums of every row."""
    sums = np.maximum(np.abs(problem.projection).sum(axis=2), 1).astype(np.float64)
    return float(problem.macs) * float(sums.prod(axis=1).max())


def cycles_are_exact(hardware: HardwareBatch, problem: Problem) -> bool:
    """Whether no mapping takes cycles beyond 63 bits, whatever bandwidths make of them.

    Words are read, filled, updated and passed on by peers: four times the largest count each.
    Searches that price partial mappings rely on it: they do not know that limit.
    """
    arrays = hardware.arrays
    slowest = min(
        float(array.min())
        for array in (arrays.read_bandwidth, arrays.write_bandwidth, arrays.shared_bandwidth)
    )
    words = 4.0 * len(problem.tensors) * magnitude(problem)
    return max(float(problem.macs), words / slowest) < 2.0**63


def refuse_overflow(totals: Totals) -> None:
    """Reject mappings whose cycles Timeloop cannot count; it would report another number."""
    over = ~(totals.cycles < CYCLES_LIMIT) & totals.valid
    if over.any():
        totals.valid[over] = False
        for column in (totals.cycles, totals.energy_pj, totals.utilization):
            column[over] = np.nan


def mapping_arrays(batch: MappingBatch) -> MappingArrays:
    """Return the batch's arrays, with the dtypes that the kernels are compiled for."""
    return MappingArrays(
        *(
            np.ascontiguousarray(getattr(batch, name), dtype=dtype)
            for name, dtype in zip(
                MappingArrays._fields,
                (np.int32, np.int32, np.int8, np.int8, np.int8, *(np.bool_,) * 4),
                strict=True,
            )
        )
    )


def new_totals(count: int) -> Totals:
    """Allocate totals of ``count`` mappings."""
    return Totals(
        np.zeros(count, np.bool_),
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.full(count, np.nan),
    )


def new_details(levels: int, tensors: int, count: int, records: int = 0) -> Details:
    """Allocate details of ``count`` mappings (0: none wanted), with so many records each."""
    return Details(
        np.zeros((10, levels, tensors, count)),
        np.zeros((3, levels, count)),
        np.zeros((4, levels, tensors, count)),
        np.full((7, count), FITS, np.int64),
        np.zeros((levels, tensors, count), np.int64),
        np.zeros((4, levels, tensors, records, count)),
    )
