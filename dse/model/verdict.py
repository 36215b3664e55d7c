"""Which mappings Timeloop rejects, and at which level first (section 8 of the rules)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import inlined, inner
from dse.model import arrays as a
from dse.model import rules
from dse.model.arrays import ProblemArrays
from dse.model.loops import footprint
from dse.model.workspace import Scratch

Ints = npt.NDArray[np.int64]


@inlined
def set_sizes(w: Scratch, p: ProblemArrays) -> None:
    """Tile sizes of every tensor at every level (section 3)."""
    for t in range(w.size.shape[0]):
        for s in range(w.size.shape[1]):
            w.size[t, s] = footprint(p.projection[t], w.nest.extent[s])
            w.spatial_size[t, s] = footprint(p.projection[t], w.nest.spatial_extent[s])


@inner
def _expansion(
    used: int, used_x: int, used_y: int, instances: int, mesh_x: int, mesh_y: int, v: Ints
) -> bool:
    """Check instances, then X, then Y (section 8); fill the verdict; True when it fits."""
    if rules.fits_mesh(used_x, used_y, instances, mesh_x, mesh_y):
        return True
    if used > instances:
        v[a.V_EXPANSION], v[a.V_DEMAND], v[a.V_BOUND] = a.OVER_INSTANCES, used, instances
    elif used_x > mesh_x:
        v[a.V_EXPANSION], v[a.V_DEMAND], v[a.V_BOUND] = a.OVER_X, used_x, mesh_x
    else:
        v[a.V_EXPANSION], v[a.V_DEMAND], v[a.V_BOUND] = a.OVER_Y, used_y, mesh_y
    return False


@inlined
def fits(w: Scratch, hw: HardwareArrays, i: int, keep: npt.NDArray[np.bool_]) -> bool:
    """Timeloop's rejection rules in its order (section 8); ``keep (L, T)``.

    The nest, the sizes and ``replicas`` are set.
    """
    v = w.verdict
    v[:] = 0
    v[a.V_LEVEL] = a.ARITHMETIC
    levels, tensors = keep.shape
    for t in range(tensors):
        anywhere = False
        for s in range(levels):
            anywhere |= keep[s, t]
        if not anywhere:
            v[a.V_EXPANSION] = a.KEPT_NOWHERE
            return False
    used = np.int64(0)
    x = y = np.int64(1)
    for s in range(levels):
        x *= w.nest.width[s]
        y *= w.nest.height[s]
    if not _expansion(x * y, x, y, hw.mac_instances[i], hw.mac_mesh_x[i], hw.mac_mesh_y[i], v):
        return False
    for s in range(levels):
        v[a.V_LEVEL] = s
        x //= w.nest.width[s]
        y //= w.nest.height[s]
        fits = True
        if hw.size_words[s, i] >= 0:
            if hw.bank[s] == s:
                used = np.int64(0)
            for t in range(tensors):
                if keep[s, t]:
                    used += w.size[t, s]
            usable = rules.usable_words(hw.size_words[s, i], hw.multiple_buffering[s, i])
            v[a.V_USED], v[a.V_SIZE] = used, usable
            if used > usable:
                v[a.V_CAPACITY] = a.TOO_LARGE
                fits = False
            elif float(used) < rules.least_words(float(usable), hw.min_utilization[s, i]):
                v[a.V_CAPACITY] = a.TOO_SMALL
                fits = False
        used_instances = w.replicas[s]
        fits &= _expansion(
            used_instances, x, y, hw.instances[s, i], hw.mesh_x[s, i], hw.mesh_y[s, i], v
        )
        if not fits:
            return False
    v[a.V_LEVEL] = a.FITS
    return True
