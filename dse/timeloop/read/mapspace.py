"""Reads the constraints of Timeloop's mapper as constraints of a mapspace.

They stand in the architecture (``constraints``), in ``architecture_constraints``, and in
``mapspace`` or ``mapspace_constraints``; timeloopfe's ``extra_mapping_constraints`` join them.
What the rules mean is Timeloop's: what it ignores is ignored with a warning, what it stops on is
an error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from dse.domain.architecture import Architecture
from dse.domain.constraints import LevelConstraint
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.timeloop.read.level_rules import LevelRules
from dse.timeloop.read.mapping import check_spatial, find_level
from dse.timeloop.read.unread import check_keys
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
_BYPASS = ("bypass", "bypassing", "datatype", "dataspace")
_PARALLELISM = ("utilization", "parallelism")
_OVERBOOKED = "max_overbooked_proportion"
_TYPES = f"temporal, spatial, bypass, {' or '.join(_PARALLELISM)}"
_LOOPS = {
    *("factors", "permutation", "default_max_factor", "default_min_factor", "remainders"),
    "no_reuse",
}
_KEYS = {
    "temporal": {*_LOOPS, "no_temporal_reuse", "rmw_first_update"},
    "spatial": {*_LOOPS, "split", "no_multicast_no_reduction", "no_link_transfer"},
    "bypass": {"keep", "bypass", "no_coalesce"},
    "utilization": {"min"},
    _OVERBOOKED: {"proportion"},
}
#: What Timeloop looks for beside ``attributes``, and not in it.
_BESIDE = {
    *("split", "no_link_transfer", "no_reuse", "no_multicast_no_reduction", "no_temporal_reuse"),
    *("rmw_first_update", "no_coalesce", "remainders", "proportion"),
}
_TARGET = {"target", "name", "type", "attributes"}
_ARCHITECTURE = ("arch_constraints", "architecture_constraints")
_MAPSPACE = ("mapspace", "mapspace_constraints")
_EXTRA = "extra_mapping_constraints"


def read_constraints(
    root: Entry, architecture: Architecture, problem: Problem, timeloop_version: str = "4cf6d4c"
) -> dict[str, LevelConstraint]:
    """Return the constraints of an input by storage level; several on one level add up.

    Fixed factors that do not divide their bound are left as they are:
    :func:`dse.domain.fixed_factors.fitted` makes them and the problem fit.

    Raises:
        SpecError: a constraint names an unknown level, dimension or data space, contradicts
            another one, or is of a kind that is not supported.
    """
    rules = [LevelRules(problem, s, architecture) for s in range(len(architecture.levels))]
    for target, rule in _rules(root):
        level = find_level(target, architecture, "target", "name")
        kind = _kind(rule)
        _check_rule(target, rule, kind)
        if kind == "spatial" and max(architecture.fanout(level)) == 1:
            _check_vacuous(rule, architecture, level, problem)
            continue
        _add(rules[level], rule, kind, timeloop_version)
    found = {}
    for made in rules:
        constraint = made.constraint()
        if constraint != LevelConstraint():
            found[made.name] = constraint
    return found


def _rules(root: Entry) -> Iterator[tuple[Entry, Entry]]:
    """Yield target and rule of all constraints of an input."""
    lists = [root.get(*_ARCHITECTURE), root.get(_EXTRA)]
    architecture = root.get("arch", "architecture")
    own = architecture.get("constraints") if architecture and architecture.is_map else None
    if own is not None:
        if lists[0] is not None:
            _LOG.warning("%s: Timeloop reads the architecture's own constraints", lists[0].where)
        lists[0] = own
    both = [entry for entry in (root.get(key) for key in _MAPSPACE) if entry is not None]
    if len(both) > 1:
        raise both[1].refuse(
            'ERROR: found both "mapspace" and "mapspace_constraints" directive, expected one'
        )
    if both:
        _check_template(both[0])
    for entry in (*lists, *both):
        for target in _targets(entry) if entry is not None else ():
            nested = target.get("constraints")
            for rule in nested.items() if nested is not None else [target]:
                yield target, rule


def _targets(entry: Entry) -> list[Entry]:
    """Return the constraints that a block lists, under any of the names that they may have."""
    if entry.is_list:
        return entry.items()
    named = entry.get("constraints")
    if named is not None and not named.is_list:
        return entry.need(f"constraints_{named.text()}", "the constraints of that name").items()
    listed = entry.get("targets")
    if listed is not None and named is None and "constraints" in entry.mapping():
        raise entry.refuse("'constraints' is empty: Timeloop would not look at 'targets'")
    for key, other in entry.pairs():
        if not key.startswith("constraints_"):
            check_keys(other, key, {"constraints", "targets", "template", "version"})
    found = named or listed
    return found.items("expected a list of constraints") if found is not None else []


def _check_template(entry: Entry) -> None:
    """Say what a mapspace with imperfect factors is taken for."""
    template = entry.get("template") if entry.is_map else None
    if template is None or template.text() == "uber":
        return
    if template.text() != "ruby":
        raise template.fail(
            f"expected uber or ruby\nERROR: unsupported mapspace template: {template.text()[:80]}"
        )
    _LOG.warning(
        "%s: of ruby's mapspace, with imperfect factors, the mappings with perfect factors are "
        "searched",
        template.where,
    )


def _kind(rule: Entry) -> str:
    entry = rule.need("type", _TYPES)
    kind = entry.text()
    if kind in _BYPASS:
        return "bypass"
    if kind in _PARALLELISM:
        return "utilization"
    if kind not in _KEYS:
        raise entry.fail(f"expected {_TYPES}\nERROR: unrecognized constraint type: {kind[:80]}")
    return kind


def _check_rule(target: Entry, rule: Entry, kind: str) -> None:
    """Name the keys of a rule that mean nothing."""
    body = rule.get("attributes")
    known = _TARGET | _KEYS[kind]
    for key, entry in rule.pairs():
        if not (key == "constraints" and rule.node is target.node):
            check_keys(entry, key, known)
    for key, entry in body.pairs() if body is not None else ():
        if key.replace("-", "_") in _BESIDE & known:
            _LOG.warning(
                "%s: is ignored, as Timeloop looks for it beside 'attributes'", entry.where
            )
        else:
            check_keys(entry, key, known)


def _check_vacuous(rule: Entry, architecture: Architecture, level: int, problem: Problem) -> None:
    """Warn of a spatial rule at a level without fan-out that every mapping keeps.

    Raises:
        SpecError: it asks for loops in space.
    """
    made = LevelRules(problem, level, architecture)
    made.add_loops(rule, rule.get("attributes") or rule, "spatial", "4cf6d4c")
    loops = made.constraint().spatial
    asked = {**loops.min_factors, **loops.factors}
    if any((factor or problem.bounds[d]) > 1 for d, factor in asked.items()):
        check_spatial(rule, architecture, level)
    _LOG.warning(
        "%s: is ignored, as level '%s' has no fan-out (Timeloop stops)",
        rule.where,
        architecture.levels[level].name,
    )


def _add(level: LevelRules, rule: Entry, kind: str, version: str) -> None:
    body = rule.get("attributes") or rule
    try:
        if kind == "bypass":
            level.add_bypass(body)
            _refuse_names(rule, "no_coalesce", version)
        elif kind == "utilization":
            if level.number != 0:
                raise rule.refuse(
                    f"expected the innermost level\nERROR: parallelism cannot be constrained at "
                    f"level {level.name}. It must be constrained at the innermost storage level."
                )
            level.add_parallelism(body.need("min", "the least share of the MACs in use"))
        elif kind == _OVERBOOKED:
            rule.need("proportion", "a share").number(0.0)
            _LOG.warning("%s: is ignored, as it has no effect on dense problems", rule.where)
        else:
            level.add_loops(rule, body, kind, version)
            _refuse_names(rule, "rmw_first_update", version)
    except SpecError as error:
        if str(error).startswith(rule.node.source):
            raise
        raise SpecError(f"{rule.where}: {error}") from error


def _refuse_names(rule: Entry, key: str, version: str) -> None:
    entry = rule.get(key)
    if entry is None or not entry.names("expected a list of data spaces"):
        return
    if version != "4cf6d4c":
        _LOG.warning("%s: is ignored, as Timeloop %s does not read it", entry.where, version)
        return
    raise entry.fail(f"{key} is not supported, expected no data spaces")
