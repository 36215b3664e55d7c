"""Where the flows of a keep/bypass pattern are counted: at the tiles that they cross out of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dse.mappers.exact.layout import flows_of
from dse.mappers.exact.pattern_sums import PatternSums
from dse.mappers.exact.shape import MapspaceShape
from dse.numeric import Flags

#: Tensor, level that receives (-1: the MACs), level that delivers.
Flow = tuple[int, int, int]
Flows = tuple[Flow, ...]


class Cut(NamedTuple):
    """Flows whose words are counted where they cross out of one tile.

    Attributes:
        block: the levels whose tile it is; see `blocks_of`.
        flows: received by these levels, or further in, and delivered from further out.
    """

    block: tuple[int, ...]
    flows: Flows


@dataclass(frozen=True, eq=False)
class Plans:
    """Where the flows of all patterns are counted.

    Attributes:
        macs: flows to the MACs of each group of patterns.
        cuts: all of them.
        sums: of the cuts, by number, of each group; and of each where many MACs are in use, then of
            each with few.
    """

    macs: tuple[Flows, ...]
    cuts: tuple[Cut, ...]
    sums: tuple[PatternSums, PatternSums]


def planned(patterns: Sequence[Flags], blocks: Sequence[tuple[int, ...]]) -> Plans:
    """Plan where the flows of some patterns are counted."""
    numbers: dict[Cut, int] = {}
    groups: dict[Flows, list[list[list[int]]]] = {}
    for keep in patterns:
        flows = flows_of(keep)
        plans = _plans_of([flow for flow in flows if flow[1] >= 0], blocks)
        own = [[numbers.setdefault(cut, len(numbers)) for cut in plan] for plan in plans]
        groups.setdefault(tuple(flow for flow in flows if flow[1] < 0), []).append(own)

    def sums(uses: int) -> PatternSums:
        return PatternSums.of(
            [
                [[[n + use * len(numbers) for n in plan] for plan in own] for own in group]
                for use in range(uses)
                for group in groups.values()
            ]
        )

    return Plans(tuple(groups), tuple(numbers), (sums(1), sums(2)))


def _plans_of(flows: Sequence[Flow], blocks: Sequence[tuple[int, ...]]) -> list[tuple[Cut, ...]]:
    """Return plans for the flows between levels of a pattern: each tells where they cross.

    Where they are received, those of one block together; or, all that one level delivers together,
    where the outermost of them is received.
    """
    own = [(block, [flow for flow in flows if flow[1] in block]) for block in blocks]
    joint = []
    for high in sorted({high for _, _, high in flows}):
        together = [flow for flow in flows if flow[2] == high]
        outermost = max(low for _, low, _ in together)
        joint.append((next(block for block in blocks if outermost in block), together))
    plans = [
        tuple(Cut(block, tuple(some)) for block, some in plan if some) for plan in (own, joint)
    ]
    return list(dict.fromkeys(plans))


def blocks_of(shape: MapspaceShape, spatial: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the levels, those together whose tiles are the same: without loops between them."""
    found: list[list[int]] = []
    for s in range(shape.levels):
        places = (shape.slot(d, s, spatial=False) for d in range(len(shape.active)))
        if not found or s in spatial or any(place is not None for place in places):
            found.append([s])
        else:
            found[-1].append(s)
    return [tuple(block) for block in found]
