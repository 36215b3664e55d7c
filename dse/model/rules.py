"""The rules of the model that more than one kernel applies, each of them once.

Plain functions of scalars. The exact kernel, the lanes, the exact mapper and the co-search's
kernels inline them, and so does the differentiable twin where nothing is rounded. They compute in
the type of their arguments: integers stay integers. Section numbers refer to
``docs/timeloop-rules.md``; a rule that one kernel alone applies stands with that kernel.

``dse.certify`` and the simulator of the tests do without this module on purpose, so that an error
here cannot pass there.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from dse.jit import inlined
from dse.model.arrays import DOSA, HEAD

Real = TypeVar("Real", int, float)

# Tiles (section 3) and how they move in time (section 4)


@inlined
def stretch(coefficient: Real, extent: Real) -> Real:
    """Words by which a dimension lengthens one side of a tile (section 3)."""
    return abs(coefficient) * (extent - 1)


@inlined
def weight(bound: Real, outside: Real) -> Real:
    """How often a loop steps, with ``outside`` iterations of the loops around it (section 4, W)."""
    return (bound - 1) * outside


@inlined
def overlap(side: Real, move: Real) -> Real:
    """Side of what a tile has in common with itself moved along a row (section 4)."""
    return max(0, side - abs(move))


@inlined
def refetch(full: Real, slice_: Real, side: Real, move: Real) -> Real:
    """Words that a move along one row brings in (section 4, Delta).

    ``slice_`` is the tile of ``full`` words cut across the row: its words by its side.
    """
    return full - slice_ * overlap(side, move)


@inlined
def zero_moves_are_free(version: int) -> bool:
    """Whether a tile that stays where it is costs nothing and is forgotten (sections 4, 13a).

    Otherwise it counts as a move, after which no halo is reused.
    """
    return version == HEAD


@inlined
def later_delta(version: int, still: bool, repeats: bool, partial: Real, full: Real) -> Real:
    """Words that a move brings in after the first one, which brought ``partial`` (section 4).

    ``still``: it is no move; ``repeats``: it equals the first.
    """
    if still and zero_moves_are_free(version):
        return 0
    return partial if repeats else full


# Imperfect factors (section 14)


@inlined
def runs_last(version: int, anywhere: bool, inside: bool) -> bool:
    """Whether a loop's last iteration is run on its own (section 14.3).

    ``anywhere``: some loop of the nest is imperfect; ``inside``: one of this loop's dimension
    inside of it is, and its remainder is what runs at the end.
    """
    return inside if version == HEAD else anywhere


@inlined
def runs_second_last(version: int, last: bool, imperfect: bool) -> bool:
    """Whether the one before is, too; ``imperfect``: the loop itself is (section 14.3)."""
    return last and (imperfect or version != HEAD)


@inlined
def centre_move(corner_move: int, growth: int) -> int:
    """How far a tile's centre moves, half a word rounded away from zero (section 14.4).

    ``growth`` is how much longer the tile is than the one before.
    """
    twice = 2 * corner_move + growth
    return (twice + 1) // 2 if twice >= 0 else -((1 - twice) // 2)


@inlined
def averages_instances(version: int) -> bool:
    """Whether instances that idle at times count in part (section 14.6)."""
    return version == HEAD


@inlined
def words_per_cycle(words: float, expansion: float, used: float, iterations: float) -> float:
    """Words of one instance per iteration, where ``used`` of ``expansion`` work (section 14.6)."""
    return math.ceil(words / (expansion / used)) / iterations


# Who shares a transfer (section 5), and with whom (section 6)


@inlined
def colliding_pairs(n1: Real, n2: Real, step1: Real, step2: Real, k: Real) -> Real:
    """Pairs of children at one offset, ``k`` apart, of two loops in one row (section 5, f).

    The loops have bounds n1 and n2; the steps are their strides by the greatest common divisor.
    """
    return max(0, n1 - k * step2) * max(0, n2 - k * step1)


@inlined
def groups_of(n1: Real, n2: Real, step1: Real, step2: Real, size: Real) -> Real:
    """Groups of ``size`` children, of two loops in one row (section 5)."""
    return (
        colliding_pairs(n1, n2, step1, step2, size - 1)
        - 2 * colliding_pairs(n1, n2, step1, step2, size)
        + colliding_pairs(n1, n2, step1, step2, size + 1)
    )


@inlined
def distinct_offsets(n1: Real, n2: Real, step1: Real, step2: Real) -> Real:
    """Groups of any size, of two loops in one row (section 5)."""
    return n1 * n2 - colliding_pairs(n1, n2, step1, step2, 1)


@inlined
def grid_side(fanout: int, loops: int) -> int:
    """Side of the grid on which children lie, of a fan-out and the product of loops (section 6)."""
    return max(fanout, loops)


# From transfers to accesses (section 7)


@inlined
def parent_share(accesses: float, multicast: float, fan: float) -> float:
    """Words that one of ``fan`` children gets of the accesses of a record (section 7.2)."""
    return (accesses * multicast) / fan


@inlined
def handed_outwards(content: float, fan: float, words: float) -> float:
    """Factor by which a bypassed level of ``content`` multiplies the accesses above (section 7.3).

    ``words`` are those that the level above delivers in all, ``fan`` its children.
    """
    return content * fan / words


@inlined
def elides(backing: bool, version: int) -> bool:
    """Whether the first reads of a partition of an output are not filled (sections 7.6 and 13b).

    ``backing``: the level is the tensor's backing store, which has no fills.
    """
    return not backing and version != DOSA


@inlined
def rounded_up_half(count: float) -> int:
    """Round a count that is not negative (section 7.6)."""
    return math.floor(count + 0.5)


@inlined
def rounded(count: float) -> int:
    """Round half away from zero, as C does (section 7.6)."""
    return rounded_up_half(count) if count >= 0.0 else math.ceil(count - 0.5)


@inlined
def cut_off(fills: float) -> int:
    """Fills of a read-only tensor as an integer (section 7.6)."""
    return math.trunc(fills)


# What fits (section 8)


@inlined
def usable_words(size: int, multiple_buffering: float) -> int:
    """Words that tiles may take of a level (section 8)."""
    return math.floor(size / multiple_buffering)


@inlined
def least_words(usable: float, min_utilization: float) -> float:
    """Words that tiles must take of a level (section 8)."""
    return usable * min_utilization


@inlined
def fits_mesh(x: float, y: float, instances: float, mesh_x: float, mesh_y: float) -> bool:
    """Whether a level has so many instances along X and Y (section 8)."""
    return (x * y <= instances) & (x <= mesh_x) & (y <= mesh_y)


# Time (section 9)


@inlined
def slowdown(
    reads: float,
    writes: float,
    read_bandwidth: float,
    write_bandwidth: float,
    shared_bandwidth: float,
) -> float:
    """By what a level slows the iterations down that read and write so many words (section 9).

    A limit that is not reached has a ratio above 1; without words it is infinite.
    """
    slow = min(read_bandwidth / reads, write_bandwidth / writes)
    return min(slow, shared_bandwidth / (writes + reads), 1.0)


@inlined
def slowed(iterations: float, slow: float) -> float:
    """Cycles of iterations that a level slows down (section 9); they may be beyond 2^63."""
    return float(np.ceil(iterations / slow))


@inlined
def transfer_cycles(
    reads: float,
    writes: float,
    read_bandwidth: float,
    write_bandwidth: float,
    shared_bandwidth: float,
) -> float:
    """Cycles of a level for so many words in all, without Timeloop's rounding (section 9)."""
    return max(
        (reads + writes) / shared_bandwidth, reads / read_bandwidth, writes / write_bandwidth
    )


