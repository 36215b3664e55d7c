"""The mapping with the smallest tiles: what a mapspace that seems empty is judged by."""

from __future__ import annotations

from dse.domain.mapping import Mapping
from dse.mapspace.space import Mapspace


def smallest(space: Mapspace) -> Mapping | None:
    """Return the mapping whose loops run as far outside as the constraints let them.

    Where even this one does not fit the hardware, hardly any does: fixed factors stay, all else
    goes to the outermost place that may hold it, and tensors are kept only where they must be.
    None when a dimension cannot be split over the levels at all.
    """
    if space.infeasible:
        return None
    mapping = space.empty_batch(1)[0]
    for d, lattice in enumerate(space.factors):
        node = 0
        for slot in space.slots[d]:
            # edges are in the order of their factors; all lead to the end
            edge = lattice.first[node]
            table = mapping.spatial if slot.spatial else mapping.temporal
            table[slot.level, d] = lattice.factor[edge]
            node = lattice.target[edge]
    mapping.keep[space.arrays.keep == 2] = False
    return mapping
