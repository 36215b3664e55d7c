"""Taking mappings along to other hardware: rounded into its mapspace, smaller until they fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.domain.mapping import MappingBatch
from dse.domain.padding import mapped_problems
from dse.domain.problem import Problem
from dse.lockstep.hardware import BuiltHardware
from dse.mappers.ground import Ground
from dse.mapspace.moves import round_factors
from dse.numeric import Ints
from dse.relaxed.start import first_mapping

#: Variants made of each mapping, and by how much their factors vary (in powers of 2).
_VARIANTS, _SPREAD = 6, 1.0
#: Of so many mappings to begin with, one is made for the hardware, each of another size.
_MADE = 4


def carry(
    ground: Ground, source: MappingBatch, count: int, rng: np.random.Generator
) -> MappingBatch:
    """Return up to ``count`` mappings of the ground's space that fit, made from others'.

    Those that fit as they are come first; then variants whose factors are scaled at random, most
    of them down where the mapping itself does not fit.

    Args:
        ground: mapspace and hardware to go to.
        source: mappings of the same problem on hardware of the same levels, best first.
        count: mappings wanted.
        rng: of the variants.
    """
    same = _fitting(ground, source, source.temporal, source.spatial)
    plain, kept = same
    wanted = count - len(plain)
    if wanted <= 0:
        return plain.window(0, count)
    fits = np.zeros(len(source), np.bool_)
    fits[kept] = True
    origin = np.tile(np.arange(len(source)), _VARIANTS)
    # the more a variant is scaled, the later it comes
    power = np.repeat(np.arange(1, _VARIANTS + 1) / 2, len(source))
    shape = (*source.temporal.shape[:2], len(origin))
    scale = np.exp2(_SPREAD * power * rng.standard_normal(shape))
    smaller = np.exp2(-power * rng.random(shape))
    scale = np.where(fits[origin], scale, smaller)
    scale[-1] = 1.0
    wide = np.exp2(np.round(rng.random(shape) * power))
    parents = source.take(origin)
    varied, _ = _fitting(ground, parents, parents.temporal * scale, parents.spatial * wide)
    return MappingBatch.concatenate([plain, varied.window(0, wanted)]) if len(varied) else plain


def seeds(
    hardware: BuiltHardware,
    problems: Sequence[Problem],
    source: MappingBatch | None,
    count: int,
    rng: np.random.Generator,
    *,
    far: bool,
) -> MappingBatch:
    """Return mappings of a layer to begin with on other hardware, some ``count`` of them.

    Args:
        hardware: the other hardware.
        problems: what may be mapped there in place of the layer, the most promising first.
        source: mappings of the layer to carry there, best first; None: there are none.
        count: mappings carried.
        rng: of the variants.
        far: whether the hardware is so far away that mappings are made for it, too.
    """
    parts = [hardware.space(problems[0]).empty_batch(0)]
    if far:
        made = [first_mapping(hardware.space(p)) for p in problems[: max(1, count // _MADE)]]
        parts += [MappingBatch.of([mapping]) for mapping in made if mapping is not None]
    if source is not None:
        for problem, own in _targets(problems, source).items():
            ground = hardware.ground(problem)
            if ground is not None:
                part = source if len(own) == len(source) else source.take(own)
                parts.append(carry(ground, part, -(-count * len(own) // len(source)), rng))
    return MappingBatch.concatenate(parts)


def _targets(problems: Sequence[Problem], source: MappingBatch) -> dict[Problem, Ints]:
    """Return which of the problems each mapping is carried to: its own, or else the first."""
    if len(problems) == 1:
        return {problems[0]: np.arange(len(source))}
    found: dict[Problem, list[int]] = {}
    for problem, own in mapped_problems(problems[0], source).items():
        found.setdefault(problem if problem in problems else problems[0], []).extend(own.tolist())
    return {problem: np.array(own) for problem, own in found.items()}


def _fitting(
    ground: Ground, source: MappingBatch, temporal: np.ndarray, spatial: np.ndarray
) -> tuple[MappingBatch, np.ndarray]:
    """Round factors, with the orders, axes and keeps of ``source``; return what fits, and which."""
    space = ground.space
    made = round_factors(space, np.asarray(temporal, np.float64), np.asarray(spatial, np.float64))
    x = space.arrays
    if made.permutation.shape[2] > 1:
        for s in range(len(x.order)):
            places = np.arange(x.order.shape[1])
            fixed = (places < x.free_start[s]) | (places >= len(places) - space.outermost(s))
            if (source.permutation[s, fixed] == x.order[s, fixed, None]).all():
                made.permutation[s] = source.permutation[s]
    if x.any_axis_free and _axes_agree(x.axis, source):
        made.spatial_permutation[...] = source.spatial_permutation
        made.split[...] = source.split
    if x.any_keep_free:
        made.keep[...] = np.where((x.keep == 2)[:, :, None], source.keep, made.keep)
    kept = np.flatnonzero(ground.fits(made))
    return made.take(kept), kept


def _axes_agree(axis: np.ndarray, source: MappingBatch) -> bool:
    """Whether every dimension of the mappings runs along an axis that the space lets it take."""
    place = np.arange(axis.shape[1])[None, :, None]
    on_y = place >= source.split[:, None, :]
    wanted = np.take_along_axis(
        np.broadcast_to(axis[:, :, None], source.spatial_permutation.shape),
        source.spatial_permutation.astype(np.intp),
        axis=1,
    )
    return bool(((wanted == 2) | (wanted == on_y)).all())
