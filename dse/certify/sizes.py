"""What layers may be padded to, found for the second time.

Written from the definition in ``docs/padding.md``. A size m of a dimension of n is useful where it
is a product of factors, one for every place, none of which could be less by one and still cover n
with the others as they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from dse.certify.hardware import Chip
from dse.certify.layers import divisors
from dse.certify.places import Place, Places
from dse.certify.verdict import NotCoveredError
from dse.domain.padding import Padding, paddable
from dse.domain.problem import Problem

#: Combinations of sizes of one layer; of more, a search looks at the most promising only, and which
#: these are is not found a second time.
_MOST_COMBINATIONS = 64
#: Sizes beyond n among which useful ones are looked for.
_REACH = 4096


def sizes_of(problem: Problem, chips: Sequence[Chip], padding: Padding) -> tuple[Problem, ...]:
    """Return the problems that a layer may be mapped as: its own first, then its paddings.

    Sizes are useful on some chip, and then allowed on all.

    Raises:
        NotCoveredError: there are too many.
    """
    if not padding.on:
        return (problem,)
    able = paddable(problem)
    sizes = [{int(n)} for n in problem.sizes]
    for chip in chips:
        places = Places(problem, chip.architecture).places
        for d, name in enumerate(problem.dimensions):
            if name in able:
                n = problem.bounds[name]
                sizes[d] |= set(_useful(n, places[d], padding.most(n)))
    count = math.prod(map(len, sizes))
    if count > _MOST_COMBINATIONS:
        raise NotCoveredError(
            f"{count:,} useful combinations of one layer's sizes, of which the search looks at the "
            f"most promising; covered are {_MOST_COMBINATIONS}"
        )
    return tuple(
        replace(problem, bounds=dict(zip(problem.dimensions, bounds, strict=True)))
        for bounds in itertools.product(*map(sorted, sizes))
    )


def allows(problem: Problem, padded: Problem, padding: Padding) -> bool:
    """Whether a layer may be mapped as another problem: itself, or a padding within the limit."""
    if padded.bounds.keys() != problem.bounds.keys():
        return False
    able = paddable(problem) if padding.on else ()
    return all(
        n <= padded.bounds[d] <= (padding.most(n) if d in able else n)
        for d, n in problem.bounds.items()
    )


@lru_cache(maxsize=4096)
def _useful(n: int, places: tuple[Place, ...], most: int) -> tuple[int, ...]:
    """Return the useful sizes above n."""
    return tuple(m for m in range(n + 1, min(most, n + _REACH) + 1) if _splits(m, m, n, places))


def _splits(m: int, left: int, n: int, places: tuple[Place, ...]) -> bool:
    """Whether ``left`` is a product over places of factors none of which could be less."""
    if not places:
        return left == 1
    first, *rest = places
    return any(
        first.takes(f)
        and (first.fixed > 0 or f <= first.least or m - m // f < n)
        and _splits(m, left // f, n, tuple(rest))
        for f in divisors(left)
    )
