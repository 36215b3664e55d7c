"""Canonical forms of mappings, apart from how they are written: equal keys mean equal costs."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from dse.domain.mapping import MappingBatch

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
    rows = np.concatenate(
        [
            batch.temporal.reshape(-1, count),
            batch.spatial.reshape(-1, count),
            _loops(batch.temporal, batch.permutation),
            _loops(batch.spatial, batch.spatial_permutation),
            _on_x(batch),
            np.broadcast_to(batch.keep, (*batch.keep.shape[:2], count)).reshape(-1, count),
        ]
    ).astype(np.int32)
    whole = np.ascontiguousarray(rows.T)
    return [blake2b(row.tobytes(), digest_size=KEY_BYTES).digest() for row in whole]


def _ordered(factors: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    places = np.broadcast_to(order, factors.shape).astype(np.intp)
    return places, np.take_along_axis(factors, places, axis=1)


def _loops(factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Dimensions of the loops of more than one iteration, innermost first, then -1."""
    places, ordered = _ordered(factors, order)
    loops = np.where(ordered > 1, places, -1)
    close = np.argsort(ordered <= 1, axis=1, kind="stable")
    return np.take_along_axis(loops, close, axis=1).reshape(-1, factors.shape[-1])


def _on_x(batch: MappingBatch) -> np.ndarray:
    """How many of the spatial loops of more than one instance run along X, by level."""
    _, ordered = _ordered(batch.spatial, batch.spatial_permutation)
    place = np.arange(ordered.shape[1])[None, :, None]
    count: np.ndarray = ((ordered > 1) & (place < batch.split[:, None, :])).sum(axis=1)
    return count