@inlined
def utilization(macs: float, instances: float, cycles: float) -> float:
    """Share of the MACs that work (section 9)."""
    return (macs / instances) / cycles


# Energy (section 10)


@inlined
def leaks(version: int) -> bool:
    """Whether leakage counts (sections 10 and 13c)."""
    return version == HEAD


@inlined
def leakage(leak_pj: float, cycles: float, used: float) -> float:
    """Energy that the used instances of a level leak (section 10)."""
    return leak_pj * cycles * used


@inlined
def blocks(words: float, block: float) -> int:
    """Accesses that so many words take (section 10)."""
    return math.ceil(words / block)


@inlined
def access_pj(words: float, block: float, pj: float) -> float:
    """Energy of the accesses that so many words take (section 10)."""
    return blocks(words, block) * pj


@inlined
def clusters(instances: int, cluster_size: int) -> int:
    """Clusters of a level (section 10)."""
    return instances // cluster_size


@inlined
def used_clusters(used: Real, available: Real) -> Real:
    """Clusters that work, of so many used instances (section 10)."""
    return min(used, available)


@inlined
def instance_pj(cluster_pj: float, used: float, working: float) -> float:
    """Energy of one instance where ``working`` clusters serve the ``used`` ones (section 10)."""
    return cluster_pj / (used / working)


@inlined
def addresses(read_write: bool, reads: Real, fills: Real, updates: Real) -> Real:
    """Addresses that a tensor's accesses take (section 10)."""
    return (updates if read_write else reads) + fills


@inlined
def address_pj(count: float, pj: float, working: float) -> float:
    """Energy of generating addresses in the ``working`` clusters (section 10)."""
    return count * pj * working
