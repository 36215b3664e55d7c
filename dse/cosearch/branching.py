"""Where a box is parted, and which of its hardware is tried: by what mappings cost in its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dse.cosearch.boxes import Box, HardwareBoxes, RowNumbers
from dse.cosearch.corner import corner_of, tile_words
from dse.cosearch.layer_bounds import LayerBounds, Support
from dse.numeric import Ints

#: What a mapping that a part of a box does not admit is taken to cost more there, relatively.
_LOST = 0.5
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
        point = self._point(box, told)
        best: Parting | None = None
        for parts in self._partings(box, point):
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

    def _partings(self, box: Box, point: tuple[int, ...]) -> Iterator[tuple[Box, Box]]:
        """Yield ways to part a box in two."""
        for g, rows in enumerate(self._hardware.groups):
            own = box.rows[g]
            if len(own) > 1:
                for some in _cuts(own, list(rows.columns.items())):
                    yield box.with_rows(g, own[some]), box.with_rows(g, own[~some])
        for v, place in enumerate(point):
            low, high = box.low[v], box.high[v]
            if low < high:
                # below what the mappings need they cost more, or are lost
                cut = place if place > low else low + 1 if box.is_frame else (low + high + 1) // 2
                yield box.with_range(v, low, cut - 1), box.with_range(v, cut, high)

    def _point(self, box: Box, told: Sequence[Support | None]) -> tuple[int, ...]:
        """Return the sizes in a box that mappings need, on the hardware where they are largest."""
        words = self.need(told)
        found = []
        for v, size in enumerate(self._hardware.sizes):
            tables = [kind.table for kind in self._hardware.kinds(size.level, box)]
            places = [int(np.searchsorted(t.usable_words, words[v])) for t in tables if t]
            found.append(min(max(*places, box.low[v]) if places else box.low[v], box.high[v]))
        return tuple(found)

    def need(self, told: Sequence[Support | None]) -> Ints:
        """Return the words that mappings need of each sized level, ``(V,)``."""
        need = np.zeros(len(self._hardware.sizes), np.int64)
        levels = [size.level for size in self._hardware.sizes]
        for bounds, one in zip(self._bounds, told, strict=True):
            if one is not None:
                for layer, mapping in zip(bounds.layers, one.mappings, strict=True):
                    need = np.maximum(need, tile_words(layer.problem, mapping)[levels])
        return need

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
