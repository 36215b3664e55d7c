"""Taking mappings along to other hardware: rounded into its mapspace, smaller until they fit."""

from __future__ import annotations

import numpy as np

from dse.domain.mapping import MappingBatch
from dse.mappers.ground import Ground
from dse.mapspace.moves import round_factors

#: Variants made of each mapping, and by how much their factors vary (in powers of 2).
_VARIANTS, _SPREAD = 6, 1.0


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
