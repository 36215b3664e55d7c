"""Working memory of the fast path, kept per thread and reused from call to call."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.model.arrays import MappingArrays
from dse.model.block import WIDTH, Lanes, Plan, Prices, new_lanes, new_prices
from dse.model.cells import Odd, new_odd
from dse.model.groups import Grouping
from dse.model.picked import Picked
from dse.numeric import Flags, Ints

Block = tuple[Lanes, Prices, Odd]

#: Of a plan: what is kept, by whom, in the order of its fields.
_PlanMemory = tuple[Flags, Flags, Ints, Ints]
_OrderMemory = npt.NDArray[np.int8]


class _Local(threading.local):
    def __init__(self) -> None:
        self.blocks: dict[tuple[int, int, int, int, int], Block] = {}
        self.kept: dict[tuple[int, int, int], _PlanMemory] = {}
        self.looked_up: dict[tuple[int, int], tuple[tuple[_OrderMemory, ...], tuple[Any, ...]]] = {}


_LOCAL = _Local()


def block(levels: int, dimensions: int, tensors: int, ranks: int, width: int = WIDTH) -> Block:
    """Return this thread's memory for blocks of that shape; its contents are undefined.

    No hardware is loaded in it. Valid until the thread asks for the same shape again.
    """
    key = (levels, dimensions, tensors, ranks, width)
    known = _LOCAL.blocks.get(key)
    if known is None:
        known = (
            new_lanes(*key),
            new_prices(levels, width),
            new_odd(levels, dimensions, ranks),
        )
        _LOCAL.blocks[key] = known
    known[1].machine[0] = -1
    return known


def plan_by_lanes(plan: Plan, width: int) -> Plan:
    """Return a plan with this thread's memory for what is kept, by so many lanes.

    Valid until the thread asks for the same shape again.
    """
    levels, tensors = plan.keep.shape
    known = _LOCAL.kept.get((levels, tensors, width))
    if known is None:
        known = _LOCAL.kept[levels, tensors, width] = (
            np.empty((levels, tensors), np.bool_),
            np.empty((levels, tensors, width), np.bool_),
            np.empty(tensors, np.int64),
            np.empty(tensors, np.int64),
        )
    return Plan(
        plan.projection, plan.relevant, plan.row, plan.shared_row, plan.simple, plan.read_write,
        *known, plan.version,
    )  # fmt: skip


def picked(groups: Grouping, m: MappingArrays) -> Picked:
    """Return this thread's memory for mappings that are picked from a batch.

    Valid until the thread asks for the same shape again.
    """
    levels, dimensions, _ = m.temporal.shape
    known = _LOCAL.looked_up.get((levels, dimensions))
    if known is None:
        used = (np.empty((levels, dimensions), np.bool_) for _ in range(2))
        known = _LOCAL.looked_up[levels, dimensions] = (
            (
                *(np.empty((levels, dimensions, WIDTH), np.int8) for _ in range(2)),
                np.empty((levels, WIDTH), np.int8),
            ),
            (np.empty(WIDTH, np.int32), *used),
        )
    orders, memory = known
    shared = (m.permutation, m.spatial_permutation, m.split)
    permutation, spatial_permutation, split = (
        array if array.shape[-1] == 1 else own for array, own in zip(shared, orders, strict=True)
    )
    looked_up = MappingArrays(
        m.temporal, m.spatial, permutation, spatial_permutation, split, m.keep,
        m.no_temporal_reuse, m.no_multicast, m.no_link_transfer,
    )  # fmt: skip
    return Picked(groups.order, groups.mixed, looked_up, *memory)
