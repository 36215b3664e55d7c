"""Tile sizes of a block, and which of its mappings fit their hardware (sections 3 and 8)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inner
from dse.model import rules
from dse.model.block import Lanes, Plan, Prices

Flags = npt.NDArray[np.bool_]


@inner
def tile_words(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Compute the tile of tensor t at level s in words, and its sides where it is a window."""
    out = x.tile[t, s]
    out[:] = 1.0
    if plan.simple[t]:
        for d in range(x.extent.shape[1]):
            if plan.relevant[t, d] and x.extent[s, d] > 0:
                extent = x.pool[x.extent[s, d]]
                for i in range(x.ok.shape[0]):
                    out[i] *= extent[i]
        return
    for q in range(plan.projection.shape[1]):
        side = x.edge[t, s, q]
        side[:] = 1.0
        for d in range(x.extent.shape[1]):
            c = float(plan.projection[t, q, d])
            if c != 0.0 and x.extent[s, d] > 0:
                extent = x.pool[x.extent[s, d]]
                for i in range(x.ok.shape[0]):
                    side[i] += rules.stretch(c, extent[i])
        for i in range(x.ok.shape[0]):
            out[i] *= side[i]


@inner
def check(x: Lanes, plan: Plan, c: Prices, keep: Flags) -> None:
    """Set ``ok`` where the mapping fits the hardware (section 8); ``keep (L, T, 1 or W)``.

    Leaves the tile sizes of all kept tensors in ``tile``.
    """
    levels, tensors = plan.keep.shape
    each = keep.shape[2] > 1
    ok = x.ok
    anywhere = True
    for t in range(tensors):
        anywhere &= plan.backing[t] >= 0
    ok[:] = anywhere
    used = x.work[0]
    for s in range(levels):
        if c.bank[s] == s:
            used[:] = 0.0
        for t in range(tensors):
            if not plan.keep[s, t]:
                continue
            if c.sized[s] or s < plan.backing[t]:
                tile_words(x, plan, t, s)
            words = x.tile[t, s]
            if each:
                for i in range(x.ok.shape[0]):
                    used[i] += words[i] if keep[s, t, i] else 0.0
            else:
                for i in range(x.ok.shape[0]):
                    used[i] += words[i]
        if c.sized[s]:
            size, minimum = c.size[s], c.minimum[s]
            for i in range(x.ok.shape[0]):
                ok[i] &= (used[i] <= size[i]) & (used[i] >= minimum[i])
    need_x, need_y = x.work[0], x.work[1]
    need_x[:] = 1.0
    need_y[:] = 1.0
    for s in range(levels - 1, -1, -1):
        mesh_x, mesh_y, instances = c.mesh_x[s], c.mesh_y[s], c.instances[s]
        width, height = x.width[s], x.height[s]
        for i in range(x.ok.shape[0]):
            ok[i] &= rules.fits_mesh(need_x[i], need_y[i], instances[i], mesh_x[i], mesh_y[i])
            need_x[i] *= width[i]
            need_y[i] *= height[i]
    for i in range(x.ok.shape[0]):
        ok[i] &= rules.fits_mesh(
            need_x[i], need_y[i], c.mac_instances[i], c.mac_mesh_x[i], c.mac_mesh_y[i]
        )
