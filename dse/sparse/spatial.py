"""Skipping in space: instances below a level that have nothing to do.

Places count from the compute: place 0 is the compute, place ``s + 1`` level ``s``; loops in space
of level ``s`` lie between the places ``s + 1`` and ``s``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dse.domain.architecture import Architecture
from dse.domain.sparse import Saving, SparseDesign
from dse.errors import InvalidMapping, SpecError
from dse.sparse.nest import CompleteNest, Extents, NestLoop
from dse.sparse.numbers import unsigned
from dse.sparse.tiles import TensorTiles


@dataclass
class TensorInstances:
    """Instances that one tensor uses, by place.

    Attributes:
        x, y: expansion, at most.
        share: of the instances that are in use, on average.
        averages: instances on average.
        saved: share of the instances below a level that is skipped, by level.
    """

    x: list[int]
    y: list[int]
    share: list[float]
    averages: list[float]
    saved: list[float]


@dataclass(frozen=True)
class Expansions:
    """Instances that a mapping uses without skipping, by place.

    ``averages`` are by tensor and level, those that formats leave in use.
    """

    x: tuple[int, ...]
    y: tuple[int, ...]
    averages: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Instances:
    """What a mapping uses: of each tensor, and of the computes over all of them."""

    tensors: Mapping[str, TensorInstances]
    compute_x: int
    compute_y: int
    compute_average: float


def expansions(
    nest: CompleteNest, tensors: Sequence[TensorTiles], there: Mapping[tuple[str, int], float]
) -> Expansions:
    """Return the expansions of a nest.

    Args:
        nest: of the mapping.
        tensors: all of it.
        there: of each tensor and level, which share of its tiles is not empty.
    """
    x, y = [1], [1]
    for loops in reversed(nest.loops):
        for axis, reached in (("X", x), ("Y", y)):
            bound = reached[-1]
            for loop in loops:
                bound *= loop.bound if loop.axis == axis else 1
            reached.append(bound)
    x.reverse()
    y.reverse()
    averages = {
        tensor.name: tuple(
            x[s + 1] * y[s + 1] * there[tensor.name, s] for s in range(len(tensor.kept))
        )
        for tensor in tensors
    }
    return Expansions(tuple(x), tuple(y), averages)


def unskipped(given: Expansions) -> Instances:
    """Return the instances of a design that skips none."""
    levels = len(given.x) - 1
    return Instances(
        {
            name: TensorInstances(
                list(given.x),
                list(given.y),
                [1.0] * (levels + 1),
                [float(given.x[0] * given.y[0]), *averages],
                [0.0] * levels,
            )
            for name, averages in given.averages.items()
        },
        given.x[0],
        given.y[0],
        float(given.x[0] * given.y[0]),
    )


def skipped(
    architecture: Architecture,
    design: SparseDesign,
    nest: CompleteNest,
    tensors: Sequence[TensorTiles],
    given: Expansions,
) -> Instances:
    """Return the instances that are left where a design skips some.

    Args:
        architecture: the hardware.
        design: with what it skips.
        nest: of the mapping.
        tensors: all of it.
        given: without skipping.

    Raises:
        InvalidMapping: what is left does not fit the fan-outs.
        SpecError: Timeloop aborts or crashes.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    found = {tensor.name: _of_formats(nest, tensor, given) for tensor in tensors}
    before = {name: (tuple(own.x), tuple(own.y)) for name, own in found.items()}
    skips: set[tuple[str, int]] = set()
    for s, level in enumerate(design.levels):
        for options in level.spatial_skipping:
            if len(options) != 1:
                raise SpecError(
                    f"sparse_optimizations: level '{architecture.levels[s].name}': skipping_spatial"
                    f" has {len(options)} options, expected one (Timeloop aborts)"
                )
            target = options[0].target
            _skip(nest, by_name, s, options[0], found[target])
            skips.add((target, s))
    for name, own in found.items():
        bounds = [(name, s) in skips for s in range(len(design.levels))]
        _settle(own, given, *before[name], bounds)
    _check_fanouts(architecture, found)
    return Instances(
        found,
        max(own.x[0] for own in found.values()),
        max(own.y[0] for own in found.values()),
        max(own.averages[0] for own in found.values()),
    )


def _of_formats(nest: CompleteNest, tensor: TensorTiles, given: Expansions) -> TensorInstances:
    """Return a tensor's instances where those with empty tiles only are left out."""
    levels = len(nest.loops)
    own = TensorInstances(
        list(given.x), list(given.y), [1.0] * (levels + 1), [0.0] * (levels + 1), [0.0] * levels
    )
    for s, loops in enumerate(nest.loops):
        keeper = tensor.keeper(s)
        if keeper is None or not tensor.ranks(keeper):
            continue
        first = True
        for k, loop in enumerate(loops):
            if loop.axis and loop.bound > 1 and loop.dimension in tensor.dimensions:
                inside = nest.inside(s, k)
                if first:
                    own.share[s] = 1.0 - tensor.density.probability(tensor.sides(inside), 0)
                    first = False
                _shrink(own, s, loop, tensor, inside)
    cut = [share != 1.0 for share in own.share]
    for place in range(levels, 0, -1):
        _carry_inwards(own, place, given.x[place], given.y[place], cut)
    return own


