"""Design variables in groups that do not hang together, each with its distinct outcomes.

Two variables belong together where one thing depends on both: arithmetic, a requirement, the price
of a level, the meshes, the dimensions that a level's constraints name. All hardware is the product
of the groups' outcomes and the sizes (:mod:`dse.cosearch.sizes`); it need not be listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dse.cosearch.outcomes import Outcomes, TooManyOutcomesError, outcomes
from dse.cosearch.sizes import Size, UnsolvableSpace, is_priced_whole, level_specs
from dse.domain.architecture import AccessEnergy, Compute, Network, StorageLevel
from dse.domain.attribute import Attribute, declared
from dse.domain.expression import Expression
from dse.numeric import Flags, Floats
from dse.space.schema import ComputeSpec, LevelSpec
from dse.space.search_space import SearchSpace

MESH = ("mesh_x", "mesh_y")
RATES = ("read_bandwidth", "write_bandwidth", "shared_bandwidth")
_OF_LEVELS = {
    item.template: item
    for part in (StorageLevel, AccessEnergy, Network)
    for item in declared(part)
    if item.template
}
_OF_COMPUTE = {item.template: item for item in declared(Compute) if item.template}


@dataclass(frozen=True)
class FrameTerm:
    """Arithmetic of a template that tells frames apart.

    Attributes:
        key: ``PART/KEY``; of constraints ``PART/constraints/KIND/TABLE/DIMENSION``.
        expression: its arithmetic.
        within: what it has to be; None: anything.
    """

    key: str
    expression: Expression
    within: Attribute | None = None


def groups_of(space: SearchSpace, sizes: Sequence[Size]) -> list[Outcomes]:
    """Return the groups of a space's variables that are no sizes, with their outcomes.

    Raises:
        UnsolvableSpace: a group has too many.
    """
    sized = {size.variable.name for size in sizes}
    free = {v.name: v for v in space.free if v.name not in sized}
    arithmetic = list(wanted(space, sizes))
    groups = _connected(free, _ties(space, arithmetic, sizes))
    found = []
    for names in groups:
        own = [one for one in arithmetic if one.expression.names & names]
        rules = [
            rule
            for rule in space.template.requirements
            if rule.names & names and rule.names <= names | space.fixed.keys()
        ]
        variables = [free[name] for name in free if name in names]
        try:
            rows = outcomes(variables, space.fixed, {one.key: one.expression for one in own}, rules)
        except TooManyOutcomesError as error:
            raise UnsolvableSpace(str(error)) from error
        found.append(rows.take(_possible(space, own, rows)))
    return found


def wanted(space: SearchSpace, sizes: Sequence[Size]) -> Iterator[FrameTerm]:
    """Yield all arithmetic that depends on free variables, and what has to be told apart itself."""
    spec = space.template.spec
    sized = {size.variable.name for size in sizes}
    whole = is_priced_whole(space.chain)
    for part, known in _parts(space):
        for key, value in part:
            if not isinstance(value, Expression):
                continue
            if value.names & sized:
                for name in sorted(value.names - sized):
                    yield FrameTerm(f"{part.name}/{key}:{name}", Expression(name))
            else:
                yield FrameTerm(f"{part.name}/{key}", value, known.get(key))
    for level in spec.storage:
        for kind in ("temporal", "spatial"):
            for table in ("factors", "max_factors", "min_factors"):
                for name, value in getattr(getattr(level.constraints, kind), table).items():
                    yield FrameTerm(f"{level.name}/constraints/{kind}/{table}/{name}", value)
    if spec.technology is not None:
        for key in ("node_nm", "clock_ns"):
            yield FrameTerm(f"/technology/{key}", getattr(spec.technology, key))
    # what else a size's value has to go with: of outcomes that are equal, one stands for all
    bound = {n for rule in space.template.requirements if rule.names & sized for n in rule.names}
    for variable in space.free:
        kind = "choice" if variable.choices else "value"
        told = variable.choices or variable.name in bound or whole
        if told and variable.name not in sized:
            yield FrameTerm(f"/{kind}/{variable.name}", Expression(variable.name))


def _parts(
    space: SearchSpace,
) -> list[tuple[LevelSpec | ComputeSpec, dict[str, Attribute]]]:
    levels = [(level, _OF_LEVELS) for level in level_specs(space)]
    return [*levels, (space.template.spec.compute, _OF_COMPUTE)]


def is_price(key: str) -> bool:
    """Whether arithmetic of a level decides more than meshes, bandwidths and constraints."""
    return key.split("/", 1)[1] not in (*MESH, *RATES) and "/constraints/" not in key


def _ties(
    space: SearchSpace, arithmetic: Sequence[FrameTerm], sizes: Sequence[Size]
) -> Iterator[set[str]]:
    """Yield sets of names that hang together."""
    sized = {size.variable.name for size in sizes}
    for one in arithmetic:
        yield set(one.expression.names)
    for rule in space.template.requirements:
        yield set(rule.names - sized)

    def names(keys: Iterable[str]) -> set[str]:
        own = set(keys)
        return {name for one in arithmetic if one.key in own for name in one.expression.names}

    keys = [one.key for one in arithmetic]
    yield names(key for key in keys if key.split("/")[-1] in MESH)
    technology = [key for key in keys if key.startswith("/technology/")]
    for part, _ in _parts(space):
        own = [key for key in keys if key.startswith(f"{part.name}/") and is_price(key)]
        yield names([*own, *technology])
    for level in space.template.spec.storage:
        yield {v.name for v in space.free if v.choices and v.name in listed(level)}
    outermost = _outermost(space)
    if _most_words(space) is not None and outermost is not None:
        yield names(f"{outermost.name}/{key}" for key in ("read_bandwidth", "shared_bandwidth"))
    if is_priced_whole(space.chain):
        yield {name for one in arithmetic for name in one.expression.names}


def listed(level: LevelSpec) -> set[str]:
    """Return the names that a level's constraints give for dimensions."""
    found: set[str] = set()
    for loops in (level.constraints.temporal, level.constraints.spatial):
        for key in ("dimensions", "permutation", "suffix", "x", "y"):
            found |= set(getattr(loops, key, None) or ())
        for key in ("factors", "max_factors", "min_factors"):
            found |= set(getattr(loops, key))
    return found


