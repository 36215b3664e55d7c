"""The hardware of a search space, split into what its layers share and what one level alone needs.

A design variable that only sets the size of one storage level leaves everything else as it is:
fan-outs, bandwidths, blocks, the other levels. Such *size variables* are kept apart; every choice
of the other variables is a *frame*. In a frame, mappings have fixed counts and cycles; a size only
decides which mappings fit its level and what an access to it costs.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from dse.components.base import EnergyChain
from dse.components.chain import PatChain
from dse.domain.architecture import Architecture, StorageLevel
from dse.domain.expression import Expression
from dse.errors import ProofError, SpecError
from dse.numeric import Floats, Ints
from dse.space.schema import LevelSpec
from dse.space.search_space import SearchSpace
from dse.space.variable import Values, Variable

#: Frames of the largest space that is taken on.
_MOST_FRAMES = 20_000
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


class Column(NamedTuple):
    """A price that depends on a size: for these kinds of accesses, by value of the variable."""

    size: int
    kinds: tuple[int, ...]
    price_pj: Floats


@dataclass(frozen=True)
class Frame:
    """One choice of the variables that are no sizes.

    Attributes:
        values: those variables.
        architecture: with the largest sizes, priced.
        tables: one per size variable.
        fixed_area_um2, fixed_bits: of everything whose size is fixed.
    """

    values: Values
    architecture: Architecture
    tables: tuple[SizeTable, ...]
    fixed_area_um2: float
    fixed_bits: float

    @cached_property
    def prices(self) -> Floats:
        """``(L, 4)`` prices of the levels; those of sized levels are zero."""
        return np.array([_row(level) for level in self.architecture.levels])

    @cached_property
    def leaks(self) -> bool:
        """Whether any level costs energy by the cycle."""
        tables = (np.nan_to_num(table.price_pj[:, LEAK]).any() for table in self.tables)
        return bool(self.prices[:, LEAK].any()) or any(tables)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The prices that depend on sizes; kinds that cost the same share one."""
        found: list[Column] = []
        for v, table in enumerate(self.tables):
            kinds: dict[bytes, list[int]] = {}
            for kind in (READ, FILL, UPDATE):
                kinds.setdefault(table.price_pj[:, kind].tobytes(), []).append(kind)
            for group in kinds.values():
                found.append(Column(v, tuple(group), table.price_pj[:, group[0]].copy()))
            leak = table.price_pj[:, LEAK]
            if np.nan_to_num(leak).any():
                found.append(Column(v, (LEAK,), leak.copy()))
        return tuple(found)

    def price_at(self, point: tuple[int, ...]) -> Floats:
        """Return ``(K,)`` prices of the columns at these values of the size variables."""
        return np.array([column.price_pj[point[column.size]] for column in self.columns])

    def least_price(self, low: tuple[int, ...], high: tuple[int, ...]) -> Floats:
        """Return the least price ``(K,)`` of every column in a box; infinite: there is none."""
        return np.array(
            [_least(c.price_pj, low[c.size], high[c.size]) for c in self.columns], np.float64
        )

    def least_area(
        self, low: tuple[int, ...] | None = None, high: tuple[int, ...] | None = None
    ) -> float:
        """Return the least area of a box, of the whole frame without one; a little too low."""
        total = self.fixed_area_um2
        for v, table in enumerate(self.tables):
            first = low[v] if low is not None else 0
            last = high[v] if high is not None else len(table.area_um2) - 1
            total += _least(table.area_um2, first, last)
        # the template's sum adds up in another order
        return total * (1.0 - 1e-14)

    def bits_at(self, point: tuple[int, ...]) -> float:
        """Return the bits on the chip."""
        own = sum(float(t.bits[i]) for t, i in zip(self.tables, point, strict=True))
        return self.fixed_bits + own

    def smallest(self, need: Ints) -> tuple[int, ...] | None:
        """Return the smallest sizes that hold so many words ``(V,)``; None where none does."""
        found = []
        for words, table in zip(need, self.tables, strict=True):
            index = int(np.searchsorted(table.usable_words, words))
            if index == len(table.usable_words):
                return None
            found.append(index)
        return tuple(found)


