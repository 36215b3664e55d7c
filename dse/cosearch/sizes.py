"""Sizes of buffers that are set by variables of their own: words, prices and areas by value.

Such a *size variable* changes neither counts nor cycles of a mapping: it decides which tiles fit,
and what an access to its level costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dse.components.base import EnergyChain
from dse.components.chain import DosaChain, PatChain
from dse.domain.architecture import Architecture, StorageLevel
from dse.domain.expression import Expression
from dse.errors import ProofError, SpecError
from dse.numeric import Floats, Ints
from dse.space.schema import LevelSpec
from dse.space.search_space import SearchSpace
from dse.space.variable import Values, Variable

#: Values of one size variable: all are listed, and priced in every frame.
_MOST_SIZES = 1_000_000
#: Columns of a level's prices.
READ, FILL, UPDATE, LEAK = range(4)


class UnsolvableSpace(Exception):
    """The space is beyond what can be solved; the message says why."""


@dataclass(frozen=True)
class Size:
    """A variable that sets the size of one storage level and nothing else."""

    level: int
    variable: Variable


@dataclass(frozen=True)
class SizeTable:
    """What the values of a size variable do in a frame; V values.

    Attributes:
        usable_words: ``(V,)`` capacity that tiles may use; grows.
        bits: ``(V,)`` of all instances.
        price_pj: ``(V, 4)`` per vector access: read, fill, update; leakage per cycle. NaN where
            the chain knows no price.
        area_um2: ``(V,)`` of all instances; zeros where areas do not matter.
    """

    usable_words: Ints
    bits: Floats
    price_pj: Floats
    area_um2: Floats

    def times(self, instances: int) -> SizeTable:
        """Return the table of so many instances, of one of a single instance."""
        bits, area_um2 = self.bits * instances, self.area_um2 * instances
        return replace(self, bits=bits, area_um2=area_um2)


def level_specs(space: SearchSpace) -> list[LevelSpec]:
    """Return the template's levels from the inside out."""
    return list(reversed(space.template.spec.storage))


def is_priced_whole(chain: EnergyChain) -> bool:
    """Whether a chain prices whole architectures at a time."""
    return chain.follows_sizes and type(chain).price is not EnergyChain.price


def sizes_of(space: SearchSpace) -> tuple[Size, ...]:
    """Find the size variables; of two that set the size of one level, the one with more values."""
    mentioned: dict[str, set[str]] = {}
    for path, names, _ in space.template.mentions():
        if path != "require":
            for name in names:
                mentioned.setdefault(name, set()).add(path)
    for variable in space.free:  # choices stand for dimensions in constraints
        if variable.choices:
            mentioned.setdefault(variable.name, set()).add("constraints")
    if is_priced_whole(space.chain):
        return ()
    found = []
    for number, spec in enumerate(level_specs(space)):
        path = f"{spec.name}.size_words"
        able = [v for v in space.free if mentioned.get(v.name) == {path}]
        # wires are as long as the square root of what lies below them
        if able and not any(level.wires for level in level_specs(space)):
            found.append(Size(number, max(able, key=lambda v: v.count)))
    return tuple(found)


def size_values(size: Size) -> Floats:
    """Return all values of a size variable."""
    variable = size.variable
    if variable.count > _MOST_SIZES:
        raise UnsolvableSpace(
            f"{variable.count:,} values of {variable.name}; at most {_MOST_SIZES:,} can be gone "
            "through"
        )
    return variable.all_values().astype(np.float64)


