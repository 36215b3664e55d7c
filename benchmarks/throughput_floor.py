"""The floor: how fast a kernel could be that does nothing but the arithmetic.

Counts the float64 operations that the closed-form rules need for one mapping of a case, and
divides this core's measured rate of vector operations on data in L1 by it.
"""

from __future__ import annotations

import time
from typing import Any

import numba
import numpy as np
from throughput_cases import Case

from dse.mapspace import Mapspace
from dse.model.arrays import HEAD
from dse.model.batch import make_plan
from dse.model.block import Plan

_ARRAYS, _LENGTH = 16, 256


@numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
def _stream(x: Any, a: Any, repeats: int) -> None:  # noqa: ANN401
    for _ in range(repeats):
        for j in range(x.shape[0]):
            row, factor = x[j], a[j]
            for i in range(row.shape[0]):
                row[i] = row[i] * factor[i] + 1.0e-9


def vector_operations_per_s() -> float:
    """Measured multiply-adds on L1 data, counted as two operations each, on one core."""
    x, a = np.ones((_ARRAYS, _LENGTH)), np.full((_ARRAYS, _LENGTH), 0.999999)
    _stream(x, a, 10)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        _stream(x, a, 20_000)
        best = max(best, 2 * 20_000 * x.size / (time.perf_counter() - start))
    return best


def operations(space: Mapspace, plan: Plan) -> int:
    """Float64 operations that one mapping of the space needs."""
    levels, tensors = plan.keep.shape
    slots = [slot for of_dimension in space.slots for slot in of_dimension]
    spatial = sum(slot.spatial for slot in slots)
    count = 2 * len(slots)  # convert, multiply into the extents
    count += 3 * spatial + 6 * levels  # fan-outs and their checks
    count += len(slots) - spatial  # iterations
    for t in range(tensors):
        terms = int(plan.relevant[t].sum())
        tile = terms if plan.simple[t] else 3 * terms + plan.projection.shape[1]
        top = int(plan.backing[t])
        for s in range(top + 1):
            if not plan.keep[s, t]:
                continue
            count += tile + 2  # tile size, capacity
            if s < top:  # delivery from above: innermost relevant loop, words
                count += 2 * sum(not x.spatial and x.level > s for x in slots) + 3
                count += 0 if plan.simple[t] else 12
            per_kind = 3 if plan.read_write[t] else 2  # reads, fills, updates
            count += 3 * per_kind + 2 * per_kind + 8  # blocks and energy; loads; instances
        count += sum(bool(plan.relevant[t, d]) for d, x in enumerate(space.slots)
                     for slot in x if slot.spatial)  # fmt: skip
    return count + 11 * levels + 8  # bandwidths, leakage, totals


def floor(case: Case, measured_per_s: float) -> dict[str, Any]:
    """Operations per mapping, the rate they would allow on one core, and the factor to it."""
    counts = []
    for problem in case.problems:
        space = Mapspace(problem, case.architecture, case.constraints)
        counts.append(operations(space, make_plan(problem, space.arrays.keep != 0, HEAD)))
    peak = vector_operations_per_s()
    mean = float(np.mean(counts))
    return {
        "case": case.name,
        "operations_per_mapping": round(mean),
        "vector_operations_per_s": round(peak),
        "floor_per_s": round(peak / mean),
        "factor_to_floor": round(peak / mean / measured_per_s, 2),
    }
