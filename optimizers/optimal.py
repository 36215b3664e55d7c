"""Exact co-search: the best hardware with the best mapping of every layer, and the proof.

See :mod:`dse.cosearch.search` for the method and ``docs/optimal-cosearch.md`` for its limits. A
space beyond the method is searched at random, and the certificate says that nothing is proven.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dse.cosearch.certificate import (
    INFEASIBLE,
    OPTIMAL,
    STOPPED,
    UNSOLVED,
    CoSearchCertificate,
    FrontCertificate,
    assumptions,
)
from dse.cosearch.front import FrontCourse, check_traded
from dse.domain.mapping import Mapping
from dse.errors import SpecError
from dse.goals.certificate import gap_of
from dse.goals.design import Design, DesignMetrics
from dse.goals.limits import limits
from dse.goals.objective import Objective, objective
from dse.optimizers.scouting import Scout
from dse.settings import setting
from dse.space.search_space import SearchSpace
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.study.optimizer import Optimizer

if TYPE_CHECKING:
    from dse.cosearch.corners import CornerSearch
    from dse.cosearch.goal import CoSearchGoal
    from dse.cosearch.search import CoSearch, Incumbent

#: Hardware points per ``ask`` where the space is beyond the method.
_BATCH = 8


@dataclass(frozen=True)
class OptimalSearchSettings:
    """Settings of the exact co-search."""

    gap: float = setting(0.0, "stop as soon as nothing can be better by more than this part")
    nodes: int | None = setting(None, "stop after so many nodes; null: at the proof")
    time: float | None = setting(
        None, "stop after so many seconds: the one setting by which results depend on the machine"
    )
    mappings: int = setting(
        1_000_000,
        "mappings of a layer on one hardware up to which spaces without a closed form are gone "
        "through one by one",
    )
    boxes: bool = setting(
        True, "bound larger spaces box by box, by the exact mapper; false: leave them unsolved"
    )
    objectives: list[str] = setting(
        [],
        "two or three of energy, delay, area: asks for designs that nothing dominates in them, as "
        "many as there are samples; none: the run's objective is minimised",
    )
    threads: int = setting(2, "layers that are bounded at a time; results do not depend on it")


class OptimalSearch(Optimizer[OptimalSearchSettings]):
    """The optimum with its certificate; asks for its incumbents as they get better."""

    settings_type = OptimalSearchSettings
    takes_sparse = False
    default_samples: ClassVar[int] = 100
    proves: ClassVar[bool] = True
    pads_unasked: ClassVar[bool] = False

    def __init__(
        self,
        space: SearchSpace,
        settings: OptimalSearchSettings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        super().__init__(space, settings, rng, samples)
        self._goal()
        self._front: FrontCertificate | None = None
        if settings.objectives:
            check_traded(settings.objectives)
            if space.workload.networks:
                raise SpecError(
                    f"optimizer.objectives with several networks ({space.workload.name}), whose "
                    "means are geometric; expected one"
                )
        for name, least in (
            *(("gap", 0.0), ("nodes", 1), ("time", 0.0), ("mappings", 1)),
            ("threads", 1),
        ):
            value = getattr(settings, name)
            if value is not None and not value >= least:
                raise SpecError(f"optimizer.{name} = {value}, expected at least {least:g}")
        self._shown = 0
        self._certificate: CoSearchCertificate | None = None
        self._course: Iterator[Incumbent | None] | None = None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """See :attr:`dse.study.optimizer.Optimizer.objectives`."""
        return tuple(objective(name) for name in self.settings.objectives)

    def _goal(self, minimised: Objective | None = None, limit: str = "") -> CoSearchGoal:
        from dse.cosearch.goal import CoSearchGoal  # noqa: PLC0415 - compiled code loads on use

        space = self.space
        template = space.template
        bounds = (*space.limits, *limits(limit))
        return CoSearchGoal.of(
            minimised or space.objective, bounds, template.max_area_um2, template.clock_ns
        )

    @property
    def certificate(self) -> dict[str, Any] | None:
        """See :attr:`dse.study.optimizer.Optimizer.certificate`."""
        proof = self._front or self._certificate
        return proof.as_dict() if proof else None

    @property
    def proof(self) -> CoSearchCertificate | None:
        """The certificate; None before the search has ended."""
        return self._certificate

    def _beyond(self) -> bool:
        """Whether the space is beyond the method."""
        return self._certificate is not None and self._certificate.status == UNSOLVED

    def ask(self) -> list[Design]:
        """Return the next incumbent; nothing after the proof."""
        if self._beyond():
            return self._at_random()
        if self._certificate is not None or self._front is not None:
            return []
        if self._course is None:
            self._course = self._points() if self.settings.objectives else self._incumbents()
            for _ in range(self._shown):
                next(self._course)
        found = next(self._course)
        if self._beyond():
            return self._at_random()
        self._shown += 1
        if found is None:
            # the study tells why one of the designs is not feasible
            values = {v.name: v.minimum for v in self.space.template.variables}
            return [Design({**values, **self.space.fixed})]
        return [found.design]

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:  # noqa: ARG002
        """Keep the best where the search found nothing, or was none."""
        for one in metrics:
            proof, value = self._certificate, self.space.objective(one)
            if proof is None or proof.status not in (STOPPED, UNSOLVED) or not one.valid:
                continue
            if proof.value is None or value < proof.value:
                self._certificate = _with_value(proof, value)

    def state_dict(self) -> dict[str, State]:
        """Return how many incumbents were shown: the search is repeated up to there."""
        proof = self._certificate
        front: State = None if self._front is None else self._front.state_dict()
        return {
            "shown": self._shown,
            "certificate": None if proof is None else proof.state_dict(),
            **({"front": front} if self.settings.objectives else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        with CheckedEntries(state, "optimizer") as entries:
            self._shown = entries.integer("shown", 0, self.samples)
            self._certificate = entries.maybe(
                "certificate", lambda key: CoSearchCertificate.of_state(entries.part(key))
            )
            if self.settings.objectives:
                self._front = entries.maybe(
                    "front", lambda key: FrontCertificate.of_state(entries.part(key))
                )

    def _incumbents(self) -> Iterator[Incumbent | None]:
        """Yield incumbents, each better than the last; the last one is the result."""
        from dse.cosearch.search import UnsolvableSpace  # noqa: PLC0415

        shown: Incumbent | None = None
        count = 0
        reasons = []
        seconds = self.settings.time
        end = None if seconds is None else time.monotonic() + seconds
        for make in self._methods(end):
            try:
                search = make()
                for _ in self._until_stop(search, end):
                    # the last sample is for the last incumbent
                    if search.incumbent is not shown and count < self.samples - 1:
                        shown = search.incumbent
                        count += 1
                        yield shown
            except UnsolvableSpace as error:
                reasons.append(str(error))
                continue
            self._certificate = self._proof(search)
            if search.incumbent is None or search.incumbent is not shown:
                yield search.incumbent
            while True:
                yield search.incumbent
        self._certificate = self._unsolved("; ".join(dict.fromkeys(reasons)), shown)
        yield None

    def _points(self) -> Iterator[Incumbent | None]:
        """Yield the front, design by design; with the last one stands the certificate."""
        from dse.cosearch.search import UnsolvableSpace  # noqa: PLC0415

        seconds = self.settings.time
        end = None if seconds is None else time.monotonic() + seconds

        def prove(minimised: str, limit: str) -> CoSearch:
            search = self._by_tables(self._goal(objective(minimised), limit))
            if end is None or time.monotonic() < end:
                for _ in self._until_stop(search, end, tell=False):
                    pass
            return search

        course = FrontCourse(self.settings.objectives, self.samples, prove)
        try:
            yield from course.before_last()
        except UnsolvableSpace as error:
            self._certificate = self._unsolved(str(error), None)
            yield None
        last = course.last
        if last is None:
            self._certificate = self._nothing(course)
            yield None
            return
        self._front = course.certificate(self._assumed(course.how))
        while True:
            yield last

    def _nothing(self, course: FrontCourse) -> CoSearchCertificate:
        """Return the certificate of a front without points."""
        if course.effort["unproven"]:
            return self._unsolved("no point was proven", None)
        name, assumed = self.space.objective.name, self._assumed(course.how)
        return CoSearchCertificate(INFEASIBLE, name, None, math.inf, course.tolerance, assumed)

    def _methods(self, end: float | None) -> Iterator[Callable[[], CoSearch | CornerSearch]]:
        """Yield the methods, to be tried one after the other, until then."""
        yield lambda: self._by_tables(self._goal())
        # corners know the layers' own sizes only
        if self.settings.boxes and not self.space.padding.on:
            from dse.cosearch.corners import CornerSearch  # noqa: PLC0415

            threads = self.settings.threads
            yield lambda: CornerSearch(self.space, self._goal(), threads, end, self._scouted)

    @cached_property
    def _scout(self) -> Scout:
        return Scout(self.space)

    def _scouted(self, samples: int) -> Design | None:
        return self._scout(samples)

    def _by_tables(self, goal: CoSearchGoal) -> CoSearch:
        from dse.cosearch.padded import PaddedCoSearch  # noqa: PLC0415
        from dse.cosearch.search import CoSearch  # noqa: PLC0415

        kind = PaddedCoSearch if self.space.padding.on else CoSearch
        return kind(self.space, goal, self.settings.mappings, self.settings.threads)

    def unpadded(self, design: Design) -> tuple[Mapping, ...] | None:
        """See :meth:`dse.study.optimizer.Optimizer.unpadded`: the best, proven."""
        from dse.cosearch.padded import PaddedCoSearch  # noqa: PLC0415

        if self._beyond():
            return None
        search = self._by_tables(self._goal())
        found = search.own_sizes_on(design.values) if isinstance(search, PaddedCoSearch) else None
        return found.design.mappings if found else None

    def _until_stop(
        self, search: CoSearch | CornerSearch, end: float | None, *, tell: bool = True
    ) -> Iterator[None]:
        """Run the search until a setting stops it, and tell of its bound."""
        settings = self.settings
        if tell:
            self.on_bound(math.inf, 0.0)
        for _ in search.run():
            yield
            known = search.incumbent
            if tell:
                self.on_bound(known.value if known else math.inf, search.bound)
            if known is not None and known.value - search.bound <= settings.gap * known.value:
                return
            if settings.nodes is not None and search.nodes >= settings.nodes:
                return
            if end is not None and time.monotonic() > end:
                return

    def _proof(self, search: CoSearch | CornerSearch) -> CoSearchCertificate:
        known = search.incumbent
        # what the bound says counts, not how the search ended: it may be stopped at the proof, and
        # come to its end with hardware left on which too many mappings are in question
        proven = known is not None and gap_of(search.bound, known.value) <= search.tolerance
        status = OPTIMAL if proven else STOPPED
        if search.finished and known is None and math.isinf(search.bound):
            status = INFEASIBLE
        return CoSearchCertificate(
            status,
            self.space.objective.name,
            known.value if known else None,
            search.bound,
            search.tolerance,
            self._assumed(search.how, search.sizes_text),
            effort=search.effort,
        )

    def _unsolved(self, reason: str, shown: Incumbent | None) -> CoSearchCertificate:
        assumed = self._assumed("")[:3]
        name, value = self.space.objective.name, shown.value if shown else None
        return CoSearchCertificate(UNSOLVED, name, value, 0.0, 0.0, assumed, reason)

    def _assumed(self, how: str, sizes: str = "") -> tuple[str, ...]:
        free = self.space.template.is_free
        return assumptions(self.space.timeloop_version, how, sizes, free=free)

    def _at_random(self) -> list[Design]:
        each = min(max(self.samples // 10, 1), 1000)
        return [
            Design(self.space.sample_values(self.rng), mapping_samples=each) for _ in range(_BATCH)
        ]


def _with_value(certificate: CoSearchCertificate, value: float) -> CoSearchCertificate:
    return replace(certificate, value=value)
