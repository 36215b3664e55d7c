"""Evaluation of whole batches: fast path, exact path, threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.model import arrays as a
from dse.model.block import NARROW, WIDTH, Plan
from dse.model.evaluate import check_dense, evaluate_exact
from dse.model.groups import Grouping, grouped
from dse.model.lanes import evaluate_groups
from dse.model.scratch import block, picked, plan_by_lanes

#: Above this, a float64 chain of the rules might not round to the exact integer.
_EXACT_IN_FLOAT = 2.0**48
#: Mappings per task of the fast path (a multiple of the block width) and of the exact kernel.
_CHUNK, _SMALL_CHUNK = 4096, 512


def evaluate_batch(
    hardware: HardwareBatch,
    problem: Problem,
    mappings: MappingBatch,
    hardware_index: npt.NDArray[np.int32],
    version: int,
    threads: int = 1,
) -> a.Totals:
    """Evaluate B mappings; memory beyond inputs and totals does not grow with B.

    Args:
        hardware: H architectures of one structure.
        problem: the problem of all mappings.
        mappings: B mappings.
        hardware_index: ``(B,)`` int32.
        version: a value of :data:`dse.model.arrays.TIMELOOP_VERSIONS`.
        threads: workers; the result does not depend on it.

    Returns:
        Totals, arrays ``(B,)``.
    """
    check_dense(hardware)
    totals = a.new_totals(len(mappings))
    index = np.ascontiguousarray(hardware_index, dtype=np.int32)
    again = np.ones(len(mappings), np.bool_)
    if has_closed_form(hardware, problem, mappings):
        again[:] = False
        if mappings.keep.shape[2] == 1:
            plan = _known_plan(problem, mappings.keep.tobytes(), len(mappings.keep), version)
            run_lanes(hardware, problem, mappings, index, plan, totals, again, threads)
        else:
            _by_keep(hardware, problem, mappings, index, version, totals, again, threads)

    def finish(rest: npt.NDArray[np.intp]) -> None:
        exact, _ = evaluate_exact(hardware, problem, mappings.take(rest), index[rest], version)
        _scatter(exact, totals, rest)

    _each(finish, _pieces(np.flatnonzero(again), _SMALL_CHUNK), threads)
    a.refuse_overflow(totals)
    return totals


def _each(work: Callable[[Any], None], tasks: Sequence[Any], threads: int) -> None:
    """Do ``work`` on every task, in threads where that can help."""
    if threads > 1 and len(tasks) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, tasks))
    else:
        for task in tasks:
            work(task)


def _pieces(index: npt.NDArray[np.intp], length: int) -> list[npt.NDArray[np.intp]]:
    return [index[at : at + length] for at in range(0, index.size, length)]


def _scatter(part: a.Totals, whole: a.Totals, index: npt.NDArray[np.intp]) -> None:
    """Write the totals of some mappings to their places."""
    for to, piece in zip(whole, part, strict=True):
        to[index] = piece


def _by_keep(
    hardware: HardwareBatch,
    problem: Problem,
    mappings: MappingBatch,
    hardware_index: npt.NDArray[np.int32],
    version: int,
    totals: a.Totals,
    again: npt.NDArray[np.bool_],
    threads: int,
) -> None:
    """Run the fast path over a batch in which mappings keep different tensors."""
    keep = mappings.keep
    groups = grouped(keep)
    arrays = a.mapping_arrays(mappings)
    of_all = _known_plan(problem, bytes(keep[:, :, 0].size), len(keep), version)

    def work(task: npt.NDArray[np.int64]) -> None:
        _evaluate(
            plan_by_lanes(of_all, 1),
            *(arrays, hardware, hardware_index, problem, task, totals, again, groups),
        )

    _each(work, _tasks(groups.edges), threads)


def keep_patterns(keep: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Number keep/bypass patterns ``(L, T, B)`` to ``(B,)``."""
    flat = keep.reshape(keep.shape[0] * keep.shape[1], -1)
    if len(flat) < 63:
        return np.left_shift(1, np.arange(len(flat), dtype=np.int64)) @ flat
    _, numbers = np.unique(np.packbits(flat, axis=0), axis=1, return_inverse=True)
    return np.asarray(numbers, np.int64).reshape(-1)


