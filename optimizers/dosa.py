"""DOSA's one-loop search by gradients (Hong et al., MICRO 2023), on any template.

Mappings of all layers are moved together by Adam on the differentiable twin of the model; the
hardware is at every step the smallest that holds them. ``docs/differentiable.md`` says where this
differs from the paper's program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name
from dse.goals.design import Design, DesignMetrics
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.padding import alternatives
from dse.relaxed.descent import Descent, DescentState, gumbel_mix, softmax_mix
from dse.relaxed.latency import Latency
from dse.relaxed.network import Mix
from dse.relaxed.start import first_mapping
from dse.settings import setting
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.state.in_space import take_values
from dse.study.optimizer import Optimizer

_ORDERINGS = ("shuffle", "softmax", "gumbel", "none")
_VARIABLES = ("log", "linear")
#: Adam's rate by what is stepped in, where the user sets none.
_RATES = {"log": 0.01, "linear": 7.5e-5}
#: Random hardware that is tried until some maps all layers.
_TRIES = 200
#: Sizes of a layer, the most promising ones, of which a start may be.
_FIRST = 4


@dataclass(frozen=True)
class DosaSettings:
    """Settings of DOSA's gradient search; the defaults are the paper's but for the variables."""

    starts: int | None = setting(
        None, "start points; null: as many as the budget allows, 7 with the default one"
    )
    steps: int = setting(1490, "steps of Adam per start")
    round_every: int = setting(500, "steps between roundings to whole factors")
    ordering: str = setting(
        "shuffle", "loop orders: shuffle (greedy, after each rounding) softmax gumbel none"
    )
    variables: str = setting(
        "log",
        "what Adam steps in: log (of factors), linear (factors over the middle of their range)",
    )
    learning_rate: float | None = setting(
        None, "of Adam; null: 0.01 of logarithms, 7.5e-5 of linear variables (the paper's)"
    )
    discard: float = setting(
        10.0, "a start worse than the best one by more than this factor is drawn anew"
    )
    penalty: float = setting(
        10.0, "weight of the squared logarithm by which demands, budgets and bounds are exceeded"
    )
    area_weight: float = setting(0.0, "the area's power in what is minimised, beyond the objective")
    model: str | None = setting(
        None,
        "folder of a network on factors as they are (train residual network=dosa), whose gradient "
        "is followed beside the native model's",
        contents=True,
    )


class DosaSearch(Optimizer[DosaSettings]):
    """DOSA: gradient descent on all mappings at once, hardware inferred from them."""

    settings_type = DosaSettings
    takes_sparse = False
    default_samples = 10_500

    def __init__(
        self,
        space: SearchSpace,
        settings: DosaSettings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        super().__init__(space, settings, rng, samples)
        _check(settings)
        self._state: DescentState | None = None
        self._begun = 0
        self._steps_done = 0
        self._best_start = float("inf")
        self._pending: list[Mapping] | None = None
        self._descent: Descent | None = None
        if settings.model is not None and space.padding.on:
            raise SpecError(
                f"optimizer.model = {settings.model}: such a network knows the layers' own sizes; "
                f"expected mapspace.padding=off, not {space.padding.text}"
            )
        self._latency = _latency(settings.model, space)
        # says at once where a template cannot be searched so
        self._descent_on(space.sample_values(np.random.default_rng(0)))

    def ask(self) -> list[Design]:
        """Return a start point, or the rounded point at the end of the next stretch of steps."""
        if self.meter.left < 1:
            return []
        if self._state is None:
            enough = self.settings.starts is not None and self._begun >= self.settings.starts
            return [] if enough else [self._new_start()]
        return [self._stretch(self._state)]

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Take up the start unless it is bad; after the last stretch, let it go."""
        if self._pending is not None:
            mappings, self._pending = self._pending, None
            value = self.space.objective(metrics[0])
            if value <= self.settings.discard * self._best_start and np.isfinite(value):
                self._begin(designs[0].values, mappings)
            self._best_start = min(self._best_start, value)
        elif self._steps_done >= self.settings.steps:
            self._state = None

    def state_dict(self) -> dict[str, State]:
        """Return where the descent stands, and what the starts have been worth."""
        return {
            "begun": self._begun,
            "steps_done": self._steps_done,
            "best_start": self._best_start,
            "descent": None if self._state is None else self._state.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        with CheckedEntries(state, "optimizer") as entries:
            self._begun = entries.integer("begun", 0)
            self._steps_done = entries.integer("steps_done", 0, self.settings.steps)
            self._best_start = entries.number("best_start")
            self._state = entries.maybe("descent", lambda key: self._read(entries.part(key)))

    def _read(self, entries: CheckedEntries) -> DescentState:
        with entries:
            base = take_values(entries, "base", self.space)
            return self._descent_on(base).restored(entries, base)

    def _new_start(self) -> Design:
        """Return random hardware with every layer mapped to it."""
        space_of = MapspaceCache(self.space.template.constraints)
        values: Values = {}
        for _ in range(_TRIES):
            values = self.space.sample_values(self.rng)
            mappings = self._mapped(values, space_of)
            if mappings is not None:
                break
        else:
            # the mapper finds, and tells, why nothing fits
            return Design(values)
        if self.settings.ordering != "none":
            descent = self._descent_on(values)
            if self.meter.left > descent.order_cost():
                points = descent.network.twin.points(mappings, list(range(len(mappings))))
                mappings = list(descent.mappings(descent.search_orders(points, values)))
        self._pending = mappings
        return Design(values, tuple(mappings))

    def _mapped(self, values: Values, space_of: MapspaceCache) -> list[Mapping] | None:
        try:
            architecture = self.space.template.tree(values)
        except SpecError:
            return None
        found: dict[Any, Mapping] = {}
        for layer in self.space.workload:
            if layer.problem not in found:
                mapping = self._first(layer.problem, architecture, space_of)
                if mapping is None:
                    return None
                found[layer.problem] = mapping
        return [found[layer.problem] for layer in self.space.workload]

    def _first(
        self, problem: Problem, architecture: Architecture, space_of: MapspaceCache
    ) -> Mapping | None:
        """Return a first mapping of a layer: of its most promising size that has one."""
        metric = self.space.objective.mapping_metric
        sizes = alternatives(space_of(problem, architecture), self.space.padding, metric)
        made = (first_mapping(space_of(size, architecture)) for size in sizes.problems[:_FIRST])
        return next((mapping for mapping in made if mapping is not None), None)

    def _begin(self, values: Values, mappings: list[Mapping]) -> None:
        self._state = self._descent_on(values).state_of(mappings)
        self._begun += 1
        self._steps_done = 0

    def _stretch(self, state: DescentState) -> Design:
        """Take steps to the next rounding; return the rounded design."""
        s = self.settings
        descent = self._descent_on(state.base)
        cost = descent.order_cost() if s.ordering != "none" else 0
        each = descent.orders if s.ordering in ("softmax", "gumbel") else 1
        sizes = descent.size_cost
        affordable = max((self.meter.left - 1 - cost - sizes) // each, 0)
        steps = min(s.round_every, s.steps - self._steps_done, affordable)
        rate = s.learning_rate or _RATES[s.variables]
        for _ in range(steps):
            descent.step(state, rate, linear=s.variables == "linear", mix=self._mix(descent))
        self._steps_done += steps
        if sizes and self.meter.left > sizes:
            descent.choose_sizes(state)
        points, values, short = descent.rounded(state)
        if not short and cost and self.meter.left > cost:
            points = descent.search_orders(points, values)
        descent.moved_to(state, points)
        if steps == 0:
            self._steps_done = s.steps
        return Design(values, descent.mappings(points))

    def _mix(self, descent: Descent) -> Mix | None:
        if self.settings.ordering == "softmax":
            return softmax_mix
        if self.settings.ordering == "gumbel":
            shape = (len(self.space.workload), descent.orders)
            return gumbel_mix(self.rng.gumbel(size=shape))
        return None

    def _descent_on(self, values: Values) -> Descent:
        """Return the descent for these values of the variables that are not inferred."""
        s = self.settings
        base = dict(values)
        known = self._descent
        if known is None or any(known.base[name] != base[name] for name in known.kept):
            known = Descent(
                *(self.space, base, self.meter),
                penalty=s.penalty,
                area_weight=s.area_weight,
                latency=self._latency,
            )
            self._descent = known
        return known


def _latency(folder: str | None, space: SearchSpace) -> Latency | None:
    if folder is None:
        return None
    from dse.learned.relaxed_latency import NetworkLatency  # noqa: PLC0415 - needs an extra

    problems = [layer.problem for layer in space.workload]
    levels = space.template.level_names
    return NetworkLatency.open(Path(folder), levels, problems, "optimizer.model")


def _check(s: DosaSettings) -> None:
    for name in ("starts", "steps", "round_every"):
        value = getattr(s, name)
        if value is not None and value < 1:
            raise SpecError(f"optimizer.{name} = {value}, expected at least 1")
    if s.learning_rate is not None and not s.learning_rate > 0:
        raise SpecError(f"optimizer.learning_rate = {s.learning_rate}, expected more than 0")
    if not s.discard >= 1:
        raise SpecError(f"optimizer.discard = {s.discard}, expected at least 1")
    for name in ("penalty", "area_weight"):
        if not getattr(s, name) >= 0:
            raise SpecError(f"optimizer.{name} = {getattr(s, name)}, expected 0 or more")
    if s.ordering not in _ORDERINGS:
        raise SpecError(unknown_name("optimizer.ordering", s.ordering, _ORDERINGS))
    if s.variables not in _VARIABLES:
        raise SpecError(unknown_name("optimizer.variables", s.variables, _VARIABLES))
