"""The tiles of each tensor: their shapes, who keeps them, and how dense they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dse.domain.density import Density
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.domain.sparse import SparseDesign, TensorFormat
from dse.errors import SpecError
from dse.sparse.banded import Banded
from dse.sparse.densities import DensityModel, Sides, size
from dse.sparse.fixed import FixedStructured
from dse.sparse.hypergeometric import Hypergeometric
from dse.sparse.nest import CompleteNest, Extents


@dataclass(frozen=True)
class TensorTiles:
    """One tensor of a mapping; levels count from the inside.

    Attributes:
        name: of the tensor.
        read_write: whether it is an output.
        dimensions: those that move it.
        rows: its projection's coefficients, without sign.
        kept: whether a level keeps it.
        tiles: of each level, bypassed or not.
        formats: of each level that keeps it and has one.
        density: of its words.
    """

    name: str
    read_write: bool
    dimensions: frozenset[int]
    rows: tuple[tuple[int, ...], ...]
    kept: tuple[bool, ...]
    tiles: tuple[Sides, ...]
    formats: tuple[TensorFormat | None, ...]
    density: DensityModel

    def sides(self, extents: Sequence[int]) -> Sides:
        """Return the words that loops over these extents touch."""
        return footprint(self.rows, extents)

    def shape(self, s: int) -> int:
        """Return the words of a tile without compression; 0 where the level is bypassed."""
        return size(self.tiles[s]) if self.kept[s] else 0

    def compressed(self, s: int) -> bool:
        """Whether the level keeps it without what is 0."""
        tensor_format = self.formats[s]
        return tensor_format is not None and tensor_format.compressed

    def ranks(self, s: int) -> int:
        """Return how many ranks its metadata has at the level; 0 without metadata."""
        tensor_format = self.formats[s]
        return 0 if tensor_format is None else len(tensor_format.ranks)

    def child(self, s: int) -> int | None:
        """Return the next level inside that keeps it."""
        return next((i for i in range(s - 1, -1, -1) if self.kept[i]), None)

    def parent(self, s: int) -> int | None:
        """Return the next level outside that keeps it."""
        return next((i for i in range(s + 1, len(self.kept)) if self.kept[i]), None)

    def keeper(self, s: int) -> int | None:
        """Return the level that keeps it, this one or the next one outside."""
        return s if self.kept[s] else self.parent(s)


def footprint(rows: Sequence[Sequence[int]], extents: Sequence[int]) -> Sides:
    """Return the box of words of a projection with such coefficients."""
    return tuple(
        1 + sum(c * (extent - 1) for c, extent in zip(row, extents, strict=True)) for row in rows
    )


def tensor_tiles(
    problem: Problem, mapping: Mapping, nest: CompleteNest, design: SparseDesign
) -> tuple[TensorTiles, ...]:
    """Return the tiles of all tensors.

    Raises:
        SpecError: a density is not defined for its tensor.
    """
    found = []
    index = {name: d for d, name in enumerate(problem.dimensions)}
    for t, space in enumerate(problem.shape.data_spaces):
        rows = tuple(
            tuple(abs(c) for c in problem.projection[t, q].tolist())
            for q in range(len(space.projection))
        )
        kept = tuple(mapping.keep[:, t].tolist())
        found.append(
            TensorTiles(
                name=space.name,
                read_write=space.read_write,
                dimensions=frozenset(index[d] for d in space.dimensions),
                rows=rows,
                kept=kept,
                tiles=tuple(footprint(rows, nest.tile(s)) for s in range(len(kept))),
                formats=tuple(
                    level.formats.get(space.name) if keeps else None
                    for level, keeps in zip(design.levels, kept, strict=True)
                ),
                density=density_model(
                    space.name,
                    design.densities.get(space.name, Density()),
                    footprint(rows, whole_extents(problem)),
                ),
            )
        )
    return tuple(found)


def whole_extents(problem: Problem) -> Extents:
    """Return how far all dimensions go."""
    return tuple(int(bound) for bound in problem.sizes)


def density_model(name: str, density: Density, whole: Sides) -> DensityModel:
    """Return the model of a tensor of that size."""
    if density.distribution == "fixed_structured":
        return FixedStructured(density.density)
    if density.distribution == "hypergeometric":
        return Hypergeometric(density.density, size(whole))
    if len(whole) != 2 or whole[0] != whole[1]:
        raise SpecError(
            f"densities: '{name}' is {' x '.join(map(str, whole))}, expected a square matrix for "
            "the distribution banded (Timeloop aborts)"
        )
    return Banded(whole[0], density.band_width)
