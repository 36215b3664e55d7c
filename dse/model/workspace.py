"""Working memory of the exact kernel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.model.loops import Nest, new_nest
from dse.model.multicast import Histogram, new_histogram
from dse.model.records import Records, new_records
from dse.model.traffic import Links, Tile, new_links, new_tile

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Scratch(NamedTuple):
    """All working memory of the kernel, allocated once per call."""

    nest: Nest
    tile: Tile
    records: Records
    links: Links
    other: Histogram
    stride: Ints  # (D,)
    size: Ints  # (T, L) tile sizes
    spatial_size: Ints  # (T, L) tile sizes up to the outermost spatial loop
    fan: Ints  # (L,) logical fan-out
    expansion: Ints  # (L,) product of the fan-outs of all levels further out
    replicas: Ints  # (L,) instances that work; fewer where factors are imperfect
    share: Floats  # (L,) words the parent level delivers to one instance
    partition: Ints  # (L,)
    content: Floats  # (L,) content accesses
    peer: Floats  # (L,) reads and fills that link transfers cause
    load: Floats  # (L, 2) reads and writes per cycle, summed over tensors
    verdict: Ints  # (7,)
    row: Floats  # (10,) one row of details


def new_scratch(
    levels: int, dimensions: int, tensors: int, ranks: int, elements: int, entries: int
) -> Scratch:
    """Allocate scratch for grids of ``elements`` children and ``entries`` records a level."""
    nest = new_nest(levels, dimensions)
    return Scratch(
        nest,
        new_tile(len(nest.bound), ranks),
        new_records(levels, entries),
        new_links(elements, ranks, entries),
        new_histogram(entries),
        np.empty(dimensions, np.int64),
        np.empty((tensors, levels), np.int64),
        np.empty((tensors, levels), np.int64),
        np.empty(levels, np.int64),
        np.empty(levels, np.int64),
        np.empty(levels, np.int64),
        np.empty(levels),
        np.empty(levels, np.int64),
        np.empty(levels),
        np.empty(levels),
        np.empty((levels, 2)),
        np.empty(7, np.int64),
        np.empty(10),
    )
