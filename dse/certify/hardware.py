"""All hardware of a search space, read from the template for the second time.

A variable whose name stands in the size of one buffer and nowhere else changes no count and no
cycle of a mapping, only whether it fits and what an access costs: a *capacity*. A choice of all
other variables is a *chip*, built by the template like any design, with its buffers' sizes open.
Nothing is taken from what the name or the role of a variable may be: what a variable touches is
looked up in every expression and every list of names of the file, and checked on built hardware.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from dse.certify.objective import CheckedGoal
from dse.certify.prices import Pricer
from dse.certify.verdict import NotCoveredError
from dse.components.base import EnergyChain
from dse.domain.architecture import AccessEnergy, Architecture
from dse.domain.expression import Expression
from dse.errors import SpecError
from dse.space.rules import Relation
from dse.space.search_space import SearchSpace
from dse.space.variable import Values, Variable

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Chips that are gone through, and sizes of buffers that are looked up for all of them.
MOST_CHIPS = 20_000
_MOST_SIZES = 20_000_000


@dataclass(frozen=True)
class Capacity:
    """A variable that sets the size of one level and nothing else."""

    level: int
    variable: Variable


@dataclass(frozen=True)
class Sizes:
    """What the V values of a capacity do on a chip.

    Attributes:
        usable_words: ``(V,)`` what tiles may take; -1 where there is no such hardware.
        price_pj: ``(V, 4)`` of a read, fill and update, and of a cycle of leakage; infinite where
            there is no such hardware.
        area_um2, bits: ``(V,)`` of all instances.
    """

    usable_words: Ints
    price_pj: Floats
    area_um2: Floats
    bits: Floats


@dataclass(frozen=True)
class Chip:
    """One choice of all variables but the capacities.

    Attributes:
        values: those variables.
        architecture: priced, but for the levels with a capacity; their size is any possible one.
        sizes: by capacity.
        area_um2, bits: of everything else.
    """

    values: Values
    architecture: Architecture
    sizes: tuple[Sizes, ...]
    area_um2: float
    bits: float


class Hardware:
    """See the module.

    Args:
        space: what was searched.
        goal: what was minimised.

    Attributes:
        capacities: the variables that set nothing but a size.
        chips: those of which a design may be possible.

    Raises:
        NotCoveredError: there are too many chips.
    """

    def __init__(self, space: SearchSpace, goal: CheckedGoal) -> None:
        self.space, self._areas = space, goal.needs_area
        self.capacities = _capacities(space)
        names = {c.variable.name for c in self.capacities}
        others = [v for v in space.template.variables if v.name not in names]
        free = [v for v in others if v.name not in space.fixed]
        count = math.prod(v.count for v in free)
        if count > MOST_CHIPS:
            named = ", ".join(v.name for v in free)
            raise NotCoveredError(f"{count:,} combinations of {named}; covered are {MOST_CHIPS:,}")
        if count * sum(c.variable.count for c in self.capacities) > _MOST_SIZES:
            sized = ", ".join(sorted(names))
            raise NotCoveredError(f"{count:,} combinations with all values of {sized}")
        self._pricer = Pricer(space.chain, areas=self._areas)
        self._words: dict[tuple[object, ...], Ints] = {}
        chosen = _combinations(space, others)
        made = (self._chip(values) for values in chosen)
        self.chips = tuple(chip for chip in made if chip is not None)
        budget = space.template.spec.budget
        most = budget.on_chip_bytes if budget else None
        self.most_bits = math.inf if most is None else 8.0 * most

    def values(self, chip: Chip, point: tuple[int, ...]) -> Values:
        """Return the values of all variables of one design."""
        sized = {
            c.variable.name: c.variable.value_at(i)
            for c, i in zip(self.capacities, point, strict=True)
        }
        return {**chip.values, **sized}

    def _chip(self, values: Values) -> Chip | None:
        """Return a chip; None where the template lets no sizes make a design of it."""
        template = self.space.template
        try:
            for relation in template.requirements:
                if relation.names <= values.keys():
                    relation.check(values)
        except SpecError:
            return None
        words = [self._words_of(c, values) for c in self.capacities]
        if any((w < 0).all() for w in words):
            return None
        any_size = {
            c.variable.name: c.variable.value_at(int(w.argmax()))
            for c, w in zip(self.capacities, words, strict=True)
        }
        try:
            tree = template.tree({**values, **any_size})
        except SpecError:
            return None  # of sizes that are possible each for itself, whatever they are
        if self._over_budget(tree):
            return None
        self._check_capacities(tree, values, words)
        try:
            return self._priced(values, tree, words)
        except SpecError:
            return None  # the chain has no price for what no size changes

    def _priced(self, values: Values, tree: Architecture, words: list[Ints]) -> Chip:
        sized = {c.level for c in self.capacities}
        rest = tuple(x for s, x in enumerate(tree.levels) if s not in sized)
        if sized:
            known = self.space.chain.price(replace(tree, levels=rest))
            priced = iter(known.levels)
            levels = tuple(
                replace(x, energy=AccessEnergy(), area_um2=0.0) if s in sized else next(priced)
                for s, x in enumerate(tree.levels)
            )
            tree = replace(tree, levels=levels, compute=known.compute)
        else:
            tree = self.space.chain.price(tree)
        sizes = []
        for c, own in zip(self.capacities, words, strict=True):
            level = tree.levels[c.level]
            price, each = self._pricer.of(level, tree, own)
            usable = np.floor(own / level.multiple_buffering).astype(np.int64)
            sizes.append(
                Sizes(
                    usable_words=np.where(own < 0, -1, usable),
                    price_pj=price,
                    area_um2=each * level.instances,
                    bits=own.astype(np.float64) * float(level.word_bits * level.instances),
                )
            )
        fixed = [x for s, x in enumerate(tree.levels) if s not in sized]
        bits = sum((x.size_words or 0) * x.word_bits * x.instances for x in fixed if not x.is_dram)
        area = sum(x.area_um2 * x.instances for x in fixed)
        area += tree.compute.area_um2 * tree.compute.instances
        return Chip(values, tree, tuple(sizes), area, float(bits))

    def _words_of(self, capacity: Capacity, values: Mapping[str, int]) -> Ints:
        """Return the size in words by value of a capacity; -1 where it is none."""
        spec = self.space.template.spec.storage[-1 - capacity.level]
        expression, name = spec.size_words, capacity.variable.name
        if expression is None:
            raise NotCoveredError(f"level '{spec.name}' has a capacity but no size")
        asked = tuple((n, values[n]) for n in sorted(expression.names) if n != name)
        key = (capacity.level, asked)
        if key not in self._words:
            found = np.full(capacity.variable.count, -1, np.int64)
            known: dict[str, int] = dict(asked)
            for i in range(capacity.variable.count):
                known[name] = capacity.variable.value_at(i)
                try:
                    found[i] = max(expression.integer(known), -1)
                except SpecError:
                    continue
            self._words[key] = found
        return self._words[key]

    def _over_budget(self, tree: Architecture) -> bool:
        """Whether a chip breaks a budget whatever its sizes are."""
        budget = self.space.template.spec.budget
        if budget is None:
            return False
        on_chip = [level for level in tree.levels if not level.is_dram]
        if budget.pes is not None and tree.compute.instances > budget.pes:
            return True
        if budget.noc_words_per_cycle is None or not on_chip:
            return False
        outermost = on_chip[-1]
        words = min(outermost.read_bandwidth, outermost.shared_bandwidth)
        return words > budget.noc_words_per_cycle

    def _check_capacities(self, tree: Architecture, values: Values, words: list[Ints]) -> None:
        """Check on hardware that the template builds that a capacity changes a size alone."""
        for c, own in zip(self.capacities, words, strict=True):
            possible = np.flatnonzero(own >= 0)
            for i in {int(possible[0]), int(possible[len(possible) // 2]), int(possible[-1])}:
                sizes = {
                    other.variable.name: other.variable.value_at(int(w.argmax()))
                    for other, w in zip(self.capacities, words, strict=True)
                }
                sizes[c.variable.name] = c.variable.value_at(i)
                try:
                    built = self.space.template.tree({**values, **sizes})
                except SpecError as error:
                    raise NotCoveredError(str(error)) from error
                resized = replace(tree.levels[c.level], size_words=int(own[i]))
                same = tree.with_levels(**{resized.name: resized})
                if built != same or built.constraints != tree.constraints:
                    raise NotCoveredError(
                        f"variable {c.variable.name} changes more than the size of "
                        f"level '{resized.name}'"
                    )


def _combinations(space: SearchSpace, variables: Sequence[Variable]) -> Iterator[Values]:
    """Yield all values of some variables; those that the user fixed have one."""
    lists = [
        (space.fixed[v.name],) if v.name in space.fixed else map(v.value_at, range(v.count))
        for v in variables
    ]
    for chosen in itertools.product(*lists):
        yield dict(zip((v.name for v in variables), chosen, strict=True))


def _capacities(space: SearchSpace) -> tuple[Capacity, ...]:
    """Return the capacities; of two for one level the one with more values."""
    spec = space.template.spec
    chain = space.chain
    levels = list(reversed(spec.storage))
    # where a chain prices whole hardware, or wires are as long as what lies below them is wide,
    # a size has a say in more than its own level's price
    if type(chain).price is not EnergyChain.price or any(level.wires for level in levels):
        return ()
    places: dict[str, list[str]] = {}
    for path, name in _named(spec, ""):
        places.setdefault(name, []).append(path)
    found = []
    for s, level in enumerate(levels):
        number = len(levels) - 1 - s
        able = [
            v
            for v in space.free
            if not v.choices and places.get(v.name) == [f".storage.{number}.size_words"]
        ]
        # a least utilisation is a share of the size
        plain = level.min_utilization.source == 0 and level.class_.upper() != "DRAM"
        if able and plain:
            found.append(Capacity(s, max(able, key=lambda v: v.count)))
    # the compute is priced along with a level of fixed size
    return tuple(found) if len(found) < len(levels) else ()


def _named(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield key path and name for everything of a template that may be a variable's name.

    ``require`` is left out: what it forbids is looked at on every single design, and a bound is
    none the worse for looking at what cannot be built. ``derived`` is inlined where it is used.
    """
    if isinstance(value, (Expression, Relation)):
        for name in value.names:
            yield path, name
    elif isinstance(value, BaseModel):
        for key in type(value).model_fields:
            if path == "" and key in ("variables", "derived", "require"):
                continue
            yield from _named(getattr(value, key), f"{path}.{key}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield path, str(key)
            yield from _named(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _named(item, f"{path}.{number}")
    elif isinstance(value, str):
        yield path, value
    elif not (value is None or isinstance(value, (int, float))):
        raise NotCoveredError(f"template{path} holds a {type(value).__name__}")
