"""What a level of one lane delivers, where only a look at its children tells (sections 5 and 6)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dse.domain.architecture import HardwareArrays
from dse.jit import inlined
from dse.model import rules
from dse.model.arrays import MappingArrays
from dse.model.block import Lanes, Plan
from dse.model.loops import Nest, count_iterations, new_nest
from dse.model.multicast import Histogram, accesses, new_histogram
from dse.model.records import Records, new_records
from dse.model.traffic import Links, Tile, cell_traffic, new_links, new_tile

#: Children of a level, and sizes of their groups; lanes with more are left to the exact kernel.
_CHILDREN, _ENTRIES = 1024, 64


class Odd(NamedTuple):
    """Working memory for what is done lane by lane."""

    nest: Nest
    tile: Tile
    records: Records
    links: Links
    other: Histogram


def new_odd(levels: int, dimensions: int, ranks: int) -> Odd:
    """Allocate the memory for lane-by-lane work."""
    nest = new_nest(levels, dimensions)
    return Odd(
        nest,
        new_tile(len(nest.bound), ranks),
        new_records(levels, _ENTRIES),
        new_links(_CHILDREN, ranks, _ENTRIES),
        new_histogram(_ENTRIES),
    )


@inlined
def set_nest(
    x: Lanes, plan: Plan, m: MappingArrays, t: int, s: int, b: int, i: int, odd: Odd
) -> None:
    """Build lane i's nest and vectors as far as a cell at level s needs them.

    That is, the spatial loops of level s and the temporal ones of level s and above.
    """
    nest, vector = odd.nest, odd.tile.vector
    levels, dimensions = x.temporal.shape[0], x.temporal.shape[1]
    ranks = plan.projection.shape[1]
    bp = b if m.spatial_permutation.shape[2] > 1 else 0
    split = m.split[s, b if m.split.shape[1] > 1 else 0]
    nest.width[s] = np.int64(x.width[s, i])
    nest.height[s] = np.int64(x.height[s, i])
    nest.first[s] = 0
    nest.middle_x[s] = 0
    k = 0
    for p in range(dimensions):
        d = m.spatial_permutation[s, p, bp]
        if x.spatial_used[s, d] and x.spatial[s, d, i] > 1.0:
            nest.bound[k] = np.int64(x.spatial[s, d, i])
            stride = np.int64(x.pool[x.extent[s - 1, d], i])
            for q in range(ranks):
                vector[k, q] = plan.projection[t, q, d] * stride
            k += 1
            if p < split:
                nest.middle_x[s] = k
    nest.middle[s] = k
    bt = b if m.permutation.shape[2] > 1 else 0
    j = 0
    nest.temporal_first[s] = 0
    for u in range(s, levels):
        for p in range(dimensions):
            d = m.permutation[u, p, bt]
            if x.temporal_used[u, d] and x.temporal[u, d, i] > 1.0:
                nest.bound[k] = np.int64(x.temporal[u, d, i])
                stride = np.int64(x.pool[x.spatial_extent[u, d], i])
                for q in range(ranks):
                    vector[k, q] = plan.projection[t, q, d] * stride
                nest.temporal[j] = k
                j += 1
                k += 1
    nest.temporal_first[levels] = j
    count_iterations(nest)


@inlined
def tell_cell(
    x: Lanes, plan: Plan, hw: HardwareArrays, h: int, t: int, s: int, i: int, odd: Odd
) -> bool:
    """Set what level s of lane i, whose nest is in ``odd``, delivers; False: not told here."""
    r, tile, links = odd.records, odd.tile, odd.links
    for q in range(tile.edge.shape[0]):
        tile.edge[q] = np.int64(x.edge[t, s - 1, q, i])
    if not cell_traffic(
        r, tile, odd.nest, s, hw.fanout_x[s, h], hw.fanout_y[s, h], False, False, False, False,
        plan.version, links, odd.other,
    ):  # fmt: skip
        return False
    if not plan.lane_keep[s - 1, t, i if plan.lane_keep.shape[2] > 1 else 0]:
        x.content[s, i] = x.content[s - 1, i] * accesses(links.plain)
        return bool(r.links[s] == 0.0)
    content = share = 0.0
    fan = x.width[s, i] * x.height[s, i]
    for e in range(r.entries[s]):
        content += r.accesses[s, e]
        share += rules.parent_share(r.accesses[s, e], r.multicast[s, e], fan)
    peer = r.links[s] / x.used[s - 1, i]
    x.content[s, i] = content
    x.content[s - 1, i] = rules.rounded(x.content[s - 1, i] + peer)
    x.share[s - 1, i] = share + peer
    return True
