"""A second, slower argument for the bound of a co-search, which shares no pruning with it.

The hardware is cut by the variables that are no sizes of buffers, into ranges that are halved
where they are too coarse, and each range into boxes of sizes. Every mapping of every layer is
evaluated by the plain model on a machine with the range's largest arrays, bandwidths and buffers,
several times, with prices that tell apart what its accesses to each level cost. Then, in a box, a
mapping costs at least what it costs with the smallest buffers of the box that hold its tiles. From
the least values of ``energy + l * cycles`` over all mappings of each layer follows a line that no
design of the box lies below; lines are added until every corner between them is at the claimed
value or beyond, or until a choice of mappings is below it; then the box is halved. On single
hardware every mapping is evaluated with its true prices.

Two-tier spaces (:mod:`dse.cosearch.two_tier.roles`) are rechecked so, with all orders of the outer
loops and, in boxes, with the largest spatial factors, whose claim to be best is checked on random
tiles by the model. Other spaces, which the search enumerates, are rechecked by brute force: every
mapping on every hardware.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.certify.boxes import SLACK, Boxes, Count, RefutedError
from dse.certify.choices import Choices
from dse.certify.layers import two_tier_layers
from dse.cosearch.frames import HardwareSpace, UnsolvableSpace
from dse.cosearch.goal import CoSearchGoal
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import MapspaceCache
from dse.space.search_space import SearchSpace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Mappings x hardware points up to which brute force is tried.
_MOST_EVALUATIONS = 500_000_000


@dataclass(frozen=True)
class Verdict:
    """What a recheck found.

    Attributes:
        holds: whether no design lies below the claim.
        bound: what was proven.
        boxes: parts of the hardware that were looked at.
        mappings: mappings evaluated.
        how: the argument in a few words.
        reason: why it does not hold, or could not be rechecked.
    """

    holds: bool
    bound: float
    boxes: int
    mappings: int
    how: str
    reason: str = ""


def recheck(
    space: SearchSpace,
    goal: CoSearchGoal,
    value: float,
    report: Callable[[str], None] | None = None,
) -> Verdict:
    """Check that no design of a space has an objective below ``value``.

    Args:
        space: the space.
        goal: the objective and its limits.
        value: the claim.
        report: called with a line of progress now and then.

    Returns:
        The verdict; where the space is too large, it does not hold, with the reason.
    """
    count = Count()
    say = report or (lambda _: None)
    how = "brute force over all hardware and mappings"
    try:
        hardware = HardwareSpace(space, areas=goal.needs_area)
        layers = two_tier_layers(space, hardware)
        if layers is None:
            _brute_force(space, goal, value, count, say)
        else:
            how = "all tiles and orders by the plain model, boxes of hardware"
            Boxes(space, goal, value, hardware, layers, count, say).check()
    except UnsolvableSpace as error:
        return Verdict(False, 0.0, count.boxes, count.mappings, how, f"too large: {error}")
    except RefutedError as error:
        return Verdict(False, 0.0, count.boxes, count.mappings, how, str(error))
    return Verdict(True, value * (1.0 - SLACK), count.boxes, count.mappings, how)


def _brute_force(
    space: SearchSpace, goal: CoSearchGoal, value: float, count: Count, say: Callable[[str], None]
) -> None:
    """Evaluate every mapping on every hardware."""
    variables = space.template.variables
    lists = [
        [space.fixed[v.name]] if v.name in space.fixed else [v.value_at(i) for i in range(v.count)]
        for v in variables
    ]
    total = math.prod(len(x) for x in lists)
    evaluator = NativeEvaluator(space.timeloop_version)
    space_of = MapspaceCache(space.template.constraints)
    weight = np.array([layer.count for layer in space.workload], np.float64)
    for number, chosen in enumerate(itertools.product(*lists)):
        values = dict(zip((v.name for v in variables), chosen, strict=True))
        try:
            architecture = space.architecture(values)
        except SpecError:
            continue
        if not goal.admits(architecture.area_um2):
            continue
        points: list[tuple[Floats, Floats]] = []
        for layer in space.workload:
            parts: list[tuple[Floats, Floats]] = [(np.empty(0), np.empty(0))]
            mapspace = space_of(layer.problem, architecture)
            try:
                for batch in enumerate_valid(mapspace, 16384):
                    m = evaluator.evaluate(architecture, layer.problem, batch)
                    count.mappings += len(batch)
                    parts.append((m.energy_pj[m.valid], m.cycles[m.valid]))
                    if count.mappings > _MOST_EVALUATIONS:
                        raise UnsolvableSpace(f"more than {_MOST_EVALUATIONS:,} evaluations")
            except ValueError as error:
                raise UnsolvableSpace(str(error)) from error
            energy, cycles = (np.concatenate(column) for column in zip(*parts, strict=True))
            points.append((energy, cycles))
        count.boxes += 1
        if any(len(energy) == 0 for energy, _ in points):
            continue
        first = np.cumsum([0, *(len(energy) for energy, _ in points)]).astype(np.int64)
        energy, cycles = (np.concatenate(column) for column in zip(*points, strict=True))
        factor = goal.factor(architecture.area_um2)
        if Choices(weight, first, energy, cycles).below(goal.mode, value * (1 - SLACK) / factor):
            raise RefutedError(f"a design with {values} is better")
        if number % 16 == 0:
            say(f"{number} of {total} designs rechecked, {count.mappings:,} mappings")
