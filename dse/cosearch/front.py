"""Designs that nothing dominates in energy, delay and area, each with the proof of that.

What makes a weighted sum least is dominated by nothing that the sum is over: anything as good in
all and better in one would have a smaller sum. So every point of the front is a proven optimum of a
sum with weights above 0. Limits on the area let sums find what lies above the front's lower hull;
within a limit the sums between two neighbours of the hull are asked for, until they say no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from dse.cosearch.certificate import FrontCertificate
from dse.errors import SpecError
from dse.goals.certificate import gap_of
from dse.goals.design import DesignMetrics
from dse.state.codec import State

if TYPE_CHECKING:  # compiled code loads on use
    from dse.cosearch.search import CoSearch, Incumbent

#: What may be traded, and the metric that it is.
TRADED = {"energy": "energy_pj", "delay": "cycles", "area": "area_um2"}
#: The part of a sum that the area makes where something else decides, and where it decides.
_AREA_SHARE, _MOST_AREA_SHARE = 1e-3, 1e3
#: Cycles over energy, as multiples of what they are in the first design of a limit.
_EXTREMES = (1 / 64, 64.0)
#: How often the range of areas is halved.
_MOST_HALVINGS = 6


@dataclass(frozen=True)
class ProvenPoint:
    """A design of the front.

    Attributes:
        minimised: the sum, as ``objective=`` takes it.
        limit: on the area, as ``constraints=`` takes it; empty: there is none.
        value, bound: of the sum: the design's, and what no design within the limit is below.
        incumbent: the design.
    """

    minimised: str
    limit: str
    value: float
    bound: float
    incumbent: Incumbent

    def as_dict(self) -> dict[str, State]:
        """Return it as plain data, the design by what it is worth."""
        m = self.incumbent.metrics
        told: dict[str, State] = {"minimised": self.minimised, "limit": self.limit}
        told |= {"value": self.value, "bound": self.bound}
        return told | {name: float(getattr(m, name)) for name in TRADED.values()}


#: Proves the least of a sum within a limit; None: there is no design, or it was not proven.
Solve = Callable[[str, str], ProvenPoint | None]


def check_traded(traded: Sequence[str]) -> None:
    """Raise SpecError unless two or three of :data:`TRADED` are to be traded."""
    if len(set(traded)) < 2 or len(set(traded)) < len(traded) or not set(traded) <= set(TRADED):
        raise SpecError(
            f"optimizer.objectives = {list(traded)}, expected none, or two or three of "
            f"{', '.join(TRADED)}"
        )


class FrontCourse:
    """The front as a study asks for it, and its certificate.

    Args:
        traded: two or three of :data:`TRADED`.
        most: points.
        prove: searches for the least of a sum within a limit, both as text, as long as it may.

    Attributes:
        last: the last design; None: there is none.
        how, tolerance: of the proofs.
        effort: sums that were proven, sums that were not, nodes of all.
    """

    def __init__(
        self, traded: Sequence[str], most: int, prove: Callable[[str, str], CoSearch]
    ) -> None:
        self._traded, self._most, self._prove = tuple(traded), most, prove
        self._points: list[ProvenPoint] = []
        self.how, self.tolerance = "", 0.0
        self.effort = {"proofs": 0, "unproven": 0, "nodes": 0}

    @property
    def last(self) -> Incumbent | None:
        """See the class."""
        return self._points[-1].incumbent if self._points else None

    def before_last(self) -> Iterator[Incumbent]:
        """Yield all designs but the last."""
        for point in ProvenFront(self._traded, self._solve).run():
            if self.last is not None:
                yield self.last
            self._points.append(point)
            if len(self._points) == self._most:
                return

    def certificate(self, assumed: tuple[str, ...]) -> FrontCertificate:
        """Return what is proven, under these assumptions."""
        points = tuple(point.as_dict() for point in self._points)
        return FrontCertificate(self._traded, points, self.tolerance, assumed, dict(self.effort))

    def _solve(self, minimised: str, limit: str) -> ProvenPoint | None:
        search = self._prove(minimised, limit)
        self.how, self.tolerance = search.how, search.tolerance
        known = search.incumbent
        is_open = not search.finished
        if known is not None:
            is_open = gap_of(search.bound, known.value) > search.tolerance
        self.effort["nodes"] += search.nodes
        self.effort["unproven" if is_open else "proofs"] += 1
        if known is None or is_open:
            return None
        return ProvenPoint(minimised, limit, known.value, search.bound, known)


class ProvenFront:
    """Finds the front, point by point.

    Args:
        traded: two or three of :data:`TRADED`.
        solve: see there.
    """

    def __init__(self, traded: Sequence[str], solve: Solve) -> None:
        self._traded, self._solve = frozenset(traded), solve
        self._known: set[tuple[float, ...]] = set()

    def run(self) -> Iterator[ProvenPoint]:
        """Yield points that differ, the more telling ones first."""
        first = self._solve("edp" if {"energy", "delay"} <= self._traded else self._plain, "")
        if first is None:
            return
        self._scale = first.incumbent.metrics
        whole = _Hull(self, "")
        yield from whole.begin()
        limits = [whole]
        if "area" in self._traded:
            smallest = self.point(1.0, "", _MOST_AREA_SHARE)
            yield from self.new(smallest)
            if smallest is not None and whole.points:
                least = smallest.incumbent.metrics.area_um2
                most = whole.points[0].incumbent.metrics.area_um2
                for places in _halved():
                    # what is known is refined once before there are more limits
                    for hull in limits:
                        yield from hull.refine()
                    found = [_Hull(self, _limit(least, most, place)) for place in places]
                    for hull in found:
                        yield from hull.begin()
                    limits += found
        while any(hull.is_open for hull in limits):
            for hull in limits:
                yield from hull.refine()

    @property
    def _plain(self) -> str:
        """What is minimised where only one of energy and delay is traded."""
        return "energy" if "energy" in self._traded else "delay"

    @property
    def trades_both(self) -> bool:
        """Whether energy is traded for delay."""
        return {"energy", "delay"} <= self._traded

    def point(
        self, ratio: float, limit: str, area_share: float = _AREA_SHARE
    ) -> ProvenPoint | None:
        """Return the optimum of a sum.

        Args:
            ratio: what cycles count, over what makes them count as much as energy does.
            limit: on the area.
            area_share: part of the sum that the area makes, of the first design.
        """
        m = self._scale
        weights = {}
        if self.trades_both:
            weights = {"energy_pj": 1.0, "cycles": ratio * m.energy_pj / m.cycles}
        else:
            weights = {TRADED[self._plain]: 1.0}
        if "area" in self._traded:
            others = sum(w * getattr(m, name) for name, w in weights.items())
            weights["area_um2"] = area_share * others / m.area_um2
        return self._solve(" + ".join(f"{w!r} * {name}" for name, w in weights.items()), limit)

    def ratio(self, one: DesignMetrics, other: DesignMetrics) -> float:
        """Return the ratio at which two designs, the slower one first, are worth the same."""
        m = self._scale
        saved = (other.energy_pj - one.energy_pj) / (one.cycles - other.cycles)
        return saved * m.cycles / m.energy_pj

    def new(self, point: ProvenPoint | None) -> Iterator[ProvenPoint]:
        """Yield a point that was not met before."""
        if point is None:
            return
        m = point.incumbent.metrics
        key = tuple(float(getattr(m, TRADED[name])) for name in sorted(self._traded))
        if key not in self._known:
            self._known.add(key)
            yield point


class _Hull:
    """The lower hull of energy and cycles within a limit on the area."""

    def __init__(self, front: ProvenFront, limit: str) -> None:
        self._front, self._limit = front, limit
        self.points: list[ProvenPoint] = []
        self._asked: set[tuple[float, float]] = set()
        self._has_ends = not front.trades_both
        self.is_open = True

    def begin(self) -> Iterator[ProvenPoint]:
        """Yield the point in the middle."""
        yield from self._take(self._front.point(1.0, self._limit))
        self.is_open = bool(self.points) and self._front.trades_both

    def refine(self) -> Iterator[ProvenPoint]:
        """Yield the ends, then what is between neighbours, once each."""
        if not self.is_open:
            return
        if not self._has_ends:
            self._has_ends = True
            for ratio in _EXTREMES:
                yield from self._take(self._front.point(ratio, self._limit))
            return
        metrics = sorted((p.incumbent.metrics for p in self.points), key=lambda m: -m.cycles)
        pairs = [(a, b) for a, b in pairwise(metrics) if (a.cycles, b.cycles) not in self._asked]
        self.is_open = False
        for one, other in pairs:
            self._asked.add((one.cycles, other.cycles))
            if one.cycles > other.cycles and one.energy_pj < other.energy_pj:
                self.is_open = True
                yield from self._take(self._front.point(self._front.ratio(one, other), self._limit))

    def _take(self, point: ProvenPoint | None) -> Iterator[ProvenPoint]:
        if point is None:
            return
        m = point.incumbent.metrics
        if all(m.cycles != other.incumbent.metrics.cycles for other in self.points):
            self.points.append(point)
        yield from self._front.new(point)


def _limit(least: float, most: float, place: float) -> str:
    """Return the limit at some place, 0 to 1, between two areas, by ratio."""
    return f"area_um2 <= {math.exp((1 - place) * math.log(least) + place * math.log(most))!r}"


def _halved() -> Iterator[list[float]]:
    """Yield places from 0 to 1, in the middle of those before."""
    for halving in range(_MOST_HALVINGS):
        parts = 2 ** (halving + 1)
        yield [(2 * i + 1) / parts for i in range(parts // 2)]
