"""The sizes of a box in ranges, so that each choice of them may be bounded by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dse.cosearch.boxes import Box, HardwareBoxes
from dse.cosearch.corner import generous_size
from dse.domain.architecture import StorageLevel
from dse.mappers.exact.size_classes import SizeClasses
from dse.numeric import Flags, Floats, Ints

#: Ranges of one size at most.
_MOST_RANGES = 16


@dataclass(frozen=True, eq=False)
class SizeRanges:
    """Ranges of the sizes of a box; P ranges of each.

    They are parts of the variable's own, whatever the box: what is found of them once serves many.

    Attributes:
        first, last: of each size ``(P,)``, the smallest and the largest of each range (places in
            its variable) that the box has.
        classes: what they mean to a search, in whole.
        able: ``(P, P, ...)`` which choices the budget allows, an axis for every size.
    """

    first: tuple[Ints, ...]
    last: tuple[Ints, ...]
    classes: tuple[SizeClasses, ...]
    able: Flags

    def at(self, place: tuple[int, ...]) -> tuple[SizeClasses, ...]:
        """Return the classes of which one choice alone is open."""
        return tuple(
            replace(own, begin=own.begin + i, end=own.begin + i + 1)
            for own, i in zip(self.classes, place, strict=True)
        )

    def within(self, box: Box, wanted: Flags) -> Box:
        """Return a box with the sizes of which some choices are wanted."""
        for v in range(len(self.classes)):
            others = tuple(axis for axis in range(wanted.ndim) if axis != v)
            found = np.flatnonzero(wanted.any(axis=others))
            low, high = int(self.first[v][found[0]]), int(self.last[v][found[-1]])
            box = box.with_range(v, low, high)
        return box


def ranges_of(hardware: HardwareBoxes, box: Box) -> SizeRanges:
    """Part the sizes of a box, some of which has a price, into ranges."""
    first, last, classes = [], [], []
    for v, size in enumerate(hardware.sizes):
        kinds = hardware.kinds(size.level, box)
        table = kinds[0].table
        if table is None:
            raise AssertionError("a size without a table")
        blocks = {one.level.block_size for one in kinds if isinstance(one.level, StorageLevel)}
        block_size = blocks.pop() if len(blocks) == 1 else 1
        starts = _starts(table.usable_words)
        ends = np.append(starts[1:] - 1, len(table.usable_words) - 1)
        found = [
            generous_size(kinds, block_size, int(low), int(high))
            for low, high in zip(starts, ends, strict=True)
        ]
        words, prices = np.array([w for w, _ in found]), np.array([p for _, p in found])
        priced = np.isfinite(prices).all(axis=1)
        starts, ends = starts[priced], ends[priced]
        begin = int(np.searchsorted(ends, box.low[v]))
        end = int(np.searchsorted(starts, box.high[v], side="right"))
        first.append(np.maximum(starts[begin:end], box.low[v]))
        last.append(np.minimum(ends[begin:end], box.high[v]))
        classes.append(SizeClasses(size.level, words[priced], prices[priced], begin, end))
    able = _able(hardware, box, first)
    return SizeRanges(tuple(first), tuple(last), tuple(classes), able)


def _starts(words: Ints) -> Ints:
    """Return where ranges of some growing sizes begin, that grow by much the same factor."""
    if len(words) <= _MOST_RANGES:
        return np.arange(len(words))
    edges = np.geomspace(max(int(words[0]), 1), words[-1], _MOST_RANGES + 1)[1:-1]
    starts = np.searchsorted(words, edges, side="right")
    return np.unique(np.concatenate([[0], np.minimum(starts, len(words) - 1)]))


def _able(hardware: HardwareBoxes, box: Box, first: list[Ints]) -> Flags:
    """Return which choices of ranges the budget allows some hardware of a box."""
    rows = hardware.mesh_rows(box)
    bits: Floats = np.full((1,) * len(first), hardware.least_bits(box, rows).min())
    for v, places in enumerate(first):
        level = hardware.sizes[v].level
        tables = [k.table for k in hardware.kinds(level, box) if k.table is not None]
        least = np.min([table.bits for table in tables], axis=0)
        more = (least[places] - least[box.low[v]]) * hardware.meshes.instances(level)[rows].min()
        bits = bits + more.reshape([-1 if axis == v else 1 for axis in range(len(first))])
    return np.asarray(bits <= hardware.most_bits)
