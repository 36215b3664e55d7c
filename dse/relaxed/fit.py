"""What relaxed mappings need of the hardware, and the gradient; compiled."""

from __future__ import annotations

from typing import NamedTuple

from dse.jit import inner, tiered
from dse.numeric import Floats
from dse.relaxed.cost import collect
from dse.relaxed.points import Points
from dse.relaxed.structure import Structure
from dse.relaxed.work import Work, set_loops, set_tiles, share_box


class Used(NamedTuple):
    """What B mappings use of each level, ``(B, L)``.

    Attributes:
        words: of the tensors that it keeps, in one instance.
        width: children along X.
        height: children along Y.
    """

    words: Floats
    width: Floats
    height: Floats


@tiered
def measure_points(w: Work, st: Structure, x: Points, start: int, stop: int, out: Used) -> None:
    """Fill ``out`` for points ``start .. stop``."""
    tensors, levels = w.size.shape
    for b in range(start, stop):
        set_loops(w, x, b)
        set_tiles(w, st, x.problem[b], False)
        for s in range(levels):
            words = 0.0
            for t in range(tensors):
                if x.keep[b, s, t]:
                    words += w.size[t, s]
            width = height = 1.0
            for d in range(w.spatial.shape[1]):
                if x.along_y[b, s, d]:
                    height *= w.spatial[s, d]
                else:
                    width *= w.spatial[s, d]
            out.words[b, s] = words
            out.width[b, s] = width
            out.height[b, s] = height


@tiered
def share_points(
    w: Work, st: Structure, x: Points, shares: Used, temporal: Floats, spatial: Floats
) -> None:
    """Set the derivatives by the logarithms of factors from those by what is used."""
    for b in range(temporal.shape[0]):
        wanted = False
        for s in range(shares.words.shape[1]):
            wanted |= shares.words[b, s] != 0.0
            wanted |= shares.width[b, s] != 0.0
            wanted |= shares.height[b, s] != 0.0
        if wanted:
            _share_point(w, st, x, b, shares, temporal[b], spatial[b])


@inner
def _share_point(
    w: Work, st: Structure, x: Points, b: int, shares: Used, temporal: Floats, spatial: Floats
) -> None:
    tensors, levels = w.size.shape
    p = x.problem[b]
    set_loops(w, x, b)
    set_tiles(w, st, p, False)
    w.extent_share[:] = 0.0
    w.spatial_extent_share[:] = 0.0
    for s in range(levels):
        words = 0.0
        for t in range(tensors):
            if x.keep[b, s, t]:
                words += w.size[t, s]
        for t in range(tensors):
            if x.keep[b, s, t] and shares.words[b, s] != 0.0:
                share = shares.words[b, s] * w.size[t, s] / words
                share_box(st.projection[p, t], w.extent[s], w.edge[t, s], share, w.extent_share[s])
        for d in range(w.spatial.shape[1]):
            share = shares.height[b, s] if x.along_y[b, s, d] else shares.width[b, s]
            w.spatial_share[s, d] = share
    collect(w, x, b, temporal, spatial)
