"""Which mappings of a batch are taken together: those that keep the same, and what is left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.jit import inner, tiered
from dse.model.block import WIDTH
from dse.numeric import Flags, Ints, int64, uint64

#: Up to so many mappings that keep the same are faster in a block shared with others.
MOST_MIXED = 40


class Grouping(NamedTuple):
    """How the mappings of a batch are taken together.

    Attributes:
        order: ``(B,)`` their numbers, group by group; ``(0,)``: they stand as they are taken.
        edges: ``(G + 1,)`` where groups begin in ``order``.
        mixed: where those begin that share blocks; mappings before keep the same, group by group.
    """

    order: Ints
    edges: Ints
    mixed: int


class _Patterns(NamedTuple):
    """Memory for G patterns, at most B."""

    code: npt.NDArray[np.uint64]  # (B,) number of what each mapping keeps
    table: Ints  # (H,) pattern by the hash of its code, -1: none; H is a power of 2 above B
    pattern: Ints  # (B,) of each mapping
    first: Ints  # (G,) first mapping of each pattern
    size: Ints  # (G,) mappings
    place: Ints  # (G,) where in the order the next one goes
    stop: Ints  # (G,) where the pattern's own blocks end


def grouped(keep: Flags) -> Grouping:
    """Group mappings that keep the same, in whole blocks; what is left shares blocks.

    Args:
        keep: ``(L, T, B)``.
    """
    count = keep.shape[2]
    own = [np.empty(count, np.int64) for _ in range(5)]
    table = np.empty(2 << count.bit_length(), np.int64)
    found = _Patterns(np.empty(count, np.uint64), table, *own)
    order, edges = np.empty(count, np.int64), np.empty(count + 2, np.int64)
    groups, mixed = group_into(keep, MOST_MIXED, found, order, edges)
    return Grouping(order, edges[: groups + 1], mixed)


@tiered
def group_into(
    keep: Flags, most_mixed: int, found: _Patterns, order: Ints, edges: Ints
) -> tuple[int, int]:
    """Write order and edges of :class:`Grouping`; return the number of groups, and ``mixed``."""
    patterns = _number(keep, found)
    groups, done, count = 0, 0, keep.shape[2]
    edges[0] = 0
    for p in range(patterns):
        rest = found.size[p] % WIDTH
        if patterns == 1 or rest > most_mixed or not _is_kept_outermost(keep, found.first[p]):
            rest = 0
        found.place[p] = done
        done += found.size[p] - rest
        found.stop[p] = done
        if found.size[p] > rest:
            groups += 1
            edges[groups] = done
    mixed = done
    for b in range(count):
        p = found.pattern[b]
        if found.place[p] < found.stop[p]:
            order[found.place[p]] = b
            found.place[p] += 1
        else:
            order[done] = b
            done += 1
    if mixed < count:
        groups += 1
        edges[groups] = count
    return groups, mixed


@inner
def _number(keep: Flags, found: _Patterns) -> int:
    """Number the patterns by their first mapping; return how many there are."""
    levels, tensors, count = keep.shape
    code, table, patterns = found.code, found.table, 0
    code[:] = 0
    for s in range(levels):
        for t in range(tensors):
            for b in range(count):
                code[b] = code[b] * uint64(0x9E3779B97F4A7C15) + uint64(keep[s, t, b])
    table[:] = -1
    for b in range(count):
        at = int64((code[b] ^ (code[b] >> uint64(32))) & uint64(table.shape[0] - 1))
        while table[at] >= 0 and not _is_alike(keep, code, found.first[table[at]], b):
            at = (at + 1) & (table.shape[0] - 1)
        if table[at] < 0:
            table[at] = patterns
            found.first[patterns] = b
            found.size[patterns] = 0
            patterns += 1
        found.pattern[b] = table[at]
        found.size[table[at]] += 1
    return patterns


@inner
def _is_alike(keep: Flags, code: npt.NDArray[np.uint64], a: int, b: int) -> bool:
    """Whether mappings a and b keep the same."""
    if code[a] != code[b]:
        return False
    for s in range(keep.shape[0]):
        for t in range(keep.shape[1]):
            if keep[s, t, a] != keep[s, t, b]:
                return False
    return True


@inner
def _is_kept_outermost(keep: Flags, b: int) -> bool:
    """Whether the outermost level keeps all tensors."""
    for t in range(keep.shape[1]):
        if not keep[keep.shape[0] - 1, t, b]:
            return False
    return True
