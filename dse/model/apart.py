"""Tensors whose tiles share nothing in an imperfect nest, for all of them at once (section 14).

What a level delivers of them follows from the iterations alone: no state is to be followed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inlined
from dse.model import rules
from dse.model.arrays import MappingArrays
from dse.model.course import LoopCourse
from dse.model.deliveries import Deliveries, is_plain
from dse.model.loops import Nest

Ints = npt.NDArray[np.int64]


@inlined
def _count(m: Deliveries, c: LoopCourse, nest: Nest, s: int, tensors: int) -> None:
    """Count the deliveries of level s, of ``tensors`` (bits), where tiles share nothing.

    So it is where tiles that move share nothing and those that stay cost nothing: with rows of one
    dimension under 4cf6d4c. No state is to be followed.
    """
    place = nest.middle[s]
    count = m.count[s]
    for leaf in range(c.first[place], c.first[place] + c.nodes[place]):
        m.entry[leaf] = leaf
        m.moving[leaf] = 0
        for t in range(count.shape[0]):
            count[t, leaf] = 0
    spatial = nest.middle[s] > nest.first[s]
    for k in range(place, nest.first[nest.middle.shape[0]]):
        movers = m.movers[nest.dimension[k]] & tensors
        scaled = not spatial and k == place and k < nest.first[s + 1]
        for node in range(c.first[k + 1], c.first[k + 1] + c.nodes[k + 1]):
            m.entry[node] = m.entry[c.child[node, 0]]
            last = c.runs[node] - 1
            for i in range(1, last + 1):
                moved = movers | m.moving[c.child[node, i - 1]]
                if moved == 0:
                    continue
                often = (c.scale[node, i] if scaled else c.weight[node, i]) * c.often[node]
                leaf = m.entry[c.child[node, i]]
                for t in range(count.shape[0]):
                    count[t, leaf] += often * ((moved >> t) & 1)
            m.moving[node] = m.moving[c.child[node, last]]
            if last > 0:
                m.moving[node] |= movers
    for t in range(count.shape[0]):
        count[t, m.entry[0]] += 1


@inlined
def _count_again(m: Deliveries, c: LoopCourse, nest: Nest, s: int, tensors: int) -> None:
    """Count the deliveries of level s, where no loop lies between it and the level below.

    Other than there, some of its innermost loop's iterations stand for more at its boundary.
    """
    place = nest.middle[s]
    count = m.count[s]
    first, stop = c.first[place], c.first[place] + c.nodes[place]
    for t in range(count.shape[0]):
        for leaf in range(first, stop):
            count[t, leaf] = m.count[s - 1, t, leaf]
    if place == nest.first[s + 1]:
        return
    movers = m.movers[nest.dimension[place]] & tensors
    for node in range(c.first[place + 1], c.first[place + 1] + c.nodes[place + 1]):
        for i in range(1, c.runs[node]):
            more = (c.scale[node, i] - c.weight[node, i]) * c.often[node]
            if more != 0:
                for t in range(count.shape[0]):
                    count[t, c.child[node, i]] += more * ((movers >> t) & 1)


@inlined
def set_apart(
    apart: Ints,
    moves: Deliveries,
    c: LoopCourse,
    nest: Nest,
    m: MappingArrays,
    b: int,
    ordinary: bool,
    version: int,
) -> None:
    """Find which tensors these are at each level, ``apart (L,)`` bits; count their deliveries.

    ``ordinary``: no remainder is above its end. Tiles of plain tensors that move at all move
    further than two children can lie apart, so that there are no links either.
    """
    levels, tensors = nest.middle.shape[0], moves.terms.shape[0]
    bt = b if m.no_temporal_reuse.shape[2] > 1 else 0
    plain = np.int64(0)
    if ordinary and rules.zero_moves_are_free(version):
        for t in range(tensors):
            plain |= np.int64(is_plain(moves, nest, t, nest.first[levels])) << t
    apart[0] = 0
    for s in range(1, levels):
        apart[s] = plain
        for t in range(tensors):
            if m.no_temporal_reuse[s - 1, t, bt]:
                apart[s] &= ~(np.int64(1) << t)
        if apart[s] == 0:
            continue
        if apart[s] == apart[s - 1] and nest.middle[s] == nest.middle[s - 1]:
            _count_again(moves, c, nest, s, apart[s])
        else:
            _count(moves, c, nest, s, apart[s])
