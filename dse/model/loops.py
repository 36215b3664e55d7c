"""From one mapping to its loop nest, tiles and footprints.

Section numbers in this package refer to ``docs/timeloop-rules.md``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inlined, inner
from dse.model import rules
from dse.model.arrays import MappingArrays

Ints = npt.NDArray[np.int64]


class Nest(NamedTuple):
    """The non-trivial loops of one mapping, innermost first; scratch space, reused.

    Loops ``first[s] .. middle[s]`` are the spatial ones of level s (X before Y),
    ``middle[s] .. first[s + 1]`` its temporal ones.
    """

    dimension: Ints  # (N,)
    bound: Ints  # (N,)
    stride: Ints  # (N,) product of the bounds of all inner loops of the same dimension
    first: Ints  # (L + 1,)
    middle: Ints  # (L,)
    middle_x: Ints  # (L,) end of the X loops
    extent: Ints  # (L, D) tile extents at the boundary of each level
    spatial_extent: Ints  # (L, D) the same up to the level's outermost spatial loop
    width: Ints  # (L,) product of the X loops
    height: Ints  # (L,) product of the Y loops
    temporal: Ints  # (N,) the temporal loops in order
    temporal_first: Ints  # (L + 1,) where each level's temporal loops start in ``temporal``
    suffix: Ints  # (N + 1,) product of the bounds of ``temporal[j:]``


def new_nest(levels: int, dimensions: int) -> Nest:
    """Allocate a nest for L levels and D dimensions."""
    count = 2 * levels * dimensions + 1
    return Nest(
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty(levels + 1, np.int64),
        np.empty(levels, np.int64),
        np.empty(levels, np.int64),
        np.empty((levels, dimensions), np.int64),
        np.empty((levels, dimensions), np.int64),
        np.empty(levels, np.int64),
        np.empty(levels, np.int64),
        np.empty(count, np.int64),
        np.empty(levels + 1, np.int64),
        np.empty(count + 1, np.int64),
    )


@inner
def copy_row(to: npt.NDArray[np.generic], source: npt.NDArray[np.generic]) -> None:
    """Copy the first ``len(to)`` elements (an array assignment would allocate)."""
    for i in range(to.shape[0]):
        to[i] = source[i]


@inlined
def build_nest(nest: Nest, m: MappingArrays, b: int, stride: Ints) -> None:
    """Fill ``nest`` from mapping ``b``, but for ``suffix`` (section 2).

    ``stride (D,)`` is scratch.
    """
    levels, dimensions = m.temporal.shape[0], m.temporal.shape[1]
    b_perm = b if m.permutation.shape[2] > 1 else 0
    b_sperm = b if m.spatial_permutation.shape[2] > 1 else 0
    b_split = b if m.split.shape[1] > 1 else 0
    k = j = np.int64(0)
    stride[:] = 1
    for s in range(levels):
        nest.first[s] = k
        width = height = np.int64(1)
        split = m.split[s, b_split]
        nest.middle_x[s] = k
        for p in range(dimensions):
            d = m.spatial_permutation[s, p, b_sperm]
            n = np.int64(m.spatial[s, d, b])
            if n > 1:
                nest.dimension[k], nest.bound[k], nest.stride[k] = d, n, stride[d]
                stride[d] *= n
                k += 1
                if p < split:
                    width *= n
                    nest.middle_x[s] = k
                else:
                    height *= n
        nest.width[s], nest.height[s] = width, height
        nest.middle[s] = k
        nest.temporal_first[s] = j
        copy_row(nest.spatial_extent[s], stride)
        for p in range(dimensions):
            d = m.permutation[s, p, b_perm]
            n = np.int64(m.temporal[s, d, b])
            # one of a single iteration is written over: whether it is one, no branch can foresee
            nest.dimension[k], nest.bound[k], nest.stride[k] = d, n, stride[d]
            nest.temporal[j] = k
            stride[d] *= n
            j += np.int64(n > 1)
            k += np.int64(n > 1)
        copy_row(nest.extent[s], stride)
    nest.first[levels], nest.temporal_first[levels] = k, j


@inlined
def count_iterations(nest: Nest) -> int:
    """Fill ``suffix``; return the number of temporal iterations (section 2)."""
    j = nest.temporal_first[nest.temporal_first.shape[0] - 1]
    iterations = np.int64(1)
    nest.suffix[j] = 1
    for i in range(j - 1, -1, -1):
        iterations *= nest.bound[nest.temporal[i]]
        nest.suffix[i] = iterations
    return iterations


@inner
def footprint(projection: Ints, extent: Ints) -> int:
    """Words in the box that a tensor's tile spans (section 3); ``projection (Q, D)``."""
    size = np.int64(1)
    for q in range(projection.shape[0]):
        side = np.int64(1)
        for d in range(projection.shape[1]):
            c = projection[q, d]
            if c != 0:
                side += rules.stretch(c, extent[d])
        size *= side
    return size
