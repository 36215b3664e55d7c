"""Which loops become which rank of a compressed tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dse.domain.architecture import Architecture
from dse.domain.sparse import SparseDesign, TensorFormat
from dse.sparse.densities import Sides, size
from dse.sparse.fit import reject
from dse.sparse.nest import CompleteNest, Extents
from dse.sparse.tiles import TensorTiles


@dataclass(frozen=True)
class RankedLoop:
    """A loop that may become a rank: its bound, and the words that it and all inside of it touch.

    Where tiles are not cut for the level inside, the bound takes in the loops of that level.
    """

    dimension: int
    bound: int
    words: Sides


@dataclass(frozen=True)
class RankedTile:
    """A tile as a tree of ranks, from the inside.

    Attributes:
        bounds: for each rank how far every dimension goes in it.
        subtiles: for each rank what one of its elements is; and the tile.
    """

    bounds: tuple[Extents, ...]
    subtiles: tuple[Sides, ...]

    def fibers(self, tensor: TensorTiles) -> tuple[int, ...]:
        """Return how many elements a fiber has, for each rank."""
        return tuple(size(tensor.sides(bounds)) for bounds in self.bounds)


def check_compression(
    architecture: Architecture, design: SparseDesign, tensors: Sequence[TensorTiles]
) -> None:
    """Refuse a mapping that asks for compression where the hardware has none.

    Args:
        architecture: the hardware.
        design: what its levels can do.
        tensors: all of the mapping.

    Raises:
        InvalidMapping: with Timeloop's line.
    """
    for tensor in tensors:
        for s in reversed(range(len(tensor.kept))):
            parent = tensor.parent(s)
            if not tensor.kept[s] or parent is None or not tensor.compressed(parent):
                continue
            here, outside = architecture.levels[s].name, architecture.levels[parent].name
            own = design.levels[s]
            if not tensor.compressed(s):
                if not own.decompresses:
                    reject(here, "decompression (from parent level) needed but not supported")
                if tensor.read_write and not own.compresses:
                    reject(here, "compression (to parent level) needed but not supported")
            elif tensor.ranks(parent) < tensor.ranks(s):
                reject(outside, "runtime partition needed but not supported (NOT IMPLEMENTED YET)")


def ranked_tiles(
    architecture: Architecture, dimensions: Sequence[str], nest: CompleteNest, tensor: TensorTiles
) -> list[RankedTile | None]:
    """Return a tensor's tiles as ranks, for each level that keeps it.

    Raises:
        InvalidMapping: there are too few ranks, or those of two levels do not match.
    """
    found: list[RankedTile | None] = [None] * len(tensor.kept)
    for s, kept in enumerate(tensor.kept):
        if kept:
            found[s] = _ranked(architecture, dimensions, nest, tensor, s, found)
    return found


def _ranked(
    architecture: Architecture,
    dimensions: Sequence[str],
    nest: CompleteNest,
    tensor: TensorTiles,
    s: int,
    found: Sequence[RankedTile | None],
) -> RankedTile:
    child = tensor.child(s)
    inside = found[child] if child is not None else None
    pretiled = _is_pretiled(architecture, tensor, s, child)
    loops = _loops(nest, tensor, s, child, whole=not pretiled)
    own = tensor.formats[s]
    ranks = 1 if own is None else len(own.ranks)
    first = len(inside.bounds) if pretiled and inside is not None else 0
    assign = _from_inside if own is not None and own.inner_to_outer else _from_outside
    bounds, subtiles, left = assign(
        loops, _takers(own, dimensions), first, ranks, (1,) * len(tensor.rows), nest.scalar
    )
    if any(loop.bound > 1 for loop in left):
        reject(
            architecture.levels[s].name,
            "more compression ranks needed than supported in hardware. "
            f"dataspace name: {tensor.name}",
        )
    if pretiled and inside is not None:
        return RankedTile((*inside.bounds, *bounds), (*inside.subtiles, *subtiles))
    return RankedTile(tuple(bounds), ((1,) * len(tensor.rows), *subtiles))


def _is_pretiled(
    architecture: Architecture, tensor: TensorTiles, s: int, child: int | None
) -> bool:
    """Whether tiles are stored as those of the level inside, rank by rank."""
    if child is None or not tensor.compressed(s) or tensor.shape(child) <= 1:
        return False
    own, inner = tensor.formats[s], tensor.formats[child]
    assert own is not None
    if not continues(own, inner):
        here = architecture.levels[s].name
        reject(
            here,
            f"pretiling for {tensor.name}required but level compression format does not align: "
            f"{here} {architecture.levels[child].name}",
        )
    return True


def continues(own: TensorFormat, inner: TensorFormat | None) -> bool:
    """Whether the ranks of a compressed format continue those of the level inside."""
    count = len(inner.ranks) if inner is not None else 1
    if count > len(own.ranks):
        return False
    if inner is None or not inner.compressed:
        return True
    return [rank.name for rank in inner.ranks] == [rank.name for rank in own.ranks[:count]]


def _loops(
    nest: CompleteNest, tensor: TensorTiles, s: int, child: int | None, *, whole: bool
) -> list[RankedLoop]:
    """Return the loops between a level and the next one inside that keeps the tensor."""
    first = 0 if child is None else child + 1
    below: dict[int, int] = {}
    for loops in nest.loops[:first] if whole else ():
        for loop in loops:
            below[loop.dimension] = below.get(loop.dimension, 1) * loop.bound
    found = []
    for level in range(first, s + 1):
        for loop, extents in zip(nest.loops[level], nest.extents[level], strict=True):
            if loop.dimension in tensor.dimensions:
                bound = loop.bound * below.pop(loop.dimension, 1)
                found.append(RankedLoop(loop.dimension, bound, tensor.sides(extents)))
    return found


#: For a rank: None, it takes one loop; else the groups of dimensions that it takes together. The
#: group of all is None.
_Groups = tuple[frozenset[int] | None, ...]
_EVERYTHING: _Groups = (None,)


def _takers(own: TensorFormat | None, dimensions: Sequence[str]) -> list[_Groups]:
    """Return which dimensions each rank takes together; without ranks, one takes all."""
    if own is None:
        return [_EVERYTHING]
    return [
        tuple(frozenset(dimensions.index(d) for d in group) for group in rank.flattened)
        for rank in own.ranks
    ]


def _group_of(groups: _Groups, dimension: int) -> tuple[bool, frozenset[int] | None]:
    """Return whether a rank takes a loop of a dimension, and with which others (None: all)."""
    if not groups:
        return True, frozenset()
    for group in groups:
        if group is None or dimension in group:
            return True, group
    return False, frozenset()


_Assigned = tuple[list[Extents], list[Sides], Sequence[RankedLoop]]


def _from_outside(
    loops: Sequence[RankedLoop],
    takers: Sequence[_Groups],
    first: int,
    ranks: int,
    scalar: Sides,  # noqa: ARG001 - as the other direction
    one: Extents,
) -> _Assigned:
    """Give the outermost loops to the outermost ranks; return the loops that are left, too."""
    bounds: list[Extents] = []
    subtiles: list[Sides] = []
    rank, at = ranks, len(loops) - 1
    while rank > first:
        while at >= 0 and loops[at].bound <= 1:
            at -= 1
        if at < 0:
            break
        rank -= 1
        taken, group = _group_of(takers[rank], loops[at].dimension)
        if not taken:  # Timeloop appends it on the outside
            bounds.append(one)
            subtiles.append(loops[0].words)
            continue
        count = 1
        while takers[rank] and at - count >= 0 and _joins(loops[at - count], group):
            count += 1
        bounds.insert(0, _product(one, loops[at - count + 1 : at + 1]))
        subtiles.insert(0, loops[at].words)
        at -= count
    for _ in range(rank - first):
        bounds.insert(0, one)
        subtiles.insert(0, loops[0].words)
    return bounds, subtiles, loops[: at + 1]


def _from_inside(
    loops: Sequence[RankedLoop],
    takers: Sequence[_Groups],
    first: int,
    ranks: int,
    scalar: Sides,
    one: Extents,
) -> _Assigned:
    """Give the innermost loops to the innermost ranks; return the loops that are left, too."""
    bounds: list[Extents] = []
    subtiles: list[Sides] = []
    rank, at = first, 0
    while rank < ranks:
        while at < len(loops) and loops[at].bound <= 1:
            at += 1
        if at == len(loops):
            break
        taken, group = _group_of(takers[rank], loops[at].dimension)
        rank += 1
        if not taken:
            bounds.append(one)
            subtiles.append(scalar)
            continue
        count = 1
        while takers[rank - 1] and at + count < len(loops) and _joins(loops[at + count], group):
            count += 1
        bounds.append(_product(one, loops[at : at + count]))
        subtiles.append(loops[at].words)
        at += count
    for _ in range(ranks - rank):
        bounds.append(one)
        subtiles.append(loops[0].words)
    return bounds, subtiles, loops[at:]


def _joins(loop: RankedLoop, group: frozenset[int] | None) -> bool:
    return group is None or loop.bound <= 1 or loop.dimension in group


def _product(one: Extents, loops: Sequence[RankedLoop]) -> Extents:
    return tuple(
        math.prod(loop.bound for loop in loops if loop.dimension == d) for d in range(len(one))
    )