class HardwareSpace:
    """All hardware of a search space.

    Args:
        space: what is searched.
        areas: whether areas matter, to the objective or to a limit.

    Attributes:
        sizes: the size variables.
        frames: values of the other variables, one entry per frame; impossible ones left out.

    Raises:
        UnsolvableSpace: there are too many frames, or levels demand a least utilisation.
    """

    def __init__(self, space: SearchSpace, *, areas: bool) -> None:
        self.space = space
        self._areas = areas
        template = space.template
        self.sizes = _sizes(space)
        names = {size.variable.name for size in self.sizes}
        others = [v for v in space.free if v.name not in names]
        count = math.prod(v.count for v in others)
        if count > _MOST_FRAMES:
            raise UnsolvableSpace(
                f"{count:,} combinations of {', '.join(v.name for v in others)}, which are more "
                f"than sizes of buffers; at most {_MOST_FRAMES:,} can be gone through"
            )
        for size in self.sizes:
            if size.variable.count > _MOST_SIZES:
                raise UnsolvableSpace(
                    f"{size.variable.count:,} values of {size.variable.name}; at most "
                    f"{_MOST_SIZES:,} can be gone through"
                )
        self._choices = [
            np.array([s.variable.value_at(i) for i in range(s.variable.count)], np.float64)
            for s in self.sizes
        ]
        choices = [[v.value_at(i) for i in range(v.count)] for v in others]
        self.frames: list[Values] = []
        self._made: dict[int, Frame] = {}
        for chosen in itertools.product(*choices):
            values = {**space.fixed, **dict(zip((v.name for v in others), chosen, strict=True))}
            if self._possible(values):
                self.frames.append(values)
        self.budget_bits = _budget_bits(space)
        self.max_area_um2 = template.max_area_um2

    def _possible(self, frame: Values) -> bool:
        """Whether some sizes might make a design of the frame that the template accepts."""
        extremes = self._extremes(frame)
        if extremes is None:
            return False
        smallest, largest = extremes
        if self.space.template.admits({**frame, **smallest}):
            return True
        # a requirement on sizes: only every single design can tell
        asked = {n for r in self.space.template.requirements for n in r.names}
        return bool(asked & smallest.keys()) and self._builds({**frame, **largest})

    def _extremes(self, frame: Values) -> tuple[Values, Values] | None:
        """Return the values with the fewest and the most words; None where there are none."""
        smallest, largest = {}, {}
        for size, choices in zip(self.sizes, self._choices, strict=True):
            spec, variable = _specs(self.space)[size.level], size.variable
            words = _size_words(spec, frame, variable.name, choices)
            possible = np.flatnonzero(words >= 0)
            if not len(possible):
                return None
            least, most = possible[words[possible].argmin()], possible[words[possible].argmax()]
            smallest[variable.name] = variable.value_at(int(least))
            largest[variable.name] = variable.value_at(int(most))
        return smallest, largest

    def _builds(self, values: Values) -> bool:
        try:
            self.space.template.tree(values)
        except SpecError:
            return False
        return True

    def frame(self, index: int) -> Frame:
        """Return a frame, made on first use."""
        if index not in self._made:
            self._made[index] = self._frame(self.frames[index])
        return self._made[index]

    def _frame(self, values: Values) -> Frame:
        template, chain = self.space.template, self.space.chain
        extremes = self._extremes(values)
        if extremes is None:
            raise ProofError(f"a frame without hardware: {values}")
        tree = template.tree({**values, **extremes[1]})
        sized = {size.level for size in self.sizes}
        tables = tuple(self._table(tree, values, v) for v in range(len(self.sizes)))
        priced = _price_others(chain, tree, sized)
        for level in priced.levels:
            if level.min_utilization:
                raise UnsolvableSpace(f"level '{level.name}' demands a least utilisation")
        fixed = [x for s, x in enumerate(priced.levels) if s not in sized]
        bits = sum((x.size_words or 0) * x.word_bits * x.instances for x in fixed if not x.is_dram)
        parts: list[Any] = [*fixed, priced.compute]
        area = sum(x.area_um2 * x.instances for x in parts) if self._areas else 0.0
        return Frame(values, priced, tables, area, float(bits))

    def _table(self, tree: Architecture, values: Values, v: int) -> SizeTable:
        size = self.sizes[v]
        level = tree.levels[size.level]
        spec = _specs(self.space)[size.level]
        variable = size.variable
        words = _size_words(spec, values, variable.name, self._choices[v])
        if (words < 0).any():
            missing = variable.value_at(int(np.flatnonzero(words < 0)[0]))
            raise UnsolvableSpace(
                f"level '{level.name}' has no whole number of words with {variable.name}={missing}"
            )
        if (np.diff(words) < 0).any():
            raise UnsolvableSpace(
                f"the size of level '{level.name}' falls as {variable.name} grows"
            )
        prices, areas = _prices(self.space.chain, tree, size.level, words, self._areas)
        return SizeTable(
            usable_words=np.floor(words / level.multiple_buffering).astype(np.int64),
            bits=words.astype(np.float64) * float(level.word_bits * level.instances),
            price_pj=prices,
            area_um2=areas * level.instances,
        )

    def values(self, frame: Frame, point: tuple[int, ...]) -> Values:
        """Return the values of all variables of one design."""
        chosen = {
            size.variable.name: size.variable.value_at(i)
            for size, i in zip(self.sizes, point, strict=True)
        }
        found = {**frame.values, **chosen}
        return {v.name: found[v.name] for v in self.space.template.variables}


