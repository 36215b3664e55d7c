"""The Gaussian process of DOSA's Bayesian baseline, as its public artifact has it.

scikit-learn's default process of its time: an RBF kernel of length 1 that is never fitted, and no
noise, over standardised inputs and values. Both loops pick by mean - l x deviation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import MappingBatch
from dse.numeric import Floats

#: Rows of predictions at a time, to bound memory.
_CHUNK = 1 << 15


class FixedProcess:
    """The Gaussian process, over standardised data.

    Of equal points the least value is kept: without noise they would make the matrix singular.

    Args:
        points: ``(N, C)``.
        values: ``(N,)``, finite.
    """

    def __init__(self, points: Floats, values: Floats) -> None:
        from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: PLC0415
        from sklearn.gaussian_process.kernels import RBF  # noqa: PLC0415
        from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

        order = np.argsort(values, kind="stable")
        _, first = np.unique(points[order], axis=0, return_index=True)
        kept = np.sort(order[first])
        self._points = StandardScaler().fit(points[kept])
        y = StandardScaler().fit_transform(values[kept, None])
        # later versions of scikit-learn fit their default; the artifact's did not
        self._process = GaussianProcessRegressor(RBF(1.0), optimizer=None)
        self._process.fit(self._points.transform(points[kept]), y)

    def bound(self, points: Floats, deviations: float) -> Floats:
        """Return the lower confidence bound at points, ``(N,)``, in standardised values."""
        parts = [np.empty(0)]
        for begin in range(0, len(points), _CHUNK):
            part = self._points.transform(points[begin : begin + _CHUNK])
            mean, deviation = self._process.predict(part, return_std=True)
            parts.append(np.ravel(mean) - deviations * np.ravel(deviation))
        return np.concatenate(parts)


def picked(bound: Floats, count: int, *, twice: bool) -> npt.NDArray[np.int64]:
    """Return which points to evaluate: those of the lowest bounds, ``(count,)``.

    Args:
        bound: of each point.
        count: how many.
        twice: sort the order again, as the artifact does: then these are the ranks of the first
            points instead, which have nothing to do with what was predicted of them.
    """
    order = np.argsort(bound, kind="stable")
    return (np.argsort(order, kind="stable") if twice else order)[:count]


def raw_features(mappings: MappingBatch) -> Floats:
    """Return what the baseline knows of mappings, ``(B, 3 * L * D)``: 84 numbers on Gemmini.

    By level from the outside in: spatial factors, temporal factors, and for each dimension the
    place of its loop, D - 1 the outermost, counted down over loops of more than one iteration;
    dimensions without such a loop have D.
    """
    return np.concatenate(list(_by_level(mappings)), axis=1)


def _by_level(mappings: MappingBatch) -> Iterator[Floats]:
    levels, dimensions, count = mappings.temporal.shape
    order = np.broadcast_to(mappings.permutation, mappings.temporal.shape)
    spatial = np.broadcast_to(mappings.spatial, mappings.temporal.shape)
    for level in range(levels - 1, -1, -1):
        # the permutation lists dimensions from the innermost loop out
        outward = order[level, ::-1].astype(np.intp)
        factors = np.take_along_axis(mappings.temporal[level], outward, axis=0)
        looped = factors > 1
        place = np.where(looped, dimensions - np.cumsum(looped, axis=0), dimensions)
        places = np.empty((dimensions, count))
        np.put_along_axis(places, outward, place, axis=0)
        yield spatial[level].T.astype(np.float64)
        yield mappings.temporal[level].T.astype(np.float64)
        yield places.T
