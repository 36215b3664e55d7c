"""From a mapspace to the best mapping and its certificate, over all keep/bypass patterns."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt

from dse.architecture import Architecture
from dse.mappers.base import Certificate
from dse.mapping import MappingBatch
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.optimal.mapper_bounds import DELAY, EDP, ENERGY_ONLY, FRONT, Goal
from dse.optimal.mapper_labels import Floats
from dse.optimal.mapper_search import KINDS, Found, search
from dse.optimal.mapper_space import Layout, TooLargeError

#: Keep/bypass patterns beyond which no bound is looked for.
MOST_PATTERNS = 4096
#: Labels per stage of the dive that looks for something better than what the heuristics found,
#: and the samples that it may take.
BEAM, DIVE_SAMPLES = 2000, 16
#: Most points confirmed at a time.
_BATCH = 256
_ASSUMED = "perfect factors, the mapspace's constraints, the native model of timeloop {}"


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
    elif kind == ENERGY_ONLY and t.leak_pj.sum() > 0:
        most = limit / float(t.leak_pj.sum())
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
        space, architecture: what is searched, and on what.
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
                    lambda tried, before=nodes: late(before + tried), lambda _, __: None, BEAM,
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
                lambda tried, before=before: late(before + tried), progress,
            )  # fmt: skip
            nodes += found.tried
            complete &= found.complete
            known, spent = settle(found, kind, best, samples, confirm)
            samples -= spent
            bound = min(bound, found.bound if not found.complete else known[0], limit)
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
    if number == EDP or number == FRONT:
        return cycles * energy
    return energy if number == ENERGY_ONLY else cycles