def _specs(space: SearchSpace) -> list[LevelSpec]:
    """Return the template's levels from the inside out."""
    return list(reversed(space.template.spec.storage))


def _sizes(space: SearchSpace) -> tuple[Size, ...]:
    """Find the size variables; of two that set the size of one level, the one with more values."""
    mentioned: dict[str, set[str]] = {}
    for path, names, _ in space.template.mentions():
        if path != "require":
            for name in names:
                mentioned.setdefault(name, set()).add(path)
    for variable in space.free:  # choices stand for dimensions in constraints
        if variable.choices:
            mentioned.setdefault(variable.name, set()).add("constraints")
    if space.chain.follows_sizes and type(space.chain).price is not EnergyChain.price:
        return ()  # the chain prices whole architectures at a time
    found = []
    for number, spec in enumerate(_specs(space)):
        path = f"{spec.name}.size_words"
        able = [v for v in space.free if mentioned.get(v.name) == {path}]
        # wires are as long as the square root of what lies below them
        if able and not any(level.wires for level in _specs(space)):
            found.append(Size(number, max(able, key=lambda v: v.count)))
    return tuple(found)


def _budget_bits(space: SearchSpace) -> float:
    budget = space.template.spec.budget
    limit = budget.on_chip_bytes if budget else None
    return math.inf if limit is None else 8.0 * limit


def _size_words(spec: LevelSpec, values: Values, name: str, choices: Floats) -> Ints:
    """Return the words at each value; -1 where they are no whole number, so no hardware."""
    expression: Expression | None = spec.size_words
    if expression is None:
        raise ProofError(f"level '{spec.name}' has no size, but {name} sets it")
    words = np.broadcast_to(expression.array({**values, name: choices}), len(choices))
    whole = np.isfinite(words) & (words == np.floor(words)) & (words >= 0) & (words < 2.0**53)
    found: Ints = np.where(whole, words, -1).astype(np.int64)
    return found


def _row(level: StorageLevel) -> list[float]:
    e = level.energy
    return [e.read_pj, e.fill_pj, e.update_pj, e.leak_pj]


def _price_others(chain: EnergyChain, tree: Architecture, sized: set[int]) -> Architecture:
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
    if isinstance(chain, PatChain) and not level.is_dram and not areas:
        access = _sram_pj(words, level.word_bits, level.block_size, level.cluster_size)
        none = np.zeros(len(words))
        return np.stack([access, access, access, none], axis=1), none
    known: dict[int, tuple[list[float], float]] = {}
    rows, area = np.full((len(words), 4), np.nan), np.full(len(words), np.nan)
    for i, size in enumerate(words.tolist()):
        if size not in known:
            known[size] = _priced(chain, tree, level, size)
        rows[i], area[i] = known[size]
    return rows, area if areas else np.zeros(len(words))


def _sram_pj(words: Ints, word_bits: int, block_size: int, cluster_size: int) -> Floats:
    """:func:`dse.timeloop.pat.sram_energy_pj` of many sizes, in the same steps."""
    width = word_bits * block_size * cluster_size
    kilobytes = (width * -(-words // block_size)).astype(np.float64) / (8 * 1024)
    per_16_bits = (6.0 - 1.0) / (100.0 - 0.5) * (kilobytes - 0.5) + 1.0
    price: Floats = np.where(words == 0, 0.0, per_16_bits * width / 16 / cluster_size)
    return price


def _priced(
    chain: EnergyChain, tree: Architecture, level: StorageLevel, size: int
) -> tuple[list[float], float]:
    try:
        made = chain.price_storage(replace(level, size_words=size), tree.technology)
    except SpecError:
        return [math.nan] * 4, math.nan
    return _row(made), made.area_um2


def _least(column: Floats, low: int, high: int) -> float:
    """Return the least of entries ``low .. high`` (inclusive), NaN left out."""
    part = column[low : high + 1]
    value = float(part.min())
    if math.isnan(value):
        known = part[~np.isnan(part)]
        value = float(known.min()) if len(known) else math.inf
    return value
