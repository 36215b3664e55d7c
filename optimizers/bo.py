"""Bayesian optimisation of hardware, and Spotlight's (HPCA 2023) as one of its settings.

A Gaussian process is fitted to the logarithm of the objective over the designs so far, another one
to what keeps designs from being valid; the next designs are those that promise most by both
(`dse.bayes`). Mappings come from the mapper, with an equal number of samples for each design; the
last part of the budget maps the best hardware again, with more.

Nothing is kept but designs and what they were worth: processes are fitted anew from those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dse.bayes.candidates import Candidates, key_of
from dse.bayes.encoding import CubeEncoding, DomainEncoding
from dse.errors import SpecError, unknown_name
from dse.extras import require
from dse.goals.design import Design, DesignMetrics
from dse.goals.objective import Objective, objective
from dse.goals.pareto import nondominated_ranks
from dse.settings import setting
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.state.in_space import take_values
from dse.study.optimizer import Optimizer

if TYPE_CHECKING:
    from dse.bayes.acquisition import Data

_KERNELS = ("matern", "linear")
_ACQUISITIONS = ("logei", "thompson", "ucb")
#: Designs around which candidates are drawn, and that are mapped again at the end.
_BEST = 4
#: Of the samples that map the best again, what goes to each of two rounds.
_ROUNDS = 2


@dataclass(frozen=True)
class BayesianSettings:
    """Settings of Bayesian optimisation."""

    kernel: str = setting(
        "matern",
        "of the Gaussian process: matern (5/2, a fitted length scale per variable) or linear (a "
        "dot product of Spotlight's domain features)",
    )
    acquisition: str = setting(
        "logei", "what picks designs: logei thompson ucb; several objectives always take qLogNEHVI"
    )
    beta: float = setting(2.0, "deviations below the mean that count (acquisition=ucb)")
    batch: int = setting(4, "designs per batch")
    warmup: int | None = setting(
        None,
        "designs evaluated first; null: two more than twice the variables, a quarter of all at "
        "most",
    )
    candidates: int = setting(1000, "designs drawn for a batch, of which the best is picked")
    local: bool = setting(
        True, "draw half of the candidates around the best designs, and climb from the best ones"
    )
    explore: float = setting(0.0, "probability that a batch is random")
    refine: float = setting(
        0.4, "last part of the budget, which maps the best hardware again; one objective only"
    )
    mappings_per_hardware: int | None = setting(
        None, "mappings per layer on each hardware; null: a fiftieth of the budget, at most 1000"
    )
    objectives: list[str] = setting(
        [], "two or more: what is traded, as in nsga2; none: the run's objective is minimised"
    )


@dataclass(frozen=True)
class SpotlightSettings(BayesianSettings):
    """Settings of Bayesian optimisation; the defaults are those of Spotlight's hardware loop."""

    kernel: str = setting("linear", "of the Gaussian process: matern linear")
    acquisition: str = setting("ucb", "what picks designs: logei thompson ucb")
    beta: float = setting(1.0, "deviations below the mean that count (acquisition=ucb)")
    batch: int = setting(10, "designs per batch")
    warmup: int | None = setting(10, "designs evaluated first, a quarter of all at most")
    local: bool = setting(False, "draw candidates around the best designs, too, and climb")
    explore: float = setting(0.1, "probability that a batch is random")
    refine: float = setting(0.0, "last part of the budget, which maps the best hardware again")
    mappings_per_hardware: int | None = setting(
        None, "mappings per layer on each hardware; null: a hundredth of the budget"
    )


@dataclass(frozen=True)
class _Observed:
    """A design that was evaluated: its objectives, infinite where not valid."""

    values: Values
    goal: tuple[float, ...]
    violation: float

    @property
    def valid(self) -> bool:
        return self.violation == 0 and bool(np.isfinite(self.goal).all())


