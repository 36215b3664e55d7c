"""What the model says of one mapping of a sparse design, beside what it says of a dense one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dse.model.stats import Stats, TensorStats

#: Of each rank from the inside: metadata and payload.
RankCounts = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class SparseTensorStats(TensorStats):
    """One tensor at one storage level, per instance.

    ``reads``, ``fills`` and ``updates`` are those of dense tensors; of them some are gated, others
    skipped, and compressed words that are 0 are left out: ``random_*`` are the rest. Metadata is
    counted in units, for each rank. ``utilized_capacity`` is the most that a tile holds,
    ``utilized_instances`` the average.

    Attributes:
        distribution: of the tensor's words that are not 0.
        storage_format: the ranks' formats, outermost first; ``none`` without.
        tile_shape: words of a tile, those that are 0 among them.
        expected_density, expected_occupancy: of tiles that are there; an occupancy in words.
        max_metadata: of one tile.
        metadata_bits: of one tile, at most.
        max_instances: at most in use.
        dense_instances: in use without formats and savings.
        decompressions, compressions: words that change their form.
        metadata_bandwidth: share of metadata in the words that are read or written, in those that
            are read, and in those that are written.
        demand: words that are read, and written, in a cycle of computing, metadata among them.
    """

    distribution: str = "fixed_structured"
    storage_format: str = "none"
    tile_shape: int = 0
    expected_density: float = 1.0
    expected_occupancy: float = 0.0
    max_metadata: RankCounts = ()
    metadata_bits: int = 0
    max_instances: int = 1
    dense_instances: float = 1.0
    random_reads: int = 0
    random_fills: int = 0
    random_updates: int = 0
    gated_reads: int = 0
    gated_updates: int = 0
    skipped_reads: int = 0
    skipped_updates: int = 0
    random_metadata_reads: RankCounts = ()
    random_metadata_fills: RankCounts = ()
    random_metadata_updates: RankCounts = ()
    gated_metadata_reads: RankCounts = ()
    gated_metadata_updates: RankCounts = ()
    skipped_metadata_reads: RankCounts = ()
    skipped_metadata_updates: RankCounts = ()
    decompressions: int = 0
    compressions: int = 0
    metadata_bandwidth: tuple[float, float, float] = (0.0, 0.0, 0.0)
    demand: tuple[float, float] = (0.0, 0.0)

    @property
    def tile_words(self) -> int:
        """Words of a tile, those that are 0 among them."""
        return self.tile_shape

    @property
    def network_instances(self) -> float:
        """Instances whose networks carry words: Timeloop does not leave out empty tiles there."""
        return self.dense_instances


@dataclass(frozen=True)
class SparseComputes:
    """Computes of all instances by what becomes of them.

    Those of an operand that is not there with another one vanish without being counted.
    ``cycles`` are those of the random and gated ones.
    """

    random: int
    gated: int
    skipped: int
    cycles: int
    max_instances: int
    average_instances: int


@dataclass(frozen=True)
class SparseStats(Stats):
    """The answer of the model for a sparse design.

    ``computes`` are those of the dense problem. ``levels`` hold `SparseTensorStats`.
    """

    sparse_computes: SparseComputes = field(
        default_factory=lambda: SparseComputes(0, 0, 0, 0, 1, 1)
    )

    @property
    def energy_pj_per_random_compute(self) -> float:
        """Total energy per scalar operation that is carried out; infinite where none is."""
        done = self.sparse_computes.random
        return self.energy_pj / done if done else math.inf
