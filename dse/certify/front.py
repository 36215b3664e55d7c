"""Checking a front: of every design, that it makes a sum least which it would not if dominated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dse.certify.design import EQUAL, WrongError, check_limits, hardware_of, metrics_of
from dse.certify.objective import CheckedGoal
from dse.certify.recheck import recheck
from dse.certify.shared import SharedWork
from dse.certify.verdict import Decision, Effort, Verdict
from dse.cosearch.certificate import FrontCertificate
from dse.domain.linear import linear_form
from dse.errors import SpecError
from dse.goals.certificate import OPTIMAL_WITHIN, gap_of
from dse.goals.design import DesignMetrics
from dse.goals.limits import limits
from dse.goals.objective import objective
from dse.space.search_space import SearchSpace
from dse.state.entries import CheckedEntries
from dse.study import folder as run_folder
from dse.study.best_files import best_files

#: What may be traded, and the metric that it is.
_METRIC = {"energy": "energy_pj", "delay": "cycles", "area": "area_um2"}


def check_front(
    folder: Path,
    space: SearchSpace,
    content: Mapping[str, Any],
    effort: Effort | None,
    report: Callable[[str], None] | None,
) -> Verdict | None:
    """Check the front of a run.

    Args:
        folder: of the run.
        space: that was searched.
        content: of its result.
        effort: what to count in; None: no bound is to be rechecked.
        report: called with a line of progress now and then.

    Returns:
        The verdict on all bounds: refuted where one is, else not decided where one is not; None
        where none was rechecked.

    Raises:
        WrongError: what is published contradicts itself, or the designs.
        SpecError: it has not the form of a front.
    """
    where = str(folder / run_folder.RESULT)
    told = {key: x for key, x in dict(content["certificate"]).items() if key != "status"}
    claim = FrontCertificate.of_state(CheckedEntries(told, where, "certificate"))
    _check_traded(claim.objectives)
    members = _members(content, where)
    if len(members) != len(claim.points):
        raise WrongError(f"{len(members)} designs, but {len(claim.points)} proofs")
    kept: dict[bool, SharedWork] = {}
    count = effort or Effort()

    def shared_for(goal: CheckedGoal) -> SharedWork:
        """Return what the points have in common, which differs by whether it has areas alone."""
        if goal.needs_area not in kept:
            kept[goal.needs_area] = SharedWork(space, goal, count)
        return kept[goal.needs_area]

    verdicts = []
    for number, point in enumerate(claim.points):
        if report is not None:
            report(f"point {number + 1} of {len(claim.points)}: {point['minimised']}")
        own = _space_of(space, claim.objectives, point)
        key = tuple(point[name] for name in _METRIC.values())
        if key not in members:
            raise WrongError(f"point {number}: no design of the front is worth {key}")
        values, files = members.pop(key)
        _check_design(folder, own, point, values, files)
        if effort is not None:
            bound = float(str(point["bound"]))
            verdicts.append(recheck(own, bound, report, effort, shared_for))
            if verdicts[-1].outcome is Decision.REFUTED:
                break
    return _joined(verdicts, effort)


def _check_traded(traded: tuple[str, ...]) -> None:
    if len(set(traded)) < 2 or not set(traded) <= _METRIC.keys():
        raise WrongError(f"certificate.objectives = {list(traded)}, of which a front is none")


def _members(
    content: Mapping[str, Any], where: str
) -> dict[tuple[object, ...], tuple[dict[str, int], str]]:
    """Return values and files of the front's designs by energy, cycles and area."""
    found = {}
    try:
        for member in content["front"]["members"]:
            key = tuple(member[name] for name in _METRIC.values())
            values = {str(name): int(value) for name, value in member["values"].items()}
            found[key] = values, str(member["files"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecError(f"{where}: front.members: {error!r}, expected designs") from error
    return found


def _space_of(
    space: SearchSpace, traded: tuple[str, ...], point: Mapping[str, object]
) -> SearchSpace:
    """Return the space with the sum of a point, within its limit; WrongError: it proves nothing."""
    text, limit = str(point["minimised"]), str(point["limit"])
    goal, bounds = objective(text), limits(limit)
    form = linear_form(goal.expression) if goal.expression is not None else None
    if form is None or form.keys() != {_METRIC[name] for name in traded} or min(form.values()) <= 0:
        raise WrongError(
            f"minimised = {text!r}, expected a sum of {', '.join(_METRIC[x] for x in traded)} with "
            "weights above 0"
        )
    for bound in bounds:
        on_area = bound.left.source == "area_um2" and bound.sign == "<=" and not bound.right.names
        if not (on_area and "area" in traded):
            raise WrongError(f"limit = {limit!r}, within which nothing is said of the rest")
    return space.minimising(goal, bounds)


def _check_design(
    folder: Path, space: SearchSpace, point: Mapping[str, object], values: dict[str, int],
    design: str,
) -> None:  # fmt: skip
    """Check that a design is worth what its proof says, and no more than its bound."""
    architecture = hardware_of(space, values)
    files = best_files(folder, space, space.timeloop_version, design)
    metrics = metrics_of(space, architecture, files)
    check_limits(space, metrics)
    value = space.objective(metrics)
    for name, found in (*_worth(metrics), ("value", value)):
        if not math.isclose(float(str(point[name])), found, rel_tol=EQUAL):
            raise WrongError(f"{design}: {name} = {point[name]!r}, by the exact model {found!r}")
    bound = float(str(point["bound"]))
    if bound > value * (1.0 + EQUAL) or gap_of(bound, value) > OPTIMAL_WITHIN:
        raise WrongError(f"{design}: the bound {bound!r} is not that of the value {value!r}")


def _worth(metrics: DesignMetrics) -> list[tuple[str, float]]:
    return [(name, float(getattr(metrics, name))) for name in _METRIC.values()]


def _joined(verdicts: list[Verdict], effort: Effort | None) -> Verdict | None:
    """Return the worst of all verdicts, with the effort of all."""
    if effort is None or not verdicts:
        return None
    order = (Decision.REFUTED, Decision.UNDECIDED, Decision.CERTIFIED)
    worst = min(verdicts, key=lambda one: order.index(one.outcome))
    return Verdict(worst.outcome, effort.boxes, effort.mappings, worst.how, worst.reason)
