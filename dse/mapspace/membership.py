"""Whether mappings are of a mapspace: those of another hardware may not be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import MappingBatch
from dse.mapspace.space import Mapspace
from dse.numeric import Flags, Ints


def admitted(space: Mapspace, batch: MappingBatch) -> Flags:
    """Return which mappings a mapspace's constraints admit, ``(B,)``.

    Whether they fit meshes and buffers is the model's to say.

    Args:
        space: the mapspace.
        batch: mappings of its problem with perfect factors, whose directives are the space's.
    """
    a = space.arrays
    good: Flags = _factors(space, batch.temporal, spatial=False)
    good = good & _factors(space, batch.spatial, spatial=True)
    kept = (a.keep[:, :, None] == 2) | (batch.keep == (a.keep[:, :, None] == 1))
    good &= kept.all(axis=(0, 1))
    levels = len(batch.spatial)
    place = np.argsort(batch.spatial_permutation, axis=1)
    on_x = place < batch.split[:, None, :]
    runs = batch.spatial > 1
    axis = a.axis[:, :, None]
    good &= (~runs | (axis == 2) | (on_x == (axis == 0))).all(axis=(0, 1))
    most = np.array([space.most_along(s) for s in range(levels)])
    good &= ((runs & on_x).sum(axis=1) <= most[:, :1]).all(axis=0)
    good &= ((runs & ~on_x).sum(axis=1) <= most[:, 1:]).all(axis=0)
    rank = _ranks(space)
    order = np.broadcast_to(batch.permutation, batch.temporal.shape).astype(np.int64)
    looped = np.take_along_axis(batch.temporal, order, axis=1) > 1
    ranks = np.take_along_axis(np.broadcast_to(rank[:, :, None], order.shape), order, axis=1)
    known = np.where(looped, ranks, -1)
    before = np.maximum.accumulate(known, axis=1)
    return np.asarray(good & (~looped | (known == before)).all(axis=(0, 1)))


def _factors(space: Mapspace, factors: npt.NDArray[np.int32], *, spatial: bool) -> Flags:
    """Return whether all factors in time, or in space, are within limits, ``(B,)``."""
    levels, dimensions, _ = factors.shape
    least = np.ones((levels, dimensions), np.int64)
    most = np.ones((levels, dimensions), np.int64)
    for d, slots in enumerate(space.slots):
        for slot in slots:
            if slot.spatial == spatial:
                most[slot.level, d] = min(slot.cap, slot.fixed) if slot.fixed else slot.cap
                least[slot.level, d] = max(slot.least, slot.fixed)
    within = (factors >= least[:, :, None]) & (factors <= most[:, :, None])
    return np.asarray(within.all(axis=(0, 1)))


def _ranks(space: Mapspace) -> Ints:
    """Return where in a level's order each dimension stands; free ones stand alike."""
    a = space.arrays
    rank = np.zeros(a.order.shape, np.int64)
    for s, order in enumerate(a.order):
        start, count = int(a.free_start[s]), int(a.free_count[s])
        for p, d in enumerate(order.tolist()):
            rank[s, d] = start if start <= p < start + count else p
    return rank