def _connected(free: Iterable[str], ties: Iterable[set[str]]) -> list[set[str]]:
    """Return the sets of names that hang together."""
    groups = [{name} for name in free]
    for tie in ties:
        touched = [group for group in groups if group & tie]
        if touched:
            groups = [group for group in groups if not group & tie]
            groups.append(set().union(*touched))
    return groups


def _possible(space: SearchSpace, own: Sequence[FrameTerm], rows: Outcomes) -> Flags:
    """Return which outcomes some hardware may have: bounds of attributes, meshes, budget."""
    good = np.ones(len(rows), np.bool_)
    for one in own:
        item, column = one.within, rows.columns[one.key]
        if item is None:
            continue
        if item.kind is int:
            good &= column == np.floor(column)
        if item.at_least is not None:
            good &= column >= item.at_least
        if item.above is not None:
            good &= column > item.above
    mesh = Meshes(space, rows)
    if mesh.vary:
        good &= mesh.divide
        budget = space.template.spec.budget
        if budget is not None and budget.pes is not None:
            good &= mesh.instances(-1) <= budget.pes
    most, outermost = _most_words(space), _outermost(space)
    if most is not None and outermost is not None:
        read = column_of(space, rows, f"{outermost.name}/read_bandwidth", outermost)
        shared = column_of(space, rows, f"{outermost.name}/shared_bandwidth", outermost)
        keys = {f"{outermost.name}/{key}" for key in ("read_bandwidth", "shared_bandwidth")}
        if keys & rows.columns.keys():
            good &= np.minimum(read, shared) <= most
    return good


def column_of(
    space: SearchSpace, rows: Outcomes, key: str, part: LevelSpec | ComputeSpec
) -> Floats:
    """Return a part's attribute in all outcomes of a group that decides it; else the constant."""
    if key in rows.columns:
        return rows.columns[key]
    name = key.split("/", 1)[1]
    value = getattr(part, name)
    known = _OF_COMPUTE if isinstance(part, ComputeSpec) else _OF_LEVELS
    constant = known[name].default if value is None else value
    if isinstance(constant, Expression):
        constant = constant.value(space.fixed) if constant.names <= space.fixed.keys() else np.nan
    return np.full(len(rows), constant, np.float64)


class Meshes:
    """The meshes of all levels, and of the MACs last, in all outcomes of a group.

    Args:
        space: what is searched.
        rows: the outcomes.

    Attributes:
        vary: whether the group decides them.
        mesh: ``(L + 1, 2, R)``, from the innermost level to the outermost, then the MACs.
    """

    def __init__(self, space: SearchSpace, rows: Outcomes) -> None:
        parts = [part for part, _ in _parts(space)]
        keys = [f"{part.name}/{axis}" for part in parts for axis in MESH]
        self.vary = any(key in rows.columns for key in keys)
        self.mesh = np.array(
            [
                [column_of(space, rows, f"{part.name}/{axis}", part) for axis in MESH]
                for part in parts
            ]
        )

    def instances(self, part: int) -> Floats:
        """Return how many of a level there are, ``(R,)``; of -1: of the MACs."""
        product: Floats = self.mesh[part].prod(axis=0)
        return product

    @property
    def fanouts(self) -> Floats:
        """Fan-outs ``(L, 2, R)`` below all levels."""
        inner = np.concatenate([self.mesh[-1:], self.mesh[:-2]])
        found: Floats = inner / self.mesh[:-1]
        return found

    @property
    def divide(self) -> Flags:
        """Whether every level's mesh divides the one inside it, ``(R,)``."""
        fanouts = self.fanouts
        good: Flags = (fanouts == np.floor(fanouts)).all(axis=(0, 1))
        return good


def _outermost(space: SearchSpace) -> LevelSpec | None:
    """Return the outermost level on the chip."""
    chip = [level for level in space.template.spec.storage if level.class_.upper() != "DRAM"]
    return chip[0] if chip else None


def _most_words(space: SearchSpace) -> float | None:
    budget = space.template.spec.budget
    return None if budget is None else budget.noc_words_per_cycle


def plain(part: StorageLevel | Compute) -> StorageLevel | Compute:
    """Return what has to be the same of all that one corner stands for."""
    mesh: dict[str, Any] = dict.fromkeys((*MESH, "instances"), 1)
    if isinstance(part, Compute):
        return replace(part, **mesh, energy_pj=0.0, area_um2=0.0)
    rates: dict[str, Any] = dict.fromkeys(RATES, 1.0)
    return replace(
        part,
        **mesh,
        **rates,
        size_words=1,
        block_size=1,
        ports=1,
        banks=1,
        energy=AccessEnergy(),
        network=free(part.network),
        area_um2=0.0,
    )


def free(network: Network) -> Network:
    """Return a network that costs no energy."""
    none: dict[str, Any] = dict.fromkeys(
        ("wire_energy_pj", "router_energy_pj", "ingress_energy_pj"), 0.0
    )
    hop = None if network.hop_energy_pj is None else 0.0
    return replace(network, tile_width_um=None, hop_energy_pj=hop, **none)