def _tasks(edges: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Split groups, given by their edges, into tasks of about a chunk."""
    if edges[-1] <= _CHUNK:
        return [edges]
    cuts = np.union1d(edges, np.arange(0, edges[-1], _CHUNK))
    last = np.searchsorted(cuts, np.arange(_CHUNK, edges[-1] + _CHUNK, _CHUNK)).clip(
        max=len(cuts) - 1
    )
    return [cuts[i : j + 1] for i, j in pairwise([0, *last.tolist()])]


def has_closed_form(hardware: HardwareBatch, problem: Problem, mappings: MappingBatch) -> bool:
    """Whether the fast path covers this combination at all (single mappings may still not be)."""
    hw = hardware.arrays
    return bool(
        _projected(problem).has_closed_form
        and not mappings.no_temporal_reuse.any()
        and not mappings.no_multicast.any()
        and not mappings.no_link_transfer.any()
        and not hw.hop_pj.any()
        and not hw.router_pj.any()
        and not hw.ingress_pj.any()
    )


class _Projected(NamedTuple):
    """What plans take from a problem; see `Plan`."""

    relevant: npt.NDArray[np.bool_]
    row: npt.NDArray[np.int64]
    shared_row: npt.NDArray[np.bool_]
    simple: npt.NDArray[np.bool_]
    has_closed_form: bool


@lru_cache(maxsize=1024)
def _projected(problem: Problem) -> _Projected:
    c = problem.projection
    hit = c != 0
    shared = hit & (hit.sum(axis=2, keepdims=True) > 1)
    # one dimension with coefficient 1 or -1 in every row
    simple = ((hit.sum(axis=2) <= 1) & (np.abs(c).sum(axis=2) <= 1)).all(axis=1)
    return _Projected(
        relevant=np.asarray(hit.any(axis=1)),
        row=np.where(hit.any(axis=1), hit.argmax(axis=1), -1).astype(np.int64),
        shared_row=np.asarray(shared.any(axis=1)),
        simple=np.asarray(simple),
        has_closed_form=bool(
            (c >= 0).all()
            and ((c > 0).sum(axis=1) <= 1).all()
            and simple[problem.read_write].all()
            and a.magnitude(problem) < _EXACT_IN_FLOAT
        ),
    )


def make_plan(problem: Problem, keep: npt.NDArray[np.bool_], version: int) -> Plan:
    """Build the fast path's plan for one keep/bypass pattern ``(L, T)``."""
    projected = _projected(problem)
    levels = keep.shape[0]
    backing = np.where(keep.any(axis=0), levels - 1 - keep[::-1].argmax(axis=0), -1)
    own = np.ascontiguousarray(keep)
    return Plan(
        projection=problem.projection,
        relevant=projected.relevant,
        row=projected.row,
        shared_row=projected.shared_row,
        simple=projected.simple,
        read_write=problem.read_write,
        keep=own,
        lane_keep=own[:, :, None],
        backing=backing.astype(np.int64),
        lowest=np.asarray(keep.argmax(axis=0), np.int64),
        version=version,
    )


@lru_cache(maxsize=1024)
def _known_plan(problem: Problem, keep: bytes, levels: int, version: int) -> Plan:
    """Return the plan of one pattern ``(L, T)``, given as bytes; shared, not to be written to."""
    return make_plan(problem, np.frombuffer(keep, np.bool_).reshape(levels, -1).copy(), version)


def run_lanes(
    hardware: HardwareBatch,
    problem: Problem,
    mappings: MappingBatch,
    hardware_index: npt.NDArray[np.int32],
    plan: Plan,
    totals: a.Totals,
    again: npt.NDArray[np.bool_],
    threads: int,
) -> None:
    """Run the fast path over chunks; mark in ``again`` what it leaves to the exact kernel."""
    count = len(mappings)
    arrays = a.mapping_arrays(mappings)

    def work(start: int) -> None:
        edges = np.array([start, min(start + _CHUNK, count)], np.int64)
        _evaluate(plan, arrays, hardware, hardware_index, problem, edges, totals, again)

    _each(work, range(0, count, _CHUNK), threads)


#: All mappings as they stand: they keep the same.
_AS_THEY_STAND = Grouping(order=np.empty(0, np.int64), edges=np.empty(0, np.int64), mixed=0)


def _evaluate(
    plan: Plan,
    arrays: a.MappingArrays,
    hardware: HardwareBatch,
    hardware_index: npt.NDArray[np.int32],
    problem: Problem,
    edges: npt.NDArray[np.int64],
    totals: a.Totals,
    again: npt.NDArray[np.bool_],
    groups: Grouping = _AS_THEY_STAND,
) -> None:
    """Evaluate groups of mappings on this thread; see `evaluate_groups`."""
    levels, dimensions, _ = arrays.temporal.shape
    tensors, ranks, _ = plan.projection.shape
    wide, prices, odd = block(levels, dimensions, tensors, ranks)
    narrow, few, _ = block(levels, dimensions, tensors, ranks, width=NARROW)
    by_lanes = plan, plan
    if groups.order.size:
        by_lanes = plan_by_lanes(plan, WIDTH), plan_by_lanes(plan, NARROW)
    evaluate_groups(
        wide, narrow, plan, *by_lanes, prices, few, odd, arrays, hardware.arrays, hardware_index,
        float(problem.macs), edges, picked(groups, arrays), totals, again,
    )  # fmt: skip
