"""Problems and constraints made to fit each other where fixed factors do not divide their bounds.

Timeloop's mapper takes such a factor for an imperfect one: of what the levels inside leave, it
takes as many rounds as it needs, the last one not full; and no more than is left. Searched here
are perfect factors, of the problem that fills those rounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dse.domain.architecture import Architecture
from dse.domain.constraints import Constraints, LevelConstraint
from dse.domain.problem import Problem

_KINDS = ("spatial", "temporal")


@dataclass(frozen=True)
class Fitted:
    """A problem and constraints whose fixed factors divide the bounds.

    Attributes:
        problem: with larger bounds where factors did not divide.
        constraints: with smaller factors where less was left.
        changes: what was changed, a line each.
    """

    problem: Problem
    constraints: Constraints
    changes: tuple[str, ...]


def fitted(problem: Problem, constraints: Constraints, architecture: Architecture) -> Fitted:
    """Make a problem and constraints in its words fit each other.

    A bound is rounded up, from the inside out, to a multiple of each of its fixed factors; a factor
    larger than what those inside leave is cut to that.
    """
    made = dict(constraints)
    bounds: dict[str, int] = dict(problem.bounds)
    changes: list[str] = []
    for name, bound in problem.bounds.items():
        left, product = bound, 1
        for level in architecture.levels:
            for kind in _KINDS:
                own = made.get(level.name, LevelConstraint())
                given = getattr(own, kind).factors.get(name)
                if given is None:
                    continue
                factor = min(given or bound, left)
                if given and factor < given:
                    made[level.name] = _with_factor(own, kind, name, factor)
                    changes.append(
                        f"the {kind} factor {name}={given} of level '{level.name}' is cut to "
                        f"{factor}, which is what the factors inside it leave of {bound}"
                    )
                elif not given and factor < bound:
                    made[level.name] = _with_factor(own, kind, name, factor)
                left = math.ceil(left / factor)
                product *= factor
        bounds[name] = product * left
        if bounds[name] != bound:
            changes.append(
                f"{name} = {bound} is padded to {bounds[name]}, which its fixed factors divide"
            )
    padded = bounds != dict(problem.bounds)
    return Fitted(replace(problem, bounds=bounds) if padded else problem, made, tuple(changes))


def _with_factor(level: LevelConstraint, kind: str, name: str, factor: int) -> LevelConstraint:
    loops = getattr(level, kind)
    factors: Mapping[str, int] = {**loops.factors, name: factor}
    changed = replace(loops, factors=factors)
    return (
        replace(level, spatial=changed) if kind == "spatial" else replace(level, temporal=changed)
    )
