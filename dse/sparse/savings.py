"""How likely an access is saved: the tile on which it depends is empty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dse.domain.architecture import Architecture
from dse.domain.sparse import Saving, SavingOptions, SparseDesign
from dse.errors import InvalidMapping, SpecError
from dse.sparse.counts import How, SavedShare
from dse.sparse.densities import size
from dse.sparse.nest import CompleteNest, Extents, NestLoop
from dse.sparse.occupancy import Held
from dse.sparse.tiles import TensorTiles


@dataclass(frozen=True)
class Target:
    """Where the accesses to a tensor are decided on.

    Attributes:
        extents: of the tile that is accessed at once.
        condition_extents: of the tile of a tensor that may be empty.
        loops: the loop over such tiles, and those around it that go along.
        scalar: whether single words are accessed, by none of the loops together.
    """

    extents: Extents
    condition_extents: Extents
    loops: tuple[NestLoop, ...]
    scalar: bool


@dataclass(frozen=True)
class Effect:
    """What one saving comes to."""

    target: TensorTiles
    level: int
    share: float
    words: float


def saved_shares(
    architecture: Architecture,
    design: SparseDesign,
    nest: CompleteNest,
    tensors: Sequence[TensorTiles],
    held: Mapping[tuple[str, int], Held],
) -> dict[tuple[str, int], SavedShare]:
    """Return the savings of accesses by tensor and level.

    Of two on one tile the larger holds; gating comes first.

    Args:
        architecture: the hardware.
        design: with what it saves.
        nest: of the mapping.
        tensors: all of it.
        held: what each level holds of each tensor.

    Raises:
        InvalidMapping: accesses are saved that are not there.
        SpecError: Timeloop reads beyond its nest.
    """
    found: dict[tuple[str, int], SavedShare] = {}
    hows: tuple[tuple[How, str], ...] = (("gated", "gating"), ("skipped", "skipping"))
    for how, key in hows:
        for s, level in enumerate(design.levels):
            options: SavingOptions
            for options in getattr(level, key):
                effects = [
                    _effect(architecture, design, nest, tensors, held, s, saving)
                    for saving in options
                ]
                best = _best(architecture, effects)
                place = (best.target.name, best.level)
                if place not in found or found[place].share < best.share:
                    found[place] = SavedShare(how, best.share)
    return found


def _best(architecture: Architecture, effects: Sequence[Effect]) -> Effect:
    """Return the one of several that saves most energy, the last of equal ones."""
    best, most = effects[0], 0.0
    for effect in effects:
        level = architecture.levels[effect.level]
        pj = (level.energy.read_pj / level.block_size) * effect.words * effect.share
        if pj >= most:
            best, most = effect, pj
    return best


def _effect(
    architecture: Architecture,
    design: SparseDesign,
    nest: CompleteNest,
    tensors: Sequence[TensorTiles],
    held: Mapping[tuple[str, int], Held],
    s: int,
    saving: Saving,
) -> Effect:
    by_name = {tensor.name: tensor for tensor in tensors}
    target = by_name[saving.target]
    level = target.keeper(s)
    if level is None:
        name = architecture.levels[s].name
        raise InvalidMapping(
            f"ERROR: couldn't map level {name}: skipping/gating for {target.name}does not have a "
            f"source storage for datastreams{name}"
        )
    child = target.child(level)
    place = _target(nest, target, level, child)
    block = architecture.levels[level].block_size
    effectual = 1.0
    for name in saving.conditions:
        empty = _empty(target, by_name[name], place, block)
        if empty is not None:
            effectual *= 1 - empty
    ratio = design.levels[level].metadata.word_bits // architecture.levels[level].word_bits
    inner = held[target.name, level if child is None else child]
    words = held[target.name, level].words + inner.units * ratio
    return Effect(target, level, 1 - effectual, words)


def _target(nest: CompleteNest, target: TensorTiles, level: int, child: int | None) -> Target:
    """Return where the accesses to a tensor at a level are decided on."""
    s, k, scalar = _target_loop(nest, target, level, child)
    loop = nest.loops[s][k]
    extents = nest.scalar if scalar else nest.extents[s][k]
    condition = list(extents)
    loops = [loop]
    spatial = bool(loop.axis)
    passed = not spatial
    for u in range(s, level + 1):
        for around in nest.loops[u][k + 1 if u == s else 0 :]:
            if around.bound == 1:
                continue
            moves = around.dimension in target.dimensions
            if around.axis or (not passed and child is not None and not moves):
                condition[around.dimension] *= around.bound
                loops.append(around)
            if spatial and not around.axis and (child is None or moves):
                passed = True
    return Target(extents, tuple(condition), tuple(loops), scalar)


def _target_loop(
    nest: CompleteNest, target: TensorTiles, level: int, child: int | None
) -> tuple[int, int, bool]:
    """Return level and place of the loop over tiles that are accessed, and if these are words."""
    for s in range(0 if child is None else child + 1, level + 1):
        loops = nest.loops[s]
        for k, loop in enumerate(loops):
            moves = loop.bound > 1 and loop.dimension in target.dimensions
            if child is not None:
                if moves:
                    return s, k, False
                continue
            if k + 1 == len(loops):
                raise SpecError(
                    "sparse_optimizations: accesses of computes are saved in a nest of a single "
                    "loop, expected more dimensions (Timeloop reads beyond it)"
                )
            if not loops[k + 1].axis:
                return s, k, not loop.axis
            if moves:
                return s, k, False
    return level, len(nest.loops[level]) - 1, False


def _empty(target: TensorTiles, condition: TensorTiles, place: Target, block: int) -> float | None:
    """Return how likely the tile is empty that an access depends on; None: it depends on none."""
    shared = target.dimensions & condition.dimensions
    together: dict[int, float] = {}
    product = 1.0
    if not place.scalar:
        for loop in place.loops:
            if place.loops[0].axis and together and loop.dimension in condition.dimensions:
                return None
            if loop.dimension in shared:
                together[loop.dimension] = together.get(loop.dimension, 1.0) * loop.bound
                product *= loop.bound
    extents = list(place.condition_extents)
    # as much of the target as a block holds
    scale = float(math.ceil(block / (size(target.sides(place.extents)) / product)))
    for d, bound in sorted(together.items()):
        extents[d] = math.ceil(extents[d] / (bound / scale))
        scale /= bound
    if scale > 1:
        extents[place.loops[0].dimension] = int(extents[place.loops[0].dimension] * scale)
    return condition.density.probability(condition.sides(extents), 0)