def size_table(
    space: SearchSpace, tree: Architecture, size: Size, words: Ints, *, areas: bool
) -> SizeTable:
    """Return what the values of a size variable do, for one instance of its level.

    Args:
        space: what is searched.
        tree: hardware with some values of the other variables.
        size: the variable and its level.
        words: at each value (`words_at`).
        areas: whether areas matter.

    Raises:
        UnsolvableSpace: the words are no whole number for a value, or fall as the values grow.
    """
    level, variable = tree.levels[size.level], size.variable
    if (words < 0).any():
        missing = variable.value_at(int(np.flatnonzero(words < 0)[0]))
        raise UnsolvableSpace(
            f"level '{level.name}' has no whole number of words with {variable.name}={missing}"
        )
    if (np.diff(words) < 0).any():
        raise UnsolvableSpace(f"the size of level '{level.name}' falls as {variable.name} grows")
    prices, area = _prices(space.chain, tree, size.level, words, areas)
    return SizeTable(
        usable_words=np.floor(words / level.multiple_buffering).astype(np.int64),
        bits=words.astype(np.float64) * float(level.word_bits),
        price_pj=prices,
        area_um2=area,
    )


def budget_bits(space: SearchSpace) -> float:
    """Return the bits on the chip that the template's budget allows."""
    budget = space.template.spec.budget
    limit = budget.on_chip_bytes if budget else None
    return math.inf if limit is None else 8.0 * limit


def words_at(spec: LevelSpec, values: Values, name: str, choices: Floats) -> Ints:
    """Return the words at each value; -1 where they are no whole number, so no hardware."""
    expression: Expression | None = spec.size_words
    if expression is None:
        raise ProofError(f"level '{spec.name}' has no size, but {name} sets it")
    words = np.broadcast_to(expression.array({**values, name: choices}), len(choices))
    whole = np.isfinite(words) & (words == np.floor(words)) & (words >= 0) & (words < 2.0**53)
    found: Ints = np.where(whole, words, -1).astype(np.int64)
    return found


def price_row(level: StorageLevel) -> list[float]:
    """Return a level's row of prices."""
    e = level.energy
    return [e.read_pj, e.fill_pj, e.update_pj, e.leak_pj]


def price_others(chain: EnergyChain, tree: Architecture, sized: set[int]) -> Architecture:
    """Price everything but the sized levels, whose prices are left at zero."""
    if not sized:
        return chain.price(tree)
    technology = tree.technology
    return replace(
        tree,
        levels=tuple(
            level if s in sized else chain.price_storage(level, technology)
            for s, level in enumerate(tree.levels)
        ),
        compute=chain.price_compute(tree.compute, technology),
    )


def _prices(
    chain: EnergyChain, tree: Architecture, s: int, words: Ints, areas: bool
) -> tuple[Floats, Floats]:
    """Return prices ``(V, 4)`` and areas ``(V,)`` of one instance of level s at these sizes."""
    level = tree.levels[s]
    # what is derived from one of them may price otherwise
    own = type(chain) in (PatChain, DosaChain)
    if isinstance(chain, PatChain) and own and not level.is_dram:
        return chain.price_sizes(level, words, areas=areas)
    # a size of 0 has no price, and is no part of a row
    step = level.block_size if chain.prices_rows else 1
    _, first, alike = np.unique(-(-words // step), return_index=True, return_inverse=True)
    priced = [_priced(chain, tree, level, int(words[i])) for i in first]
    rows = np.array([row for row, _ in priced])[alike]
    area = np.array([area_um2 for _, area_um2 in priced])[alike]
    return rows, area if areas else np.zeros(len(words))


def _priced(
    chain: EnergyChain, tree: Architecture, level: StorageLevel, size: int
) -> tuple[list[float], float]:
    try:
        made = chain.price_storage(replace(level, size_words=size), tree.technology)
    except SpecError:
        return [math.nan] * 4, math.nan
    return price_row(made), made.area_um2


def least_of(column: Floats, low: int, high: int) -> float:
    """Return the least of entries ``low .. high`` (inclusive), NaN left out."""
    part = column[low : high + 1]
    value = float(part.min())
    if math.isnan(value):
        known = part[~np.isnan(part)]
        value = float(known.min()) if len(known) else math.inf
    return value