class BayesianSearch(Optimizer[BayesianSettings]):
    """Bayesian optimisation: fitted Gaussian process, log-EI; qLogNEHVI for several objectives."""

    settings_type: ClassVar[type[Any]] = BayesianSettings
    default_samples = 10_000
    #: designs that the budget is meant for, where the mappings of each are not said
    designs: ClassVar[int] = 50

    @classmethod
    def default_mapper(cls, settings: BayesianSettings) -> dict[str, Any]:  # noqa: ARG003
        """Return annealing: the best on small budgets per layer."""
        return {"name": "anneal"}

    def __init__(
        self,
        space: SearchSpace,
        settings: BayesianSettings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        """See :class:`dse.study.optimizer.Optimizer`.

        Raises:
            SpecError: a setting is out of range.
            dse.errors.ToolError: the libraries of the extra are not installed.
        """
        super().__init__(space, settings, rng, samples)
        _check(settings)
        require("optimizer=bo", "learned", "torch", "gpytorch", "botorch")
        wanted = settings.mappings_per_hardware
        self.mappings_per_hardware = wanted or min(max(samples // self.designs, 1), 1000)
        cube = CubeEncoding(space)
        self._encoding = cube if settings.kernel == "matern" else DomainEncoding(space)
        self._fixed = not cube.variables
        self._candidates = Candidates(space)
        affordable = max(1, samples // self.mappings_per_hardware // 4)
        warmup = 2 * len(cube.variables) + 2 if settings.warmup is None else settings.warmup
        self._warmup = max(1, min(warmup, affordable))
        self._seen: list[_Observed] = []
        # rounds of mapping the best again that have begun
        self._rounds = 0

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """See :attr:`dse.study.optimizer.Optimizer.objectives`."""
        return tuple(objective(name) for name in self.settings.objectives)

    def ask(self) -> list[Design]:
        """Return the warm-up, then batches, then the best hardware for more mappings."""
        if self._fixed:
            return self._only_mappings()
        left = self._until_refined()
        if left <= 0 and any(x.valid for x in self._seen):
            return self._refined()
        size = max(1, -(-left // self.mappings_per_hardware))
        if len(self._seen) < self._warmup:
            size = min(size, self._warmup - len(self._seen))
            return self._designs(self._candidates.warm_up(self.rng, size))
        return self._designs(self._batch(min(size, self.settings.batch)))

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Take the results."""
        goals = self.objectives or (self.space.objective,)
        for design, worth in zip(designs, metrics, strict=True):
            goal = tuple(one(worth) for one in goals)
            violation = 0.0 if worth.valid else worth.violation
            self._seen.append(_Observed(design.values, goal, violation))

    def state_dict(self) -> dict[str, State]:
        """Return the designs and what they were worth."""
        seen: list[State] = [
            {"values": x.values, "goal": x.goal, "violation": x.violation} for x in self._seen
        ]
        return {"seen": seen, "rounds": self._rounds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        with CheckedEntries(state, "optimizer") as entries:
            self._seen = [self._read(one) for one in entries.each("seen")]
            self._rounds = entries.integer("rounds", 0, _ROUNDS)

    def _read(self, entries: CheckedEntries) -> _Observed:
        with entries:
            return _Observed(
                take_values(entries, "values", self.space),
                entries.numbers("goal", max(1, len(self.settings.objectives))),
                entries.number("violation"),
            )

    def _designs(self, found: Sequence[Values]) -> list[Design]:
        return [Design(values, mapping_samples=self.mappings_per_hardware) for values in found]

    def _until_refined(self) -> int:
        """Return the samples left until the best hardware is mapped again."""
        share = 0.0 if self.objectives else self.settings.refine
        return self.meter.left - int(share * self.samples)

    def _only_mappings(self) -> list[Design]:
        """Return the one piece of hardware that there is, for all samples unless told otherwise."""
        each = self.settings.mappings_per_hardware or max(1, self.meter.left)
        values = self._candidates.sample(self.rng)
        return [Design(values, mapping_samples=each)]

    def _refined(self) -> list[Design]:
        """Return the best few for half of what is left, then the best of all for the rest."""
        left, best = self.meter.left, self._ranked()
        self._rounds = min(self._rounds + 1, _ROUNDS)
        each = left // 2 // _BEST
        if self._rounds == _ROUNDS or each < 1:
            return [Design(best[0], mapping_samples=max(1, left))]
        return [Design(values, mapping_samples=each) for values in best[:_BEST]]

    def _ranked(self) -> list[Values]:
        """Return the valid designs, each once, best first; of several objectives by fronts."""
        valid = [x for x in self._seen if x.valid]
        goals = np.array([x.goal for x in valid]).reshape(len(valid), -1)
        order = nondominated_ranks(goals) if goals.shape[1] > 1 else goals[:, 0]
        found = [valid[i].values for i in np.argsort(order, kind="stable")]
        return list({key_of(values): values for values in found}.values())

    def _batch(self, size: int) -> list[Values]:
        """Return the designs that promise the most."""
        from dse.bayes.acquisition import Promise  # noqa: PLC0415 - loads PyTorch
        from dse.bayes.proposal import Proposer  # noqa: PLC0415
        from dse.bayes.surrogate import torch_of  # noqa: PLC0415

        s = self.settings
        seed = int(self.rng.integers(1 << 31))
        if self.rng.random() < s.explore or not any(x.valid for x in self._seen):
            return [self._candidates.sample(self.rng) for _ in range(size)]
        known = frozenset(key_of(x.values) for x in self._seen)
        proposer = Proposer(
            self._candidates, self._encoding.points, self.rng, s.candidates, s.local, known
        )
        with torch_of(seed):
            promise = Promise(self._data(), s.kernel, s.acquisition, s.beta, seed)
            drawn = s.acquisition == "thompson" and not promise.several
            pick = proposer.drawn_batch if drawn else proposer.batch
            return pick(promise, self._ranked()[:_BEST], size)

    def _data(self) -> Data:
        from dse.bayes.acquisition import Data, modelled  # noqa: PLC0415

        points = self._encoding.points([x.values for x in self._seen])
        whole = np.isfinite(points).all(axis=1)
        goals = np.array([x.goal for x in self._seen]).reshape(len(points), -1)
        violation = np.array([x.violation for x in self._seen])
        return Data(points[whole], self._encoding.groups, modelled(goals)[whole], violation[whole])


class Spotlight(BayesianSearch):
    """Spotlight's hardware loop: a linear kernel over domain features, lower confidence bound."""

    settings_type: ClassVar[type[Any]] = SpotlightSettings
    designs: ClassVar[int] = 100


def _check(s: BayesianSettings) -> None:
    for name, known in (("kernel", _KERNELS), ("acquisition", _ACQUISITIONS)):
        if getattr(s, name) not in known:
            raise SpecError(unknown_name(f"optimizer.{name}", getattr(s, name), known))
    for name in ("batch", "warmup", "candidates", "mappings_per_hardware"):
        value = getattr(s, name)
        if value is not None and value < 1:
            raise SpecError(f"optimizer.{name} = {value}, expected at least 1")
    if not 0 <= s.beta < float("inf"):
        raise SpecError(f"optimizer.beta = {s.beta}, expected 0 or more")
    for name in ("explore", "refine"):
        if not 0 <= getattr(s, name) < 1:
            raise SpecError(f"optimizer.{name} = {getattr(s, name)}, expected 0 to below 1")
    if len(s.objectives) == 1:
        raise SpecError(
            f"optimizer.objectives = {s.objectives}, expected none, or at least two to trade"
        )
    for name in s.objectives:
        objective(name)
