"""Sizes that dimensions may be padded to, and the problems that these make.

Perfect factors split a size into its divisors, so a size such as 113 leaves an array of 12 rows
idle, which 120 would fill.

Which sizes are worth a look does not depend on the hardware's numbers. Let a dimension of ``n`` be
padded to ``m`` and split into factors whose product is ``m``. Where some factor ``f`` could be less
by one, the others as they are, and still cover ``n``, a smaller padding runs the same loops, one
of them shorter: ``m`` gains nothing over it. So only those sizes are *useful* that have a split
over the slots of the mapspace in which no factor can be less: ``m - m / f < n`` for each ``f``.
For ``n`` = 197 over three slots these are 198, 200, 203, 204, 208, 210, 216 and 224, all with small
factors, multiples of any array's width among them; none lies beyond ``2 n``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product

from dse.domain.padding import Padding, paddable
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.mapspace.factorization import divisors
from dse.mapspace.outline import Slot
from dse.mapspace.space import Mapspace

#: Sizes beyond a bound among which useful ones are looked for.
_REACH = 4096
#: Combinations of sizes that are compared; of the dimension with most sizes, the one that by itself
#: promises least is left out until there are no more.
_MOST_COMPARED = 5000
#: Products of factors that are followed along one side of an array.
_MOST_PRODUCTS = 1024
#: Alternatives that a search gets, the problem itself among them.
MOST_ALTERNATIVES = 64
#: Pieces of hardware by which problems are ranked: those with the most MACs.
_MOST_ARRAYS = 4


@dataclass(frozen=True)
class Alternatives:
    """What may be mapped in place of a problem.

    Attributes:
        problems: the most promising first; the problem itself is among them.
        known: how many there are under the rule, those left out included.
    """

    problems: tuple[Problem, ...]
    known: int

    @property
    def text(self) -> str:
        """Say how many of them there are."""
        n = len(self.problems)
        if n < self.known:
            return f"the {n} most promising of {self.known:,} useful combinations of sizes"
        return "no other size is useful" if n == 1 else f"all {n} useful combinations of sizes"


def alternatives(space: Mapspace, padding: Padding, metric: str | None) -> Alternatives:
    """Return the problems that a mapspace's problem may be padded to.

    They are combinations of useful sizes. The most promising come first: those of the least
    product of operations and steps (operations over the MACs that perfect factors can use at a
    time), of operations where ``metric`` is ``energy``, of steps where it is ``delay``; of equals
    the one with fewer operations. At most :data:`MOST_ALTERNATIVES` are returned.
    """
    return common_alternatives((space,), padding, metric)


def common_alternatives(
    spaces: Sequence[Mapspace], padding: Padding, metric: str | None
) -> Alternatives:
    """Return what the problem of several mapspaces may be padded to, on whatever hardware.

    Sizes are those that are useful on any of the hardware; a combination promises what it does on
    the largest arrays, where it does most (:func:`alternatives`).

    Args:
        spaces: of one problem, on different hardware.
        padding: how far dimensions may grow.
        metric: what is minimised.
    """
    able = [space for space in spaces if not _unmappable(space)]
    problem = spaces[0].problem
    if not padding.on or not able:
        return Alternatives((problem,), 1)
    able.sort(key=lambda space: -space.architecture.compute.instances)
    slots = tuple(dict.fromkeys(tuple(tuple(x) for x in space.slots) for space in able))
    arrays = tuple(dict.fromkeys(_arrays_of(space) for space in able[:_MOST_ARRAYS]))
    return _ranked(problem, slots, arrays, padding, metric or "edp")


@lru_cache(maxsize=1024)
def _ranked(
    problem: Problem,
    slots: tuple[tuple[tuple[Slot, ...], ...], ...],
    arrays: tuple[tuple[_Fan, ...], ...],
    padding: Padding,
    metric: str,
) -> Alternatives:
    """See :func:`common_alternatives`: of the hardware, only slots and arrays count."""
    own = tuple(problem.bounds.values())

    def promise(bounds: tuple[int, ...]) -> tuple[float, float, tuple[int, ...]]:
        operations = float(math.prod(bounds))
        steps = operations / max(_most_parallel(bounds, fans) for fans in arrays)
        key = {"energy": operations, "delay": steps}.get(metric, operations * steps)
        return key, operations, bounds

    allowed = paddable(problem)
    sizes: list[list[int]] = []
    for d, (name, n) in enumerate(problem.bounds.items()):
        kinds = {some[d] for some in slots} if name in allowed else set()
        more = {m for own_slots in kinds for m in useful_sizes(n, own_slots, padding.most(n))}
        alone = {size: promise((*own[:d], size, *own[d + 1 :])) for size in more}
        sizes.append([n, *sorted(sorted(more), key=alone.__getitem__)])
    known = math.prod(len(some) for some in sizes)
    while math.prod(len(some) for some in sizes) > _MOST_COMPARED:
        max(sizes, key=len).pop()
    first = sorted(product(*sizes), key=promise)[:MOST_ALTERNATIVES]
    if own not in first:
        first[-1] = own
    problems = (_padded(problem, bounds) for bounds in first)
    return Alternatives(tuple(p for p in problems if p is not None), known)


def _unmappable(space: Mapspace) -> bool:
    """Whether no size helps: what is in the way is not how a size divides."""
    return bool(space.infeasible) and all(f.count for f in space.factors)


def _padded(problem: Problem, bounds: tuple[int, ...]) -> Problem | None:
    """Return the padded problem; None where it is beyond what can be counted."""
    if bounds == tuple(problem.bounds.values()):
        return problem
    try:
        return replace(problem, bounds=dict(zip(problem.dimensions, bounds, strict=True)))
    except SpecError:
        return None


# ---------------------------------------------------------------------------------------- sizes


@lru_cache(maxsize=4096)
def useful_sizes(bound: int, slots: tuple[Slot, ...], most: int) -> tuple[int, ...]:
    """Return the useful sizes above a bound, growing.

    Args:
        bound: the size of a dimension.
        slots: where its factors go; what is fixed there stays.
        most: the largest size looked at; so far as it lies within 4,096 of the bound.
    """
    fixed = math.prod(slot.fixed for slot in slots if slot.fixed)
    free = [slot for slot in slots if not slot.fixed]
    found = []
    for size in range(bound + 1, min(most, bound + _REACH) + 1):
        largest = -(-size // (size - bound)) - 1  # a factor f needs size - size / f < bound
        if max(largest, 1) ** len(free) < size // fixed and not any(x.least > 1 for x in free):
            break  # nor does any larger size split
        caps = tuple(sorted(min(x.cap, max(largest, x.least)) for x in free))
        if size % fixed == 0 and _splits(size // fixed, caps):
            found.append(size)
    return tuple(found)


def _splits(size: int, caps: Sequence[int]) -> bool:
    """Whether a size is a product of factors of at most ``caps``, which grow."""
    if size == 1:
        return True
    if not caps:
        return False
    if size <= caps[-1]:
        return True
    if math.prod(caps) < size:
        return False
    return any(_splits(size // f, caps[:-1]) for f in reversed(divisors(size)) if f <= caps[-1])


# --------------------------------------------------------------------------------------- promise


@dataclass(frozen=True)
class _Fan:
    """The array below one level: how wide along X and Y, and the factors that may run there.

    Attributes:
        widths: along X and Y.
        slots: by dimension, where it may run there at all.
        axes: by these dimensions, 0: X, 1: Y, 2: either.
    """

    widths: tuple[int, int]
    slots: tuple[tuple[int, Slot], ...]
    axes: tuple[int, ...]

    def choices(self) -> list[tuple[int, ...]]:
        """Return all ways to give each dimension its axis."""
        return list(product(*((0, 1) if axis == 2 else (axis,) for axis in self.axes)))


def _arrays_of(space: Mapspace) -> tuple[_Fan, ...]:
    """Return the arrays of a mapspace's hardware."""
    found = []
    a = space.arrays
    for s in range(len(a.fanout_x)):
        own = [
            (d, slot)
            for d, slots in enumerate(space.slots)
            for slot in slots
            if slot.spatial and slot.level == s
        ]
        if own:
            widths = (int(a.fanout_x[s]), int(a.fanout_y[s]))
            found.append(_Fan(widths, tuple(own), tuple(int(a.axis[s, d]) for d, _ in own)))
    return tuple(found)


