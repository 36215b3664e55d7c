"""Mappings that stand anywhere in their batch and keep different tensors, side by side in a block.

A search over keeps and bypasses meets most patterns once or twice in a generation. Mappings of rare
patterns share blocks: what any of them keeps is counted for all, and each takes what it keeps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inner
from dse.model.arrays import MappingArrays
from dse.model.block import Lanes, Plan
from dse.numeric import Flags, Floats, Ints


class Picked(NamedTuple):
    """Which mappings of a batch are evaluated, in which order, and what a block of them looks up.

    Mappings ``order[:mixed]`` stand in groups that keep the same; of those behind, the outermost
    level keeps all tensors.
    """

    order: Ints  # (N,) their numbers in the batch; (0,): all of them, as they stand
    mixed: int
    m: MappingArrays  # up to W mappings, or one where all of the batch share it; no factors
    hardware: npt.NDArray[np.int32]  # (W,)
    temporal_used: Flags  # (L, D) whether any mapping of the batch has a factor above 1
    spatial_used: Flags  # (L, D)


@inner
def _pick_factors(
    to: Floats, used: Flags, wanted: Flags, source: npt.NDArray[np.int32], order: Ints
) -> None:
    """Load factors of mappings ``order``, lanes beyond repeat the last; tell which rows count."""
    count = order.shape[0]
    for s in range(to.shape[0]):
        for d in range(to.shape[1]):
            used[s, d] = False
            if not wanted[s, d]:
                continue
            row, factors = to[s, d], source[s, d]
            most = np.int32(1)
            for i in range(count):
                factor = factors[order[i]]
                row[i] = factor
                most = max(most, factor)
            used[s, d] = most > 1
            for i in range(count, row.shape[0]):
                row[i] = row[count - 1]


@inner
def _pick_orders(to: npt.NDArray[np.int8], source: npt.NDArray[np.int8], order: Ints) -> None:
    """Copy permutations ``(L, D, B)`` unless all mappings share one."""
    if source.shape[2] == 1:
        return
    for s in range(source.shape[0]):
        for p in range(source.shape[1]):
            row, own = to[s, p], source[s, p]
            for i in range(order.shape[0]):
                row[i] = own[order[i]]


@inner
def pick(
    x: Lanes, k: Picked, m: MappingArrays, hardware_index: npt.NDArray[np.int32], order: Ints
) -> None:
    """Load mappings ``order`` into a block, and what it looks up into ``k``."""
    _pick_factors(x.temporal, x.temporal_used, k.temporal_used, m.temporal, order)
    _pick_factors(x.spatial, x.spatial_used, k.spatial_used, m.spatial, order)
    _pick_orders(k.m.permutation, m.permutation, order)
    _pick_orders(k.m.spatial_permutation, m.spatial_permutation, order)
    if m.split.shape[1] > 1:
        for s in range(m.split.shape[0]):
            for i in range(order.shape[0]):
                k.m.split[s, i] = m.split[s, order[i]]
    for i in range(order.shape[0]):
        k.hardware[i] = hardware_index[order[i]]


@inner
def set_keep(plan: Plan, keep: Flags, b: int) -> None:
    """Let the plan keep what mapping ``b`` of ``keep (L, T, B)`` keeps."""
    for t in range(keep.shape[1]):
        plan.backing[t] = -1
        plan.lowest[t] = 0
        for s in range(keep.shape[0] - 1, -1, -1):
            kept = keep[s, t, b]
            plan.keep[s, t] = plan.lane_keep[s, t, 0] = kept
            if kept:
                plan.backing[t] = max(plan.backing[t], s)
                plan.lowest[t] = s


@inner
def set_keeps(plan: Plan, keep: Flags, order: Ints) -> None:
    """Let each lane keep what its mapping of ``keep (L, T, B)`` keeps, and the plan what any does.

    Lanes beyond repeat the last one.
    """
    count, width = order.shape[0], plan.lane_keep.shape[2]
    for t in range(keep.shape[1]):
        plan.backing[t] = -1
        plan.lowest[t] = 0
        for s in range(keep.shape[0] - 1, -1, -1):
            mine, source = plan.lane_keep[s, t], keep[s, t]
            kept = False
            for i in range(count):
                mine[i] = source[order[i]]
                kept |= mine[i]
            for i in range(count, width):
                mine[i] = mine[count - 1]
            plan.keep[s, t] = kept
            if kept:
                plan.backing[t] = max(plan.backing[t], s)
                plan.lowest[t] = s


@inner
def leave_out(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Let lanes that do not keep tensor t at level s count nothing there."""
    if plan.lane_keep.shape[2] == 1:
        return
    kept, content, fills, part = plan.lane_keep[s, t], x.content[s], x.share[s], x.partition[s]
    for i in range(x.ok.shape[0]):
        content[i] = content[i] if kept[i] else 0.0
        fills[i] = fills[i] if kept[i] else 0.0
        part[i] = part[i] if kept[i] else 0.0
