"""Writes a mapspace's constraints as Timeloop's mapper reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dse.domain.architecture import Architecture
from dse.domain.constraints import LevelConstraint, LoopConstraint, SpatialConstraint
from dse.domain.problem import Problem

Rule = dict[str, Any]


def constraint_rules(
    constraints: Mapping[str, LevelConstraint], architecture: Architecture, problem: Problem
) -> list[Rule]:
    """Return the constraints as ``targets``, outermost level first.

    What Timeloop has no words for is not lost where it matters to a result: a dimension that may
    run along either axis is left to the mapper, which then picks one.
    """
    least = max((c.min_parallelism for c in constraints.values()), default=0.0)
    rules: list[Rule] = []
    last = len(architecture.levels) - 1
    for s in range(last, -1, -1):
        name = architecture.levels[s].name
        level = constraints.get(name, LevelConstraint())
        keep = [t for t in problem.tensors if t in level.keep or s == last]
        keep = [t for t in keep if t not in level.bypass]
        if keep or level.bypass:
            rules.append(
                {"target": name, "type": "bypass", "keep": keep, "bypass": list(level.bypass)}
            )
        temporal = _loops(level.temporal, problem)
        if level.no_temporal_reuse:
            # the first key is v3.0.3's, the second 4cf6d4c's
            temporal["no_temporal_reuse"] = list(level.no_temporal_reuse)
            temporal["no_reuse"] = list(level.no_temporal_reuse)
        if temporal:
            rules.append({"target": name, "type": "temporal", **temporal})
        x, y = architecture.fanout(s)
        if x * y > 1:
            spatial = _spatial(level.spatial, problem)
            if level.no_multicast:
                spatial["no_multicast_no_reduction"] = list(level.no_multicast)
                spatial["no_reuse"] = list(level.no_multicast)
            if level.no_link_transfer:
                spatial["no_link_transfer"] = list(level.no_link_transfer)
            if spatial:
                rules.append({"target": name, "type": "spatial", **spatial})
    if least > 0:
        innermost = architecture.levels[0].name
        rules.append({"target": innermost, "type": "utilization", "min": least})
    return rules


def _loops(loops: LoopConstraint, problem: Problem) -> Rule:
    rule: Rule = {}
    words = []
    for d in problem.dimensions:
        if d in loops.factors:
            words.append(f"{d}={loops.factors[d]}")
        elif loops.dimensions is not None and d not in loops.dimensions:
            words.append(f"{d}=1")
        if d in loops.max_factors:
            words.append(f"{d}<={loops.max_factors[d]}")
        if loops.min_factors.get(d, 1) > 1:
            words.append(f"{d}>={loops.min_factors[d]}")
    if words:
        rule["factors"] = " ".join(words)
    if loops.permutation or loops.suffix:
        rule["permutation"] = "".join(loops.permutation or ())
        if loops.suffix:
            rule["permutation"] += "_" + "".join(loops.suffix)
    return rule


def _spatial(loops: SpatialConstraint, problem: Problem) -> Rule:
    rule = _loops(loops, problem)
    allowed = [d for d in problem.dimensions if loops.dimensions is None or d in loops.dimensions]
    along_x = [d for d in allowed if loops.x is None or d in loops.x]
    along_y = [d for d in allowed if loops.y is None or d in loops.y]
    neither = [d for d in allowed if d not in along_x and d not in along_y]
    if neither:
        barred = " ".join(f"{d}=1" for d in neither if d not in loops.factors)
        rule["factors"] = f"{rule.get('factors', '')} {barred}".strip()
    if (loops.x is None and loops.y is None) or set(along_x) & set(along_y):
        return rule
    listed = loops.permutation or ()
    free = (d for d in problem.dimensions if d not in listed and d not in loops.suffix)
    order = [*listed, *free, *loops.suffix]
    first = [d for d in order if d in along_x]
    rule["permutation"] = "".join([*first, *(d for d in order if d not in first)])
    rule["split"] = len(first)
    return rule
