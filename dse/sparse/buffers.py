"""Storage levels of a sparse design: vector accesses, and the words that take bandwidth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from dse.domain.architecture import StorageLevel
from dse.domain.sparse import ACCESSES, KINDS, STORAGE_ACTIONS, MetadataStorage, TensorFormat
from dse.errors import SpecError
from dse.sparse.counts import LevelCounts
from dse.sparse.numbers import ceiled, floored
from dse.sparse.occupancy import Held, Units
from dse.sparse.tiles import TensorTiles

#: From how many blocks in a tile on Timeloop takes blocks to be full, by words of a block and by
#: tenths of the density (`VectorWidthCoefficientTable`).
FULL_BLOCKS = {
    2: (251, 125, 84, 63, 51, 42, 36, 32, 28),
    4: (375, 188, 125, 94, 75, 63, 54, 47, 42),
    8: (438, 219, 146, 110, 88, 73, 63, 55, 49),
    16: (469, 235, 157, 118, 94, 79, 67, 59, 52),
    32: (485, 243, 162, 122, 97, 81, 70, 61, 52),
}


@dataclass(frozen=True)
class LevelUse:
    """One tensor at one level: what its accesses come to.

    Attributes:
        actions: vector accesses by action.
        bits: of metadata, by kind and access.
    """

    actions: Mapping[str, float]
    bits: Mapping[tuple[str, str], int]

    def cluster_pj(self, energies_pj: Mapping[str, float]) -> float:
        """Return the energy of a cluster of instances."""
        total = 0.0
        for action in STORAGE_ACTIONS:
            total += self.actions[action] * energies_pj[action]
        return total


def metadata_bits(stored: TensorFormat | None, units: Sequence[Sequence[float]]) -> int:
    """Return the bits of metadata units; 0 without a format."""
    size = 0.0
    for rank, (metadata, payload) in zip(stored.ranks if stored else (), units, strict=True):
        size += metadata * rank.metadata_bits + payload * rank.payload_bits
    return ceiled(size)


def level_use(
    level: StorageLevel,
    metadata: MetadataStorage,
    tensor: TensorTiles,
    s: int,
    held: Held,
    counts: LevelCounts,
) -> LevelUse:
    """Return what a level's accesses to a tensor come to.

    Raises:
        SpecError: Timeloop aborts, as it knows nothing of blocks of that size.
    """
    ratio = _partial_blocks(level, tensor, s, held)
    actions: dict[str, float] = {
        "decompression_count": counts.decompressed,
        "compression_count": counts.compressed,
    }
    bits = {}
    for kind, access in product(KINDS, ACCESSES):
        words = counts.data[kind, access]
        actions[f"{kind}_{access}"] = -(-words // level.block_size) * ratio if words else 0
        moved = _bits(tensor.formats[s], counts.metadata[kind, access])
        bits[kind, access] = moved if metadata.width_bits else 0
        rows = math.ceil(moved / metadata.width_bits) if metadata.width_bits else 0
        actions[f"{kind}_metadata_{access}"] = rows
    return LevelUse(actions, bits)


def _bits(stored: TensorFormat | None, units: Units) -> int:
    total = 0
    for rank, (metadata, payload) in zip(stored.ranks if stored else (), units, strict=True):
        total += metadata * rank.metadata_bits + payload * rank.payload_bits
    return total


def _partial_blocks(level: StorageLevel, tensor: TensorTiles, s: int, held: Held) -> float:
    """Return how many more blocks compressed tiles take than if all of them were full."""
    block, shape, density = level.block_size, tensor.shape(s), held.density
    if not tensor.compressed(s) or block == 1 or not density < 1.0:
        return 1.0
    if block not in FULL_BLOCKS:
        raise SpecError(
            f"level '{level.name}': block_size = {block} with '{tensor.name}' compressed, expected "
            f"one of 1, {', '.join(map(str, FULL_BLOCKS))} (Timeloop aborts)"
        )
    tenths = floored(density / 0.1) - 1 if density >= 0.1 else 0
    if FULL_BLOCKS[block][tenths] <= shape // block:
        return 1.0
    blocks = 0.0
    occupancies, likely = tensor.density.distribution(tensor.tiles[s])
    for occupancy, probability in zip(occupancies.tolist(), likely.tolist(), strict=True):
        if occupancy:
            blocks += math.ceil(occupancy / block) * probability
    full = shape * density / block
    if full == 0:  # no number, which matters where anything is accessed
        return math.inf if blocks else math.nan
    return blocks / full


@dataclass(frozen=True)
class WordDemand:
    """Words of one tensor that take bandwidth, all of them and those that hold metadata."""

    reads: int
    writes: int
    metadata_reads: int
    metadata_writes: int
    metadata: int

    @property
    def metadata_shares(self) -> tuple[float, float, float]:
        """Return the share of metadata in all words, those read, and those written."""
        return (
            _share(self.metadata, self.reads + self.writes),
            _share(self.metadata_reads, self.reads),
            _share(self.metadata_writes, self.writes),
        )


def demand(use: LevelUse, counts: LevelCounts, word_bits: int) -> WordDemand:
    """Return what a tensor's accesses take of a level with words of so many bits."""
    reads, writes = 0, 0
    read_bits, written_bits = 0, 0
    for kind in ("random", "gated"):
        reads += counts.data[kind, "read"]
        read_bits += use.bits[kind, "read"]
        for access in ("fill", "update"):
            writes += counts.data[kind, access]
            written_bits += use.bits[kind, access]
    read_words, written_words = read_bits // word_bits, written_bits // word_bits
    return WordDemand(
        reads + read_words,
        writes + written_words,
        read_words,
        written_words,
        (read_bits + written_bits) // word_bits,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
