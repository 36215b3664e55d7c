"""The counts of dense tensors, of which a sparse design saves some."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareArrays, HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.jit import compiled, inner
from dse.model import arrays as a
from dse.model.arrays import MappingArrays
from dse.model.batch import has_closed_form, keep_patterns, make_plan
from dse.model.block import Lanes, Plan, Prices, derive, lay_out, load_factors, load_hardware, scan
from dse.model.cells import Odd
from dse.model.delivery import tensor_traffic
from dse.model.evaluate import evaluate_exact
from dse.model.fit import check
from dse.model.lanes import level_counts, partitions
from dse.model.orders import load_orders
from dse.model.picked import set_keep
from dse.model.scratch import block
from dse.numeric import Flags, Floats, Ints
from dse.sparse.evaluate import ample

#: More instances than any mapping uses, along an axis.
_AMPLE = 2**20


class DenseCounts:
    """Counts the accesses of mappings of one problem, whether these fit or not."""

    def __init__(self, architecture: Architecture, problem: Problem, version: int) -> None:
        """Keep what does not depend on the mapping."""
        self.hardware = HardwareBatch.of(ample(architecture, _AMPLE, _AMPLE))
        self.problem = problem
        self.version = version

    def __call__(self, mappings: MappingBatch) -> tuple[Floats, Floats]:
        """Count the accesses of B mappings, each of which keeps every tensor somewhere.

        Returns:
            Reads, fills and updates, ``(T, L, 3, B)``, and the energy of networks, ``(B,)``; that
            is no number where there are no counts.
        """
        levels, tensors, count = len(mappings.temporal), len(self.problem.tensors), len(mappings)
        counts = np.zeros((tensors, levels, 3, count))
        network_pj = np.zeros(count)
        again = np.ones(count, np.bool_)
        if has_closed_form(self.hardware, self.problem, mappings):
            again[:] = False
            self._count_lanes(mappings, counts, again)
        rest = np.flatnonzero(again)
        if len(rest):
            self._count_exactly(mappings.take(rest), rest, counts, network_pj)
        return counts, network_pj

    def _count_lanes(self, mappings: MappingBatch, counts: Floats, again: Flags) -> None:
        order, edges = np.arange(len(mappings)), np.array([0, len(mappings)])
        if mappings.keep.shape[2] > 1:
            keys = keep_patterns(mappings.keep)
            order = np.argsort(keys, kind="stable")
            mappings = mappings.take(order)
            edges = np.flatnonzero(np.diff(keys[order], prepend=-1, append=-1))
        plan = make_plan(self.problem, mappings.keep[:, :, 0], self.version)
        levels, dimensions, _ = mappings.temporal.shape
        tensors, rows, _ = plan.projection.shape
        memory = block(levels, dimensions, tensors, rows)
        arrays, index = a.mapping_arrays(mappings), np.zeros(len(mappings), np.int32)
        count_groups(
            *memory, plan, arrays, self.hardware.arrays, index, edges, order, counts, again
        )

    def _count_exactly(
        self,
        mappings: MappingBatch,
        places: npt.NDArray[np.intp],
        counts: Floats,
        network_pj: Floats,
    ) -> None:
        first = np.zeros(len(mappings), np.int32)
        totals, details = evaluate_exact(
            *(self.hardware, self.problem, mappings, first, self.version), details=True
        )
        rows = details.tensor[[a.READS, a.FILLS, a.UPDATES]]
        counts[..., places] = rows.transpose(2, 1, 0, 3)
        moved = details.network[a.NETWORK_ENERGY] + details.network[a.LINK_ENERGY]
        spent = (moved * details.tensor[a.INSTANCES]).sum(axis=(0, 1))
        network_pj[places] = np.where(totals.valid, spent, np.nan)


@inner
def _write(x: Lanes, plan: Plan, t: int, s: int, n: int, order: Ints, counts: Floats) -> None:
    """Write the counts of a level to the mappings' places ``order (n,)``."""
    reads = x.partition[s] if plan.read_write[t] else x.content[s]
    fills, updates = x.share[s], x.content[s]
    to_reads, to_fills, to_updates = counts[t, s, 0], counts[t, s, 1], counts[t, s, 2]
    for i in range(n):
        b = order[i]
        to_reads[b], to_fills[b] = reads[i], fills[i]
        to_updates[b] = updates[i] if plan.read_write[t] else 0.0


@compiled
def count_groups(
    x: Lanes, c: Prices, odd: Odd, plan: Plan, m: MappingArrays, hw: HardwareArrays,
    index: npt.NDArray[np.int32], edges: Ints, order: Ints, counts: Floats, again: Flags,
) -> None:  # fmt: skip
    """Count the accesses of groups of mappings; group g, ``edges[g] .. edges[g + 1]``, keeps alike.

    Counts of mapping b go to ``order[b]``; those left to the exact kernel are marked in ``again``.
    """
    for g in range(edges.shape[0] - 1):
        start, stop = edges[g], edges[g + 1]
        if m.keep.shape[2] > 1:
            set_keep(plan, m.keep, start)
        scan(x.temporal_used, m.temporal, start, stop)
        scan(x.spatial_used, m.spatial, start, stop)
        lay_out(x)
        for b in range(start, stop, x.ok.shape[0]):
            n = min(x.ok.shape[0], stop - b)
            load_hardware(c, hw, index, b, n)
            load_factors(x.temporal, x.temporal_used, m.temporal, b, n)
            load_factors(x.spatial, x.spatial_used, m.spatial, b, n)
            derive(x, m, b, n)
            check(x, plan, c, plan.lane_keep)
            for i in range(n):
                x.odd[i] = x.width[0, i] * x.height[0, i] > 1.0
            load_orders(x, m, b, n)
            for t in range(plan.keep.shape[1]):
                tensor_traffic(x, plan, m, hw, index, t, b, n, odd)
                if plan.read_write[t]:
                    partitions(x, plan, t)
                for s in range(plan.backing[t], -1, -1):
                    if plan.keep[s, t]:
                        level_counts(x, plan, t, s)
                        _write(x, plan, t, s, n, order[b : b + n], counts)
            for i in range(n):
                if x.odd[i]:
                    again[order[b + i]] = True
