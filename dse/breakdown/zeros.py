"""What becomes of the accesses and computes of a sparse design: done, gated or skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dse.model.stats import Stats
from dse.sparse.stats import SparseStats, SparseTensorStats


@dataclass(frozen=True)
class SavedAccesses:
    """One kind of access to one tensor at one level, in words, by one instance.

    Attributes:
        level, tensor: whose.
        storage_format: of the tensor there.
        density: share of a tile's words that are not 0, on average.
        access: reads, fills or updates.
        words: that are accessed.
        gated: that are accessed for nothing.
        skipped: that are left out, but for those that a format leaves out.
    """

    level: str
    tensor: str
    storage_format: str
    density: float
    access: str
    words: int
    gated: int
    skipped: int


def saved_accesses(stats: Stats) -> Iterator[SavedAccesses]:
    """Yield what becomes of the accesses, from the inside out; nothing of a dense design."""
    for level, found in stats.levels.items():
        for name, tensor in found.tensors.items():
            if not isinstance(tensor, SparseTensorStats) or not tensor.tile_shape:
                continue
            about = (level, name, tensor.storage_format, tensor.expected_density)
            for access, words, gated, skipped in (
                ("reads", tensor.random_reads, tensor.gated_reads, tensor.skipped_reads),
                ("fills", tensor.random_fills, 0, 0),
                ("updates", tensor.random_updates, tensor.gated_updates, tensor.skipped_updates),
            ):
                if words or gated or skipped:
                    yield SavedAccesses(*about, access, words, gated, skipped)


@dataclass(frozen=True)
class ComputeFates:
    """Computes of all instances by what becomes of them; ``absent``: of operands not there."""

    random: int
    gated: int
    skipped: int
    absent: int


def compute_fates(stats: Stats) -> ComputeFates | None:
    """Return what becomes of the computes; None of a dense design."""
    if not isinstance(stats, SparseStats):
        return None
    own = stats.sparse_computes
    counted = own.random + own.gated + own.skipped
    return ComputeFates(own.random, own.gated, own.skipped, max(stats.computes - counted, 0))
