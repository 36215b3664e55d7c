"""From a mapspace to the best mapping and its certificate, over all keep/bypass patterns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt

from dse.architecture import Architecture
from dse.evaluators.native import NativeEvaluator
from dse.mappers.base import Certificate
from dse.mapping import MappingBatch
from dse.mapspace.constraints import Constraints
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.optimal.mapper_bounds import DELAY, EDP, ENERGY_ONLY, FRONT, Goal
from dse.optimal.mapper_labels import Floats
from dse.optimal.mapper_search import KINDS, Found, search
from dse.optimal.mapper_space import Layout
from dse.optimal.mapper_tables import TooLargeError
from dse.problem import Problem

#: Keep/bypass patterns beyond which no bound is looked for.
MOST_PATTERNS = 4096
#: Labels per stage of the dive that looks for something better than what the heuristics found,
#: and the samples that it may take.
BEAM, DIVE_SAMPLES = 2000, 16
#: Most points confirmed at a time.
_BATCH = 256
_ASSUMED = "perfect factors, the mapspace's constraints, the native model of timeloop {}"


@dataclass(frozen=True, eq=False)
class Front:
    """Mappings that no other equals in both cycles and energy, by cycles, exactly priced."""

    cycles: Floats
    energy_pj: Floats
    mappings: MappingBatch | None


def patterns(space: Mapspace) -> list[npt.NDArray[np.bool_]]:
    """Return all keep/bypass patterns ``(L, T)`` of a mapspace.

    Raises:
        TooLargeError: there are too many.
    """
    keep = space.arrays.keep
    free = np.argwhere(keep == 2)
    if 1 << len(free) > MOST_PATTERNS:
        raise TooLargeError(f"2^{len(free)} keep/bypass patterns, at most {MOST_PATTERNS}")
    result = []
    for bits in product((True, False), repeat=len(free)):
        pattern = keep != 0
        for (s, t), bit in zip(free, bits, strict=True):
            pattern[s, t] = bit
        if pattern.any(axis=0).all():
            result.append(pattern)
    return result


def goal_of(kind: int, layout: Layout, limit: float, points: tuple[Floats, Floats]) -> Goal:
    """Build the goal of a search that knows a value to undercut."""
    t = layout.tables
    least = t.macs * t.mac_pj + float(layout.stages[0].later[0])
    most = math.inf
    if kind == EDP and least > 0:
        most = limit / least
    elif kind == DELAY:
        most = limit
    elif kind == ENERGY_ONLY and t.leaks:
        most = limit / float(t.leak[0])
    return Goal(kind, limit, points[0], points[1], min(most, 1e300))


def prove(
    space: Mapspace,
    architecture: Architecture,
    kind: str,
    version: str,
    *,
    gap: float,
    threads: int,
    best: float,
    samples: int,
    confirm: Callable[[MappingBatch], float],
    late: Callable[[int], bool],
    tell: Callable[[float, float], None],
) -> Certificate:
    """Search the whole space and price what may be the best of it.

    Args:
        space: what is searched.
        architecture: the hardware.
        kind: a key of :data:`dse.optimal.mapper_search.KINDS`.
        version: of Timeloop.
        gap: relative gap at which the proof may stop.
        threads: workers.
        best: the least value known.
        samples: mappings that ``confirm`` may be given in all.
        confirm: prices mappings; returns the least value known.
        late: whether to give up, given the nodes so far.
        tell: is told the share of the stages done and the bound so far.
    """
    assumed = _ASSUMED.format(version)
    if space.infeasible:
        return Certificate(math.inf, None, space.infeasible, 0, complete=True)
    nodes, bound, complete = 0, math.inf, True
    try:
        all_ = patterns(space)
        for number, keep in enumerate(all_):
            layout = Layout(
                space, architecture, keep, a.version_number(version), only_cycles=kind == "delay"
            )
            none = (np.zeros(0), np.zeros(0))
            if kind != "front":
                dive = search(
                    layout, goal_of(KINDS[kind], layout, best, none), threads,
                    partial(_after, late, nodes), lambda _, __: None, BEAM,
                )  # fmt: skip
                nodes += dive.tried
                known, spent = settle(dive, kind, best, min(samples, DIVE_SAMPLES), confirm)
                samples -= spent
                best = known[1]
            limit = best * (1.0 - gap)
            before = nodes

            def progress(done: int, least: float, number: int = number) -> None:
                share = (number + done / len(layout.stages)) / len(all_)  # noqa: B023
                tell(share, min(least, bound, best))  # noqa: B023

            found = search(
                layout, goal_of(KINDS[kind], layout, limit, none), threads,
                partial(_after, late, before), progress,
            )  # fmt: skip
            nodes += found.tried
            complete &= found.complete
            known, spent = settle(found, kind, best, samples, confirm)
            samples -= spent
            bound = min(bound, found.bound if not found.complete else known[0])
            best = known[1]
    except TooLargeError as error:
        return Certificate(best, None, f"no bound: {error}", nodes, complete=False)
    if not math.isfinite(best) and samples > 0:
        mappings = sample_valid(space, 1, 0, 10_000).mappings
        if len(mappings):
            best = confirm(mappings)
    whole = kind != "front"
    bound = min(bound, best)
    return Certificate(best, bound if whole else None, assumed, nodes, complete=complete)


def layer_front(
    problem: Problem,
    architecture: Architecture,
    constraints: Constraints | None = None,
    version: str = "4cf6d4c",
    *,
    threads: int = 2,
    nodes: int = 200_000_000,
) -> Front:
    """Return all that is worth having of one layer: every trade of cycles for energy.

    The architecture may be fictitious, with the capacities of one piece of hardware and the prices
    of another: only its own numbers are read.

    Args:
        problem: the layer.
        architecture: capacities, meshes, bandwidths and prices.
        constraints: of the mapspace; None: the architecture's own.
        version: of Timeloop.
        threads: workers; the result does not depend on it.
        nodes: partial mappings after which the search is given up.

    Raises:
        TooLargeError: the space is beyond what can be searched, or ``nodes`` were not enough.
    """
    space = Mapspace(problem, architecture, constraints)
    if space.infeasible:
        return Front(np.zeros(0), np.zeros(0), None)
    evaluator = NativeEvaluator(version)
    cycles, energy = np.zeros(0), np.zeros(0)
    kept: MappingBatch | None = None
    for keep in patterns(space):
        layout = Layout(space, architecture, keep, a.version_number(version))
        if not layout.tables.exact:
            raise TooLargeError("a front needs a space whose rules are all represented")
        goal = goal_of(FRONT, layout, math.inf, (cycles, energy))
        found = search(layout, goal, threads, lambda tried: tried > nodes, lambda _, __: None)
        if not found.complete:
            raise TooLargeError(f"more than {nodes} partial mappings")
        if not len(found.cycles):
            continue
        batch = found.mappings(np.arange(len(found.cycles)))
        metrics = evaluator.evaluate(architecture, problem, batch)
        joint = batch if kept is None else MappingBatch.concatenate([kept, batch])
        cycles = np.concatenate([cycles, metrics.cycles])
        energy = np.concatenate([energy, metrics.energy_pj])
        best = _lowest(cycles, energy)
        kept, cycles, energy = joint.take(best), cycles[best], energy[best]
    return Front(cycles, energy, kept)


def _lowest(cycles: Floats, energy: Floats) -> npt.NDArray[np.intp]:
    """Return the points that no other is as good as, by cycles."""
    order = np.lexsort((energy, cycles))
    least = np.minimum.accumulate(energy[order])
    first = np.ones(len(order), np.bool_)
    first[1:] = energy[order][1:] < least[:-1]
    return order[first]


def _after(late: Callable[[int], bool], before: int, tried: int) -> bool:
    """Whether to give up, when ``before`` nodes were spent on other searches."""
    return late(before + tried)


def settle(
    found: Found,
    kind: str,
    best: float,
    samples: int,
    confirm: Callable[[MappingBatch], float],
) -> tuple[tuple[float, float], int]:
    """Price the points that may beat what is known, the most promising first.

    Returns the bound and the best value after it, and the samples spent.
    """
    if not len(found.cycles):
        return (found.bound, best), 0
    value = values(kind, found.cycles, found.energy)
    order = np.lexsort((found.loose, value))
    at = spent = 0
    size = 1
    # the points of a front are ranked by the evaluator alone
    while at < len(order) and (kind == "front" or value[order[at]] < best * (1.0 - 1e-12)):
        some = order[at : at + min(size, samples - spent)]
        if not len(some):
            break
        best = min(best, confirm(found.mappings(some)))
        at += len(some)
        spent += len(some)
        size = min(2 * size, _BATCH)
    rest = float(value[order[at]]) if at < len(order) else math.inf
    return (min(found.dropped, rest, best), best), spent


def values(kind: str, cycles: Floats, energy: Floats) -> Floats:
    """Objective of points."""
    number = KINDS[kind]
    if number in (EDP, FRONT):
        return cycles * energy
    return energy if number == ENERGY_ONLY else cycles