def _shrink(
    own: TensorInstances, place: int, loop: NestLoop, tensor: TensorTiles, inside: Extents
) -> None:
    """Leave room for as many elements of a loop as are not empty at most."""
    fiber = list(inside)
    fiber[loop.dimension] *= loop.bound
    elements = tensor.density.most_elements(tensor.sides(fiber), tensor.sides(inside))
    expansion = own.x if loop.axis == "X" else own.y
    expansion[place] = unsigned(expansion[place] * (elements / loop.bound))


def _carry_inwards(
    own: TensorInstances, place: int, x: int, y: int, bounds: Sequence[bool]
) -> None:
    """Shrink what lies inside of a place as far as that was shrunk from (x, y).

    The share in use goes along up to the next place with ``bounds``.
    """
    ratio_x, ratio_y = own.x[place] / x, own.y[place] / y
    if ratio_x == 1.0 and ratio_y == 1.0:
        return
    crossed = False
    for inner in range(place - 1, -1, -1):
        own.x[inner] = unsigned(own.x[inner] * ratio_x)
        own.y[inner] = unsigned(own.y[inner] * ratio_y)
        crossed = crossed or bounds[inner]
        if not crossed:
            own.share[inner] *= own.share[place]


def _skip(
    nest: CompleteNest,
    tensors: Mapping[str, TensorTiles],
    s: int,
    saving: Saving,
    own: TensorInstances,
) -> None:
    """Skip instances below level ``s`` whose tiles of the conditions are empty.

    Timeloop goes on counting loops from one condition to the next.
    """
    target, loops = tensors[saving.target], nest.loops[s]
    shares: dict[str, float] = {}
    order = list(tensors)
    counter = 0
    for name in saving.conditions:
        condition = tensors[name]
        keeper = condition.keeper(s)
        if keeper is None or not condition.ranks(keeper):
            shares[name] = 1.0
            continue
        captured = False
        for loop in loops:
            if loop.axis and loop.bound > 1 and loop.dimension in condition.dimensions:
                if counter > len(loops):
                    raise SpecError(
                        "sparse_optimizations: skipping_spatial with two conditions, expected one "
                        "(Timeloop reads beyond its loops)"
                    )
                inside = nest.tile(s) if counter == len(loops) else nest.inside(s, counter)
                if target.child(s) is not None and loop.dimension in target.dimensions:
                    inside = _with_loops_around(nest, target, s, inside)
                if not captured:
                    empty = condition.density.probability(condition.sides(inside), 0)
                    shares[name] = 1 - empty
                    captured = True
                _shrink(own, s, loop, condition, inside)
            counter += 1
    share = 1.0
    for name in sorted(shares, key=order.index):
        share *= shares[name]
    own.share[s] = share


def _with_loops_around(nest: CompleteNest, target: TensorTiles, s: int, inside: Extents) -> Extents:
    """Return the extents with loops in time that leave the target's tile where it is."""
    extents = list(inside)
    keeper = target.keeper(s)
    last = len(nest.loops) - 1 if keeper is None else keeper
    for level in range(s, last + 1):
        for loop in nest.loops[level]:
            if loop.axis or loop.bound == 1:
                continue
            if loop.dimension in target.dimensions:
                return tuple(extents)
            extents[loop.dimension] *= loop.bound
    return tuple(extents)


def _settle(
    own: TensorInstances,
    given: Expansions,
    x: Sequence[int],
    y: Sequence[int],
    skips: Sequence[bool],
) -> None:
    """Set what a tensor uses in the end, from the outside; (x, y) is what formats leave."""
    for place in range(len(own.x) - 1, -1, -1):
        own.averages[place] = given.x[place] * given.y[place] * own.share[place]
        if place < len(own.saved):
            own.saved[place] = 1 - own.share[place]
        if place:
            if not (x[place] and y[place]):
                _refuse_none()
            _carry_inwards(own, place, x[place], y[place], skips)


def _check_fanouts(architecture: Architecture, found: Mapping[str, TensorInstances]) -> None:
    """Refuse more instances below one of a level than there are."""
    names = [architecture.compute.name, *(level.name for level in architecture.levels)]
    said: list[str] = []
    failed: dict[int, str] = {}
    for own in found.values():
        for s in range(len(architecture.levels) - 1, -1, -1):
            for axis, used, most in zip("XY", (own.x, own.y), architecture.fanout(s), strict=True):
                if not used[s + 1]:
                    _refuse_none()
                needed = used[s] // used[s + 1]
                if needed > most:
                    said.append(
                        f"Required fanout{axis} {needed} does not meet hardware constraint {most}"
                    )
                    failed[s] = " ".join(said)
    if failed:
        s = min(failed)
        raise InvalidMapping(f"ERROR: couldn't map level {names[s]}: {failed[s]}")


def _refuse_none() -> None:
    raise SpecError(
        "sparse_optimizations: skipping_spatial leaves no instance, expected one at least "
        "(Timeloop crashes)"
    )
