"""What a sparse design is: densities, compressed formats, and accesses and computes that are saved.

Ranks are listed from the inside, levels too. Names are those of the problem and architecture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dse.domain.attribute import attribute, keys
from dse.domain.constraints import Translator, translator
from dse.domain.density import Density
from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name

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


#: Levels hold tiles of at most so many times their size, however sparse tensors are.
_LEAST_DENSITY = 1e-3
_MOST = 2**32 - 1


# fmt: off


@dataclass(frozen=True)
class MetadataStorage:
    """Where a level keeps metadata: ``depth`` rows of ``width_bits``; 0: nowhere."""

    width_bits: int = attribute(
        0, "a row of metadata; 0: none is kept", "bits", at_least=0, at_most=_MOST,
        template="metadata_storage_width", timeloop=keys("metadata_storage_width", nodes=None),
    )
    depth: int = attribute(
        0, "rows of metadata of one instance", at_least=0, at_most=_MOST,
        template="metadata_storage_depth", timeloop=keys("metadata_storage_depth", nodes=None),
    )
    word_bits: int = attribute(
        0, "metadata where its rank does not say", "bits", at_least=0, at_most=_MOST,
        template="metadata_word_bits", timeloop=keys("metadata_word_bits", nodes=None),
    )

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
    decompresses: bool = attribute(
        False, "whether it takes what the level outside has compressed as plain words",
        template="decompression_supported", timeloop=keys("decompression_supported", nodes=None),
    )
    compresses: bool = attribute(
        False, "whether it hands plain words to a level outside that compresses them",
        template="compression_supported", timeloop=keys("compression_supported", nodes=None),
    )
    formats: Mapping[str, TensorFormat] = field(default_factory=dict, hash=False)
    gating: tuple[SavingOptions, ...] = ()
    skipping: tuple[SavingOptions, ...] = ()
    spatial_skipping: tuple[SavingOptions, ...] = ()
    energies_pj: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def savings(self) -> Iterable[Saving]:
        """All savings, with all of their options."""
        lists = (self.gating, self.skipping, self.spatial_skipping)
        return (saving for some in lists for options in some for saving in options)


# fmt: on


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

    densities: Mapping[str, Density] = field(hash=False)
    levels: tuple[SparseLevel, ...]
    gates_computes: bool = False
    skips_computes: bool = False
    compute_energies_pj: Mapping[str, float] = field(default_factory=dict, hash=False)

    def with_prices(
        self, levels_pj: Iterable[Mapping[str, float]], compute_pj: Mapping[str, float]
    ) -> SparseDesign:
        """Return the design with energies, by level and for the computes."""
        levels = tuple(
            replace(level, energies_pj=pj) for level, pj in zip(self.levels, levels_pj, strict=True)
        )
        return replace(self, levels=levels, compute_energies_pj=compute_pj)

    @property
    def skips_instances(self) -> bool:
        """Whether some level skips instances."""
        return any(level.spatial_skipping for level in self.levels)

    @property
    def tensors(self) -> set[str]:
        """Names of the tensors that it speaks of."""
        found = {name for level in self.levels for name in level.formats}
        for level in self.levels:
            for saving in level.savings:
                found |= {saving.target, *saving.conditions}
        return found

    @property
    def dimensions(self) -> set[str]:
        """Names of the dimensions that it speaks of."""
        forms = (form for level in self.levels for form in level.formats.values())
        ranks = (rank for form in forms for rank in form.ranks)
        return {name for rank in ranks for group in rank.flattened for name in group}

    def of(self, problem: Problem) -> SparseDesign:
        """Return the design in the words of a problem, as constraints are, with its densities.

        Raises:
            SpecError: it speaks of a tensor or dimension that the problem has not.
        """
        words = translator(problem, self.tensors)
        levels = tuple(_translated(level, words) for level in self.levels)
        made = replace(self, levels=levels, densities=problem.densities)
        for kind, named, known in (
            ("tensor", made.tensors, problem.tensors),
            ("dimension", made.dimensions, problem.dimensions),
        ):
            for name in sorted(named - set(known)):
                raise SpecError(f"sparse_optimizations: {unknown_name(kind, name, known)}")
        return made

    def least_shares(self, problem: Problem, sizes: Sequence[int | None]) -> list[float]:
        """Return, by level, the least share of its words that a tile that fits may store.

        Args:
            problem: of whose tensors tiles are.
            sizes: of the levels, in words; None: any.
        """
        own = self.of(problem)
        found = []
        for level, words in zip(own.levels, sizes, strict=True):
            shares = [
                _least_share(own.densities.get(name, Density()), problem, name, words)
                for name, form in level.formats.items()
                if form.compressed
            ]
            found.append(max(min(shares, default=1.0), _LEAST_DENSITY))
        return found


def _least_share(density: Density, problem: Problem, tensor: str, words: int | None) -> float:
    """Return the least share of a tile's words that is stored, where the tile fits."""
    if density.distribution == "hypergeometric":
        # any words may be those that are not 0: a larger tile fits only if all of them do
        size = problem.tensor_size(problem.tensors.index(tensor))
        if words is None or math.ceil(density.density * size) > words:
            return 1.0
    return density.density if density.distribution != "banded" else _LEAST_DENSITY


def _translated(level: SparseLevel, words: Translator) -> SparseLevel:
    """Return a level with the names of a problem."""

    def rank(given: RankFormat) -> RankFormat:
        return replace(given, flattened=tuple(words(group) for group in given.flattened))

    def savings(given: tuple[SavingOptions, ...]) -> tuple[SavingOptions, ...]:
        return tuple(
            tuple(Saving(words((x.target,))[0], words(x.conditions)) for x in options)
            for options in given
        )

    return replace(
        level,
        formats={
            name: replace(form, ranks=tuple(map(rank, form.ranks)))
            for tensor, form in level.formats.items()
            for name in words((tensor,))
        },
        gating=savings(level.gating),
        skipping=savings(level.skipping),
        spatial_skipping=savings(level.spatial_skipping),
    )
