"""Uneven mappings: each tensor of a level stands at its own loops, as in ZigZag and AccelForge.

A level that keeps several tensors is divided into as many levels, stacked one on the other, each
of which keeps one of them and lets the others pass. What stands between two of them are temporal
loops, so a tensor that is kept further outside has a larger tile, and stays for longer. To the
model all of them are parts of one buffer: tiles share its capacity, accesses its bandwidths, and it
leaks and takes area once. Each part counts as a Timeloop level that keeps and bypasses does, so the
counts are Timeloop's. An even mapping has all loops of the level at the innermost part.

Which tensor stands at which part is fixed before the search: there is one architecture for each
order of the tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, permutations, product

from dse.domain.architecture import Architecture, HardwareBatch, Network, StorageLevel
from dse.domain.constraints import Constraints, LevelConstraint, LoopConstraint, for_problem
from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name

#: Orders of tensors, over all levels, that are searched one by one.
MOST_ORDERS = 64
_KEY = "mapspace.uneven"
_EXPECTED = "expected false, true, or names of storage levels"


def levels_asked(value: object) -> tuple[str, ...] | None:
    """Return the levels that the setting ``mapspace.uneven`` names; None: all that can be.

    Args:
        value: false, true, a name, names with commas between, or a list of names.

    Raises:
        SpecError: it is something else.
    """
    if isinstance(value, bool) or value is None:
        return None if value else ()
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(n, str) and n.strip() for n in names):
        raise SpecError(f"{_KEY} = {value!r}: {_EXPECTED}")
    found = tuple(dict.fromkeys(n.strip() for n in names))
    if [n.lower() for n in found] in (["true"], ["false"]):
        return levels_asked(found[0].lower() == "true")
    return found


def divided(
    architecture: Architecture,
    problem: Problem,
    constraints: Constraints,
    names: Sequence[str] | None,
) -> HardwareBatch:
    """Return an architecture with levels in parts, once for each order of their tensors.

    The inmost part of a level has its name, its constraints on loops and its network; at the others
    any temporal loops may stand.

    Args:
        architecture: priced.
        problem: what is to be mapped.
        constraints: of the mapspace.
        names: of the levels; None: all that can be divided.

    Raises:
        SpecError: a level is unknown, or its parts would not count as the level does; or there are
            more than :data:`MOST_ORDERS` orders.
    """
    rules = for_problem(constraints, problem)
    known = [level.name for level in architecture.levels]
    for name in names or ():
        if name not in known:
            raise SpecError(f"{_KEY}: {unknown_name('storage level', name, known)}")
    reasons = {name: _refusal(architecture, problem, rules, name) for name in names or known}
    if names is None:
        names = [name for name, reason in reasons.items() if reason is None]
        if not names:
            told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise SpecError(f"{_KEY} = true: no level can be divided ({told})")
    for name in names:
        if reasons[name] is not None:
            raise SpecError(f"{_KEY} = {name}: {reasons[name]}")
    orders = [_orders(problem, rules.get(name, _FREE)) for name in names]
    count = math.prod(map(len, orders))
    if count > MOST_ORDERS:
        raise SpecError(
            f"{_KEY} = {', '.join(names)}: {count} orders of their tensors, expected at most "
            f"{MOST_ORDERS}; name fewer levels"
        )
    return HardwareBatch(
        tuple(
            _in_parts(architecture, problem, rules, dict(zip(names, chosen, strict=True)))
            for chosen in product(*orders)
        )
    )


_FREE = LevelConstraint()


def _refusal(
    architecture: Architecture, problem: Problem, rules: Constraints, name: str
) -> str | None:
    """Return why parts of a level would not count as the level does; None: they would."""
    s = architecture.level_index(name)
    level = architecture.levels[s]
    if architecture.sparse is not None:
        return "the design is sparse, and words that are 0 take no room"
    if architecture.singly is not None:
        return f"{architecture.singly} are modelled for single mappings only"
    if s == len(architecture.levels) - 1:
        return "it is the outermost level, outside of which there are no loops"
    if level.min_utilization:
        return "it has a min_utilization, which its parts cannot reach one by one"
    if sum(t not in rules.get(name, _FREE).bypass for t in problem.tensors) < 2:
        return "it keeps fewer than two tensors"
    window = _output_window(problem)
    if window is not None:
        return f"{window} is read and written, and its tiles overlap as they move"
    return _network_refusal(architecture, problem, rules, s)


def _output_window(problem: Problem) -> str | None:
    """Return the name of a tensor that is written and moves as a window; None: there is none."""
    c = abs(problem.projection)
    windows = ((c > 0).sum(axis=2) > 1) | (c.sum(axis=2) > 1)
    for t, name in enumerate(problem.tensors):
        if problem.read_write[t] and windows[t].any():
            return name
    return None


def _network_refusal(
    architecture: Architecture, problem: Problem, rules: Constraints, s: int
) -> str | None:
    """Return what of the networks below level s, or outside of it, parts would change."""
    level = architecture.levels[s]
    hops = architecture.hop_energies_pj()
    if not level.can_reduce and (
        hops[s] or level.network.router_energy_pj or level.network.ingress_energy_pj
    ):
        return "it does not reduce partial sums, and the network below it has a price"
    for u in range(s + 1, len(architecture.levels)):
        outer = architecture.levels[u]
        if architecture.fanout(u) == (1, 1):
            continue
        if hops[u] or outer.network.router_energy_pj:
            return f"the network below {outer.name} prices hops, which parts would change"
        linked = set(problem.tensors) - set(rules.get(outer.name, _FREE).no_link_transfer)
        if linked:
            return (
                f"its instances may pass {min(linked)} on to each other below {outer.name}, which "
                "its parts could not (no_link_transfer says that they do not)"
            )
    return None


def _orders(problem: Problem, rules: LevelConstraint) -> list[tuple[str, ...]]:
    """Return which tensors a level may keep, the one of the inmost part first."""
    fixed = [t for t in problem.tensors if t in rules.keep]
    free = [t for t in problem.tensors if t not in rules.keep and t not in rules.bypass]
    kept = (combinations(free, n) for n in range(len(free), -1, -1))
    return [order for some in kept for more in some for order in permutations((*fixed, *more))]


def _in_parts(
    architecture: Architecture,
    problem: Problem,
    rules: Constraints,
    orders: dict[str, tuple[str, ...]],
) -> Architecture:
    """Return the architecture with these levels in parts, of which each keeps one tensor."""
    levels: list[StorageLevel] = []
    found = dict(rules)
    names = {level.name for level in architecture.levels}
    for level in architecture.levels:
        if level.name not in orders:
            levels.append(level)
            continue
        own = rules.get(level.name, _FREE)
        most = sum(t not in own.bypass for t in problem.tensors)
        parts = list(_parts(level, most, names))
        levels += parts
        for number, part in enumerate(parts):
            kept = orders[level.name][number : number + 1]
            bypass = tuple(t for t in problem.tensors if t not in kept)
            if number == 0:
                found[level.name] = replace(own, keep=kept, bypass=bypass)
                continue
            loops = LoopConstraint() if kept else LoopConstraint(dimensions=())
            found[part.name] = LevelConstraint(
                kept, bypass, loops, no_temporal_reuse=own.no_temporal_reuse
            )
    return replace(architecture, levels=tuple(levels), constraints=found)


def _parts(level: StorageLevel, count: int, names: set[str]) -> Iterator[StorageLevel]:
    """Yield the parts of a level from the inside out; ``names`` are taken."""
    yield level
    for number in range(2, count + 1):
        name = f"{level.name}_{number}"
        while name in names:
            name += "_"
        yield replace(
            level,
            name=name,
            part_of=level.name,
            area_um2=0.0,
            energy=replace(level.energy, leak_pj=0.0),
            network=Network(
                hop_energy_pj=0.0, reduction_supported=level.network.reduction_supported
            ),
        )
