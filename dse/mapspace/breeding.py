"""Compiled operators of the mapping searches: children of a population, and whole neighbourhoods.

Everything that comes out fits the hardware: misfits are made again, as the sampler draws again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.jit import inner, tiered
from dse.mapspace.move_table import EXCHANGE, REDRAW, MoveTable
from dse.mapspace.random_bits import uniform
from dse.mapspace.sampling import mark_slots
from dse.mapspace.space import SpaceArrays
from dse.mapspace.steps import check_block, copy_mapping, mixed, pick_row, take_step
from dse.model.arrays import MappingArrays
from dse.model.block import WIDTH, Lanes, Plan, Prices, lay_out
from dse.numeric import Floats, int64

#: Rows picked until one is possible, before a step is given up.
_PICKS = 12
#: Rows of the rates of :func:`breed_into`.
CROSSOVER, MORE_STEPS, TOURNAMENT = range(3)


@inner
def _tournament(value: Floats, rounds: int, seed: int, number: int) -> int:
    """Best of some random members; smaller is better."""
    best = int64(uniform(seed, 1, 8 * number) * value.shape[0])
    for r in range(1, rounds):
        other = int64(uniform(seed, 1, 8 * number + r) * value.shape[0])
        if value[other] < value[best]:
            best = other
    return best


@inner
def _cross(
    space: SpaceArrays, parents: MappingArrays, other: int, m: MappingArrays, i: int, seed: int
) -> None:
    """Take each dimension's factors, and each level's order, axes and keeps, from either parent."""
    levels, dimensions = space.order.shape
    for d in range(dimensions):
        if uniform(seed, 2, d) < 0.5:
            continue
        for k in range(space.slots[d]):
            s = space.slot_level[d, k]
            if space.slot_spatial[d, k]:
                m.spatial[s, d, i] = parents.spatial[s, d, other]
            else:
                m.temporal[s, d, i] = parents.temporal[s, d, other]
    for s in range(levels):
        bits = int64(uniform(seed, 3, s) * 8.0)
        if bits & 1 == 1 and space.free_count[s] > 1:
            for p in range(dimensions):
                m.permutation[s, p, i] = parents.permutation[s, p, other]
        if bits & 2 == 2 and space.any_axis_free:
            m.split[s, i] = parents.split[s, other]
            for p in range(dimensions):
                m.spatial_permutation[s, p, i] = parents.spatial_permutation[s, p, other]
        if bits & 4 == 4 and space.any_keep_free:
            for t in range(space.keep.shape[1]):
                m.keep[s, t, i] = parents.keep[s, t, other]


@inner
def _mutate(
    space: SpaceArrays, table: MoveTable, weight: Floats, m: MappingArrays, i: int, seed: int
) -> bool:
    """Take one random step; False where none of several picks was possible."""
    for attempt in range(_PICKS):
        own = mixed(seed, attempt)
        row = pick_row(table, weight, uniform(own, 0, 0), uniform(own, 0, 1))
        if row >= 0 and take_step(space, table, row, m, i, own):
            return True
    return False


@tiered
def breed_into(
    space: SpaceArrays, table: MoveTable, plan: Plan, x: Lanes, c: Prices,
    parents: MappingArrays, value: Floats, rates: Floats, weight: Floats,
    block: MappingArrays, out: MappingArrays, seed: int, max_draws: int,
) -> tuple[int, int]:  # fmt: skip
    """Fill ``out`` with children that fit; return how many were found, and how many made.

    ``value (P,)`` is what the parents are worth, smaller is better. ``rates`` are the probability
    of a crossover, that of each further step, and the members of a tournament. ``weight
    (len(KINDS),)`` are the cumulated weights of the kinds of steps. ``block`` is scratch for WIDTH
    mappings.
    """
    wanted = out.temporal.shape[2]
    found = 0
    drawn = 0
    mark_slots(space, x)
    lay_out(x)
    rounds = int64(rates[TOURNAMENT])
    while found < wanted and drawn < max_draws:
        n = min(WIDTH, max_draws - drawn)
        for i in range(n):
            own = mixed(seed, drawn + i)
            first = _tournament(value, rounds, own, 0)
            copy_mapping(parents, first, block, i, space)
            crossed = False
            if uniform(own, 0, 0) < rates[CROSSOVER]:
                other = _tournament(value, rounds, own, 1)
                if other != first:
                    _cross(space, parents, other, block, i, own)
                    crossed = True
            step = 0
            # a child of one parent needs a step, or it would be a copy
            go_on = not crossed or uniform(own, 0, 1) < 0.5
            while go_on and step < 8:
                _mutate(space, table, weight, block, i, mixed(own, 64 + step))
                step += 1
                go_on = uniform(own, 0, 2 + step) < rates[MORE_STEPS]
        for i in range(n, WIDTH):
            copy_mapping(block, 0, block, i, space)
        check_block(space, plan, x, c, block)
        for i in range(n):
            drawn += 1
            if x.ok[i] and found < wanted:
                copy_mapping(block, i, out, found, space)
                found += 1
            if found == wanted:
                break
    return found, drawn


@tiered
def step_into(
    space: SpaceArrays, table: MoveTable, plan: Plan, x: Lanes, c: Prices,
    mappings: MappingArrays, weight: Floats, more: float,
    block: MappingArrays, out: MappingArrays, fits: npt.NDArray[np.bool_], seed: int, tries: int,
) -> None:  # fmt: skip
    """Make a random neighbour of every mapping; ``fits (B,)`` says where one was found.

    Where none of ``tries`` neighbours fits, the mapping itself stands in its place.
    """
    count = mappings.temporal.shape[2]
    mark_slots(space, x)
    lay_out(x)
    for b in range(0, count, WIDTH):
        n = min(WIDTH, count - b)
        for i in range(n):
            fits[b + i] = False
            copy_mapping(mappings, b + i, out, b + i, space)
        for attempt in range(tries):
            left = 0
            for i in range(WIDTH):
                at = b + min(i, n - 1)
                copy_mapping(mappings, at, block, i, space)
                if i < n and not fits[at]:
                    left += 1
                    own = mixed(seed, at * tries + attempt)
                    step = 0
                    go_on = True
                    while go_on and step < 8:
                        _mutate(space, table, weight, block, i, mixed(own, step))
                        step += 1
                        go_on = uniform(own, 0, 2 + step) < more
            if left == 0:
                break
            check_block(space, plan, x, c, block)
            for i in range(n):
                if x.ok[i] and not fits[b + i]:
                    fits[b + i] = True
                    copy_mapping(block, i, out, b + i, space)


@tiered
def neighbourhood_into(
    space: SpaceArrays, table: MoveTable, plan: Plan, x: Lanes, c: Prices,
    mappings: MappingArrays, column: int, block: MappingArrays, out: MappingArrays, seed: int,
) -> int:  # fmt: skip
    """Fill ``out`` with all neighbours of one mapping that fit; return how many there are.

    Redrawn dimensions are no neighbours; of each exchange, one partner is tried.
    """
    rows = table.rows.shape[0]
    wanted = out.temporal.shape[2]
    found = 0
    row = 0
    mark_slots(space, x)
    lay_out(x)
    while row < rows and found < wanted:
        n = 0
        while n < WIDTH and row < rows:
            kind = table.rows[row, 0]
            if kind != REDRAW:
                copy_mapping(mappings, column, block, n, space)
                own = mixed(seed, row) if kind == EXCHANGE else seed
                n += take_step(space, table, row, block, n, own)
            row += 1
        if n == 0:
            break
        for i in range(n, WIDTH):
            copy_mapping(block, 0, block, i, space)
        check_block(space, plan, x, c, block)
        for i in range(n):
            if x.ok[i] and found < wanted:
                copy_mapping(block, i, out, found, space)
                found += 1
    return found
