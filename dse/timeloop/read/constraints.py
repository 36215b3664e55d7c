"""Checks a mapping against ``architecture_constraints``, as far as factors go.

Constraints restrict a search. Timeloop's model only looks whether a given mapping obeys them;
its look at factors is sound and is done here, the one at permutations and splits compares unlike
things (it reports violations for mappings that Timeloop's own mapper found under the very
constraints) and is left out.
"""

from __future__ import annotations

import re

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.timeloop.read.mapping import check_spatial, find_level
from dse.timeloop.yaml.nodes import Entry

_FIXED = re.compile(r"([A-Za-z]+)\s*=*\s*([0-9]+)", re.ASCII)
_MAXIMUM = re.compile(r"([A-Za-z]+)\s*<=\s*([0-9]+)", re.ASCII)


def check_constraints(
    entry: Entry, architecture: Architecture, problem: Problem, mapping: Mapping
) -> None:
    """Refuse a mapping whose factors violate the constraints.

    Raises:
        SpecError: a factor differs from the fixed one or exceeds the largest one, or a constraint
            is malformed.
    """
    targets = entry
    if entry.is_map:
        found = entry.get("constraints", "targets")
        if found is None or not found.is_list:
            return
        targets = found
    for target in targets.items("expected a list of constraints"):
        nested = target.get("constraints")
        for constraint in nested.items() if nested is not None else [target]:
            _check_one(target, constraint, architecture, problem, mapping)


def _check_one(
    target: Entry,
    constraint: Entry,
    architecture: Architecture,
    problem: Problem,
    mapping: Mapping,
) -> None:
    kind = constraint.need("type", "temporal, spatial or bypass").text()
    if kind not in ("temporal", "spatial"):
        return
    level = find_level(target, architecture, "target", "name")
    if kind == "spatial":
        check_spatial(constraint, architecture, level)
    body = constraint.get("attributes") or constraint
    row = (mapping.spatial if kind == "spatial" else mapping.temporal)[level]
    factors, default = body.get("factors"), body.get("default_max_factor")
    limited: set[str] = set()
    if factors is not None:
        text = factors.text("expected a string such as 'P=4 Q<=2'").partition("#")[0]
        for pattern, is_maximum in ((_FIXED, False), (_MAXIMUM, True)):
            for name, digits in pattern.findall(text):
                _check_factor(factors, problem, row, (name, digits), is_maximum)
        limited = {name for name, _ in _MAXIMUM.findall(text)}
    if default is not None:
        for name in problem.dimensions:
            if name not in limited:
                _check_factor(default, problem, row, (name, str(default.integer(1))), True)


def _check_factor(
    entry: Entry,
    problem: Problem,
    row: np.ndarray[tuple[int], np.dtype[np.int32]],
    clause: tuple[str, str],
    is_maximum: bool,
) -> None:
    name, digits = clause
    if name not in problem.bounds:
        raise entry.fail(
            f"unknown dimension '{name[:80]}', expected one of {', '.join(problem.dimensions)}"
        )
    bound = problem.bounds[name]
    # A number beyond any factor constrains nothing; Timeloop ignores fixed ones beyond the bound.
    value = (int(digits) if len(digits) <= 10 else 2**31) or bound
    factor = int(row[problem.dimensions.index(name)])
    violated = factor > value if is_maximum else factor != value and value <= bound
    if violated:
        relation = "at most " if is_maximum else ""
        raise entry.fail(
            f"the mapping's factor of {name} is {factor}, expected {relation}{value}\n"
            "ERROR: mapping violates architecture constraints."
        )
