"""Canonical forms of mappings, apart from how they are written: equal keys mean equal costs."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import MappingBatch
from dse.jit import inner, tiered
from dse.model.arrays import MappingArrays, mapping_arrays

#: Length of a key.
KEY_BYTES = 12


def canonical_keys(batch: MappingBatch) -> list[bytes]:
    """Return a key for each mapping: loops of one iteration have no place in it.

    Two mappings of one mapspace that differ only in where loops of one iteration stand, or along
    which axis a spatial factor of 1 runs, get the same key.
    """
    count = len(batch)
    if not count:
        return []
    levels, dimensions, _ = batch.temporal.shape
    rows = np.empty((count, levels * (4 * dimensions + 1 + batch.keep.shape[1])), np.int32)
    _canonical_rows(mapping_arrays(batch), rows)
    data, width = rows.tobytes(), 4 * rows.shape[1]
    return [
        blake2b(data[at : at + width], digest_size=KEY_BYTES).digest()
        for at in range(0, len(data), width)
    ]


@inner
def _loops(
    factors: npt.NDArray[np.int32], order: npt.NDArray[np.int8], b: int,
    row: npt.NDArray[np.int32], at: int,
) -> None:  # fmt: skip
    """Write dimensions of the loops of more than one iteration, innermost first, then -1."""
    levels, dimensions, _ = factors.shape
    own = b if order.shape[2] > 1 else 0
    for s in range(levels):
        place = at + s * dimensions
        row[place : place + dimensions] = -1
        for p in range(dimensions):
            d = order[s, p, own]
            if factors[s, d, b] > 1:
                row[place] = d
                place += 1


@tiered
def _canonical_rows(m: MappingArrays, rows: npt.NDArray[np.int32]) -> None:
    """Write each mapping without its loops of one iteration, ``(B, R)``."""
    levels, dimensions, count = m.temporal.shape
    tensors, block = m.keep.shape[1], levels * dimensions
    for b in range(count):
        row = rows[b]
        for s in range(levels):
            for d in range(dimensions):
                row[s * dimensions + d] = m.temporal[s, d, b]
                row[block + s * dimensions + d] = m.spatial[s, d, b]
        _loops(m.temporal, m.permutation, b, row, 2 * block)
        _loops(m.spatial, m.spatial_permutation, b, row, 3 * block)
        axes = b if m.spatial_permutation.shape[2] > 1 else 0
        split = b if m.split.shape[1] > 1 else 0
        keep = b if m.keep.shape[2] > 1 else 0
        for s in range(levels):
            on_x = 0
            for p in range(m.split[s, split]):
                on_x += m.spatial[s, m.spatial_permutation[s, p, axes], b] > 1
            row[4 * block + s] = on_x
            for t in range(tensors):
                row[4 * block + levels + s * tensors + t] = m.keep[s, t, keep]