def _most_parallel(bounds: tuple[int, ...], arrays: Sequence[_Fan]) -> float:
    """Return how many MACs perfect factors can use at a time, array by array."""
    used = 1
    for fan in arrays:
        factors = [_factors(bounds[d], slot.cap, slot.fixed, slot.least) for d, slot in fan.slots]
        best = 1
        for axes in fan.choices():
            along: tuple[list[tuple[int, ...]], ...] = ([], [])
            for some, axis in zip(factors, axes, strict=True):
                along[axis].append(some)
            best = max(
                best,
                math.prod(
                    _largest_product(tuple(sorted(row)), width)
                    for row, width in zip(along, fan.widths, strict=True)
                ),
            )
        used *= best
    return float(used)


@cache
def _factors(bound: int, cap: int, fixed: int, least: int) -> tuple[int, ...]:
    """Return the factors that a slot may take of a bound, growing."""
    taken = (fixed,) if fixed else divisors(bound)
    return tuple(sorted(f for f in taken if least <= f <= cap))


@lru_cache(maxsize=1 << 16)
def _largest_product(factors: tuple[tuple[int, ...], ...], most: int) -> int:
    """Return the largest product of one factor of each up to ``most``; 1 where there is none."""
    if not all(factors):
        return 1
    whole = math.prod(some[-1] for some in factors)
    if whole <= most:
        return whole
    products = {1}
    for some in factors:
        products = {a * b for a in products for b in some if a * b <= most}
        # wide arrays have more products than are worth a look: an order is made of them, no proof
        products = set(sorted(products)[-_MOST_PRODUCTS:])
    return max(products, default=1)
