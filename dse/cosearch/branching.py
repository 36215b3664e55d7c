"""Where a box is parted, and which of its hardware is tried: by what mappings cost in its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dse.cosearch.boxes import Box, HardwareBoxes, RowNumbers
from dse.cosearch.corner import corner_of, tile_words
from dse.cosearch.layer_bounds import LayerBounds, Support
from dse.numeric import Floats, Ints

#: What a mapping that a part of a box does not admit is taken to cost more there, relatively.
_LOST = 0.5
#: Parts of what a box's mappings cost, at whose needs sizes may be cut.
_PARTS = (1 / 3, 2 / 3, 1.0)
#: Outcomes of a group that are looked at for a piece of hardware to try.
_LOOKED_AT = 12


@dataclass(frozen=True)
class Parting:
    """Two parts of a box, and how much more mappings cost in each, relatively."""

    parts: tuple[Box, Box]
    rise: tuple[float, float]

    @property
    def promise(self) -> tuple[float, float]:
        """What both parts rise by, then what either does."""
        return min(self.rise), max(self.rise)


class Branching:
    """Parts boxes.

    Args:
        hardware: the boxes' hardware.
        bounds: of each network's layers.
    """

    def __init__(self, hardware: HardwareBoxes, bounds: Sequence[LayerBounds]) -> None:
        self._hardware, self._bounds = hardware, bounds

    def parted(self, box: Box, told: Sequence[Support | None]) -> tuple[Box, ...]:
        """Return the two parts of a box for which the mappings that bound it cost most more."""
        cuts = self._size_cuts(box, told)
        best: Parting | None = None
        for parts in self._partings(box, cuts):
            found = [self._hardware.within_budget(part) for part in parts]
            left = [part for part in found if part is not None]
            if len(left) < 2:
                return tuple(left)
            rise = [self._rise(part, told) for part in left]
            one = Parting((left[0], left[1]), (rise[0], rise[1]))
            if best is None or one.promise > best.promise:
                best = one
        if best is None:
            raise AssertionError("a single piece of hardware has no parts")
        return best.parts

    def coarse(self, box: Box) -> Iterator[tuple[Box, ...]]:
        """Yield a way to part the frames of a box for each of what its hardware differs in.

        Choices one by one; numbers in the middle.
        """
        for g, rows in enumerate(self._hardware.groups):
            own = box.rows[g]
            if len(own) < 2:
                continue
            for key, column in rows.columns.items():
                if key.startswith("/choice/"):
                    here = column[own]
                    parts = [own[here == value] for value in np.unique(here)]
                    if len(parts) > 1:
                        yield tuple(box.with_rows(g, part) for part in parts)
            numbers = [one for one in rows.columns.items() if not one[0].startswith("/choice/")]
            for some in _cuts(own, numbers):
                yield box.with_rows(g, own[some]), box.with_rows(g, own[~some])

    def _partings(self, box: Box, size_cuts: Sequence[Sequence[int]]) -> Iterator[tuple[Box, Box]]:
        """Yield ways to part a box in two."""
        for g, rows in enumerate(self._hardware.groups):
            own = box.rows[g]
            if len(own) > 1:
                for some in _cuts(own, list(rows.columns.items())):
                    yield box.with_rows(g, own[some]), box.with_rows(g, own[~some])
        for v, cuts in enumerate(size_cuts):
            for cut in cuts:
                yield box.with_range(v, box.low[v], cut - 1), box.with_range(v, cut, box.high[v])

    def _size_cuts(self, box: Box, told: Sequence[Support | None]) -> list[list[int]]:
        """Return where each size may be cut: below what mappings need they are lost.

        Above they pay for more than others need; so the largest need is a cut, and those of which
        some parts of the cost are below.
        """
        words, cost = self._needs(told)
        found = []
        for v, size in enumerate(self._hardware.sizes):
            low, high = box.low[v], box.high[v]
            places = np.full(len(words), low)
            for kind in self._hardware.kinds(size.level, box):
                if kind.table is not None:
                    own = np.searchsorted(kind.table.usable_words, words[:, v])
                    places = np.maximum(places, np.minimum(own, high))
            order = np.argsort(places, kind="stable")
            share = np.cumsum(cost[order])
            at = np.searchsorted(share, np.array(_PARTS) * share[-1]) if len(share) else []
            cuts = {int(places[order[i]]) for i in at} - {low}
            if not cuts and low < high:
                cuts = {low + 1 if box.is_frame else (low + high + 1) // 2}
            found.append(sorted(cuts))
        return found

    def _needs(self, told: Sequence[Support | None]) -> tuple[Ints, Floats]:
        """Return the words that mappings need of each sized level, ``(N, V)``, and their costs."""
        levels = [size.level for size in self._hardware.sizes]
        words, cost = [], []
        for bounds, one in zip(self._bounds, told, strict=True):
            if one is not None:
                for layer, least in zip(bounds.layers, one.layers, strict=True):
                    words.append(tile_words(layer.problem, least.mapping)[levels])
                    cost.append(layer.count * least.value)
        shape = len(words), len(levels)
        return np.array(words, np.int64).reshape(shape), np.array(cost, np.float64)

    def need(self, told: Sequence[Support | None]) -> Ints:
        """Return the words that mappings need of each sized level, ``(V,)``."""
        return np.asarray(self._needs(told)[0].max(axis=0, initial=0))

    def _rise(self, box: Box, told: Sequence[Support | None]) -> float:
        """Return what mappings cost more on a box's corner, relatively."""
        corner = corner_of(self._hardware, box)
        return sum(
            bounds.rise(corner, one, _LOST)
            for bounds, one in zip(self._bounds, told, strict=True)
            if one is not None
        )

    def frame(self, box: Box, told: Sequence[Support | None]) -> Box:
        """Return a frame of a box on which the mappings that bound it cost little more."""
        for g in range(len(box.rows)):
            if len(box.rows[g]) > 1:
                some = [box.with_rows(g, rows) for rows in self._likely(box, g)]
                box = min(some, key=lambda part: self._rise(part, told))
        return box

    def _likely(self, box: Box, g: int) -> list[RowNumbers]:
        """Return some outcomes of a group, one by one: those of the most MACs, and some others."""
        own = box.rows[g]
        if len(own) > _LOOKED_AT:
            order = own
            if own is self._hardware.mesh_rows(box):
                macs = self._hardware.meshes.instances(-1)[own]
                order = own[np.argsort(-macs, kind="stable")][: max(len(own) // 8, _LOOKED_AT)]
            own = order[np.linspace(0, len(order) - 1, _LOOKED_AT).astype(np.intp)]
        return [own[i : i + 1] for i in range(len(own))]


def _cuts(own: RowNumbers, columns: Sequence[tuple[str, np.ndarray]]) -> Iterator[np.ndarray]:
    """Yield which outcomes go to the first of two parts, for each of a group's columns."""
    seen = set()
    for key, column in columns:
        here = column[own]
        values = np.unique(here)
        if len(values) < 2:
            continue
        if key.startswith("/choice/"):
            cuts = [here == value for value in values]
        else:
            # as many as possible differ by as much as possible
            middle = np.sqrt(max(values[0], 1.0) * values[-1])
            cuts = [here < values[min(max(np.searchsorted(values, middle), 1), len(values) - 1)]]
        for cut in cuts:
            text = cut.tobytes()
            if text not in seen and (~cut).tobytes() not in seen:
                seen.add(text)
                yield cut
