"""The model of one mapping of a sparse design: dense counts, and what is saved of them."""

from __future__ import annotations

import math
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import replace

from dse.domain.architecture import UNLIMITED, Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.domain.sparse import SparseDesign
from dse.errors import SpecError
from dse.model import arrays as a
from dse.model.evaluate import evaluate_one
from dse.model.singly import roomy
from dse.model.stats import Stats
from dse.sparse.computes import ComputeCounts, compute_counts
from dse.sparse.counts import (
    SavedShare,
    TensorCounts,
    compute_count,
    count_conversions,
    saved_share,
    tensor_counts,
)
from dse.sparse.fit import reject
from dse.sparse.nest import complete_nest
from dse.sparse.numbers import Senseless
from dse.sparse.occupancy import Held, accesses, held
from dse.sparse.ranks import check_compression, ranked_tiles
from dse.sparse.result import Analysis, check_fit, sparse_stats
from dse.sparse.savings import saved_shares
from dse.sparse.spatial import Instances, expansions, skipped, unskipped
from dse.sparse.stats import SparseStats
from dse.sparse.tiles import TensorTiles, tensor_tiles


def evaluate_sparse(
    architecture: Architecture,
    problem: Problem,
    mapping: Mapping,
    design: SparseDesign,
    timeloop_version: str = "4cf6d4c",
) -> SparseStats:
    """Evaluate one mapping of a sparse design and return everything that Timeloop says of it.

    Args:
        architecture: the hardware.
        problem: the workload.
        mapping: with perfect factors.
        design: what is sparse.
        timeloop_version: 4cf6d4c or 3.0.3.

    Raises:
        InvalidMapping: the mapping does not fit; the message is Timeloop's own line.
        SpecError: Timeloop aborts or crashes, its numbers make no sense, or it is not modelled.
    """
    check_version(timeloop_version)
    if not mapping.is_perfect:
        raise SpecError("mapping: imperfect factors are not modelled with sparse_optimizations")
    nest = complete_nest(architecture, mapping)
    tensors = tensor_tiles(problem, mapping, nest, design)
    if not all(any(tensor.kept) for tensor in tensors):
        compute = architecture.compute.name
        reject(compute, "one of the tensors is bypassed in all storage levels")
    check_compression(architecture, design, tensors)
    loops = [loop for level in nest.loops for loop in level]
    x, y = (math.prod(loop.bound for loop in loops if loop.axis == axis) for axis in "XY")
    dense = evaluate_one(ample(architecture, x, y), problem, mapping, timeloop_version)
    ranked = {
        tensor.name: ranked_tiles(architecture, problem.dimensions, nest, tensor)
        for tensor in tensors
    }
    holds = {
        (tensor.name, s): held(tensor, s, ranked[tensor.name][s])
        for tensor in tensors
        for s in range(len(architecture.levels))
    }
    shares = saved_shares(architecture, design, nest, tensors, holds)
    given = expansions(nest, tensors, {key: own.there for key, own in holds.items()})
    instances = unskipped(given)
    if design.skips_instances:
        instances = skipped(architecture, design, nest, tensors, given)
        shares = _with_skipped(design, shares, instances)
    try:
        counts = _counts(architecture, tensors, dense, holds, shares)
        computes = _computes(design, tensors, dense, counts)
    except Senseless:
        # Timeloop goes on with what it has, and may find that tiles do not fit
        check_fit(architecture, design, tensors, holds, instances)
        raise
    found = Analysis(holds, counts, instances, computes)
    return sparse_stats(architecture, design, tensors, dense, found, timeloop_version)


def check_version(timeloop_version: str) -> int:
    """Return the number of a version that models sparse designs.

    Raises:
        SpecError: it is none of these.
    """
    version = a.version_number(timeloop_version)
    if version == a.DOSA:
        raise SpecError(
            "timeloop_version = 'dosa': sparse_optimizations are not modelled, expected 4cf6d4c or "
            "3.0.3"
        )
    return version


def _counts(
    architecture: Architecture,
    tensors: Sequence[TensorTiles],
    dense: Stats,
    holds: Table[tuple[str, int], Held],
    shares: Table[tuple[str, int], SavedShare],
) -> dict[str, TensorCounts]:
    """Return the accesses to all tensors."""
    found: dict[str, TensorCounts] = {}
    for tensor in tensors:
        name = tensor.name
        of_levels = [dense.levels[level.name].tensors[name] for level in architecture.levels]
        before = [
            accesses(tensor, s, holds[name, s], (int(x.reads), int(x.fills), int(x.updates)))
            for s, x in enumerate(of_levels)
        ]
        own = {s: share for (target, s), share in shares.items() if target == name}
        reductions = [(int(x.temporal_reductions), int(x.updates)) for x in of_levels]
        found[name] = tensor_counts(tensor, before, reductions, own)
    for tensor in tensors:
        count_conversions(tensor, found[tensor.name])
    return found


def _computes(
    design: SparseDesign,
    tensors: Sequence[TensorTiles],
    dense: Stats,
    counts: Table[str, TensorCounts],
) -> ComputeCounts:
    """Return what becomes of the computes."""
    left = compute_count(dense.computes, [x for own in counts.values() for x in own.computes])
    saved = {name: saved_share(own.computes) for name, own in counts.items()}
    return compute_counts(
        tensors,
        left,
        {name: share for name, share in saved.items() if share is not None},
        gates=design.gates_computes,
        skips=design.skips_computes,
    )


def _with_skipped(
    design: SparseDesign, shares: Table[tuple[str, int], SavedShare], instances: Instances
) -> dict[tuple[str, int], SavedShare]:
    """Return the savings with what skipped instances save."""
    found = dict(shares)
    for s, level in enumerate(design.levels):
        for (saving,) in level.spatial_skipping:
            place = (saving.target, s)
            in_time = shares.get(place)
            if in_time is not None and in_time.share != 0:
                raise SpecError(
                    f"sparse_optimizations: accesses to '{saving.target}' are saved in time and in "
                    "space at one level, expected one of both (Timeloop aborts)\nNot implemented "
                    "error: we do not support applying spatial and temporal skip at the same time "
                    "yet"
                )
            share = instances.tensors[saving.target].saved[s]
            found[place] = SavedShare("spatial", share, idle=in_time is not None)
    return found


def ample(architecture: Architecture, x: int, y: int) -> Architecture:
    """Return the dense architecture without limits, but with the same networks and fan-outs.

    Instances are looked at afterwards, with those that are skipped left out.

    Args:
        architecture: the hardware.
        x: how many times as many instances there are along X.
        y: the same along Y.
    """
    levels = (
        replace(
            level,
            mesh_x=level.mesh_x * x,
            mesh_y=level.mesh_y * y,
            instances=level.instances * x * y,
            read_bandwidth=UNLIMITED,
            write_bandwidth=UNLIMITED,
            shared_bandwidth=UNLIMITED,
            distributes=own.distributes,
        )
        for level, own in zip(roomy(architecture).levels, architecture.levels, strict=True)
    )
    compute = architecture.compute
    compute = replace(
        compute,
        mesh_x=compute.mesh_x * x,
        mesh_y=compute.mesh_y * y,
        instances=compute.instances * x * y,
    )
    return replace(architecture, levels=tuple(levels), compute=compute, sparse=None)
