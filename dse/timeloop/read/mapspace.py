"""Reads ``architecture_constraints`` and ``mapspace_constraints`` as constraints of a mapspace."""

from __future__ import annotations

import re
from dataclasses import replace

from dse.domain.architecture import Architecture
from dse.domain.constraints import (
    Constraints,
    LevelConstraint,
    LoopConstraint,
    SpatialConstraint,
)
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.timeloop.read.mapping import find_level
from dse.timeloop.yaml.nodes import Entry

_FACTOR = re.compile(r"([A-Za-z]+)\s*(<=|=)?\s*([0-9]+)", re.ASCII)
_BYPASS = ("bypass", "datatype", "dataspace")


def read_constraints(
    root: Entry, architecture: Architecture, problem: Problem
) -> dict[str, LevelConstraint]:
    """Return the constraints of an input by storage level; several on one level add up.

    Raises:
        SpecError: a constraint names an unknown level, dimension or data space, or is of a kind
            that is not supported.
    """
    found: dict[str, LevelConstraint] = {}
    keys = ("architecture_constraints", "arch_constraints", "mapspace_constraints", "constraints")
    for key in keys:
        entry = root.get(key)
        if entry is None:
            continue
        targets = entry
        if entry.is_map:
            inner = entry.get("targets", "constraints")
            if inner is None:
                continue
            targets = inner
        for target in targets.items("expected a list of constraints"):
            level = architecture.levels[find_level(target, architecture)].name
            nested = target.get("constraints")
            for rule in nested.items() if nested is not None else [target]:
                before = found.get(level, LevelConstraint())
                found[level] = _added(before, rule, problem)
    return found


def _merged(first: Constraints, second: Constraints) -> dict[str, LevelConstraint]:
    """Return both; where both speak of a level, the second replaces the first."""
    return {**first, **second}


def _added(level: LevelConstraint, rule: Entry, problem: Problem) -> LevelConstraint:
    kind = rule.need("type", "temporal, spatial or bypass").text()
    try:
        if kind in _BYPASS:
            return replace(
                level,
                keep=_union(level.keep, _tensors(rule, "keep", problem)),
                bypass=_union(level.bypass, _tensors(rule, "bypass", problem)),
            )
        if kind == "temporal":
            names = _tensors(rule, "no_temporal_reuse", problem)
            names += _tensors(rule, "no_reuse", problem)
            return replace(
                level,
                temporal=_loops(level.temporal, rule, problem),
                no_temporal_reuse=_union(level.no_temporal_reuse, names),
            )
        if kind == "spatial":
            names = _tensors(rule, "no_multicast_no_reduction", problem)
            names += _tensors(rule, "no_reuse", problem)
            links = _tensors(rule, "no_link_transfer", problem)
            return replace(
                level,
                spatial=_spatial(level.spatial, rule, problem),
                no_multicast=_union(level.no_multicast, names),
                no_link_transfer=_union(level.no_link_transfer, links),
            )
    except SpecError as error:
        if str(error).startswith(rule.node.source):
            raise
        raise SpecError(f"{rule.where}: {error}") from error
    if kind in ("utilization", "parallelism", "max_overbooked_proportion"):
        raise rule.refuse(f"constraints of type '{kind}' are not supported")
    raise rule.need("type", "").fail("expected temporal, spatial or bypass")


def _loops(loops: LoopConstraint, rule: Entry, problem: Problem) -> LoopConstraint:
    factors, most = dict(loops.factors), dict(loops.max_factors)
    entry = rule.get("factors")
    if entry is not None:
        text = " ".join(entry.names()) if entry.is_list else entry.text()
        for name, relation, number in _FACTOR.findall(text.partition("#")[0]):
            if name not in problem.dimensions:
                known = ", ".join(problem.dimensions)
                raise entry.fail(f"unknown dimension '{name[:80]}', expected one of {known}")
            table = most if relation == "<=" else factors
            table[name] = int(number)
    order = loops.permutation
    permutation = rule.get("permutation")
    if permutation is not None:
        order = _order(permutation, problem)
    return replace(loops, factors=factors, max_factors=most, permutation=order)


def _spatial(loops: SpatialConstraint, rule: Entry, problem: Problem) -> SpatialConstraint:
    loops_with = _loops(loops, rule, problem)
    assert isinstance(loops_with, SpatialConstraint)
    split = rule.get("split")
    if split is None:
        return loops_with
    listed = loops_with.permutation or ()
    order = (*listed, *(d for d in problem.dimensions if d not in listed))
    places = split.integer()
    return replace(loops_with, x=order[:places], y=order[places:])


def _order(entry: Entry, problem: Problem) -> tuple[str, ...]:
    letters = "".join(entry.names()) if entry.is_list else entry.text()
    order = tuple(x for x in letters if not x.isspace() and x != ",")
    for name in order:
        if name not in problem.dimensions:
            known = "".join(problem.dimensions)
            raise entry.fail(f"unknown dimension '{name}', expected letters of {known}")
    return order


def _tensors(rule: Entry, key: str, problem: Problem) -> tuple[str, ...]:
    entry = rule.get(key)
    names = entry.names("expected a list of data spaces") if entry is not None else []
    for name in names:
        if name not in problem.tensors:
            assert entry is not None
            known = ", ".join(problem.tensors)
            raise entry.fail(f"unknown data space '{name[:80]}', expected one of {known}")
    return tuple(names)


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return (*first, *(name for name in second if name not in first))
