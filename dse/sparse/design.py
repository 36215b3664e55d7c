"""What a sparse design is: densities, compressed formats, and accesses and computes that are saved.

Ranks are listed from the inside, levels too. Names are those of the problem and architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dse.errors import SpecError, unknown_name
from dse.sparse.densities import Density

#: Formats of a rank, and whether they leave out what is 0.
FORMATS = {"uop": False, "ub": False, "b": True, "cp": True, "rle": True}
KINDS = ("random", "gated", "skipped")
ACCESSES = ("read", "fill", "update")
#: What storage does, in the order in which Timeloop adds up the energies.
STORAGE_ACTIONS = (
    *(f"{kind}_{access}" for kind in KINDS for access in ACCESSES),
    *(f"{kind}_metadata_{access}" for access in ACCESSES for kind in KINDS),
    "decompression_count",
    "compression_count",
)


@dataclass(frozen=True)
class RankFormat:
    """How one rank of a tensor is stored.

    Attributes:
        name: one of `FORMATS`.
        metadata_bits: width of a coordinate, bit or run length.
        payload_bits: width of what leads to the next rank.
        flattened: groups of dimensions whose loops the rank may take together; none: one loop.

    Raises:
        SpecError: the format is unknown.
    """

    name: str
    metadata_bits: int = 0
    payload_bits: int = 0
    flattened: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.name not in FORMATS:
            raise SpecError(unknown_name("format", self.name, FORMATS))

    @property
    def compressed(self) -> bool:
        """Whether it leaves out what is 0."""
        return FORMATS[self.name]


@dataclass(frozen=True)
class TensorFormat:
    """How a tensor is stored at a level.

    Attributes:
        ranks: from the inside.
        inner_to_outer: which of the loops come to which rank: whether counted from the inside.

    Raises:
        SpecError: there is no rank, or a compressed one outside of one that is not.
    """

    ranks: tuple[RankFormat, ...]
    inner_to_outer: bool = False

    def __post_init__(self) -> None:
        if not self.ranks:
            raise SpecError("ranks is empty, expected a format for each")
        plain = False
        for rank in self.ranks:
            if plain and rank.compressed:
                raise SpecError(
                    "ERROR: data representation format not supported,currently do not support "
                    f"lower rank uncompressed, upper rank compressed formats: {rank.name}"
                )
            plain |= not rank.compressed

    @property
    def compressed(self) -> bool:
        """Whether any rank is."""
        return any(rank.compressed for rank in self.ranks)

    @property
    def name(self) -> str:
        """The ranks' names, outermost first."""
        return " ".join(rank.name for rank in reversed(self.ranks))


@dataclass(frozen=True)
class Saving:
    """Accesses of ``target`` that are saved where a tile of any of ``conditions`` is empty."""

    target: str
    conditions: tuple[str, ...]


#: One optimisation: the saving of several that pays most.
SavingOptions = tuple[Saving, ...]


@dataclass(frozen=True)
class MetadataStorage:
    """Where a level keeps metadata: ``depth`` rows of ``width_bits``; 0: nowhere."""

    width_bits: int = 0
    depth: int = 0
    word_bits: int = 0

    @property
    def bits(self) -> int:
        """Its size, in 32 bits as Timeloop counts it."""
        return self.width_bits * self.depth % 2**32


@dataclass(frozen=True)
class SparseLevel:
    """What is sparse of one storage level.

    Attributes:
        metadata: where it keeps metadata.
        decompresses, compresses: whether it takes what the level outside has compressed, and
            hands out to it what it has not.
        formats: by tensor; one without stands for itself.
        gating, skipping, spatial_skipping: in order; the last saves instances below the level.
        energies_pj: of each of `STORAGE_ACTIONS`.
    """

    metadata: MetadataStorage = MetadataStorage()
    decompresses: bool = False
    compresses: bool = False
    formats: Mapping[str, TensorFormat] = field(default_factory=dict)
    gating: tuple[SavingOptions, ...] = ()
    skipping: tuple[SavingOptions, ...] = ()
    spatial_skipping: tuple[SavingOptions, ...] = ()
    energies_pj: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SparseDesign:
    """All of it.

    Attributes:
        densities: by tensor; one without is dense.
        levels: from the inside.
        gates_computes, skips_computes: whether computes are saved on operands that are 0, and on
            operands that are not there.
        compute_energies_pj: of a computation of each of `KINDS`.
    """

    densities: Mapping[str, Density]
    levels: tuple[SparseLevel, ...]
    gates_computes: bool = False
    skips_computes: bool = False
    compute_energies_pj: Mapping[str, float] = field(default_factory=dict)

    @property
    def skips_instances(self) -> bool:
        """Whether some level skips instances."""
        return any(level.spatial_skipping for level in self.levels)
