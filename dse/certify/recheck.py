"""A second, slower argument for the bound of a co-search, which shares nothing with the search.

The hardware is read from the template again (:mod:`dse.certify.hardware`), what mappings may do
from the constraints again (:mod:`dse.certify.places`), for every combination of variables. Where a
space has one tile on the chip (:mod:`dse.certify.tiers`) every tile with every order of the outer
loops is evaluated by the plain model; everywhere else every mapping is. Boxes of hardware
(:mod:`dse.certify.boxes`) then hold nothing below the claim, or a better design is found. What this
does not reach is said, and neither certified nor refuted.
"""

from __future__ import annotations

from collections.abc import Callable

from dse.certify.boxes import Boxes
from dse.certify.every_row import EveryRow
from dse.certify.objective import CheckedGoal
from dse.certify.shared import SharedWork
from dse.certify.verdict import Decision, Effort, NotCoveredError, RefutedError, Verdict
from dse.space.search_space import SearchSpace

_TILED = "all tiles and orders by the plain model, boxes of hardware"
_EVERY = "every mapping by the plain model, boxes of hardware"


def recheck(
    space: SearchSpace,
    claim: float,
    report: Callable[[str], None] | None = None,
    effort: Effort | None = None,
    shared_for: Callable[[CheckedGoal], SharedWork] | None = None,
) -> Verdict:
    """Check that no design of a space has an objective below ``claim``.

    Args:
        space: the space.
        claim: infinite: that there is no design.
        report: called with a line of progress now and then.
        effort: what to count in, and up to where to go on.
        shared_for: returns what is kept of the space from other rechecks for a goal; None:
            everything is made anew.
    """
    count = effort or Effort()
    how = _TILED
    try:
        goal = CheckedGoal.of(space)
        if claim <= 0.0:
            return Verdict(Decision.CERTIFIED, 0, 0, "nothing is below zero")
        shared = shared_for(goal) if shared_for else SharedWork(space, goal, count)
        boxes = Boxes(shared.hardware, goal, claim, count, report or (lambda _: None))
        if shared.other:
            how = f"{_TILED}; {_EVERY}" if shared.has_tiled else _EVERY
        if space.padding.on:
            how = f"{how}; every useful size"
        for source, chips in shared.tiled():
            boxes.check(source, chips)
        _check_every(boxes, shared, count)
    except NotCoveredError as error:
        return Verdict(Decision.UNDECIDED, count.boxes, count.mappings, how, str(error))
    except RefutedError as error:
        return Verdict(Decision.REFUTED, count.boxes, count.mappings, how, str(error))
    return Verdict(Decision.CERTIFIED, count.boxes, count.mappings, how)


def _check_every(boxes: Boxes, shared: SharedWork, effort: Effort) -> None:
    hardware, chips = shared.hardware, shared.other
    source = EveryRow(shared.sizes, hardware.capacities, hardware.space.timeloop_version, effort)
    try:
        source.check([chip for chip, _ in chips])
    except NotCoveredError as error:
        raise NotCoveredError(f"{chips[0][1]}, and {error}") from error
    for chip, why in chips:
        try:
            boxes.check(source, [chip])
        except NotCoveredError as error:
            values = ", ".join(f"{name}={value}" for name, value in chip.values.items())
            raise NotCoveredError(f"with {values or 'these levels'}: {why}, and {error}") from error
