"""From a mapspace to the best mapping and its certificate, over all keep/bypass patterns."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.native import NativeEvaluator
from dse.goals.certificate import OPTIMAL_WITHIN, Certificate
from dse.goals.mapspace_text import evenness_text
from dse.goals.pareto import front_of_two
from dse.mappers.exact.bounds import DELAY, EDP, ENERGY_ONLY, FRONT, ROUNDING, Goal
from dse.mappers.exact.layout import Layout
from dse.mappers.exact.pattern_floors import PatternFloors
from dse.mappers.exact.search import KINDS, Found, OnStage, search
from dse.mappers.exact.tables import TooLargeError
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.model import arrays as a
from dse.numeric import Flags, Floats, Ints

#: Keep/bypass patterns beyond which no bound is looked for, unless told otherwise.
MOST_PATTERNS = 4096
#: Labels per stage of the dives that look for something better than what is known, one after the
#: other; the nodes of the search after a dive, a label of the dive; the last goes to its end.
_BEAMS, _NODES_PER_LABEL = (50, 300, 2000), 2000
#: Samples that a dive may take where it finds bounds only.
_DIVE_SAMPLES = 16
#: Most points confirmed at a time.
_BATCH = 256
_ASSUMED = "perfect factors, the mapspace's constraints, {}, the native model of timeloop {}"


@dataclass(frozen=True, eq=False)
class MappingFront:
    """Mappings that no other equals in both cycles and energy, by cycles, exactly priced."""

    cycles: Floats
    energy_pj: Floats
    mappings: MappingBatch | None


def patterns_of(space: Mapspace, most: int = MOST_PATTERNS) -> list[Flags]:
    """Return all keep/bypass patterns ``(L, T)`` of a mapspace.

    Raises:
        TooLargeError: there are more than ``most``.
    """
    keep = space.arrays.keep
    free = np.argwhere(keep == 2)
    if 1 << len(free) > most:
        raise TooLargeError(f"2^{len(free)} keep/bypass patterns, at most {most}")
    result = []
    for bits in product((True, False), repeat=len(free)):
        pattern = keep != 0
        for (s, t), bit in zip(free, bits, strict=True):
            pattern[s, t] = bit
        if pattern.any(axis=0).all():
            result.append(pattern)
    return result


def _goal_of(kind: int, layout: Layout, limit: float, points: tuple[Floats, Floats]) -> Goal:
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
    nodes: int,
    late: Callable[[], bool],
    tell: Callable[[float, float], None],
    patterns: int = MOST_PATTERNS,
    widths: Ints | None = None,
    cycle_pj: float = 0.0,
) -> Certificate:
    """Search the whole space and price what may be the best of it.

    Args:
        space: what is searched.
        architecture: the hardware.
        kind: a key of :data:`dse.mappers.exact.search.KINDS`.
        version: of Timeloop.
        gap: relative gap at which the proof may stop.
        threads: workers.
        best: the least value known.
        samples: mappings that ``confirm`` may be given in all.
        confirm: prices mappings; returns the least value known.
        nodes: partial mappings after which it gives up.
        late: whether to give up.
        tell: is told the share of the stages done and the bound so far.
        patterns: keep/bypass patterns beyond which no bound is looked for.
        widths: ``(L, W)`` fan-outs along X, growing, of the pieces of hardware that this one stands
            for, none of which has larger ones along any axis: where neighbours on one of them may
            hand on data, its own need not, so what a mapping costs there bounds nothing. None: it
            stands for itself; ``(L, 0)``: any neighbours may.
        cycle_pj: added to the energy for every cycle; ``confirm`` adds it, too.
    """
    assumed = _ASSUMED.format(evenness_text(architecture.divided), version)
    if space.infeasible:
        return Certificate(math.inf, None, space.infeasible, 0, complete=True)
    if not a.cycles_are_exact(HardwareBatch.of(architecture), space.problem):
        reason = "no bound: at these bandwidths, cycles could exceed what Timeloop counts"
        return Certificate(best, None, reason, 0, complete=False)
    proof = _Proof(
        space, architecture, kind, a.version_number(version), gap, threads, best, samples,
        confirm, nodes, late, tell, patterns, widths, cycle_pj,
    )  # fmt: skip
    try:
        proof.run()
    except TooLargeError as error:
        reason = f"no bound: {error}"
        return Certificate(proof.best, None, reason, proof.nodes, complete=False)
    best = proof.best
    if not math.isfinite(best) and proof.samples > 0:
        mappings = sample_valid(space, 1, 0, 10_000).mappings
        if len(mappings):
            best = confirm(mappings)
    bound = min(proof.bound, best) if kind != "front" else None
    return Certificate(best, bound, assumed, proof.nodes, complete=proof.complete)


@dataclass(eq=False)
class _Proof:
    """One proof: what it is given, and how far it has come. See :func:`prove`."""

    space: Mapspace
    architecture: Architecture
    kind: str
    version: int
    gap: float
    threads: int
    best: float
    samples: int
    confirm: Callable[[MappingBatch], float]
    most: int
    late: Callable[[], bool]
    tell: Callable[[float, float], None]
    patterns: int
    widths: Ints | None
    cycle_pj: float = 0.0
    nodes: int = 0
    bound: float = math.inf
    complete: bool = True
    shared: dict[Hashable, Any] = field(default_factory=dict)
    reached: float = math.inf  # by a mapping that a dive has seen, priced or not

    def run(self) -> None:
        """Search the keep/bypass patterns, those of the least bounds first."""
        all_ = self._by_promise()
        for number, (floor, keep) in enumerate(all_):
            hopeless = self.kind != "front" and floor * (1.0 - ROUNDING) >= self._limit
            if hopeless or (number > 0 and self._is_over()):
                # those that follow promise less
                self.bound = min(self.bound, floor)
                self.complete &= hopeless
                break
            after = all_[number + 1][0] if number + 1 < len(all_) else math.inf
            self._pattern(keep, floor, number / len(all_), (number + 1) / len(all_), after)

    def _is_over(self) -> bool:
        return self.nodes > self.most or self.late()

    @property
    def _limit(self) -> float:
        return min(self.best, self.reached) * (1.0 - self.gap)

    def _layout(self, keep: Flags) -> Layout:
        only_cycles = self.kind == "delay"
        return Layout(
            self.space, self.architecture, keep, self.version, only_cycles=only_cycles,
            widths=self.widths, cycle_pj=self.cycle_pj, shared=self.shared,
        )  # fmt: skip

    def _goal(self, layout: Layout, limit: float) -> Goal:
        return _goal_of(KINDS[self.kind], layout, limit, (np.zeros(0), np.zeros(0)))

    def _by_promise(self) -> list[tuple[float, Flags]]:
        """Patterns with a bound of each, by these."""
        all_ = patterns_of(self.space, self.patterns)
        if len(all_) == 1:
            return [(-math.inf, all_[0])]
        found: list[tuple[float, Flags]] = []
        floors = PatternFloors(self.space, self.architecture, self.version, all_)
        for keep in all_:
            if self.kind == "energy":
                floor = floors.least_of(keep, self.cycle_pj)
            elif self.kind == "delay":
                floor = floors.least_of(keep, math.inf)
            else:
                floor = floors.least_product_of(keep)
            found.append((floor, keep))
        return sorted(found, key=lambda one: one[0])

    def _pattern(self, keep: Flags, floor: float, begin: float, end: float, after: float) -> None:
        """Search one pattern, whose bound is known: of the work it is the part from begin to end.

        The bound of those that follow is ``after``.
        """
        layout = self._layout(keep)

        def progress(done: int, least: float) -> None:
            share = begin + (end - begin) * done / len(layout.stages)
            self.tell(share, min(least, self.bound, after, self.best))

        if self.kind == "front":
            found = self._search(layout, self._limit, progress)
            self.complete &= found.complete
            self._settle(found, self.samples, floor)
            return
        reaching: Found | None = None
        for beam in _BEAMS:
            dive = self._search(layout, min(self.best, self.reached), lambda _, __: None, beam)
            if dive.complete:
                self._settle(dive, self.samples, floor)
                progress(len(layout.stages), self.bound)
                return
            if self._learn(dive):
                reaching = dive
            some = None if beam == _BEAMS[-1] else beam * _NODES_PER_LABEL
            found = self._search(layout, self._limit, progress, nodes=some)
            if found.complete or self._is_over():
                break
            if beam == _BEAMS[0] and self.kind != "delay":
                layout.tell_tails()
        self.complete &= found.complete
        self._settle(found, self.samples, floor)
        if reaching is not None and self.reached < self.best:
            # the search was stopped, or left out what is within the gap
            self._settle(reaching, min(self.samples, _DIVE_SAMPLES), None)

    def _search(
        self,
        layout: Layout,
        limit: float,
        progress: OnStage,
        beam: int | None = None,
        nodes: int | None = None,
    ) -> Found:
        left = self.most - self.nodes
        found = search(
            layout, self._goal(layout, limit), self.threads,
            left if nodes is None else min(left, nodes), self.late, progress, beam,
        )  # fmt: skip
        self.nodes += found.tried
        return found

    def _learn(self, dive: Found) -> bool:
        """Take over what a dive has found: real points as they are, bounds once they are priced.

        Returns whether it is the first to reach what is reached.
        """
        real = ~dive.loose if dive.layout.tables.exact else dive.loose & False
        value = _values(self.kind, dive.cycles, dive.energy)
        # a little above, or the search would take its own find for known
        least = float(value[real].min(initial=math.inf)) * (1.0 + OPTIMAL_WITHIN)
        first = least < self.reached
        self.reached = min(self.reached, least)
        if (value[~real] < self.reached).any():
            self._settle(dive, min(self.samples // 2, _DIVE_SAMPLES), None)
        return first

    def _settle(self, found: Found, samples: int, floor: float | None) -> None:
        """Price the points that may beat what is known: the best real one, then by their bounds.

        Args:
            found: the points.
            samples: how many may be priced.
            floor: what all of them come to; None: they are not all there are, and prove nothing.
        """
        value = _values(self.kind, found.cycles, found.energy)
        order = np.lexsort((found.loose, value))
        real = order[~found.loose[order]][:1]
        if self._promises(value[real]):
            order = np.concatenate([real, order[order != real]])
        at = 0
        size = 1
        while at < min(len(order), samples) and self._promises(value[order[at:]][:1]):
            if at and self._is_over():
                break
            some = order[at : at + min(size, samples - at)]
            self.best = min(self.best, self.confirm(found.mappings(some)))
            at += len(some)
            size = min(2 * size, _BATCH)
        rest = float(value[order[at:]].min(initial=math.inf))
        if self.widths is not None:
            rest = min(rest, float(value[found.loose].min(initial=math.inf)))
        self.samples -= at
        if floor is not None:
            own = min(found.dropped if found.complete else found.bound, rest)
            self.bound = min(self.bound, max(own, floor))

    def _promises(self, value: Floats) -> bool:
        """Whether the first of some points, if any, may be better than what is known."""
        # the points of a front are ranked by the evaluator alone
        known = math.inf if self.kind == "front" else self.best * (1.0 - ROUNDING)
        return len(value) > 0 and bool(value[0] < known)


def layer_front(
    problem: Problem,
    architecture: Architecture,
    constraints: Constraints | None = None,
    version: str = "4cf6d4c",
    *,
    threads: int = 2,
    nodes: int = 200_000_000,
) -> MappingFront:
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
        return MappingFront(np.zeros(0), np.zeros(0), None)
    evaluator = NativeEvaluator(version)
    cycles, energy = np.zeros(0), np.zeros(0)
    kept: MappingBatch | None = None
    for keep in patterns_of(space):
        layout = Layout(space, architecture, keep, a.version_number(version))
        if not layout.tables.exact:
            raise TooLargeError("a front needs a space whose rules are all represented")
        goal = _goal_of(FRONT, layout, math.inf, (cycles, energy))
        found = search(layout, goal, threads, nodes, lambda: False, lambda _, __: None)
        if not found.complete:
            raise TooLargeError(f"more than {nodes} partial mappings")
        if not len(found.cycles):
            continue
        batch = found.mappings(np.arange(len(found.cycles)))
        metrics = evaluator.evaluate(architecture, problem, batch)
        joint = batch if kept is None else MappingBatch.concatenate([kept, batch])
        cycles = np.concatenate([cycles, metrics.cycles])
        energy = np.concatenate([energy, metrics.energy_pj])
        best = front_of_two(cycles, energy)
        kept, cycles, energy = joint.take(best), cycles[best], energy[best]
    return MappingFront(cycles, energy, kept)


def _values(kind: str, cycles: Floats, energy: Floats) -> Floats:
    """Objective of points."""
    number = KINDS[kind]
    if number in (EDP, FRONT):
        return cycles * energy
    return energy if number == ENERGY_ONLY else cycles
