"""The hardware of a search space, split into what its layers share and what one level alone needs.

A design variable that only sets the size of one storage level leaves everything else as it is:
fan-outs, bandwidths, blocks, the other levels. Such *size variables* are kept apart; every choice
of the other variables is a *frame*. In a frame, mappings have fixed counts and cycles; a size only
decides which mappings fit its level and what an access to it costs.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from dse.cosearch.sizes import (
    FILL,
    LEAK,
    READ,
    UPDATE,
    SizeTable,
    UnsolvableSpace,
    budget_bits,
    least_of,
    level_specs,
    price_others,
    price_row,
    size_table,
    size_values,
    sizes_of,
    words_at,
)
from dse.domain.architecture import Architecture
from dse.errors import SpecError
from dse.numeric import Floats, Ints
from dse.space.search_space import SearchSpace
from dse.space.variable import Values

#: Frames of the largest space that is taken on.
_MOST_FRAMES = 20_000


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
        return np.array([price_row(level) for level in self.architecture.levels])

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

    @cached_property
    def alone(self) -> FrameGroup:
        """The frame as a group."""
        return FrameGroup((self,))

    def price_at(self, point: tuple[int, ...]) -> Floats:
        """Return ``(K,)`` prices of the columns at these values of the size variables."""
        return np.array([column.price_pj[point[column.size]] for column in self.columns])

    def least_price(self, low: tuple[int, ...], high: tuple[int, ...]) -> Floats:
        """Return the least price ``(K,)`` of every column in a box; infinite: there is none."""
        return np.array(
            [least_of(c.price_pj, low[c.size], high[c.size]) for c in self.columns], np.float64
        )

    def least_area(
        self, low: tuple[int, ...] | None = None, high: tuple[int, ...] | None = None
    ) -> float:
        """Return the least area of a box, of the whole frame without one; a little too low."""
        total = self.fixed_area_um2
        for v, table in enumerate(self.tables):
            first = low[v] if low is not None else 0
            last = high[v] if high is not None else len(table.area_um2) - 1
            total += least_of(table.area_um2, first, last)
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


class LevelLimits(NamedTuple):
    """What levels do at most in a group of frames, ``(L,)`` each.

    Attributes:
        block_size: words per access.
        read_bandwidth, write_bandwidth, shared_bandwidth: words per cycle.
        fanout: children along the longer axis.
    """

    block_size: Floats
    read_bandwidth: Floats
    write_bandwidth: Floats
    shared_bandwidth: Floats
    fanout: Ints


@dataclass(frozen=True)
class FrameGroup:
    """Several frames at their best.

    Attributes:
        frames: at least one.
    """

    frames: tuple[Frame, ...]

    @cached_property
    def most(self) -> LevelLimits:
        """What levels do at most in any of the frames."""
        parts = [f.architecture for f in self.frames]
        levels = range(len(parts[0].levels))

        def most(key: str) -> Floats:
            return np.array([max(getattr(p.levels[s], key) for p in parts) for s in levels], float)

        return LevelLimits(
            block_size=most("block_size"),
            read_bandwidth=most("read_bandwidth"),
            write_bandwidth=most("write_bandwidth"),
            shared_bandwidth=most("shared_bandwidth"),
            fanout=np.array([max(max(p.fanout(s)) for p in parts) for s in levels], np.int64),
        )

    @cached_property
    def price_per_word(self) -> Floats:
        """``(L, 4)`` least prices of the levels of fixed size, by the word; leakage left out."""
        found: Floats = np.min([_per_word(f) for f in self.frames], axis=0)
        return found

    @cached_property
    def mac_pj(self) -> float:
        """The least energy of a MAC."""
        return min(f.architecture.compute.energy_pj for f in self.frames)

    def is_like(self, other: FrameGroup) -> bool:
        """Whether mappings have the same cycles, accesses and fixed prices as in another group."""
        pairs = zip(self.most, other.most, strict=True)
        return (
            all(np.array_equal(own, its) for own, its in pairs)
            and np.array_equal(self.price_per_word, other.price_per_word)
            and self.mac_pj == other.mac_pj
        )


def _per_word(frame: Frame) -> Floats:
    blocks = np.array([level.block_size for level in frame.architecture.levels], np.float64)
    prices = frame.prices / blocks[:, None]
    prices[:, LEAK] = 0.0
    return prices


class HardwareSpace:
    """All hardware of a search space.

    Args:
        space: what is searched.
        areas: whether areas matter, to the objective or to a limit.

    Attributes:
        sizes: the size variables.
        frames: values of the other variables, one entry per frame; those that are impossible,
            or have no price, left out.

    Raises:
        UnsolvableSpace: there are too many frames, or levels demand a least utilisation.
        SpecError: no frame has a price.
    """

    def __init__(self, space: SearchSpace, *, areas: bool) -> None:
        self.space = space
        self._areas = areas
        template = space.template
        self.sizes = sizes_of(space)
        names = {size.variable.name for size in self.sizes}
        others = [v for v in space.free if v.name not in names]
        count = math.prod(v.count for v in others)
        if count > _MOST_FRAMES:
            raise UnsolvableSpace(
                f"{count:,} combinations of {', '.join(v.name for v in others)}, which are more "
                f"than sizes of buffers; at most {_MOST_FRAMES:,} can be gone through"
            )
        self._choices = [size_values(size) for size in self.sizes]
        self._known_words: dict[tuple[object, ...], Ints] = {}
        choices = [[v.value_at(i) for i in range(v.count)] for v in others]
        self.frames: list[Values] = []
        self._made: list[Frame] = []
        unpriced: SpecError | None = None
        for chosen in itertools.product(*choices):
            values = {**space.fixed, **dict(zip((v.name for v in others), chosen, strict=True))}
            extremes = self._extremes(values)
            if extremes is None or not self._possible(values, *extremes):
                continue
            try:
                self._made.append(self._frame(values, extremes[1]))
            except SpecError as error:
                unpriced = error  # the chain has no price for what no size changes
            else:
                self.frames.append(values)
        if unpriced is not None and not self.frames:
            raise unpriced
        self.budget_bits = budget_bits(space)
        self.max_area_um2 = template.max_area_um2

    def _possible(self, frame: Values, smallest: Values, largest: Values) -> bool:
        """Whether some sizes might make a design of the frame that the template accepts.

        Args:
            frame: values of the other variables.
            smallest: sizes with the fewest words.
            largest: sizes with the most.
        """
        if self.space.template.admits({**frame, **smallest}):
            return True
        # a requirement on sizes: only every single design can tell
        asked = {n for r in self.space.template.requirements for n in r.names}
        return bool(asked & smallest.keys()) and self._builds({**frame, **largest})

    def _extremes(self, frame: Values) -> tuple[Values, Values] | None:
        """Return the values with the fewest and the most words; None where there are none."""
        smallest, largest = {}, {}
        for v, size in enumerate(self.sizes):
            variable = size.variable
            words = self._words(v, frame)
            possible = np.flatnonzero(words >= 0)
            if not len(possible):
                return None
            least, most = possible[words[possible].argmin()], possible[words[possible].argmax()]
            smallest[variable.name] = variable.value_at(int(least))
            largest[variable.name] = variable.value_at(int(most))
        return smallest, largest

    def _words(self, v: int, frame: Values) -> Ints:
        """Return the words at each value of a size in a frame, see `words_at`."""
        spec, name = level_specs(self.space)[self.sizes[v].level], self.sizes[v].variable.name
        mentioned = spec.size_words.names if spec.size_words is not None else ()
        key = (v, *((other, frame[other]) for other in sorted(mentioned) if other in frame))
        if key not in self._known_words:
            self._known_words[key] = words_at(spec, frame, name, self._choices[v])
        return self._known_words[key]

    def _builds(self, values: Values) -> bool:
        try:
            self.space.template.tree(values)
        except SpecError:
            return False
        return True

    def frame(self, index: int) -> Frame:
        """Return a frame."""
        return self._made[index]

    def _frame(self, values: Values, largest: Values) -> Frame:
        template, chain = self.space.template, self.space.chain
        tree = template.tree({**values, **largest})
        sized = {size.level for size in self.sizes}
        tables = tuple(self._table(tree, values, v) for v in range(len(self.sizes)))
        priced = price_others(chain, tree, sized)
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
        instances = tree.levels[size.level].instances
        words = self._words(v, values)
        return size_table(self.space, tree, size, words, areas=self._areas).times(instances)

    def values(self, frame: Frame, point: tuple[int, ...]) -> Values:
        """Return the values of all variables of one design."""
        chosen = {
            size.variable.name: size.variable.value_at(i)
            for size, i in zip(self.sizes, point, strict=True)
        }
        found = {**frame.values, **chosen}
        return {v.name: found[v.name] for v in self.space.template.variables}
