"""Boxes of hardware: some outcomes of every group of variables, and a range of each size.

A box is a product, so it may hold more hardware than could ever be listed. Whatever bounds it is
taken from the groups one by one, and from the prices of the levels, each of which depends on one
group and one size at most.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dse.cosearch.groups import Meshes, groups_of, is_price, listed, plain
from dse.cosearch.outcomes import Outcomes
from dse.cosearch.sizes import (
    Size,
    SizeTable,
    UnsolvableSpace,
    budget_bits,
    is_priced_whole,
    least_of,
    level_specs,
    size_table,
    size_values,
    sizes_of,
    words_at,
)
from dse.cosearch.union import Choice
from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.errors import SpecError
from dse.numeric import Floats, Ints
from dse.space.schema import LevelSpec
from dse.space.search_space import SearchSpace
from dse.space.variable import Values

#: Boxes that the search begins with: outcomes that no corner stands for together.
_MOST_APART = 10_000
RowNumbers = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Box:
    """Outcomes of every group, and sizes ``low .. high`` (places in their variables).

    Attributes:
        rows: of each group the numbers of its outcomes, growing.
        low, high: ``(V,)`` each, both inclusive.
    """

    rows: tuple[RowNumbers, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def is_frame(self) -> bool:
        """Whether its hardware differs in sizes only."""
        return all(len(rows) == 1 for rows in self.rows)

    @property
    def is_single(self) -> bool:
        """Whether it is one piece of hardware."""
        return self.is_frame and self.low == self.high

    @property
    def frames(self) -> int:
        """How many choices there are of what is no size."""
        return math.prod(len(rows) for rows in self.rows)

    def with_rows(self, group: int, rows: RowNumbers) -> Box:
        """Return the box with other outcomes of a group."""
        return replace(self, rows=(*self.rows[:group], rows, *self.rows[group + 1 :]))

    def with_range(self, v: int, low: int, high: int) -> Box:
        """Return the box with another range of a size."""
        return replace(
            self,
            low=(*self.low[:v], low, *self.low[v + 1 :]),
            high=(*self.high[:v], high, *self.high[v + 1 :]),
        )


@dataclass(frozen=True)
class LevelKind:
    """A level, or the MACs, as one outcome of the variables of its price makes it.

    Attributes:
        level: priced, but for its size where that is a variable's.
        table: of its sizes, for one instance; None where no variable sets the size alone.
    """

    level: StorageLevel | Compute
    table: SizeTable | None


class HardwareBoxes:
    """All hardware of a search space, as boxes.

    Args:
        space: what is searched.
        areas: whether areas matter, to the objective or to a limit.

    Attributes:
        sizes: the size variables.
        groups: outcomes of the other variables.
        most_bits: on the chip, by the template's budget; infinite without one.

    Raises:
        UnsolvableSpace: it is beyond what can be bounded.
    """

    def __init__(self, space: SearchSpace, *, areas: bool) -> None:
        self.space, self._areas = space, areas
        self.sizes: tuple[Size, ...] = sizes_of(space)
        self.groups: list[Outcomes] = groups_of(space, self.sizes)
        self.names = [level.name for level in reversed(space.template.spec.storage)]
        self._parts = [*self.names, space.template.spec.compute.name]
        self._sized = {size.level: v for v, size in enumerate(self.sizes)}
        self.most_bits = budget_bits(space)
        self._kinds: dict[tuple[int, int], LevelKind] = {}
        self._mesh_group = next(
            (g for g, rows in enumerate(self.groups) if Meshes(space, rows).vary), None
        )

    @property
    def count(self) -> int:
        """How much hardware there may be."""
        sizes = math.prod(size.variable.count for size in self.sizes)
        return sizes * math.prod(len(rows) for rows in self.groups)

    # boxes

    def roots(self) -> list[Box]:
        """Return boxes that hold all hardware, each of which a corner may stand for.

        Raises:
            UnsolvableSpace: there are too many.
        """
        if not all(len(rows) for rows in self.groups):
            return []
        low = tuple(0 for _ in self.sizes)
        high = tuple(size.variable.count - 1 for size in self.sizes)
        parts = [self._alike(g) for g in range(len(self.groups))]
        if math.prod(map(len, parts)) > _MOST_APART:
            names = ", ".join(v.name for rows in self.groups for v in rows.variables)
            raise UnsolvableSpace(
                f"more than {_MOST_APART:,} kinds of hardware, by {names}, that have to be looked "
                "at one by one"
            )
        return [Box(rows, low, high) for rows in itertools.product(*parts)]

    def frames_of(self, box: Box) -> list[Box]:
        """Return the frames of a box, one by one, those of the most MACs last."""
        parts = [[rows[i : i + 1] for i in range(len(rows))] for rows in box.rows]
        found = [replace(box, rows=rows) for rows in itertools.product(*parts)]
        macs = self.meshes.instances(-1)
        return sorted(found, key=lambda one: float(macs[self.mesh_rows(one)[0]]))

    def _alike(self, g: int) -> list[RowNumbers]:
        """Return the outcomes of a group, in parts that corners may stand for."""
        parts: dict[str, list[int]] = {}
        own = [part for part in range(len(self._parts)) if self._price_group[part] == g]
        for row in range(len(self.groups[g])):
            same = [plain(self._kind(part, int(self._kind_of[part][row])).level) for part in own]
            parts.setdefault(repr(same), []).append(row)
        return [np.array(rows, np.intp) for rows in parts.values()]

    def values(self, box: Box) -> Values:
        """Return the values of all variables of the first hardware of a box, at its least sizes."""
        found = dict(self.space.fixed)
        for rows, chosen in zip(self.groups, box.rows, strict=True):
            found |= rows.values(int(chosen[0]))
        for size, place in zip(self.sizes, box.low, strict=True):
            found[size.variable.name] = size.variable.value_at(place)
        return {v.name: found[v.name] for v in self.space.template.variables}

    def choices(self, spec: LevelSpec, box: Box) -> list[Choice]:
        """Return all that a level's variables with choices may stand for together."""
        named = [v for v in self.space.template.variables if v.choices and v.name in listed(spec)]
        found = []
        for g, rows in enumerate(self.groups):
            keys = [f"/choice/{v.name}" for v in named if f"/choice/{v.name}" in rows.columns]
            if keys:
                table = np.array([rows.columns[key][box.rows[g]] for key in keys], np.int64)
                for row in np.unique(table, axis=1).T:
                    found.append(dict(zip(keys, row.tolist(), strict=True)))
        fixed = {f"/choice/{name}": value for name, value in self.space.fixed.items()}
        return [
            Choice({v.name: v.meanings[{**fixed, **chosen}[f"/choice/{v.name}"]] for v in named})
            for chosen in found or [{}]
        ]

    # what bounds a box

    @cached_property
    def _price_group(self) -> list[int | None]:
        """The group that decides the price of each part; None: all hardware has one."""
        return [
            next((g for g, rows in enumerate(self.groups) if self._price_keys(part, rows)), None)
            for part in range(len(self._parts))
        ]

    def _price_keys(self, part: int, rows: Outcomes) -> list[str]:
        if is_priced_whole(self.space.chain):
            return list(rows.columns)
        name = self._parts[part]
        return [
            key
            for key in rows.columns
            if key.startswith("/technology/") or (key.startswith(f"{name}/") and is_price(key))
        ]

    @cached_property
    def _kind_of(self) -> list[Ints]:
        """For every part the number of its kind, by outcome of the group that decides it."""
        found = []
        for part, g in enumerate(self._price_group):
            if g is None:
                found.append(np.zeros(1, np.int64))
                continue
            rows = self.groups[g]
            columns = [rows.columns[key] for key in self._price_keys(part, rows)]
            kinds = np.unique(np.array(columns), axis=1, return_inverse=True)[1]
            found.append(kinds.reshape(-1).astype(np.int64))
        return found

    def kinds(self, part: int, box: Box) -> list[LevelKind]:
        """Return the kinds of a level, or of the MACs (-1), that a box has."""
        part %= len(self._parts)
        g = self._price_group[part]
        numbers = np.zeros(1, np.int64) if g is None else self._kind_of[part][box.rows[g]]
        return [self._kind(part, int(number)) for number in np.unique(numbers)]

    def _kind(self, part: int, number: int) -> LevelKind:
        key = part, number
        if key not in self._kinds:
            self._kinds[key] = self._make_kind(part, number)
        return self._kinds[key]

    def _make_kind(self, part: int, number: int) -> LevelKind:
        g = self._price_group[part]
        rows = [np.zeros(1, np.intp) for _ in self.groups]
        if g is not None:
            rows[g] = np.flatnonzero(self._kind_of[part] == number)[:1]
        high = tuple(size.variable.count - 1 for size in self.sizes)
        values = self.values(Box(tuple(rows), high, high))
        chain = self.space.chain
        try:
            tree = self.space.template.tree(values)
            if is_priced_whole(chain):
                whole = chain.price(tree)
                made = whole.compute if part == len(whole.levels) else whole.levels[part]
                return LevelKind(made, None)
            if part == len(self._parts) - 1:
                return LevelKind(chain.price_compute(tree.compute, tree.technology), None)
            level = tree.levels[part]
            if part not in self._sized:
                return LevelKind(chain.price_storage(level, tree.technology), None)
        except SpecError as error:
            raise UnsolvableSpace(str(error)) from error
        size = self.sizes[self._sized[part]]
        spec = level_specs(self.space)[part]
        words = words_at(spec, values, size.variable.name, size_values(size))
        return LevelKind(level, size_table(self.space, tree, size, words, areas=self._areas))

    @cached_property
    def meshes(self) -> Meshes:
        """The meshes of all levels, by outcome of the group that decides them."""
        g = self._mesh_group
        none = Outcomes((), {}, np.zeros(1, np.int64))
        return Meshes(self.space, none if g is None else self.groups[g])

    def mesh_rows(self, box: Box) -> RowNumbers:
        """Return the outcomes of meshes that a box has."""
        return np.zeros(1, np.intp) if self._mesh_group is None else box.rows[self._mesh_group]

    def within_budget(self, box: Box) -> Box | None:
        """Return a box without what no hardware of it can afford; None: nothing is left."""
        if not self._is_priced(box):
            return None
        if math.isinf(self.most_bits):
            return box
        rows = self.mesh_rows(box)
        left = self.most_bits - self.least_bits(box, rows)
        able = left >= 0.0
        if not able.any():
            return None
        rows, left = rows[able], left[able]
        if self._mesh_group is not None:
            box = box.with_rows(self._mesh_group, rows)
        for v, size in enumerate(self.sizes):
            instances = self.meshes.instances(size.level)[rows]
            more = float((left / instances).max())
            places = []
            for kind in self.kinds(size.level, box):
                if kind.table is not None:
                    bits = kind.table.bits
                    places.append(int(np.searchsorted(bits, bits[box.low[v]] + more, side="right")))
            box = box.with_range(v, box.low[v], min(box.high[v], max(places) - 1))
        return box

    def _is_priced(self, box: Box) -> bool:
        """Whether the chain has a price for some size of every level."""
        for v, size in enumerate(self.sizes):
            tables = [kind.table for kind in self.kinds(size.level, box)]
            some = [t.price_pj[box.low[v] : box.high[v] + 1] for t in tables if t is not None]
            if all(np.isnan(prices).any(axis=1).all() for prices in some):
                return False
        return True

    def least_bits(self, box: Box, rows: RowNumbers) -> Floats:
        """Return the bits on the chip of a box's smallest sizes, by outcome of the meshes."""
        total = np.zeros(len(rows))
        for part in range(len(self.names)):
            some = [self._least_bits(part, kind, box) for kind in self.kinds(part, box)]
            total += min(some) * self.meshes.instances(part)[rows]
        return total

    def _least_bits(self, part: int, kind: LevelKind, box: Box) -> float:
        level = kind.level
        if not isinstance(level, StorageLevel) or level.is_dram:
            return 0.0
        if kind.table is not None:
            return float(kind.table.bits[box.low[self._sized[part]]])
        return float((level.size_words or 0) * level.word_bits)

    def least_area(self, box: Box) -> float:
        """Return the least area of a box, in um^2; a little too low."""
        rows = self.mesh_rows(box)
        total = np.zeros(len(rows))
        for part in range(len(self._parts)):
            some = []
            for kind in self.kinds(part, box):
                if kind.table is None:
                    some.append(kind.level.area_um2)
                else:
                    v = self._sized[part]
                    some.append(least_of(kind.table.area_um2, box.low[v], box.high[v]))
            index = -1 if part == len(self.names) else part
            total += min(some) * self.meshes.instances(index)[rows]
        # the template's sum adds up in another order
        return float(total.min()) * (1.0 - 1e-14)

    def smallest(self, box: Box, need: Ints) -> tuple[int, ...] | None:
        """Return the smallest sizes of a frame that hold so many words ``(V,)``.

        None where none of the box do.
        """
        found = []
        for v, size in enumerate(self.sizes):
            (kind,) = self.kinds(size.level, box)
            if kind.table is None:
                raise AssertionError("a size without a table")
            place = int(np.searchsorted(kind.table.usable_words, need[v]))
            place = max(place, box.low[v])
            if place > box.high[v]:
                return None
            found.append(place)
        return tuple(found)

    def tree(self, box: Box) -> Architecture | None:
        """Return the first hardware of a box at its largest sizes, without prices."""
        try:
            return self.space.template.tree(self.values(replace(box, low=box.high)))
        except SpecError:
            return None
